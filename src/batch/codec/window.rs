//! The stretch of decompressed bytes at hand.
//!
//! Codecs fill it at the end, the reader consumes it at the front. It grows by doubling and only when bytes have arrived
//! to fill it, never because a length says so, and never beyond its limit. Its buffer is all initialised, so a codec may
//! be handed the spare part as it is.

use super::super::BatchError;

/// What the window is grown to at first: large enough to amortise a codec's call, small enough for the cache.
const BYTES_FIRST: usize = 64 * 1024;

pub(in crate::batch) struct Window {
    bytes: Vec<u8>,
    /// Before it is consumed.
    at: usize,
    /// Behind it is spare.
    end: usize,
    budget: usize,
    /// How much of the budget is spent on something else at the moment.
    held: usize,
}

impl Window {
    pub(in crate::batch) fn new(budget: usize) -> Self {
        Self { bytes: Vec::new(), at: 0, end: 0, budget, held: 0 }
    }

    pub(in crate::batch) fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
    }

    /// The buffer, and what is set aside for a codec.
    pub(in crate::batch) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.held
    }

    /// Empties it for the next batch; the buffer stays.
    pub(in crate::batch) fn clear(&mut self) {
        (self.at, self.end) = (0, 0);
    }

    /// What is there to be read.
    #[inline(always)]
    pub(in crate::batch) fn unread(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// Consumes `bytes`, which must be there, and gives them.
    #[inline(always)]
    pub(in crate::batch) fn take(&mut self, bytes: usize) -> &[u8] {
        let from = self.at;
        self.at += bytes;
        &self.bytes[from..self.at]
    }

    /// Whether `bytes` in one piece can ever be held.
    pub(in crate::batch) fn check(&self, bytes: usize, what: &'static str) -> Result<(), BatchError> {
        if bytes <= self.limit() {
            return Ok(());
        }
        Err(BatchError::OverBudget { what, needed: bytes.saturating_add(self.held), budget: self.budget })
    }

    /// How many bytes could still be added behind what is unread.
    pub(super) fn room_most(&self) -> usize {
        self.limit().saturating_sub(self.end - self.at)
    }

    fn limit(&self) -> usize {
        self.budget.saturating_sub(self.held)
    }

    /// Sets aside `bytes` of the budget for a codec's own memory instead of what was set aside before.
    pub(super) fn hold(&mut self, bytes: usize, what: &'static str) -> Result<(), BatchError> {
        let unread = self.end - self.at;
        if bytes.saturating_add(unread) > self.budget {
            return Err(BatchError::OverBudget { what, needed: bytes.saturating_add(unread), budget: self.budget });
        }
        self.held = bytes;
        if self.bytes.len() > self.limit() {
            self.compact();
            self.bytes.truncate(self.limit());
            self.bytes.shrink_to_fit();
        }
        Ok(())
    }

    /// Gives back what was set aside.
    pub(super) fn release(&mut self) {
        self.held = 0;
    }

    /// The spare part, at least `least` bytes of it.
    pub(super) fn room(&mut self, least: usize, what: &'static str) -> Result<&mut [u8], BatchError> {
        // A codec should not be called for the last few bytes of the buffer again and again.
        if self.bytes.len() - self.end < least.max(self.bytes.len() / 4) {
            self.compact();
        }
        let needed = self.end.saturating_add(least);
        if needed > self.bytes.len() {
            self.check(needed, what)?;
            let wanted = needed.max(self.bytes.len().saturating_mul(2)).max(BYTES_FIRST).min(self.limit());
            self.bytes.reserve_exact(wanted - self.bytes.len());
            self.bytes.resize(wanted, 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    /// Says that the first `bytes` of the spare part were filled.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.bytes.len());
    }

    fn compact(&mut self) {
        if self.at > 0 {
            self.bytes.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unread_survives_growth_and_the_limit_holds() {
        let mut window = Window::new(100);
        window.room(60, "a").unwrap()[..60].fill(7);
        window.filled(60);
        assert_eq!(window.take(20), [7; 20]);
        assert_eq!(window.room_most(), 60);
        assert_eq!(window.room(60, "a").unwrap().len(), 60);
        assert_eq!(window.unread(), [7; 40]);
        let refused = window.room(61, "a block").unwrap_err();
        assert_eq!(refused, BatchError::OverBudget { what: "a block", needed: 101, budget: 100 });
    }

    #[test]
    fn what_a_codec_holds_is_taken_from_the_same_budget() {
        let mut window = Window::new(100);
        window.room(1, "a").unwrap().fill(1);
        window.filled(30);
        assert!(window.hold(71, "history").is_err());
        window.hold(70, "history").unwrap();
        assert_eq!((window.bytes.len(), window.room_most()), (30, 0));
        assert_eq!(
            window.check(31, "a record").unwrap_err(),
            BatchError::OverBudget { what: "a record", needed: 101, budget: 100 }
        );
    }
}
