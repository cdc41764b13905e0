//! Records that move from other batches into this one, many in one loop: what a merge does with nearly all of them.
//!
//! [`BatchWriter::push_raw`] asks of each record whether its writer was closed, whether the buffer has room and whether a
//! counter is full, and keeps its state in memory. Here all of that is the length of one slice, cut before: how far the batch
//! may grow. What changes stays in registers until the last record, the numbers before a record are two words stored whole, and
//! what is short is copied as one block, beyond its end where there are bytes to be read and to be overwritten.
//!
//! The distance in offset is not encoded but counted up as it stands encoded: the marks that say that more bytes follow are
//! put back after each addition, which carries through them.
//!
//! Taken is what is common; the rest is left to the writer: the first record of a batch, a buffer that must grow, and anything
//! whose numbers are unusually long. So nothing here decides what an error is, and the bytes are the same.

use super::{BATCH_BYTES_MAX, BatchWriter, RECORD_OVERHEAD_MAX};
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
    /// Gives `write` the next one, which is done with if it says so; `false` if it does not, or there is none.
    fn next(&mut self, write: impl FnOnce(Piece<'_>) -> bool) -> bool;
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
        let Some(room) = self.plain.ahead_to(limit) else { return };
        let Some(mut offset) = Counter::at(self.next_delta) else { return };
        let (base, mut newest) = (self.base_timestamp, self.max_timestamp);
        let before = room.len();
        let mut out = room;
        let mut more = true;
        while more
            && pieces.next(|Piece { timestamp, from, bytes }| {
                let bytes = bytes as usize;
                let Some((time, time_bytes)) = word(zigzag(timestamp.wrapping_sub(base))) else { return false };
                if bytes + AHEAD_BYTES > out.len() {
                    return false;
                }
                let Some((length, length_bytes)) = word(2 * (1 + time_bytes + offset.bytes + bytes) as u64) else {
                    return false;
                };
                let Some(ahead) = out.first_chunk_mut::<AHEAD_BYTES>() else { return false };
                // The masks change nothing but what the compiler knows. Attributes are the zero behind the length.
                ahead[..8].copy_from_slice(&length.to_le_bytes());
                let distances = time | offset.word << (8 * time_bytes);
                ahead[(length_bytes & 7) + 1..][..8].copy_from_slice(&distances.to_le_bytes());
                let head = (length_bytes + 1 + time_bytes + offset.bytes) & 15;
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
                    out[head..][..bytes].copy_from_slice(from);
                }
                out = &mut std::mem::take(&mut out)[head + bytes..];
                newest = newest.max(timestamp);
                more = offset.count();
                true
            })
        {}
        let end = start + before - out.len();
        self.plain.advance(end - start);
        self.record_count += offset.value - self.next_delta;
        (self.next_delta, self.max_timestamp) = (offset.value, newest);
    }
}

/// A number that counts up as it stands encoded, in three bytes at most.
struct Counter {
    value: i32,
    word: u64,
    bytes: usize,
    /// The marks that more bytes follow.
    more: u64,
    /// The mark that would say that one byte more is needed.
    over: u64,
}

impl Counter {
    fn at(value: i32) -> Option<Self> {
        let (word, bytes) = word(zigzag(value.into())).filter(|(_, bytes)| *bytes <= 3)?;
        let over = 0x80 << (8 * (bytes - 1));
        Some(Self { value, word, bytes, more: 0x80_8080 & (over - 1), over })
    }

    /// Goes to the next number; `false` if that takes more than three bytes.
    #[inline(always)]
    fn count(&mut self) -> bool {
        self.value += 1;
        self.word = (self.word + 2) | self.more;
        if self.word & self.over == 0 {
            return true;
        }
        match Self::at(self.value) {
            Some(longer) => *self = longer,
            None => return false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_as_each_number_is_written_and_ends_behind_three_bytes() {
        let mut counter = Counter::at(0).unwrap();
        let mut value = 0;
        loop {
            assert_eq!(Some((counter.word, counter.bytes)), word(zigzag(value)), "{value}");
            value += 1;
            if !counter.count() {
                break;
            }
            assert_eq!(i64::from(counter.value), value);
        }
        assert_eq!((value, i64::from(counter.value)), (1 << 20, value));
        assert!(Counter::at(1 << 20).is_none());
        for begun in [0, 5, 63, 64, 8_191, 8_192, (1 << 20) - 1] {
            let counter = Counter::at(begun).unwrap();
            assert_eq!(Some((counter.word, counter.bytes)), word(zigzag(begun.into())), "{begun}");
        }
    }
}
