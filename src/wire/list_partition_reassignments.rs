//! ListPartitionReassignments 0: the moves of partitions that are under way.

use super::define::{api, structs};

api! {
    /// Lists moves of partitions.
    ListPartitionReassignments, 0 to 0, ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse
}

structs! {
    /// Which partitions are meant.
    pub struct ListPartitionReassignmentsRequest {
        timeout_ms: i32 = from(0), default 60_000;
        /// Null for all of them.
        topics: Option<Vec<ListPartitionReassignmentsTopics>> = from(0);
    }

    /// One topic's.
    pub struct ListPartitionReassignmentsTopics {
        name: String = from(0);
        partition_indexes: Vec<i32> = from(0);
    }

    /// Those of them that are being moved.
    pub struct ListPartitionReassignmentsResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        topics: Vec<OngoingTopicReassignment> = from(0);
    }

    /// One topic's.
    pub struct OngoingTopicReassignment {
        name: String = from(0);
        partitions: Vec<OngoingPartitionReassignment> = from(0);
    }

    /// One partition.
    pub struct OngoingPartitionReassignment {
        partition_index: i32 = from(0);
        /// All that hold it now, those that are coming and going included.
        replicas: Vec<i32> = from(0);
        adding_replicas: Vec<i32> = from(0);
        removing_replicas: Vec<i32> = from(0);
    }
}
