//! Many readers on few connections, and brokers that fall silent, hold back, or come back elsewhere: in memory, on a clock
//! that stands still.

use super::super::*;
use super::fake::{LEADER_EPOCH, Memory, Reply, memory_address};
use super::log::{TIMEOUT, asked, is, metadata, one_batch, read_all, reader};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::ports::Source as _;
use crate::wire::fetch::{Fetch, FetchResponse};
use crate::wire::list_offsets::ListOffsets;
use crate::wire::metadata::{Metadata, MetadataResponse};
use crate::wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

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
async fn fault_71_a_broker_that_cannot_speak_for_its_cluster_is_left_for_the_addresses_that_were_given() {
    let asks = AtomicUsize::new(0);
    let memory = Memory::new(5, move |call| match call.key() {
        Some(ApiKey::ListOffsets) => Some(call.listed(0, 9)),
        Some(ApiKey::Metadata) if call.here.port() == 2 => {
            let error_code = ErrorCode::RebootstrapRequired.code();
            Some(call.answer::<Metadata>(&MetadataResponse { error_code, ..Default::default() }))
        }
        Some(ApiKey::Metadata) => Some(match asks.fetch_add(1, SeqCst) {
            0 | 1 => metadata(call, &[2], &BTreeMap::from([(2, 2)])),
            // So that the other broker, with which there is a connection, is asked next.
            2 => Reply::Close,
            _ => metadata(call, &[1], &BTreeMap::from([(1, 1)])),
        }),
        _ => None,
    });
    let cluster = memory.connect(TIMEOUT).await;
    assert_eq!(cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap(), [9]);
    let topic = cluster.topic("t").await.unwrap();
    assert_eq!(topic.partitions[0].leader, 1);
    assert_eq!(cluster.brokers().len(), 1);
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

#[tokio::test(start_paused = true)]
async fn fault_57_what_a_job_needs_and_the_broker_lacks_is_told_before_it_starts() {
    let memory = Memory::new(11, |_| None);
    let cluster = memory.connect(TIMEOUT).await;
    cluster.require(&[Need::of::<Fetch>(), Need::of::<ListOffsets>()]).await.unwrap();
    let error = cluster.require(Need::WRITE_IDEMPOTENT).await.unwrap_err();
    assert!(error.to_string().contains("does not offer Produce"), "{error}");
    assert_eq!(error.kind(), Kind::Unreachable);
}
