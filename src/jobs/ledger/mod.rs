//! The job record: what a job has planned and how far it is, in a compacted topic on the output's cluster.
//!
//! ```text
//!  kmerge-jobs, one partition            key        value
//!  ──────────────────────────            JOB/plan      inputs with pinned ends, key, order, output: written once
//!  the newest record of a key stays      JOB/progress  positions, rank, the records written last: with each commit
//! ```
//!
//! Progress is written in the transaction of the output's records that it speaks of, so both are always of one moment. It
//! does not expire, and the ends that were pinned at the start live in it.
//!
//! Non-obvious:
//! - Other jobs write into the topic too, also in transactions that are open for long: it is read up to its high watermark
//!   only once the last stable offset has passed that, or a record of ours that is committed already would be missed.
//! - Everything read is a claim: another job's tool, an older or newer kmerge, or a person may have written it.
//! - The writer of the records is not in here: [`Ledger::first_batch`] and [`Ledger::progress_batch`] make batches without
//!   a producer, whoever holds the transaction sends them.

// The records, as values and as text.
pub(crate) mod record;

mod json;

pub(crate) mod tail;

// Where they are kept.
pub(crate) mod name;

mod topic;

// What they mean for a job that starts.
pub(crate) mod facts;

pub(crate) mod start;

#[cfg(test)]
pub(super) mod testing;

pub(crate) use record::{JobPlan, JobProgress, JobState};
pub(crate) use tail::Tail;

use crate::base::place::{Place, TopicPartition};
use crate::base::shutdown::Shutdown;
use crate::base::text::visible;
use crate::base::units::show_size;
use crate::batch::{BatchError, BatchWriter, Codec, Headers};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::observe::progress::Progress;
use crate::ports::Outgoing;
use json::Flaw;
use std::time::Duration;

/// What may be unfolded at once to read the records of jobs.
const READ_BYTES: usize = 64 << 20;

/// The records of one job.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    cluster: Cluster,
    partition: TopicPartition,
    job: String,
    /// How long transactions of other jobs are waited for.
    patience: Duration,
    /// The largest batch that the topic takes.
    batch_bytes_max: usize,
}

/// The newest record of one kind.
struct Found {
    at: Place,
    value: Vec<u8>,
}

impl Ledger {
    /// The records of `job` in `topic`, which is made if it is not there, with so many replicas.
    pub(crate) async fn open(
        cluster: &Cluster,
        topic: &str,
        job: &str,
        replication_factor: i16,
        patience: Duration,
    ) -> Result<Self, JobError> {
        let opened = topic::open(cluster, topic, replication_factor).await?;
        Ok(Self::of(cluster, opened, job, patience))
    }

    /// The same for who only reads; `None` where there is no such topic.
    pub(crate) async fn look(
        cluster: &Cluster,
        topic: &str,
        job: &str,
        patience: Duration,
    ) -> Result<Option<Self>, JobError> {
        Ok(topic::look(cluster, topic).await?.map(|opened| Self::of(cluster, opened, job, patience)))
    }

    fn of(cluster: &Cluster, opened: topic::Opened, job: &str, patience: Duration) -> Self {
        Self {
            cluster: cluster.clone(),
            partition: opened.partition,
            job: job.to_owned(),
            patience,
            batch_bytes_max: opened.batch_bytes_max,
        }
    }

    /// Where the records are.
    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The newest plan and progress that are committed; `None` if there is no plan.
    ///
    /// Who is about to continue the job asks after having fenced every other instance, so that nothing newer comes.
    pub(crate) async fn read(&self) -> Result<Option<(JobPlan, Option<JobProgress>)>, JobError> {
        let asked = std::slice::from_ref(&self.partition);
        let end = self.cluster.offsets(asked, OffsetAt::Latest).await?.first().copied().unwrap_or(0);
        self.cluster.wait_for_transactions(&[(self.partition.clone(), end)], self.patience).await?;
        self.read_to(end).await
    }

    /// The same of what is readable now, whoever has something open: what was committed lately may be missing.
    pub(crate) async fn glance(&self) -> Result<Option<(JobPlan, Option<JobProgress>)>, JobError> {
        let asked = std::slice::from_ref(&self.partition);
        let end = self.cluster.offsets(asked, OffsetAt::LastStable).await?.first().copied().unwrap_or(0);
        self.read_to(end).await
    }

    async fn read_to(&self, end: i64) -> Result<Option<(JobPlan, Option<JobProgress>)>, JobError> {
        let asked = std::slice::from_ref(&self.partition);
        let start = self.cluster.offsets(asked, OffsetAt::Earliest).await?.first().copied().unwrap_or(0);
        let reader = self.cluster.reader(self.partition.clone(), start..end.max(start), ReadOptions::default());
        // Who waits for us listens to the wish to stop.
        let mut records = RecordCursor::new(reader, READ_BYTES, Shutdown::default(), Progress::default());
        let (plan_key, progress_key) = (self.key("plan"), self.key("progress"));
        let (mut plan, mut progress) = (None, None);
        while let Some(()) = records
            .next_with(|record| {
                let newest = match record.key {
                    Some(key) if key == plan_key.as_bytes() => &mut plan,
                    Some(key) if key == progress_key.as_bytes() => &mut progress,
                    _ => return,
                };
                // A record without a value takes the one before it back.
                let at = self.partition.at(record.offset);
                *newest = record.value.map(|value| Found { at, value: value.to_vec() });
            })
            .await?
        {}
        self.check(plan, progress)
    }

    fn check(
        &self,
        plan: Option<Found>,
        progress: Option<Found>,
    ) -> Result<Option<(JobPlan, Option<JobProgress>)>, JobError> {
        let Some(found) = plan else {
            // Both are written at once, so a progress on its own speaks of a plan that somebody took away.
            return match progress {
                None => Ok(None),
                Some(found) => Err(self.damaged(&found, "progress", "there is no plan beside it")),
            };
        };
        let plan = json::plan_from_json(&found.value).map_err(|flaw| self.flawed(&found, "plan", &flaw))?;
        if plan.job != self.job {
            return Err(self.damaged(&found, "plan", &format!("it is of a job {}", visible(&plan.job))));
        }
        if plan.inputs.is_empty() {
            return Err(self.damaged(&found, "plan", "it has no inputs"));
        }
        let planned_at = found.at.offset;
        let Some(found) = progress else { return Ok(Some((plan, None))) };
        let progress = json::progress_from_json(&found.value).map_err(|flaw| self.flawed(&found, "progress", &flaw))?;
        if found.at.offset < planned_at {
            let newer = format!("the plan, at offset {planned_at}, is newer");
            return Err(self.damaged(&found, "progress", &newer));
        }
        match progress.misfit(&plan) {
            None => Ok(Some((plan, Some(progress)))),
            Some(misfit) => Err(self.damaged(&found, "progress", &misfit)),
        }
    }

    fn flawed(&self, found: &Found, kind: &str, flaw: &Flaw) -> JobError {
        match flaw {
            Flaw::Version { .. } => JobError::Refused(format!(
                "{} holds the {kind} of job {}: {flaw}. Use the version of kmerge that wrote it, or one that is newer; or \
                 begin again on an empty output with --restart; or give this job another name with --job",
                found.at,
                visible(&self.job),
            )),
            Flaw::Form(what) => self.damaged(found, kind, what),
        }
    }

    fn damaged(&self, found: &Found, kind: &str, what: &str) -> JobError {
        JobError::Refused(format!(
            "{} holds the {kind} of job {}, and not as kmerge writes it: {what}. Begin again on an empty output with \
             --restart, or give this job another name with --job",
            found.at,
            visible(&self.job),
        ))
    }

    /// The records of the first commit: the plan and the progress beside it.
    pub(crate) fn first_batch(&self, plan: &JobPlan, progress: &JobProgress) -> Result<Outgoing, JobError> {
        let records = [
            (self.key("plan"), json::plan_to_json(plan).to_string()),
            (self.key("progress"), json::progress_to_json(progress).to_string()),
        ];
        self.batch(&records, progress.updated_at_ms)
    }

    /// The record of every other commit.
    pub(crate) fn progress_batch(&self, progress: &JobProgress) -> Result<Outgoing, JobError> {
        let records = [(self.key("progress"), json::progress_to_json(progress).to_string())];
        self.batch(&records, progress.updated_at_ms)
    }

    /// Refuses a plan whose records will not fit into the topic, however far the job has come by then.
    pub(crate) fn check_fits(&self, plan: &JobPlan) -> Result<(), JobError> {
        let widest = JobProgress {
            positions: plan.inputs.iter().map(|input| input.range.end).collect(),
            rank: u64::MAX,
            tail: Some(Tail { start: i64::MAX, end: i64::MAX, records: u32::MAX, checksum: 0, stamps: 0 }),
            state: JobState::Complete,
            updated_at_ms: i64::MAX,
        };
        self.first_batch(plan, &widest).map(drop)
    }

    fn key(&self, kind: &str) -> String {
        format!("{}/{kind}", self.job)
    }

    fn batch(&self, records: &[(String, String)], timestamp: i64) -> Result<Outgoing, JobError> {
        let mut bytes = Vec::new();
        let len = fill(records, timestamp, &mut bytes)
            .map_err(|error| JobError::Refused(format!("the record of job {}: {error}", visible(&self.job))))?;
        if len > self.batch_bytes_max {
            return Err(JobError::Refused(format!(
                "the record of job {} takes {}, {} takes {} at once (max.message.bytes): raise that, or merge fewer \
                 partitions at a time",
                visible(&self.job),
                show_size(len as u64),
                visible(&self.partition.topic),
                show_size(self.batch_bytes_max as u64),
            )));
        }
        Ok(Outgoing { bytes, len, records: records.len() as u32 })
    }
}

/// One batch of these keys and values; gives its length.
fn fill(records: &[(String, String)], timestamp: i64, into: &mut Vec<u8>) -> Result<usize, BatchError> {
    // As it is, so that anybody can read it.
    let mut writer = BatchWriter::new(Codec::None);
    for (key, value) in records {
        writer.push(timestamp, Some(key.as_bytes()), Some(value.as_bytes()), Headers::EMPTY)?;
    }
    writer.finish_into(into)
}

#[cfg(test)]
mod tests;
