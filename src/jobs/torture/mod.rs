//! `torture`: is a merge that is delivered exactly once really that, on this cluster? It is killed again and again, and what it
//! has written in the end is verified.
//!
//! ```text
//!  generate ──▶ merge, in a process of its own ──▶ killed? ──▶ started again … ──▶ left alone ──▶ verify ──▶ verdict
//!                    ▲ a second one takes over, a third is stopped and woken
//! ```
//!
//! Everything happens in topics of its own, which are deleted in the end, whatever the end is.
//!
//! Non-obvious:
//! - A merge that is to die at a phase kills itself there ([`Halt`]): from outside nobody would hit it.
//! - What is killed is the program itself, by SIGKILL: nothing of it gets to tidy up.
//! - A merge that does what it must not (gives up, hangs, goes back) is a finding, not an error: it is reported.

// Where a merge halts itself.
mod halt;
mod signals;

// What is done to it.
mod life;
mod rounds;
mod script;
mod topics;

// What is found.
mod report;

#[cfg(all(test, unix))]
mod testing;

#[cfg(all(test, unix))]
mod tests;

pub use halt::{Halt, How, PREFIX, VARIABLE};
pub use report::TortureReport;

use super::JobContext;
use super::error::JobError;
use super::generate::random::SplitMix64;
use super::generate::{self, IntsSettings};
use crate::batch::Codec;
use crate::client::Cluster;
use crate::keys::{KeyPlan, Order};
use rounds::Rounds;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use topics::Topics;

/// What is done to which merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TortureSettings {
    /// The program whose `merge` is tortured.
    pub program: PathBuf,
    /// Records in total.
    pub records: u64,
    /// Input partitions.
    pub partitions: u32,
    /// Replicas of the topics that are made; the cluster's default, if absent.
    pub replication_factor: Option<i16>,
    /// How often the merge is killed.
    pub kills: u32,
    /// How many of these kills come while a second instance is there.
    pub pairs: u32,
    /// How often the merge commits.
    pub commit_interval: Duration,
    /// What the records, the kills and their order are drawn from.
    pub seed: u64,
    /// Whether the topics stay.
    pub keep: bool,
}

/// Why it is over before its end.
enum Stop {
    /// A merge did what it must not.
    Fault(String),
    /// We cannot go on.
    Job(JobError),
}

impl<E> From<E> for Stop
where
    JobError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Job(error.into())
    }
}

/// Tortures, verifies, and tidies up.
pub async fn run(settings: &TortureSettings, cx: &JobContext) -> Result<TortureReport, JobError> {
    if !signals::can() {
        return Err(JobError::Refused("torture needs signals as Unix has them: they kill, stop and wake".to_owned()));
    }
    let connecting = async { Ok(Cluster::connect(&cx.brokers, cx.timeout).await?) };
    let cluster = or_interrupted(cx, connecting).await?;
    let topics = Topics::new(settings.replication_factor);
    // Where we are asked to stop, what was being done is dropped, and every merge dies with it.
    let tortured = or_interrupted(cx, torture(settings, cx, &cluster, &topics)).await;
    match settings.keep {
        true => tracing::info!("the topics stay: {}", topics.name()),
        false => topics.delete_all(&cluster).await,
    }
    tortured
}

async fn or_interrupted<T>(cx: &JobContext, work: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
    tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        done = work => done,
    }
}

async fn torture(
    settings: &TortureSettings,
    cx: &JobContext,
    cluster: &Cluster,
    topics: &Topics,
) -> Result<TortureReport, JobError> {
    let began = Instant::now();
    tracing::info!("torture {}, seed {}", topics.name(), settings.seed);
    topics.make(cluster, &topics.input(), settings.partitions as i32).await?;
    let generated = generate::run(&ints(settings, topics.input()), cx).await?;
    tracing::info!("{}", generated.summary());
    let random = SplitMix64::new(settings.seed, u64::from(settings.partitions));
    let mut rounds = Rounds::new(settings, cx, cluster, topics, random);
    let fault = match rounds.run().await {
        Ok(()) => None,
        Err(Stop::Fault(fault)) => Some(fault),
        Err(Stop::Job(error)) => return Err(error),
    };
    Ok(TortureReport::new(topics.name(), settings, began.elapsed().as_secs_f64(), rounds.into_tally(), fault))
}

/// What is merged: few equal numbers, many different ones.
fn ints(settings: &TortureSettings, topic: String) -> IntsSettings {
    IntsSettings {
        topic,
        partitions: Some(settings.partitions),
        replication_factor: settings.replication_factor,
        records: settings.records,
        range: 0..=i64::from(u32::MAX),
        seed: settings.seed,
        skew: None,
        batch_bytes: generate::BATCH_BYTES_DEFAULT,
        codec: Codec::None,
        ledger: None,
    }
}

/// By what it is merged.
fn key() -> Result<KeyPlan, JobError> {
    KeyPlan::parse(&["value:int".to_owned()], Order::Asc).map_err(JobError::Usage)
}
