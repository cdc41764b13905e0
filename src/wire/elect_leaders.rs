//! ElectLeaders 0 to 2: lets the preferred replicas lead, or any that is alive.

use super::define::{api, structs};

api! {
    /// Elects leaders.
    ElectLeaders, 0 to 2, ElectLeadersRequest => ElectLeadersResponse
}

/// Who may be elected, for `election_type`.
pub mod election_type {
    /// The first of a partition's replicas, if it is in sync.
    pub const PREFERRED: i8 = 0;
    /// Any replica, also one that lacks records, where no other is alive.
    pub const UNCLEAN: i8 = 1;
}

structs! {
    /// Where to elect.
    pub struct ElectLeadersRequest {
        /// One of [`election_type`].
        election_type: i8 = from(1);
        /// Null for all partitions.
        topic_partitions: Option<Vec<TopicPartitions>> = from(0), default Some(Vec::new());
        timeout_ms: i32 = from(0), default 60_000;
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        topic: String = from(0);
        partitions: Vec<i32> = from(0);
    }

    /// What became of each.
    pub struct ElectLeadersResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(1).ignorable();
        replica_election_results: Vec<ReplicaElectionResult> = from(0);
    }

    /// One topic's.
    pub struct ReplicaElectionResult {
        topic: String = from(0);
        partition_result: Vec<PartitionResult> = from(0);
    }

    /// One partition.
    pub struct PartitionResult {
        partition_id: i32 = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
    }
}
