//! The job record as it moves on with each commit.

use crate::base::appended::Appended;
use crate::base::clock::now_ms;
use crate::jobs::error::JobError;
use crate::jobs::ledger::{JobPlan, JobProgress, JobState, Ledger, Tail};
use crate::ports::{Outgoing, Reached};

/// Puts together what is written with each commit.
pub(super) struct Recorder {
    ledger: Ledger,
    /// Still to be written, with the first progress.
    plan: Option<JobPlan>,
    /// Records written by those before us.
    rank_before: u64,
    /// What is committed.
    progress: JobProgress,
    /// What is being committed.
    next: Option<JobProgress>,
}

impl Recorder {
    /// Goes on from `progress`; with `plan`, the job has no record yet.
    pub(super) fn new(ledger: Ledger, plan: Option<JobPlan>, progress: JobProgress) -> Self {
        Self { ledger, plan, rank_before: progress.rank, progress, next: None }
    }

    /// What is committed.
    pub(super) fn progress(&self) -> &JobProgress {
        &self.progress
    }

    /// The tail that a batch will be, its offsets counted from 0.
    pub(super) fn last_of(batch: &Outgoing) -> Result<Tail, JobError> {
        let bytes = batch.bytes.get(..batch.len).unwrap_or_default();
        Tail::of_batch(0, bytes)
            .map_err(|error| JobError::Refused(format!("a batch of our own cannot be read: {error}")))
    }

    /// The batch to write with this commit, once everything before it is stored.
    pub(super) fn record(
        &mut self,
        last: Option<Tail>,
        appended: &Appended,
        reached: Reached,
    ) -> Result<Outgoing, JobError> {
        let Reached { positions, records, complete } = reached;
        let tail = last.map(|last| {
            let end = appended.next();
            Tail { start: end.saturating_sub(last.end), end, ..last }
        });
        let next = JobProgress {
            positions,
            rank: self.rank_before + records,
            tail: tail.or(self.progress.tail),
            state: if complete { JobState::Complete } else { JobState::Running },
            updated_at_ms: now_ms(),
        };
        let batch = match &self.plan {
            Some(plan) => self.ledger.first_batch(plan, &next),
            None => self.ledger.progress_batch(&next),
        };
        self.next = Some(next);
        batch
    }

    /// It stands.
    pub(super) fn committed(&mut self) {
        self.plan = None;
        if let Some(next) = self.next.take() {
            self.progress = next;
        }
    }
}
