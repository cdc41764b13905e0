//! `perf load`: what a cluster makes of a rate of records, over several numbers of partitions: the figures from which one
//! chooses that number.
//!
//! ```text
//!  plan: record i is due at start + i / rate ──▶ offer.rs ──▶ pour ──▶ topic of its own ──▶ reading.rs ──▶ due until read
//!                                                   sampler: acknowledged, read, how far apart, all along ──▶ report.rs
//! ```
//!
//! Non-obvious:
//! - The load is open: records are due by a plan that waits for nobody, as users do. A record's latency counts from the moment
//!   it was due, not from when there was room to send it; so a cluster that stalls is charged for every record that was due
//!   meanwhile. One that was due and had not been sent when its trial ended counts with the time it had waited by then.
//! - Each trial has a topic of its own, made and deleted by it, under a prefix that nothing else uses. A topic that is there
//!   already is refused.
//! - Writing and reading share this process and its clock, so a latency has no error but that of the sender's timer, which is
//!   a millisecond or two.

mod chart;
mod offer;
mod plan;
mod reading;
mod report;
mod sampler;
mod topic;
mod trial;

pub use report::{COLUMNS, LoadReport};
pub(super) use topic::OwnTopic;
pub use trial::Trial;

use super::JobContext;
use super::error::JobError;
use super::pour::PourSettings;
use crate::base::units::show_count;
use crate::client::Cluster;
use std::time::Duration;

/// What the names of all topics begin with that are made here.
pub const PREFIX: &str = "kmerge-perf-";

/// The fewest bytes of a record: when it was due.
pub const RECORD_BYTES_MIN: usize = size_of::<u64>();
/// Beyond these, a slip of the fingers would cost a cluster its health.
const PARTITIONS_MAX: u32 = 1000;
const TRIALS_MAX: usize = 100;
const RATE_MAX: f64 = 1e8;

/// What is offered.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// What the names of its topics begin with: [`PREFIX`] or something longer.
    pub topic_prefix: String,
    /// Replicas of each partition; the cluster's default, if absent.
    pub replication_factor: Option<i16>,
    /// The numbers of partitions to try.
    pub partitions: Vec<u32>,
    /// The rate that is expected, in records a second.
    pub rate: f64,
    /// How many times that rate to try.
    pub times: Vec<f64>,
    /// For how long what happens is measured, after
    pub duration: Duration,
    /// this time, in which it is not.
    pub warm_up: Duration,
    /// The bytes of a record's value.
    pub record_bytes: usize,
    /// How records are written.
    pub pour: PourSettings,
}

/// Tries every rate on every number of partitions. A wish to stop ends it with the trials that are done.
pub async fn run(settings: &LoadSettings, cx: &JobContext) -> Result<LoadReport, JobError> {
    check(settings)?;
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let name = format!("{}{:08x}", settings.topic_prefix, rand::random::<u32>());
    let mut report = LoadReport { settings: settings.clone(), name: name.clone(), trials: Vec::new(), stopped: None };
    let runs = settings.partitions.iter().flat_map(|count| settings.times.iter().map(move |times| (*count, *times)));
    for (number, (partitions, times)) in (1..).zip(runs) {
        let topic =
            OwnTopic::make(&cluster, format!("{name}-{number}"), partitions, settings.replication_factor).await?;
        let ended = tokio::select! {
            biased;
            signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
            ended = trial::run(&cluster, topic.name(), partitions, times, settings, cx) => ended,
        };
        topic.delete(&cluster).await;
        match ended {
            Ok(trial) => report.trials.push(trial),
            Err(JobError::Interrupted(signal)) => {
                report.stopped = Some(signal);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Nothing is asked of a cluster before this is fine.
fn check(settings: &LoadSettings) -> Result<(), JobError> {
    let LoadSettings { topic_prefix, partitions, rate, times, duration, record_bytes, .. } = settings;
    let usage = |message: String| Err(JobError::Usage(message));
    if !topic_prefix.starts_with(PREFIX) {
        return usage(format!(
            "--topic-prefix {topic_prefix}: topics are made, loaded and deleted under it, so it must begin with {PREFIX}, \
             which nothing else has"
        ));
    }
    if partitions.is_empty() || partitions.iter().any(|count| !(1..=PARTITIONS_MAX).contains(count)) {
        return usage(format!("--partitions must be 1 to {} each", show_count(PARTITIONS_MAX.into())));
    }
    // Written so that what is no number is wrong as well.
    let fine = |number: f64| number > 0.0 && number <= RATE_MAX;
    if !fine(*rate) {
        return usage(format!("--rate {rate}: give a number above 0, at most {}", show_count(RATE_MAX as u64)));
    }
    if let Some(wrong) = times.iter().find(|times| !fine(**times) || !fine(**times * rate)) {
        return usage(format!(
            "--times {wrong}: give numbers above 0, times --rate at most {} records a second",
            show_count(RATE_MAX as u64)
        ));
    }
    if times.is_empty() || partitions.len() * times.len() > TRIALS_MAX {
        return usage(format!(
            "{} numbers of partitions times {} rates are {} trials: 1 to {TRIALS_MAX} are done",
            partitions.len(),
            times.len(),
            partitions.len() * times.len()
        ));
    }
    if duration.as_millis() < 100 {
        return usage("--duration must be 100ms at least: less measures nothing".to_owned());
    }
    if *record_bytes < RECORD_BYTES_MIN {
        return usage(format!(
            "--record-bytes {record_bytes}: {RECORD_BYTES_MIN} at least, for the time a record was due"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::kind::Kind;

    pub(super) fn settings() -> LoadSettings {
        LoadSettings {
            topic_prefix: PREFIX.to_owned(),
            replication_factor: None,
            partitions: vec![1, 3],
            rate: 1000.0,
            times: vec![1.0, 2.0],
            duration: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            record_bytes: 100,
            pour: PourSettings::default(),
        }
    }

    #[test]
    fn what_would_never_end_or_touch_what_is_not_its_own_is_wrong_usage() {
        assert!(check(&settings()).is_ok());
        let wrong = |settings: LoadSettings, said: &str| {
            let error = check(&settings).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(said), "{error}");
        };
        for prefix in ["", "orders", "kmerge-perf", "my-kmerge-perf-"] {
            wrong(LoadSettings { topic_prefix: prefix.to_owned(), ..settings() }, "kmerge-perf-");
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            wrong(LoadSettings { rate, ..settings() }, "--rate");
            wrong(LoadSettings { times: vec![1.0, rate], ..settings() }, "--times");
        }
        wrong(LoadSettings { times: Vec::new(), ..settings() }, "0 trials");
        wrong(LoadSettings { times: vec![1.0; 51], ..settings() }, "102 trials");
        wrong(LoadSettings { partitions: vec![1, 0], ..settings() }, "--partitions");
        wrong(LoadSettings { partitions: Vec::new(), ..settings() }, "--partitions");
        wrong(LoadSettings { duration: Duration::from_millis(99), ..settings() }, "--duration");
        wrong(LoadSettings { record_bytes: 7, ..settings() }, "--record-bytes");
    }
}
