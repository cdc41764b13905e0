//! The merge: sorted partitions in, one totally ordered partition out.
//!
//! ```text
//!  preflight ──▶ plan ──▶ engine/: our client, a tree of losers over lanes of keys ──▶ output ──▶ report
//!  refuses       pinned   count.rs: counts instead of merging
//!                         plain.rs: rskafka and a heap, the second opinion
//!                exactly_once/ around the first two: progress is committed with the output, and gone on from
//! ```
//!
//! Non-obvious:
//! - Nothing is written before every refusal that can be foreseen has been considered.
//! - Idempotent delivery: the broker knows a repeated batch by its producer and sequence and stores it once. Where it does not
//!   (at-least-once, or a broker that has forgotten the producer) a repeat shows in the offsets that it acknowledges, and
//!   stops the job; the last batch has none after it, so the output's end is looked at once more. In a transaction a broker
//!   forgets no producer.
//! - Whatever stops the job after it began to write tells how far the output goes.

// What a record costs, and what it says.
pub(crate) mod record;

// Before the start.
mod aborted;
mod firsts;
mod floor;
mod job;
mod keeping;
mod plan;
mod preflight;
mod ranges;

// In, through, out.
mod engine;

mod count;

// In transactions, with progress that outlives us.
mod exactly_once;

// The same on the foreign client.
mod ahead;
mod output;
mod plain;

// After the end.
mod report;

pub(crate) use engine::batch_bytes_within;
pub(crate) use keeping::Retention;
pub use plan::{Plan, Source};
pub(crate) use preflight::message_bytes_max;
pub use report::MergeReport;

use super::JobContext;
use super::error::JobError;
use super::outlet::Closed;
use crate::base::appended::Appended;
use crate::base::ends::Bound;
use crate::batch::Codec;
use crate::client::{self, Cluster, OffsetAt, WriteOptions};
use crate::keys::KeyPlan;
use crate::observe::usage::Usage;
use preflight::{Floor, Prepared};
use std::time::{Duration, Instant};

/// Which client fetches and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Client {
    /// Our own.
    #[default]
    Kmerge,
    /// rskafka: slower and less able, an independent second opinion.
    Rskafka,
}

impl Client {
    /// As it is typed and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kmerge => "kmerge",
            Self::Rskafka => "rskafka",
        }
    }
}

/// How the merge is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A streaming heap over the heads of all sources; takes any records, needs sorted inputs.
    #[default]
    Merge,
    /// Counts each distinct key and writes it so often; for records that are nothing but their key, in any order.
    Count,
}

impl Strategy {
    /// As it is typed and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Count => "count",
        }
    }
}

/// How the output's batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputCodec {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// Zstandard, at its fastest.
    Zstd,
    /// As the input's batch was from which the first record comes.
    Keep,
}

impl OutputCodec {
    /// The codec, where it is the same for all batches.
    pub fn codec(self) -> Option<Codec> {
        match self {
            Self::None => Some(Codec::None),
            Self::Gzip => Some(Codec::Gzip),
            Self::Snappy => Some(Codec::Snappy),
            Self::Lz4 => Some(Codec::Lz4),
            Self::Zstd => Some(Codec::Zstd),
            Self::Keep => None,
        }
    }
}

/// What is promised about each record of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Each once, whatever is killed: output and progress are committed together, and the same merge goes on where it was.
    #[default]
    ExactlyOnce,
    /// Each once while nothing is killed: a broker knows a repeated batch.
    Idempotent,
    /// A repeat is seen, and stops the merge.
    AtLeastOnce,
}

impl Delivery {
    /// As it is typed and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly-once",
            Self::Idempotent => "idempotent",
            Self::AtLeastOnce => "at-least-once",
        }
    }

    /// How a partition is written outside a transaction.
    fn write(self) -> client::Delivery {
        match self {
            Self::ExactlyOnce | Self::Idempotent => client::Delivery::Idempotent,
            Self::AtLeastOnce => client::Delivery::AtLeastOnce,
        }
    }
}

/// How a merge that is delivered exactly once keeps its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progressing {
    /// The job's name; by default it follows from the topics.
    pub job: Option<String>,
    /// The compacted topic of the job records, on the output's cluster.
    pub jobs_topic: String,
    /// Forget what the job record says and begin again; the output must be empty.
    pub restart: bool,
    /// The consumer group whose offsets follow the progress, for tools that show lag.
    pub group: Option<String>,
    /// How long a transaction stays open.
    pub commit_interval: Duration,
    /// After how long the cluster aborts a transaction that nobody ends: so long readers of the output wait for a job that
    /// was killed and is not started again.
    pub transaction_timeout: Duration,
}

impl Default for Progressing {
    fn default() -> Self {
        Self {
            job: None,
            jobs_topic: "kmerge-jobs".to_owned(),
            restart: false,
            group: None,
            commit_interval: Duration::from_secs(1),
            transaction_timeout: Duration::from_secs(60),
        }
    }
}

/// What is done although it may lose records of the output, because somebody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allow {
    /// The output topic stamps records itself.
    pub append_time: bool,
    /// The output topic's retention deletes records as old as the input's, or as many.
    pub retention_loss: bool,
}

/// What is to be merged, and how.
#[derive(Debug, Clone)]
pub struct MergeSettings {
    /// The input topics, in the order that decides ties.
    pub from: Vec<String>,
    /// The output topic; it must have exactly one partition.
    pub to: String,
    /// What the records are ordered by, and which way.
    pub keys: KeyPlan,
    /// The budget for records in memory.
    pub memory_bytes: usize,
    /// Threads that merge and decode, where decoding is worth one; what the processors and the records suggest, if absent.
    pub threads: Option<usize>,
    /// How the merge is done.
    pub strategy: Strategy,
    /// Which client does it.
    pub client: Client,
    /// What is promised about each record of the output.
    pub delivery: Delivery,
    /// How progress is kept, where it is.
    pub progressing: Progressing,
    /// What is done all the same.
    pub allow: Allow,
    /// How the output is compressed.
    pub compression: OutputCodec,
    /// The size that a batch of several records stays below.
    pub batch_bytes: usize,
    /// Where to start; the first record there is, if absent.
    pub start: Option<Bound>,
    /// Where to end; the high watermarks now, if absent.
    pub end: Option<Bound>,
    /// Whether the output may hold records already, none above the first that is added.
    pub append: bool,
}

/// Makes the plan and refuses what can be refused, without writing anything.
pub async fn plan(settings: &MergeSettings, cx: &JobContext) -> Result<Plan, JobError> {
    preflight::interruptible(cx, preflight::prepare(settings, cx)).await.map(|prepared| prepared.plan)
}

/// Merges.
pub async fn run(settings: &MergeSettings, cx: &JobContext) -> Result<MergeReport, JobError> {
    let before = cx.progress.stages().times();
    let report = merged(settings, cx).await?;
    let stages = cx.progress.stages().times().since(before);
    if stages.bound().is_some() {
        tracing::debug!("of the time of each task of the merge: {}", stages.shares());
    }
    Ok(MergeReport { stages, ..report })
}

async fn merged(settings: &MergeSettings, cx: &JobContext) -> Result<MergeReport, JobError> {
    let began = Instant::now();
    cx.progress.begin("look", 0);
    if settings.delivery == Delivery::ExactlyOnce {
        let done = exactly_once::run(settings, cx).await?;
        return Ok(MergeReport::of_job(done, settings, cx, began.elapsed(), Usage::now()));
    }
    let Prepared { plan, floor, cluster } = preflight::interruptible(cx, preflight::prepare(settings, cx)).await?;
    let (appended, outcome) = match settings.client {
        Client::Kmerge => on_our_client(&plan, settings, floor, &cluster, cx).await,
        Client::Rskafka => plain::merge(&plan, settings, floor, cx).await,
    };
    if let Err(error) = outcome {
        return Err(told_how_far(error, &appended, &plan));
    }
    check_nothing_came_after(&appended, &plan, &cluster).await?;
    Ok(MergeReport::new(&plan, settings, cx, &appended, began.elapsed(), Usage::now()))
}

/// Merges or counts on our own client, without transactions.
async fn on_our_client(
    plan: &Plan,
    settings: &MergeSettings,
    floor: Option<Floor>,
    cluster: &Cluster,
    cx: &JobContext,
) -> Closed {
    let options = WriteOptions { delivery: settings.delivery.write(), ..WriteOptions::default() };
    let opened = cluster.writer(plan.output.clone(), plan.output_end, options);
    let sink = match preflight::interruptible(cx, async { Ok(opened.await?) }).await {
        Ok(sink) => sink,
        Err(error) => return (Appended::at_end(plan.output.clone(), plan.output_end), Err(error)),
    };
    match settings.strategy {
        Strategy::Merge => {
            cx.progress.begin("merge", plan.offsets());
            engine::Engine::on(plan, settings, cluster, cx).merge(floor, sink).await
        }
        Strategy::Count => count::count(plan, settings, floor, cluster, cx, sink, 0).await,
    }
}

/// The last batch has none after it that would show a late repeat: the output's end does.
async fn check_nothing_came_after(appended: &Appended, plan: &Plan, cluster: &Cluster) -> Result<(), JobError> {
    let ends = cluster.offsets(std::slice::from_ref(&plan.output), OffsetAt::Latest).await?;
    match ends.first() {
        Some(&end) if end > appended.next() => {
            Err(JobError::GrownOutput { output: plan.output.clone(), expected: appended.next(), end })
        }
        _ => Ok(()),
    }
}

/// Adds how far the output goes, once something was written or somebody wants to know.
fn told_how_far(error: JobError, appended: &Appended, plan: &Plan) -> JobError {
    if appended.records() == 0 && !matches!(error, JobError::Interrupted(_)) {
        return error;
    }
    JobError::Stopped {
        error: Box::new(error),
        output: plan.output.clone(),
        written: appended.start()..appended.next(),
        planned: plan.offsets(),
    }
}
