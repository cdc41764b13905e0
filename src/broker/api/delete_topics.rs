//! DeleteTopics: gone at once, with its records; readers that wait for more are told.
//!
//! - Versions: all that `wire` speaks; by id from v6.
//! - Requests that were accepted before finish on the deleted topic and are forgotten with it.

use super::Call;
use crate::broker::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::delete_topics::{DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use std::sync::Arc;

pub(super) fn handle(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState { name: Some(name), ..Default::default() });
    let responses = request.topics.into_iter().chain(by_name).map(|wanted| delete(call, wanted)).collect();
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn delete(call: &Call<'_>, wanted: DeleteTopicState) -> DeletableTopicResult {
    let mut result =
        DeletableTopicResult { name: wanted.name.clone(), topic_id: wanted.topic_id, ..Default::default() };
    match call.forced(None).map_or_else(|| find(call, &wanted), Err) {
        Ok(topic) => {
            call.cluster.remove_topic(&topic.name);
            result.name = Some(topic.name.to_string());
            result.topic_id = topic.id;
        }
        Err(error) => {
            result.error_code = error.code();
            result.error_message = (call.version >= 5).then(|| error.name().to_owned());
        }
    }
    result
}

fn find(call: &Call<'_>, wanted: &DeleteTopicState) -> Result<Arc<Topic>, ErrorCode> {
    match &wanted.name {
        Some(_) if !wanted.topic_id.is_zero() => Err(ErrorCode::InvalidRequest),
        Some(name) => call.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
        None if wanted.topic_id.is_zero() => Err(ErrorCode::InvalidRequest),
        None => call.cluster.topic_by_id(wanted.topic_id).ok_or(ErrorCode::UnknownTopicId),
    }
}
