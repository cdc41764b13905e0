//! Records copied into a batch one after the other, as a merge does it with nearly all of them.
//!
//! [`super::BatchWriter::push_raw`] asks of each record whether its writer was closed, whether the buffer has room and whether a
//! counter is full, and keeps its state in memory. Here all of that is one number, computed before: how far the batch may
//! grow. State lives in registers until the stretch ends, the head of a record is two words stored whole, and what is short
//! is copied as one block, beyond its end where there are bytes to be read and to be overwritten.
//!
//! A stretch takes what is common and leaves the rest to the writer: the first record of a batch, a buffer that must grow, and
//! anything whose numbers are unusually long. So it never decides what an error is, and writes the same bytes.

use super::out::Out;
use super::varint::{word, zigzag};
use std::ops::Range;

/// What is copied whole, whatever is needed of it.
const BLOCK_BYTES: usize = 32;
/// What may be written behind the end of a record's key, value and headers as they are without a head.
const AHEAD_BYTES: usize = 64;
/// A record's head in two words: its length and attributes, then its distances in time and offset.
const HEAD_BYTES_MAX: usize = 4 + size_of::<u64>();
const _: () = assert!(HEAD_BYTES_MAX + BLOCK_BYTES <= AHEAD_BYTES);

/// What a number of three bytes, and of five, stays below.
const IN_THREE_BYTES: u64 = 1 << 21;
const IN_FIVE_BYTES: u64 = 1 << 35;

/// Where a writer keeps what a stretch goes on counting.
pub(super) struct Counts<'a> {
    pub(super) record_count: &'a mut i32,
    pub(super) next_delta: &'a mut i32,
    pub(super) max_timestamp: &'a mut i64,
}

/// Records being added to a batch that has some; see [`super::BatchWriter::stretch`]. What was added counts when it is dropped.
pub struct Stretch<'a> {
    out: &'a mut Out,
    counts: Counts<'a>,
    /// The end of the batch without its next record's head stays at or below this; nothing is added at 0.
    limit: usize,
    end: usize,
    next_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl<'a> Stretch<'a> {
    /// A stretch that lets `out` grow to `limit`, but for the head of the last record, and no further than its buffer.
    pub(super) fn new(out: &'a mut Out, counts: Counts<'a>, base_timestamp: i64, limit: usize) -> Self {
        let limit = limit.min(out.buffer_mut().len().saturating_sub(AHEAD_BYTES));
        // No record is without a byte, so offsets cannot run out before the limit is met.
        let counted = usize::try_from(*counts.next_delta).unwrap_or(usize::MAX);
        let limit =
            if *counts.record_count > 0 && counted.saturating_add(limit) < i32::MAX as usize { limit } else { 0 };
        let (end, next_delta, max_timestamp) = (out.len(), *counts.next_delta, *counts.max_timestamp);
        Self { out, counts, limit, end, next_delta, base_timestamp, max_timestamp }
    }

    /// Adds a record whose key, value and headers are `raw` of `bytes`. `false` if nothing was added: then the record is one
    /// for [`super::BatchWriter::push_raw`], or the limit would be passed.
    #[inline(always)]
    pub fn push(&mut self, timestamp: i64, bytes: &[u8], raw: Range<usize>) -> bool {
        let Some(from) = bytes.get(raw.clone()) else { return false };
        let timestamp_delta = zigzag(timestamp.wrapping_sub(self.base_timestamp));
        let offset_delta = zigzag(self.next_delta.into());
        if self.end + from.len() > self.limit || timestamp_delta >= IN_FIVE_BYTES || offset_delta >= IN_THREE_BYTES {
            return false;
        }
        let (distances, time_bytes) = word(timestamp_delta);
        let (offset_word, offset_bytes) = word(offset_delta);
        let distances_bytes = time_bytes + offset_bytes;
        let body = zigzag((1 + distances_bytes + from.len()) as i64);
        if body >= IN_THREE_BYTES {
            return false;
        }
        let (length, length_bytes) = word(body);
        let head_bytes = length_bytes + 1 + distances_bytes;
        let into = &mut self.out.buffer_mut()[self.end..][..from.len() + AHEAD_BYTES];

        // Attributes are the zero behind the length.
        into[..8].copy_from_slice(&length.to_le_bytes());
        let distances = distances | offset_word << (8 * time_bytes);
        into[length_bytes + 1..][..8].copy_from_slice(&distances.to_le_bytes());
        match bytes.get(raw.start..raw.start + BLOCK_BYTES) {
            Some(block) if from.len() <= BLOCK_BYTES => into[head_bytes..][..BLOCK_BYTES].copy_from_slice(block),
            _ => into[head_bytes..][..from.len()].copy_from_slice(from),
        }
        self.end += head_bytes + from.len();
        self.next_delta += 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        true
    }
}

impl Drop for Stretch<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.out.advance(self.end - self.out.len());
        *self.counts.record_count += self.next_delta - *self.counts.next_delta;
        *self.counts.next_delta = self.next_delta;
        *self.counts.max_timestamp = self.max_timestamp;
    }
}
