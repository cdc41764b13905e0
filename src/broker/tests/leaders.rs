//! Elections, epochs, lost tails and copies that lag: what a client is told of each.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::fetch::{FetchResponse, LeaderIdAndEpoch};
use crate::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::offset_for_leader_epoch::{
    OffsetForLeaderEpoch, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

/// Two nodes, `t` on both with 20 records of epoch 0 and its leader 1; a connection to each.
async fn pair() -> (Broker, Client, Client) {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    broker.create_replicated_topic("t", 1, 2, &[]).unwrap();
    broker.append_raw("t", 0, &[batch(10), batch(10)].concat()).unwrap();
    let (one, two) = (Client::connect_to(&broker, 1).await, Client::connect_to(&broker, 2).await);
    (broker, one, two)
}

/// A Fetch at `offset` by who knows of these epochs: the leader's, and that of what was read last.
fn fetch_from(offset: i64, current_epoch: i32, last_epoch: i32) -> FetchRequest {
    let mut request = fetch_request("t", 0, offset);
    let partition = &mut request.topics[0].partitions[0];
    (partition.current_leader_epoch, partition.last_fetched_epoch) = (current_epoch, last_epoch);
    request
}

/// Code, base offsets, and where the reader's log diverges.
async fn fetch(client: &mut Client, request: &FetchRequest) -> (i16, Vec<i64>, (i32, i64)) {
    client
        .call::<Fetch, _>(12, request, |r| {
            let partition = &r.responses[0].partitions[0];
            let diverging = &partition.diverging_epoch;
            (partition.error_code, Fetched::of(partition).bases(), (diverging.epoch, diverging.end_offset))
        })
        .await
}

/// Code, epoch and end.
async fn end_of_epoch(client: &mut Client, current_leader_epoch: i32, leader_epoch: i32) -> (i16, i32, i64) {
    let partitions = vec![OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch }];
    let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions }];
    let request = OffsetForLeaderEpochRequest { topics, ..Default::default() };
    client
        .call::<OffsetForLeaderEpoch, _>(4, &request, |r| {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.leader_epoch, p.end_offset)
        })
        .await
}

/// Code, offset and epoch.
async fn list(client: &mut Client, version: i16, timestamp: i64, current_leader_epoch: i32) -> (i16, i64, i32) {
    let partition = ListOffsetsPartition { timestamp, current_leader_epoch, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { topics, ..Default::default() };
    client
        .call::<ListOffsets, _>(version, &request, |r| {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.offset, p.leader_epoch)
        })
        .await
}

const NO_EPOCH: (i32, i64) = (-1, -1);

#[tokio::test]
async fn an_election_raises_the_epoch_and_what_is_written_then_carries_it() {
    let (broker, mut one, mut two) = pair().await;
    assert_eq!(broker.elect("t", 0, 2).unwrap(), 1);
    assert_eq!((broker.leader("t", 0).unwrap(), broker.leader_epoch("t", 0).unwrap()), (2, 1));
    assert_eq!(one.produce_code(0, &batch(1)).await, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(two.produce(0, &batch(1)).await.base_offset, 20);
    let fetched = two.fetch(0, 0).await;
    let epochs: Vec<i32> = crate::batch::Batches::new(&fetched.records)
        .map(|batch| batch.unwrap().header.partition_leader_epoch)
        .collect();
    assert_eq!(epochs, [0, 0, 1]);
    for (current, asked, expected) in [
        (-1, 0, (0, 0, 20)),
        (1, 1, (0, 1, 21)),
        (-1, 2, (0, -1, -1)),
        (-1, -1, (0, -1, -1)),
        (0, 0, (ErrorCode::FencedLeaderEpoch.code(), -1, -1)),
        (2, 0, (ErrorCode::UnknownLeaderEpoch.code(), -1, -1)),
    ] {
        assert_eq!(end_of_epoch(&mut two, current, asked).await, expected, "{current} {asked}");
    }
    assert_eq!(end_of_epoch(&mut one, -1, 0).await.0, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(list(&mut two, 10, -1, 1).await, (0, 21, 1));
    assert_eq!(list(&mut two, 10, -2, 1).await, (0, 0, 0));
    assert_eq!(list(&mut two, 10, -1, 0).await.0, ErrorCode::FencedLeaderEpoch.code());
    assert_eq!(list(&mut one, 10, -1, -1).await.0, ErrorCode::NotLeaderOrFollower.code());
}

#[tokio::test]
async fn who_asks_the_wrong_node_is_told_the_right_one() {
    let (broker, mut one, _two) = pair().await;
    broker.create_topic("single", 1, &[]).unwrap();
    let other = broker.leader("single", 0).unwrap() as usize;
    let mut wrong = Client::connect_to(&broker, 3 - other).await;
    let (topic_id, records) = (broker.topic_id("single").unwrap(), batch(1));
    let address = broker.addresses()[other - 1].clone();
    let leader = LeaderIdAndEpoch { leader_id: other as i32, leader_epoch: 0 };
    let shown = |endpoints: &[crate::wire::fetch::NodeEndpoint]| -> Vec<String> {
        endpoints.iter().map(|e| format!("{}:{}", e.host, e.port)).collect()
    };
    for (version, expected) in [(9, LeaderIdAndEpoch::default()), (10, leader.clone()), (13, leader.clone())] {
        let mut request = produce_request("single", 0, Some(&records));
        if version >= 13 {
            (request.topic_data[0].name, request.topic_data[0].topic_id) = (String::new(), topic_id);
        }
        wrong
            .call::<Produce, _>(version, &request, |r| {
                let answer = &r.responses[0].partition_responses[0];
                assert_eq!((answer.error_code, &answer.current_leader), (6, &expected), "v{version}");
                assert_eq!(shown(&r.node_endpoints).len(), usize::from(version >= 10));
            })
            .await;
    }
    for (version, expected) in [(15, LeaderIdAndEpoch::default()), (16, leader)] {
        let mut request = fetch_request("single", 0, 0);
        (request.topics[0].topic, request.topics[0].topic_id) = (String::new(), topic_id);
        wrong
            .call::<Fetch, _>(version, &request, |r: &FetchResponse<'_>| {
                let answer = &r.responses[0].partitions[0];
                assert_eq!((answer.error_code, &answer.current_leader), (6, &expected), "v{version}");
                let told = if version >= 16 { vec![address.clone()] } else { vec![] };
                assert_eq!(shown(&r.node_endpoints), told);
            })
            .await;
    }
    // An epoch that is too old comes with the leader too.
    broker.elect("t", 0, 2).unwrap();
    let mut request = fetch_from(0, 0, -1);
    (request.topics[0].topic, request.topics[0].topic_id) = (String::new(), broker.topic_id("t").unwrap());
    one.call::<Fetch, _>(17, &request, |r| {
        let answer = &r.responses[0].partitions[0];
        let leader = LeaderIdAndEpoch { leader_id: 2, leader_epoch: 1 };
        assert_eq!((answer.error_code, &answer.current_leader), (ErrorCode::FencedLeaderEpoch.code(), &leader));
    })
    .await;
}

#[tokio::test]
async fn a_lost_tail_is_out_of_range_or_where_epochs_are_told_a_divergence() {
    let (broker, mut one, _two) = pair().await;
    assert_eq!(fetch(&mut one, &fetch_from(20, 0, 0)).await, (0, vec![], NO_EPOCH));
    assert_eq!(broker.truncate("t", 0, 15).unwrap(), 1);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 10));
    assert_eq!(fetch(&mut one, &fetch_from(20, -1, -1)).await.0, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(fetch(&mut one, &fetch_from(20, 0, 0)).await.0, ErrorCode::FencedLeaderEpoch.code());
    assert_eq!(fetch(&mut one, &fetch_from(20, 1, 0)).await, (0, vec![], (0, 10)));
    // Others write what takes the lost offsets: without epochs nobody would notice.
    assert_eq!(one.produce(0, &batch(15)).await.base_offset, 10);
    assert_eq!(fetch(&mut one, &fetch_from(20, -1, -1)).await, (0, vec![10], NO_EPOCH));
    assert_eq!(fetch(&mut one, &fetch_from(20, 1, 0)).await, (0, vec![], (0, 10)));
    assert_eq!(fetch(&mut one, &fetch_from(10, 1, 0)).await, (0, vec![10], NO_EPOCH));
    assert_eq!(fetch(&mut one, &fetch_from(25, 1, 1)).await, (0, vec![], NO_EPOCH));
    assert_eq!(fetch(&mut one, &fetch_from(20, 1, 7)).await.0, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(end_of_epoch(&mut one, 1, 0).await, (0, 0, 10));
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_a_truncation() {
    let (broker, mut one, _two) = pair().await;
    let request = FetchRequest { max_wait_ms: 60_000, ..fetch_from(20, -1, 0) };
    one.send::<Fetch>(12, &request).await;
    broker.faults().arrived(crate::wire::ApiKey::Fetch, 1).await;
    broker.truncate("t", 0, 10).unwrap();
    let answer = one.receive().await.unwrap();
    let (_, response) = frame::read_response::<Fetch>(&answer, 12).unwrap();
    let diverging = &response.responses[0].partitions[0].diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (0, 10));
}

#[tokio::test]
async fn a_lagging_follower_serves_what_it_has_and_loses_the_rest_where_it_is_elected() {
    let (broker, mut one, mut two) = pair().await;
    // Before version 11 the leader alone is read from.
    assert_eq!(two.fetch_at(10, &fetch_request("t", 0, 0)).await.error_code, 6);
    assert_eq!(two.fetch(0, 0).await.bases(), [0, 10]);
    assert!(broker.lag("t", 0, 1, 10).is_err(), "it leads");
    broker.lag("t", 0, 2, 10).unwrap();
    let fetched = two.fetch(0, 0).await;
    assert_eq!((fetched.bases(), fetched.high_watermark, fetched.last_stable), (vec![0], 10, 10));
    assert_eq!(two.fetch(0, 15).await.error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(one.fetch(0, 15).await.bases(), [10]);
    broker.catch_up("t", 0).unwrap();
    assert_eq!(two.fetch(0, 15).await.bases(), [10]);

    broker.lag("t", 0, 2, 10).unwrap();
    broker.elect("t", 0, 2).unwrap();
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 10));
    assert_eq!(fetch(&mut two, &fetch_from(20, 1, 0)).await, (0, vec![], (0, 10)));
}

#[tokio::test]
async fn a_leader_that_does_not_know_its_high_watermark_yet_has_no_end_to_tell() {
    let (broker, mut one, mut two) = pair().await;
    broker.hold_high_watermark("t", 0, 10).unwrap();
    assert_eq!(list(&mut one, 10, -1, -1).await, (0, 10, 0));
    let fetched = one.fetch(0, 0).await;
    assert_eq!((fetched.bases(), fetched.high_watermark), (vec![0], 10));
    assert_eq!(one.fetch(0, 20).await.error_code, 0);
    assert_eq!(one.fetch(0, 21).await.error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(list(&mut one, 10, NOW + 1, -1).await, (0, -1, -1));
    broker.elect("t", 0, 2).unwrap();
    assert_eq!(list(&mut two, 5, -1, -1).await.0, ErrorCode::OffsetNotAvailable.code());
    assert_eq!(list(&mut two, 4, -1, -1).await.0, ErrorCode::LeaderNotAvailable.code());
    assert_eq!(list(&mut two, 10, NOW + 1, -1).await.0, ErrorCode::OffsetNotAvailable.code());
    assert_eq!(list(&mut two, 10, NOW, -1).await.1, 0);
    assert_eq!(list(&mut two, 10, -2, -1).await.1, 0);
    broker.catch_up("t", 0).unwrap();
    assert_eq!(list(&mut two, 10, -1, -1).await, (0, 20, 1));
}

#[tokio::test]
async fn a_write_above_a_held_watermark_times_out_and_is_in_the_log() {
    let (broker, mut one, mut two) = pair().await;
    broker.hold_high_watermark("t", 0, 20).unwrap();
    let sent = batch_from(7, 0, 0, 3);
    let request = ProduceRequest { timeout_ms: 20, ..produce_request("t", 0, Some(&sent)) };
    for _ in 0..2 {
        let answer = one.produce_at(9, &request).await;
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::RequestTimedOut.code(), 20));
    }
    assert_eq!(one.produce_at(9, &ProduceRequest { acks: 1, ..request.clone() }).await.error_code, 0);
    // One that waits longer is answered when the copies are whole, or when the leader has changed.
    let patient = ProduceRequest { timeout_ms: 60_000, ..request };
    one.send::<Produce>(9, &patient).await;
    broker.faults().arrived(crate::wire::ApiKey::Produce, 4).await;
    broker.elect("t", 0, 2).unwrap();
    let answer = one.receive().await.unwrap();
    let (_, response) = frame::read_response::<Produce>(&answer, 9).unwrap();
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NotLeaderOrFollower.code());
    two.send::<Produce>(9, &patient).await;
    broker.faults().arrived(crate::wire::ApiKey::Produce, 5).await;
    broker.catch_up("t", 0).unwrap();
    let answer = two.receive().await.unwrap();
    let (_, response) = frame::read_response::<Produce>(&answer, 9).unwrap();
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (0, 20));
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 23));
}

#[tokio::test]
async fn a_topic_that_is_created_again_has_another_id() {
    let (broker, mut one, _two) = pair().await;
    let old = broker.topic_id("t").unwrap();
    broker.delete_topic("t").unwrap();
    broker.create_topic("t", 1, &[]).unwrap();
    assert_ne!(broker.topic_id("t").unwrap(), old);
    let mut request = fetch_request("", 0, 0);
    request.topics[0].topic_id = old;
    assert_eq!(one.fetch_at(17, &request).await.error_code, ErrorCode::UnknownTopicId.code());
    assert!(broker.delete_topic("nowhere").is_err());
}
