//! How far a job is: counters that the job moves and a terminal or a log reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
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
    phase: Mutex<(String, Option<Instant>)>,
    waiting_for: Mutex<Option<String>>,
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
        *self.lock_phase() = (phase.to_owned(), Some(Instant::now()));
        self.inner.records_total.store(records_total, Relaxed);
        self.inner.records_done.store(0, Relaxed);
        self.inner.bytes_done.store(0, Relaxed);
    }

    /// Counts records that are done.
    pub fn add(&self, records: u64, bytes: u64) {
        self.inner.records_done.fetch_add(records, Relaxed);
        self.inner.bytes_done.fetch_add(bytes, Relaxed);
    }

    /// Says who holds the job up, or that nobody does.
    pub fn waiting_for(&self, who: Option<String>) {
        *self.inner.waiting_for.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = who;
    }

    /// Reads the counters.
    pub fn snapshot(&self) -> Snapshot {
        let (phase, began) = self.lock_phase().clone();
        Snapshot {
            records_total: self.inner.records_total.load(Relaxed),
            records_done: self.inner.records_done.load(Relaxed),
            bytes_done: self.inner.bytes_done.load(Relaxed),
            phase,
            elapsed: began.map_or(Duration::ZERO, |began| began.elapsed()),
            waiting_for: self.inner.waiting_for.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        }
    }

    fn lock_phase(&self) -> std::sync::MutexGuard<'_, (String, Option<Instant>)> {
        self.inner.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
