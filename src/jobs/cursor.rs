//! The records of one partition, one after the other, whatever stands behind its [`Source`].
//!
//! A cursor holds one stretch of fetched batches and the reader's window, and nothing else: its memory is what the source
//! fetches at once and what the window may take, however long the partition is. Records before and after the pinned range
//! are skipped (a batch is fetched whole).
//!
//! [`RecordCursor::next_with`] lends each record to a closure, so that nothing is copied that is not wanted; whoever needs a
//! record to outlive the next one copies it into a [`HeldRecord`], whose buffers are reused.

use super::error::JobError;
use crate::base::place::{Place, TopicPartition};
use crate::base::shutdown::Shutdown;
use crate::batch::{Batch, Record, RecordReader};
use crate::keys::Fields;
use crate::observe::progress::Progress;
use crate::ports::Source;
use std::ops::Range;

/// After how many records the counters are moved; each time touches a line that other threads read.
const PROGRESS_EVERY: u64 = 1024;

/// Reads the records of one source in offset order.
pub struct RecordCursor<S> {
    source: S,
    /// The stretch being read: whole batches.
    stretch: Vec<u8>,
    /// The batch being read, in the stretch.
    batch: Range<usize>,
    reader: RecordReader,
    /// The next record must not lie below this offset.
    position: i64,
    shutdown: Shutdown,
    progress: Progress,
    /// Records and bytes that the counters do not know of yet.
    uncounted: (u64, u64),
}

impl<S: Source> RecordCursor<S>
where
    JobError: From<S::Error>,
{
    /// A cursor at the start of the source's range. `window_bytes` is the most that a compressed batch may take unfolded
    /// at a time.
    pub fn new(source: S, window_bytes: usize, shutdown: Shutdown, progress: Progress) -> Self {
        Self {
            position: source.range().start,
            source,
            stretch: Vec::new(),
            batch: 0..0,
            reader: RecordReader::new(window_bytes),
            shutdown,
            progress,
            uncounted: (0, 0),
        }
    }

    /// The partition that is read.
    pub fn partition(&self) -> &TopicPartition {
        self.source.partition()
    }

    /// The offsets that are read.
    pub fn range(&self) -> Range<i64> {
        self.source.range()
    }

    /// Lends the next record to `take` and gives what that returns; `None` at the end of the range.
    pub async fn next_with<T>(&mut self, take: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, JobError> {
        let range = self.source.range();
        loop {
            let batch = &self.stretch[self.batch.clone()];
            let read = if batch.is_empty() { Ok(None) } else { self.reader.next_in(batch) };
            match read {
                Ok(Some(record)) if record.offset >= range.end => {
                    self.stretch.clear();
                    self.batch = 0..0;
                    self.position = range.end;
                }
                Ok(Some(record)) if record.offset < range.start => {}
                Ok(Some(record)) => {
                    if record.offset < self.position {
                        return Err(JobError::Order {
                            at: self.source.partition().at(record.offset),
                            expected: self.position,
                        });
                    }
                    self.position = record.offset + 1;
                    self.uncounted.0 += 1;
                    self.uncounted.1 += size(&record);
                    if self.uncounted.0 == PROGRESS_EVERY {
                        let (records, bytes) = std::mem::take(&mut self.uncounted);
                        self.progress.add(records, bytes);
                    }
                    return Ok(Some(take(&record)));
                }
                Ok(None) => {
                    if !self.next_batch().await? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(JobError::Batch { at: self.here(), error }),
            }
        }
    }

    /// Goes to the next batch, fetching if the stretch is used up; `false` at the end.
    async fn next_batch(&mut self) -> Result<bool, JobError> {
        let mut at = self.batch.end;
        if at == self.stretch.len() {
            if !self.fetch().await? {
                return Ok(false);
            }
            at = 0;
        }
        let read = Batch::read(&self.stretch[at..]).and_then(|batch| {
            self.reader.start(&batch)?;
            Ok(batch.bytes().len())
        });
        match read {
            Ok(len) => self.batch = at..at + len,
            Err(error) => return Err(JobError::Batch { at: self.here(), error }),
        }
        Ok(true)
    }

    async fn fetch(&mut self) -> Result<bool, JobError> {
        self.batch = 0..0;
        self.stretch.clear();
        if self.position >= self.source.range().end {
            self.count();
            return Ok(false);
        }
        let next = tokio::select! {
            biased;
            signal = self.shutdown.wait() => return Err(JobError::Interrupted(signal)),
            next = self.source.next(&mut self.stretch) => next?,
        };
        if next.is_none() {
            self.stretch.clear();
            self.count();
        }
        Ok(next.is_some())
    }

    fn count(&mut self) {
        let (records, bytes) = std::mem::take(&mut self.uncounted);
        self.progress.add(records, bytes);
    }

    fn here(&self) -> Place {
        self.source.partition().at(self.position)
    }
}

/// A record's key and value, as progress counts bytes.
fn size(record: &Record<'_>) -> u64 {
    (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64
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
