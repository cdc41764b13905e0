//! Sample data, straight into a topic: what a stranger merges first, and what tests and benchmarks merge.
//!
//! ```text
//!  ints.rs: SortedInts of partition i ──▶ batch ──▶ an idempotent writer a partition ──▶ offsets checked
//! ```
//!
//! The promise is that each partition is sorted, so a topic that holds records already is refused: what is added would
//! begin again at the smallest value. What comes record by record, without an end if need be, is in `stream.rs`.

pub mod ints;

mod noting;

// At a pace, for as long as it is wanted.
pub mod stream;

pub mod parity;

pub mod logins;

pub mod events;

// What they share.
pub mod defects;

mod object;

pub mod random;

use super::JobContext;
use super::error::JobError;
use super::minutes::{Book, Ledger, LedgerTo};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::base::units::{show_count, show_size};
use crate::batch::Codec;
use crate::client::{Cluster, NewTopic, OffsetAt, WriteOptions};
use crate::jobs::made::topic_or_new;
use crate::jobs::merge::message_bytes_max;
use crate::jobs::outlet::{Cut, Outlet};
use futures::stream::StreamExt as _;
use ints::{SortedInts, share_out};
use noting::Noting;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Partitions written at the same time.
const PARTITIONS_AT_ONCE: usize = 16;
/// When one partition has failed, so long is waited for what is on its way to others.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Kafka's own limit is higher; this one keeps a slip of the fingers from costing a cluster its health.
pub const PARTITIONS_MAX: u32 = 10_000;

/// What is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct IntsSettings {
    /// The topic; created if it is missing.
    pub topic: String,
    /// How many partitions; 10 for a new topic, what is there for an old one, if absent.
    pub partitions: Option<u32>,
    /// Replicas of a new topic's partitions; the cluster's default, if absent.
    pub replication_factor: Option<i16>,
    /// Records in total.
    pub records: u64,
    /// The values, both ends included.
    pub range: RangeInclusive<i64>,
    /// The same seed gives the same records.
    pub seed: u64,
    /// The share of the records that partition 0 gets, 0 to 1; even, if absent.
    pub skew: Option<f64>,
    /// The size that a batch stays below, before compression.
    pub batch_bytes: usize,
    /// How batches are compressed.
    pub codec: Codec,
    /// What is acknowledged is noted there, by partition and minute.
    pub ledger: Option<LedgerTo>,
}

/// The usual batch: enough records to make requests rare, few enough to be read in little memory by any client.
pub const BATCH_BYTES_DEFAULT: usize = 32 << 10;

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateReport {
    /// The topic.
    pub topic: String,
    /// Whether it was created.
    pub created: bool,
    /// How many partitions it has.
    pub partitions: u32,
    /// Records written.
    pub records: u64,
    /// Their values.
    pub bytes: u64,
    /// From the first look at the cluster to the last acknowledged batch.
    pub seconds: f64,
    /// What they were drawn from.
    pub seed: u64,
}

/// The partitions of a new topic, where nobody says.
pub const PARTITIONS_DEFAULT: u32 = 10;

/// Makes a topic of sorted integers.
pub async fn run(settings: &IntsSettings, cx: &JobContext) -> Result<GenerateReport, JobError> {
    let began = Instant::now();
    check_settings(settings)?;
    cx.progress.begin("look", 0);
    let Looked { created, ends, bytes_max, cluster, book } = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
        looked = look(settings, cx) => looked?,
    };
    let partitions = ends.len() as u32;
    cx.progress.begin("generate", settings.records);
    let now_ms = now_ms();
    let counts = share_out(settings.records, partitions, settings.skew);
    let cut = Cut { batch_bytes: settings.batch_bytes, bytes_max, codec: settings.codec };
    let stopped = AtomicBool::new(false);
    let with = With { cluster: &cluster, book: book.as_ref(), cut, stopped: &stopped, cx };
    let fills = counts.into_iter().zip(ends).zip(0..).map(|((count, end), partition)| {
        let values = SortedInts::new(settings.seed, partition, settings.range.clone(), count);
        let to = TopicPartition::new(settings.topic.as_str(), partition as i32);
        fill(&with, to, end, values, now_ms)
    });
    let written = all(futures::stream::iter(fills).buffer_unordered(PARTITIONS_AT_ONCE), &stopped).await;
    let written = written.map_err(|error| half_made(error, &settings.topic, cx));
    let records = match &book {
        Some(book) => noting::close(book, written).await?,
        None => written?,
    };
    Ok(GenerateReport {
        topic: settings.topic.clone(),
        created,
        partitions,
        records,
        bytes: cx.progress.snapshot().bytes_done,
        seconds: began.elapsed().as_secs_f64(),
        seed: settings.seed,
    })
}

fn check_settings(settings: &IntsSettings) -> Result<(), JobError> {
    let usage = |message: String| Err(JobError::Usage(message));
    if settings.range.is_empty() {
        return usage(format!("--min {} is above --max {}", settings.range.start(), settings.range.end()));
    }
    if settings.skew.is_some_and(|skew| !(0.0..=1.0).contains(&skew)) {
        return usage("--skew is the share of the records that partition 0 gets: 0 to 1".to_owned());
    }
    if settings.partitions.is_some_and(|partitions| !(1..=PARTITIONS_MAX).contains(&partitions)) {
        return usage(format!("--partitions must be 1 to {}", show_count(PARTITIONS_MAX.into())));
    }
    Ok(())
}

/// The topic as it is before anything is written.
struct Looked {
    created: bool,
    /// Where each partition ends.
    ends: Vec<i64>,
    /// The largest batch it takes.
    bytes_max: usize,
    cluster: Cluster,
    /// What is acknowledged, where a ledger is kept.
    book: Option<Arc<Book>>,
}

/// Finds the topic or makes it, sees that it is empty, and tells where each partition ends.
async fn look(settings: &IntsSettings, cx: &JobContext) -> Result<Looked, JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?.timing(cx.progress.acknowledgements());
    // Before anything is made: without it nothing is to be written.
    let ledger = match &settings.ledger {
        Some(to) => Some(Ledger::open(to, &[&settings.topic], &cluster).await?),
        None => None,
    };
    let new = new_topic(settings, settings.partitions.unwrap_or(PARTITIONS_DEFAULT));
    let (topic, created) = topic_or_new(&cluster, &new).await?;
    let count = topic.partitions.len() as u32;
    if let Some(asked) = settings.partitions
        && asked != count
    {
        return Err(JobError::Refused(format!(
            "{} has {count} partitions, not {asked}: leave --partitions out, or name another topic",
            settings.topic
        )));
    }
    let partitions: Vec<_> =
        topic.partitions.iter().map(|p| TopicPartition::new(settings.topic.as_str(), p.index)).collect();
    let earliest = cluster.offsets(&partitions, OffsetAt::Earliest).await?;
    let latest = cluster.offsets(&partitions, OffsetAt::Latest).await?;
    if let Some(at) = earliest.iter().zip(&latest).position(|(earliest, latest)| earliest < latest) {
        return Err(JobError::Refused(format!(
            "{} holds records already: what is added would begin again at the smallest value, and the partition would not \
             be sorted. Name another topic, or delete this one: kmerge topic delete {}",
            partitions[at], settings.topic
        )));
    }
    let configs = cluster.topic_configs(&settings.topic).await?;
    let book = ledger.map(|ledger| {
        let stamps = configs.get("message.timestamp.type").is_some_and(|by| by == "LogAppendTime");
        Arc::new(Book::new(settings.topic.as_str(), Arc::new(ledger), stamps))
    });
    Ok(Looked { created, ends: latest, bytes_max: message_bytes_max(&configs), cluster, book })
}

fn new_topic(settings: &IntsSettings, partitions: u32) -> NewTopic {
    let mut topic = NewTopic::new(settings.topic.as_str(), partitions as i32);
    if let Some(replicas) = settings.replication_factor {
        topic.replication_factor = replicas;
    }
    topic
}

/// What all partitions are written with.
struct With<'a> {
    cluster: &'a Cluster,
    book: Option<&'a Arc<Book>>,
    cut: Cut,
    /// One of them has failed, so none goes on.
    stopped: &'a AtomicBool,
    cx: &'a JobContext,
}

/// Adds up what partitions have written. Once one has failed the others stop where they are, so that it is known of what they
/// have sent whether it is stored; not at any price.
async fn all(
    mut fills: impl futures::Stream<Item = Result<u64, JobError>> + Unpin,
    stopped: &AtomicBool,
) -> Result<u64, JobError> {
    let mut records = 0;
    let error = loop {
        match fills.next().await {
            None => return Ok(records),
            Some(Ok(more)) => records += more,
            Some(Err(error)) => break error,
        }
    };
    stopped.store(true, Relaxed);
    let rest = async { while fills.next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    Err(error)
}

/// Writes one partition.
async fn fill(
    with: &With<'_>,
    to: TopicPartition,
    end: i64,
    values: SortedInts,
    timestamp_ms: i64,
) -> Result<u64, JobError> {
    let cx = with.cx;
    if with.stopped.load(Relaxed) {
        return Ok(0);
    }
    let writer = with.cluster.writer(to, end, WriteOptions::default()).await?;
    let mut outlet = Outlet::new(Noting::new(writer, with.book.cloned()), with.cut, cx.progress.clone());
    let mut text = String::new();
    for value in values {
        text.clear();
        let _ = write!(text, "{value}");
        let pushed = match outlet.push_value(timestamp_ms, text.as_bytes()).await {
            // Why, whoever has failed tells.
            Ok(true) if with.stopped.load(Relaxed) => Err(JobError::OutputClosed),
            Ok(true) => cx.shutdown.requested().map_or(Ok(()), |signal| Err(JobError::Interrupted(signal))),
            pushed => pushed.map(|_| ()),
        };
        if let Err(error) = pushed {
            let (appended, closed) = outlet.close_because(error).await;
            return closed.map(|()| appended.records());
        }
    }
    let (appended, finished) = outlet.finish().await;
    finished.map(|()| appended.records())
}

/// Says that the topic is not what was asked for.
fn half_made(error: JobError, topic: &str, cx: &JobContext) -> JobError {
    let made = cx.progress.snapshot();
    JobError::HalfMade {
        error: Box::new(error),
        topic: topic.to_owned(),
        records: made.records_done,
        planned: made.records_total,
    }
}

impl GenerateReport {
    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "topic": self.topic,
            "created": self.created,
            "partitions": self.partitions,
            "records": self.records,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "records_per_second": self.records_per_second().round(),
            "seed": self.seed,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        format!(
            "{} {}: {} integers ({}) in {} partitions, each sorted, in {:.2} s: {} records/s",
            if self.created { "made" } else { "filled" },
            self.topic,
            show_count(self.records),
            show_size(self.bytes),
            self.partitions,
            self.seconds,
            show_count(self.records_per_second() as u64),
        )
    }

    fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds.max(1e-9)
    }
}
