//! What a broker's folders hold: the copies of partitions with their sizes.

use super::reassign::refused_with;
use crate::base::place::TopicPartition;
use crate::client::cluster::{Cluster, Lane, call_error};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::wire::describe_log_dirs::{DescribeLogDirs, DescribeLogDirsRequest};

/// One folder of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// Its path on the broker's machine.
    pub path: String,
    /// The size of the volume it lies on, and what is free of it; `None` where the broker does not say.
    pub volume_bytes: Option<(u64, u64)>,
    /// What it holds.
    pub copies: Vec<HeldCopy>,
}

/// A copy of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCopy {
    /// The partition.
    pub partition: TopicPartition,
    /// Its bytes.
    pub bytes: u64,
    /// How many offsets it is behind; -1 where the broker does not know.
    pub lag: i64,
}

impl Cluster {
    /// What one broker holds.
    pub async fn log_dirs(&self, node: i32) -> Result<Vec<LogDir>, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        loop {
            match self.log_dirs_once(node, deadline).await {
                Ok(found) => return Ok(found),
                Err(error) => retry.after(error).await?,
            };
        }
    }

    async fn log_dirs_once(&self, node: i32, deadline: Deadline) -> Result<Vec<LogDir>, ClientError> {
        let request = DescribeLogDirsRequest { topics: None };
        let answer = self.call_on::<DescribeLogDirs>(node, Lane::Disks, &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<DescribeLogDirs>(broker, error))?;
        refused_with(broker, "DescribeLogDirs", format!("broker {node}"), response.error_code, None)?;
        let mut found = Vec::with_capacity(response.results.len());
        for one in response.results {
            refused_with(broker, "DescribeLogDirs", format!("folder {}", one.log_dir), one.error_code, None)?;
            let volume = u64::try_from(one.total_bytes).ok().zip(u64::try_from(one.usable_bytes).ok());
            let copies = one.topics.into_iter().flat_map(|topic| {
                let name: std::sync::Arc<str> = topic.name.into();
                topic.partitions.into_iter().map(move |copy| HeldCopy {
                    partition: TopicPartition::new(name.clone(), copy.partition_index),
                    bytes: u64::try_from(copy.partition_size).unwrap_or(0),
                    lag: copy.offset_lag,
                })
            });
            found.push(LogDir { path: one.log_dir, volume_bytes: volume, copies: copies.collect() });
        }
        Ok(found)
    }
}
