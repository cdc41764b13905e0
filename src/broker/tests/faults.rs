//! Each fault does to a request what its name says, and the broker is itself again afterwards.

use super::*;
use crate::batch::Batches;
use crate::broker::{Fault, Rule};
use crate::wire::{ApiKey, ErrorCode};
use std::time::{Duration, Instant};

async fn one() -> (Broker, Client) {
    let broker = broker().await;
    let client = Client::connect(&broker).await;
    (broker, client)
}

#[tokio::test]
async fn a_held_request_is_not_handled_until_it_is_released() {
    let (broker, mut client) = one().await;
    let held = broker.faults().add(Rule::on(ApiKey::Produce).partition("t", 1), Fault::Hold);
    let records = batch(3);
    client.send::<Produce>(9, &produce_request("t", 1, Some(&records))).await;
    held.hit().await;
    assert_eq!(broker.offsets("t", 1).unwrap(), (0, 0));
    // The other partition is not concerned.
    assert_eq!(Client::connect(&broker).await.produce_code(0, &batch(1)).await, 0);
    held.release();
    client.receive().await.unwrap();
    assert_eq!(broker.offsets("t", 1).unwrap(), (0, 3));
}

#[tokio::test]
async fn a_held_answer_belongs_to_a_request_that_was_handled() {
    let (broker, mut client) = one().await;
    let held = broker.faults().add(Rule::on(ApiKey::Produce).partition("t", 0), Fault::HoldAnswer);
    let records = batch(3);
    client.send::<Produce>(9, &produce_request("t", 0, Some(&records))).await;
    let mut reader = Client::connect(&broker).await;
    let mut request = fetch_request("t", 0, 0);
    request.max_wait_ms = 60_000;
    assert_eq!(reader.fetch_at(12, &request).await.bases(), [0]);
    held.release();
    client.receive().await.unwrap();
}

#[tokio::test]
async fn a_request_whose_client_has_left_is_handled_all_the_same_once_released() {
    let (broker, mut client) = one().await;
    let held = broker.faults().add(Rule::on(ApiKey::Produce), Fault::Hold);
    let records = batch(3);
    client.send::<Produce>(9, &produce_request("t", 0, Some(&records))).await;
    held.hit().await;
    drop(client);
    held.release();
    let mut request = fetch_request("t", 0, 0);
    request.max_wait_ms = 60_000;
    assert_eq!(Client::connect(&broker).await.fetch_at(12, &request).await.bases(), [0]);
}

#[tokio::test]
async fn a_delayed_request_takes_its_time() {
    let (broker, mut client) = one().await;
    broker.faults().add(Rule::on(ApiKey::Produce), Fault::Delay(Duration::from_millis(50)));
    let started = Instant::now();
    assert_eq!(client.produce_code(0, &batch(1)).await, 0);
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_connection_dropped_before_or_after_tells_the_client_the_same() {
    for (fault, end) in [(Fault::DropBefore, 0), (Fault::DropAfter, 3)] {
        let (broker, mut client) = one().await;
        let rule = broker.faults().add(Rule::on(ApiKey::Produce), fault.clone());
        let records = batch(3);
        client.send::<Produce>(9, &produce_request("t", 0, Some(&records))).await;
        assert_eq!(client.receive().await, None);
        assert_eq!((broker.offsets("t", 0).unwrap(), rule.hits()), ((0, end), 1), "{fault:?}");
        // Once only: the next connection works.
        assert_eq!(Client::connect(&broker).await.produce(0, &records).await.base_offset, end);
    }
}

#[tokio::test]
async fn a_repeated_request_is_appended_twice_unless_it_is_idempotent() {
    let (broker, mut client) = one().await;
    broker.faults().add(Rule::on(ApiKey::Produce).times(2), Fault::Repeat);
    assert_eq!(client.produce(0, &batch(3)).await.base_offset, 0);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 6));
    assert_eq!(client.produce(0, &batch_from(1, 0, 0, 3)).await.base_offset, 6);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 9));
}

#[tokio::test]
async fn an_error_is_answered_in_place_of_handling_or_after_it() {
    for (fault, end) in
        [(Fault::Error(ErrorCode::NotLeaderOrFollower), 0), (Fault::ErrorAfter(ErrorCode::RequestTimedOut), 3)]
    {
        let (broker, mut client) = one().await;
        let code = match fault {
            Fault::Error(code) | Fault::ErrorAfter(code) => code.code(),
            _ => 0,
        };
        broker.faults().add(Rule::on(ApiKey::Produce).partition("t", 0).once(), fault);
        assert_eq!(client.produce_code(0, &batch(3)).await, code);
        assert_eq!(broker.offsets("t", 0).unwrap(), (0, end));
        assert_eq!(client.produce_code(0, &batch(3)).await, 0);
    }
}

#[tokio::test]
async fn an_error_for_one_partition_leaves_the_others_alone() {
    let (broker, mut client) = one().await;
    client.produce_code(0, &batch(3)).await;
    client.produce_code(1, &batch(3)).await;
    let fault = Fault::Error(ErrorCode::KafkaStorageError);
    broker.faults().add(Rule::on(ApiKey::Fetch).partition("t", 1), fault);
    let mut request = fetch_request("t", 0, 0);
    let second = FetchPartition { partition: 1, ..request.topics[0].partitions[0].clone() };
    request.topics[0].partitions.push(second);
    client
        .call::<Fetch, _>(12, &request, |r| {
            let got: Vec<Fetched> = r.responses[0].partitions.iter().map(Fetched::of).collect();
            assert_eq!((got[0].error_code, got[0].bases()), (0, vec![0]));
            assert_eq!((got[1].error_code, got[1].records.len()), (ErrorCode::KafkaStorageError.code(), 0));
        })
        .await;
}

#[tokio::test]
async fn corrupted_records_fail_their_checksum_once_and_the_log_is_whole() {
    let (broker, mut client) = one().await;
    client.produce_code(0, &batch(3)).await;
    client.produce_code(0, &batch(3)).await;
    broker.faults().add(Rule::on(ApiKey::Fetch).partition("t", 0), Fault::Corrupt);
    let verdicts = |fetched: Fetched| -> Vec<bool> {
        Batches::new(&fetched.records).map(|batch| batch.unwrap().verify_checksum().is_ok()).collect()
    };
    assert_eq!(verdicts(client.fetch(0, 0).await), [true, false]);
    assert_eq!(verdicts(client.fetch(0, 0).await), [true, true]);
    assert_eq!(broker.log("t", 0).unwrap(), client.fetch(0, 0).await.records);
}

#[tokio::test]
async fn a_truncated_answer_ends_in_half_a_batch() {
    let (broker, mut client) = one().await;
    client.produce_code(0, &batch(3)).await;
    client.produce_code(0, &batch(3)).await;
    broker.faults().add(Rule::on(ApiKey::Fetch), Fault::Truncate);
    let fetched = client.fetch(0, 0).await;
    assert_eq!(fetched.bases(), [0]);
    assert!(fetched.records.len() > batch(3).len());
    assert_eq!(client.fetch(0, 0).await.bases(), [0, 3]);
}

#[tokio::test]
async fn a_throttled_success_is_a_success() {
    let (broker, mut client) = one().await;
    broker.faults().add(Rule::on(ApiKey::Produce), Fault::Throttle(7));
    let records = batch(1);
    client
        .call::<Produce, _>(9, &produce_request("t", 0, Some(&records)), |r| {
            assert_eq!((r.throttle_time_ms, r.responses[0].partition_responses[0].error_code), (7, 0));
        })
        .await;
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 1));
}

#[tokio::test]
async fn a_rule_for_one_node_leaves_the_others_alone() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    broker.faults().add(Rule::on(ApiKey::Metadata).node(2).always(), Fault::DropBefore);
    use crate::wire::metadata::{Metadata, MetadataRequest};
    let mut second = Client::connect_to(&broker, 2).await;
    second.send::<Metadata>(12, &MetadataRequest::default()).await;
    assert_eq!(second.receive().await, None);
    Client::connect(&broker).await.call::<Metadata, _>(12, &MetadataRequest::default(), |_| ()).await;
    let seen: Vec<i32> = broker.faults().seen().iter().map(|seen| seen.node).collect();
    assert_eq!(seen, [2, 1]);
}
