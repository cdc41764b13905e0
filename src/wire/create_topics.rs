//! CreateTopics 2 to 7.

use super::Uuid;
use super::define::{api, structs};

api! {
    /// Creates topics.
    CreateTopics, 2 to 7, CreateTopicsRequest => CreateTopicsResponse
}

structs! {
    /// Topics to create.
    pub struct CreateTopicsRequest {
        topics: Vec<CreatableTopic> = from(0);
        timeout_ms: i32 = from(0), default 60_000;
        validate_only: bool = from(1);
    }

    /// One topic. Counts of -1 (from version 4) mean the broker's defaults, or that `assignments` say it.
    pub struct CreatableTopic {
        name: String = from(0);
        num_partitions: i32 = from(0);
        replication_factor: i16 = from(0);
        assignments: Vec<CreatableReplicaAssignment> = from(0);
        configs: Vec<CreatableTopicConfig> = from(0);
    }

    /// The brokers of one partition.
    pub struct CreatableReplicaAssignment {
        partition_index: i32 = from(0);
        broker_ids: Vec<i32> = from(0);
    }

    /// One configuration.
    pub struct CreatableTopicConfig {
        name: String = from(0);
        value: Option<String> = from(0);
    }

    /// What became of each.
    pub struct CreateTopicsResponse {
        throttle_time_ms: i32 = from(2).ignorable();
        topics: Vec<CreatableTopicResult> = from(0);
    }

    /// One topic.
    pub struct CreatableTopicResult {
        name: String = from(0);
        topic_id: Uuid = from(7).ignorable();
        error_code: i16 = from(0);
        error_message: Option<String> = from(1).ignorable();
        /// Why `configs` is null, where it is.
        topic_config_error_code: i16 = from(5).tagged(0).ignorable();
        num_partitions: i32 = from(5).ignorable(), default -1;
        replication_factor: i16 = from(5).ignorable(), default -1;
        configs: Option<Vec<CreatableTopicConfigs>> = from(5).ignorable();
    }

    /// One configuration as the topic has it.
    pub struct CreatableTopicConfigs {
        name: String = from(5);
        value: Option<String> = from(5);
        read_only: bool = from(5);
        config_source: i8 = from(5).ignorable(), default -1;
        is_sensitive: bool = from(5);
    }
}
