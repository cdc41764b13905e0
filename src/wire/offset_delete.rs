//! OffsetDelete 0: some of a group's offsets go, those of topics that none of its members reads.

use super::define::{api, structs};

api! {
    /// Deletes offsets of a group.
    OffsetDelete, 0 to 0, OffsetDeleteRequest => OffsetDeleteResponse
}

structs! {
    /// Which offsets.
    pub struct OffsetDeleteRequest {
        group_id: String = from(0);
        topics: Vec<OffsetDeleteRequestTopic> = from(0);
    }

    /// One topic.
    pub struct OffsetDeleteRequestTopic {
        name: String = from(0);
        partitions: Vec<OffsetDeleteRequestPartition> = from(0);
    }

    /// One partition.
    pub struct OffsetDeleteRequestPartition {
        partition_index: i32 = from(0);
    }

    /// What became of them. With an error of the whole there are no topics.
    pub struct OffsetDeleteResponse {
        error_code: i16 = from(0);
        throttle_time_ms: i32 = from(0).ignorable();
        topics: Vec<OffsetDeleteResponseTopic> = from(0);
    }

    /// One topic.
    pub struct OffsetDeleteResponseTopic {
        name: String = from(0);
        partitions: Vec<OffsetDeleteResponsePartition> = from(0);
    }

    /// One partition.
    pub struct OffsetDeleteResponsePartition {
        partition_index: i32 = from(0);
        error_code: i16 = from(0);
    }
}
