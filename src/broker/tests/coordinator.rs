//! Transactions as clients make them, and what tests can do to them on the way. What Kafka answers in the same cases is
//! asked in `kafka/`.

use super::transactional::*;
use super::*;
use crate::broker::{ApiLevel, Fault, Rule};
use crate::wire::api_versions::{ApiVersions, ApiVersionsRequest};
use crate::wire::{ApiKey, ErrorCode};

const T0: (&str, i32) = ("t", 0);

async fn one() -> (Broker, Client, Id) {
    one_with(BrokerConfig::default()).await
}

async fn one_with(config: BrokerConfig) -> (Broker, Client, Id) {
    let broker = broker_with(BrokerConfig { topics: vec![("t".into(), 2)], ..config }).await;
    let mut client = Client::connect(&broker).await;
    let id = Id::find(&mut client, "job").await;
    (broker, client, id)
}

/// The offsets of the batches that read-committed readers get, and the first offsets of what they are to leave out.
async fn read_committed(client: &mut Client) -> (Vec<i64>, Vec<i64>) {
    let request = FetchRequest { isolation_level: 1, ..fetch_request("t", 0, 0) };
    let fetched = client.fetch_at(12, &request).await;
    (fetched.bases(), fetched.aborted.unwrap().into_iter().map(|(_, first)| first).collect())
}

#[tokio::test]
async fn what_is_committed_is_read_and_what_is_aborted_is_told() {
    let (broker, mut client, mut id) = one().await;
    let first = id.init().await;
    assert_eq!(write(&mut client, 12, Some("job"), first, 0, T0).await, (0, 0));
    assert_eq!(read_committed(&mut client).await, (vec![], vec![]));
    let second = id.finish(first, true).await;
    assert_eq!((second, broker.readable("t", 0).unwrap()), ((first.0, first.1 + 1), (2, 2)));
    assert_eq!(write(&mut client, 12, Some("job"), second, 0, T0).await, (0, 2));
    id.finish(second, false).await;
    assert_eq!(read_committed(&mut client).await, (vec![0, 1, 2, 3], vec![2]));
}

#[tokio::test]
async fn held_markers_leave_a_commit_undone_for_readers_and_its_id_busy() {
    let (broker, mut client, mut id) = one().await;
    let who = id.init().await;
    broker.hold_markers();
    write(&mut client, 12, Some("job"), who, 0, T0).await;
    assert_eq!(commit_in(&mut client, 5, ("job", "g"), who, T0, &Upto::offset(7)).await, 0);
    let (code, next) = id.end(5, who, true).await;
    assert_eq!((code, broker.transaction("job").unwrap().state), (0, "PrepareCommit"));
    let busy = ErrorCode::ConcurrentTransactions.code();
    assert_eq!((id.init_at(4, None, 60_000).await.0, id.end(5, who, true).await.0), (busy, busy));
    assert_eq!(write(&mut client, 12, Some("job"), next, 0, ("t", 1)).await.0, busy);
    assert_eq!(committed(&mut client, 9, "g", T0, true).await.1, ErrorCode::UnstableOffsetCommit.code());
    assert_eq!((broker.readable("t", 0).unwrap(), broker.committed_offset("g", "t", 0)), ((1, 0), None));
    broker.release_markers();
    assert_eq!(id.init().await, (next.0, next.1 + 1));
    assert_eq!((broker.readable("t", 0).unwrap(), broker.committed_offset("g", "t", 0)), ((2, 2), Some(7)));
}

#[tokio::test]
async fn a_write_waits_in_the_broker_for_the_commit_before_it() {
    let (broker, mut client, mut id) = one().await;
    let who = id.init().await;
    write(&mut client, 12, Some("job"), who, 0, T0).await;
    for sequence in 0..20 {
        let who = (who.0, who.1 + sequence);
        let (code, next) = id.end(5, who, true).await;
        assert_eq!(code, 0);
        assert_eq!(write(&mut client, 12, Some("job"), next, 0, T0).await, (0, i64::from(sequence) * 2 + 2));
    }
    assert_eq!(broker.transaction("job").unwrap().state, "Ongoing");
}

#[tokio::test]
async fn a_marker_held_for_one_partition_leaves_the_transaction_half_marked() {
    let (broker, mut client, mut id) = one().await;
    let who = id.init().await;
    broker.hold_markers_of("t", 1);
    write(&mut client, 12, Some("job"), who, 0, T0).await;
    write(&mut client, 12, Some("job"), who, 0, ("t", 1)).await;
    assert_eq!(id.end(5, who, true).await.0, 0);
    until("the marker of the other one", async || (broker.offsets("t", 0).unwrap().1 == 2).then_some(())).await;
    assert_eq!((broker.readable("t", 0).unwrap(), broker.readable("t", 1).unwrap()), ((2, 2), (1, 0)));
    broker.release_markers();
    id.settle().await;
    assert_eq!(broker.readable("t", 1).unwrap(), (2, 2));
}

#[tokio::test]
async fn a_transaction_is_complete_only_when_its_markers_are_replicated() {
    let (broker, mut client, mut id) = one().await;
    let who = id.init().await;
    write(&mut client, 12, Some("job"), who, 0, T0).await;
    broker.hold_high_watermark("t", 0, 1).unwrap();
    assert_eq!(id.end(5, who, true).await.0, 0);
    until("the marker in the log", async || (broker.offsets("t", 0).unwrap().1 == 2).then_some(())).await;
    assert_eq!(id.init_at(4, None, 60_000).await.0, ErrorCode::ConcurrentTransactions.code());
    broker.catch_up("t", 0).unwrap();
    id.settle().await;
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 2), "one marker");
}

#[tokio::test]
async fn an_end_whose_answer_is_lost_or_that_never_came_can_be_repeated() {
    for (fault, first) in [
        (Fault::DropAfter, None),
        (Fault::DropBefore, None),
        (Fault::Error(ErrorCode::CoordinatorLoadInProgress), Some(14)),
        (Fault::ErrorAfter(ErrorCode::NotCoordinator), Some(16)),
    ] {
        let (broker, mut client, mut id) = one().await;
        let who = id.init().await;
        write(&mut client, 12, Some("job"), who, 0, T0).await;
        broker.faults().add(Rule::on(ApiKey::EndTxn), fault.clone());
        match first {
            Some(code) => assert_eq!(id.end(5, who, true).await.0, code, "{fault:?}"),
            None => {
                let request = crate::wire::end_txn::EndTxnRequest {
                    transactional_id: "job".into(),
                    producer_id: who.0,
                    producer_epoch: who.1,
                    committed: true,
                };
                id.at.send::<crate::wire::end_txn::EndTxn>(5, &request).await;
                assert_eq!(id.at.receive().await, None, "{fault:?}");
                id = Id::find(&mut client, "job").await;
            }
        }
        let ended = until("the end", async || {
            let (code, next) = id.end(5, who, true).await;
            (code != ErrorCode::ConcurrentTransactions.code()).then_some((code, next))
        });
        assert_eq!(ended.await, (0, (who.0, who.1 + 1)), "{fault:?}");
        id.settle().await;
        assert_eq!(read_committed(&mut client).await, (vec![0, 1], vec![]), "{fault:?}");
    }
}

#[tokio::test]
async fn another_node_goes_on_where_a_coordinator_was_stopped() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    broker.create_topic("t", 1, &[]).unwrap();
    broker.elect("t", 0, 2).unwrap();
    let mut leader = Client::connect_to(&broker, 2).await;
    broker.move_transaction_coordinator("job", 1).unwrap();
    let mut id = Id::find(&mut leader, "job").await;
    let who = id.init().await;
    write(&mut leader, 12, Some("job"), who, 0, T0).await;
    let mut wrong = Id { name: "job".into(), at: Client::connect_to(&broker, 2).await };
    assert_eq!(wrong.end(5, who, true).await.0, ErrorCode::NotCoordinator.code());
    // Nobody has noticed yet: the leader cannot ask it, and who looks for it is sent to it.
    broker.kill_node(1).await.unwrap();
    let unknown = write(&mut leader, 12, Some("other"), who, 0, T0).await.0;
    assert_eq!((unknown, broker.transaction_coordinator("job")), (0, 1), "the log has it open");
    broker.stop_node(1).await.unwrap();
    assert_eq!(broker.transaction_coordinator("job"), 2);
    let next = wrong.finish(who, true).await;
    assert_eq!(write(&mut leader, 12, Some("job"), next, 0, T0).await.0, 0);
    broker.start_node(1).await.unwrap();
    broker.move_transaction_coordinator("job", 1).unwrap();
    assert_eq!(wrong.end(5, next, true).await.0, ErrorCode::NotCoordinator.code());
    Id::find(&mut leader, "job").await.finish(next, false).await;
}

#[tokio::test]
async fn while_a_coordinator_does_not_answer_new_partitions_wait() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    broker.create_topic("t", 1, &[]).unwrap();
    broker.elect("t", 0, 2).unwrap();
    broker.move_transaction_coordinator("job", 1).unwrap();
    let mut leader = Client::connect_to(&broker, 2).await;
    let who = Id::find(&mut leader, "job").await.init().await;
    broker.kill_node(1).await.unwrap();
    let refused = write(&mut leader, 12, Some("job"), who, 0, T0).await.0;
    assert_eq!(refused, ErrorCode::NotEnoughReplicas.code());
    broker.stop_node(1).await.unwrap();
    assert_eq!(write(&mut leader, 12, Some("job"), who, 0, T0).await, (0, 0));
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let (broker, mut client, mut id) = one().await;
    let (code, who) = id.init_at(5, None, 50).await;
    assert_eq!((code, write(&mut client, 12, Some("job"), who, 0, T0).await), (0, (0, 0)));
    until("its end", async || (broker.transaction("job").unwrap().state == "CompleteAbort").then_some(())).await;
    assert_eq!(read_committed(&mut client).await, (vec![0, 1], vec![0]));
    assert!(!broker.expire_transaction("job"));
    let (_, who) = id.init_at(5, None, 60_000).await;
    write(&mut client, 12, Some("job"), who, 0, T0).await;
    assert!(broker.expire_transaction("job"));
    id.settle().await;
    assert_eq!(write(&mut client, 12, Some("job"), who, 1, T0).await.0, ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(broker.transaction("job").unwrap().state, "CompleteAbort");
}

#[tokio::test]
async fn after_the_last_epoch_there_is_a_new_id() {
    let (broker, mut client, mut id) = one().await;
    let first = id.init().await;
    assert!(broker.set_producer_epoch("job", 32_766));
    let last = (first.0, 32_766);
    write(&mut client, 12, Some("job"), last, 0, T0).await;
    let next = id.finish(last, true).await;
    assert!(next.0 != last.0 && next.1 == 0, "{next:?}");
    assert_eq!(id.end(5, last, true).await, (0, next));
    assert_eq!(write(&mut client, 12, Some("job"), next, 0, T0).await, (0, 2));
}

#[tokio::test]
async fn a_deleted_topic_needs_no_marker_and_its_offsets_are_gone() {
    let (broker, mut client, mut id) = one().await;
    let who = id.init().await;
    write(&mut client, 12, Some("job"), who, 0, T0).await;
    commit_in(&mut client, 5, ("job", "g"), who, T0, &Upto::offset(7)).await;
    let next = id.finish(who, true).await;
    assert_eq!(broker.committed_offset("g", "t", 0), Some(7));
    write(&mut client, 12, Some("job"), next, 0, T0).await;
    broker.delete_topic("t").unwrap();
    id.finish(next, true).await;
    assert_eq!(broker.committed_offset("g", "t", 0), None);
}

#[tokio::test]
async fn a_full_broker_refuses_new_ids_and_lives_on() {
    let config = BrokerConfig { topics: vec![("t".into(), 1)], memory_bytes: 4_000, ..Default::default() };
    let broker = broker_with(config).await;
    let mut client = Client::connect(&broker).await;
    let mut codes = Vec::new();
    for i in 0..20 {
        let mut id = Id::find(&mut client, &format!("job-{i}")).await;
        codes.push(id.init_at(4, None, 60_000).await.0);
    }
    assert_eq!((codes[0], codes[19]), (0, ErrorCode::CoordinatorNotAvailable.code()));
    assert!(broker.memory().0 <= 4_000);
}

#[tokio::test]
async fn a_partition_that_is_named_again_is_not_told_again() {
    use crate::wire::offset_fetch::{OffsetFetch, OffsetFetchRequest, OffsetFetchRequestTopic};
    let (_broker, mut client, mut id) = one().await;
    let who = id.init().await;
    commit_in(&mut client, 5, ("job", "g"), who, T0, &Upto::offset(7)).await;
    id.finish(who, true).await;
    let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0, 0, 1] };
    let topics = Some(vec![topic.clone(), topic]);
    let request = OffsetFetchRequest { group_id: "g".into(), topics, ..Default::default() };
    let told = client.call::<OffsetFetch, _>(7, &request, |r| {
        let partitions = r.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|p| (p.error_code, p.committed_offset)).collect::<Vec<_>>()
    });
    assert_eq!(told.await, [(0, 7), (42, -1), (0, -1), (42, -1), (42, -1), (42, -1)]);
}

/// Last versions of Produce, AddPartitionsToTxn and EndTxn, and `transaction.version`.
async fn told(client: &mut Client) -> ([i16; 3], Vec<i16>) {
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    client
        .call::<ApiVersions, _>(3, &request, |r| {
            let last = |key: ApiKey| r.api_keys.iter().find(|api| api.api_key == key.code()).unwrap().max_version;
            let versions = [ApiKey::Produce, ApiKey::AddPartitionsToTxn, ApiKey::EndTxn].map(last);
            (versions, r.finalized_features.iter().map(|feature| feature.max_version_level).collect())
        })
        .await
}

#[tokio::test]
async fn an_older_broker_tells_older_versions_and_wants_to_be_told_of_partitions() {
    use ApiLevel::{V3_5, V3_9, V4_2};
    for (api_versions, transaction_version, expected, unadded) in [
        (V4_2, 2, ([13, 5, 5], vec![2]), 120),
        (V4_2, 1, ([13, 5, 5], vec![1]), 120),
        (V4_2, 0, ([13, 5, 5], vec![]), 120),
        (V3_9, 2, ([11, 5, 4], vec![]), 120),
        (V3_5, 2, ([9, 3, 3], vec![]), 0),
    ] {
        let config = BrokerConfig { api_versions, transaction_version, ..Default::default() };
        let (_broker, mut client, mut id) = one_with(config).await;
        assert_eq!(told(&mut client).await, expected);
        let who = id.init().await;
        let [produce, add, end] = expected.0.map(|version| version.min(3));
        let produce = produce.max(expected.0[0].min(11));
        assert_eq!(write(&mut client, produce, Some("job"), who, 0, T0).await.0, unadded, "{api_versions:?}");
        assert_eq!(id.add(add, who, &[T0]).await, [0]);
        assert_eq!(write(&mut client, produce, Some("job"), who, 0, T0).await, (0, 0));
        assert_eq!(id.end(end, who, true).await.0, 0);
        id.settle().await;
        assert_eq!(id.add(add, who, &[T0]).await, [0], "the epoch is kept");
        // Versions that are not told end the connection.
        if expected.0[0] < 13 {
            client.send::<Produce>(13, &produce_request("", 0, None)).await;
            assert_eq!(client.receive().await, None);
        }
    }
}
