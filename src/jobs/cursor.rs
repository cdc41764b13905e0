//! The records of one partition, one after the other, whatever stands behind its [`Source`].
//!
//! A cursor holds one stretch of fetched batches and the reader's window, and nothing else: its memory is what the source
//! fetches at once and what the window may take, however long the partition is. Records before and after the pinned range
//! are skipped (a batch is fetched whole).
//!
//! What is at hand is read without waiting ([`RecordCursor::pass_here`]), each record lent to a closure, so that nothing is
//! copied that is not wanted; only between stretches is anything awaited ([`RecordCursor::more`]). For those who have the
//! time, [`RecordCursor::next_with`] does both for one record. Whoever needs a record to outlive the next one copies it into
//! a [`HeldRecord`], or its bytes as they stand into a [`HeldRaw`], whose buffers are reused.

use super::error::JobError;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::batch::{Batch, BatchError, RawRecord, Record, RecordReader, TimestampType};
use crate::keys::Fields;
use crate::observe::progress::Progress;
use crate::ports::Source;
use std::ops::{ControlFlow, Range};

/// After how many records the counters are moved; each time touches a line that other threads read.
const PROGRESS_EVERY: u64 = 1024;

/// After how many records there is a pause, for the wish to stop and for other tasks: a batch may unfold to millions.
const PAUSE_RECORDS: u64 = 1 << 16;

/// Reads the records of one source in offset order.
pub struct RecordCursor<S> {
    source: S,
    range: Range<i64>,
    /// The stretch being read: whole batches. Empty once it is read.
    stretch: Vec<u8>,
    /// The batch being read, in the stretch.
    batch: Range<usize>,
    /// The offset behind that batch: its last records may be compacted away.
    batch_end: i64,
    timestamp_type: TimestampType,
    reader: RecordReader,
    /// The next record must not lie below this offset.
    position: i64,
    shutdown: Shutdown,
    progress: Progress,
    /// How many records may come before the next pause.
    left: u64,
    /// Records and bytes that the counters do not know of yet.
    uncounted: (u64, u64),
}

/// Why the reading of a batch stopped.
enum Pause<B> {
    /// Whoever took the last record wants no more now.
    Broken(B),
    /// It is time for a pause.
    Full,
    /// The batch is read.
    BatchDone,
    /// The range is read.
    RangeDone,
}

/// What ends the reading of a batch before its end.
enum Cut<B> {
    Done(Pause<B>),
    /// This offset does not follow.
    Order(i64),
}

impl<S: Source> RecordCursor<S>
where
    JobError: From<S::Error>,
{
    /// A cursor at the start of the source's range. `window_bytes` is the most that a compressed batch may take unfolded
    /// at a time.
    pub fn new(source: S, window_bytes: usize, shutdown: Shutdown, progress: Progress) -> Self {
        let range = source.range();
        Self {
            position: range.start,
            batch_end: range.start,
            range,
            source,
            stretch: Vec::new(),
            batch: 0..0,
            timestamp_type: TimestampType::Create,
            reader: RecordReader::new(window_bytes),
            shutdown,
            progress,
            left: PAUSE_RECORDS,
            uncounted: (0, 0),
        }
    }

    /// The partition that is read.
    pub fn partition(&self) -> &TopicPartition {
        self.source.partition()
    }

    /// Where the records come from.
    pub(super) fn source(&self) -> &S {
        &self.source
    }

    /// The offsets that are read.
    pub fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    /// Everything before this offset was lent, or holds nothing.
    pub fn passed(&self) -> i64 {
        self.position
    }

    /// Who stamped the record that was lent last.
    pub fn timestamp_type(&self) -> TimestampType {
        self.timestamp_type
    }

    /// Lends the next record to `take` and gives what that returns; `None` at the end of the range.
    pub async fn next_with<T>(&mut self, take: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, JobError> {
        let mut take = Some(take);
        loop {
            let taken = self.pass_here(|found| ControlFlow::Break(take.take().map(|take| take(&found.record))))?;
            if let Some(taken) = taken {
                return Ok(taken);
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Makes sure that there are records at hand, fetching if the stretch is used up; `false` at the end of the range.
    pub async fn more(&mut self) -> Result<bool, JobError> {
        if let Some(signal) = self.shutdown.requested() {
            return Err(JobError::Interrupted(signal));
        }
        self.left = PAUSE_RECORDS;
        if !self.stretch.is_empty() {
            tokio::task::yield_now().await;
            return Ok(true);
        }
        let mut more = false;
        if self.position < self.range.end {
            more = tokio::select! {
                biased;
                signal = self.shutdown.wait() => return Err(JobError::Interrupted(signal)),
                next = self.source.next(&mut self.stretch) => next?.is_some(),
            };
        }
        if !more {
            self.stretch.clear();
            self.count();
        }
        Ok(more)
    }

    /// Lends the records at hand to `take`, one after the other, until it breaks; `None` if it did not, and [`Self::more`]
    /// is to be asked. Nothing in here waits.
    #[inline]
    pub fn pass_here<B>(
        &mut self,
        mut take: impl FnMut(&RawRecord<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, JobError> {
        loop {
            let pause = self.pass_batch(&mut take)?;
            if let Pause::BatchDone = pause {
                self.position = self.position.max(self.batch_end.min(self.range.end));
            }
            match pause {
                Pause::Broken(with) => return Ok(Some(with)),
                Pause::Full => return Ok(None),
                Pause::BatchDone if self.batch.end < self.stretch.len() => self.next_batch()?,
                Pause::BatchDone => break,
                Pause::RangeDone => {
                    self.position = self.range.end;
                    break;
                }
            }
        }
        self.stretch.clear();
        self.batch = 0..0;
        Ok(None)
    }

    #[inline(always)]
    fn pass_batch<B>(&mut self, take: &mut impl FnMut(&RawRecord<'_>) -> ControlFlow<B>) -> Result<Pause<B>, JobError> {
        if self.batch.is_empty() {
            return Ok(Pause::BatchDone);
        }
        if self.left == 0 {
            return Ok(Pause::Full);
        }
        let Range { start, end } = self.range;
        let Self { reader, stretch, batch, progress, uncounted, left, position, .. } = self;
        let cut = reader.each(&stretch[batch.clone()], |found| {
            let offset = found.record.offset;
            if offset < *position {
                return if offset < start { ControlFlow::Continue(()) } else { ControlFlow::Break(Cut::Order(offset)) };
            }
            if offset >= end {
                return ControlFlow::Break(Cut::Done(Pause::RangeDone));
            }
            *position = offset + 1;
            *left -= 1;
            uncounted.0 += 1;
            uncounted.1 += size(&found.record);
            if uncounted.0 == PROGRESS_EVERY {
                let (records, bytes) = std::mem::take(uncounted);
                progress.add(records, bytes);
            }
            match take(found) {
                ControlFlow::Break(with) => ControlFlow::Break(Cut::Done(Pause::Broken(with))),
                ControlFlow::Continue(()) if *left == 0 => ControlFlow::Break(Cut::Done(Pause::Full)),
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
            }
        });
        match cut.map_err(|error| self.broken(error))? {
            None => Ok(Pause::BatchDone),
            Some(Cut::Done(pause)) => Ok(pause),
            Some(Cut::Order(offset)) => {
                let at = self.source.partition().at(offset);
                Err(JobError::Order { at, expected: self.position })
            }
        }
    }

    /// Goes to the next batch of the stretch.
    fn next_batch(&mut self) -> Result<(), JobError> {
        let at = self.batch.end;
        let read = Batch::read(&self.stretch[at..]).and_then(|batch| {
            self.reader.start(&batch)?;
            Ok((batch.bytes().len(), batch.header.last_offset(), batch.header.timestamp_type()))
        });
        match read {
            Ok((len, last, timestamp_type)) => {
                (self.batch, self.batch_end, self.timestamp_type) =
                    (at..at + len, last.saturating_add(1), timestamp_type);
            }
            Err(error) => return Err(self.broken(error)),
        }
        Ok(())
    }

    fn count(&mut self) {
        let (records, bytes) = std::mem::take(&mut self.uncounted);
        self.progress.add(records, bytes);
    }

    #[cold]
    fn broken(&self, error: BatchError) -> JobError {
        JobError::Batch { at: self.source.partition().at(self.position), error }
    }
}

/// A record's key and value, as progress counts bytes.
#[inline]
pub(super) fn size(record: &Record<'_>) -> u64 {
    (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64
}

/// A record that was copied out of its batch just as it stands there. The buffer is kept from one record to the next.
#[derive(Debug, Default)]
pub struct HeldRaw {
    offset: i64,
    timestamp: i64,
    raw: Vec<u8>,
}

impl HeldRaw {
    /// Copies a record, by its bytes as [`RawRecord::raw`] has them, over what was held.
    #[inline]
    pub fn hold(&mut self, offset: i64, timestamp: i64, raw: &[u8]) {
        if self.raw.capacity() > HELD_BYTES_KEPT {
            self.raw = Vec::new();
        }
        self.raw.clear();
        self.raw.extend_from_slice(raw);
        (self.offset, self.timestamp) = (offset, timestamp);
    }

    /// The record; `None` if none was held yet.
    pub fn record(&self) -> Option<Record<'_>> {
        Record::from_raw(self.offset, self.timestamp, &self.raw).ok()
    }
}

/// A record that was copied out of its batch. The buffers are kept from one record to the next.
#[derive(Debug, Clone, Default)]
pub struct HeldRecord {
    offset: i64,
    timestamp: i64,
    bytes: Vec<u8>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
}

/// The most that a held record's buffers keep for the next one; a larger record's are given back.
const HELD_BYTES_KEPT: usize = 256 << 10;

impl HeldRecord {
    /// Copies `record` over what was held.
    pub fn hold(&mut self, record: &Record<'_>) {
        if self.bytes.capacity() > HELD_BYTES_KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.headers.clear();
        (self.offset, self.timestamp) = (record.offset, record.timestamp);
        self.key = record.key.map(|key| push(&mut self.bytes, key));
        self.value = record.value.map(|value| push(&mut self.bytes, value));
        for header in record.headers.iter() {
            let name = push(&mut self.bytes, header.key);
            let value = header.value.map(|value| push(&mut self.bytes, value));
            self.headers.push((name, value));
        }
    }

    /// Its offset.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Its headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (&self.bytes[name.clone()], self.slice(value)))
    }

    fn slice(&self, range: &Option<Range<usize>>) -> Option<&[u8]> {
        range.clone().map(|range| &self.bytes[range])
    }
}

impl Fields for HeldRecord {
    fn key(&self) -> Option<&[u8]> {
        self.slice(&self.key)
    }
    fn value(&self) -> Option<&[u8]> {
        self.slice(&self.value)
    }
    fn timestamp(&self) -> i64 {
        self.timestamp
    }
    fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        let mut named = self.headers().filter(|(key, _)| *key == name.as_bytes());
        let mut last = None;
        for (_, value) in named.by_ref() {
            last = Some(value);
        }
        last
    }
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend_from_slice(part);
    start..bytes.len()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Made, MemorySource, block_on};
    use super::*;
    use crate::base::shutdown::Signal;

    fn cursor(source: MemorySource) -> RecordCursor<MemorySource> {
        RecordCursor::new(source, 1 << 20, Shutdown::default(), Progress::default())
    }

    fn offsets(cursor: &mut RecordCursor<MemorySource>) -> Result<Vec<i64>, JobError> {
        block_on(async {
            let mut out = Vec::new();
            while let Some(offset) = cursor.next_with(|record| record.offset).await? {
                out.push(offset);
            }
            assert_eq!(cursor.next_with(|record| record.offset).await?, None, "the end stays the end");
            Ok(out)
        })
    }

    fn ints(count: i64) -> Vec<Made> {
        (0..count).map(|number| Made::value(number.to_string())).collect()
    }

    #[test]
    fn every_record_comes_once_whatever_the_batches_and_stretches_are() {
        for batch in [1, 2, 7, 50] {
            for stretch in [1, 2, 100] {
                let mut cursor = cursor(MemorySource::new("t", 0, &ints(50)).cut(batch, stretch));
                assert_eq!(offsets(&mut cursor).unwrap(), (0..50).collect::<Vec<_>>(), "{batch} {stretch}");
            }
        }
    }

    #[test]
    fn records_outside_the_range_are_skipped() {
        for (start, end) in [(0, 0), (3, 17), (7, 14), (8, 9), (49, 50), (20, 60)] {
            let mut cursor = cursor(MemorySource::new("t", 0, &ints(50)).cut(7, 2).range(start..end));
            assert_eq!(offsets(&mut cursor).unwrap(), (start..end.min(50)).collect::<Vec<_>>(), "{start}..{end}");
        }
    }

    #[test]
    fn a_batch_is_passed_up_to_the_offsets_that_its_header_covers_and_no_further_than_the_range() {
        for (range, passed) in [(0..20, 10), (0..7, 7)] {
            let mut source = MemorySource::new("t", 0, &ints(3)).cut(3, 1).range(range.clone());
            source.last_offset_delta = Some(9);
            let mut cursor = cursor(source);
            assert!(block_on(cursor.more()).unwrap());
            cursor.pass_here(|_| ControlFlow::<()>::Continue(())).unwrap();
            assert_eq!(cursor.passed(), passed, "{range:?}");
        }
    }

    #[test]
    fn an_empty_partition_has_no_records() {
        assert!(offsets(&mut cursor(MemorySource::new("t", 0, &[]))).unwrap().is_empty());
    }

    #[test]
    fn a_broken_batch_is_named_with_its_place() {
        let mut cursor = cursor(MemorySource::new("t", 3, &ints(50)).cut(10, 5).corrupt(2));
        let error = offsets(&mut cursor).unwrap_err().to_string();
        assert!(error.starts_with("t partition 3 offset 30: "), "the batch held ten records and claimed more: {error}");
    }

    #[test]
    fn a_source_that_goes_back_is_caught() {
        let mut cursor = cursor(MemorySource::new("t", 0, &ints(20)).cut(10, 1).repeat());
        let error = offsets(&mut cursor).unwrap_err().to_string();
        assert!(error.contains("offset 0") && error.contains("10"), "{error}");
    }

    #[test]
    fn a_held_record_is_what_was_lent() {
        let made = Made {
            key: None,
            value: Some(b"v".to_vec()),
            timestamp: 7,
            headers: vec![("a".into(), Some(b"1".to_vec())), ("b".into(), None), ("a".into(), Some(b"".to_vec()))],
        };
        let mut held = HeldRecord::default();
        let mut cursor = cursor(MemorySource::new("t", 0, &[Made::value("x".repeat(1 << 20)), made]));
        block_on(async { while cursor.next_with(|record| held.hold(record)).await.unwrap().is_some() {} });
        assert_eq!((held.offset(), held.timestamp(), Fields::key(&held), held.value()), (1, 7, None, Some(&b"v"[..])));
        assert_eq!((held.header("a"), held.header("b"), held.header("c")), (Some(Some(&b""[..])), Some(None), None));
        let expected: Vec<(&[u8], Option<&[u8]>)> = vec![(b"a", Some(b"1")), (b"b", None), (b"a", Some(b""))];
        assert_eq!(held.headers().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_wish_to_stop_ends_the_reading() {
        let shutdown = Shutdown::default();
        let source = MemorySource::new("t", 0, &ints(50)).cut(10, 1);
        let mut cursor = RecordCursor::new(source, 1 << 20, shutdown.clone(), Progress::default());
        let error = block_on(async {
            cursor.next_with(|_| ()).await.unwrap();
            shutdown.request(Signal::Interrupt);
            loop {
                if let Err(error) = cursor.next_with(|_| ()).await {
                    return error;
                }
            }
        });
        assert!(matches!(error, JobError::Interrupted(Signal::Interrupt)));
    }

    #[test]
    fn progress_counts_every_record() {
        let progress = Progress::default();
        let source = MemorySource::new("t", 0, &ints(5000)).cut(100, 3);
        let mut cursor = RecordCursor::new(source, 1 << 20, Shutdown::default(), progress.clone());
        offsets(&mut cursor).unwrap();
        assert_eq!(progress.snapshot().records_done, 5000);
    }
}
