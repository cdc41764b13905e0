//! Metadata: who the nodes are, and who leads which partition.
//!
//! - Versions: all that `wire` speaks.
//! - No topics named (an empty list in v0, null from v1) means all; naming by id from v12 (before, a null name is refused).
//! - Topics are never created on the way, whatever the request allows (`auto.create.topics.enable=false`).
//! - A partition without a leader has LEADER_NOT_AVAILABLE and -1; a node that is known to be dead is not told.
//! - Left out: authorized operations (there is no authorizer; the "not asked for" value is told), racks.

use super::Call;
use crate::broker::cluster::Cluster;
use crate::broker::topic::{NO_LEADER, Topic, check_name};
use crate::wire::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{ErrorCode, Uuid};

pub(super) fn handle(call: &Call<'_>, request: MetadataRequest) -> MetadataResponse {
    let cluster = call.cluster;
    let named = request.topics.filter(|topics| call.version > 0 || !topics.is_empty());
    let topics = match named {
        None => cluster.topics().iter().map(|topic| describe(call, topic)).collect(),
        Some(named) => named.into_iter().map(|wanted| lookup(call, wanted.name, wanted.topic_id)).collect(),
    };
    MetadataResponse {
        brokers: brokers(cluster),
        cluster_id: Some(cluster.id.clone()),
        controller_id: cluster.controller(),
        topics,
        ..Default::default()
    }
}

fn brokers(cluster: &Cluster) -> Vec<MetadataResponseBroker> {
    let tell = |node: crate::broker::membership::Node| MetadataResponseBroker {
        node_id: node.id,
        host: node.host,
        port: node.port.into(),
        ..Default::default()
    };
    cluster.alive().into_iter().map(tell).collect()
}

fn lookup(call: &Call<'_>, name: Option<String>, topic_id: Uuid) -> MetadataResponseTopic {
    let (found, missing) = match &name {
        Some(name) => (call.cluster.topic(name), ErrorCode::UnknownTopicOrPartition),
        None => (call.cluster.topic_by_id(topic_id), ErrorCode::UnknownTopicId),
    };
    if let Some(topic) = found {
        return describe(call, &topic);
    }
    let illegal = name.as_deref().is_some_and(|name| check_name(name).is_err());
    let error = if illegal { ErrorCode::InvalidTopicException } else { missing };
    failed(name, topic_id, error)
}

fn failed(name: Option<String>, topic_id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: error.code(), name, topic_id, ..Default::default() }
}

fn describe(call: &Call<'_>, topic: &Topic) -> MetadataResponseTopic {
    if let Some(error) = call.forced(None) {
        return failed(Some(topic.name.to_string()), topic.id, error);
    }
    let cluster = call.cluster;
    let partitions = topic.partitions();
    let describe_partition = |partition: &std::sync::Arc<crate::broker::topic::Partition>| {
        let state = partition.state();
        let is_alive = |node| cluster.is_alive(node);
        let error = if state.leader == NO_LEADER { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: partition.at.partition,
            leader_id: state.leader,
            leader_epoch: state.leader_epoch,
            replica_nodes: state.replicas.clone(),
            isr_nodes: state.in_sync(is_alive),
            offline_replicas: state.replicas.iter().copied().filter(|node| !is_alive(*node)).collect(),
        }
    };
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        partitions: partitions.iter().map(describe_partition).collect(),
        ..Default::default()
    }
}
