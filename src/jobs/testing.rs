//! What the tests of jobs share: records made up, and a source in memory.

use super::JobContext;
use super::error::JobError;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::batch::{BatchWriter, Codec};
use crate::observe::progress::Progress;
use crate::ports::Source;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

/// A record made up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Made {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp: i64,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Made {
    pub(super) fn value(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(value.as_ref().to_vec()), ..Self::default() }
    }
}

/// One partition's batches in memory.
#[derive(Debug, Clone)]
pub(super) struct MemorySource {
    partition: TopicPartition,
    records: Vec<Made>,
    range: Range<i64>,
    codec: Codec,
    /// Records a batch, batches a stretch.
    cut: (usize, usize),
    corrupt: Option<usize>,
    repeat: bool,
    /// What else is said to who writes the batches.
    written: fn(&mut BatchWriter),
    /// In each batch, before so many records, one offset is left out, as compaction does; the batches take one offset more.
    hole: Option<usize>,
    /// Where the last offset of each batch is, behind its first one; at its last record, if absent.
    pub(super) last_offset_delta: Option<i32>,
    /// Stretches still to give, made at the first call.
    stretches: Option<VecDeque<Vec<u8>>>,
    /// The largest stretch given.
    pub(super) asked: usize,
}

impl MemorySource {
    /// The records from offset 0 on, three a batch, two batches a stretch.
    pub(super) fn new(topic: &str, partition: i32, records: &[Made]) -> Self {
        Self {
            partition: TopicPartition::new(topic, partition),
            range: 0..records.len() as i64,
            records: records.to_vec(),
            codec: Codec::None,
            cut: (3, 2),
            corrupt: None,
            repeat: false,
            written: |_| {},
            hole: None,
            last_offset_delta: None,
            stretches: None,
            asked: 0,
        }
    }

    pub(super) fn cut(mut self, records_per_batch: usize, batches_per_stretch: usize) -> Self {
        self.cut = (records_per_batch, batches_per_stretch);
        self
    }

    pub(super) fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    pub(super) fn range(mut self, range: Range<i64>) -> Self {
        self.range = range;
        self
    }

    /// The batch of this index claims a record more than it has.
    pub(super) fn corrupt(mut self, batch: usize) -> Self {
        self.corrupt = Some(batch);
        self
    }

    /// Before its first record, each batch's writer is told this too.
    pub(super) fn written(mut self, how: fn(&mut BatchWriter)) -> Self {
        self.written = how;
        self
    }

    /// Each batch has one offset without a record, before its record of this index.
    pub(super) fn hole(mut self, before: usize) -> Self {
        self.range.end += self.records.len().div_ceil(self.cut.0) as i64;
        self.hole = Some(before);
        self
    }

    /// The first stretch comes twice.
    pub(super) fn repeat(mut self) -> Self {
        self.repeat = true;
        self
    }

    fn make(&self) -> VecDeque<Vec<u8>> {
        let mut writer = BatchWriter::new(self.codec);
        let mut batches = Vec::new();
        for (index, records) in self.records.chunks(self.cut.0).enumerate() {
            let offsets = self.cut.0 + usize::from(self.hole.is_some());
            writer.base_offset((index * offsets) as i64);
            (self.written)(&mut writer);
            for (at, record) in records.iter().enumerate() {
                if self.hole == Some(at) {
                    writer.skip_offsets(1).expect("an offset that fits");
                }
                let headers: Vec<(&[u8], Option<&[u8]>)> =
                    record.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())).collect();
                writer
                    .push_pairs(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers)
                    .expect("a record that fits");
            }
            writer.last_offset_delta(self.last_offset_delta);
            let mut batch = writer.finish().expect("a batch").to_vec();
            if self.corrupt == Some(index) {
                let count = batch.len().min(61) - 1; // the last byte of the record count
                batch[count] += 1;
            }
            batches.push(batch);
        }
        let mut stretches: VecDeque<Vec<u8>> = batches.chunks(self.cut.1).map(|batches| batches.concat()).collect();
        // The fetch begins with the batch that holds the start, as a broker's does.
        let before = self.range.start.max(0) as usize / (self.cut.0 * self.cut.1);
        stretches.drain(..before.min(stretches.len()));
        if self.repeat
            && let Some(first) = stretches.front().cloned()
        {
            stretches.push_front(first);
        }
        stretches
    }
}

impl Source for MemorySource {
    type Error = Infallible;

    fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    async fn next(&mut self, into: &mut Vec<u8>) -> Result<Option<()>, Infallible> {
        let made = match self.stretches.take() {
            Some(made) => made,
            None => self.make(),
        };
        let stretches = self.stretches.insert(made);
        into.clear();
        tokio::task::yield_now().await; // as a network would
        let Some(stretch) = stretches.pop_front() else { return Ok(None) };
        self.asked = self.asked.max(stretch.len());
        into.extend_from_slice(&stretch);
        Ok(Some(()))
    }
}

impl From<Infallible> for JobError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a job runs in that has no cluster.
pub(super) fn context() -> JobContext {
    JobContext {
        brokers: Vec::new(),
        brokers_in_environment: false,
        timeout: Duration::from_secs(60),
        shutdown: Shutdown::default(),
        progress: Progress::default(),
        phases: Default::default(),
        gives_way: false,
    }
}

/// Runs a future to its end on a runtime of its own.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
