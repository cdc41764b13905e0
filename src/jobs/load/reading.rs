//! The readers beside the load: one for each partition, each waiting at the end of its log, as a consumer that keeps up does.

use super::plan::latency_us;
use crate::base::place::TopicPartition;
use crate::client::{Cluster, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::observe::histogram::Histogram;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What all readers fetch at once.
const FETCH_BYTES: usize = 32 << 20;
/// What one of them does.
const FETCH_BYTES_MIN: usize = 64 << 10;
const FETCH_BYTES_MAX: usize = 1 << 20;

/// What was read so far.
pub(super) struct Read {
    zero: Instant,
    records: AtomicU64,
    latencies_us: Mutex<Histogram>,
    /// There is more.
    news: Notify,
}

impl Read {
    /// How many records.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// Waits until so many are read, until then at the latest.
    pub(super) async fn reach(&self, records: u64, deadline: Instant) {
        while self.records() < records {
            if tokio::time::timeout_at(deadline, self.news.notified()).await.is_err() {
                return;
            }
        }
    }

    /// How long after they were due the records were read that are measured.
    pub(super) fn latencies_us(&self) -> Histogram {
        self.lock().clone()
    }

    /// Nothing is left half done under this lock.
    fn lock(&self) -> std::sync::MutexGuard<'_, Histogram> {
        self.latencies_us.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The readers; they end with this.
pub(super) struct Readers {
    pub(super) read: Arc<Read>,
    tasks: JoinSet<Result<(), JobError>>,
}

impl Readers {
    /// Begins to read all of `topic`, which takes batches of so many bytes. Times in records count from `zero`.
    pub(super) fn start(
        cluster: &Cluster,
        topic: &str,
        partitions: u32,
        batch_bytes_max: usize,
        zero: Instant,
        cx: &JobContext,
    ) -> Self {
        let read = Read { zero, records: AtomicU64::new(0), latencies_us: Mutex::default(), news: Notify::new() };
        let read = Arc::new(read);
        let fetch_bytes_max = (FETCH_BYTES / partitions.max(1) as usize).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX);
        let options = ReadOptions { fetch_bytes_max, batch_bytes_max };
        let mut tasks = JoinSet::new();
        for partition in 0..partitions {
            let source = cluster.follower(TopicPartition::new(topic, partition as i32), 0..i64::MAX, options);
            let cursor = RecordCursor::new(source, 2 * batch_bytes_max, cx.shutdown.clone(), cx.progress.clone());
            tasks.spawn(follow(cursor, read.clone()));
        }
        Self { read, tasks }
    }

    /// Waits until a reader fails.
    pub(super) async fn failed(&mut self) -> JobError {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(died)) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
            _ => JobError::Refused("a reader has ended before its time".to_owned()),
        }
    }
}

async fn follow(mut cursor: RecordCursor<crate::client::PartitionReader>, read: Arc<Read>) -> Result<(), JobError> {
    while cursor.more().await? {
        let now = read.zero.elapsed();
        let mut records = 0;
        {
            let mut latencies = read.lock();
            cursor.pass_here(|found| {
                records += 1;
                let stamp = found.record.value.and_then(|value| value.first_chunk::<8>());
                if let Some(latency) = stamp.and_then(|stamp| latency_us(u64::from_be_bytes(*stamp), now)) {
                    latencies.add(latency);
                }
                ControlFlow::<()>::Continue(())
            })?;
        }
        read.records.fetch_add(records, Relaxed);
        read.news.notify_one();
    }
    Ok(())
}
