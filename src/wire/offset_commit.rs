//! OffsetCommit 2 to 9: how far a group has read.
//!
//! Version 10, with topics by id, is left out; brokers that speak it speak 9 too.

use super::define::{api, structs};

api! {
    /// Commits a group's offsets.
    OffsetCommit, 2 to 9, OffsetCommitRequest => OffsetCommitResponse
}

structs! {
    /// The offsets and the group.
    pub struct OffsetCommitRequest {
        group_id: String = from(2);
        /// -1 with an empty member id: the group is only a name.
        generation_id_or_member_epoch: i32 = from(2), default -1;
        member_id: String = from(2);
        group_instance_id: Option<String> = from(7);
        retention_time_ms: i64 = within(2, 4).ignorable(), default -1;
        topics: Vec<OffsetCommitRequestTopic> = from(2);
    }

    /// One topic.
    pub struct OffsetCommitRequestTopic {
        name: String = from(2);
        partitions: Vec<OffsetCommitRequestPartition> = from(2);
    }

    /// One partition: the offset of the next record to read.
    pub struct OffsetCommitRequestPartition {
        partition_index: i32 = from(2);
        committed_offset: i64 = from(2);
        committed_leader_epoch: i32 = from(6).ignorable(), default -1;
        committed_metadata: Option<String> = from(2);
    }

    /// What became of it.
    pub struct OffsetCommitResponse {
        throttle_time_ms: i32 = from(3).ignorable();
        topics: Vec<OffsetCommitResponseTopic> = from(2);
    }

    /// One topic.
    pub struct OffsetCommitResponseTopic {
        name: String = from(2);
        partitions: Vec<OffsetCommitResponsePartition> = from(2);
    }

    /// One partition.
    pub struct OffsetCommitResponsePartition {
        partition_index: i32 = from(2);
        error_code: i16 = from(2);
    }
}
