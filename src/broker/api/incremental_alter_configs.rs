//! IncrementalAlterConfigs: a topic's configuration changes, all changes to a topic or none.
//!
//! - Versions: all that `wire` speaks.
//! - Set, delete, and for lists append and subtract; in force for the next request.
//! - A broker's configuration cannot be changed while it runs (INVALID_REQUEST).

use super::Call;
use crate::broker::configs::Change;
use crate::broker::validate::Refusal;
use crate::wire::ErrorCode;
use crate::wire::describe_configs::resource_type;
use crate::wire::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, config_operation,
};

pub(super) fn handle(call: &Call<'_>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let outcome = alter(call, &resource, request.validate_only);
        let mut response = AlterConfigsResourceResponse {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..Default::default()
        };
        if let Err(refusal) = outcome {
            response.error_code = refusal.code.code();
            response.error_message = Some(refusal.message);
        }
        response
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn alter(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    call.refuse_if_forced()?;
    if resource.resource_type != resource_type::TOPIC {
        let why = format!("The embedded broker changes topics only, not resource type {}.", resource.resource_type);
        return Err(Refusal::new(ErrorCode::InvalidRequest, why));
    }
    let topic = call
        .cluster
        .topic(&resource.resource_name)
        .ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic."))?;
    let changes = resource.configs.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let apply = |config: &crate::broker::configs::TopicConfig| config.changed(changes.clone());
    topic.alter_config(apply, validate_only).map_err(|why| Refusal::new(ErrorCode::InvalidConfig, why))
}

fn change(config: &AlterableConfig) -> Result<(&str, Change), Refusal> {
    let value = || {
        let why = format!("Null value not supported for {}", crate::base::text::visible(&config.name));
        config.value.clone().ok_or_else(|| Refusal::new(ErrorCode::InvalidRequest, why))
    };
    let change = match config.config_operation {
        config_operation::SET => Change::Set(value()?),
        config_operation::DELETE => Change::Delete,
        config_operation::APPEND => Change::Append(value()?),
        config_operation::SUBTRACT => Change::Subtract(value()?),
        other => return Err(Refusal::new(ErrorCode::InvalidRequest, format!("Unknown operation type {other}"))),
    };
    Ok((&config.name, change))
}
