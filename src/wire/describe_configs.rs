//! DescribeConfigs 1 to 4: configurations of topics and brokers.

use super::define::{api, structs};

api! {
    /// Reads configurations.
    DescribeConfigs, 1 to 4, DescribeConfigsRequest => DescribeConfigsResponse
}

/// The sorts of things that have configurations, for `resource_type`.
pub mod resource_type {
    /// A topic, by name.
    pub const TOPIC: i8 = 2;
    /// A broker, by its id in decimal; the empty name stands for the cluster-wide default.
    pub const BROKER: i8 = 4;
    /// A broker's loggers, by its id.
    pub const BROKER_LOGGER: i8 = 8;
}

/// Where a value comes from, for `config_source`.
pub mod config_source {
    /// Set on the topic.
    pub const TOPIC: i8 = 1;
    /// Set on the broker while it runs.
    pub const DYNAMIC_BROKER: i8 = 2;
    /// Set for all brokers while they run.
    pub const DYNAMIC_DEFAULT_BROKER: i8 = 3;
    /// In the broker's file.
    pub const STATIC_BROKER: i8 = 4;
    /// Nobody set it.
    pub const DEFAULT: i8 = 5;
    /// A logger's level.
    pub const DYNAMIC_BROKER_LOGGER: i8 = 6;
}

structs! {
    /// What to describe.
    pub struct DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource> = from(0);
        include_synonyms: bool = from(1);
        include_documentation: bool = from(3);
    }

    /// One topic or broker.
    pub struct DescribeConfigsResource {
        /// One of [`resource_type`].
        resource_type: i8 = from(0);
        resource_name: String = from(0);
        /// Null for all of them.
        configuration_keys: Option<Vec<String>> = from(0);
    }

    /// The configurations.
    pub struct DescribeConfigsResponse {
        throttle_time_ms: i32 = from(0);
        results: Vec<DescribeConfigsResult> = from(0);
    }

    /// One topic or broker.
    pub struct DescribeConfigsResult {
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        resource_type: i8 = from(0);
        resource_name: String = from(0);
        configs: Vec<DescribeConfigsResourceResult> = from(0);
    }

    /// One configuration.
    pub struct DescribeConfigsResourceResult {
        name: String = from(0);
        /// Null where it is sensitive.
        value: Option<String> = from(0);
        read_only: bool = from(0);
        /// One of [`config_source`].
        config_source: i8 = from(1).ignorable(), default -1;
        is_sensitive: bool = from(0);
        synonyms: Vec<DescribeConfigsSynonym> = from(1).ignorable();
        config_type: i8 = from(3).ignorable();
        documentation: Option<String> = from(3).ignorable();
    }

    /// Where the value could have come from, the nearest first.
    pub struct DescribeConfigsSynonym {
        name: String = from(1);
        value: Option<String> = from(1);
        source: i8 = from(1);
    }
}
