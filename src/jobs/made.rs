//! The topic that a job writes to, made if it is missing and that was asked for.

use super::error::JobError;
use crate::client::{ClientError, Cluster, NewTopic, TopicInfo};
use crate::wire::ErrorCode;

/// The topic as it is, and whether it was made just now. Somebody who makes it at the same moment is no error.
pub(crate) async fn topic_or_new(cluster: &Cluster, new: &NewTopic) -> Result<(TopicInfo, bool), JobError> {
    match cluster.topic(&new.name).await {
        Err(ClientError::UnknownTopic { .. }) => {}
        found => return Ok((found?, false)),
    }
    match cluster.create_topic(new).await {
        Ok(info) => Ok((info, true)),
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {
            Ok((cluster.existing_topic(&new.name).await?, false))
        }
        Err(error) => Err(error.into()),
    }
}
