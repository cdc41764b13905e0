//! Nodes that join while the cluster runs, and partitions that go to them.

use super::transactional::until;
use super::*;
use crate::wire::ErrorCode;
use crate::wire::alter_partition_reassignments::{
    AlterPartitionReassignments, AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::describe_configs::{DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResource, resource_type};
use crate::wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigs, IncrementalAlterConfigsRequest, config_operation,
};
use crate::wire::metadata::{Metadata, MetadataRequest};

async fn nodes(client: &mut Client) -> Vec<i32> {
    let request = MetadataRequest { topics: Some(vec![]), ..Default::default() };
    client.call::<Metadata, _>(12, &request, |r| r.brokers.iter().map(|broker| broker.node_id).collect()).await
}

/// Changes a setting of one node, or of all where none is named; gives the code.
async fn set(client: &mut Client, node: &str, name: &str, value: Option<&str>, validate_only: bool) -> i16 {
    let config_operation = if value.is_some() { config_operation::SET } else { config_operation::DELETE };
    let config = AlterableConfig { name: name.into(), config_operation, value: value.map(str::to_owned) };
    let (resource_type, resource_name) = (resource_type::BROKER, node.to_owned());
    let resource = AlterConfigsResource { resource_type, resource_name, configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
    client.call::<IncrementalAlterConfigs, _>(1, &request, |r| r.responses[0].error_code).await
}

async fn reassign(client: &mut Client, partition_index: i32, replicas: &[i32]) -> i16 {
    let partitions = vec![ReassignablePartition { partition_index, replicas: Some(replicas.to_vec()) }];
    let topics = vec![ReassignableTopic { name: "t".into(), partitions }];
    let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
    client.call::<AlterPartitionReassignments, _>(1, &request, |r| r.responses[0].partitions[0].error_code).await
}

#[tokio::test]
async fn a_node_joins_over_the_wire_and_serves_and_can_be_stopped_like_any_other() {
    let broker = broker_with(BrokerConfig { nodes: 2, topics: vec![("t".into(), 1)], ..Default::default() }).await;
    let mut client = Client::connect(&broker).await;
    let resource = |name: &str| DescribeConfigsResource {
        resource_type: resource_type::BROKER,
        resource_name: name.into(),
        configuration_keys: Some(vec!["kmerge.nodes".into()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource("")], ..Default::default() };
    let told = async |client: &mut Client| {
        client.call::<DescribeConfigs, _>(4, &request, |r| r.results[0].configs[0].value.clone()).await
    };
    assert_eq!(told(&mut client).await.as_deref(), Some("2"));
    assert_eq!(set(&mut client, "", "kmerge.nodes", Some("3"), true).await, 0);
    assert_eq!(nodes(&mut client).await, [1, 2], "that was only a question");
    assert_eq!(set(&mut client, "", "kmerge.nodes", Some("3"), false).await, 0);
    assert_eq!((nodes(&mut client).await, told(&mut client).await.as_deref()), (vec![1, 2, 3], Some("3")));
    assert_eq!(broker.add_node().unwrap(), 4);

    let mut third = Client::connect_to(&broker, 3).await;
    assert_eq!(nodes(&mut third).await, [1, 2, 3, 4]);
    assert_eq!(third.produce_code(0, &batch(1)).await, ErrorCode::NotLeaderOrFollower.code());
    broker.stop_node(3).await.unwrap();
    assert_eq!((third.receive().await, nodes(&mut client).await), (None, vec![1, 2, 4]));
    broker.start_node(3).await.unwrap();
    assert_eq!(nodes(&mut Client::connect_to(&broker, 3).await).await, [1, 2, 3, 4]);
    broker.stop().await;
}

#[tokio::test]
async fn nodes_do_not_leave_and_are_not_without_limit_and_other_settings_stay() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    let mut client = Client::connect(&broker).await;
    let (invalid, refused) = (ErrorCode::InvalidConfig.code(), ErrorCode::InvalidRequest.code());
    for (node, name, value, code) in [
        ("", "kmerge.nodes", Some("1"), invalid),
        ("", "kmerge.nodes", Some("101"), invalid),
        ("", "kmerge.nodes", Some("-1"), invalid),
        ("", "kmerge.nodes", Some("many"), invalid),
        ("", "kmerge.nodes", None, refused),
        ("1", "kmerge.nodes", Some("3"), refused),
        ("", "kmerge.nodes", Some("2"), 0),
        ("1", "leader.replication.throttled.rate", None, 0),
        ("1", "leader.replication.throttled.rate", Some("1"), 0),
        ("1", "leader.replication.throttled.rate", Some("-1"), invalid),
        ("", "leader.replication.throttled.rate", Some("1"), refused),
        ("1", "replica.alter.log.dirs.io.max.bytes.per.second", Some("1"), refused),
        ("2", "leader.replication.throttled.rate", None, refused),
        ("1", "num.partitions", Some("3"), refused),
    ] {
        assert_eq!(set(&mut client, node, name, value, false).await, code, "{node:?} {name} {value:?}");
    }
    assert_eq!(nodes(&mut client).await, [1, 2]);
}

#[tokio::test]
async fn ports_of_a_broker_with_fixed_ports_go_on_and_a_port_in_use_is_told() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let next = held.local_addr().unwrap().port();
    let Some(first) = next.checked_sub(1).filter(|port| *port > 1024) else { return };
    // Somebody else may have the port below; then there is nothing to see here.
    let Ok(broker) = Broker::start(BrokerConfig { port: first, ..Default::default() }).await else { return };
    let error = broker.add_node().unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{next}")), "{error}");
    drop(held);
    assert_eq!(broker.add_node().unwrap(), 2);
    assert!(broker.bootstrap().ends_with(&format!(":{next}")), "{}", broker.bootstrap());
}

#[tokio::test]
async fn a_reader_that_waits_where_a_partition_was_is_sent_on() {
    let broker = broker_with(BrokerConfig { nodes: 1, topics: vec![("t".into(), 1)], ..Default::default() }).await;
    let third = broker.add_node().unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.produce_code(0, &batch(5)).await, 0);
    let mut waiting = Client::connect(&broker).await;
    let request = FetchRequest { max_wait_ms: 60_000, ..fetch_request("t", 0, 5) };
    waiting.send::<Fetch>(12, &request).await;
    broker.faults().arrived(crate::wire::ApiKey::Fetch, 1).await;
    assert_eq!(reassign(&mut client, 0, &[third]).await, 0);
    let answer = waiting.receive().await.unwrap();
    let (_, response) = frame::read_response::<Fetch>(&answer, 12).unwrap();
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::NotLeaderOrFollower.code());
    let mut there = Client::connect_to(&broker, 2).await;
    assert_eq!(there.fetch(0, 0).await.bases(), [0]);
    assert_eq!(there.produce(0, &batch(1)).await.base_offset, 5);
}

#[tokio::test]
async fn a_copy_waits_for_a_node_that_is_down_and_a_deleted_topic_moves_no_more() {
    let broker = broker_with(BrokerConfig { nodes: 2, topics: vec![("t".into(), 1)], ..Default::default() }).await;
    broker.elect("t", 0, 1).unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.produce_code(0, &batch(5)).await, 0);
    broker.kill_node(2).await.unwrap();
    assert_eq!(reassign(&mut client, 0, &[2]).await, 0);
    assert_eq!((broker.replicas("t", 0).unwrap(), broker.leader("t", 0).unwrap()), (vec![2, 1], 1));
    assert_eq!(client.produce_code(0, &batch(1)).await, 0, "it is written to meanwhile");
    broker.start_node(2).await.unwrap();
    until("the move", async || (broker.replicas("t", 0).unwrap() == [2]).then_some(())).await;
    assert_eq!((broker.leader("t", 0).unwrap(), broker.offsets("t", 0).unwrap()), (2, (0, 6)));

    broker.hold_copies();
    assert_eq!(reassign(&mut client, 0, &[1]).await, 0);
    broker.delete_topic("t").unwrap();
    broker.create_topic("t", 1, &[]).unwrap();
    broker.release_copies();
    assert_eq!(broker.replicas("t", 0).unwrap().len(), 1);
}
