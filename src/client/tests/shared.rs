//! Many readers on few connections, leaders that change under them, brokers that come back elsewhere: in memory, on a
//! clock that stands still.

use super::super::*;
use super::fake::{Call, LEADER_EPOCH, Memory, Reply, TOPIC_ID, memory_address};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::batch::{BatchWriter, Batches, Codec, Headers};
use crate::ports::Source as _;
use crate::wire::api_versions::{ApiVersion, ApiVersions};
use crate::wire::describe_producers::{
    DescribeProducers, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use crate::wire::fetch::{EpochEndOffset, Fetch, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::list_offsets::{
    ListOffsets, ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::wire::metadata::{
    Metadata, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::offset_for_leader_epoch::{
    EpochEndOffset as Reached, OffsetForLeaderEpoch, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use crate::wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A batch of one record at an offset.
fn batch(offset: i64, epoch: i32) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(offset);
    writer.push(0, None, Some(b"v"), Headers::EMPTY).unwrap();
    let mut bytes = writer.finish().unwrap().to_vec();
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

/// Partition and offset of a Fetch.
fn asked(call: &Call) -> (i32, i64) {
    let request = call.read::<Fetch>();
    assert_eq!((request.topics.len(), request.topics[0].partitions.len()), (1, 1), "one partition a request");
    let partition = &request.topics[0].partitions[0];
    (partition.partition, partition.fetch_offset)
}

fn is(call: &Call, key: ApiKey) -> bool {
    call.key() == Some(key)
}

/// The answer to a Fetch of a partition of `t`.
fn fetched(call: &Call, data: PartitionData<'_>) -> Reply {
    let topic = FetchableTopicResponse { topic_id: TOPIC_ID, partitions: vec![data], ..Default::default() };
    call.answer::<Fetch>(&FetchResponse { responses: vec![topic], ..Default::default() })
}

/// One batch of one record at the offset asked for, of a log that ends at `end`.
fn one_batch(call: &Call, end: i64, epoch: i32) -> Reply {
    let (partition_index, offset) = asked(call);
    let records = if offset < end { batch(offset, epoch) } else { Vec::new() };
    let data = PartitionData {
        partition_index,
        high_watermark: end,
        last_stable_offset: end,
        records: Some(&records),
        ..Default::default()
    };
    fetched(call, data)
}

/// The topic `t` with a leader for each partition, and the addresses of the brokers.
fn metadata(call: &Call, leaders: &[i32], brokers: &BTreeMap<i32, u16>) -> Reply {
    let asked = call.read::<Metadata>().topics;
    let partitions = (0..).zip(leaders).map(|(partition_index, leader)| MetadataResponsePartition {
        partition_index,
        leader_id: *leader,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![1, 2],
        isr_nodes: vec![1, 2],
        ..Default::default()
    });
    let topic = MetadataResponseTopic {
        name: Some("t".to_owned()),
        topic_id: TOPIC_ID,
        partitions: partitions.collect(),
        ..Default::default()
    };
    let broker = |(node, port): (&i32, &u16)| {
        let address = memory_address(*port);
        MetadataResponseBroker {
            node_id: *node,
            host: address.ip().to_string(),
            port: address.port().into(),
            ..Default::default()
        }
    };
    call.answer::<Metadata>(&MetadataResponse {
        brokers: brokers.iter().map(broker).collect(),
        controller_id: 1,
        topics: if asked.is_none_or(|names| !names.is_empty()) { vec![topic] } else { Vec::new() },
        ..Default::default()
    })
}

async fn read_all(mut reader: PartitionReader) -> Result<Vec<i64>, ClientError> {
    let (mut window, mut bases) = (Vec::new(), Vec::new());
    while reader.next(&mut window).await?.is_some() {
        bases.extend(Batches::new(&window).map(|batch| batch.unwrap().header.base_offset));
    }
    Ok(bases)
}

fn reader(cluster: &Cluster, partition: i32, end: i64) -> PartitionReader {
    cluster.reader(TopicPartition::new("t", partition), 0..end, ReadOptions::default())
}

#[tokio::test(start_paused = true)]
async fn a_hundred_readers_share_three_connections_to_each_broker() {
    let brokers = BTreeMap::from([(1, 1), (2, 2)]);
    let leaders: Vec<i32> = (0..100).map(|i| 1 + i % 2).collect();
    let memory = Memory::new(1, move |call| match call.key() {
        Some(ApiKey::Metadata) => Some(metadata(call, &leaders, &brokers)),
        Some(ApiKey::Fetch) => {
            assert_eq!(call.here.port(), 1 + (asked(call).0 % 2) as u16);
            Some(one_batch(call, 5, LEADER_EPOCH))
        }
        _ => None,
    });
    let cluster = memory.connect(TIMEOUT).await;
    let reads = (0..100).map(|partition| tokio::spawn(read_all(reader(&cluster, partition, 5))));
    for bases in futures::future::join_all(reads).await {
        assert_eq!(bases.unwrap().unwrap(), [0, 1, 2, 3, 4]);
    }
    let dialled = memory.dialled.lock().unwrap().clone();
    for port in [1, 2] {
        let count = dialled.iter().filter(|address| address.port() == port).count();
        assert!((1..=3).contains(&count), "{count} connections to broker {port}");
    }
    assert_eq!((memory.count(ApiKey::Fetch), memory.count(ApiKey::Metadata)), (500, 2), "one asks for all");
}

#[tokio::test(start_paused = true)]
async fn fault_44_a_partition_without_data_holds_up_none_of_those_behind_it() {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let seen = waits.clone();
    let memory = Memory::new(2, move |call| match call.key() {
        Some(ApiKey::Metadata) => Some(metadata(call, &[1; 4], &BTreeMap::from([(1, 1)]))),
        Some(ApiKey::Fetch) => {
            seen.lock().unwrap().push(call.read::<Fetch>().max_wait_ms);
            // Partition 0 has nothing yet, the others have.
            Some(one_batch(call, if asked(call).0 == 0 { 0 } else { 50 }, LEADER_EPOCH))
        }
        _ => None,
    });
    let cluster = memory.connect(TIMEOUT).await;
    let started = Instant::now();
    let empty = tokio::spawn(read_all(reader(&cluster, 0, 50)));
    for partition in 1..4 {
        assert_eq!(read_all(reader(&cluster, partition, 50)).await.unwrap().len(), 50);
    }
    assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
    let error = empty.await.unwrap().unwrap_err();
    assert!(matches!(&error, ClientError::Stalled(at) if at.position == 0 && at.high_watermark == 0), "{error:?}");
    assert!(started.elapsed() >= TIMEOUT && started.elapsed() < TIMEOUT * 2, "{:?}", started.elapsed());
    assert!(waits.lock().unwrap().iter().all(|wait| *wait == 0), "no broker is asked to wait for what it cannot have");
}

#[tokio::test(start_paused = true)]
async fn fault_44_an_empty_throttled_answer_is_no_end_and_costs_no_deadline() {
    let throttled = AtomicUsize::new(3);
    let memory = Memory::new(3, move |call| match call.key() {
        Some(ApiKey::Metadata) => Some(metadata(call, &[1], &BTreeMap::from([(1, 1)]))),
        Some(ApiKey::Fetch) if throttled.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() => {
            Some(call.answer::<Fetch>(&FetchResponse { throttle_time_ms: 20_000, ..Default::default() }))
        }
        Some(ApiKey::Fetch) => Some(one_batch(call, 2, LEADER_EPOCH)),
        _ => None,
    });
    let cluster = memory.connect(TIMEOUT).await;
    let started = Instant::now();
    assert_eq!(read_all(reader(&cluster, 0, 2)).await.unwrap(), [0, 1]);
    assert_eq!((started.elapsed().as_secs(), memory.count(ApiKey::Fetch)), (60, 5));
}

#[tokio::test(start_paused = true)]
async fn fault_42_a_broker_that_falls_silent_is_given_up_and_the_new_leader_is_read() {
    let silent_at = AtomicUsize::new(3);
    let moved = Arc::new(AtomicBool::new(false));
    let has_moved = moved.clone();
    let memory = Memory::new(4, move |call| match call.key() {
        Some(ApiKey::Metadata) if call.here.port() == 1 && has_moved.load(SeqCst) => Some(Reply::Silence),
        Some(ApiKey::Metadata) => {
            let leader = if has_moved.load(SeqCst) { 2 } else { 1 };
            Some(metadata(call, &[leader], &BTreeMap::from([(1, 1), (2, 2)])))
        }
        Some(ApiKey::Fetch) if call.here.port() == 1 => {
            match silent_at.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
                Ok(_) => Some(one_batch(call, 6, LEADER_EPOCH)),
                Err(_) => {
                    has_moved.store(true, SeqCst);
                    Some(Reply::Silence)
                }
            }
        }
        Some(ApiKey::Fetch) => Some(one_batch(call, 6, LEADER_EPOCH)),
        _ => None,
    });
    let brokers = [memory_address(1).to_string(), memory_address(2).to_string()];
    let cluster = Cluster::connect_over(Arc::new(memory.clone()), &brokers, TIMEOUT * 2).await.unwrap();
    let started = Instant::now();
    assert_eq!(read_all(reader(&cluster, 0, 6)).await.unwrap(), [0, 1, 2, 3, 4, 5]);
    assert!(moved.load(SeqCst));
    assert!(started.elapsed() < TIMEOUT * 3, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn fault_71_a_broker_that_comes_back_at_another_address_is_found_there() {
    let port = Arc::new(AtomicI32::new(2));
    let (advertised, fetches) = (port.clone(), AtomicUsize::new(0));
    let memory = Memory::new(5, move |call| match call.key() {
        Some(ApiKey::Metadata) => {
            Some(metadata(call, &[2], &BTreeMap::from([(1, 1), (2, advertised.load(SeqCst) as u16)])))
        }
        Some(ApiKey::Fetch) => Some(match fetches.fetch_add(1, SeqCst) {
            3 => Reply::Close,
            _ => one_batch(call, 6, LEADER_EPOCH),
        }),
        _ => None,
    });
    let cluster = memory.connect(TIMEOUT).await;
    let dead = memory.dead.clone();
    let moving = tokio::spawn(async move {
        // Down for a while, then elsewhere.
        tokio::time::sleep(Duration::from_secs(9)).await;
        port.store(7, SeqCst);
    });
    let mut reader = reader(&cluster, 0, 6);
    let mut window = Vec::new();
    for _ in 0..3 {
        reader.next(&mut window).await.unwrap().unwrap();
    }
    dead.lock().unwrap().insert(memory_address(2));
    let started = Instant::now();
    assert_eq!(read_all(reader).await.unwrap(), [3, 4, 5]);
    assert!(started.elapsed() >= Duration::from_secs(8), "{:?}", started.elapsed());
    moving.await.unwrap();
    assert_eq!(memory.dialled.lock().unwrap().last(), Some(&memory_address(7)));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_waits_the_same_time_and_another_one_does_not() {
    let mut times = Vec::new();
    for seed in [7, 7, 8] {
        let memory = Memory::new(seed, |call| is(call, ApiKey::ListOffsets).then(|| call.listed(6, -1)));
        let cluster = memory.connect(TIMEOUT).await;
        let started = Instant::now();
        let error = cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap_err();
        assert!(matches!(error, ClientError::GaveUp { .. }), "{error:?}");
        assert!(started.elapsed() <= TIMEOUT, "one deadline for all tries");
        times.push((started.elapsed(), memory.count(ApiKey::ListOffsets)));
    }
    assert_eq!(times[0], times[1]);
    assert_ne!(times[0].0, times[2].0);
}

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
    assert!((TIMEOUT..TIMEOUT * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
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

#[tokio::test(start_paused = true)]
async fn fault_57_what_a_job_needs_and_the_broker_lacks_is_told_before_it_starts() {
    let memory = Memory::new(11, |_| None);
    let cluster = memory.connect(TIMEOUT).await;
    cluster.require(&[Need::of::<Fetch>(), Need::of::<ListOffsets>()]).await.unwrap();
    let error = cluster.require(Need::WRITE_IDEMPOTENT).await.unwrap_err();
    assert!(error.to_string().contains("does not offer Produce"), "{error}");
    assert_eq!(error.kind(), Kind::Unreachable);
}
