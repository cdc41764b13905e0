//! IncrementalAlterConfigs: a topic's configuration changes, all changes to a topic or none.
//!
//! - Versions: all that `wire` speaks.
//! - Set, delete, and for lists append and subtract; in force for the next request.
//! - Of the brokers' own settings two things can be changed while they run: there are more nodes once `kmerge.nodes` is raised
//!   for all of them (see `doors`), and the rates at which a node copies partitions that move are set and deleted, as tools do
//!   around each reassignment (see `moving`). The rate between a node's disks can be deleted only: there are none. Everything
//!   else is refused (INVALID_REQUEST).

use super::Call;
use crate::broker::NODES_MAX;
use crate::broker::configs::Change;
use crate::broker::doors::NODES_SETTING;
use crate::broker::moving::End;
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
    match resource.resource_type {
        resource_type::TOPIC => {}
        resource_type::BROKER => return alter_brokers(call, resource, validate_only),
        other => {
            let why = format!("The embedded broker has no configurations of resource type {other}.");
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
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

/// A rate that tools take back when partitions have moved, and that is never set here.
const DISKS_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// All changes or none: nothing is done before all have been looked at.
fn alter_brokers(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let name = resource.resource_name.as_str();
    if !name.is_empty() && name != call.node.to_string() {
        let node = call.node;
        let why = format!("Unexpected broker id, expected {node}, but received {}.", crate::base::text::visible(name));
        return Err(Refusal::new(ErrorCode::InvalidRequest, why));
    }
    let (mut wanted_nodes, mut wanted_rates) = (None, Vec::new());
    for config in &resource.configs {
        let (setting, wanted) = change(config)?;
        match (setting, End::of_rate(setting), wanted) {
            (DISKS_RATE, _, Change::Delete) => {}
            (_, Some(end), Change::Delete) => wanted_rates.push((end, None)),
            (_, Some(end), Change::Set(value)) if !name.is_empty() => {
                wanted_rates.push((end, Some(rate(setting, &value)?)));
            }
            (NODES_SETTING, _, Change::Set(value)) if name.is_empty() => wanted_nodes = Some(nodes(call, &value)?),
            _ => {
                let why =
                    format!("The embedded broker cannot change {} while it runs.", crate::base::text::visible(setting));
                return Err(Refusal::new(ErrorCode::InvalidRequest, why));
            }
        }
    }
    if validate_only {
        return Ok(());
    }
    if !name.is_empty() {
        wanted_rates.into_iter().for_each(|(end, rate)| call.cluster.moves.rates.set(call.node, end, rate));
    }
    let Some(nodes) = wanted_nodes else { return Ok(()) };
    // A broker that is ending opens no doors.
    let doors = call.cluster.doors.upgrade().ok_or(ErrorCode::BrokerNotAvailable)?;
    doors.open_up_to(nodes, call.cluster).map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))
}

fn rate(setting: &str, value: &str) -> Result<i64, Refusal> {
    let rate = value.trim().parse().ok().filter(|rate| *rate >= 0);
    rate.ok_or_else(|| {
        let value = crate::base::text::visible(value);
        let why = format!("Invalid value {value} for configuration {setting}: it must be a number of bytes, 0 or more");
        Refusal::new(ErrorCode::InvalidConfig, why)
    })
}

fn nodes(call: &Call<'_>, value: &str) -> Result<usize, Refusal> {
    let now = call.cluster.members.all().len();
    let nodes = value.trim().parse().ok().filter(|nodes| (now..=NODES_MAX.into()).contains(nodes));
    nodes.ok_or_else(|| {
        let why = format!("{NODES_SETTING} must be {now} (nodes do not leave) to {NODES_MAX}.");
        Refusal::new(ErrorCode::InvalidConfig, why)
    })
}
