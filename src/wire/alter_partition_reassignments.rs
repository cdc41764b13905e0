//! AlterPartitionReassignments 0 to 1: moves partitions to other brokers, or takes such a move back.

use super::define::{api, structs};

api! {
    /// Begins and cancels moves of partitions.
    AlterPartitionReassignments, 0 to 1, AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse
}

structs! {
    /// Partitions to move.
    pub struct AlterPartitionReassignmentsRequest {
        timeout_ms: i32 = from(0), default 60_000;
        /// Whether a partition may have another number of replicas afterwards.
        allow_replication_factor_change: bool = from(1), default true;
        topics: Vec<ReassignableTopic> = from(0);
    }

    /// One topic's.
    pub struct ReassignableTopic {
        name: String = from(0);
        partitions: Vec<ReassignablePartition> = from(0);
    }

    /// One partition and where it is to go.
    pub struct ReassignablePartition {
        partition_index: i32 = from(0);
        /// The brokers that shall hold it, the preferred leader first; null takes the move that is under way back.
        replicas: Option<Vec<i32>> = from(0);
    }

    /// What became of each.
    pub struct AlterPartitionReassignmentsResponse {
        throttle_time_ms: i32 = from(0);
        allow_replication_factor_change: bool = from(1).ignorable(), default true;
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        responses: Vec<ReassignableTopicResponse> = from(0);
    }

    /// One topic's.
    pub struct ReassignableTopicResponse {
        name: String = from(0);
        partitions: Vec<ReassignablePartitionResponse> = from(0);
    }

    /// One partition.
    pub struct ReassignablePartitionResponse {
        partition_index: i32 = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
    }
}
