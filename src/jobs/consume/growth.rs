//! Partitions that are added to a topic while it is followed.
//!
//! The metadata of a topic is asked for every few seconds. What is there and was not known is new, all of it: it is read from
//! its first offset.

use crate::base::place::TopicPartition;
use crate::client::Cluster;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Looks until it is dropped.
pub(super) struct Growth {
    found: mpsc::Receiver<TopicPartition>,
    _task: JoinSet<()>,
}

impl Growth {
    /// Looks for partitions beyond those that are `known` of each topic.
    pub(super) fn of(cluster: &Cluster, known: BTreeMap<String, usize>) -> Self {
        let (sender, found) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(look(cluster.clone(), known, sender));
        Self { found, _task: task }
    }

    /// The next new partition.
    pub(super) async fn next(&mut self) -> TopicPartition {
        match self.found.recv().await {
            Some(partition) => partition,
            None => std::future::pending().await,
        }
    }
}

async fn look(cluster: Cluster, mut known: BTreeMap<String, usize>, found: mpsc::Sender<TopicPartition>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for (topic, count) in &mut known {
            // Whatever is wrong with the topic, its readers will say.
            let Ok(info) = cluster.topic(topic).await else { continue };
            for index in *count..info.partitions.len() {
                let Ok(index) = i32::try_from(index) else { return };
                tracing::info!(topic, partition = index, "a new partition, read from its start");
                if found.send(TopicPartition::new(topic.as_str(), index)).await.is_err() {
                    return;
                }
            }
            *count = info.partitions.len().max(*count);
        }
    }
}
