//! Leaders that change under a reader, logs that lose their tail, ends that are not known yet, transactions that stay open:
//! in memory, on a clock that stands still.

use super::super::*;
use super::fake::{LEADER_EPOCH, Memory};
use super::log::{TIMEOUT, asked, batch, is, one_batch, read_all, reader};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::wire::api_versions::{ApiVersion, ApiVersions};
use crate::wire::describe_producers::{
    DescribeProducers, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use crate::wire::fetch::{EpochEndOffset, Fetch, PartitionData};
use crate::wire::list_offsets::{
    ListOffsets, ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::wire::metadata::Metadata;
use crate::wire::offset_for_leader_epoch::{
    EpochEndOffset as Reached, OffsetForLeaderEpoch, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use crate::wire::{ApiKey, ErrorCode};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A broker whose leader epoch goes up by one at the third fetch, with a log of six offsets, and which says then that the
/// old epoch's records end at `reached`. Fetches are answered as `version` says.
fn elected(reached: Option<(i32, i64)>, version: i16) -> Memory {
    let (epoch, fetches) = (AtomicI32::new(LEADER_EPOCH), AtomicUsize::new(0));
    Memory::new(6, move |call| match call.key() {
        Some(ApiKey::ApiVersions) => {
            let fetch = ApiVersion { max_version: version, ..super::fake::range::<Fetch>() };
            Some(call.answer::<ApiVersions>(&super::fake::versions(&[
                super::fake::range::<ApiVersions>(),
                super::fake::range::<Metadata>(),
                super::fake::range::<ListOffsets>(),
                super::fake::range::<OffsetForLeaderEpoch>(),
                fetch,
            ])))
        }
        Some(ApiKey::Metadata) => Some(call.metadata_in(epoch.load(SeqCst))),
        Some(ApiKey::Fetch) => {
            let request = call.read::<Fetch>();
            let known = request.topics[0].partitions[0].current_leader_epoch;
            if fetches.fetch_add(1, SeqCst) == 2 {
                epoch.fetch_add(1, SeqCst);
            }
            if known < epoch.load(SeqCst) {
                let error_code = ErrorCode::FencedLeaderEpoch.code();
                return Some(call.fetched(PartitionData { error_code, ..Default::default() }));
            }
            let records = batch(asked(call).1, known);
            Some(call.fetched(PartitionData {
                high_watermark: 6,
                last_stable_offset: 6,
                records: Some(&records),
                ..Default::default()
            }))
        }
        Some(ApiKey::OffsetForLeaderEpoch) => {
            let request = call.read::<OffsetForLeaderEpoch>();
            let asked = &request.topics[0].partitions[0];
            assert_eq!((request.replica_id, asked.current_leader_epoch), (-1, epoch.load(SeqCst)));
            assert_eq!(asked.leader_epoch, LEADER_EPOCH, "the epoch that was read");
            let (leader_epoch, end_offset) = reached.unwrap_or((-1, -1));
            let one = Reached { leader_epoch, end_offset, ..Default::default() };
            let topic = OffsetForLeaderTopicResult { topic: "t".to_owned(), partitions: vec![one] };
            let response = OffsetForLeaderEpochResponse { topics: vec![topic], ..Default::default() };
            Some(call.answer::<OffsetForLeaderEpoch>(&response))
        }
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn fault_38_a_new_leader_that_has_all_that_was_read_is_read_on() {
    for version in [11, 18] {
        let memory = elected(Some((LEADER_EPOCH, 6)), version);
        let cluster = memory.connect(TIMEOUT).await;
        assert_eq!(read_all(reader(&cluster, 0, 6)).await.unwrap(), [0, 1, 2, 3, 4, 5], "version {version}");
        assert_eq!(memory.count(ApiKey::OffsetForLeaderEpoch), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn fault_38_a_log_that_was_truncated_below_what_was_read_ends_the_reading_by_name() {
    for version in [11, 18] {
        let memory = elected(Some((LEADER_EPOCH - 1, 1)), version);
        let cluster = memory.connect(TIMEOUT).await;
        let error = read_all(reader(&cluster, 0, 6)).await.unwrap_err();
        let ClientError::Truncated(at) = &error else { panic!("{error:?}") };
        assert_eq!((at.position, at.parts_at, at.epoch_then, at.epoch_now), (2, Some(1), 5, 6));
        assert_eq!(error.kind(), Kind::Data);
        let text = error.to_string();
        assert!(text.contains("t partition 0: an election has truncated the log at offset 1"), "{text}");
        assert!(text.contains("offsets 1 to 1 were read already"), "{text}");
        assert_eq!(memory.count(ApiKey::Fetch), 3, "nothing is read of the new log");
    }
}

#[tokio::test(start_paused = true)]
async fn fault_38_a_log_that_was_truncated_below_the_end_that_was_planned_is_not_read_to_another_end() {
    let memory = elected(Some((LEADER_EPOCH, 4)), 18);
    let cluster = memory.connect(TIMEOUT).await;
    let error = read_all(reader(&cluster, 0, 6)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Truncated(at) if at.parts_at == Some(4)), "{error:?}");
    assert!(error.to_string().contains("offsets 4 to 5 of what was to be read are gone"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn fault_38_a_leader_that_cannot_tell_is_not_believed() {
    let memory = elected(None, 18);
    let cluster = memory.connect(TIMEOUT).await;
    let error = read_all(reader(&cluster, 0, 6)).await.unwrap_err();
    assert!(error.to_string().contains("knows nothing of the earlier epochs"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn fault_38_a_diverging_epoch_ends_the_reading_by_name() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let memory = Memory::new(7, move |call| {
        is(call, ApiKey::Fetch).then(|| {
            let epoch = call.read::<Fetch>().topics[0].partitions[0].last_fetched_epoch;
            seen.lock().unwrap().push(epoch);
            let diverging_epoch = EpochEndOffset { epoch: 3, end_offset: 1 };
            match asked(call).1 {
                2 => call.fetched(PartitionData { diverging_epoch, high_watermark: 9, ..Default::default() }),
                _ => one_batch(call, 9, 4),
            }
        })
    });
    let cluster = memory.connect(TIMEOUT).await;
    let error = read_all(reader(&cluster, 0, 9)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Truncated(at) if (at.position, at.parts_at) == (2, Some(1))), "{error:?}");
    assert_eq!(*told.lock().unwrap(), [-1, 4, 4]);
}

#[tokio::test(start_paused = true)]
async fn fault_39_an_end_that_a_new_leader_does_not_know_yet_is_waited_for_and_never_taken_to_be_lower() {
    let asks = AtomicUsize::new(0);
    let memory = Memory::new(8, move |call| {
        is(call, ApiKey::ListOffsets).then(|| match asks.fetch_add(1, SeqCst) {
            0..8 => call.listed(ErrorCode::OffsetNotAvailable.code(), -1),
            _ => call.listed(0, 9),
        })
    });
    let cluster = memory.connect(TIMEOUT).await;
    assert_eq!(cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap(), [9]);
    let memory = Memory::new(8, move |call| {
        is(call, ApiKey::Fetch).then(|| {
            let error_code = ErrorCode::OffsetNotAvailable.code();
            call.fetched(PartitionData { error_code, ..Default::default() })
        })
    });
    let cluster = memory.connect(TIMEOUT).await;
    let error = read_all(reader(&cluster, 0, 9)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(ErrorCode::OffsetNotAvailable), Kind::Unreachable));
    assert!(error.to_string().contains("Fetch of t partition 0"), "{error}");
}

/// A broker that says of offset 2 that it has no such one, `times` times, and whose log ends at `latest` until then.
fn behind(times: usize, latest: i64) -> Memory {
    let left = Arc::new(AtomicUsize::new(times));
    Memory::new(9, move |call| match call.key() {
        Some(ApiKey::Fetch) if asked(call).1 == 2 => {
            match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
                Ok(_) => {
                    let error_code = ErrorCode::OffsetOutOfRange.code();
                    Some(call.fetched(PartitionData { error_code, ..Default::default() }))
                }
                Err(_) => Some(one_batch(call, 6, LEADER_EPOCH)),
            }
        }
        Some(ApiKey::Fetch) => Some(one_batch(call, 6, LEADER_EPOCH)),
        Some(ApiKey::ListOffsets) => {
            let earliest = call.read::<ListOffsets>().topics[0].partitions[0].timestamp == -2;
            let end = if left.load(SeqCst) == 0 { 6 } else { latest };
            Some(call.listed(0, if earliest { 0 } else { end }))
        }
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn fault_43_an_offset_that_a_lagging_follower_lacks_is_not_lost() {
    // The leader has it (6), or is new and does not know yet (1).
    for latest in [6, 1] {
        let cluster = behind(5, latest).connect(TIMEOUT).await;
        assert_eq!(read_all(reader(&cluster, 0, 6)).await.unwrap(), [0, 1, 2, 3, 4, 5]);
    }
}

#[tokio::test(start_paused = true)]
async fn fault_43_a_log_that_stays_too_short_is_an_error_after_a_bounded_wait() {
    let cluster = behind(usize::MAX, 1).connect(TIMEOUT).await;
    let started = Instant::now();
    let error = read_all(reader(&cluster, 0, 6)).await.unwrap_err();
    assert!(matches!(&error, ClientError::OutOfRange { wanted: 2, latest: 1, .. }), "{error:?}");
    assert!((TIMEOUT / 2..TIMEOUT * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    let cluster = behind(usize::MAX, 6).connect(TIMEOUT).await;
    let error = read_all(reader(&cluster, 0, 6)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange), "{error:?}");
}

/// A broker whose partition 0 of `t` has a transaction open from offset 3 on, until it was asked `asks` times.
fn held_open(asks: usize) -> Memory {
    let left = AtomicUsize::new(asks);
    Memory::new(10, move |call| match call.key() {
        Some(ApiKey::ListOffsets) => {
            let committed = call.read::<ListOffsets>().isolation_level == 1;
            let open = committed && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            let offset = if open { 3 } else { 9 };
            let partition = ListOffsetsPartitionResponse { offset, ..Default::default() };
            let topic = ListOffsetsTopicResponse { name: "t".to_owned(), partitions: vec![partition] };
            Some(call.answer::<ListOffsets>(&ListOffsetsResponse { topics: vec![topic], ..Default::default() }))
        }
        Some(ApiKey::DescribeProducers) => {
            let one = |producer_id, current_txn_start_offset| ProducerState {
                producer_id,
                producer_epoch: 2,
                last_timestamp: 1_000,
                current_txn_start_offset,
                ..Default::default()
            };
            let active_producers = vec![one(11, -1), one(12, 5), one(13, 3)];
            let partition = PartitionResponse { active_producers, ..Default::default() };
            let topic = TopicResponse { name: "t".to_owned(), partitions: vec![partition] };
            Some(
                call.answer::<DescribeProducers>(&DescribeProducersResponse {
                    topics: vec![topic],
                    ..Default::default()
                }),
            )
        }
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn fault_28_a_transaction_open_below_the_end_is_waited_for_and_its_producer_named() {
    let ends = [(TopicPartition::new("t", 0), 7)];
    let time = Duration::from_secs(10);
    held_open(4).connect(TIMEOUT).await.wait_for_transactions(&ends, time).await.unwrap();

    let cluster = held_open(usize::MAX).connect(TIMEOUT).await;
    // Open, but above the end.
    cluster.wait_for_transactions(&[(TopicPartition::new("t", 0), 3)], time).await.unwrap();
    let started = Instant::now();
    let error = cluster.wait_for_transactions(&ends, time).await.unwrap_err();
    assert!((time / 2..=time).contains(&started.elapsed()), "{:?}", started.elapsed());
    let ClientError::OpenTransaction(open) = &error else { panic!("{error:?}") };
    assert_eq!((open.from, open.end, open.producer.map(|producer| producer.id)), (3, 7, Some(13)));
    let text = error.to_string();
    assert!(text.contains("producer 13 (epoch 2, its last record is of 1970-01-01T00:00:01Z)"), "{text}");
    assert!(text.contains("--topic t --partition 0 --start-offset 3"), "{text}");
    assert_eq!(error.kind(), Kind::Unreachable);
}
