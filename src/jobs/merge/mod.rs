//! The merge: sorted partitions in, one totally ordered partition out.
//!
//! ```text
//!  preflight ──▶ plan ──▶ merge or count ──▶ output ──▶ report
//!  refuses       pinned   plain.rs count.rs  output.rs
//! ```
//!
//! Non-obvious:
//! - Nothing is written before every refusal that can be foreseen has been considered.
//! - Delivery is at-least-once: the client repeats a write whose answer it did not get. A repeat shows in the offsets that
//!   the broker acknowledges, and stops the job; the last batch has none after it, so the output's end is looked at once more.
//! - Whatever stops the job after it began to write tells how far the output goes.

// What a record costs, and what it says.
pub(crate) mod record;

// Before the start.
mod plan;
mod preflight;

// In, through, out.
mod ahead;
mod count;
mod engine;
mod output;
mod plain;

// After the end.
mod report;

pub use plan::{Plan, Source};
pub use report::MergeReport;

use super::JobContext;
use super::error::JobError;
use crate::base::ends::Bound;
use crate::client::rskafka::{Appended, Compression, PlainClient};
use crate::client::{Cluster, OffsetAt};
use crate::keys::KeyPlan;
use crate::observe::usage::Usage;
use std::time::Instant;

/// The client this merge runs on.
const CLIENT: &str = "rskafka";
/// What is promised about repeats.
const DELIVERY: &str = "at-least-once";

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

/// How the output's batches are compressed; lz4 and zstd are not to be had from this client without compiling C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputCodec {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
}

impl From<OutputCodec> for Compression {
    fn from(codec: OutputCodec) -> Self {
        match codec {
            OutputCodec::None => Self::NoCompression,
            OutputCodec::Gzip => Self::Gzip,
            OutputCodec::Snappy => Self::Snappy,
        }
    }
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
    /// How the merge is done.
    pub strategy: Strategy,
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
    let began = Instant::now();
    cx.progress.begin("look", 0);
    let (prepared, client) = preflight::interruptible(cx, async {
        let prepared = preflight::prepare(settings, cx).await?;
        let client = PlainClient::connect(&cx.brokers, cx.timeout).await?;
        Ok((prepared, client))
    })
    .await?;
    let plan = prepared.plan;
    let (appended, outcome) = match settings.strategy {
        Strategy::Merge => plain::merge(&plan, settings, prepared.floor, &client, cx).await,
        Strategy::Count => count::count(&plan, settings, prepared.floor, &client, cx).await,
    };
    if let Err(error) = outcome {
        return Err(told_how_far(error, &appended, &plan));
    }
    check_nothing_came_after(&appended, &plan, cx).await?;
    let usage = Usage::now();
    Ok(MergeReport::new(&plan, settings, cx, &appended, began.elapsed(), usage))
}

/// The last batch has none after it that would show a late repeat: the output's end does.
async fn check_nothing_came_after(appended: &Appended, plan: &Plan, cx: &JobContext) -> Result<(), JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
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

/// How the output is cut for this plan.
fn cut(plan: &Plan, settings: &MergeSettings) -> output::Cut {
    output::Cut {
        batch_bytes: settings.batch_bytes,
        bytes_max: plan.output_bytes_max,
        memory_bytes: plan::memory_for_output(plan.memory_bytes),
        compression: settings.compression.into(),
    }
}
