//! A topic as a ledger: made so that it stays short, refused where it would lose lines.

use super::counts::Counts;
use super::ledger::Lack;
use super::totals::Totals;
use crate::base::clock;
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::client::{ClientError, Cluster, NewTopic, PartitionWriter, WriteOptions};
use crate::jobs::error::JobError;
use crate::jobs::made::topic_or_new;
use crate::jobs::merge::message_bytes_max;
use crate::ports::Outgoing;
use std::collections::BTreeMap;
use std::io;
use tokio::sync::Mutex;

/// How the topic is made: what was written over is compacted away soon.
const CONFIGS: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "16777216"),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "60000"),
];

/// See the module's head.
#[derive(Debug)]
pub struct LedgerTopic {
    /// For people.
    name: String,
    cluster: Cluster,
    writing: Mutex<Writing>,
}

#[derive(Debug)]
struct Writing {
    totals: Totals,
    writers: BTreeMap<TopicPartition, PartitionWriter>,
}

impl LedgerTopic {
    /// Opens it, or makes it, compacted, with as many replicas as the cluster gives by default.
    pub(super) async fn open(cluster: &Cluster, topic: &str) -> Result<Self, JobError> {
        let new = CONFIGS.iter().fold(NewTopic::new(topic, 1), |new, (name, value)| new.config(*name, *value));
        let (info, is_new) = topic_or_new(cluster, &new).await?;
        if is_new {
            tracing::info!(topic, "made the topic for the ledger");
        }
        let configs = cluster.topic_configs(topic).await?;
        if let Some(policy) = keeps_not(&configs) {
            return Err(JobError::Refused(format!(
                "{} would not keep a ledger: its cleanup.policy is {policy}, not compact. Name another topic with --ledger-topic; \
                 one that is not there is made as it must be",
                visible(topic)
            )));
        }
        let totals = Totals::new(topic, info.partitions.len(), message_bytes_max(&configs));
        let writing = Mutex::new(Writing { totals, writers: BTreeMap::new() });
        Ok(Self { name: format!("ledger topic {}", visible(topic)), cluster: cluster.clone(), writing })
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it counts, for who writes the records himself.
    pub fn into_totals(self) -> Totals {
        self.writing.into_inner().totals
    }

    /// Writes these, and waits until they are stored.
    pub(super) async fn write(&self, mut counts: Counts) -> Result<(), Lack> {
        let mut writing = self.writing.lock().await;
        let Writing { totals, writers } = &mut *writing;
        // What has failed once is not gone on with, so all of it is lacking.
        let mut lacking = counts.records();
        while !counts.is_empty() {
            let left = counts.records();
            let batches = totals.add(&mut counts, clock::now_ms());
            let batches = batches.map_err(|error| Lack { records: lacking, error: io::Error::other(error) })?;
            let written = write(&self.cluster, writers, batches).await;
            written.map_err(|error| Lack { records: lacking, error: io::Error::other(error) })?;
            lacking -= left - counts.records();
        }
        Ok(())
    }
}

async fn write(
    cluster: &Cluster,
    writers: &mut BTreeMap<TopicPartition, PartitionWriter>,
    batches: Vec<(TopicPartition, Outgoing)>,
) -> Result<(), ClientError> {
    for (partition, batch) in batches {
        if !writers.contains_key(&partition) {
            // Others write there as well.
            let options = WriteOptions { beside_others: true, ..WriteOptions::default() };
            writers.insert(partition.clone(), cluster.writer(partition.clone(), 0, options).await?);
        }
        if let Some(writer) = writers.get_mut(&partition) {
            writer.append(batch).await?;
        }
    }
    for writer in writers.values_mut() {
        writer.flush().await?;
        while writer.spare().is_some() {}
    }
    Ok(())
}

/// The policy by which a topic would lose lines of a ledger; `None` where it keeps them.
pub fn keeps_not(configs: &BTreeMap<String, String>) -> Option<&str> {
    let policy = configs.get("cleanup.policy").map_or("delete", String::as_str);
    (!policy.split(',').map(str::trim).eq(["compact"])).then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_topic_that_is_compacted_and_nothing_else_keeps_a_ledger() {
        let configs = |policy: &str| BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
        for policy in ["delete", "compact,delete", "delete, compact", ""] {
            assert_eq!(keeps_not(&configs(policy)), Some(policy));
        }
        assert_eq!(keeps_not(&BTreeMap::new()), Some("delete"));
        assert_eq!(keeps_not(&configs("compact")), None);
    }
}
