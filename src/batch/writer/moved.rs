//! Records that move from other batches into this one, many in one loop: what a merge does with nearly all of them.
//!
//! [`BatchWriter::push_raw`] asks of each record whether its writer was closed, whether the buffer has room and whether a
//! counter is full, and keeps its state in memory. Here all of that is the length of one slice, cut before: how far the batch
//! may grow. What changes stays in registers until the last record, the numbers before a record are two words stored whole, and
//! what is short is copied as one block, beyond its end where there are bytes to be read and to be overwritten.
//!
//! The distance in offset is not encoded but counted up as it stands encoded.
//!
//! Taken is what is common; the rest is left to the writer: the first record of a batch, a buffer that must grow, and anything
//! whose numbers are unusually long. So nothing here decides what an error is, and the bytes are the same.

use super::{BATCH_BYTES_MAX, BatchWriter, RECORD_OVERHEAD_MAX};
use crate::batch::counter::Counter;
use crate::batch::varint::{word, zigzag};

/// What is copied whole, whatever is needed of it: of what is short, and of what is long.
const SHORT: usize = 32;
const LONG: usize = 128;
/// What may be written behind the end of a record's key, value and headers as they are without a head.
const AHEAD_BYTES: usize = 16 + LONG;
/// A record's head: its length and attributes, then its distances in time and offset, which are one word.
const HEAD_BYTES_MAX: usize = 5 + 1 + size_of::<u64>();
const _: () = assert!(HEAD_BYTES_MAX < 16);

/// A record that lies in another batch.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// When it was written.
    pub timestamp: i64,
    /// Its key, value and headers, as [`crate::batch::RawRecord::raw`] has them, and whatever lies behind them, the more the better.
    pub from: &'a [u8],
    /// How many bytes of that are its own.
    pub bytes: u32,
}

/// Records in the order in which they are to be written.
pub trait Pieces {
    /// Gives `moving` the next one, which is done with if it says so; `false` if it does not, or there is none.
    fn next(&mut self, moving: &mut Moving<'_>) -> bool;
}

impl BatchWriter {
    /// Adds records as [`Self::push_raw`] does while the batch with a record, but for that one's head, takes no more than
    /// `bytes_max`. Where one is left over, it passes that limit or is one for [`Self::push_raw`].
    #[inline(always)]
    pub fn push_moved(&mut self, bytes_max: usize, pieces: &mut impl Pieces) {
        if self.finished || self.record_count == 0 {
            return;
        }
        let start = self.plain.len();
        let limit = bytes_max.min(BATCH_BYTES_MAX - RECORD_OVERHEAD_MAX).saturating_add(AHEAD_BYTES);
        let Some(out) = self.plain.ahead_to(limit) else { return };
        let Some(offset) = Counter::at(self.next_delta) else { return };
        let before = out.len();
        let mut moving = Moving { out, offset, base: self.base_timestamp, newest: self.max_timestamp, more: true };
        while moving.more && pieces.next(&mut moving) {}
        let Moving { out, offset, newest, .. } = moving;
        let end = start + before - out.len();
        self.plain.advance(end - start);
        self.record_count += offset.value - self.next_delta;
        (self.next_delta, self.max_timestamp) = (offset.value, newest);
    }
}

/// What changes while records move. No closure, because its one method must become a part of each loop that calls it: apart
/// from it, all of this would live in memory.
pub struct Moving<'a> {
    /// How far the batch may grow.
    out: &'a mut [u8],
    offset: Counter,
    base: i64,
    newest: i64,
    more: bool,
}

impl Moving<'_> {
    /// Adds a record; `false` if it is not one to be added here.
    #[inline(always)]
    pub fn add(&mut self, Piece { timestamp, from, bytes }: Piece<'_>) -> bool {
        let bytes = bytes as usize;
        let Some((time, time_bytes)) = word(zigzag(timestamp.wrapping_sub(self.base))) else { return false };
        if bytes + AHEAD_BYTES > self.out.len() {
            return false;
        }
        let Some((length, length_bytes)) = word(2 * (1 + time_bytes + self.offset.bytes + bytes) as u64) else {
            return false;
        };
        let Some(ahead) = self.out.first_chunk_mut::<AHEAD_BYTES>() else { return false };
        // The masks change nothing but what the compiler knows. Attributes are the zero behind the length.
        ahead[..8].copy_from_slice(&length.to_le_bytes());
        let distances = time | self.offset.word << (8 * time_bytes);
        ahead[(length_bytes & 7) + 1..][..8].copy_from_slice(&distances.to_le_bytes());
        let head = (length_bytes + 1 + time_bytes + self.offset.bytes) & 15;
        if bytes <= SHORT
            && let Some(block) = from.first_chunk::<SHORT>()
        {
            put_block(ahead, head, block);
        } else if bytes <= LONG
            && let Some(block) = from.first_chunk::<LONG>()
        {
            put_block(ahead, head, block);
        } else {
            let Some(from) = from.get(..bytes) else { return false };
            self.out[head..][..bytes].copy_from_slice(from);
        }
        self.out = &mut std::mem::take(&mut self.out)[head + bytes..];
        self.newest = self.newest.max(timestamp);
        self.more = self.offset.count();
        true
    }
}

/// Puts `block` at `at` by sixteen bytes each: as one copy it would become a call that the copy of any length takes, too.
#[inline(always)]
fn put_block<const BYTES: usize>(out: &mut [u8; AHEAD_BYTES], at: usize, block: &[u8; BYTES]) {
    let (words, _) = block.as_chunks::<16>();
    for (into, word) in out[at..][..BYTES].chunks_exact_mut(16).zip(words) {
        into.copy_from_slice(&u128::from_le_bytes(*word).to_le_bytes());
    }
}
