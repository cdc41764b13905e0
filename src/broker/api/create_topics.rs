//! CreateTopics: names checked as Kafka checks them, partitions placed round the nodes.
//!
//! - Versions: all that `wire` speaks. Any node takes the request, as in KRaft.
//! - The answer comes when the topic is there for everybody; the timeout has nothing to bound.
//! - Replicas are placed and told, but there is one copy of the data.
//! - Limits of our own: a topic has at most 10,000 partitions (INVALID_PARTITIONS), and each is paid for from `--memory`
//!   (POLICY_VIOLATION when it is full).
//! - Left out: racks, quotas, policies.

use super::Call;
use super::describe_configs::source;
use crate::broker::cluster::NotAdded;
use crate::broker::configs::{Change, TopicConfig};
use crate::broker::topic::check_name;
use crate::broker::validate::Refusal;
use crate::wire::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::{ErrorCode, Uuid};
use std::collections::{BTreeSet, HashMap};

/// `num.partitions` and `default.replication.factor`: what -1 stands for.
pub(super) const DEFAULT_PARTITIONS: i32 = 1;
pub(super) const DEFAULT_REPLICATION: i16 = 1;

/// The most partitions a topic has.
pub(crate) const PARTITIONS_MAX: i32 = 10_000;

/// What a topic is to become.
struct Plan {
    placement: Vec<Vec<i32>>,
    config: TopicConfig,
}

pub(super) fn handle(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut times_named = HashMap::<&str, usize>::new();
    for topic in &request.topics {
        *times_named.entry(&topic.name).or_default() += 1;
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut answered = BTreeSet::new();
    for topic in &request.topics {
        let twice = times_named.get(topic.name.as_str()).is_some_and(|times| *times > 1);
        let result = match twice {
            // Kafka answers a name once, however often it stands in the request.
            true if !answered.insert(topic.name.as_str()) => continue,
            true => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            false => create(call, topic, request.validate_only),
        };
        topics.push(result.unwrap_or_else(|refusal| failed(topic, &refusal)));
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

fn create(call: &Call<'_>, topic: &CreatableTopic, validate_only: bool) -> Result<CreatableTopicResult, Refusal> {
    call.refuse_if_forced()?;
    let plan = plan(call, topic)?;
    let partitions = plan.placement.len();
    let replicas = plan.placement.first().map_or(0, Vec::len);
    let config = plan.config.clone();
    let topic_id = if validate_only {
        Uuid::ZERO
    } else {
        call.cluster
            .add_topic(&topic.name, plan.placement, plan.config)
            .map_err(|error| not_added(&topic.name, error))?
            .id
    };
    let tell = |entry: crate::broker::configs::Entry| CreatableTopicConfigs {
        name: entry.name.to_owned(),
        config_source: source(entry.is_set),
        value: Some(entry.value),
        ..Default::default()
    };
    Ok(CreatableTopicResult {
        name: topic.name.clone(),
        topic_id,
        num_partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        configs: Some(config.entries().map(tell).collect()),
        ..Default::default()
    })
}

fn plan(call: &Call<'_>, topic: &CreatableTopic) -> Result<Plan, Refusal> {
    check_name(&topic.name).map_err(|why| Refusal::new(ErrorCode::InvalidTopicException, why))?;
    call.cluster.may_add(&topic.name).map_err(|error| not_added(&topic.name, error))?;
    let changes = topic.configs.iter().map(|config| {
        let change = config.value.clone().map_or(Change::Delete, Change::Set);
        (config.name.as_str(), change)
    });
    let config = TopicConfig::default().changed(changes).map_err(|why| Refusal::new(ErrorCode::InvalidConfig, why))?;
    let placement = if topic.assignments.is_empty() { by_number(call, topic)? } else { by_hand(call, topic)? };
    Ok(Plan { placement, config })
}

fn by_number(call: &Call<'_>, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, Refusal> {
    let partitions = match topic.num_partitions {
        -1 => DEFAULT_PARTITIONS,
        number if (1..=PARTITIONS_MAX).contains(&number) => number,
        number => {
            let why = format!("Number of partitions {number} is not between 1 and {PARTITIONS_MAX}.");
            return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
        }
    };
    let replication = if topic.replication_factor == -1 { DEFAULT_REPLICATION } else { topic.replication_factor };
    let nodes = call.cluster.alive().len();
    match usize::try_from(replication) {
        Ok(replicas) if (1..=nodes).contains(&replicas) => {
            Ok((0..partitions).map(|_| call.cluster.place(replicas)).collect())
        }
        _ => {
            let why = format!("Replication factor {replication} is not between 1 and the number of brokers, {nodes}.");
            Err(Refusal::new(ErrorCode::InvalidReplicationFactor, why))
        }
    }
}

fn by_hand(call: &Call<'_>, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, Refusal> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let why = "With a manual assignment the number of partitions and the replication factor must be -1.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, why));
    }
    let wrong = |why: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, why);
    let mut placement = vec![Vec::new(); topic.assignments.len()];
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        let slot = usize::try_from(index).ok().and_then(|index| placement.get_mut(index));
        let Some(slot) = slot.filter(|slot| slot.is_empty()) else {
            return Err(wrong(format!("Partition {index} is assigned twice, or the indexes are not 0, 1, 2, ...")));
        };
        check_replicas(call, &assignment.broker_ids).map_err(wrong)?;
        slot.clone_from(&assignment.broker_ids);
    }
    let replicas = placement.first().map_or(0, Vec::len);
    if placement.iter().any(|nodes| nodes.len() != replicas) {
        return Err(wrong("All partitions must have the same number of replicas.".into()));
    }
    if placement.len() > PARTITIONS_MAX as usize {
        let why = format!("A topic has at most {PARTITIONS_MAX} partitions.");
        return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
    }
    Ok(placement)
}

/// Whether these nodes can hold a partition.
pub(super) fn check_replicas(call: &Call<'_>, nodes: &[i32]) -> Result<(), String> {
    if nodes.is_empty() {
        return Err("The manual partition assignment includes an empty replica list.".into());
    }
    for (place, node) in nodes.iter().enumerate() {
        if nodes[..place].contains(node) {
            return Err(format!("The manual partition assignment includes the broker {node} more than once."));
        }
        if call.cluster.node(*node).is_none() {
            return Err(format!("The manual partition assignment includes broker {node}, which does not exist."));
        }
    }
    Ok(())
}

fn not_added(name: &str, error: NotAdded) -> Refusal {
    match error {
        NotAdded::Exists => Refusal::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")),
        NotAdded::Collides(other) => {
            let why = format!("Topic '{name}' collides with existing topic: {other}");
            Refusal::new(ErrorCode::InvalidTopicException, why)
        }
        NotAdded::NoMemory => {
            Refusal::new(ErrorCode::PolicyViolation, "the broker's memory is full: delete topics, or raise --memory")
        }
    }
}

fn failed(topic: &CreatableTopic, refusal: &Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.clone()),
        ..Default::default()
    }
}
