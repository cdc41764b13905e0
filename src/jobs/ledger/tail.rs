//! The tail: the records that a job wrote last, as the output must hold them where the job goes on.
//!
//! It is a checksum over the records as they read, not over the bytes of a batch: a broker may put records into other
//! batches, or compress them anew. Timestamps have a sum of their own, because a topic that stamps records itself
//! (LogAppendTime) keeps everything else; there they are not compared.
//!
//! The sum is FNV-1a of 64 bits, over lengths and bytes: it guards against mistakes, not against somebody who means harm.

use crate::base::place::TopicPartition;
use crate::batch::{Batch, BatchError, Batches, Record, RecordReader, TimestampType};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::error::JobError;
use crate::ports::Source as _;
use std::ops::Range;

/// The most that a record may take unfolded to be looked at.
const LOOK_BYTES: usize = 64 << 20;

/// The records that were written last, as the output must hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The offset of the first of them.
    pub(crate) start: i64,
    /// The offset after the last of them.
    pub(crate) end: i64,
    /// How many they are.
    pub(crate) records: u32,
    /// Over their offsets from the start on, keys, values and headers.
    pub(crate) checksum: u64,
    /// Over their timestamps.
    pub(crate) stamps: u64,
}

impl Tail {
    /// The tail that a batch is, once its first offset is `base_offset`.
    pub(crate) fn of_batch(base_offset: i64, batch: &[u8]) -> Result<Self, BatchError> {
        let batch = Batch::read(batch)?;
        let first = batch.header.base_offset;
        let mut sums = Sums::new(first);
        sums.add_batch(&batch, &mut RecordReader::new(LOOK_BYTES), first..i64::MAX)?;
        Ok(Self {
            start: base_offset,
            end: base_offset.saturating_add(sums.next - first),
            records: sums.records,
            checksum: sums.contents.0,
            stamps: sums.stamps.0,
        })
    }
}

/// Whether the output holds a tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TailFound {
    /// It does, record by record.
    There,
    /// It does not: what is there instead, in words.
    Differs(String),
}

/// Looks whether `output` holds these records, committed. What lies behind them is not looked at.
pub(crate) async fn tail_is_there(
    cluster: &Cluster,
    output: &TopicPartition,
    tail: &Tail,
) -> Result<TailFound, JobError> {
    let asked = std::slice::from_ref(output);
    // The end first: a log that begins later than it ended is none.
    let end = cluster.offsets(asked, OffsetAt::LastStable).await?.first().copied().unwrap_or(0);
    let start = cluster.offsets(asked, OffsetAt::Earliest).await?.first().copied().unwrap_or(0);
    if let Some(differs) = tail.outside(start..end) {
        return Ok(TailFound::Differs(differs));
    }
    // A window for the usual batch; a larger one comes whole.
    let mut reader = cluster.reader(output.clone(), tail.start..tail.end, ReadOptions::default());
    let (mut window, mut records) = (Vec::new(), RecordReader::new(LOOK_BYTES));
    let mut sums = Sums::new(tail.start);
    while reader.next(&mut window).await?.is_some() {
        for batch in Batches::new(&window) {
            let next = sums.next;
            batch
                .and_then(|batch| sums.add_batch(&batch, &mut records, tail.start..tail.end))
                .map_err(|error| JobError::Batch { at: output.at(next), error })?;
        }
    }
    Ok(tail.compare(&sums))
}

impl Tail {
    /// What keeps a log of this range from holding it.
    fn outside(&self, log: Range<i64>) -> Option<String> {
        if self.end > log.end {
            return Some(format!("the log ends at offset {}", log.end));
        }
        if self.start < log.start {
            return Some(format!("the log begins at offset {}", log.start));
        }
        None
    }

    fn compare(&self, sums: &Sums) -> TailFound {
        let Self { start, end, .. } = self;
        if sums.records != self.records {
            return TailFound::Differs(format!("offsets {start} to {} hold {} records", end - 1, sums.records));
        }
        if sums.contents.0 != self.checksum {
            return TailFound::Differs(format!("the records from offset {start} to {} are others", end - 1));
        }
        if sums.stamps.0 != self.stamps && !sums.stamped_by_broker {
            return TailFound::Differs(format!("the records from offset {start} to {} have other timestamps", end - 1));
        }
        TailFound::There
    }
}

/// What is summed up over records.
struct Sums {
    /// Offsets count from here.
    start: i64,
    /// The offset after the last record.
    next: i64,
    records: u32,
    contents: Fnv,
    stamps: Fnv,
    stamped_by_broker: bool,
}

impl Sums {
    fn new(start: i64) -> Self {
        Self { start, next: start, records: 0, contents: Fnv::EMPTY, stamps: Fnv::EMPTY, stamped_by_broker: false }
    }

    /// Adds the records of a batch whose offsets lie in `range`.
    fn add_batch(&mut self, batch: &Batch<'_>, reader: &mut RecordReader, range: Range<i64>) -> Result<(), BatchError> {
        self.stamped_by_broker |= batch.header.timestamp_type() == TimestampType::LogAppend;
        reader.start(batch)?;
        while let Some(record) = reader.next(batch)? {
            if range.contains(&record.offset) {
                self.add(&record);
            }
        }
        Ok(())
    }

    fn add(&mut self, record: &Record<'_>) {
        self.next = record.offset.saturating_add(1);
        self.records = self.records.saturating_add(1);
        self.contents.number(record.offset.wrapping_sub(self.start));
        self.contents.bytes(record.key);
        self.contents.bytes(record.value);
        self.contents.number(record.headers.len() as i64);
        for header in record.headers.iter() {
            self.contents.bytes(Some(header.key));
            self.contents.bytes(header.value);
        }
        self.stamps.number(record.timestamp);
    }
}

/// FNV-1a of 64 bits. Its values are stored: it must not change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fnv(pub(super) u64);

impl Fnv {
    pub(super) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn number(&mut self, number: i64) {
        self.raw(&number.to_be_bytes());
    }

    /// The length first, so that no two sequences of fields are the same bytes; null has a length that nothing else has.
    fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.number(bytes.map_or(-1, |bytes| bytes.len() as i64));
        self.raw(bytes.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchMut, BatchWriter, Codec};

    type Pairs<'a> = &'a [(&'a [u8], Option<&'a [u8]>)];
    type Parts<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>, Pairs<'a>);

    fn batch(codec: Codec, records: &[Parts<'_>]) -> Vec<u8> {
        let mut writer = BatchWriter::new(codec);
        for (timestamp, key, value, headers) in records {
            writer.push_pairs(*timestamp, *key, *value, headers).unwrap();
        }
        writer.finish().unwrap().to_vec()
    }

    const RECORDS: &[Parts<'_>] =
        &[(7, None, Some(b"1"), &[]), (8, Some(b"k"), None, &[(b"h", Some(b"")), (b"h", None)]), (9, None, None, &[])];

    #[test]
    fn the_sum_of_an_empty_text_and_of_a_letter_are_those_of_fnv_1a() {
        let mut sum = Fnv::EMPTY;
        assert_eq!(sum.0, 0xcbf2_9ce4_8422_2325);
        sum.raw(b"a");
        assert_eq!(sum.0, 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn a_tail_is_the_same_however_its_batch_is_compressed_and_wherever_it_landed() {
        let plain = Tail::of_batch(100, &batch(Codec::None, RECORDS)).unwrap();
        assert_eq!((plain.start, plain.end, plain.records), (100, 103, 3));
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            assert_eq!(Tail::of_batch(100, &batch(codec, RECORDS)).unwrap(), plain, "{codec}");
        }
        let mut landed = batch(Codec::None, RECORDS);
        BatchMut::new(&mut landed).unwrap().set_base_offset(100);
        assert_eq!(Tail::of_batch(100, &landed).unwrap(), plain);
    }

    #[test]
    fn whatever_differs_in_a_record_differs_in_the_tail() {
        let tail = |records: &[Parts<'_>]| Tail::of_batch(0, &batch(Codec::None, records)).unwrap();
        let base: &[Parts<'_>] = &[(7, Some(b"k"), Some(b"v"), &[(b"h", Some(b"x"))])];
        let others: &[&[Parts<'_>]] = &[
            &[(8, Some(b"k"), Some(b"v"), &[(b"h", Some(b"x"))])],
            &[(7, None, Some(b"v"), &[(b"h", Some(b"x"))])],
            &[(7, Some(b""), Some(b"v"), &[(b"h", Some(b"x"))])],
            &[(7, Some(b"kv"), Some(b""), &[(b"h", Some(b"x"))])],
            &[(7, Some(b"k"), None, &[(b"h", Some(b"x"))])],
            &[(7, Some(b"k"), Some(b"v"), &[])],
            &[(7, Some(b"k"), Some(b"v"), &[(b"h", None)])],
            &[(7, Some(b"k"), Some(b"v"), &[(b"h", Some(b"x")), (b"h", Some(b"x"))])],
            &[(7, Some(b"k"), Some(b"v"), &[(b"h", Some(b"x"))]), (7, None, None, &[])],
        ];
        let mut seen = vec![tail(base)];
        for other in others {
            let other = tail(other);
            assert!(!seen.iter().any(|one| (one.checksum, one.stamps) == (other.checksum, other.stamps)), "{other:?}");
            seen.push(other);
        }
    }

    #[test]
    fn a_broken_batch_has_no_tail() {
        let mut broken = batch(Codec::None, RECORDS);
        broken.truncate(broken.len() - 1);
        assert!(Tail::of_batch(0, &broken).is_err());
    }

    #[test]
    fn a_tail_that_the_log_cannot_hold_is_not_looked_for() {
        let tail = Tail::of_batch(100, &batch(Codec::None, RECORDS)).unwrap();
        assert_eq!(tail.outside(0..102), Some("the log ends at offset 102".to_owned()));
        assert_eq!(tail.outside(101..200), Some("the log begins at offset 101".to_owned()));
        assert_eq!(tail.outside(100..103), None);
    }
}
