//! TxnOffsetCommit 0 to 5: how far a group has read, in force once the transaction is committed.
//!
//! From version 5 on it adds the group to the transaction as well, which AddOffsetsToTxn does for the older ones.

use super::define::{api, structs};

api! {
    /// Commits a group's offsets in a transaction.
    TxnOffsetCommit, 0 to 5, TxnOffsetCommitRequest => TxnOffsetCommitResponse
}

structs! {
    /// The offsets, the group, the transaction.
    pub struct TxnOffsetCommitRequest {
        transactional_id: String = from(0);
        group_id: String = from(0);
        producer_id: i64 = from(0);
        producer_epoch: i16 = from(0);
        /// -1 with an empty member id: the group is only a name.
        generation_id: i32 = from(3), default -1;
        member_id: String = from(3);
        group_instance_id: Option<String> = from(3);
        topics: Vec<TxnOffsetCommitRequestTopic> = from(0);
    }

    /// One topic.
    pub struct TxnOffsetCommitRequestTopic {
        name: String = from(0);
        partitions: Vec<TxnOffsetCommitRequestPartition> = from(0);
    }

    /// One partition: the offset of the next record to read.
    pub struct TxnOffsetCommitRequestPartition {
        partition_index: i32 = from(0);
        committed_offset: i64 = from(0);
        committed_leader_epoch: i32 = from(2).ignorable(), default -1;
        committed_metadata: Option<String> = from(0);
    }

    /// What became of it.
    pub struct TxnOffsetCommitResponse {
        throttle_time_ms: i32 = from(0);
        topics: Vec<TxnOffsetCommitResponseTopic> = from(0);
    }

    /// One topic.
    pub struct TxnOffsetCommitResponseTopic {
        name: String = from(0);
        partitions: Vec<TxnOffsetCommitResponsePartition> = from(0);
    }

    /// One partition.
    pub struct TxnOffsetCommitResponsePartition {
        partition_index: i32 = from(0);
        error_code: i16 = from(0);
    }
}
