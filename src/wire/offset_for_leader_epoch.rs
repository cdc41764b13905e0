//! OffsetForLeaderEpoch 2 to 4: how far the records of a leader's epoch reach.

use super::define::{api, structs};

api! {
    /// Asks a leader where an earlier leader's records end.
    OffsetForLeaderEpoch, 2 to 4, OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse
}

structs! {
    /// Partitions and epochs.
    pub struct OffsetForLeaderEpochRequest {
        /// -1 for a consumer; -2, the default, for tools.
        replica_id: i32 = from(3).ignorable(), default -2;
        topics: Vec<OffsetForLeaderTopic> = from(0);
    }

    /// One topic.
    pub struct OffsetForLeaderTopic {
        topic: String = from(0);
        partitions: Vec<OffsetForLeaderPartition> = from(0);
    }

    /// One partition and the epoch asked for.
    pub struct OffsetForLeaderPartition {
        partition: i32 = from(0);
        /// The epoch the client takes for the leader's; -1 unless it wants to be told when it is wrong.
        current_leader_epoch: i32 = from(2).ignorable(), default -1;
        leader_epoch: i32 = from(0);
    }

    /// Where the epochs end.
    pub struct OffsetForLeaderEpochResponse {
        throttle_time_ms: i32 = from(2).ignorable();
        topics: Vec<OffsetForLeaderTopicResult> = from(0);
    }

    /// One topic.
    pub struct OffsetForLeaderTopicResult {
        topic: String = from(0);
        partitions: Vec<EpochEndOffset> = from(0);
    }

    /// One partition: the largest epoch not above the one asked for, and one past its last offset; -1 where the broker
    /// knows of none.
    pub struct EpochEndOffset {
        error_code: i16 = from(0);
        partition: i32 = from(0);
        leader_epoch: i32 = from(1).ignorable(), default -1;
        end_offset: i64 = from(0), default -1;
    }
}
