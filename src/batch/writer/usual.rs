//! A record that is a usual one, appended by a few stores.
//!
//! [`BatchWriter::push_record`] takes numbers of any length, so it first asks how long each is and then puts it together byte by
//! byte. Here none takes more than three bytes: each is made once, as a word that is stored whole, and the next one overwrites
//! what was too much of it. Whether there is room, and whether the batch stays within its limit, is one comparison.
//!
//! Taken is what is common; the rest is left as it was: the first record of a batch, one with headers, a buffer that must grow,
//! numbers that are longer. So nothing here decides what an error is, and the bytes are the same.

use super::{BATCH_BYTES_MAX, BatchWriter, copy};
use crate::batch::varint::{word, zigzag};

/// What takes three bytes at most, as zigzag leaves it.
const SHORT_END: u64 = 1 << 21;
/// What a record takes beside its key and value, at most, and what is overwritten behind its end.
const HEAD_BYTES: usize = 32;
/// Keys and values together are shorter, so that the record's length is a short number, too.
const BYTES_END: usize = (SHORT_END / 2) as usize - HEAD_BYTES;
/// Length, attributes, time, offset, the key's length and the value's, of which the last one is stored as eight bytes; the count
/// of headers stands within those.
const _: () = assert!(3 + 1 + 3 + 3 + 3 + 8 <= HEAD_BYTES);

impl BatchWriter {
    /// Appends a record without headers as [`Self::push`] does. `None` if it is not a usual one; then nothing was appended.
    #[inline(always)]
    pub(super) fn push_usual(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<()> {
        if self.finished || self.record_count == 0 {
            return None;
        }
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let room = self.plain.ahead_to(BATCH_BYTES_MAX)?;
        if bytes >= BYTES_END || bytes + HEAD_BYTES > room.len() {
            return None;
        }
        let (time, time_bytes) = short(zigzag(timestamp.wrapping_sub(self.base_timestamp)))?;
        let (offset, offset_bytes) = short(zigzag(self.next_delta.into()))?;
        let (key_len, key_len_bytes) = short(length(key))?;
        let (value_len, value_len_bytes) = short(length(value))?;
        let body = 1 + time_bytes + offset_bytes + key_len_bytes + value_len_bytes + bytes + 1;
        let (length, length_bytes) = short(2 * body as u64)?;

        let head = room.first_chunk_mut::<HEAD_BYTES>()?;
        // The masks change nothing but what the compiler knows. Attributes are the zero behind the length.
        head[..8].copy_from_slice(&length.to_le_bytes());
        let distances = time | offset << (8 * time_bytes);
        head[(length_bytes & 7) + 1..][..8].copy_from_slice(&distances.to_le_bytes());
        let mut at = (length_bytes + 1 + time_bytes + offset_bytes) & 15;
        head[at..][..8].copy_from_slice(&key_len.to_le_bytes());
        at += key_len_bytes;
        if let Some(key) = key {
            at = copy(room, at, key);
        }
        room[at..][..8].copy_from_slice(&value_len.to_le_bytes());
        at += value_len_bytes;
        if let Some(value) = value {
            at = copy(room, at, value);
        }
        // No headers.
        room[at] = 0;
        self.plain.advance(at + 1);

        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.record_count += 1;
        self.next_delta += 1;
        Some(())
    }
}

/// The length of bytes, or that there are none, as zigzag leaves it.
#[inline(always)]
fn length(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(1, |bytes| 2 * bytes.len() as u64)
}

/// A number as it is written, and how many bytes that takes: three at most.
#[inline(always)]
fn short(raw: u64) -> Option<(u64, usize)> {
    if raw < SHORT_END { word(raw) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Codec, Headers};

    /// Offsets left out before it, when, key and value.
    type Pushed<'a> = (u32, i64, Option<&'a [u8]>, Option<&'a [u8]>);

    /// The same records by the short way and by the long one, which those with pairs go: the batches, and how many went the short one.
    fn both_ways(records: &[Pushed<'_>]) -> usize {
        let (mut usual, mut any) = (BatchWriter::new(Codec::None), BatchWriter::new(Codec::None));
        let mut short = 0;
        for &(skipped, timestamp, key, value) in records {
            for writer in [&mut usual, &mut any] {
                writer.skip_offsets(skipped).unwrap();
            }
            match usual.push_usual(timestamp, key, value) {
                Some(()) => short += 1,
                None => usual.push(timestamp, key, value, Headers::EMPTY).unwrap(),
            }
            any.push_pairs(timestamp, key, value, &[]).unwrap();
            assert_eq!((usual.bytes(), usual.record_count()), (any.bytes(), any.record_count()));
        }
        assert_eq!(usual.max_timestamp(), any.max_timestamp());
        assert!(usual.finish().unwrap() == any.finish().unwrap(), "the batches differ");
        short
    }

    #[test]
    fn keys_and_values_of_all_lengths_and_none_are_written_the_same_both_ways() {
        let bytes: Vec<u8> = (0..BYTES_END).map(|at| (at % 251) as u8).collect();
        let lengths = (0..80).chain([126, 127, 128, 8_190, 8_191, 8_192, BYTES_END - 81, BYTES_END]);
        let fields: Vec<Option<&[u8]>> = lengths.map(|length| bytes.get(..length)).chain([None]).collect();
        for &key in fields.iter().filter(|key| key.is_none_or(|key| key.len() < 200)) {
            let records: Vec<_> = fields.iter().flat_map(|&value| [(0, 5, key, value), (0, 4, value, key)]).collect();
            let short = both_ways(&records);
            assert!(short > records.len() / 2 && short < records.len(), "{short} of {}", records.len());
        }
    }

    #[test]
    fn distances_in_time_and_offset_of_all_lengths_are_written_the_same_both_ways() {
        for bits in 0..31 {
            for skipped in [(1u32 << bits) - 1, 1 << bits] {
                for time in [i64::MIN, -(1 << bits), -1, 0, 1, (1 << bits) - 1, 1 << bits, i64::MAX] {
                    let record = |skipped, time| (skipped, time, None, Some(&b"some value"[..]));
                    let short = both_ways(&[record(0, 7), record(skipped.min(1 << 30), time), record(0, 7)]);
                    let distance_is_short = |distance: i64| (-(1 << 20)..1 << 20).contains(&distance);
                    let offsets_are_short = (skipped < (1 << 20) - 1, skipped < (1 << 20) - 2);
                    let time_is_short = distance_is_short(time.wrapping_sub(7));
                    let expected = usize::from(offsets_are_short.0 && time_is_short) + usize::from(offsets_are_short.1);
                    // A buffer that must grow is one more that goes the long way.
                    assert!(short == expected || short + 1 == expected, "{short}, not {expected}: {skipped}, {time}");
                }
            }
        }
    }

    #[test]
    fn what_is_closed_or_cleared_is_not_added_to_by_the_short_way() {
        let mut writer = BatchWriter::new(Codec::None);
        assert_eq!(writer.push_usual(1, None, None), None, "the first one");
        writer.push(1, None, None, Headers::EMPTY).unwrap();
        assert_eq!(writer.push_usual(1, None, None), Some(()));
        assert_eq!(writer.record_count(), 2);
        writer.finish().unwrap();
        assert_eq!(writer.push_usual(1, None, None), None);
        writer.clear();
        assert_eq!(writer.push_usual(1, None, None), None);
        assert!(writer.is_empty());
    }
}
