//! ListOffsets 1 to 11: the first, last or timely offset of partitions.

use super::define::{api, structs};

api! {
    /// Looks up offsets by time.
    ListOffsets, 1 to 11, ListOffsetsRequest => ListOffsetsResponse
}

/// Times with a meaning of their own, for [`ListOffsetsPartition::timestamp`].
pub mod timestamp {
    /// The end: the high watermark, or the last stable offset for who reads committed.
    pub const LATEST: i64 = -1;
    /// The start.
    pub const EARLIEST: i64 = -2;
    /// The record with the greatest timestamp (from version 7).
    pub const MAX_TIMESTAMP: i64 = -3;
    /// The first offset on the leader's own disk (from version 8).
    pub const EARLIEST_LOCAL: i64 = -4;
    /// The last offset in remote storage (from version 9).
    pub const LATEST_TIERED: i64 = -5;
    /// The first offset not yet in remote storage (from version 11).
    pub const EARLIEST_PENDING_UPLOAD: i64 = -6;
}

structs! {
    /// Partitions and times.
    pub struct ListOffsetsRequest {
        /// -1 for a client.
        replica_id: i32 = from(0), default -1;
        /// 0: read uncommitted, 1: read committed.
        isolation_level: i8 = from(2);
        topics: Vec<ListOffsetsTopic> = from(0);
        timeout_ms: i32 = from(10).ignorable();
    }

    /// One topic.
    pub struct ListOffsetsTopic {
        name: String = from(0);
        partitions: Vec<ListOffsetsPartition> = from(0);
    }

    /// One partition and the time asked for: milliseconds, or one of [`timestamp`].
    pub struct ListOffsetsPartition {
        partition_index: i32 = from(0);
        current_leader_epoch: i32 = from(4).ignorable(), default -1;
        timestamp: i64 = from(0);
    }

    /// The offsets found.
    pub struct ListOffsetsResponse {
        throttle_time_ms: i32 = from(2).ignorable();
        topics: Vec<ListOffsetsTopicResponse> = from(0);
    }

    /// One topic.
    pub struct ListOffsetsTopicResponse {
        name: String = from(0);
        partitions: Vec<ListOffsetsPartitionResponse> = from(0);
    }

    /// One partition; offset -1 where no record is that late.
    pub struct ListOffsetsPartitionResponse {
        partition_index: i32 = from(0);
        error_code: i16 = from(0);
        timestamp: i64 = from(1), default -1;
        offset: i64 = from(1), default -1;
        leader_epoch: i32 = from(4).ignorable(), default -1;
    }
}
