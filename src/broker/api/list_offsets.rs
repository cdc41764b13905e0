//! ListOffsets: where a partition begins and ends, and where a time lies in it.
//!
//! - Versions: all that `wire` speaks.
//! - -1 the end (the last stable offset for readers of committed data), -2 the log start, -3 the record with the largest
//!   timestamp, -4 the local log start (the log start: there is no other storage), -5 and -6 tiered storage (there is
//!   none: offset -1). From 0 on: the first record that is not older; none is offset -1 with no error.
//! - Times are looked up batch by batch by their largest timestamp, then record by record in the first that fits. What
//!   lies above the end that the reader is told (high watermark, last stable offset) is not found.
//! - A leader whose high watermark has not yet reached the end its log had when it was elected answers
//!   OFFSET_NOT_AVAILABLE (before v5 LEADER_NOT_AVAILABLE) instead of an end, or a time not found below it.
//! - Left out: the timeout, since nothing is remote.

use super::{Call, Role, hosted};
use crate::base::place::TopicPartition;
use crate::batch::{Batch, RecordReader};
use crate::broker::log::{Log, Stored};
use crate::wire::ErrorCode;
use crate::wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
    timestamp::{EARLIEST, EARLIEST_LOCAL, EARLIEST_PENDING_UPLOAD, LATEST, LATEST_TIERED, MAX_TIMESTAMP},
};

const READ_COMMITTED: i8 = 1;

/// What a batch's window may take while a time is looked up in it.
const WINDOW_BYTES_MAX: usize = 64 << 20;

/// An answer for one partition: a timestamp and an offset, -1 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    timestamp: i64,
    offset: i64,
    leader_epoch: i32,
}

/// The version that knows OFFSET_NOT_AVAILABLE.
const NOT_AVAILABLE_FROM_VERSION: i16 = 5;

const NOTHING: Found = Found { timestamp: -1, offset: -1, leader_epoch: -1 };

pub(super) fn partitions(request: &ListOffsetsRequest) -> Vec<TopicPartition> {
    let of = |topic: &crate::wire::list_offsets::ListOffsetsTopic| {
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.partition_index)).collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of).collect()
}

pub(super) fn handle(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed = request.isolation_level == READ_COMMITTED;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let answer = |wanted: &ListOffsetsPartition| {
            let found = list(call, &topic.name, wanted, committed);
            let Found { timestamp, offset, leader_epoch } = found.unwrap_or(NOTHING);
            ListOffsetsPartitionResponse {
                partition_index: wanted.partition_index,
                error_code: found.err().unwrap_or(ErrorCode::None).code(),
                timestamp,
                offset,
                leader_epoch,
            }
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

fn list(call: &Call<'_>, name: &str, wanted: &ListOffsetsPartition, committed: bool) -> Result<Found, ErrorCode> {
    if let Some(error) = call.forced(Some((name, wanted.partition_index))) {
        return Err(error);
    }
    let topic = call.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic.partition(wanted.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let (start, candidates, readable, not_available) = {
        let state = hosted(call, &partition, wanted.current_leader_epoch, Role::Leader)?;
        let log = &state.log;
        let edge = |offset, leader_epoch| Found { timestamp: -1, offset, leader_epoch };
        let readable = if committed { log.last_stable() } else { log.high_watermark() };
        let not_available =
            (log.high_watermark() < state.leader_since).then_some(if call.version >= NOT_AVAILABLE_FROM_VERSION {
                ErrorCode::OffsetNotAvailable
            } else {
                ErrorCode::LeaderNotAvailable
            });
        let candidates = match wanted.timestamp {
            LATEST => return not_available.map_or(Ok(edge(readable, state.leader_epoch)), Err),
            EARLIEST | EARLIEST_LOCAL => return Ok(edge(log.start(), log.earliest_epoch().unwrap_or(-1))),
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(NOTHING),
            MAX_TIMESTAMP => newest(log),
            time if time >= 0 => not_older(log, time),
            _ => return Err(ErrorCode::InvalidRequest),
        };
        (log.start(), candidates, readable, not_available)
    };
    // Batches are unpacked without the lock. The record looked for can lie below the log start, then it is in the next.
    for stored in candidates {
        let least = if wanted.timestamp == MAX_TIMESTAMP { stored.max_timestamp } else { wanted.timestamp };
        if let Some((timestamp, offset)) = first_record(&stored, least, start) {
            if offset >= readable {
                break;
            }
            return Ok(Found { timestamp, offset, leader_epoch: stored.leader_epoch });
        }
    }
    not_available.map_or(Ok(NOTHING), Err)
}

/// The first batch with the largest timestamp of all.
fn newest(log: &Log) -> Vec<Stored> {
    let mut newest: Option<&Stored> = None;
    for stored in log.from(log.start()) {
        if newest.is_none_or(|best| stored.max_timestamp > best.max_timestamp) {
            newest = Some(stored);
        }
    }
    newest.cloned().into_iter().collect()
}

/// The first two batches with a record that is not older than `time`: in the first one it may lie below the log start.
fn not_older(log: &Log, time: i64) -> Vec<Stored> {
    log.from(log.start()).filter(|stored| stored.max_timestamp >= time).take(2).cloned().collect()
}

/// The first record of a batch from offset `from` on whose timestamp is at least `time`.
fn first_record(stored: &Stored, time: i64, from: i64) -> Option<(i64, i64)> {
    let batch = Batch::read(stored.block.bytes()).ok()?;
    let mut reader = RecordReader::new(WINDOW_BYTES_MAX);
    reader.start(&batch).ok()?;
    // What was stored unchecked (by a test) may not be readable: then the time is not found in it.
    while let Ok(Some(record)) = reader.next(&batch) {
        if record.timestamp >= time && record.offset >= from {
            return Some((record.timestamp, record.offset));
        }
    }
    None
}
