//! One trial: one rate, on one number of partitions.

use super::LoadSettings;
use super::offer::{add_waiting, offer};
use super::plan::Plan;
use super::reading::Readers;
use super::sampler::{Sampled, sample};
use crate::client::Cluster;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::pour::Pour;
use crate::observe::histogram::Histogram;
use crate::observe::progress::Progress;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// From the plan's making to its first record: time in which readers find their leaders.
const LEAD: Duration = Duration::from_millis(200);

/// What is behind by no more than this when a trial ends, or a tenth of it, is only on its way.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// What came of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// How many partitions.
    pub partitions: u32,
    /// How many times the expected rate.
    pub times: f64,
    /// Records a second that were due,
    pub offered_per_second: f64,
    /// that were acknowledged,
    pub written_per_second: f64,
    /// and that were read, all while it was measured.
    pub read_per_second: f64,
    /// From when a record was due until it was read: half of them, 99 of 100, 999 of 1000, the last one. In milliseconds.
    pub latency_ms: Latency,
    /// The most records that were acknowledged and not read.
    pub lag_max: u64,
    /// How many were not when it ended.
    pub lag_end: u64,
    /// How many were due then and not acknowledged.
    pub unwritten_end: u64,
    /// How many of those were never sent.
    pub unsent: u64,
    /// How many were acknowledged and had not been read when the readers were no longer waited for. If there are any,
    /// `latency_ms` is a lower bound: they count as if they were the last ones due, with the time they had waited.
    pub unread: u64,
    /// Whether what was due came through as it was due, but for what was on its way.
    pub keeps_up: bool,
    /// Processor time of this process; 100 is one core.
    pub cpu_percent: f64,
}

/// How long records took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// The median.
    pub p50: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99: Option<f64>,
    /// 999 of 1000 took no longer.
    pub p999: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

impl Latency {
    fn of(latencies_us: &Histogram) -> Self {
        let ms = |us: u64| us as f64 / 1000.0;
        let quantile = |share| latencies_us.quantile(share).map(ms);
        Self { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max: latencies_us.largest().map(ms) }
    }
}

/// Measured records that did not come through, however long was waited.
struct Missed {
    unsent: u64,
    unread: u64,
}

/// Offers `times` the expected rate to `topic`, which is there and empty.
pub(super) async fn run(
    cluster: &Cluster,
    topic: &str,
    partitions: u32,
    times: f64,
    settings: &LoadSettings,
    cx: &JobContext,
) -> Result<Trial, JobError> {
    let rate = settings.rate * times;
    let written = Progress::default();
    let mut pour = Pour::open(cluster, topic, &settings.pour, &written).await?;
    let zero = Instant::now();
    let batch_bytes_max = (2 * settings.pour.batch_bytes.max(settings.record_bytes)).max(1 << 20);
    let mut readers = Readers::start(cluster, topic, partitions, batch_bytes_max, zero, cx);
    let plan = Plan::new(rate, zero, zero + LEAD, settings.warm_up, settings.duration)?;
    cx.progress.begin(&format!("{partitions} partitions, {times} times"), plan.records);
    let mut sampler = JoinSet::new();
    sampler.spawn(sample(plan, written, readers.read.clone()));
    let offered = tokio::select! {
        offered = offer(&mut pour, &plan, settings.record_bytes) => offered,
        error = readers.failed() => return Err(error),
    };
    let stopped_at = Instant::now();
    // However much is on its way: a cluster that is too slow for the rate is a result, not an error. Each batch has its time.
    let poured = pour.finish(&cx.shutdown).await;
    let counts = poured.counts;
    poured.verdict()?;
    let sent = offered?;
    let read = readers.read.clone();
    tokio::select! {
        () = read.reach(counts.acknowledged, Instant::now() + cx.timeout) => {}
        error = readers.failed() => return Err(error),
    }
    let sampled = match sampler.join_next().await {
        Some(Ok(sampled)) => sampled,
        _ => return Err(JobError::Refused("what was measured is lost".to_owned())),
    };
    let mut latencies = read.latencies_us();
    let unsent = add_waiting(&mut latencies, &plan, sent..plan.records, zero, stopped_at);
    // Which of them these are is not known: no less than if they were those that were due last.
    let unread = counts.acknowledged.saturating_sub(read.records());
    add_waiting(&mut latencies, &plan, sent.saturating_sub(unread)..sent, zero, Instant::now());
    Ok(conclude(partitions, times, rate, settings, &plan, sampled, &latencies, Missed { unsent, unread }))
}

#[expect(clippy::too_many_arguments, reason = "all that is known of a trial, put together once")]
fn conclude(
    partitions: u32,
    times: f64,
    rate: f64,
    settings: &LoadSettings,
    plan: &Plan,
    Sampled { began, ended, lag_max }: Sampled,
    latencies: &Histogram,
    Missed { unsent, unread }: Missed,
) -> Trial {
    let seconds = settings.duration.as_secs_f64();
    let behind_max = rate * BEHIND_MAX.min(settings.duration / 10).as_secs_f64();
    Trial {
        partitions,
        times,
        offered_per_second: rate,
        written_per_second: ended.acknowledged.saturating_sub(began.acknowledged) as f64 / seconds,
        read_per_second: ended.read.saturating_sub(began.read) as f64 / seconds,
        latency_ms: Latency::of(latencies),
        lag_max,
        lag_end: ended.lag(),
        unwritten_end: plan.records.saturating_sub(ended.acknowledged),
        unsent,
        unread,
        keeps_up: plan.records.saturating_sub(ended.read) as f64 <= behind_max.max(1.0),
        cpu_percent: (ended.cpu_seconds - began.cpu_seconds) / seconds * 100.0,
    }
}
