//! Records that go from one batch into another one as one block, their heads with them: the whole of a batch at best.
//!
//! What stands before a record's key says how far it is from its batch's first offset and time. Where these distances are the same
//! in both batches, so is every byte. That is so if this batch holds as many records as lie before the block in the other one, and
//! both count their time from the same moment: a batch that begins with another one's first record, and goes on with its second.
//! Then nothing is decided record by record, and what it costs is the copying of bytes.
//!
//! The header is the writer's own: offset, producer, flags, counts, times and checksum are those of this batch. Numbers before a key
//! that were written longer than they need be, which readers take, stay so, as those in keys, values and headers always do; and so
//! does a record's byte of attributes, which means nothing yet.

use super::{BATCH_BYTES_MAX, BatchWriter};

/// Records that follow each other in another batch, which must be whole: offset deltas that count up by one.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// How far the first one is from that batch's first offset.
    pub first_delta: i32,
    /// What that batch's times count from; the time of its first record.
    pub base_timestamp: i64,
    /// How many there are.
    pub records: usize,
    /// The largest of their times.
    pub max_timestamp: i64,
    /// The records, from the length of the first one on.
    pub bytes: &'a [u8],
}

impl BatchWriter {
    /// Whether a record that is so far from the first offset of its batch, whose times count from `base_timestamp`, would have the
    /// same distances here if it were the next one.
    #[inline]
    pub fn is_same_distance(&self, delta: i32, base_timestamp: i64) -> bool {
        if self.is_empty() {
            // After offsets that were left out, or with a horizon, distances are others.
            return delta == 0 && (self.finished || self.next_delta == 0) && self.delete_horizon.is_none();
        }
        delta == self.next_delta && self.record_count == delta && base_timestamp == self.base_timestamp
    }

    /// Appends the records of a block; `false` if it is not at the [same distance](Self::is_same_distance), or there is no room
    /// in any batch: then nothing was appended, and its records may be one by one.
    pub fn push_block(&mut self, block: &Block<'_>) -> bool {
        let Block { first_delta, base_timestamp, records, max_timestamp, bytes } = *block;
        let end = i32::try_from(records).ok().and_then(|records| first_delta.checked_add(records));
        let (Some(end), true) = (end, records > 0 && self.is_same_distance(first_delta, base_timestamp)) else {
            return false;
        };
        if self.bytes().saturating_add(bytes.len()) > BATCH_BYTES_MAX {
            return false;
        }
        self.begin();
        self.plain.ahead(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.plain.advance(bytes.len());
        self.max_timestamp = if first_delta == 0 { max_timestamp } else { self.max_timestamp.max(max_timestamp) };
        self.base_timestamp = base_timestamp;
        (self.record_count, self.next_delta) = (end, end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Batch, Codec, RecordReader};
    use super::*;

    /// Time, key, value.
    type Row = (i64, Option<Vec<u8>>, Vec<u8>);

    fn rows() -> Vec<Row> {
        // Every size of offset and of time, and records of one byte and of some hundred.
        let row = |n: i64| {
            let time = 1_000 + n % 17 * 9 - n % 5 * (1 << (n % 40));
            (time, (n % 3 == 0).then(|| vec![b'k'; n as usize % 90]), vec![b'v'; n as usize % 300])
        };
        let mut rows: Vec<Row> = (0..9_000).map(row).collect();
        // Not in the last block, and not the first record of any.
        rows[3].0 = 1 << 45;
        rows
    }

    fn one_by_one(writer: &mut BatchWriter, rows: &[Row]) {
        for (time, key, value) in rows {
            writer.push_pairs(*time, key.as_deref(), Some(value), &[]).unwrap();
        }
    }

    /// Where each record ends, the header's end first.
    fn ends(batch: &[u8]) -> Vec<usize> {
        let mut reader = RecordReader::new(0);
        reader.start(&Batch::read(batch).unwrap()).unwrap();
        let mut ends = vec![super::super::HEADER_BYTES];
        while let Some(found) = reader.next_raw(batch).unwrap() {
            ends.push(found.end.unwrap());
        }
        ends
    }

    #[test]
    fn blocks_make_the_bytes_that_single_records_do() {
        let rows = rows();
        let mut writer = BatchWriter::new(Codec::None);
        writer.base_offset(70).producer(9, 3, 5);
        one_by_one(&mut writer, &rows);
        let input = writer.finish().unwrap().to_vec();
        let ends = ends(&input);
        let block = |from: usize, to: usize| Block {
            first_delta: from as i32,
            base_timestamp: rows[0].0,
            records: to - from,
            max_timestamp: rows[from..to].iter().map(|row| row.0).max().unwrap(),
            bytes: &input[ends[from]..ends[to]],
        };
        // One after the other by blocks, then one by one, and again by a block where it still may.
        for cuts in [&[9_000][..], &[1, 9_000], &[63, 64, 65, 8_191, 8_193, 9_000], &[16, 5_000]] {
            let (mut expected, mut writer) = (BatchWriter::new(Codec::None), BatchWriter::new(Codec::None));
            one_by_one(&mut expected, &rows);
            // What was there before leaves nothing behind.
            writer.push_raw(1 << 60, &[7; 400]).unwrap();
            writer.finish().unwrap();
            let mut from = 0;
            for cut in cuts {
                assert!(writer.push_block(&block(from, *cut)), "{from}..{cut}");
                from = *cut;
            }
            let single = from.max(8_000)..rows.len();
            if from < single.start {
                one_by_one(&mut writer, &rows[from..single.start]);
                assert!(writer.push_block(&block(single.start, rows.len())), "the distances are the same again");
            }
            assert_eq!(writer.max_timestamp(), expected.max_timestamp());
            assert_eq!(writer.record_count(), rows.len());
            assert!(writer.finish().unwrap() == expected.finish().unwrap(), "{cuts:?}");
        }
    }

    #[test]
    fn a_block_at_another_distance_is_not_taken_and_leaves_everything_as_it_was() {
        let rows = rows();
        let mut writer = BatchWriter::new(Codec::None);
        one_by_one(&mut writer, &rows[..100]);
        let input = writer.finish().unwrap().to_vec();
        let ends = ends(&input);
        let block = Block {
            first_delta: 50,
            base_timestamp: rows[0].0,
            records: 50,
            max_timestamp: rows[50..100].iter().map(|row| row.0).max().unwrap(),
            bytes: &input[ends[50]..ends[100]],
        };
        let mut writer = BatchWriter::new(Codec::None);
        assert!(!writer.push_block(&block), "an empty batch begins with the first record of one");
        let first = Block { first_delta: 0, ..block };
        writer.skip_offsets(3).unwrap();
        assert!(!writer.push_block(&first), "offsets were left out");
        writer.clear();
        writer.delete_horizon(Some(1));
        assert!(!writer.push_block(&first), "times count from elsewhere");
        writer.delete_horizon(None);
        one_by_one(&mut writer, &rows[..50]);
        for wrong in [
            Block { first_delta: 49, ..block },
            Block { first_delta: 51, ..block },
            Block { first_delta: 0, ..block },
            Block { base_timestamp: rows[0].0 + 1, ..block },
            Block { records: 0, bytes: &[], ..block },
            Block { records: i32::MAX as usize, ..block },
        ] {
            assert!(!writer.push_block(&wrong), "{} {}", wrong.first_delta, wrong.records);
        }
        writer.skip_offsets(1).unwrap();
        assert!(!writer.push_block(&block), "an offset was left out");
        writer.clear();
        one_by_one(&mut writer, &rows[..50]);
        assert!(writer.push_block(&block));
        assert!(writer.finish().unwrap() == input);
    }
}
