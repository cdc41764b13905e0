//! Topics, configurations, and who is where.

use super::*;
use crate::wire::create_partitions::{CreatePartitions, CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopics, CreateTopicsRequest,
};
use crate::wire::delete_topics::{DeleteTopicState, DeleteTopics, DeleteTopicsRequest};
use crate::wire::describe_cluster::{DescribeCluster, DescribeClusterRequest};
use crate::wire::describe_configs::{
    DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, config_source,
    resource_type,
};
use crate::wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigs, IncrementalAlterConfigsRequest, config_operation,
};
use crate::wire::metadata::{Metadata, MetadataRequest, MetadataRequestTopic};
use crate::wire::{ErrorCode, Uuid};

async fn three_nodes() -> (Broker, Client) {
    let broker = broker_with(BrokerConfig { nodes: 3, ..Default::default() }).await;
    let client = Client::connect(&broker).await;
    (broker, client)
}

fn topic(name: &str, partitions: i32, replication: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replication,
        ..Default::default()
    }
}

async fn create(client: &mut Client, topics: Vec<CreatableTopic>) -> Vec<i16> {
    let request = CreateTopicsRequest { topics, ..Default::default() };
    client.call::<CreateTopics, _>(7, &request, |r| r.topics.iter().map(|t| t.error_code).collect()).await
}

#[tokio::test]
async fn a_created_topic_is_seen_by_every_node_and_its_leaders_are_spread() {
    let (broker, mut client) = three_nodes().await;
    for version in CreateTopics::VERSIONS {
        let request = CreateTopicsRequest { topics: vec![topic(&format!("t{version}"), 6, 2)], ..Default::default() };
        client
            .call::<CreateTopics, _>(version, &request, |r| {
                assert_eq!(r.topics[0].error_code, 0, "v{version}");
                if version >= 5 {
                    assert_eq!((r.topics[0].num_partitions, r.topics[0].replication_factor), (6, 2));
                    assert_eq!(r.topics[0].configs.as_ref().unwrap().len(), 33);
                }
            })
            .await;
    }
    for version in Metadata::VERSIONS {
        let mut other = Client::connect_to(&broker, 3).await;
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: Some("t7".into()), ..Default::default() }]),
            ..Default::default()
        };
        other
            .call::<Metadata, _>(version, &request, |r| {
                assert_eq!(r.brokers.len(), 3);
                let partitions = &r.topics[0].partitions;
                let mut led = [0; 3];
                for partition in partitions {
                    led[partition.leader_id as usize - 1] += 1;
                    assert_eq!((partition.replica_nodes.len(), partition.isr_nodes.len()), (2, 2));
                    assert_eq!(partition.replica_nodes[0], partition.leader_id);
                }
                assert_eq!(led, [2, 2, 2], "v{version}");
            })
            .await;
    }
}

#[tokio::test]
async fn a_topic_that_cannot_be_gets_kafkas_code() {
    let (_broker, mut client) = three_nodes().await;
    let config = |name: &str, value: &str| CreatableTopic {
        configs: vec![CreatableTopicConfig { name: name.into(), value: Some(value.into()) }],
        ..topic("configured", 1, 1)
    };
    let assigned = |lists: &[&[i32]]| CreatableTopic {
        assignments: lists
            .iter()
            .zip(0..)
            .map(|(nodes, partition_index)| CreatableReplicaAssignment { partition_index, broker_ids: nodes.to_vec() })
            .collect(),
        ..topic("assigned", -1, -1)
    };
    assert_eq!(create(&mut client, vec![topic("a.b", 1, 1)]).await, [0]);
    for (wanted, code) in [
        (topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists),
        (topic("a_b", 1, 1), ErrorCode::InvalidTopicException),
        (topic("no spaces", 1, 1), ErrorCode::InvalidTopicException),
        (topic("", 1, 1), ErrorCode::InvalidTopicException),
        (topic("x", 0, 1), ErrorCode::InvalidPartitions),
        (topic("x", i32::MAX, 1), ErrorCode::InvalidPartitions),
        (topic("x", 1, 4), ErrorCode::InvalidReplicationFactor),
        (topic("x", 1, 0), ErrorCode::InvalidReplicationFactor),
        (config("no.such", "1"), ErrorCode::InvalidConfig),
        (config("max.message.bytes", "many"), ErrorCode::InvalidConfig),
        (config("compression.type", "zstd"), ErrorCode::InvalidConfig),
        (assigned(&[&[9]]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[&[1, 1]]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[&[1], &[1, 2]]), ErrorCode::InvalidReplicaAssignment),
        (assigned(&[&[]]), ErrorCode::InvalidReplicaAssignment),
        (CreatableTopic { num_partitions: 1, ..assigned(&[&[1]]) }, ErrorCode::InvalidRequest),
    ] {
        assert_eq!(create(&mut client, vec![wanted.clone()]).await, [code.code()], "{wanted:?}");
    }
    assert_eq!(create(&mut client, vec![topic("d", 1, 1), topic("d", 1, 1)]).await, [ErrorCode::InvalidRequest.code()]);
    assert_eq!(create(&mut client, vec![assigned(&[&[3, 1], &[2, 3]]), topic("defaults", -1, -1)]).await, [0, 0]);
}

#[tokio::test]
async fn validating_creates_nothing() {
    let (broker, mut client) = three_nodes().await;
    let request = CreateTopicsRequest { topics: vec![topic("t", 1, 1)], validate_only: true, ..Default::default() };
    client.call::<CreateTopics, _>(7, &request, |r| assert_eq!(r.topics[0].error_code, 0)).await;
    assert!(broker.cluster.topic("t").is_none());
}

#[tokio::test]
async fn metadata_tells_all_some_or_none_and_never_creates() {
    let (broker, mut client) = three_nodes().await;
    broker.create_topic("a", 1, &[]).unwrap();
    broker.create_topic("b", 1, &[]).unwrap();
    let id = broker.cluster.topic("b").unwrap().id;
    let named = |name: Option<&str>, topic_id| MetadataRequestTopic { name: name.map(str::to_owned), topic_id };
    for (version, topics, expected) in [
        (0, Some(vec![]), vec![("a", 0), ("b", 0)]),
        (1, Some(vec![]), vec![]),
        (1, None, vec![("a", 0), ("b", 0)]),
        (12, Some(vec![named(Some("b"), Uuid::ZERO)]), vec![("b", 0)]),
        (12, Some(vec![named(None, id)]), vec![("b", 0)]),
        (12, Some(vec![named(None, Uuid([7; 16]))]), vec![("", ErrorCode::UnknownTopicId.code())]),
        (4, Some(vec![named(Some("c"), Uuid::ZERO)]), vec![("c", ErrorCode::UnknownTopicOrPartition.code())]),
        (4, Some(vec![named(Some("c d"), Uuid::ZERO)]), vec![("c d", ErrorCode::InvalidTopicException.code())]),
    ] {
        let request = MetadataRequest { topics, ..Default::default() };
        let told = client.call::<Metadata, _>(version, &request, |r| {
            r.topics.iter().map(|t| (t.name.clone().unwrap_or_default(), t.error_code)).collect::<Vec<_>>()
        });
        let told = told.await;
        let told: Vec<(&str, i16)> = told.iter().map(|(name, code)| (name.as_str(), *code)).collect();
        assert_eq!(told, expected, "v{version}");
    }
    assert!(broker.cluster.topic("c").is_none());
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let (broker, mut client) = three_nodes().await;
    for version in DeleteTopics::VERSIONS {
        broker.create_topic("t", 1, &[]).unwrap();
        let id = broker.cluster.topic("t").unwrap().id;
        let by_id =
            DeleteTopicsRequest { topics: vec![DeleteTopicState { name: None, topic_id: id }], ..Default::default() };
        let by_name = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
        let request = if version >= 6 { by_id } else { by_name };
        let codes = |r: &crate::wire::delete_topics::DeleteTopicsResponse| r.responses[0].error_code;
        assert_eq!(client.call::<DeleteTopics, _>(version, &request, codes).await, 0, "v{version}");
        let missing = if version >= 6 { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        assert_eq!(client.call::<DeleteTopics, _>(version, &request, codes).await, missing.code(), "v{version}");
    }
    assert_eq!(broker.memory().0, 0);
}

#[tokio::test]
async fn a_topic_grows_and_does_not_shrink() {
    let (broker, mut client) = three_nodes().await;
    broker.create_topic("t", 2, &[]).unwrap();
    for (name, count, code) in [
        ("t", 5, ErrorCode::None),
        ("t", 5, ErrorCode::InvalidPartitions),
        ("t", 2, ErrorCode::InvalidPartitions),
        ("t", -1, ErrorCode::InvalidPartitions),
        ("t", i32::MAX, ErrorCode::InvalidPartitions),
        ("nowhere", 5, ErrorCode::UnknownTopicOrPartition),
    ] {
        let topics = vec![CreatePartitionsTopic { name: name.into(), count, assignments: None }];
        let request = CreatePartitionsRequest { topics, ..Default::default() };
        client
            .call::<CreatePartitions, _>(3, &request, |r| assert_eq!(r.results[0].error_code, code.code(), "{count}"))
            .await;
    }
    assert_eq!(broker.cluster.topic("t").unwrap().partition_count(), 5);
}

async fn describe(client: &mut Client, kind: i8, name: &str) -> (i16, Vec<DescribeConfigsResourceResult>) {
    let resources =
        vec![DescribeConfigsResource { resource_type: kind, resource_name: name.into(), configuration_keys: None }];
    let request = DescribeConfigsRequest { resources, include_synonyms: true, ..Default::default() };
    client.call::<DescribeConfigs, _>(4, &request, |r| (r.results[0].error_code, r.results[0].configs.clone())).await
}

async fn alter(client: &mut Client, operation: i8, name: &str, value: Option<&str>) -> i16 {
    let configs =
        vec![AlterableConfig { name: name.into(), config_operation: operation, value: value.map(str::to_owned) }];
    let resources =
        vec![AlterConfigsResource { resource_type: resource_type::TOPIC, resource_name: "t".into(), configs }];
    let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
    client.call::<IncrementalAlterConfigs, _>(1, &request, |r| r.responses[0].error_code).await
}

#[tokio::test]
async fn an_altered_configuration_is_told_and_in_force() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let find = |configs: Vec<DescribeConfigsResourceResult>| {
        let found = configs.into_iter().find(|config| config.name == "max.message.bytes").unwrap();
        (found.value.unwrap(), found.config_source, found.synonyms.len())
    };
    let before = describe(&mut client, resource_type::TOPIC, "t").await;
    assert_eq!((before.0, before.1.len()), (0, 33));
    assert_eq!(find(before.1), ("1048588".into(), config_source::DEFAULT, 1));
    assert_eq!(alter(&mut client, config_operation::SET, "max.message.bytes", Some("100")).await, 0);
    assert_eq!(find(describe(&mut client, resource_type::TOPIC, "t").await.1), ("100".into(), config_source::TOPIC, 2));
    assert_eq!(client.produce_code(0, &batch(100)).await, ErrorCode::MessageTooLarge.code());
    assert_eq!(alter(&mut client, config_operation::DELETE, "max.message.bytes", None).await, 0);
    assert_eq!(client.produce_code(0, &batch(100)).await, 0);
    for (operation, name, value, code) in [
        (config_operation::SET, "max.message.bytes", Some("-5"), ErrorCode::InvalidConfig),
        (config_operation::SET, "max.message.bytes", None, ErrorCode::InvalidRequest),
        (config_operation::SET, "no.such", Some("1"), ErrorCode::InvalidConfig),
        (config_operation::APPEND, "max.message.bytes", Some("1"), ErrorCode::InvalidConfig),
        (9, "max.message.bytes", Some("1"), ErrorCode::InvalidRequest),
    ] {
        assert_eq!(alter(&mut client, operation, name, value).await, code.code(), "{name} {value:?}");
    }
}

#[tokio::test]
async fn a_broker_tells_its_own_configuration() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let (code, configs) = describe(&mut client, resource_type::BROKER, "1").await;
    assert_eq!(code, 0);
    let creates = configs.iter().find(|config| config.name == "auto.create.topics.enable").unwrap();
    assert_eq!(creates.value.as_deref(), Some("false"));
    for (kind, name, code) in [
        (resource_type::BROKER, "9", ErrorCode::InvalidRequest),
        (resource_type::TOPIC, "nowhere", ErrorCode::UnknownTopicOrPartition),
        (77, "x", ErrorCode::InvalidRequest),
    ] {
        assert_eq!(describe(&mut client, kind, name).await.0, code.code(), "{kind} {name}");
    }
}

#[tokio::test]
async fn the_cluster_is_told_with_addresses_that_answer() {
    let (broker, mut client) = three_nodes().await;
    for version in DescribeCluster::VERSIONS {
        client
            .call::<DescribeCluster, _>(version, &DescribeClusterRequest::default(), |r| {
                let told: Vec<String> = r.brokers.iter().map(|b| format!("{}:{}", b.host, b.port)).collect();
                assert_eq!((r.error_code, told.join(",")), (0, broker.bootstrap()));
                assert_eq!((r.controller_id, r.cluster_id.len()), (1, 22));
            })
            .await;
    }
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    client
        .call::<DescribeCluster, _>(1, &request, |r| {
            assert_eq!(r.error_code, ErrorCode::MismatchedEndpointType.code());
        })
        .await;
}
