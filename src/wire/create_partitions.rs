//! CreatePartitions 0 to 3: more partitions for a topic.

use super::define::{api, structs};

api! {
    /// Adds partitions to topics.
    CreatePartitions, 0 to 3, CreatePartitionsRequest => CreatePartitionsResponse
}

structs! {
    /// Topics to grow.
    pub struct CreatePartitionsRequest {
        topics: Vec<CreatePartitionsTopic> = from(0);
        timeout_ms: i32 = from(0);
        validate_only: bool = from(0);
    }

    /// One topic and how many partitions it shall have in all.
    pub struct CreatePartitionsTopic {
        name: String = from(0);
        count: i32 = from(0);
        /// The brokers of the new partitions, or null for the controller's choice.
        assignments: Option<Vec<CreatePartitionsAssignment>> = from(0);
    }

    /// The brokers of one new partition.
    pub struct CreatePartitionsAssignment {
        broker_ids: Vec<i32> = from(0);
    }

    /// What became of each.
    pub struct CreatePartitionsResponse {
        throttle_time_ms: i32 = from(0);
        results: Vec<CreatePartitionsTopicResult> = from(0);
    }

    /// One topic.
    pub struct CreatePartitionsTopicResult {
        name: String = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
    }
}
