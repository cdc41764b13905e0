//! The question for the batch at an offset, for whoever looks at a place in the log and does not read on.

use super::cluster::Leader;
use crate::base::place::TopicPartition;
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchTopic};

/// One batch, whatever its size, since a broker gives the first one whole; answered at once with what is there.
pub(super) fn one_batch(partition: &TopicPartition, leader: Leader, offset: i64, isolation_level: i8) -> FetchRequest {
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 1,
        isolation_level,
        session_id: 0,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: partition.topic.to_string(),
            topic_id: leader.topic_id,
            partitions: vec![FetchPartition {
                partition: partition.partition,
                current_leader_epoch: leader.epoch,
                fetch_offset: offset,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: 1,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}
