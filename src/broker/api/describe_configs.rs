//! DescribeConfigs: a topic's configuration, and the little a broker has.
//!
//! - Versions: all that `wire` speaks.
//! - Topics tell all names of Kafka 4.2 with value, source, type and, if asked, synonyms; see `configs` for what is in
//!   force. Brokers tell what clients look at before they start.
//! - Left out: documentation texts (null), other resource types (INVALID_REQUEST).

use super::Call;
use crate::broker::configs::{ConfigType, Entry};
use crate::broker::doors::NODES_SETTING;
use crate::broker::moving::End;
use crate::broker::validate::Refusal;
use crate::wire::ErrorCode;
use crate::wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym, config_source, resource_type,
};

pub(super) fn handle(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let configs = describe(call, &resource, request.include_synonyms);
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..Default::default()
        };
        match configs {
            Ok(configs) => result.configs = configs,
            Err(refusal) => {
                result.error_code = refusal.code.code();
                result.error_message = Some(refusal.message);
            }
        }
        result
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn describe(
    call: &Call<'_>,
    resource: &DescribeConfigsResource,
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    call.refuse_if_forced()?;
    let wanted = |name: &str| {
        resource.configuration_keys.as_ref().is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| key == name))
    };
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        resource_type::TOPIC => {
            let topic = call.cluster.topic(name).ok_or_else(|| {
                Refusal::new(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic.")
            })?;
            let config = topic.config();
            Ok(config.entries().filter(|e| wanted(e.name)).map(|e| topic_config(e, synonyms)).collect())
        }
        resource_type::BROKER => {
            let known = name.is_empty() || name.parse().is_ok_and(|id| call.cluster.node(id).is_some());
            if !known {
                let why = format!("There is no broker {}.", crate::base::text::visible(name));
                return Err(Refusal::new(ErrorCode::InvalidRequest, why));
            }
            let expiration_ms = call.cluster.expiry().expiration_ms;
            let nodes = call.cluster.members.all().len();
            let mut configs = broker_configs(name, expiration_ms, nodes);
            configs.extend(name.parse().into_iter().flat_map(|node| rates(call, node, synonyms)));
            configs.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(configs.into_iter().filter(|config| wanted(&config.name)).collect())
        }
        other => {
            let why = format!("The embedded broker has no configurations of resource type {other}.");
            Err(Refusal::new(ErrorCode::InvalidRequest, why))
        }
    }
}

fn topic_config(entry: Entry, with_synonyms: bool) -> DescribeConfigsResourceResult {
    let synonym = |value: &str, source| DescribeConfigsSynonym {
        name: entry.name.to_owned(),
        value: Some(value.to_owned()),
        source,
    };
    let mut synonyms = Vec::new();
    if with_synonyms {
        if entry.is_set {
            synonyms.push(synonym(&entry.value, source(true)));
        }
        synonyms.push(synonym(entry.default, config_source::DEFAULT));
    }
    DescribeConfigsResourceResult {
        name: entry.name.to_owned(),
        config_source: source(entry.is_set),
        config_type: entry.kind as i8,
        value: Some(entry.value),
        synonyms,
        ..Default::default()
    }
}

fn broker_configs(node: &str, expiration_ms: i64, nodes: usize) -> Vec<DescribeConfigsResourceResult> {
    use super::super::connection::FRAME_BYTES_MAX;
    use super::create_topics::{DEFAULT_PARTITIONS, DEFAULT_REPLICATION};
    use super::fetch::ANSWER_BYTES_MAX;
    let tell = |name: &str, value: String, kind: ConfigType| DescribeConfigsResourceResult {
        name: name.to_owned(),
        value: Some(value),
        read_only: true,
        config_source: config_source::STATIC_BROKER,
        config_type: kind as i8,
        ..Default::default()
    };
    let mut configs = vec![
        tell("auto.create.topics.enable", "false".into(), ConfigType::Boolean),
        tell("default.replication.factor", DEFAULT_REPLICATION.to_string(), ConfigType::Int),
        tell("fetch.max.bytes", ANSWER_BYTES_MAX.to_string(), ConfigType::Int),
        tell("num.partitions", DEFAULT_PARTITIONS.to_string(), ConfigType::Int),
        tell("producer.id.expiration.ms", expiration_ms.to_string(), ConfigType::Int),
        tell("socket.request.max.bytes", FRAME_BYTES_MAX.to_string(), ConfigType::Int),
    ];
    configs.insert(
        3,
        DescribeConfigsResourceResult {
            read_only: false,
            config_source: config_source::DYNAMIC_DEFAULT_BROKER,
            ..tell(NODES_SETTING, nodes.to_string(), ConfigType::Int)
        },
    );
    if !node.is_empty() {
        configs.insert(4, tell("node.id", node.to_owned(), ConfigType::Int));
    }
    configs
}

/// The rates at which a node may copy, where they are set.
fn rates(call: &Call<'_>, node: i32, synonyms: bool) -> Vec<DescribeConfigsResourceResult> {
    let ends = [End::Leader, End::Follower].into_iter();
    let set = ends.filter_map(|end| {
        let (name, value) = (end.rate().to_owned(), call.cluster.moves.rates.get(node, end)?.to_string());
        let config_source = config_source::DYNAMIC_BROKER;
        let own = DescribeConfigsSynonym { name: name.clone(), value: Some(value.clone()), source: config_source };
        Some(DescribeConfigsResourceResult {
            name,
            value: Some(value),
            config_source,
            config_type: ConfigType::Long as i8,
            synonyms: if synonyms { vec![own] } else { Vec::new() },
            ..Default::default()
        })
    });
    set.collect()
}

/// Where a topic's value comes from.
pub(super) fn source(is_set: bool) -> i8 {
    if is_set { config_source::TOPIC } else { config_source::DEFAULT }
}
