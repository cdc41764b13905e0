//! Nodes that stop and come back, and what is left of what they knew.

use super::*;
use crate::wire::describe_producers::{DescribeProducers, DescribeProducersRequest, TopicRequest};
use crate::wire::metadata::{Metadata, MetadataRequest};
use crate::wire::{ApiKey, ErrorCode};
use std::time::{Duration, Instant};

/// Producers 1 and up: id, last sequence, where a transaction is open.
async fn producers(client: &mut Client, partition: i32) -> (i16, Vec<(i64, i32, i64)>) {
    let topics = vec![TopicRequest { name: "t".into(), partition_indexes: vec![partition] }];
    client
        .call::<DescribeProducers, _>(0, &DescribeProducersRequest { topics }, |r| {
            let partition = &r.topics[0].partitions[0];
            let tell = |p: &crate::wire::describe_producers::ProducerState| {
                (p.producer_id, p.last_sequence, p.current_txn_start_offset)
            };
            (partition.error_code, partition.active_producers.iter().map(tell).collect())
        })
        .await
}

/// Who leads partition 0 of `t`, with which code, and which nodes are told.
async fn told(client: &mut Client) -> (i16, i32, Vec<i32>, Vec<i32>) {
    client
        .call::<Metadata, _>(12, &MetadataRequest { topics: None, ..Default::default() }, |r| {
            let partition = &r.topics[0].partitions[0];
            let nodes = r.brokers.iter().map(|broker| broker.node_id).collect();
            (partition.error_code, partition.leader_id, nodes, partition.offline_replicas.clone())
        })
        .await
}

async fn code_of(client: &mut Client, sequence: i32) -> Result<i64, i16> {
    let answer = client.produce(0, &batch_from(1, 0, sequence, 1)).await;
    if answer.error_code == 0 { Ok(answer.base_offset) } else { Err(answer.error_code) }
}

/// The times of records that are fresh by the wall clock.
fn fresh() -> i64 {
    crate::base::clock::now_ms()
}

fn fresh_batch(sequence: i32) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(fresh(), Some(b"k"), Some(b"value"), Headers::EMPTY).unwrap();
    writer.producer(1, 0, sequence);
    writer.finish().unwrap().to_vec()
}

#[tokio::test]
async fn a_stopped_node_refuses_connections_and_its_partitions_are_led_by_the_other() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    broker.create_replicated_topic("t", 1, 2, &[("min.insync.replicas", "2")]).unwrap();
    broker.create_topic("single", 1, &[]).unwrap();
    broker.elect("single", 0, 1).unwrap();
    let mut one = Client::connect_to(&broker, 1).await;
    let mut two = Client::connect_to(&broker, 2).await;
    assert_eq!(one.produce_code(0, &batch(1)).await, 0);
    let address = broker.addresses()[0].clone();

    broker.stop_node(1).await.unwrap();
    assert_eq!(one.receive().await, None);
    assert!(TcpStream::connect(&address).await.is_err());
    let (_, _, nodes, _) = told(&mut two).await;
    assert_eq!(nodes, [2]);
    assert_eq!((broker.leader("t", 0).unwrap(), broker.leader("single", 0).unwrap()), (2, -1));
    assert_eq!(two.produce_code(0, &batch(1)).await, ErrorCode::NotEnoughReplicas.code());
    let request = fetch_request("single", 0, 0);
    assert_eq!(two.fetch_at(12, &request).await.error_code, ErrorCode::NotLeaderOrFollower.code());

    broker.start_node(1).await.unwrap();
    let mut one = Client::connect_to(&broker, 1).await;
    assert_eq!(one.fetch(0, 0).await.bases(), [0]);
    assert_eq!((broker.leader("t", 0).unwrap(), broker.leader("single", 0).unwrap()), (2, 1));
    assert_eq!(two.produce_code(0, &batch(1)).await, 0);
    assert!(broker.stop_node(9).await.is_err());
}

#[tokio::test]
async fn a_partition_whose_only_node_is_down_has_no_leader() {
    let config = BrokerConfig { nodes: 2, topics: vec![("t".into(), 1)], ..Default::default() };
    let broker = broker_with(config).await;
    let mut two = Client::connect_to(&broker, 2).await;
    assert_eq!(told(&mut two).await, (0, 1, vec![1, 2], vec![]));
    broker.kill_node(1).await.unwrap();
    assert_eq!(told(&mut two).await, (0, 1, vec![1, 2], vec![]), "nobody has noticed");
    broker.stop_node(1).await.unwrap();
    assert_eq!(told(&mut two).await, (ErrorCode::LeaderNotAvailable.code(), -1, vec![2], vec![1]));
    broker.restart_node(1).await.unwrap();
    assert_eq!(told(&mut two).await, (0, 1, vec![1, 2], vec![]));
    Client::connect_to(&broker, 1).await.call::<Metadata, _>(12, &MetadataRequest::default(), |_| ()).await;
}

/// The rows of a live Kafka 4.2: RF 1, restarted.
#[tokio::test]
async fn a_restarted_leader_knows_the_last_batch_of_each_producer() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    for sequence in 0..6 {
        assert_eq!(client.produce(0, &fresh_batch(sequence)).await.base_offset, i64::from(sequence));
    }
    assert_eq!(code_of(&mut client, 2).await, Ok(2));
    broker.restart_node(1).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(producers(&mut client, 0).await, (0, vec![(1, 5, -1)]));
    for sequence in 1..=4 {
        assert_eq!(code_of(&mut client, sequence).await, Err(45));
    }
    assert_eq!(code_of(&mut client, 5).await, Ok(5));
    assert_eq!(client.produce(0, &fresh_batch(6)).await.base_offset, 6);
    assert_eq!(code_of(&mut client, 5).await, Ok(5));
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 7));
}

#[tokio::test]
async fn the_other_replica_has_the_whole_window_and_the_restarted_one_fills_its_own_again() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    broker.create_replicated_topic("t", 1, 2, &[]).unwrap();
    let mut one = Client::connect_to(&broker, 1).await;
    let mut two = Client::connect_to(&broker, 2).await;
    for sequence in 0..3 {
        assert_eq!(one.produce_code(0, &fresh_batch(sequence)).await, 0);
    }
    broker.restart_node(1).await.unwrap();
    assert_eq!((code_of(&mut two, 2).await, code_of(&mut two, 1).await), (Ok(2), Ok(1)));
    assert_eq!(two.produce_code(0, &fresh_batch(3)).await, 0);
    broker.elect("t", 0, 1).unwrap();
    let mut one = Client::connect_to(&broker, 1).await;
    assert_eq!((code_of(&mut one, 3).await, code_of(&mut one, 2).await), (Ok(3), Ok(2)));
    assert_eq!(code_of(&mut one, 1).await, Err(45));
}

/// Stamps two days old and the default expiry: known until the restart, then a retry is written twice.
#[tokio::test]
async fn a_producer_of_old_records_is_unknown_after_a_restart() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(code_of(&mut client, 0).await, Ok(0));
    assert_eq!(producers(&mut client, 0).await.1.len(), 1);
    assert_eq!(code_of(&mut client, 0).await, Ok(0));
    broker.restart_node(1).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(producers(&mut client, 0).await, (0, vec![]));
    assert_eq!(code_of(&mut client, 0).await, Ok(1));
    assert_eq!(code_of(&mut client, 1_000).await, Err(45));
}

#[tokio::test]
async fn a_producer_of_old_records_is_unknown_after_the_next_sweep() {
    let broker = broker().await;
    broker.expire_producers(Duration::from_secs(5), Duration::from_millis(10));
    let mut client = Client::connect(&broker).await;
    assert_eq!(code_of(&mut client, 0).await, Ok(0));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !producers(&mut client, 0).await.1.is_empty() {
        assert!(Instant::now() < deadline, "it was never swept");
        tokio::task::yield_now().await;
    }
    // Any sequence and any epoch go.
    assert_eq!(client.produce(0, &batch_from(1, 5, 1_000, 1)).await.base_offset, 1);
    while !producers(&mut client, 0).await.1.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.produce(0, &batch_from(1, 4, 7, 1)).await.base_offset, 2);
    // Fresh records keep it.
    assert_eq!(client.produce_code(1, &fresh_batch(0)).await, 0);
    assert_eq!(producers(&mut client, 1).await.1.len(), 1);
}

#[tokio::test]
async fn forgotten_producers_begin_anywhere() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(code_of(&mut client, 0).await, Ok(0));
    assert_eq!(code_of(&mut client, 5).await, Err(45));
    broker.forget_producers("t", 0).unwrap();
    assert_eq!(code_of(&mut client, 0).await, Ok(1), "a retry is written twice");
    broker.forget_producers("t", 0).unwrap();
    assert_eq!(code_of(&mut client, 5).await, Ok(2));
}

#[tokio::test]
async fn a_truncated_log_knows_the_producers_that_are_left_in_it() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    for sequence in 0..4 {
        assert_eq!(code_of(&mut client, sequence).await, Ok(sequence.into()));
    }
    broker.truncate("t", 0, 2).unwrap();
    assert_eq!(producers(&mut client, 0).await, (0, vec![(1, 1, -1)]));
    assert_eq!(code_of(&mut client, 3).await, Err(45));
    assert_eq!((code_of(&mut client, 0).await, code_of(&mut client, 2).await), (Ok(0), Ok(2)));
    broker.truncate("t", 0, 0).unwrap();
    assert_eq!(producers(&mut client, 0).await, (0, vec![]));
    assert_eq!(code_of(&mut client, 3).await, Ok(0));
}

#[tokio::test]
async fn describe_producers_tells_who_cannot_be_described() {
    let broker = broker_with(BrokerConfig { nodes: 2, topics: vec![("t".into(), 1)], ..Default::default() }).await;
    let mut one = Client::connect_to(&broker, 1).await;
    let mut two = Client::connect_to(&broker, 2).await;
    assert_eq!(producers(&mut one, 0).await, (0, vec![]));
    assert_eq!(producers(&mut two, 0).await.0, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(producers(&mut one, 7).await.0, ErrorCode::UnknownTopicOrPartition.code());
    // A list is not told many times over for a few bytes of request.
    let topics = vec![TopicRequest { name: "t".into(), partition_indexes: vec![0, 0] }];
    let request = DescribeProducersRequest { topics };
    let codes = one.call::<DescribeProducers, _>(0, &request, |r| {
        r.topics[0].partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>()
    });
    assert_eq!(codes.await, [0, ErrorCode::InvalidRequest.code()]);
}

#[tokio::test]
async fn a_throttled_produce_is_done_and_a_throttled_fetch_is_empty_and_the_next_one_is_not() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let pause = Duration::from_millis(30);
    broker.throttle(ApiKey::Produce, pause);
    broker.throttle(ApiKey::Fetch, pause);
    let records = batch(2);
    let started = Instant::now();
    for _ in 0..2 {
        client
            .call::<Produce, _>(9, &produce_request("t", 0, Some(&records)), |r| {
                assert_eq!((r.throttle_time_ms, r.responses[0].partition_responses[0].error_code), (30, 0));
            })
            .await;
    }
    assert!(started.elapsed() >= pause, "nothing is read from the connection meanwhile");
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 4));
    for expected in [(30, 0), (0, 1), (30, 0)] {
        let request = fetch_request("t", 0, 0);
        let told = client.call::<Fetch, _>(12, &request, |r| (r.throttle_time_ms, r.responses.len()));
        assert_eq!(told.await, expected);
    }
    for (pause, expected) in [(Some(pause), 30), (None, 0)] {
        broker.throttle(ApiKey::Metadata, pause);
        let request = MetadataRequest::default();
        assert_eq!(client.call::<Metadata, _>(12, &request, |r| r.throttle_time_ms).await, expected);
    }
}
