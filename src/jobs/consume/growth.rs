//! Partitions that are added to a topic while it is followed, and what they are read with.
//!
//! The metadata of a topic is asked for every few seconds. What is there and was not known is new, all of it: it is read from
//! its first offset.

use crate::base::place::TopicPartition;
use crate::client::Cluster;
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
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

    async fn next(&mut self) -> TopicPartition {
        match self.found.recv().await {
            Some(partition) => partition,
            None => std::future::pending().await,
        }
    }
}

/// The next new partition; there is none where nobody looks.
pub(super) async fn grown(growth: &mut Option<Growth>) -> TopicPartition {
    match growth {
        Some(growth) => growth.next().await,
        None => std::future::pending().await,
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

/// What is set aside for partitions that are added, where each has its share for good.
#[derive(Debug)]
pub(super) struct Room {
    left_bytes: usize,
    /// What each of those has that were there at the start.
    share_bytes: usize,
    memory_bytes: usize,
}

impl Room {
    /// A quarter of what is read with, as far as the `readers` at the start leave it.
    pub(super) fn beside(readers: usize, memory_bytes: usize) -> Self {
        let readers = readers.max(1);
        let left = memory_bytes.saturating_sub(readers.saturating_mul(ReadShare::LEAST_BYTES));
        let left_bytes = left.min(memory_bytes / 4);
        Self { left_bytes, share_bytes: (memory_bytes - left_bytes) / readers, memory_bytes }
    }

    /// What is not given to anybody yet.
    pub(super) fn left_bytes(&self) -> usize {
        self.left_bytes
    }

    /// The share of one more: a quarter of what is left, as others may come, but no more than those at the start have.
    pub(super) fn share(&mut self, partition: &TopicPartition) -> Result<ReadShare, JobError> {
        let bytes = (self.left_bytes / 4).min(self.share_bytes).max(ReadShare::LEAST_BYTES);
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or_else(|| {
            JobError::Refused(format!(
                "{partition} was added, and the others leave no room for it: give --memory {}KiB or more",
                self.memory_bytes.saturating_mul(2).div_ceil(1 << 10)
            ))
        })?;
        ReadShare::of("consume --ordered", bytes, 0, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_for_new_partitions_never_costs_the_others_what_they_need_and_is_given_out_once() {
        for readers in [1, 3, 10, 200] {
            for memory in [256 << 10, 1 << 20, 4 << 20, 64 << 20] {
                let least = readers * ReadShare::LEAST_BYTES;
                let mut room = Room::beside(readers, memory);
                let aside = room.left_bytes();
                assert!(memory < least || memory - aside >= least, "{readers} in {memory}: {room:?}");
                let mut given = 0;
                let partition = TopicPartition::new("t", 9);
                let error = loop {
                    match room.share(&partition) {
                        Ok(share) => {
                            assert!(share.batch_bytes_max <= (memory - aside) / readers / 4, "no more than the others");
                            given += share.batch_bytes_max * 4;
                        }
                        Err(error) => break error.to_string(),
                    }
                };
                assert!(given <= aside && aside - given < ReadShare::LEAST_BYTES, "{given} of {aside}");
                assert!(error.contains("t partition 9 was added") && error.contains("--memory"), "{error}");
            }
        }
        let mut room = Room::beside(1, 64 << 20);
        let partition = TopicPartition::new("t", 1);
        assert!(
            (0..12).all(|_| room.share(&partition).is_ok()),
            "one partition may become a dozen in the usual memory"
        );
    }
}
