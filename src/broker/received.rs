//! A request's frame, and how a batch in it is kept.
//!
//! A frame that is hardly more than one batch becomes that batch's block in the log: it was read into memory of its own, and
//! stays there. From other frames batches are copied: a small one would keep a buffer from being used again, and one of
//! several would keep the others in memory after the log has let go of them. What is paid is what is held: the whole frame.

use std::ops::Range;

/// From this size on a frame is read into memory of its own and may be kept.
const KEPT_BYTES_MIN: usize = 16 << 10;

/// A kept frame may be larger than its batch by this part of it.
const WASTE_PART_MAX: usize = 16;

/// A frame of which at most one batch is stored.
#[derive(Debug)]
pub(crate) struct Received<'f> {
    frame: &'f mut Vec<u8>,
    /// There is only one batch in it.
    is_alone: bool,
}

/// A batch's bytes, which may lie amid those of its frame.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    at: Range<usize>,
}

impl Kept {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.at.clone()).unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.at.clone()).unwrap_or_default()
    }
}

impl From<&[u8]> for Kept {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Vec<u8>> for Kept {
    fn from(bytes: Vec<u8>) -> Self {
        Self { at: 0..bytes.len(), bytes }
    }
}

/// Room for a frame of that length, of which so much is made room for on its word alone.
pub(crate) fn make_room(frame: &mut Vec<u8>, length: usize, trusted: usize) {
    frame.clear();
    let is_wasteful = frame.capacity() < length || wastes(frame.capacity(), length);
    if length >= KEPT_BYTES_MIN && is_wasteful {
        *frame = Vec::new();
    }
    frame.reserve_exact(length.min(trusted));
}

fn wastes(held: usize, used: usize) -> bool {
    held.saturating_sub(used) > used / WASTE_PART_MAX
}

impl<'f> Received<'f> {
    pub(crate) fn new(frame: &'f mut Vec<u8>, is_alone: bool) -> Self {
        Self { frame, is_alone }
    }

    pub(crate) fn bytes(&self, at: &Range<usize>) -> &[u8] {
        self.frame.get(at.clone()).unwrap_or_default()
    }

    fn keeps_frame(&self, batch_bytes: usize) -> bool {
        self.is_alone && batch_bytes >= KEPT_BYTES_MIN && !wastes(self.frame.capacity(), batch_bytes)
    }

    /// What keeping a batch takes of the memory.
    pub(crate) fn cost(&self, at: &Range<usize>) -> usize {
        if self.keeps_frame(at.len()) { self.frame.capacity() } else { at.len() }
    }

    /// The batch, to be kept. The frame may be gone afterwards.
    pub(crate) fn keep(&mut self, at: Range<usize>) -> Kept {
        if self.keeps_frame(at.len()) {
            return Kept { bytes: std::mem::take(self.frame), at };
        }
        self.bytes(&at).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![9; 100];
        make_room(&mut frame, length, 1 << 20);
        frame.extend((0..length).map(|n| n as u8));
        frame
    }

    #[test]
    fn a_frame_that_is_hardly_more_than_one_batch_is_kept_and_paid_for_as_it_is() {
        let mut frame = frame(100_000);
        let (held, place) = (frame.capacity(), frame.as_ptr());
        let at = 90..99_990;
        let mut received = Received::new(&mut frame, true);
        assert_eq!(received.cost(&at), held);
        let mut kept = received.keep(at);
        kept.bytes_mut()[0] = 77;
        assert_eq!((kept.bytes().len(), kept.bytes()[0], kept.bytes()[1]), (99_900, 77, 91));
        assert_eq!(kept.bytes().as_ptr(), place.wrapping_add(90), "it lies where it lay");
        assert!(frame.is_empty() && frame.capacity() == 0);
    }

    #[test]
    fn of_other_frames_the_batch_is_copied_and_the_frame_is_used_again() {
        // One of several, one that leaves much over, a small one.
        for (length, at, is_alone) in
            [(100_000, 90..99_990, false), (100_000, 90..60_000, true), (9_000, 90..8_990, true)]
        {
            let mut frame = frame(length);
            let mut received = Received::new(&mut frame, is_alone);
            assert_eq!(received.cost(&at), at.len());
            let kept = received.keep(at.clone());
            assert_eq!(kept.bytes(), &frame[at]);
            assert_eq!(frame.len(), length);
        }
    }

    #[test]
    fn a_large_frame_gets_memory_of_its_size_whatever_was_there_and_a_small_one_what_was_there() {
        let mut frame = Vec::with_capacity(4 << 20);
        make_room(&mut frame, 500_000, 1 << 20);
        assert!((500_000..510_000).contains(&frame.capacity()), "{}", frame.capacity());
        let place = frame.as_ptr();
        make_room(&mut frame, 500, 1 << 20);
        make_room(&mut frame, 490_000, 1 << 20);
        assert_eq!(frame.as_ptr(), place);
        make_room(&mut frame, 90 << 20, 1 << 20);
        assert!(frame.capacity() < 2 << 20, "on its word alone no more than that");
    }
}
