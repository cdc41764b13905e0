//! Some records of one partition: their bytes in one piece, where each lies, and the words of their keys.
//!
//! Key, value and headers are kept as they stand in the batch. Of a batch that is not compressed, everything from the first to
//! the last record that is wanted is copied at once, with what stands between them; a block so outlives its window, and lies
//! close together, at next to no cost for a record.

use super::inputs::Next;
use crate::batch::{RawRecord, Record};
use crate::jobs::cursor::size;
use crate::jobs::error::JobError;
use std::cmp::Ordering;
use std::ops::Range;

/// Some records of one partition, in offset order.
#[derive(Debug, Default)]
pub(super) struct Block {
    spans: Vec<Span>,
    /// (index, offset) wherever an offset does not follow the one before it: the first record, and behind each gap.
    steps: Vec<(u32, i64)>,
    /// The offset that would follow the last record without a gap.
    follows: i64,
    /// Where the records lie.
    bytes: Vec<u8>,
    /// Of the batch being read, what is still to be copied behind these bytes; its records' spans count on that.
    owed: Range<usize>,
    /// Keys and values of the records.
    payload_bytes: u64,
    /// The first eight bytes of each key that could be read and does not run backwards.
    words: Vec<u64>,
    /// The bytes of each key after its first eight, all behind each other.
    tails: Vec<u8>,
    /// Where each key's tail ends; empty as long as no key has one.
    tail_ends: Vec<usize>,
    /// What is wrong with the last record.
    pub(super) flaw: Option<JobError>,
}

/// Where a record's key, value and headers lie, and when it was written.
#[derive(Debug, Clone, Copy)]
struct Span {
    timestamp: i64,
    end: u32,
    len: u32,
}

/// Compares keys, each by its first eight bytes and the rest. Where there is none it is not asked for: comparing no bytes at all
/// is what `memcmp` is slowest at, as it loads from an address that is none.
#[inline(always)]
pub(super) fn compare(a: (u64, &[u8]), b: (u64, &[u8])) -> Ordering {
    match a.0.cmp(&b.0) {
        Ordering::Equal if !(a.1.is_empty() && b.1.is_empty()) => a.1.cmp(b.1),
        order => order,
    }
}

impl Block {
    /// What a record takes beside its bytes: here, and with those of the other sources where they are put in order (one of
    /// two blocks is, at a time, but sorting needs room as well).
    pub(super) const RECORD_BYTES: usize =
        size_of::<Span>() + size_of::<(u32, i64)>() + size_of::<u64>() + size_of::<usize>() + size_of::<Next>();

    /// The most that a block may be told to hold: a batch may come beyond that, and all of it lies below the places of a span.
    pub(super) const BYTES_MAX: usize = 1 << 30;

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// How many bytes they and their keys take.
    #[inline(always)]
    pub(super) fn bytes(&self) -> usize {
        (self.bytes.len() + self.owed.len()).max(self.tails.len())
    }

    /// Keys and values of the records.
    pub(super) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// How many records, from the first on, are in order.
    pub(super) fn ordered(&self) -> usize {
        self.words.len()
    }

    /// The key of a record that is in order: its first eight bytes, and the rest.
    #[inline]
    pub(super) fn key(&self, index: usize) -> (u64, &[u8]) {
        (self.words[index], self.tail(index))
    }

    /// The first eight bytes of each key.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether any key is longer than that.
    pub(super) fn has_tails(&self) -> bool {
        !self.tail_ends.is_empty()
    }

    fn tail(&self, index: usize) -> &[u8] {
        let Some(&end) = self.tail_ends.get(index) else { return &[] };
        &self.tails[if index == 0 { 0 } else { self.tail_ends[index - 1] }..end]
    }

    /// A record's timestamp and bytes.
    #[inline(always)]
    pub(super) fn raw(&self, index: usize) -> (i64, &[u8]) {
        let Span { timestamp, end, len } = self.spans[index];
        (timestamp, &self.bytes[(end - len) as usize..end as usize])
    }

    /// A record, to be looked at. `None` beyond the last.
    pub(super) fn record(&self, index: usize) -> Option<Record<'_>> {
        let (first, offset) = *self.steps[..self.steps.partition_point(|step| step.0 as usize <= index)].last()?;
        let (timestamp, raw) = (index < self.len()).then(|| self.raw(index))?;
        // It was read from these very bytes before.
        Record::from_raw(offset + (index as i64 - i64::from(first)), timestamp, raw).ok()
    }

    /// Forgets everything but the buffers, and of these what a huge record took.
    pub(super) fn clear(&mut self, keep_bytes: usize) {
        for bytes in [&mut self.bytes, &mut self.tails] {
            bytes.clear();
            if bytes.capacity() > keep_bytes {
                *bytes = Vec::new();
            }
        }
        self.spans.clear();
        self.steps.clear();
        self.owed = 0..0;
        self.payload_bytes = 0;
        self.words.clear();
        self.tail_ends.clear();
        self.flaw = None;
    }

    /// Adds a record, whose bytes are not there before its batch was [left](Self::leave).
    #[inline(always)]
    pub(super) fn push(&mut self, found: &RawRecord<'_>) {
        let Record { offset, timestamp, .. } = found.record;
        if offset != self.follows || self.spans.is_empty() {
            self.steps.push((self.spans.len() as u32, offset));
        }
        self.follows = offset + 1;
        self.payload_bytes += size(&found.record);
        let end = match found.end {
            Some(end) => {
                if self.owed.is_empty() {
                    self.owed.start = end - found.raw.len();
                }
                self.owed.end = end;
                self.bytes.len() + self.owed.len()
            }
            None => {
                self.bytes.extend_from_slice(found.raw);
                self.bytes.len()
            }
        };
        self.spans.push(Span { timestamp, end: end as u32, len: found.raw.len() as u32 });
    }

    /// Reading in `batch` stops: what its records need of it is copied.
    pub(super) fn leave(&mut self, batch: &[u8]) {
        let owed = std::mem::replace(&mut self.owed, 0..0);
        self.bytes.extend_from_slice(&batch[owed]);
    }

    /// Adds the key of the record that was pushed last; it is in order.
    #[inline(always)]
    pub(super) fn push_key(&mut self, word: u64, tail: &[u8]) {
        self.words.push(word);
        if !tail.is_empty() || self.has_tails() {
            self.push_tail(tail);
        }
    }

    fn push_tail(&mut self, tail: &[u8]) {
        // The keys before the first that has one have none.
        self.tail_ends.resize(self.words.len() - 1, 0);
        self.tails.extend_from_slice(tail);
        self.tail_ends.push(self.tails.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, BatchWriter, Codec, Headers, RecordReader};
    use std::ops::ControlFlow;

    #[test]
    fn what_is_copied_is_what_was_there_with_gaps_and_skipped_beginnings_and_between_compressed_batches() {
        let mut reader = RecordReader::new(1 << 20);
        for skipped in 0..8 {
            let (mut block, mut there) = (Block::default(), Vec::new());
            for (number, codec) in [Codec::None, Codec::Lz4, Codec::None, Codec::None].into_iter().enumerate() {
                let mut writer = BatchWriter::new(codec);
                writer.base_offset(100 * number as i64);
                for record in 0..10_i64 {
                    writer.skip_offsets(u32::from(record % 4 == 3)).unwrap();
                    let value = format!("{number}, {}", "v".repeat(record as usize));
                    writer.push(record - 5, None, Some(value.as_bytes()), Headers::EMPTY).unwrap();
                }
                let bytes = writer.finish().unwrap().to_vec();
                let batch = Batch::read(&bytes).unwrap();
                reader.start(&batch).unwrap();
                let mut left = skipped;
                let all = reader.each(&bytes, |found| {
                    if left > 0 {
                        left -= 1;
                    } else {
                        block.push(found);
                        let Record { offset, timestamp, value, .. } = found.record;
                        there.push((offset, timestamp, value.unwrap_or_default().to_vec()));
                    }
                    ControlFlow::<()>::Continue(())
                });
                assert_eq!(all, Ok(None));
                block.leave(&bytes);
            }
            let copied = (0..)
                .map_while(|index| block.record(index))
                .map(|record| (record.offset, record.timestamp, record.value.unwrap_or_default().to_vec()));
            assert_eq!(copied.collect::<Vec<_>>(), there, "{skipped}");
            assert_eq!(block.len(), there.len());
            block.clear(0);
            assert_eq!((block.len(), block.record(0)), (0, None));
        }
    }
}
