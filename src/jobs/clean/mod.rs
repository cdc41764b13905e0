//! `clean`: records are put right on their way from a topic to another one, by rules, exactly once.
//!
//! ```text
//!  group ──gives partitions──▶ feeds ──▶ hand.rs: rules, memory, counts ──▶ outbox.rs ──▶ result topic  ┐
//!    ▲                         (a task each)                  │   │          (batches)                  ├ one transaction
//!    │                                                        │   ├ held.rs ── closed ──▶ grouped topic ┤
//!    │                                                        │   ├ insights/ ── counted ──▶ its topics ┤
//!    │                                                        │   └ files/ ─────▶ a file a partition    ┤
//!    │                                                        └── refused ──────────────▶ dead letters  ┤
//!    └──────────────── offsets, each with its note (tally.rs), as member and generation ────────────────┘
//! ```
//!
//! Non-obvious:
//! - A transaction holds what was made of the records, the dead letters, and the group's offsets. The coordinator takes the
//!   offsets only from whose partitions they are; a member that has lost one is refused, voids what it has open and goes on from
//!   what is committed. So whoever comes, goes or is killed, each record is cleaned once, as read by `read_committed`.
//! - After a doubt nothing in memory counts: what stands is read again, and cleaned from there with new feeds (`recover.rs`).
//! - What is held of a partition belongs to it and moves with it: the note beside the offset says from where on the log
//!   has to be read to have it again. It is a function of the log alone, and so is every group that goes out.
//! - Nothing vanishes: what is read goes out, or is filtered, or is a duplicate, or is refused, and one of these only. What is
//!   offered to groups is in one that went out, in an open one, or was late. That is checked before each commit against what the
//!   rules have counted, what is held, and what the brokers have acknowledged.
//! - With a ledger what is committed is noted by topic, partition and minute: in a topic within the transaction, in a file once it
//!   stands (`accounts.rs`).
//! - With a name for the instance, a restart takes the transactional id of the one before and so voids what that had left open
//!   at once. Without one the id is drawn, and what was left open times out: until then nobody goes on with its partitions.

mod accounts;
mod begin;
mod close;
mod commit;
mod dead;
mod files;
mod hand;
mod held;
mod insights;
mod lane;
mod lookups;
mod outbox;
mod preview;
mod recover;
mod report;
mod tally;
mod topics;
mod work;

#[cfg(test)]
mod tests;

pub use dead::HEADERS as DEAD_LETTER_HEADERS;
pub use files::ParquetSettings;
pub(in crate::jobs) use files::{file_of, name_of_file, said_by_folder};
pub use preview::{Fate, InGroup, Preview, Seen, preview};
pub use report::CleanReport;
pub use tally::{GroupTally, Tally};

use super::JobContext;
use super::commit_pace::{self, CommitPace};
use super::error::JobError;
use super::minutes::LedgerTo;
use crate::batch::Codec;
use crate::client::Cluster;
use crate::client::group::GroupOptions;
use crate::rules::Rules;
use std::sync::Arc;
use std::time::{Duration, Instant};
use work::Work;

/// What is open is tried to be voided for so long by who stops.
const VOID_TIME: Duration = Duration::from_secs(10);

/// Brokers look only every few seconds for transactions that have been open for too long, and then have to void them.
const VOIDED_WITHIN: Duration = Duration::from_secs(20);

/// What becomes of records that are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejects {
    /// They go to this topic.
    Letters(String),
    /// The first one stops the job.
    Stop,
}

/// What is cleaned, how, and where it goes.
#[derive(Debug, Clone)]
pub struct CleanSettings {
    /// The topics that are read.
    pub from: Vec<String>,
    /// The topic that what is clean goes to; made if it is missing. None, where there are other places for it.
    pub to: Option<String>,
    /// The files that it goes to.
    pub parquet: Option<ParquetSettings>,
    /// The rules.
    pub rules: Arc<Rules>,
    /// What becomes of records that are refused.
    pub rejects: Rejects,
    /// Where windows of insights go that have closed, and what they have counted in all; made if it is missing.
    pub insights_to: Option<String>,
    /// Where what insights have counted is kept; made if it is missing.
    pub insights_state: String,
    /// The group whose members share the partitions, and as who this one is in it.
    pub group: GroupOptions,
    /// Stop at the ends as they are when a partition becomes ours.
    pub exit: bool,
    /// Then close the windows that are still open.
    pub close_windows: bool,
    /// What is committed is noted there, by topic, partition and minute.
    pub ledger: Option<LedgerTo>,
    /// How batches are compressed.
    pub codec: Codec,
    /// The size that a batch of several records stays below, before compression.
    pub batch_bytes: usize,
    /// What all of it may take.
    pub memory_bytes: usize,
    /// How long a transaction stays open.
    pub commit_interval: Duration,
    /// After how long the cluster voids one that was left open.
    pub transaction_timeout: Duration,
    /// How often it is told what was put in for what was missing.
    pub report_interval: Duration,
}

impl CleanSettings {
    /// The transactional id: that of the instance before, where it has a name.
    fn transactional_id(&self) -> String {
        let drawn = || format!("{:016x}", rand::random::<u64>());
        let instance = self.group.instance.clone().unwrap_or_else(drawn);
        format!("clean:{}:{instance}", self.group.group)
    }

    /// As who we are in the group.
    fn member(&self) -> GroupOptions {
        let stable_within = Some(self.transaction_timeout.saturating_add(VOIDED_WITHIN));
        GroupOptions { stable_within, ..self.group.clone() }
    }

    fn check(&self) -> Result<(), JobError> {
        let grouped = topics::of_groups(&self.rules).0;
        if self.to.is_none() && self.parquet.is_none() && grouped.is_empty() {
            return Err(JobError::Usage(
                "what is clean goes nowhere: give --to TOPIC or --parquet DIR, or group records into a topic ([[group_by]])"
                    .to_owned(),
            ));
        }
        if let Some(parquet) = &self.parquet
            && parquet.interval >= self.transaction_timeout / 2
        {
            return Err(JobError::Usage(format!(
                "--parquet-interval {:?} leaves no time to write what is due then: it has to be below half of --transaction-timeout {:?}",
                parquet.interval, self.transaction_timeout
            )));
        }
        let mut written: Vec<(&str, &str)> = self.to.iter().map(|to| ("--to", to.as_str())).collect();
        written.extend(grouped.into_iter().map(|topic| ("to of a group_by,", topic)));
        if let Rejects::Letters(topic) = &self.rejects {
            written.push(("--dead-letters", topic));
        }
        if !self.rules.insights().is_empty() {
            written.push(("--insights-state", &self.insights_state));
            written.extend(self.insights_to.iter().map(|topic| ("--insights-to", topic.as_str())));
        }
        if let Some(LedgerTo::Topic(topic)) = &self.ledger {
            written.push(("--ledger-topic", topic));
        }
        lookups::come_from_elsewhere(&self.rules, &self.from, &written)?;
        for (index, (flag, topic)) in written.iter().enumerate() {
            if self.from.iter().any(|from| from == topic) {
                return Err(JobError::Usage(format!(
                    "{flag} {topic} is read as well: it would never end. Name another topic"
                )));
            }
            if let Some((other, _)) = written[..index].iter().find(|(_, before)| before == topic) {
                return Err(JobError::Usage(format!(
                    "{other} and {flag} are both {topic}: results, groups, refused records, insights and the ledger each need a topic of their own"
                )));
            }
        }
        Ok(())
    }
}

/// Cleans until there is a reason to stop. The report is true however it ended.
pub async fn run(settings: &CleanSettings, cx: &JobContext) -> (CleanReport, Result<(), JobError>) {
    let began = Instant::now();
    let opened = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        opened = open(settings, cx) => opened,
    };
    match opened {
        Ok(work) => work.run(began).await,
        Err(error) => (CleanReport::of_nothing(settings, began), Err(error)),
    }
}

async fn open<'a>(settings: &'a CleanSettings, cx: &'a JobContext) -> Result<Work<'a>, JobError> {
    settings.check()?;
    cx.progress.begin("look", 0);
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?.timing(cx.progress.acknowledgements());
    let reader = topics::find_lookups(&cluster, settings, cx).await?;
    let mut looked = topics::look(&cluster, settings).await?;
    // Before anything is taken that others wait for.
    if let Some(reader) = reader {
        looked.0.lookups = Some(reader.load(&settings.rules).await?);
    }
    // First the id, so that what an instance before had left open is decided before offsets are asked for.
    let id = settings.transactional_id();
    let taken = cluster.transactional(&id, settings.transaction_timeout).await;
    let producer = taken.map_err(|trouble| JobError::from(trouble.into_error()))?;
    if settings.parquet.is_none() && settings.commit_interval > commit_pace::longest(settings.transaction_timeout) {
        tracing::warn!(
            "a transaction is committed after a quarter of --transaction-timeout at the latest, whatever --commit-interval says"
        );
    }
    if let Some(gap) = producer.known_gap() {
        tracing::warn!("{gap}");
    }
    let member = cluster.join_group(settings.member()).await?;
    cx.progress.begin("clean", 0);
    let now = tokio::time::Instant::now();
    let pace = match &settings.parquet {
        Some(parquet) => CommitPace::steady(parquet.interval, now),
        None => CommitPace::new(settings.commit_interval, settings.transaction_timeout, now),
    };
    Ok(Work::new(settings, cx, cluster, looked, producer, member, pace))
}
