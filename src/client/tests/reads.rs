//! A partition read through every sort of answer: markers, aborted data, damage, holes, batches out of order, silence.

use super::super::*;
use super::fake::{Call, Fake, LONG, Reply};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::batch::control::{ControlType, marker};
use crate::batch::{Batch, BatchWriter, Batches, Codec, Headers};
use crate::ports::Source as _;
use crate::wire::api_versions::{ApiVersion, ApiVersions};
use crate::wire::fetch::{AbortedTransaction, Fetch, PartitionData};
use crate::wire::list_offsets::ListOffsets;
use crate::wire::{ApiKey, ErrorCode};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) const SHORT: Duration = Duration::from_millis(600);

/// A batch of `count` records from `base_offset` on.
pub(super) fn data(base_offset: i64, count: usize) -> Vec<u8> {
    data_of(base_offset, count, -1, false)
}

fn data_of(base_offset: i64, count: usize, producer: i64, transactional: bool) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(base_offset).producer(producer, 0, 0).transactional(transactional);
    for _ in 0..count {
        writer.push(0, None, Some(b"1"), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

/// What the broker's log holds: whole batches, answered from the one that holds the offset, as Kafka does.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) batches: Vec<Vec<u8>>,
    pub(super) aborted: Vec<AbortedTransaction>,
    pub(super) last_stable: i64,
    pub(super) high_watermark: i64,
    /// How many batches an answer holds.
    pub(super) batches_max: usize,
}

impl Log {
    pub(super) fn of(batches: Vec<Vec<u8>>) -> Self {
        let end = batches.last().map_or(0, |bytes| Batch::read(bytes).unwrap().header.last_offset() + 1);
        Self { batches, aborted: Vec::new(), last_stable: end, high_watermark: end, batches_max: usize::MAX }
    }

    fn from(&self, offset: i64) -> Vec<u8> {
        let holds = |bytes: &&Vec<u8>| {
            let header = Batch::read(bytes).unwrap().header;
            header.last_offset() >= offset && header.base_offset < self.last_stable
        };
        self.batches.iter().filter(holds).take(self.batches_max).flatten().copied().collect()
    }

    pub(super) fn answer(&self, call: &Call) -> Reply {
        self.answer_with(call, &self.from(offset(call)))
    }

    fn answer_with(&self, call: &Call, records: &[u8]) -> Reply {
        call.fetched(PartitionData {
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable,
            log_start_offset: 0,
            aborted_transactions: Some(self.aborted_from(offset(call))),
            records: Some(records),
            ..Default::default()
        })
    }

    /// As Kafka lists them: the aborted transactions that had not ended before `offset`.
    fn aborted_from(&self, offset: i64) -> Vec<AbortedTransaction> {
        let ends_after = |aborted: &&AbortedTransaction| {
            let headers = self.batches.iter().map(|bytes| Batch::read(bytes).unwrap().header);
            let mut ends = headers.filter(|header| {
                header.is_control()
                    && header.producer_id == aborted.producer_id
                    && header.base_offset > aborted.first_offset
            });
            ends.next().is_none_or(|end| end.base_offset >= offset)
        };
        self.aborted.iter().filter(ends_after).cloned().collect()
    }
}

/// The offset that a Fetch asks for.
fn offset(call: &Call) -> i64 {
    call.read::<Fetch>().topics[0].partitions[0].fetch_offset
}

pub(super) fn is_fetch(call: &Call) -> bool {
    call.key() == Some(ApiKey::Fetch)
}

async fn serve(log: Log) -> Fake {
    Fake::start(move |call| is_fetch(call).then(|| log.answer(call))).await
}

pub(super) async fn reader(fake: &Fake, range: Range<i64>, timeout: Duration, options: ReadOptions) -> PartitionReader {
    let cluster = Cluster::connect(&fake.bootstrap(), timeout).await.unwrap();
    cluster.reader(TopicPartition::new("t", 0), range, options)
}

/// The base offsets of all batches that a reader gives, in order.
pub(super) async fn read_all(reader: &mut PartitionReader) -> Result<Vec<i64>, ClientError> {
    let (mut window, mut bases) = (Vec::new(), Vec::new());
    while reader.next(&mut window).await?.is_some() {
        assert!(!window.is_empty());
        let mut batches = Batches::new(&window);
        bases.extend(batches.by_ref().map(|batch| batch.unwrap().header.base_offset));
        assert!(batches.rest().is_empty(), "whole batches only");
    }
    assert!(window.is_empty() && reader.position() >= reader.range().end);
    Ok(bases)
}

pub(super) async fn bases(fake: &Fake, range: Range<i64>) -> Result<Vec<i64>, ClientError> {
    read_all(&mut reader(fake, range, LONG, ReadOptions::default()).await).await
}

#[tokio::test]
async fn a_range_is_read_from_the_batch_that_holds_its_start_to_the_one_that_holds_its_end() {
    for batches_max in [1, 2, usize::MAX] {
        let log = Log { batches_max, ..Log::of((0..10).map(|i| data(i * 10, 10)).collect()) };
        let fake = serve(log).await;
        assert_eq!(bases(&fake, 15..36).await.unwrap(), [10, 20, 30]);
        assert_eq!(bases(&fake, 0..100).await.unwrap().len(), 10);
    }
}

#[tokio::test]
async fn an_empty_range_asks_for_nothing() {
    let fake = serve(Log::default()).await;
    assert_eq!(bases(&fake, 7..7).await.unwrap(), [0; 0]);
    assert_eq!(fake.count(ApiKey::Fetch), 0);
}

#[tokio::test]
async fn nothing_is_fetched_at_or_after_the_end() {
    let fetched = Arc::new(Mutex::new(Vec::new()));
    let (seen, log) = (fetched.clone(), Log { batches_max: 1, ..Log::of((0..9).map(|i| data(i, 1)).collect()) });
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| {
            seen.lock().unwrap().push(offset(call));
            log.answer(call)
        })
    })
    .await;
    bases(&fake, 2..5).await.unwrap();
    assert_eq!(*fetched.lock().unwrap(), [2, 3, 4]);
}

#[tokio::test]
async fn fault_30_aborted_data_and_markers_are_left_out_also_across_answers_and_at_the_end() {
    for batches_max in [1, 2, usize::MAX] {
        let log = Log {
            aborted: vec![AbortedTransaction { producer_id: 5, first_offset: 2 }],
            batches_max,
            ..Log::of(vec![
                data_of(0, 2, 4, true),
                data_of(2, 2, 5, true),
                data_of(4, 2, 4, true),
                data_of(6, 2, 5, true),
                marker(8, ControlType::Commit, 0, 4, 0, 0).unwrap(),
                marker(9, ControlType::Abort, 0, 5, 0, 0).unwrap(),
                // The marker ends what was aborted: the same producer's next transaction counts.
                data_of(10, 2, 5, true),
                marker(12, ControlType::Commit, 0, 5, 0, 0).unwrap(),
            ])
        };
        let fake = serve(log).await;
        assert_eq!(bases(&fake, 0..10).await.unwrap(), [0, 4], "{batches_max} batches an answer");
        assert_eq!(bases(&fake, 0..13).await.unwrap(), [0, 4, 10], "{batches_max} batches an answer");
        assert_eq!(bases(&fake, 8..10).await.unwrap(), [0; 0], "a range of markers only");
    }
}

#[tokio::test]
async fn fault_31_holes_and_emptied_batches_are_stepped_over() {
    let emptied = {
        let mut bytes = data(20, 5);
        // As compaction leaves it: no records, the offsets still covered.
        bytes.truncate(crate::batch::HEADER_BYTES);
        bytes[8..12].copy_from_slice(&(crate::batch::HEADER_BYTES as i32 - 12).to_be_bytes());
        bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    };
    let fake = serve(Log::of(vec![data(0, 3), data(10, 2), emptied])).await;
    assert_eq!(bases(&fake, 0..25).await.unwrap(), [0, 10]);
}

#[tokio::test]
async fn fault_34_a_damaged_batch_is_fetched_again_and_what_came_before_it_is_kept() {
    let log = Log::of(vec![data(0, 2), data(2, 2), data(4, 2)]);
    let damaged = AtomicUsize::new(2);
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| {
            let mut bytes = log.from(offset(call));
            let still = damaged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            if still {
                // The last byte of the batch at offset 2.
                let at = if offset(call) == 0 { data(0, 2).len() } else { 0 } + data(2, 2).len() - 1;
                bytes[at] ^= 1;
            }
            log.answer_with(call, &bytes)
        })
    })
    .await;
    assert_eq!(bases(&fake, 0..6).await.unwrap(), [0, 2, 4]);
    assert_eq!(fake.count(ApiKey::Fetch), 3);
}

#[tokio::test]
async fn fault_34_a_batch_that_stays_damaged_is_an_error_at_its_offset() {
    let mut bad = data(2, 2);
    *bad.last_mut().unwrap() ^= 1;
    let fake = serve(Log::of(vec![data(0, 2), bad])).await;
    let error = bases(&fake, 0..4).await.unwrap_err();
    assert!(matches!(&error, ClientError::Damaged { at, tries: 4, .. } if at.offset == 2), "{error:?}");
    assert_eq!(error.kind(), Kind::Data);
    assert_eq!(fake.count(ApiKey::Fetch), 5);
}

#[tokio::test]
async fn fault_35_offsets_that_go_backwards_are_a_violation() {
    let twice = [data(0, 2), data(2, 2), data(2, 2)].concat();
    let fake =
        Fake::start(move |call| is_fetch(call).then(|| Log::of(vec![data(0, 4)]).answer_with(call, &twice))).await;
    let error = bases(&fake, 0..9).await.unwrap_err();
    assert!(matches!(error, ClientError::Regressed { expected: 4, first: 2, last: 3, .. }), "{error:?}");

    let old = data(0, 2);
    let fake = Fake::start(move |call| is_fetch(call).then(|| Log::of(vec![data(0, 9)]).answer_with(call, &old))).await;
    let error = bases(&fake, 5..9).await.unwrap_err();
    assert!(matches!(error, ClientError::Regressed { expected: 5, first: 0, last: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn fault_33_a_partial_last_batch_is_left_for_the_next_fetch() {
    let log = Log::of(vec![data(0, 2), data(2, 2)]);
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| {
            let bytes = log.from(offset(call));
            let cut = if offset(call) == 0 { bytes.len() - 10 } else { bytes.len() };
            log.answer_with(call, &bytes[..cut])
        })
    })
    .await;
    assert_eq!(bases(&fake, 0..4).await.unwrap(), [0, 2]);
}

#[tokio::test]
async fn fault_33_a_batch_cut_off_by_the_window_is_asked_for_again_in_whole() {
    let whole = data(0, 200);
    let (length, log) = (whole.len(), Log::of(vec![whole]));
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| {
            let window = call.read::<Fetch>().max_bytes as usize;
            let bytes = log.from(offset(call));
            log.answer_with(call, &bytes[..bytes.len().min(window)])
        })
    })
    .await;
    let options = ReadOptions { fetch_bytes_max: 100, batch_bytes_max: length };
    assert_eq!(read_all(&mut reader(&fake, 0..200, LONG, options).await).await.unwrap(), [0]);
    assert_eq!(fake.count(ApiKey::Fetch), 2);

    let options = ReadOptions { batch_bytes_max: length - 1, ..options };
    let error = read_all(&mut reader(&fake, 0..200, LONG, options).await).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::BatchTooLarge { at, bytes, cap } if (at.offset, *bytes, *cap) == (0, length, length - 1))
    );
}

#[tokio::test]
async fn fault_33_a_batch_larger_than_the_window_is_taken_up_to_its_cap() {
    let batch = data(0, 200);
    let length = batch.len();
    let fake = serve(Log::of(vec![batch])).await;
    let options = ReadOptions { fetch_bytes_max: 100, batch_bytes_max: length };
    assert_eq!(read_all(&mut reader(&fake, 0..200, LONG, options).await).await.unwrap(), [0]);
    let options = ReadOptions { fetch_bytes_max: 100, batch_bytes_max: length - 1 };
    let error = read_all(&mut reader(&fake, 0..200, LONG, options).await).await.unwrap_err();
    assert!(matches!(error, ClientError::BatchTooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn fault_36_a_lost_start_is_an_error_that_names_the_lost_offsets() {
    let fake = Fake::start(|call| match call.key() {
        Some(ApiKey::Fetch) => {
            Some(call.fetched(PartitionData { error_code: ErrorCode::OffsetOutOfRange.code(), ..Default::default() }))
        }
        Some(ApiKey::ListOffsets) => {
            let asked = call.read::<ListOffsets>().topics[0].partitions[0].timestamp;
            Some(call.listed(0, if asked == -2 { 40 } else { 90 }))
        }
        _ => None,
    })
    .await;
    let error = bases(&fake, 10..50).await.unwrap_err();
    assert!(
        matches!(error, ClientError::OutOfRange { wanted: 10, end: 50, earliest: 40, latest: 90, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("offsets 10 to 39 are lost"), "{error}");
}

#[tokio::test]
async fn fault_28_an_open_transaction_below_the_end_is_waited_for_and_then_named() {
    let log = Log { last_stable: 2, high_watermark: 4, ..Log::of(vec![data(0, 2), data_of(2, 2, 1, true)]) };
    let fake = serve(log).await;
    let mut reader = reader(&fake, 0..4, SHORT, ReadOptions::default()).await;
    let started = Instant::now();
    let error = read_all(&mut reader).await.unwrap_err();
    assert!(started.elapsed() >= SHORT);
    assert!(matches!(&error, ClientError::Stalled(at) if (at.position, at.last_stable) == (2, 2)), "{error:?}");
    assert!(error.to_string().contains("a transaction has been open since offset 2"), "{error}");
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn data_that_comes_late_is_waited_for() {
    let empty = AtomicUsize::new(3);
    let log = Log::of(vec![data(0, 2)]);
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| {
            match empty.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                Ok(_) => Log::default().answer_with(call, &[]),
                Err(_) => log.answer(call),
            }
        })
    })
    .await;
    assert_eq!(bases(&fake, 0..2).await.unwrap(), [0]);
}

#[tokio::test]
async fn fault_40_a_topic_made_anew_under_the_same_name_is_not_read_on() {
    let log = Log { batches_max: 1, ..Log::of(vec![data(0, 2), data(2, 2)]) };
    let fetches = AtomicUsize::new(0);
    let replaced = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let fake = Fake::start(move |call| match call.key() {
        Some(ApiKey::Fetch) => Some(match fetches.fetch_add(1, Ordering::Relaxed) {
            0 => log.answer(call),
            _ => {
                replaced.store(true, Ordering::Relaxed);
                call.fetched(PartitionData { error_code: ErrorCode::UnknownTopicId.code(), ..Default::default() })
            }
        }),
        Some(ApiKey::Metadata) if replaced.load(Ordering::Relaxed) => Some(call.metadata_with([9; 16])),
        _ => None,
    })
    .await;
    let error = bases(&fake, 0..4).await.unwrap_err();
    assert!(matches!(error, ClientError::Recreated { .. }), "{error:?}");
}

#[tokio::test]
async fn a_leader_that_is_one_no_more_is_left_for_the_new_one_and_no_record_is_lost() {
    let log = Log { batches_max: 1, ..Log::of((0..6).map(|i| data(i, 1)).collect()) };
    let fetches = AtomicUsize::new(0);
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| match fetches.fetch_add(1, Ordering::Relaxed) {
            1 => {
                call.fetched(PartitionData { error_code: ErrorCode::NotLeaderOrFollower.code(), ..Default::default() })
            }
            3 => call.fetched(PartitionData { error_code: ErrorCode::FencedLeaderEpoch.code(), ..Default::default() }),
            5 => Reply::Close,
            _ => log.answer(call),
        })
    })
    .await;
    assert_eq!(bases(&fake, 0..6).await.unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_next_that_is_dropped_loses_nothing() {
    let log = Log { batches_max: 1, ..Log::of((0..4).map(|i| data(i, 1)).collect()) };
    let fetches = AtomicUsize::new(0);
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| match fetches.fetch_add(1, Ordering::Relaxed) {
            1 => Reply::Silence,
            _ => log.answer(call),
        })
    })
    .await;
    let mut reader = reader(&fake, 0..4, LONG, ReadOptions::default()).await;
    let mut window = Vec::new();
    reader.next(&mut window).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), reader.next(&mut window)).await.is_err());
    assert_eq!(read_all(&mut reader).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn fault_57_brokers_that_know_topics_by_name_only_are_read_too() {
    let log = Log::of(vec![data(0, 2)]);
    let fake = Fake::start(move |call| match call.key() {
        Some(ApiKey::Fetch) => {
            assert_eq!((call.version(), call.read::<Fetch>().topics[0].topic.as_str()), (11, "t"));
            Some(log.answer(call))
        }
        Some(ApiKey::ApiVersions) => {
            let old = ApiVersion { max_version: 11, ..super::fake::range::<Fetch>() };
            let metadata = super::fake::range::<crate::wire::metadata::Metadata>();
            Some(call.answer::<ApiVersions>(&super::fake::versions(&[
                super::fake::range::<ApiVersions>(),
                metadata,
                old,
            ])))
        }
        _ => None,
    })
    .await;
    assert_eq!(bases(&fake, 0..2).await.unwrap(), [0]);
}

#[tokio::test]
async fn what_lies_behind_the_range_is_not_taken_for_nothing() {
    // The pinned end is 5; 1 to 9 are gone from the log, and what is at 10 is nobody's yet.
    let log = Log { batches_max: 1, ..Log::of(vec![data(0, 1), data(10, 5)]) };
    let fake = Fake::start(move |call| is_fetch(call).then(|| log.answer(call))).await;
    let mut reader = reader(&fake, 0..5, LONG, ReadOptions::default()).await;
    let ground = reader.ground();
    assert_eq!(read_all(&mut reader).await.unwrap(), [0]);
    assert_eq!(ground.behind(1), 5);
}
