//! Whether a new leader's log is the one that was read.
//!
//! Each leader writes its epoch into the batches it appends, and knows where the records of each epoch end in its log. Two
//! logs are the same up to there. After a clean election that end lies at or above everything that was replicated; after an
//! unclean one it may lie below what we read, and the offsets from there on are given to other records. A reader that went
//! on would see no gap: so it asks, each time that the epoch has changed.

use super::{NO_EPOCH, PartitionReader};
use crate::base::place::TopicPartition;
use crate::client::address::Address;
use crate::client::cluster::{Ask, Cluster, Leader, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::{ClientError, Truncated};
use crate::wire::ErrorCode;
use crate::wire::offset_for_leader_epoch::{
    OffsetForLeaderEpoch, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

/// As a consumer.
const REPLICA_ID: i32 = -1;

impl PartitionReader {
    /// Refuses a leader whose log lacks something that was read, or that was there to be read.
    pub(super) async fn same_log(&mut self, leader: Leader, deadline: Deadline) -> Result<(), ClientError> {
        let then = match self.leader_epoch {
            Some(then) if then != leader.epoch => then,
            _ => {
                self.leader_epoch = Some(leader.epoch);
                return Ok(());
            }
        };
        if leader.epoch < then {
            // Told by a broker that has not heard of the election yet.
            let said_by = self.cluster.said_by();
            return Err(refused(&said_by, "Metadata", &self.partition, ErrorCode::FencedLeaderEpoch));
        }
        // Everything below was there under that leader: it was replicated, or we have read it.
        let end = self.replicated.min(self.range.end).max(self.position);
        if then != NO_EPOCH && end > self.range.start {
            let (broker, reached) = self.cluster.epoch_end(&self.partition, leader, then, deadline).await?;
            if reached.is_none_or(|reached| reached < end) {
                return Err(self.truncated(&broker, reached, then, leader.epoch));
            }
            tracing::debug!(partition = %self.partition, then, now = leader.epoch, "the new leader has it all");
        }
        self.leader_epoch = Some(leader.epoch);
        Ok(())
    }

    pub(super) fn truncated(
        &self,
        broker: &Address,
        parts_at: Option<i64>,
        epoch_then: i32,
        epoch_now: i32,
    ) -> ClientError {
        ClientError::Truncated(Box::new(Truncated {
            partition: self.partition.clone(),
            broker: broker.clone(),
            position: self.position,
            end: self.replicated.min(self.range.end).max(self.position),
            parts_at: parts_at.filter(|at| *at >= 0),
            epoch_then,
            epoch_now,
        }))
    }
}

impl Cluster {
    /// Where the records of `epoch` and all before it end in the leader's log; `None` if it cannot tell.
    async fn epoch_end(
        &self,
        partition: &TopicPartition,
        leader: Leader,
        epoch: i32,
        deadline: Deadline,
    ) -> Result<(Address, Option<i64>), ClientError> {
        let one = OffsetForLeaderPartition {
            partition: partition.partition,
            current_leader_epoch: leader.epoch,
            leader_epoch: epoch,
        };
        let topic = OffsetForLeaderTopic { topic: partition.topic.to_string(), partitions: vec![one] };
        let request = OffsetForLeaderEpochRequest { replica_id: REPLICA_ID, topics: vec![topic] };
        let answer = self.call::<OffsetForLeaderEpoch>(Ask::Node(leader.node), &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<OffsetForLeaderEpoch>(answer.broker(), error))?;
        let topic = response.topics.iter().find(|topic| topic.topic == *partition.topic);
        let Some(found) = topic.and_then(|t| t.partitions.iter().find(|one| one.partition == partition.partition))
        else {
            return Err(ClientError::Protocol {
                broker: answer.broker().clone(),
                api: "OffsetForLeaderEpoch",
                expected: partition.to_string(),
                got: "an answer without it".to_owned(),
            });
        };
        match ErrorCode::from_code(found.error_code) {
            ErrorCode::None => Ok((answer.broker().clone(), Some(found.end_offset).filter(|end| *end >= 0))),
            code => Err(refused(answer.broker(), "OffsetForLeaderEpoch", partition, code)),
        }
    }
}
