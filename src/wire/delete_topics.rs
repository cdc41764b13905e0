//! DeleteTopics 1 to 6: by `topic_names` up to version 5, by `topics` (name or id) from 6 on.

use super::Uuid;
use super::define::{api, structs};

api! {
    /// Deletes topics.
    DeleteTopics, 1 to 6, DeleteTopicsRequest => DeleteTopicsResponse
}

structs! {
    /// Topics to delete.
    pub struct DeleteTopicsRequest {
        topics: Vec<DeleteTopicState> = from(6);
        topic_names: Vec<String> = within(0, 5).ignorable();
        timeout_ms: i32 = from(0);
    }

    /// One topic, by name or by id.
    pub struct DeleteTopicState {
        name: Option<String> = from(6);
        topic_id: Uuid = from(6);
    }

    /// What became of each.
    pub struct DeleteTopicsResponse {
        throttle_time_ms: i32 = from(1).ignorable();
        responses: Vec<DeletableTopicResult> = from(0);
    }

    /// One topic.
    pub struct DeletableTopicResult {
        name: Option<String> = from(0).nullable_from(6);
        topic_id: Uuid = from(6).ignorable();
        error_code: i16 = from(0);
        error_message: Option<String> = from(5).ignorable();
    }
}
