//! The topic that the records of jobs live in: made so that it stays short to read, refused where it would lose them.

use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::client::{ClientError, Cluster, NewTopic};
use crate::jobs::error::JobError;
use crate::jobs::merge::message_bytes_max;
use crate::wire::ErrorCode;
use std::collections::BTreeMap;

/// A plan of ten thousands of partitions is megabytes long.
const MESSAGE_BYTES: &str = "8388608";

/// How the topic is made. What was written over is compacted away soon, but never from the segment that is being written:
/// so segments are small and short. They must still take the largest batch.
const CONFIGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("max.message.bytes", MESSAGE_BYTES),
    ("segment.bytes", "16777216"),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    // Every commit leaves a marker.
    ("delete.retention.ms", "60000"),
];

/// A topic that is as it must be.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) partition: TopicPartition,
    pub(super) batch_bytes_max: usize,
}

/// Opens the topic, making it if it is not there.
pub(super) async fn open(cluster: &Cluster, name: &str, replication_factor: i16) -> Result<Opened, JobError> {
    if let Some(opened) = look(cluster, name).await? {
        return Ok(opened);
    }
    let mut topic = NewTopic::new(name, 1);
    topic.replication_factor = replication_factor;
    topic.configs = CONFIGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match cluster.create_topic(&topic).await {
        Ok(_) => tracing::info!(topic = name, "made the topic for the records of jobs"),
        // Another job was faster.
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
        Err(error) if may_not(&error) => {
            let configs: Vec<String> = CONFIGS.iter().map(|(name, value)| format!("--config {name}={value}")).collect();
            return Err(JobError::Refused(format!(
                "the topic for the records of jobs is missing and cannot be made: {error}. Let somebody who may make it: \
                 kmerge topic create {} --partitions 1 {}",
                visible(name),
                configs.join(" "),
            )));
        }
        Err(error) => return Err(error.into()),
    }
    match look(cluster, name).await? {
        Some(opened) => Ok(opened),
        None => Err(cluster.unknown_topic(name).await.into()),
    }
}

/// Opens the topic if it is there.
pub(super) async fn look(cluster: &Cluster, name: &str) -> Result<Option<Opened>, JobError> {
    let topic = match cluster.topic(name).await {
        Ok(topic) => topic,
        Err(ClientError::UnknownTopic { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    check(name, topic.partitions.len(), &cluster.topic_configs(name).await?).map(Some)
}

fn may_not(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::TopicAuthorizationFailed
                | ErrorCode::ClusterAuthorizationFailed
                | ErrorCode::PolicyViolation
                | ErrorCode::InvalidReplicationFactor
        )
    )
}

fn check(name: &str, partitions: usize, configs: &BTreeMap<String, String>) -> Result<Opened, JobError> {
    let shown = visible(name);
    if partitions != 1 {
        return Err(JobError::Refused(format!(
            "{shown} has {partitions} partitions: the records of jobs must be in the order they were written, in a topic of \
             one partition. Name another one with --jobs-topic"
        )));
    }
    let policy = configs.get("cleanup.policy").map_or("delete", String::as_str);
    if policy.split(',').map(str::trim).ne(["compact"]) {
        return Err(JobError::Refused(format!(
            "{shown} would not keep the records of jobs: its cleanup.policy is {policy}, not compact. Name another topic with \
             --jobs-topic; one that is not there is made as it must be"
        )));
    }
    Ok(Opened { partition: TopicPartition::new(name, 0), batch_bytes_max: message_bytes_max(configs) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(policy: &str) -> BTreeMap<String, String> {
        [("cleanup.policy", policy), ("max.message.bytes", "5000")].map(|(n, v)| (n.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn a_topic_that_would_lose_records_or_their_order_is_refused_with_the_way_out() {
        for policy in ["delete", "compact,delete", "delete, compact", ""] {
            let error = check("jobs", 1, &configs(policy)).unwrap_err().to_string();
            assert!(error.contains("not compact") && error.contains("--jobs-topic"), "{policy}: {error}");
        }
        let error = check("jobs", 3, &configs("compact")).unwrap_err().to_string();
        assert!(error.contains("3 partitions"), "{error}");
        let opened = check("jobs", 1, &configs("compact")).unwrap();
        assert_eq!((opened.partition, opened.batch_bytes_max), (TopicPartition::new("jobs", 0), 5000));
    }

    #[test]
    fn a_segment_takes_the_largest_batch() {
        let of = |wanted: &str| {
            let (_, value) = CONFIGS.iter().find(|(name, _)| *name == wanted).unwrap();
            value.parse::<usize>().unwrap()
        };
        assert!(of("segment.bytes") >= of("max.message.bytes"));
    }
}
