//! `consume`: the committed records of partitions as text, as they come or in one total order.
//!
//! ```text
//!  partitions ──▶ windows, fetched ahead ──▶ decode in place ──▶ wanted? ──▶ text ──▶ block ──▶ written elsewhere
//!                 (a task each)              (as_they_come.rs, or ordered.rs)         (blocks.rs)
//! ```
//!
//! Decoding and printing are one synchronous piece of code on one thread; it stops where a block is full or nothing is at hand,
//! and only there is anything awaited. Nothing is allocated for a record. What a job holds is divided once, from one budget
//! (`shares.rs`): windows, what a compressed batch unfolds to, blocks.
//!
//! Non-obvious:
//! - A block goes out when it is full, and also whenever no window is at hand: so throughput comes in large writes and a record
//!   that arrives alone is not kept back.
//! - Reading ends for one of the reasons in [`Stopped`], which the report always has, also beside an error.
//! - Within a partition records come in the order of their offsets. Between partitions there is no order, except with `ordered`.

mod as_they_come;
mod blocks;
mod growth;
mod in_group;
mod ordered;
mod printer;
mod reach;
mod report;
mod shares;
mod source;

#[cfg(test)]
mod tests;

pub use blocks::{Blocks, BlocksOut, Closed, HangUp, blocks};
pub use printer::Counts;
pub use report::{ConsumeReport, PartitionRead, Stopped};

use super::JobContext;
use super::error::JobError;
use super::range::partitions_of;
use crate::base::from_to::FromTo;
use crate::base::place::TopicPartition;
use crate::client::Cluster;
use crate::client::group::GroupOptions;
use crate::formats::template::Template;
use crate::keys::{Filter, KeyPlan};
use printer::Printer;
use reach::Leg;
use std::time::{Duration, Instant};

/// What is read, and how it is shown.
#[derive(Debug, Clone)]
pub struct ConsumeSettings {
    /// The topics.
    pub topics: Vec<String>,
    /// These partitions of each topic only; all where it is empty.
    pub partitions: Vec<i32>,
    /// From where to where.
    pub reach: FromTo,
    /// Stop at the ends as they are at the start.
    pub exit: bool,
    /// Stop when so many records are shown.
    pub count: Option<u64>,
    /// Which records are shown.
    pub filter: Filter,
    /// How they are shown.
    pub format: Format,
    /// In one total order.
    pub ordered: Option<Ordered>,
    /// As a member of a consumer group: what it gives, from where it stands.
    pub group: Option<GroupOptions>,
    /// The most memory that reading and printing may take.
    pub memory_bytes: usize,
    /// The time now, in milliseconds since 1970: relative times count from it.
    pub now_ms: i64,
}

/// How a record is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// By a format string.
    Template(Template),
    /// As one JSON object a line.
    Json {
        /// Whether it must not drive a terminal.
        visible: bool,
    },
}

/// A total order over all partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// By what, and which way.
    pub keys: KeyPlan,
    /// After how long a quiet partition is not waited for any more; never, if absent.
    pub idle_timeout: Option<Duration>,
}

/// What reading has come to so far, shared by both ways to do it.
struct Reading<'a> {
    cluster: &'a Cluster,
    settings: &'a ConsumeSettings,
    cx: &'a JobContext,
    printer: Printer,
    blocks: Blocks,
    /// Where each partition stands, in the order of the legs.
    partitions: Vec<PartitionRead>,
    /// Records whose place in the order was before what was shown already.
    late: u64,
}

/// Reads and prints until there is a reason to stop. The report is true however it ended.
pub async fn run(settings: &ConsumeSettings, blocks: Blocks, cx: &JobContext) -> (ConsumeReport, Result<(), JobError>) {
    let started = Instant::now();
    let planned = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        planned = plan(settings, cx) => planned,
    };
    let (cluster, legs) = match planned {
        Ok(planned) => planned,
        Err(error) => return (ConsumeReport::of_nothing(started, &error), Err(error)),
    };
    read(settings, &cluster, legs, blocks, cx, started).await
}

async fn plan(settings: &ConsumeSettings, cx: &JobContext) -> Result<(Cluster, Vec<Leg>), JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    if settings.group.is_some() {
        // It says what, and from where.
        return Ok((cluster, Vec::new()));
    }
    let partitions = partitions_of(&cluster, &settings.topics, &settings.partitions).await?;
    for spot in [&settings.reach.from, &settings.reach.to].into_iter().flatten() {
        if let crate::base::from_to::Spot::Offsets(listed) = spot
            && let Some(stranger) = listed.stranger_to(&partitions)
        {
            return Err(JobError::Usage(format!("{spot} names {stranger}, which is not read here")));
        }
    }
    let legs = reach::legs(&cluster, &partitions, settings).await?;
    for leg in legs.iter().filter(|leg| leg.start < leg.first && !leg.is_empty()) {
        tracing::warn!(partition = %leg.partition, ends_at = leg.start, start = leg.first, "the log does not reach the start yet");
    }
    Ok((cluster, legs))
}

async fn read(
    settings: &ConsumeSettings,
    cluster: &Cluster,
    legs: Vec<Leg>,
    blocks: Blocks,
    cx: &JobContext,
    started: Instant,
) -> (ConsumeReport, Result<(), JobError>) {
    let following = legs.iter().any(|leg| leg.follows && !leg.is_empty());
    cx.progress.begin("consume", legs.iter().map(Leg::offsets).sum());
    let mut reading = Reading {
        cluster,
        settings,
        cx,
        printer: Printer::new(settings.format.clone(), settings.filter.clone(), settings.count),
        blocks,
        partitions: legs.iter().map(PartitionRead::of).collect(),
        late: 0,
    };
    let mut ended = match (&settings.group, &settings.ordered) {
        (Some(group), _) => reading.in_group(group).await,
        (None, None) => reading.as_they_come(legs, following).await,
        (None, Some(ordered)) => reading.in_order(legs, following, ordered).await,
    };
    // What was printed is shown also where the next thing failed.
    if let Err(Closed) = reading.finish().await
        && !matches!(ended, Err(JobError::Interrupted(_)))
    {
        ended = Ok(Stopped::Closed);
    }
    let (stopped, ended) = match ended {
        Ok(stopped) => (stopped, Ok(())),
        Err(error) => (Stopped::of_error(&error), Err(error)),
    };
    let Reading { printer, partitions, late, .. } = reading;
    let report =
        ConsumeReport { counts: printer.counts, partitions, late, stopped, seconds: started.elapsed().as_secs_f64() };
    (report, ended)
}

impl Reading<'_> {
    /// Hands the block at hand over; `Some` if nobody takes it.
    async fn send_block(&mut self) -> Option<Stopped> {
        if self.printer.block().is_empty() {
            return None;
        }
        let block = std::mem::take(self.printer.block());
        match self.blocks.send(block).await {
            Ok(empty) => {
                *self.printer.block() = empty;
                None
            }
            Err(Closed) => Some(Stopped::Closed),
        }
    }

    async fn finish(&mut self) -> Result<(), Closed> {
        if self.send_block().await.is_some() {
            return Err(Closed);
        }
        self.blocks.flush().await
    }

    /// Why reading is over when every partition is read to its end.
    fn at_the_ends(&self) -> Stopped {
        if self.settings.exit { Stopped::Exit } else { Stopped::End }
    }

    /// A reader for one way, that waits at the log's end where the way leads on.
    fn reader(&self, leg: &Leg, options: crate::client::ReadOptions) -> crate::client::PartitionReader {
        let range = leg.start..leg.end.unwrap_or(i64::MAX);
        match leg.follows {
            true => self.cluster.follower(leg.partition.clone(), range, options),
            false => self.cluster.reader(leg.partition.clone(), range, options),
        }
    }

    /// The partitions that are read as a whole, which may get new neighbours.
    fn may_grow(&self) -> bool {
        self.settings.partitions.is_empty() && self.settings.reach.to.is_none() && !self.settings.exit
    }
}

/// The partitions of each topic that are known, to see which ones are new.
fn known(partitions: &[PartitionRead]) -> std::collections::BTreeMap<String, usize> {
    let mut known = std::collections::BTreeMap::new();
    for TopicPartition { topic, .. } in partitions.iter().map(|read| &read.partition) {
        *known.entry(topic.to_string()).or_default() += 1;
    }
    known
}
