//! IncrementalAlterConfigs 0 to 1: sets, deletes and edits single configurations.

use super::define::{api, structs};

api! {
    /// Changes configurations.
    IncrementalAlterConfigs, 0 to 1, IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse
}

/// What to do with a configuration, for `config_operation`.
pub mod config_operation {
    /// Takes the value.
    pub const SET: i8 = 0;
    /// Goes back to the default.
    pub const DELETE: i8 = 1;
    /// Adds to a list.
    pub const APPEND: i8 = 2;
    /// Takes out of a list.
    pub const SUBTRACT: i8 = 3;
}

structs! {
    /// What to change.
    pub struct IncrementalAlterConfigsRequest {
        resources: Vec<AlterConfigsResource> = from(0);
        validate_only: bool = from(0);
    }

    /// One topic or broker.
    pub struct AlterConfigsResource {
        /// One of [`super::describe_configs::resource_type`].
        resource_type: i8 = from(0);
        resource_name: String = from(0);
        configs: Vec<AlterableConfig> = from(0);
    }

    /// One configuration.
    pub struct AlterableConfig {
        name: String = from(0);
        /// One of [`config_operation`].
        config_operation: i8 = from(0);
        value: Option<String> = from(0);
    }

    /// What became of each.
    pub struct IncrementalAlterConfigsResponse {
        throttle_time_ms: i32 = from(0);
        responses: Vec<AlterConfigsResourceResponse> = from(0);
    }

    /// One topic or broker.
    pub struct AlterConfigsResourceResponse {
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        resource_type: i8 = from(0);
        resource_name: String = from(0);
    }
}
