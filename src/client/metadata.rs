//! What a cluster says about itself: its brokers, its topics, who leads which partition.

use super::address::Address;
use super::error::ClientError;
use crate::base::place::TopicPartition;
use crate::wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use crate::wire::{ErrorCode, Uuid};
use std::collections::BTreeMap;

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its id.
    pub node: i32,
    /// Its advertised listener; `None` if what it advertises is no address.
    pub address: Option<Address>,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id; zero from brokers before 2.8.
    pub topic_id: Uuid,
    /// Whether it is one of Kafka's own.
    pub internal: bool,
    /// Its partitions by index: all of them, without a gap.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition and the brokers that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its index.
    pub index: i32,
    /// The broker that leads it; -1 if there is none now.
    pub leader: i32,
    /// How often it has changed its leader; -1 if the broker does not say.
    pub leader_epoch: i32,
    /// The brokers that should hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are up to date.
    pub isr: Vec<i32>,
}

impl TopicInfo {
    /// The smallest number of replicas a partition of it has.
    pub fn replication_factor(&self) -> usize {
        self.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0)
    }
}

/// One answer of one broker.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) said_by: Address,
    pub(crate) cluster_id: Option<String>,
    pub(crate) controller: i32,
    pub(crate) brokers: BTreeMap<i32, BrokerInfo>,
    /// By name: a topic, or the error the broker has for it.
    pub(crate) topics: Vec<(String, Result<TopicInfo, ErrorCode>)>,
}

/// Asks about `names`, or about every topic.
pub(crate) fn request(names: Option<&[&str]>) -> MetadataRequest {
    MetadataRequest {
        topics: names.map(|names| {
            let one = |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
            names.iter().map(one).collect()
        }),
        // Looking at a topic must never make one.
        allow_auto_topic_creation: false,
        ..Default::default()
    }
}

impl View {
    pub(crate) fn of(said_by: &Address, response: MetadataResponse) -> Result<Self, ClientError> {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {}
            code => return Err(super::cluster::refused(said_by, "Metadata", "the cluster", code)),
        }
        let brokers = response.brokers.into_iter().map(|broker| {
            let address = Address::advertised(&broker.host, broker.port);
            (broker.node_id, BrokerInfo { node: broker.node_id, address, rack: broker.rack })
        });
        let mut topics = Vec::with_capacity(response.topics.len());
        for topic in response.topics {
            // A null name answers a question by id, which we do not ask.
            let name = topic.name.clone().unwrap_or_default();
            let info = match ErrorCode::from_code(topic.error_code) {
                ErrorCode::None => Ok(topic_info(said_by, topic)?),
                code => Err(code),
            };
            topics.push((name, info));
        }
        Ok(Self {
            said_by: said_by.clone(),
            cluster_id: response.cluster_id,
            controller: response.controller_id,
            brokers: brokers.collect(),
            topics,
        })
    }

    /// What it says about one topic.
    pub(crate) fn topic(&self, name: &str) -> Option<&Result<TopicInfo, ErrorCode>> {
        self.topics.iter().find(|(found, _)| found == name).map(|(_, info)| info)
    }
}

fn topic_info(said_by: &Address, topic: MetadataResponseTopic) -> Result<TopicInfo, ClientError> {
    let name = topic.name.unwrap_or_default();
    let mut partitions: Vec<_> = topic
        .partitions
        .into_iter()
        .map(|partition| PartitionInfo {
            index: partition.partition_index,
            // A partition without a leader still names the last one in some versions; the error is what counts.
            leader: match ErrorCode::from_code(partition.error_code) {
                ErrorCode::LeaderNotAvailable | ErrorCode::ListenerNotFound => -1,
                _ => partition.leader_id,
            },
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
        })
        .collect();
    partitions.sort_unstable_by_key(|partition| partition.index);
    // Everything after this looks partitions up by their position.
    if let Some((position, odd)) = (0..).zip(&partitions).find(|(position, partition)| partition.index != *position) {
        return Err(ClientError::Protocol {
            broker: said_by.clone(),
            api: "Metadata",
            expected: TopicPartition::new(name, position).to_string(),
            got: format!("partition {}", odd.index),
        });
    }
    Ok(TopicInfo { name, topic_id: topic.topic_id, internal: topic.is_internal, partitions })
}
