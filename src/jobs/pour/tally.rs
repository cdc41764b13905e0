//! What became of the records, counted by the tasks that write them and read by who pushes them; and what they give back.

use crate::base::units::show_count;
use crate::batch::BatchWriter;
use crate::jobs::error::JobError;
use crate::jobs::pool::Pool;
use crate::observe::progress::Progress;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// So many reasons are told apart.
const REASONS_MAX: usize = 20;

/// How many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Were taken.
    pub sent: u64,
    /// Are stored for certain. Where no acknowledgements are asked for, none is.
    pub acknowledged: u64,
    /// Are not, as far as is known.
    pub failed: u64,
}

/// What became of all records.
#[derive(Debug)]
pub struct Poured {
    /// How many.
    pub counts: Counts,
    /// How many were handed to the network without asking for an answer, and nothing more is known of them.
    pub unanswered: u64,
    /// The partitions whose connection was lost behind such records, or whose broker had not come to them when the time was up.
    pub doubtful_partitions: u64,
    /// Keys and values that are stored for certain, or went out unanswered.
    pub bytes: u64,
    /// Why records failed, and how many for each reason.
    pub failed: BTreeMap<String, u64>,
    /// What ended the writing before its time, if anything did.
    pub error: Option<JobError>,
    /// What the ledger lacks, where one is kept and could not be written.
    pub ledger: Option<JobError>,
}

impl Poured {
    /// What became of them, for people: `12 sent, 10 acknowledged, 2 failed (2 larger than …)`.
    pub fn summary(&self) -> String {
        let Counts { sent, acknowledged, failed } = self.counts;
        let reasons: Vec<String> =
            self.failed.iter().map(|(reason, records)| format!("{} {reason}", show_count(*records))).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
        let ledger = self.ledger.as_ref().map(|lack| format!("; {lack}")).unwrap_or_default();
        let acknowledged = match self.unanswered {
            0 => format!("{} acknowledged", show_count(acknowledged)),
            unanswered => format!("{} unanswered, as asked for", show_count(unanswered)),
        };
        format!("{} sent, {acknowledged}, {} failed{reasons}{ledger}", show_count(sent), show_count(failed))
    }

    /// Records that are stored, as far as anybody has asked.
    pub fn gone(&self) -> u64 {
        self.counts.acknowledged + self.unanswered
    }

    /// The members that tell it in a report.
    pub fn to_json(&self) -> serde_json::Map<String, Value> {
        let Counts { sent, acknowledged, failed } = self.counts;
        let reasons = self.failed.iter().map(|(reason, records)| json!({ "reason": reason, "records": records }));
        let lacking = match &self.ledger {
            Some(JobError::Ledger { lacking, .. }) => Some(("ledger_lacks", json!(lacking))),
            _ => None,
        };
        [
            ("sent", json!(sent)),
            ("acknowledged", json!(acknowledged)),
            ("failed", json!(failed)),
            ("failures", reasons.collect()),
        ]
        .into_iter()
        .chain(Some(("unanswered", json!(self.unanswered))).filter(|_| self.unanswered > 0))
        .chain(Some(("doubtful_partitions", json!(self.doubtful_partitions))).filter(|_| self.doubtful_partitions > 0))
        .chain(lacking)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Whether all were stored (or went out over connections that held), and stand in the ledger where one is kept.
    pub fn verdict(self) -> Result<(), JobError> {
        let written = match self.error {
            None if self.counts.failed == 0 && self.doubtful_partitions > 0 => {
                Err(JobError::Doubtful { partitions: self.doubtful_partitions })
            }
            None if self.counts.failed == 0 => Ok(()),
            error => Err(JobError::NotAllWritten {
                failed: self.counts.failed,
                sent: self.counts.sent,
                reasons: self.failed.into_keys().collect(),
                error: error.map(Box::new),
            }),
        };
        match (written, self.ledger) {
            (Err(error), Some(JobError::Ledger { name, lacking, source, .. })) => {
                Err(JobError::Ledger { name, lacking, source, beside: Some(Box::new(error)) })
            }
            (written, ledger) => written.and(ledger.map_or(Ok(()), Err)),
        }
    }
}

/// Shared by the tasks of all partitions and the one that pushes.
pub(super) struct Tally {
    taken: AtomicU64,
    ended: Mutex<Ended>,
    broken: AtomicBool,
    changed: Notify,
    progress: Progress,
    /// Whether what went out is answered.
    answered: bool,
    /// Partitions that may lack some of what is not.
    doubtful: AtomicU64,
    /// Writers without a batch in them.
    pub(super) writers: Pool<BatchWriter>,
    /// Buffers of batches that are stored.
    pub(super) buffers: Pool<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Ended {
    acknowledged: u64,
    bytes: u64,
    failed: BTreeMap<String, u64>,
    failed_total: u64,
    error: Option<JobError>,
}

impl Tally {
    /// Of each sort so many bytes are kept to be used again, and nothing that takes more than `spare_bytes_max`.
    pub(super) fn new(progress: Progress, answered: bool, spares_bytes: usize, spare_bytes_max: usize) -> Self {
        Self {
            taken: AtomicU64::new(0),
            ended: Mutex::default(),
            broken: AtomicBool::new(false),
            changed: Notify::new(),
            progress,
            answered,
            doubtful: AtomicU64::new(0),
            writers: Pool::new(spares_bytes, spare_bytes_max),
            buffers: Pool::new(spares_bytes, spare_bytes_max),
        }
    }

    #[inline]
    pub(super) fn taken(&self, records: u64) {
        // One task pushes: nobody else writes this.
        self.taken.store(self.taken.load(Relaxed) + records, Relaxed);
    }

    /// Of one more partition it is not known whether all that went out has come anywhere.
    pub(super) fn doubts(&self) {
        self.doubtful.fetch_add(1, Relaxed);
    }

    /// They are stored; or, where nothing is answered, handed to the network.
    pub(super) fn acknowledged(&self, records: u64, bytes: u64) {
        let mut ended = self.lock();
        ended.acknowledged += records;
        ended.bytes += bytes;
        drop(ended);
        self.progress.add(records, bytes);
        self.changed.notify_waiters();
    }

    pub(super) fn failed(&self, records: u64, reason: &str) {
        if records > 0 {
            self.lock().fail(records, reason);
            self.changed.notify_waiters();
        }
    }

    /// Nothing more can be written.
    pub(super) fn breaks(&self, error: JobError) {
        self.lock().error.get_or_insert(error);
        self.stop();
    }

    /// Nothing more is to be taken, for a reason that is kept elsewhere; what was taken is still written.
    pub(super) fn stop(&self) {
        self.broken.store(true, Relaxed);
        self.changed.notify_waiters();
    }

    #[inline]
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Waits until nothing more can be written.
    pub(super) async fn broken(&self) {
        self.when(|| self.is_broken()).await;
    }

    /// Waits until each record that was taken has ended, one way or the other.
    pub(super) async fn settled(&self) {
        self.when(|| {
            let Counts { sent, acknowledged, failed } = self.counts();
            acknowledged + failed >= sent || self.is_broken()
        })
        .await;
    }

    async fn when(&self, is: impl Fn() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if is() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let ended = self.lock();
        Counts { sent: self.taken.load(Relaxed), acknowledged: ended.acknowledged, failed: ended.failed_total }
    }

    /// What became of everything; what is not known by now has failed.
    pub(super) fn end(&self, in_time: bool) -> Poured {
        let sent = self.taken.load(Relaxed);
        let mut ended = std::mem::take(&mut *self.lock());
        let unknown = sent.saturating_sub(ended.acknowledged + ended.failed_total);
        if unknown > 0 {
            ended.fail(unknown, if in_time { "not sent" } else { "not acknowledged in the time that was left" });
        }
        let (acknowledged, unanswered) = if self.answered { (ended.acknowledged, 0) } else { (0, ended.acknowledged) };
        let counts = Counts { sent, acknowledged, failed: ended.failed_total };
        let doubtful_partitions = self.doubtful.load(Relaxed);
        let Ended { bytes, failed, error, .. } = ended;
        Poured { counts, unanswered, doubtful_partitions, bytes, failed, error, ledger: None }
    }

    fn lock(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    fn fail(&mut self, records: u64, reason: &str) {
        self.failed_total += records;
        let known = self.failed.contains_key(reason) || self.failed.len() < REASONS_MAX;
        let reason = if known { reason } else { "other reasons" };
        *self.failed.entry(reason.to_owned()).or_default() += records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_of_unknown_fate_have_failed_and_reasons_are_counted() {
        let tally = Tally::new(Progress::default(), true, 100, 100);
        tally.taken(10);
        tally.acknowledged(4, 40);
        tally.failed(2, "too large");
        tally.failed(1, "too large");
        assert_eq!(tally.counts(), Counts { sent: 10, acknowledged: 4, failed: 3 });
        let poured = tally.end(false);
        assert_eq!((poured.counts.failed, poured.bytes), (6, 40));
        assert_eq!(poured.failed.values().copied().collect::<Vec<_>>(), [3, 3]);
    }

    #[tokio::test]
    async fn what_is_not_answered_is_not_acknowledged_and_a_lost_connection_is_no_success() {
        for doubts in [false, true] {
            let tally = Tally::new(Progress::default(), false, 100, 100);
            tally.taken(3);
            tally.acknowledged(3, 30);
            tally.settled().await;
            if doubts {
                tally.doubts();
            }
            let poured = tally.end(true);
            assert_eq!(poured.counts, Counts { sent: 3, acknowledged: 0, failed: 0 });
            assert_eq!((poured.gone(), poured.to_json()["unanswered"].clone()), (3, json!(3)));
            assert_eq!(poured.summary(), "3 sent, 3 unanswered, as asked for, 0 failed");
            assert_eq!(poured.verdict().is_err(), doubts);
        }
    }

    #[tokio::test]
    async fn many_reasons_do_not_take_much_memory() {
        let tally = Tally::new(Progress::default(), true, 100, 100);
        tally.taken(100);
        (0..100).for_each(|reason| tally.failed(1, &format!("reason {reason}")));
        let poured = tally.end(true);
        assert_eq!((poured.failed.len(), poured.failed["other reasons"]), (REASONS_MAX + 1, 100 - REASONS_MAX as u64));
    }

    #[tokio::test]
    async fn who_waits_hears_of_the_last_record_and_of_the_end() {
        let tally = std::sync::Arc::new(Tally::new(Progress::default(), true, 100, 100));
        tally.taken(2);
        let waiting = tokio::spawn({
            let tally = tally.clone();
            async move { tally.settled().await }
        });
        tally.acknowledged(1, 0);
        tally.failed(1, "no");
        waiting.await.unwrap();
        tally.breaks(JobError::OutputClosed);
        tally.broken().await;
    }
}
