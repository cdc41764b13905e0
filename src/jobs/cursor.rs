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

mod held;

pub use held::{HeldRaw, HeldRecord};

use super::error::JobError;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::batch::{Batch, BatchError, RawRecord, Record, RecordReader, TimestampType};
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

    /// Whether [`Self::more`] has something without fetching.
    pub fn has_more_at_hand(&self) -> bool {
        !self.stretch.is_empty()
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
        self.pass_here_with(&mut (), |(), found| take(found), |(), _| ())
    }

    /// The same for those who copy many records at once: `leave` is lent a batch's bytes whenever reading in it stops, before
    /// anything else is read; [`RawRecord::end`] of its records says where in it they end. Both share `with`.
    #[inline]
    pub(super) fn pass_here_with<W, B>(
        &mut self,
        with: &mut W,
        mut take: impl FnMut(&mut W, &RawRecord<'_>) -> ControlFlow<B>,
        mut leave: impl FnMut(&mut W, &[u8]),
    ) -> Result<Option<B>, JobError> {
        loop {
            let pause = self.pass_batch(&mut |found| take(with, found))?;
            leave(with, &self.stretch[self.batch.clone()]);
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

    /// Passes records of the batch at hand that are known without being read, as [`RecordReader::pass_known`] does, and gives
    /// how many. None says nothing: the next one may be unknown, unusual, compressed, out of range, or not at hand. The
    /// counters learn of records, but not of bytes, as nobody has looked at these.
    pub(super) fn pass_known(&mut self, known: impl FnMut(i64, &[u8]) -> bool) -> usize {
        if self.batch.is_empty() {
            return 0;
        }
        let passed = self.reader.pass_known(&self.stretch[self.batch.clone()], self.position..self.range.end, known);
        if passed > 0 {
            self.position = self.reader.reached();
            self.progress.add(passed as u64, 0);
        }
        passed
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
