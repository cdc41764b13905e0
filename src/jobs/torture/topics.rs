//! The topics of one torture: made by it, under names that nobody else has, and deleted by it. Nothing else is ever touched.

use super::halt::PREFIX;
use crate::base::place::TopicPartition;
use crate::client::{ClientError, Cluster, NewTopic, OffsetAt};
use crate::jobs::error::JobError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// See the module's head.
pub(super) struct Topics {
    name: String,
    replication_factor: Option<i16>,
    /// In the order in which they were made.
    made: Mutex<Vec<String>>,
}

impl Topics {
    /// A name that nobody else has.
    pub(super) fn new(replication_factor: Option<i16>) -> Self {
        let random: u64 = rand::random();
        Self { name: format!("{PREFIX}{random:016x}"), replication_factor, made: Mutex::default() }
    }

    /// What all their names begin with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is merged.
    pub(super) fn input(&self) -> String {
        format!("{}-in", self.name)
    }

    /// Where the job records are.
    pub(super) fn jobs(&self) -> String {
        format!("{}-jobs", self.name)
    }

    /// Where it is merged to, in this round; the first is 1.
    pub(super) fn output(&self, round: u32) -> String {
        match round {
            1 => format!("{}-out", self.name),
            round => format!("{}-out-{round}", self.name),
        }
    }

    /// Makes one.
    pub(super) async fn make(&self, cluster: &Cluster, name: &str, partitions: i32) -> Result<(), JobError> {
        let mut topic = NewTopic::new(name, partitions).config("retention.ms", "-1");
        if let Some(replicas) = self.replication_factor {
            topic.replication_factor = replicas;
        }
        self.claim(cluster, name).await?;
        cluster.create_topic(&topic).await?;
        Ok(())
    }

    /// Says that this one is ours, before it is made by whatever makes it: also what is half made is to go.
    pub(super) async fn claim(&self, cluster: &Cluster, name: &str) -> Result<(), JobError> {
        match cluster.topic(name).await {
            Err(ClientError::UnknownTopic { .. }) => {
                self.made.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err(JobError::Refused(format!("{name} is there already, and we did not make it"))),
        }
    }

    /// Deletes one that was made.
    pub(super) async fn delete(&self, cluster: &Cluster, name: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).retain(|made| made != name);
        match cluster.delete_topic(name).await {
            Ok(()) | Err(ClientError::UnknownTopic { .. }) => {}
            Err(error) => tracing::warn!("{name} is left behind ({error}): kmerge topic delete {name}"),
        }
    }

    /// Deletes all that were made, the newest first.
    pub(super) async fn delete_all(&self, cluster: &Cluster) {
        while let Some(name) = self.last() {
            self.delete(cluster, &name).await;
        }
    }

    fn last(&self) -> Option<String> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }
}

/// Where these one-partition topics end, once no transaction is open in them.
pub(super) async fn ends(cluster: &Cluster, topics: [&str; 2], patience: Duration) -> Result<Vec<i64>, JobError> {
    let partitions = topics.map(|topic| TopicPartition::new(topic, 0));
    let ends = cluster.offsets(&partitions, OffsetAt::Latest).await?;
    let open: Vec<_> = partitions.iter().cloned().zip(ends).collect();
    cluster.wait_for_transactions(&open, patience).await?;
    Ok(cluster.offsets(&partitions, OffsetAt::Latest).await?)
}
