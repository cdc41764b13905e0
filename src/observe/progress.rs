//! How far a job is: counters that the job moves and a terminal, a log or Prometheus reads.

use super::latencies::Latencies;
use super::stages::Stages;
use crate::base::place::TopicPartition;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Shared by a job and whoever shows it. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records_total: AtomicU64,
    records_done: AtomicU64,
    bytes_done: AtomicU64,
    phase: Mutex<Phases>,
    waiting: Mutex<Waiting>,
    stages: Stages,
    acknowledgements: OnceLock<Latencies>,
}

/// The phase, and what the ones before it did.
#[derive(Debug, Default)]
struct Phases {
    name: String,
    began: Option<Instant>,
    /// Each by its name, since a job may be in one several times.
    before: BTreeMap<String, Done>,
}

/// Who is waited for, and how long each was.
#[derive(Debug, Default)]
struct Waiting {
    now: Option<(TopicPartition, Instant)>,
    before: BTreeMap<TopicPartition, Duration>,
}

/// Records that are done, and the bytes of their keys and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One reading of the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How many records the plan expects; an upper bound where logs have gaps.
    pub records_total: u64,
    /// How many are done.
    pub records_done: u64,
    /// Their bytes: keys and values.
    pub bytes_done: u64,
    /// What the job is doing, in a word.
    pub phase: String,
    /// How long it has been doing that.
    pub elapsed: Duration,
    /// The partition that holds the job up now, if one does.
    pub waiting_for: Option<String>,
}

impl Progress {
    /// Sets how many records the plan expects and what the job does with them.
    pub fn begin(&self, phase: &str, records_total: u64) {
        let mut phases = lock(&self.inner.phase);
        let done = self.done();
        if !phases.name.is_empty() {
            let name = std::mem::take(&mut phases.name);
            let before = phases.before.entry(name).or_default();
            *before = Done { records: before.records + done.records, bytes: before.bytes + done.bytes };
        }
        (phases.name, phases.began) = (phase.to_owned(), Some(Instant::now()));
        self.inner.records_total.store(records_total, Relaxed);
        self.inner.records_done.fetch_sub(done.records, Relaxed);
        self.inner.bytes_done.fetch_sub(done.bytes, Relaxed);
    }

    /// Counts records that are done.
    pub fn add(&self, records: u64, bytes: u64) {
        self.inner.records_done.fetch_add(records, Relaxed);
        self.inner.bytes_done.fetch_add(bytes, Relaxed);
    }

    /// Says who holds the job up, or that nobody does.
    pub fn waiting_for(&self, who: Option<&TopicPartition>) {
        let now = Instant::now();
        let mut waiting = lock(&self.inner.waiting);
        if let Some((before, since)) = waiting.now.take() {
            *waiting.before.entry(before).or_default() += now.saturating_duration_since(since);
        }
        waiting.now = who.map(|who| (who.clone(), now));
    }

    /// How long batches take until they are acknowledged; to be asked by who writes some.
    pub fn acknowledgements(&self) -> &Latencies {
        self.inner.acknowledgements.get_or_init(Latencies::default)
    }

    /// The same, if anybody writes batches.
    pub fn acknowledged(&self) -> Option<&Latencies> {
        self.inner.acknowledgements.get()
    }

    /// Reads the counters.
    pub fn snapshot(&self) -> Snapshot {
        let phases = lock(&self.inner.phase);
        let done = self.done();
        Snapshot {
            records_total: self.inner.records_total.load(Relaxed),
            records_done: done.records,
            bytes_done: done.bytes,
            phase: phases.name.clone(),
            elapsed: phases.began.map_or(Duration::ZERO, |began| began.elapsed()),
            waiting_for: lock(&self.inner.waiting).now.as_ref().map(|(who, _)| who.to_string()),
        }
    }

    /// What was done in each phase since the job began, however often it was in it: numbers that only grow.
    pub fn done_by_phase(&self) -> BTreeMap<String, Done> {
        let phases = lock(&self.inner.phase);
        let mut all = phases.before.clone();
        if !phases.name.is_empty() {
            let (done, whole) = (self.done(), all.entry(phases.name.clone()).or_default());
            *whole = Done { records: whole.records + done.records, bytes: whole.bytes + done.bytes };
        }
        all
    }

    /// How long each partition has held the job up since it began.
    pub fn waits(&self) -> BTreeMap<TopicPartition, Duration> {
        let waiting = lock(&self.inner.waiting);
        let mut all = waiting.before.clone();
        if let Some((who, since)) = &waiting.now {
            *all.entry(who.clone()).or_default() += since.elapsed();
        }
        all
    }

    /// Where the time of a merge goes.
    pub fn stages(&self) -> &Stages {
        &self.inner.stages
    }

    fn done(&self) -> Done {
        Done { records: self.inner.records_done.load(Relaxed), bytes: self.inner.bytes_done.load(Relaxed) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_begins_at_nothing_and_what_was_done_before_is_kept_by_its_name() {
        let progress = Progress::default();
        assert!(progress.done_by_phase().is_empty());
        progress.begin("look", 0);
        progress.begin("merge", 10);
        progress.add(3, 30);
        progress.begin("look", 0);
        progress.begin("merge", 7);
        progress.add(2, 20);
        let now = progress.snapshot();
        assert_eq!((now.phase.as_str(), now.records_done, now.bytes_done, now.records_total), ("merge", 2, 20, 7));
        let done = progress.done_by_phase();
        assert_eq!(done["merge"], Done { records: 5, bytes: 50 });
        assert_eq!(done["look"], Done::default());
    }

    #[test]
    fn the_time_that_a_partition_is_waited_for_adds_up() {
        let progress = Progress::default();
        let partition = TopicPartition::new("a", 1);
        progress.waiting_for(Some(&partition));
        assert_eq!(progress.snapshot().waiting_for.as_deref(), Some("a partition 1"));
        let first = loop {
            match progress.waits()[&partition] {
                Duration::ZERO => std::hint::spin_loop(),
                time => break time,
            }
        };
        progress.waiting_for(None);
        let second = progress.waits()[&partition];
        assert!(second >= first);
        assert_eq!(progress.waits()[&partition], second, "nobody waits any more");
        assert_eq!(progress.snapshot().waiting_for, None);
    }
}
