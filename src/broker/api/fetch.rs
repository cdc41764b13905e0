//! Fetch: whole batches from an offset on, as they are stored; waits for more where the client says so.
//!
//! - Versions: all that `wire` speaks; topics by id from v13.
//! - Waits up to `max_wait_ms` until `min_bytes` are there; an error in any partition answers at once. A client that
//!   hangs up while it waits is let go.
//! - `max_bytes` and the partitions' own limits hold for whole batches; the first batch of the first partition that has
//!   one is given whatever its size, so that a reader with small buffers gets on. At most 55 MiB an answer, as Kafka.
//! - Readers of committed data get what lies below the last stable offset, and the aborted transactions in it.
//! - No sessions: session id 0 is answered, which tells the client to name all partitions each time, as Kafka does when
//!   its session cache is full. Going on in a session is FETCH_SESSION_ID_NOT_FOUND.
//! - From v11 on every node that holds a partition serves it, not the leader alone, as far as its copy reaches.
//! - A reader that tells the epoch it read last (v12) learns where its log parts from ours (diverging epoch).
//! - From v16 on NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH come with the leader's id, epoch and address.
//! - A throttled answer holds nothing.
//! - Left out: followers (a replica id is not looked at), naming the nearest replica.

use super::{Call, Role, hosted, leader_hint, resolve};
use crate::base::place::TopicPartition;
use crate::broker::answer::{Answer, Inlay};
use crate::broker::faults::Fault;
use crate::broker::log::Slice;
use crate::broker::topic::Partition;
use crate::broker::transactions::Aborted;
use crate::wire::fetch::{
    AbortedTransaction, EpochEndOffset, Fetch, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::wire::frame::write_response_around;
use crate::wire::{ErrorCode, Uuid, WireError};
use futures::future::select_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// `fetch.max.bytes`: the most bytes of batches in an answer.
pub(super) const ANSWER_BYTES_MAX: usize = 55 << 20;

const READ_COMMITTED: i8 = 1;
const NO_OFFSET: i64 = -1;
const NO_EPOCH: i32 = -1;

/// The versions from which followers serve readers, and from which the leader is told to who asked the wrong node.
const FOLLOWERS_FROM_VERSION: i16 = 11;
const HINTS_FROM_VERSION: i16 = 16;

/// Below that many bytes batches are copied: to send one from where it lies costs more.
const PIECE_BYTES_MIN: usize = 2 << 10;

/// The epochs of requests that name all partitions: one that wants no session, one that opens one.
const SESSION_EPOCHS_FULL: [i32; 2] = [-1, 0];

/// An answer before it is written: it shares the log's batches.
pub(super) struct Fetched {
    error: ErrorCode,
    throttle_ms: i32,
    topics: Vec<FetchedTopic>,
    node_endpoints: Vec<NodeEndpoint>,
}

struct FetchedTopic {
    name: String,
    topic_id: Uuid,
    partitions: Vec<FetchedPartition>,
}

struct FetchedPartition {
    index: i32,
    error: ErrorCode,
    read: Read,
    leader: LeaderIdAndEpoch,
    /// The batches in one piece, where they are not sent from where they lie.
    joined: Option<Vec<u8>>,
}

/// What was read from a partition.
struct Read {
    high_watermark: i64,
    last_stable: i64,
    log_start: i64,
    slice: Slice,
    aborted: Option<Vec<Aborted>>,
    /// Where the reader's log parts from this one.
    diverging: Option<EpochEndOffset>,
}

/// One look at all partitions.
struct Look {
    topics: Vec<FetchedTopic>,
    bytes: usize,
    /// There is something to tell at once.
    urgent: bool,
    /// The partitions that may grow.
    watched: Vec<Arc<Partition>>,
}

pub(super) fn partitions(call: &Call<'_>, request: &FetchRequest) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for topic in &request.topics {
        let Some(name) = super::name_of(call.cluster, &topic.topic, topic.topic_id) else { continue };
        partitions.extend(topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.partition)));
    }
    partitions
}

pub(super) async fn handle(call: &Call<'_>, request: FetchRequest) -> Fetched {
    if !SESSION_EPOCHS_FULL.contains(&request.session_epoch) {
        return Fetched::nothing(ErrorCode::FetchSessionIdNotFound, call.throttle_ms());
    }
    if call.throttle.is_some() {
        return Fetched::nothing(ErrorCode::None, call.throttle_ms());
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut look = look(call, &request);
    while !look.urgent && look.bytes < bytes_min && Instant::now() < deadline && !look.watched.is_empty() {
        let watched = std::mem::take(&mut look.watched);
        let mut changes: Vec<_> = watched.iter().map(|partition| Box::pin(partition.changed.notified())).collect();
        // From here on no change is missed; what changed since the first look is found by a second one.
        for change in &mut changes {
            change.as_mut().enable();
        }
        look = self::look(call, &request);
        if look.urgent || look.bytes >= bytes_min {
            break;
        }
        tokio::select! {
            _ = select_all(changes) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = call.hung_up() => break,
        }
        look = self::look(call, &request);
    }
    let mut fetched = Fetched { topics: look.topics, ..Fetched::nothing(ErrorCode::None, call.throttle_ms()) };
    fetched.hint(call);
    fetched.join(call);
    fetched
}

fn look(call: &Call<'_>, request: &FetchRequest) -> Look {
    let answer_max = usize::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    let committed = request.isolation_level == READ_COMMITTED;
    let mut look =
        Look { topics: Vec::with_capacity(request.topics.len()), bytes: 0, urgent: false, watched: Vec::new() };
    for topic in &request.topics {
        let found = resolve(call, &topic.topic, topic.topic_id);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let limits =
                Limits { left: answer_max.saturating_sub(look.bytes), one_at_least: look.bytes == 0, committed };
            let outcome = match &found {
                Err(error) => Err(*error),
                Ok(topic) => match call.forced(Some((&topic.name, wanted.partition))) {
                    Some(error) => Err(error),
                    None => topic.partition(wanted.partition).ok_or(ErrorCode::UnknownTopicOrPartition).and_then(
                        |partition| {
                            let outcome = read(call, &partition, wanted, &limits);
                            look.watched.push(partition);
                            outcome
                        },
                    ),
                },
            };
            look.urgent |= outcome.as_ref().map_or(true, |read| read.diverging.is_some());
            let (error, read) = match outcome {
                Ok(read) => (ErrorCode::None, read),
                Err(error) => (error, Read::nothing()),
            };
            look.bytes = look.bytes.saturating_add(read.slice.bytes);
            let leader = LeaderIdAndEpoch::default();
            partitions.push(FetchedPartition { index: wanted.partition, error, read, leader, joined: None });
        }
        look.topics.push(FetchedTopic { name: topic.topic.clone(), topic_id: topic.topic_id, partitions });
    }
    look
}

struct Limits {
    left: usize,
    one_at_least: bool,
    committed: bool,
}

fn read(call: &Call<'_>, partition: &Partition, wanted: &FetchPartition, limits: &Limits) -> Result<Read, ErrorCode> {
    let role = if call.version >= FOLLOWERS_FROM_VERSION { Role::Replica } else { Role::Leader };
    let state = hosted(call, partition, wanted.current_leader_epoch, role)?;
    let log = &state.log;
    let (start, end) = (log.start().min(state.end_at(call.node)), state.end_at(call.node));
    let high_watermark = state.watermark_at(call.node);
    let last_stable = log.last_stable_below(high_watermark);
    let mut read = Read { high_watermark, last_stable, log_start: start, ..Read::nothing() };
    if wanted.last_fetched_epoch != NO_EPOCH {
        let reached = log.end_of_epoch(wanted.last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
        let reached = EpochEndOffset { epoch: reached.epoch, end_offset: reached.end.min(end) };
        if wanted.fetch_offset < start {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if reached.epoch < wanted.last_fetched_epoch || reached.end_offset < wanted.fetch_offset {
            read.diverging = Some(reached);
            return Ok(read);
        }
    }
    if !(start..=end).contains(&wanted.fetch_offset) {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let upper = if limits.committed { last_stable } else { high_watermark };
    let bytes_max = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(limits.left);
    read.slice = log.read(wanted.fetch_offset, upper, bytes_max, limits.one_at_least);
    read.aborted = limits.committed.then(|| log.aborted_between(wanted.fetch_offset, upper));
    Ok(read)
}

impl Read {
    fn nothing() -> Self {
        Self {
            high_watermark: NO_OFFSET,
            last_stable: NO_OFFSET,
            log_start: NO_OFFSET,
            slice: Slice::default(),
            aborted: None,
            diverging: None,
        }
    }
}

impl Fetched {
    fn nothing(error: ErrorCode, throttle_ms: i32) -> Self {
        Self { error, throttle_ms, topics: Vec::new(), node_endpoints: Vec::new() }
    }

    /// Tells a client that asked the wrong node, or at the wrong time, who leads.
    fn hint(&mut self, call: &Call<'_>) {
        if call.version < HINTS_FROM_VERSION {
            return;
        }
        for topic in &mut self.topics {
            let misled = |error| matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
            for partition in topic.partitions.iter_mut().filter(|partition| misled(partition.error)) {
                let Some(name) = super::name_of(call.cluster, &topic.name, topic.topic_id) else { continue };
                partition.leader = leader_hint(call.cluster, &name, partition.index, &mut self.node_endpoints);
            }
        }
    }

    /// Puts small batches of a partition into one piece, and any that a test wants damaged.
    fn join(&mut self, call: &Call<'_>) {
        for topic in &mut self.topics {
            let name = super::name_of(call.cluster, &topic.name, topic.topic_id);
            for partition in &mut topic.partitions {
                let blocks = &partition.read.slice.blocks;
                let place = name.as_deref().map(|name| (name, partition.index));
                let damages = |fault: &Fault| matches!(fault, Fault::Corrupt | Fault::Truncate);
                let damage: Vec<&Fault> = call.struck_with(place).filter(|fault| damages(fault)).collect();
                let are_small = blocks.len() > 1 && partition.read.slice.bytes / blocks.len() < PIECE_BYTES_MIN;
                if blocks.is_empty() || (!are_small && damage.is_empty()) {
                    continue;
                }
                let mut joined = Vec::with_capacity(partition.read.slice.bytes);
                blocks.iter().for_each(|block| joined.extend_from_slice(block.bytes()));
                let last = blocks.last().map_or(0, |block| block.bytes().len());
                for fault in damage {
                    spoil(&mut joined, last, fault);
                }
                partition.joined = Some(joined);
            }
        }
    }

    /// Writes the answer around the batches, which are laid into it.
    pub(super) fn write(self, version: i16, correlation_id: i32, answer: &mut Answer) -> Result<(), WireError> {
        let partitions = || self.topics.iter().flat_map(|topic| &topic.partitions);
        let lengths: Vec<usize> = partitions().map(FetchedPartition::bytes).collect();
        let head = &mut answer.head;
        let gaps = write_response_around::<Fetch>(head, version, correlation_id, &self.response(), &lengths)?;
        for (gap, partition) in gaps.into_iter().zip(self.topics.into_iter().flat_map(|topic| topic.partitions)) {
            answer.lay_in(gap, partition.into_inlays());
        }
        Ok(())
    }

    /// The message without its batches.
    fn response(&self) -> FetchResponse<'static> {
        FetchResponse {
            throttle_time_ms: self.throttle_ms,
            error_code: self.error.code(),
            session_id: 0,
            responses: self.topics.iter().map(FetchedTopic::response).collect(),
            node_endpoints: self.node_endpoints.clone(),
        }
    }
}

fn spoil(records: &mut Vec<u8>, last_batch_bytes: usize, fault: &Fault) {
    match fault {
        Fault::Corrupt => {
            // The middle of the last batch's body: header and length stay whole, the checksum does not.
            let at = records.len() - (last_batch_bytes / 4).max(1);
            if let Some(byte) = records.get_mut(at) {
                *byte ^= 0x40;
            }
        }
        Fault::Truncate => records.truncate(records.len() - last_batch_bytes / 2),
        _ => {}
    }
}

impl FetchedTopic {
    fn response(&self) -> FetchableTopicResponse<'static> {
        FetchableTopicResponse {
            topic: self.name.clone(),
            topic_id: self.topic_id,
            partitions: self.partitions.iter().map(FetchedPartition::response).collect(),
        }
    }
}

impl FetchedPartition {
    /// How many bytes of batches it carries.
    fn bytes(&self) -> usize {
        self.joined.as_ref().map_or(self.read.slice.bytes, Vec::len)
    }

    fn into_inlays(self) -> impl Iterator<Item = Inlay> {
        let stored = if self.joined.is_some() { Vec::new() } else { self.read.slice.blocks };
        self.joined.map(Inlay::Made).into_iter().chain(stored.into_iter().map(Inlay::Stored))
    }

    fn response(&self) -> PartitionData<'static> {
        let tell = |aborted: &Aborted| AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        };
        PartitionData {
            partition_index: self.index,
            error_code: self.error.code(),
            high_watermark: self.read.high_watermark,
            last_stable_offset: self.read.last_stable,
            log_start_offset: self.read.log_start,
            diverging_epoch: self.read.diverging.clone().unwrap_or_default(),
            current_leader: self.leader.clone(),
            aborted_transactions: self.read.aborted.as_ref().map(|aborted| aborted.iter().map(tell).collect()),
            // Its length is written, and it is laid in.
            records: Some(&[]),
            ..Default::default()
        }
    }
}
