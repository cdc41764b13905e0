//! DescribeProducers 0: what a broker knows of the idempotent producers of partitions.

use super::define::{api, structs};

api! {
    /// Lists the producers that a partition remembers.
    DescribeProducers, 0 to 0, DescribeProducersRequest => DescribeProducersResponse
}

structs! {
    /// Whose producers.
    pub struct DescribeProducersRequest {
        topics: Vec<TopicRequest> = from(0);
    }

    /// One topic.
    pub struct TopicRequest {
        name: String = from(0);
        partition_indexes: Vec<i32> = from(0);
    }

    /// The producers.
    pub struct DescribeProducersResponse {
        throttle_time_ms: i32 = from(0);
        topics: Vec<TopicResponse> = from(0);
    }

    /// One topic.
    pub struct TopicResponse {
        name: String = from(0);
        partitions: Vec<PartitionResponse> = from(0);
    }

    /// One partition.
    pub struct PartitionResponse {
        partition_index: i32 = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        active_producers: Vec<ProducerState> = from(0);
    }

    /// One producer: what the broker takes for its last batch.
    pub struct ProducerState {
        producer_id: i64 = from(0);
        producer_epoch: i32 = from(0);
        /// -1 after a marker that raised the epoch.
        last_sequence: i32 = from(0), default -1;
        last_timestamp: i64 = from(0), default -1;
        coordinator_epoch: i32 = from(0);
        /// Where its open transaction begins; -1 where none is open.
        current_txn_start_offset: i64 = from(0), default -1;
    }
}
