//! The topic that what was counted is kept in.
//!
//! ```text
//!  key    {"group":"…","topic":"logins","partition":3,"part":0}      the newest record of a key stays
//!  value  a part of what was counted of that partition (rules/insight/snapshot.rs)
//! ```
//!
//! All parts of an input partition lie in one partition of the topic, in their order.
//!
//! Non-obvious: other members write there as well, so it is read up to where it ends now only once nothing is open below that.

use super::super::CleanSettings;
use super::super::outbox::{Topic, slot};
use super::taking::patience;
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::client::{Cluster, NewTopic, OffsetAt};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::jobs::made::topic_or_new;
use crate::jobs::merge::message_bytes_max;
use crate::jobs::range::ReadShare;
use crate::observe::progress::Progress;
use crate::rules::Rules;
use crate::rules::insight::{Broken, Insights, Restoring};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How the topic is made: what was written over is compacted away soon.
const CONFIGS: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "16777216"),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "60000"),
];

/// Batches stay below this, so that the share of a partition that is read has room for one.
const BATCH_BYTES: usize = 32 << 10;

/// The topic.
#[derive(Debug)]
pub(in crate::jobs::clean) struct Store {
    topic: Arc<str>,
    partitions: usize,
    /// For how long transactions of others are waited for.
    patience: Duration,
}

/// Whose counts, and where they stand.
#[derive(Debug, Clone, Copy)]
pub(in crate::jobs::clean) struct Place<'a> {
    pub(in crate::jobs::clean) group: &'a str,
    pub(in crate::jobs::clean) input: &'a TopicPartition,
    pub(in crate::jobs::clean) written: super::Written,
}

impl Store {
    /// The topic as it is, also as an outbox fills it; and whether it was made just now, because it was missing.
    pub(in crate::jobs::clean) async fn open(
        cluster: &Cluster,
        settings: &CleanSettings,
        partitions: usize,
    ) -> Result<(Self, Topic, bool), JobError> {
        let name = settings.insights_state.as_str();
        let new = NewTopic::new(name, i32::try_from(partitions).unwrap_or(i32::MAX));
        let new = CONFIGS.iter().fold(new, |new, (name, value)| new.config(*name, *value));
        let (info, is_new) = topic_or_new(cluster, &new).await?;
        let configs = cluster.topic_configs(name).await?;
        check(name, &configs)?;
        let partitions = info.partitions.len();
        let filled = Topic::new(name, partitions, message_bytes_max(&configs), BATCH_BYTES).by_origin();
        let patience = patience(settings.transaction_timeout);
        Ok((Self { topic: name.into(), partitions, patience }, filled, is_new))
    }

    /// The partition that has what was counted of an input partition.
    pub(in crate::jobs::clean) fn partition_of(&self, input: &TopicPartition) -> TopicPartition {
        let slot = slot(None, input.partition, self.partitions);
        TopicPartition::new(Arc::clone(&self.topic), i32::try_from(slot).unwrap_or(0))
    }

    /// The key of a part.
    pub(in crate::jobs::clean) fn key(group: &str, input: &TopicPartition, part: usize) -> Vec<u8> {
        format!("{}{part}}}", Self::key_before_part(group, input)).into_bytes()
    }

    fn key_before_part(group: &str, input: &TopicPartition) -> String {
        let (group, topic) = (json!(group), json!(*input.topic));
        format!("{{\"group\":{group},\"topic\":{topic},\"partition\":{},\"part\":", input.partition)
    }

    /// What was counted, read back; or in words why that cannot be.
    pub(in crate::jobs::clean) async fn read(
        &self,
        cluster: &Cluster,
        place: Place<'_>,
        (rules, bytes_max): (&Arc<Rules>, usize),
        share: ReadShare,
        cx: &JobContext,
    ) -> Result<Result<Insights, String>, JobError> {
        let Place { group, input, written } = place;
        let partition = TopicPartition::new(Arc::clone(&self.topic), written.partition);
        if usize::try_from(written.partition).is_ok_and(|number| number >= self.partitions) {
            return Ok(Err(format!("there is no {partition}")));
        }
        let one = std::slice::from_ref(&partition);
        let end = cluster.offsets(one, OffsetAt::Latest).await?.first().copied().unwrap_or(0);
        let ends = [(partition.clone(), end)];
        tokio::select! {
            biased;
            signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
            waited = cluster.wait_for_transactions(&ends, self.patience) => waited?,
        }
        let earliest = cluster.offsets(one, OffsetAt::Earliest).await?.first().copied().unwrap_or(0);
        let range = written.stands_from.max(earliest).min(end)..end;
        let source = cluster.reader(partition.clone(), range, share.read_options());
        let mut records = RecordCursor::new(source, share.window_bytes, cx.shutdown.clone(), Progress::default());
        let (mut restoring, ours) = (Restoring::new(rules, bytes_max, written.at), Self::key_before_part(group, input));
        loop {
            let taken = records.next_with(|record| match record.key {
                Some(key) if key.starts_with(ours.as_bytes()) => restoring.take(record.value.unwrap_or_default()),
                _ => Ok(()),
            });
            match taken.await? {
                None => break,
                Some(Ok(())) => {}
                Some(Err(Broken::Full(full))) => return Err(JobError::Refused(format!("{input}: {full}"))),
                Some(Err(Broken::Form(what))) => return Ok(Err(format!("{partition}: {what}"))),
            }
        }
        Ok(restoring
            .into_found()
            .ok_or_else(|| format!("{partition} does not hold it, from offset {} on", written.stands_from)))
    }
}

/// Where retention would delete what was counted, it cannot be kept.
fn check(name: &str, configs: &BTreeMap<String, String>) -> Result<(), JobError> {
    let policy = configs.get("cleanup.policy").map_or("delete", String::as_str);
    match policy.split(',').map(str::trim).eq(["compact"]) {
        true => Ok(()),
        false => Err(JobError::Refused(format!(
            "{} would not keep what insights have counted: its cleanup.policy is {policy}, not compact. Name another topic with \
             --insights-state; one that is not there is made as it must be",
            visible(name)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_would_lose_what_was_counted_is_refused_with_the_way_out() {
        let configs = |policy: &str| BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
        for policy in ["delete", "compact,delete", "delete, compact", ""] {
            let error = check("state", &configs(policy)).unwrap_err().to_string();
            assert!(error.contains("not compact") && error.contains("--insights-state"), "{policy}: {error}");
        }
        check("state", &BTreeMap::new()).unwrap_err();
        check("state", &configs("compact")).unwrap();
    }
}
