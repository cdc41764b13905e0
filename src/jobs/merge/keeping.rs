//! Whether the output topic keeps what is written to it: as it is, all of it, and for a while.
//!
//! The output's records keep the timestamps of the input's, and a broker deletes by those: into a topic of `retention.ms=7d`
//! records of last year can be written and are gone minutes later, each acknowledged. So what a topic's settings would do to
//! the records is looked at before anything is written: at the first record of each input, and then at every batch.
//!
//! Non-obvious: retention deletes a segment once its newest record is old enough, so a batch is lost for certain only where
//! all of it is too old. A record without a timestamp (-1) is as old as its segment's file, and never refused.

use super::Allow;
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::base::time::show_epoch_ms;
use crate::base::units::{show_count, show_size};
use crate::client::TopicInfo;
use crate::jobs::error::JobError;
use std::collections::BTreeMap;

/// What a record's timestamp is where it has none.
const NO_TIMESTAMP: i64 = -1;

/// What the settings of the output topic mean for what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keeping {
    output: TopicPartition,
    compacts: bool,
    append_time: bool,
    retention: Retention,
    retention_bytes: Option<u64>,
    compression: Option<String>,
    insync_min: usize,
    unclean: bool,
    replicas: usize,
    /// How many brokers there are to hold replicas.
    brokers: usize,
    allow: Allow,
}

/// What the output topic does to records of some age; by default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Retention {
    /// As it is shown.
    output: String,
    /// Older ones are deleted, unless somebody has allowed that.
    keep_ms: Option<i64>,
    /// Older ones are refused.
    before_ms: Option<i64>,
    /// Those further ahead are refused.
    after_ms: Option<i64>,
}

impl Keeping {
    pub(super) fn of(
        output: &TopicPartition,
        topic: &TopicInfo,
        config: &BTreeMap<String, String>,
        brokers: usize,
        allow: Allow,
    ) -> Self {
        let text = |name: &str| config.get(name).map(|value| value.trim());
        let number = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok());
        // Kafka's "for ever" are a negative number and the largest one.
        let limit = |name: &str| number(name).filter(|ms| (0..i64::MAX).contains(ms));
        let policy =
            |word: &str| text("cleanup.policy").is_some_and(|policy| policy.split(',').any(|one| one.trim() == word));
        let append_time = text("message.timestamp.type") == Some("LogAppendTime");
        // Before 3.6 one setting stood for both.
        let difference = limit("message.timestamp.difference.max.ms");
        let stamped = |ms: Option<i64>| ms.filter(|_| !append_time);
        Self {
            output: output.clone(),
            compacts: policy("compact"),
            append_time,
            retention: Retention {
                output: output.to_string(),
                keep_ms: stamped(limit("retention.ms")).filter(|_| policy("delete") && !allow.retention_loss),
                before_ms: stamped(limit("message.timestamp.before.max.ms").or(difference)),
                after_ms: stamped(limit("message.timestamp.after.max.ms").or(difference)),
            },
            retention_bytes: number("retention.bytes")
                .and_then(|bytes| u64::try_from(bytes).ok())
                .filter(|_| policy("delete") && !allow.retention_loss),
            compression: text("compression.type").filter(|kind| *kind != "producer").map(str::to_owned),
            insync_min: number("min.insync.replicas").and_then(|count| usize::try_from(count).ok()).unwrap_or(1),
            unclean: text("unclean.leader.election.enable") == Some("true"),
            replicas: topic.replication_factor(),
            brokers,
            allow,
        }
    }

    /// Refuses a topic that would not hold the records, whatever they are.
    pub(super) fn check(&self) -> Result<(), JobError> {
        let output = &self.output;
        if self.compacts {
            return Err(JobError::Refused(format!(
                "{output} is compacted (cleanup.policy): of records with the same key only the last would stay, and records \
                 without a key are refused. Write to a topic with cleanup.policy=delete"
            )));
        }
        if self.append_time && !self.allow.append_time {
            return Err(JobError::Refused(format!(
                "{output} stamps records itself (message.timestamp.type=LogAppendTime), so their own timestamps would be lost. \
                 Write to a topic with message.timestamp.type=CreateTime, or let them go with --allow-append-time"
            )));
        }
        if self.replicas > 0 && self.insync_min > self.replicas {
            return Err(JobError::Refused(format!(
                "{output} wants {} replicas in sync (min.insync.replicas) and has {}: nothing can be written there",
                self.insync_min, self.replicas
            )));
        }
        Ok(())
    }

    /// Says aloud what is no reason to stop.
    pub(super) fn say(&self) {
        for words in self.remarks() {
            tracing::warn!("{}: {words}", self.output);
        }
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(kind) = &self.compression {
            remarks.push(format!(
                "compression.type is {kind}, so the broker compresses each batch anew, which takes its time; \
                 compression.type=producer keeps batches as they come"
            ));
        }
        // Where there is but one broker nothing better can be had.
        if self.replicas == 1 && self.brokers > 1 {
            remarks
                .push("it has one replica: what is acknowledged is lost with the one broker that holds it".to_owned());
        }
        if self.replicas > 1 && self.insync_min == 1 {
            remarks.push(format!(
                "min.insync.replicas is 1 of {}: what is acknowledged may be on one broker only, and lost with it",
                self.replicas
            ));
        }
        if self.replicas > 1 && self.unclean {
            let words =
                "unclean.leader.election.enable is true: a broker that lags may lead, and what it lacks is lost";
            remarks.push(words.to_owned());
        }
        remarks
    }

    /// What is to be asked about each record's timestamp.
    pub(super) fn retention(&self) -> &Retention {
        &self.retention
    }

    /// Whether anything depends on what the inputs begin with: their age or their size. Where only the future is refused,
    /// the first records say little, and every batch is asked about anyway.
    pub(super) fn asks_for_records(&self) -> bool {
        self.retention_bytes.is_some() || self.retention.keep_ms.is_some() || self.retention.before_ms.is_some()
    }

    /// Refuses inputs of about so many bytes where the topic keeps fewer.
    pub(super) fn check_bytes(&self, estimate: u64, records: u64) -> Result<(), JobError> {
        match self.retention_bytes {
            Some(bytes) if estimate > bytes => Err(JobError::Refused(format!(
                "{} keeps {} (retention.bytes), and the {} records to merge take about {} in the inputs (as their first \
                 batches do): the first ones would be deleted while the last are written. Write to a topic with \
                 retention.bytes=-1, or let them go with --allow-retention-loss",
                self.output,
                show_size(bytes),
                show_count(records),
                show_size(estimate),
            ))),
            _ => Ok(()),
        }
    }
}

impl Retention {
    /// Refuses a batch whose newest record has this timestamp, if the broker would delete it at once or not take it.
    pub(crate) fn check(&self, batch_max_timestamp_ms: i64) -> Result<(), JobError> {
        if !self.asks() {
            return Ok(());
        }
        self.check_at(batch_max_timestamp_ms, now_ms(), || "the newest record of the next batch".to_owned())
    }

    fn asks(&self) -> bool {
        self.keep_ms.is_some() || self.before_ms.is_some() || self.after_ms.is_some()
    }

    /// The same for one record at some time.
    pub(super) fn check_at(&self, timestamp: i64, now: i64, what: impl FnOnce() -> String) -> Result<(), JobError> {
        let age = now.saturating_sub(timestamp);
        let refused = |problem: String, setting: &str, more: &str| {
            Err(JobError::Refused(format!(
                "{}: {} is of {}, {problem}. Write to a topic with {setting}{more}",
                self.output,
                what(),
                show_epoch_ms(timestamp)
            )))
        };
        if timestamp == NO_TIMESTAMP {
            return Ok(());
        }
        if let Some(limit) = self.before_ms.filter(|limit| age > *limit) {
            let problem = format!("older than the topic takes (message.timestamp.before.max.ms={limit})");
            return refused(problem, "a larger one", "");
        }
        if let Some(limit) = self.after_ms.filter(|limit| age.saturating_neg() > *limit) {
            let problem =
                format!("further ahead of time than the topic takes (message.timestamp.after.max.ms={limit})");
            return refused(problem, "a larger one", "");
        }
        if let Some(limit) = self.keep_ms.filter(|limit| age > *limit) {
            let problem =
                format!("and the topic deletes records older than {} (retention.ms={limit})", show_age(limit));
            return refused(problem, "retention.ms=-1", ", or let records go with --allow-retention-loss");
        }
        Ok(())
    }
}

/// A span of time in the largest unit that fits it.
fn show_age(ms: i64) -> String {
    let units = [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1000, "seconds")];
    match units.into_iter().find(|(unit, _)| ms >= *unit) {
        Some((unit, name)) if ms % unit == 0 => format!("{} {name}", ms / unit),
        Some((unit, name)) => format!("{:.1} {name}", ms as f64 / unit as f64),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PartitionInfo;
    use crate::wire::Uuid;

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 1_700_000_000_000;

    fn keeping(config: &[(&str, &str)], allow: Allow) -> Keeping {
        with_replicas(config, allow, 1, 1)
    }

    fn with_replicas(config: &[(&str, &str)], allow: Allow, replicas: i32, brokers: usize) -> Keeping {
        let partition =
            PartitionInfo { index: 0, leader: 1, leader_epoch: 0, replicas: (1..=replicas).collect(), isr: vec![1] };
        let topic =
            TopicInfo { name: "out".into(), topic_id: Uuid::ZERO, internal: false, partitions: vec![partition] };
        let defaults = [("cleanup.policy", "delete"), ("retention.ms", "604800000"), ("retention.bytes", "-1")];
        let config = defaults.iter().chain(config).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Keeping::of(&TopicPartition::new("out", 0), &topic, &config.collect(), brokers, allow)
    }

    fn no() -> Allow {
        Allow::default()
    }

    fn at(keeping: &Keeping, timestamp: i64) -> Result<(), String> {
        keeping.retention().check_at(timestamp, NOW, || "the record".to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn fault_53_a_compacted_topic_is_refused_whatever_is_allowed() {
        let all = Allow { append_time: true, retention_loss: true };
        for policy in ["compact", "compact,delete", "delete, compact"] {
            let error = keeping(&[("cleanup.policy", policy)], all).check().unwrap_err().to_string();
            assert!(
                error.contains("out partition 0 is compacted") && error.contains("cleanup.policy=delete"),
                "{error}"
            );
        }
        assert!(keeping(&[], no()).check().is_ok());
    }

    #[test]
    fn a_topic_that_stamps_records_itself_needs_a_word() {
        let config = [("message.timestamp.type", "LogAppendTime"), ("message.timestamp.before.max.ms", "5")];
        let error = keeping(&config, no()).check().unwrap_err().to_string();
        assert!(error.contains("LogAppendTime") && error.contains("--allow-append-time"), "{error}");
        let allowed = keeping(&config, Allow { append_time: true, ..no() });
        allowed.check().unwrap();
        // Its records are as old as they are there.
        assert_eq!(at(&allowed, 0), Ok(()));
        assert!(!allowed.asks_for_records());
    }

    #[test]
    fn records_older_than_retention_are_refused_with_the_way_out() {
        let week = keeping(&[], no());
        assert_eq!(at(&week, NOW - 7 * DAY), Ok(()));
        let error = at(&week, NOW - 7 * DAY - 1).unwrap_err();
        for words in
            ["out partition 0", "2023-11-07T22:13:19.999Z", "7 days", "retention.ms=-1", "--allow-retention-loss"]
        {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(at(&week, 0).is_err());
        assert_eq!(at(&week, -1), Ok(()), "a record without a timestamp");
    }

    #[test]
    fn retention_counts_only_where_records_are_deleted_by_age() {
        for (config, allow) in [
            (("retention.ms", "-1"), no()),
            (("retention.ms", "9223372036854775807"), no()),
            (("cleanup.policy", "compact"), no()),
            (("cleanup.policy", ""), no()),
            (("retention.ms", "1000"), Allow { retention_loss: true, ..no() }),
        ] {
            let keeping = keeping(&[config], allow);
            assert_eq!(at(&keeping, 0), Ok(()), "{config:?}");
            assert!(!keeping.asks_for_records(), "{config:?}");
        }
    }

    #[test]
    fn timestamps_that_the_broker_does_not_take_are_refused_though_loss_is_allowed() {
        let loss = Allow { retention_loss: true, ..no() };
        for name in ["message.timestamp.before.max.ms", "message.timestamp.difference.max.ms"] {
            let keeping = keeping(&[(name, "1000")], loss);
            assert_eq!(at(&keeping, NOW - 1000), Ok(()));
            assert!(at(&keeping, NOW - 1001).unwrap_err().contains("message.timestamp.before.max.ms=1000"));
        }
        let keeping = keeping(&[("message.timestamp.after.max.ms", "3600000")], loss);
        assert!(!keeping.asks_for_records() && keeping.retention().asks());
        assert_eq!(at(&keeping, NOW + 3_600_000), Ok(()));
        assert!(at(&keeping, NOW + 3_600_001).unwrap_err().contains("message.timestamp.after.max.ms=3600000"));
    }

    #[test]
    fn a_batch_is_looked_at_by_the_clock() {
        let week = keeping(&[], no());
        week.retention().check(now_ms()).unwrap();
        assert!(week.retention().check(now_ms() - 8 * DAY).unwrap_err().to_string().contains("the next batch"));
    }

    #[test]
    fn inputs_larger_than_what_is_kept_are_refused() {
        let small = keeping(&[("retention.bytes", "1048576")], no());
        assert!(small.check_bytes(1 << 20, 5).is_ok());
        let error = small.check_bytes(5 << 20, 1234).unwrap_err().to_string();
        for words in ["keeps 1 MiB", "1,234 records", "about 5 MiB", "retention.bytes=-1", "--allow-retention-loss"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        let loss = Allow { retention_loss: true, ..no() };
        assert!(keeping(&[("retention.bytes", "1")], loss).check_bytes(1 << 40, 5).is_ok());
        assert!(keeping(&[], no()).check_bytes(1 << 40, 5).is_ok());
    }

    #[test]
    fn fault_53_what_is_no_reason_to_stop_is_said() {
        let remarks =
            |config: &[(&str, &str)], replicas, brokers| with_replicas(config, no(), replicas, brokers).remarks();
        assert!(remarks(&[("compression.type", "gzip")], 1, 1)[0].contains("compression.type is gzip"));
        assert!(remarks(&[("compression.type", "producer")], 1, 1).is_empty());
        assert!(remarks(&[], 1, 3)[0].contains("one replica"));
        assert!(remarks(&[("min.insync.replicas", "1")], 3, 3)[0].contains("1 of 3"));
        let safe = ("min.insync.replicas", "2");
        assert!(remarks(&[safe], 3, 3).is_empty());
        assert!(remarks(&[safe, ("unclean.leader.election.enable", "true")], 3, 3)[0].contains("unclean"));
    }

    #[test]
    fn a_topic_that_can_never_have_enough_replicas_is_refused() {
        let error = with_replicas(&[("min.insync.replicas", "2")], no(), 1, 3).check().unwrap_err().to_string();
        assert!(error.contains("wants 2 replicas") && error.contains("has 1"), "{error}");
    }
}
