//! OffsetFetch 1 to 9: how far groups have read; one group up to version 7, several from 8 on.
//!
//! Version 10, with topics by id, is left out; brokers that speak it speak 9 too.

use super::define::{api, structs};

api! {
    /// Asks for the committed offsets of groups.
    OffsetFetch, 1 to 9, OffsetFetchRequest => OffsetFetchResponse
}

structs! {
    /// Which groups, and which of their partitions.
    pub struct OffsetFetchRequest {
        group_id: String = within(1, 7);
        /// Null for all of the group's.
        topics: Option<Vec<OffsetFetchRequestTopic>> = within(1, 7).nullable_from(2), default Some(Vec::new());
        groups: Vec<OffsetFetchRequestGroup> = from(8);
        /// Offsets that an open transaction may yet change are answered with UNSTABLE_OFFSET_COMMIT.
        require_stable: bool = from(7);
    }

    /// One topic.
    pub struct OffsetFetchRequestTopic {
        name: String = within(1, 7);
        partition_indexes: Vec<i32> = within(1, 7);
    }

    /// One group.
    pub struct OffsetFetchRequestGroup {
        group_id: String = from(8);
        member_id: Option<String> = from(9).ignorable();
        member_epoch: i32 = from(9).ignorable(), default -1;
        /// Null for all of the group's.
        topics: Option<Vec<OffsetFetchRequestTopics>> = from(8), default Some(Vec::new());
    }

    /// One topic of a group.
    pub struct OffsetFetchRequestTopics {
        name: String = from(8);
        partition_indexes: Vec<i32> = from(8);
    }

    /// The offsets of one group, or from version 8 on the `groups`.
    pub struct OffsetFetchResponse {
        throttle_time_ms: i32 = from(3).ignorable();
        topics: Vec<OffsetFetchResponseTopic> = within(1, 7);
        error_code: i16 = within(2, 7).ignorable();
        groups: Vec<OffsetFetchResponseGroup> = from(8);
    }

    /// One topic.
    pub struct OffsetFetchResponseTopic {
        name: String = within(1, 7);
        partitions: Vec<OffsetFetchResponsePartition> = within(1, 7);
    }

    /// One partition.
    pub struct OffsetFetchResponsePartition {
        partition_index: i32 = within(1, 7);
        /// -1 where none is committed.
        committed_offset: i64 = within(1, 7);
        committed_leader_epoch: i32 = within(5, 7).ignorable(), default -1;
        metadata: Option<String> = within(1, 7);
        error_code: i16 = within(1, 7);
    }

    /// One group.
    pub struct OffsetFetchResponseGroup {
        group_id: String = from(8);
        topics: Vec<OffsetFetchResponseTopics> = from(8);
        error_code: i16 = from(8);
    }

    /// One topic of a group.
    pub struct OffsetFetchResponseTopics {
        name: String = from(8);
        partitions: Vec<OffsetFetchResponsePartitions> = from(8);
    }

    /// One partition of a group.
    pub struct OffsetFetchResponsePartitions {
        partition_index: i32 = from(8);
        /// -1 where none is committed.
        committed_offset: i64 = from(8);
        committed_leader_epoch: i32 = from(8), default -1;
        metadata: Option<String> = from(8);
        error_code: i16 = from(8);
    }
}
