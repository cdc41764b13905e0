//! The bytes the broker may hold. Everything that stays after its request was answered (batches, producer states,
//! partitions) is paid for before it is kept; when the pot is empty, the request is refused and the broker lives on.
//!
//! [`ByteBudget`](crate::base::budget::ByteBudget) makes its user wait and ends at 4 GiB; a broker must say no at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The pot. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pot: Arc<Pot>,
}

#[derive(Debug)]
struct Pot {
    used_bytes: AtomicUsize,
    total_bytes: usize,
    /// When the last complaint was logged, in ms since the epoch: a full broker refuses often and says so seldom.
    complained_ms: AtomicU64,
}

/// Bytes that are paid for; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Paid {
    pot: Arc<Pot>,
    bytes: usize,
}

const COMPLAIN_EVERY_MS: u64 = 5_000;

impl Memory {
    pub(crate) fn new(total_bytes: usize) -> Self {
        let pot = Pot { used_bytes: AtomicUsize::new(0), total_bytes, complained_ms: AtomicU64::new(0) };
        Self { pot: Arc::new(pot) }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.pot.used_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.pot.total_bytes
    }

    /// Takes `bytes`, or nothing when they do not fit.
    pub(crate) fn take(&self, bytes: usize) -> Option<Paid> {
        let pot = &self.pot;
        pot.used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= pot.total_bytes)
            })
            .ok()
            .map(|_| Paid { pot: pot.clone(), bytes })
    }

    /// Whether it is time to tell the log again that the pot is empty.
    pub(crate) fn may_complain(&self, now_ms: i64) -> bool {
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        let last_ms = self.pot.complained_ms.load(Ordering::Relaxed);
        now_ms.saturating_sub(last_ms) >= COMPLAIN_EVERY_MS
            && self.pot.complained_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        self.pot.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_dropped_comes_back() {
        let memory = Memory::new(100);
        let held = memory.take(60).unwrap();
        assert!(memory.take(41).is_none());
        assert!(memory.take(usize::MAX).is_none());
        let rest = memory.take(40).unwrap();
        assert_eq!(memory.used_bytes(), 100);
        drop((held, rest));
        assert_eq!(memory.used_bytes(), 0);
    }

    #[test]
    fn a_full_broker_complains_once_in_a_while() {
        let memory = Memory::new(0);
        assert!(memory.may_complain(100_000));
        assert!(!memory.may_complain(100_001));
        assert!(memory.may_complain(105_000));
    }
}
