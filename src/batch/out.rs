//! The growing end of a batch.
//!
//! A `Vec` that is all initialised, with its own mark for where the contents end: records are then written through one
//! checked slice, the head of each as one copy of a fixed size that the next bytes overwrite. Against `Vec`'s own
//! `extend_from_slice` for each part, this halves the cost of a small record.

/// Bytes behind what was asked for that may be scribbled on.
pub(super) const SLACK_BYTES: usize = 32;

pub(super) struct Out {
    bytes: Vec<u8>,
    end: usize,
}

impl Out {
    /// Begins with `head` bytes that are filled in later.
    pub(super) fn new(head: usize) -> Self {
        Self { bytes: vec![0; head], end: head }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.end
    }

    /// What the buffer takes, whatever is in it.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn truncate(&mut self, end: usize) {
        self.end = self.end.min(end);
    }

    pub(super) fn written(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// What is behind the end up to `limit`, as far as there is room already; `None` if the end lies beyond that.
    #[inline(always)]
    pub(super) fn ahead_to(&mut self, limit: usize) -> Option<&mut [u8]> {
        let limit = limit.min(self.bytes.len());
        self.bytes.get_mut(self.end..limit)
    }

    pub(super) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.end]
    }

    /// Gives the buffer away for another one, which begins with `head` bytes that are filled in later.
    pub(super) fn swap(&mut self, other: &mut Vec<u8>, head: usize) {
        if other.len() < head {
            other.resize(head, 0);
        }
        std::mem::swap(&mut self.bytes, other);
        self.end = head;
    }

    /// What is behind the end: room for `bytes` and some more.
    #[inline(always)]
    pub(super) fn ahead(&mut self, bytes: usize) -> &mut [u8] {
        let needed = self.end.saturating_add(bytes).saturating_add(SLACK_BYTES);
        if needed > self.bytes.len() {
            self.grow(needed);
        }
        &mut self.bytes[self.end..]
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.resize(needed.max(self.bytes.len().saturating_mul(2)).max(4_096), 0);
    }

    /// Moves the end over `bytes` that were written ahead of it.
    #[inline(always)]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.end += bytes;
    }
}

/// Copies `from` to `into` at `at` and returns the place behind it. Short stretches, which keys and values mostly are,
/// without a call.
#[inline(always)]
pub(super) fn copy(into: &mut [u8], at: usize, from: &[u8]) -> usize {
    let bytes = from.len();
    let into = &mut into[at..at + bytes];
    match bytes {
        0..=3 => {
            for (into, from) in into.iter_mut().zip(from) {
                *into = *from;
            }
        }
        4..=7 => {
            into[..4].copy_from_slice(&from[..4]);
            into[bytes - 4..].copy_from_slice(&from[bytes - 4..]);
        }
        8..=16 => {
            into[..8].copy_from_slice(&from[..8]);
            into[bytes - 8..].copy_from_slice(&from[bytes - 8..]);
        }
        _ => into.copy_from_slice(from),
    }
    at + bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole_and_no_further() {
        let from: Vec<u8> = (1..=40).collect();
        for bytes in 0..=from.len() {
            let mut into = [0; 50];
            assert_eq!(copy(&mut into, 3, &from[..bytes]), 3 + bytes);
            assert_eq!(&into[3..3 + bytes], &from[..bytes]);
            assert!(into[..3].iter().chain(&into[3 + bytes..]).all(|&byte| byte == 0));
        }
    }
}
