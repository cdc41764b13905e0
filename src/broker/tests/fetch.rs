//! What a reader gets, when, and how much of it.

use super::*;
use crate::wire::{ApiKey, ErrorCode};
use std::time::{Duration, Instant};

async fn filled(batches: usize) -> (Broker, Client) {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    for _ in 0..batches {
        assert_eq!(client.produce_code(0, &batch(10)).await, 0);
    }
    (broker, client)
}

#[tokio::test]
async fn every_version_reads_the_same() {
    let (broker, mut client) = filled(3).await;
    let topic_id = broker.cluster.topic("t").unwrap().id;
    for version in Fetch::VERSIONS {
        let mut request = fetch_request("t", 0, 10);
        if version >= 13 {
            (request.topics[0].topic, request.topics[0].topic_id) = (String::new(), topic_id);
        }
        let fetched = client.fetch_at(version, &request).await;
        assert_eq!((fetched.error_code, fetched.bases()), (0, vec![10, 20]), "v{version}");
        assert_eq!(fetched.high_watermark, 30, "v{version}");
        assert_eq!(fetched.aborted, None);
    }
}

#[tokio::test]
async fn limits_hold_for_whole_batches_but_the_first_one_always_comes() {
    let (_broker, mut client) = filled(3).await;
    let size = batch(10).len() as i32;
    for (partition_max, answer_max, expected) in [
        (1 << 20, 1 << 20, vec![0, 10, 20]),
        (2 * size, 1 << 20, vec![0, 10]),
        (2 * size - 1, 1 << 20, vec![0]),
        (1 << 20, 2 * size, vec![0, 10]),
        (1, 1 << 20, vec![0]),
        (1 << 20, 1, vec![0]),
        (0, 0, vec![0]),
        (-1, -1, vec![0]),
    ] {
        let mut request = fetch_request("t", 0, 0);
        request.max_bytes = answer_max;
        request.topics[0].partitions[0].partition_max_bytes = partition_max;
        let fetched = client.fetch_at(12, &request).await;
        assert_eq!(fetched.bases(), expected, "{partition_max} of {answer_max}");
    }
}

#[tokio::test]
async fn only_the_first_partition_with_data_may_exceed_the_limit() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    client.produce_code(0, &batch(10)).await;
    client.produce_code(1, &batch(10)).await;
    let mut request = fetch_request("t", 1, 0);
    request.max_bytes = 1;
    let second = FetchPartition { partition: 0, ..request.topics[0].partitions[0].clone() };
    request.topics[0].partitions.push(second);
    client
        .call::<Fetch, _>(12, &request, |r| {
            let got: Vec<usize> = r.responses[0].partitions.iter().map(|p| p.records.unwrap().len()).collect();
            assert_eq!(got, [batch(10).len(), 0]);
        })
        .await;
}

#[tokio::test]
async fn an_empty_end_waits_until_something_is_written() {
    let (broker, mut client) = filled(1).await;
    let mut request = fetch_request("t", 0, 10);
    request.max_wait_ms = 60_000;
    client.send::<Fetch>(12, &request).await;
    broker.faults().arrived(ApiKey::Fetch, 1).await;
    let mut writer = Client::connect(&broker).await;
    assert_eq!(writer.produce_code(1, &batch(1)).await, 0);
    assert_eq!(writer.produce_code(0, &batch(2)).await, 0);
    let answer = client.receive().await.unwrap();
    let (_, response) = frame::read_response::<Fetch>(&answer, 12).unwrap();
    assert_eq!(Fetched::of(&response.responses[0].partitions[0]).bases(), [10]);
}

#[tokio::test]
async fn waiting_ends_in_time_and_without_wait_at_once() {
    let (_broker, mut client) = filled(1).await;
    let started = Instant::now();
    let mut request = fetch_request("t", 0, 10);
    assert!(client.fetch_at(12, &request).await.records.is_empty());
    request.max_wait_ms = 60;
    assert!(client.fetch_at(12, &request).await.records.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(60));
    // Too little is there, and after the wait it is given all the same.
    request.topics[0].partitions[0].fetch_offset = 0;
    request.min_bytes = i32::MAX;
    assert_eq!(client.fetch_at(12, &request).await.bases(), [0]);
}

#[tokio::test]
async fn a_topic_deleted_under_a_waiting_reader_wakes_it() {
    let (broker, mut client) = filled(1).await;
    let mut request = fetch_request("t", 0, 10);
    request.max_wait_ms = 60_000;
    client.send::<Fetch>(12, &request).await;
    broker.faults().arrived(ApiKey::Fetch, 1).await;
    broker.cluster.remove_topic("t").unwrap();
    let answer = client.receive().await.unwrap();
    let (_, response) = frame::read_response::<Fetch>(&answer, 12).unwrap();
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn a_reader_that_hangs_up_while_it_waits_is_let_go() {
    let (broker, mut client) = filled(1).await;
    let handles = std::sync::Arc::strong_count(&broker.cluster);
    let mut request = fetch_request("t", 0, 10);
    request.max_wait_ms = i32::MAX;
    client.send::<Fetch>(12, &request).await;
    broker.faults().arrived(ApiKey::Fetch, 1).await;
    drop(client);
    // Its task held a handle on the cluster.
    while std::sync::Arc::strong_count(&broker.cluster) >= handles {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn offsets_out_of_range_wrong_epochs_and_wrong_nodes_are_told() {
    let config = BrokerConfig { nodes: 2, topics: vec![("t".into(), 1)], ..Default::default() };
    let broker = broker_with(config).await;
    broker.append_raw("t", 0, &batch(10)).unwrap();
    broker.append_raw("t", 0, &batch(10)).unwrap();
    broker.set_log_start("t", 0, 12).unwrap();
    broker.move_leader("t", 0, 1).unwrap();
    let mut client = Client::connect(&broker).await;
    for (offset, epoch, code) in [
        (11, -1, ErrorCode::OffsetOutOfRange),
        (21, -1, ErrorCode::OffsetOutOfRange),
        (-1, -1, ErrorCode::OffsetOutOfRange),
        (12, 0, ErrorCode::FencedLeaderEpoch),
        (12, 2, ErrorCode::UnknownLeaderEpoch),
        (12, 1, ErrorCode::None),
        (20, -1, ErrorCode::None),
    ] {
        let mut request = fetch_request("t", 0, offset);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        assert_eq!(client.fetch_at(12, &request).await.error_code, code.code(), "{offset} {epoch}");
    }
    // The batch that the log start lies in is served whole.
    assert_eq!(client.fetch(0, 12).await.bases(), [10]);
    assert_eq!(client.fetch(0, 12).await.log_start, 12);
    let mut other = Client::connect_to(&broker, 2).await;
    assert_eq!(other.fetch(0, 12).await.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(other.fetch(9, 12).await.error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn readers_of_committed_data_stop_at_the_last_stable_offset_and_learn_what_was_aborted() {
    let (broker, mut client) = filled(3).await;
    broker.add_aborted("t", 0, 77, 10, 19).unwrap();
    broker.set_open_transaction("t", 0, Some(20)).unwrap();
    let mut request = fetch_request("t", 0, 0);
    assert_eq!(client.fetch_at(12, &request).await.bases(), [0, 10, 20]);
    request.isolation_level = 1;
    let fetched = client.fetch_at(12, &request).await;
    assert_eq!((fetched.bases(), fetched.last_stable, fetched.high_watermark), (vec![0, 10], 20, 30));
    assert_eq!(fetched.aborted, Some(vec![(77, 10)]));
    broker.set_open_transaction("t", 0, None).unwrap();
    request.topics[0].partitions[0].fetch_offset = 20;
    let fetched = client.fetch_at(12, &request).await;
    assert_eq!((fetched.bases(), fetched.aborted), (vec![20], Some(vec![])));
}

#[tokio::test]
async fn there_are_no_sessions() {
    let (_broker, mut client) = filled(1).await;
    for (id, epoch, code) in [
        (0, -1, ErrorCode::None),
        (0, 0, ErrorCode::None),
        (5, 0, ErrorCode::None),
        (0, 1, ErrorCode::FetchSessionIdNotFound),
        (5, 1, ErrorCode::FetchSessionIdNotFound),
    ] {
        let request = FetchRequest { session_id: id, session_epoch: epoch, ..fetch_request("t", 0, 0) };
        client.call::<Fetch, _>(12, &request, |r| assert_eq!((r.error_code, r.session_id), (code.code(), 0))).await;
    }
}

#[tokio::test]
async fn a_gap_left_by_compaction_is_stepped_over() {
    let (broker, mut client) = filled(1).await;
    broker.append_raw_at("t", 0, 40, &batch(2)).unwrap();
    assert_eq!(client.fetch(0, 15).await.bases(), [40]);
    assert_eq!(client.fetch(0, 0).await.bases(), [0, 40]);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 42));
    assert!(broker.append_raw_at("t", 0, 41, &batch(2)).is_err());
    assert_eq!(broker.log("t", 0).unwrap(), client.fetch(0, 0).await.records);
}
