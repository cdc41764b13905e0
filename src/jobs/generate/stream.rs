//! Sample data as it would come from a running system: record after record at a pace, until enough or until somebody says
//! stop.
//!
//! ```text
//!  parity, logins, events ──▶ when is it due? ──▶ Pour ──▶ the topic's partitions
//! ```
//!
//! Unlike the sorted integers, these may be added to a topic that holds records already, and several may write to one topic.

use super::events::{Events, EventsSettings};
use super::logins::{Logins, LoginsSettings};
use super::parity::{Parity, ParitySettings};
use crate::base::clock::now_ms;
use crate::base::shutdown::Signal;
use crate::base::units::{show_count, show_size};
use crate::client::{Cluster, NewTopic};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::made::topic_or_new;
use crate::jobs::minutes::{Ledger, LedgerTo};
use crate::jobs::pace::Pace;
use crate::jobs::pour::{Pour, PourRecord, PourSettings, Poured};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// What makes records, one after the other.
pub(super) trait Samples: Send {
    /// Puts the next record's value into `value`, and its key, if it has one, into `key`; `at_ms` is its time. `false` if there
    /// is none behind it.
    fn next(&mut self, at_ms: i64, key: &mut Option<Vec<u8>>, value: &mut Vec<u8>) -> bool;
}

/// Which records.
#[derive(Debug, Clone, PartialEq)]
pub enum Sort {
    /// Even or odd numbers.
    Parity(ParitySettings),
    /// Logins of users.
    Logins(LoginsSettings),
    /// Events of orders.
    Events(EventsSettings),
}

/// What is to be made, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSettings {
    /// Which records.
    pub sort: Sort,
    /// The topic; created if it is missing.
    pub topic: String,
    /// Partitions of a new topic.
    pub partitions: u32,
    /// Replicas of a new topic's partitions; the cluster's default, if absent.
    pub replication_factor: Option<i16>,
    /// How many; without end, if absent.
    pub records: Option<u64>,
    /// How fast.
    pub pace: Pace,
    /// The time of the first record, in milliseconds since 1970, which the others follow by the pace; each the time it is
    /// made, if absent.
    pub start_ms: Option<i64>,
    /// The same seed gives the same records.
    pub seed: u64,
    /// What is acknowledged is noted there, by partition and minute.
    pub ledger: Option<LedgerTo>,
    /// How they are written.
    pub pour: PourSettings,
}

/// What was made.
#[derive(Debug)]
pub struct StreamReport {
    topic: String,
    created: bool,
    partitions: usize,
    seed: u64,
    seconds: f64,
    poured: Poured,
    /// The signal that ended it before its time. What has no end is in time whenever it is stopped.
    interrupted: Option<Signal>,
}

/// Makes records until there are enough, or until it is asked to stop.
pub async fn run(settings: &StreamSettings, cx: &JobContext) -> Result<StreamReport, JobError> {
    let mut samples: Box<dyn Samples> = match &settings.sort {
        Sort::Parity(parity) => Box::new(Parity::new(parity, settings.seed)?),
        Sort::Logins(logins) => Box::new(Logins::new(logins, settings.seed)?),
        Sort::Events(events) => Box::new(Events::new(events, settings.seed)?),
    };
    cx.progress.begin("look", 0);
    let (mut pour, created) = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
        opened = open(settings, cx) => opened?,
    };
    let partitions = pour.partitions();
    cx.progress.begin("generate", settings.records.unwrap_or(0));
    let began = Instant::now();
    let stopped = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Some(signal),
        // Why it cannot go on, the end of it tells.
        _ = fill(&mut pour, samples.as_mut(), settings, began) => None,
    };
    let poured = pour.finish(&cx.shutdown).await;
    Ok(StreamReport {
        topic: settings.topic.clone(),
        created,
        partitions,
        seed: settings.seed,
        seconds: began.elapsed().as_secs_f64(),
        poured,
        interrupted: stopped.filter(|_| settings.records.is_some()),
    })
}

async fn open(settings: &StreamSettings, cx: &JobContext) -> Result<(Pour, bool), JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?.timing(cx.progress.acknowledgements());
    // Before anything is made: without it nothing is to be written.
    let ledger = match &settings.ledger {
        Some(to) => Some(Ledger::open(to, &[&settings.topic], &cluster).await?),
        None => None,
    };
    let mut new = NewTopic::new(settings.topic.as_str(), settings.partitions as i32);
    new.replication_factor = settings.replication_factor.unwrap_or(new.replication_factor);
    let (_, created) = topic_or_new(&cluster, &new).await?;
    let mut pour = Pour::open(&cluster, &settings.topic, &settings.pour, &cx.progress).await?;
    if let Some(ledger) = ledger {
        pour.keep_ledger(Arc::new(ledger));
    }
    Ok((pour, created))
}

async fn fill(
    pour: &mut Pour,
    samples: &mut dyn Samples,
    settings: &StreamSettings,
    began: Instant,
) -> Result<(), JobError> {
    let (mut key, mut value) = (None, Vec::new());
    let mut is_more = true;
    for before in 0..settings.records.unwrap_or(u64::MAX) {
        if !is_more {
            break;
        }
        if let Some(due) = settings.pace.due(began, before)
            && due > Instant::now()
        {
            pour.meanwhile(tokio::time::sleep_until(due)).await?;
        }
        let at_ms = match settings.start_ms {
            Some(start) => start.saturating_add(virtual_ms(settings.pace, before)),
            None => now_ms(),
        };
        value.clear();
        is_more = samples.next(at_ms, &mut key, &mut value);
        let record = PourRecord { key: key.as_deref(), value: Some(&value), ..PourRecord::at(at_ms) };
        pour.push(&record).await?;
    }
    Ok(())
}

/// How long after the first record this one is, in the time that the records tell: by the pace, or a millisecond each.
fn virtual_ms(pace: Pace, before: u64) -> i64 {
    let ms = pace.after(before).map_or(u128::from(before), |after| after.as_millis());
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl StreamReport {
    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let mut report = json!({
            "topic": self.topic,
            "created": self.created,
            "partitions": self.partitions,
            "records": self.poured.counts.acknowledged,
            "bytes": self.poured.bytes,
            "seconds": self.seconds,
            "records_per_second": self.records_per_second().round(),
            "seed": self.seed,
        });
        if let Some(report) = report.as_object_mut() {
            report.extend(self.poured.to_json());
        }
        report
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        format!(
            "{} {}: {} ({}) in {:.2} s: {} records/s",
            if self.created { "made" } else { "added to" },
            self.topic,
            self.poured.summary(),
            show_size(self.poured.bytes),
            self.seconds,
            show_count(self.records_per_second() as u64),
        )
    }

    /// Whether it went as it was asked to.
    pub fn verdict(self) -> Result<(), JobError> {
        self.poured.verdict()?;
        self.interrupted.map_or(Ok(()), |signal| Err(JobError::Interrupted(signal)))
    }

    fn records_per_second(&self) -> f64 {
        self.poured.counts.acknowledged as f64 / self.seconds.max(1e-9)
    }
}
