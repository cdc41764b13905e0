//! Produce: batches looked through (see `validate`), stamped with offset and leader epoch, stored as they came.
//!
//! - Versions: all that `wire` speaks. v0 to v2 are told as supported and refused (the connection ends), as Kafka 4 does:
//!   librdkafka takes their absence for a broker that cannot take compressed batches. By topic id from v13.
//! - acks 0 (no answer; an error ends the connection, so that the client looks again), 1 and -1. -1 asks for
//!   `min.insync.replicas` (NOT_ENOUGH_REPLICAS) and waits for the high watermark, which is there at once unless a test
//!   holds it back: then REQUEST_TIMED_OUT, or NOT_LEADER_OR_FOLLOWER where the leader changes meanwhile, and the batch is
//!   in the log. A duplicate waits like its original.
//! - From v10 on NOT_LEADER_OR_FOLLOWER comes with the leader's id, epoch and address.
//! - Idempotent producers: see `producers`. A retry is answered with the first try's offset.
//! - Memory full: KAFKA_STORAGE_ERROR, and a warning in the broker's log every few seconds.
//! - Transactional batches: the coordinator is asked first, see `enlist`. From v12 on the partition becomes part of the
//!   transaction by this; before, it must have been added. Without a transactional id the whole request is refused.

use super::enlist::{Admission, enlist, has_transactional};
use super::{Call, Role, hosted, leader_hint, resolve};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::base::units::show_size;
use crate::broker::log::{BATCH_OVERHEAD_BYTES, Block};
use crate::broker::producers::{Stamp, Verdict};
use crate::broker::received::Received;
use crate::broker::topic::{Partition, State};
use crate::broker::validate::{Refusal, Valid, Validator, one_batch};
use crate::wire::produce::{
    BatchIndexAndErrorMessage, NodeEndpoint, PartitionProduceResponse, Produce, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use crate::wire::{ErrorCode, Uuid, WireError};
use std::collections::HashMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const NO_OFFSET: i64 = -1;

/// The version from which the leader is told to who asked the wrong node.
const HINTS_FROM_VERSION: i16 = 10;

/// What is done about a request.
pub(super) enum Produced {
    Answer(ProduceResponse),
    /// The client asked for no answer.
    Silence,
    /// It asked for no answer and must learn that something is wrong.
    Close,
}

/// A batch in the log.
struct Appended {
    base_offset: i64,
    append_time_ms: i64,
    log_start: i64,
    /// What it waits for.
    partition: Arc<Partition>,
    end: i64,
    leader_epoch: i32,
}

/// A batch that is not in the log, and the log's start where Kafka tells it: once it has begun to look at the log.
struct Failed {
    refusal: Refusal,
    log_start: i64,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, log_start: NO_OFFSET }
    }
}

impl From<ErrorCode> for Failed {
    fn from(code: ErrorCode) -> Self {
        Refusal::from(code).into()
    }
}

pub(super) fn partitions(call: &Call<'_>, request: &ProduceRequest<'_>) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for topic in &request.topic_data {
        let Some(name) = super::name_of(call.cluster, &topic.name, topic.topic_id) else { continue };
        partitions.extend(topic.partition_data.iter().map(|p| TopicPartition::new(name.clone(), p.index)));
    }
    partitions
}

/// Handles the request whose body begins there in the bytes of a frame, which may go into the log.
pub(super) async fn handle(call: &Call<'_>, bytes: &mut Vec<u8>, body_at: usize) -> Result<Produced, WireError> {
    let request = super::decode::<Produce>(call, super::body_of(bytes, body_at)?)?;
    let refused = refuse_all(&request);
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let admissions = if refused.is_none() { enlist(call, &request).await } else { HashMap::new() };
    let acks = request.acks;
    let shares = shares(request, bytes);
    let is_alone = shares.iter().map(|topic| topic.entries.len()).sum::<usize>() == 1;
    // All is appended before anything is waited for.
    let mut topics = Vec::with_capacity(shares.len());
    {
        let mut validator = Validator::default();
        let mut received = Received::new(bytes, is_alone);
        for (t, topic) in shares.into_iter().enumerate() {
            let append = |(p, (index, at)): (usize, &(i32, Range<usize>))| {
                let outcome = match &refused {
                    Some(refusal) => Err(refusal.clone().into()),
                    None => {
                        let one =
                            One { name: &topic.name, topic_id: topic.topic_id, index: *index, at: at.clone(), acks };
                        append(call, one, &mut received, admissions.get(&(t, p)), &mut validator)
                    }
                };
                (*index, outcome)
            };
            let outcomes: Vec<_> = topic.entries.iter().enumerate().map(append).collect();
            topics.push((topic.name, topic.topic_id, outcomes));
        }
    }
    let mut failed = false;
    let mut node_endpoints = Vec::new();
    let mut responses = Vec::with_capacity(topics.len());
    for (name, topic_id, outcomes) in topics {
        let mut partition_responses = Vec::with_capacity(outcomes.len());
        for (index, outcome) in outcomes {
            failed |= outcome.is_err();
            let mut response = tell(index, &outcome);
            if let (Ok(appended), -1) = (&outcome, acks)
                && let Err(error) = replicated(call, appended, deadline).await
            {
                response.error_code = error.code();
            }
            hint(call, &name, topic_id, &mut response, &mut node_endpoints);
            partition_responses.push(response);
        }
        responses.push(TopicProduceResponse { name, topic_id, partition_responses });
    }
    Ok(match acks {
        0 if failed => Produced::Close,
        0 => Produced::Silence,
        _ => Produced::Answer(ProduceResponse { responses, throttle_time_ms: call.throttle_ms(), node_endpoints }),
    })
}

/// One topic's share of a request: for which partitions there are batches, and where those lie in the frame.
struct Share {
    name: String,
    topic_id: Uuid,
    entries: Vec<(i32, Range<usize>)>,
}

/// What a request holds, without borrowing the frame that it was read from.
fn shares(request: ProduceRequest<'_>, frame: &[u8]) -> Vec<Share> {
    let place = |records: Option<&[u8]>| {
        let records = records.filter(|records| !records.is_empty())?;
        let start = records.as_ptr().addr().checked_sub(frame.as_ptr().addr())?;
        Some(start..start + records.len())
    };
    let share = |topic: TopicProduceData<'_>| Share {
        name: topic.name,
        topic_id: topic.topic_id,
        entries: topic.partition_data.iter().map(|p| (p.index, place(p.records).unwrap_or_default())).collect(),
    };
    request.topic_data.into_iter().map(share).collect()
}

/// Waits until the high watermark has passed a batch.
async fn replicated(call: &Call<'_>, appended: &Appended, deadline: Instant) -> Result<(), ErrorCode> {
    loop {
        let mut change = pin!(appended.partition.changed.notified());
        change.as_mut().enable();
        {
            let state = appended.partition.state();
            if state.leader != call.node || state.leader_epoch != appended.leader_epoch {
                return Err(ErrorCode::NotLeaderOrFollower);
            }
            if state.log.high_watermark() >= appended.end {
                return Ok(());
            }
        }
        tokio::select! {
            () = change => {}
            () = tokio::time::sleep_until(deadline) => return Err(ErrorCode::RequestTimedOut),
        }
    }
}

/// Tells a client that asked the wrong node which one is right.
fn hint(
    call: &Call<'_>,
    name: &str,
    topic_id: Uuid,
    response: &mut PartitionProduceResponse,
    endpoints: &mut Vec<NodeEndpoint>,
) {
    let misled = response.error_code == ErrorCode::NotLeaderOrFollower.code();
    if misled
        && call.version >= HINTS_FROM_VERSION
        && let Some(name) = super::name_of(call.cluster, name, topic_id)
    {
        response.current_leader = leader_hint(call.cluster, &name, response.index, endpoints);
    }
}

fn refuse_all(request: &ProduceRequest<'_>) -> Option<Refusal> {
    if !matches!(request.acks, -1..=1) {
        let why = format!("acks is {}, it must be -1, 0 or 1", request.acks);
        return Some(Refusal::new(ErrorCode::InvalidRequiredAcks, why));
    }
    let is_nameless = request.transactional_id.is_none() && has_transactional(request);
    let why = "a batch is transactional, the request names no transactional id";
    is_nameless.then(|| Refusal::new(ErrorCode::TransactionalIdAuthorizationFailed, why))
}

/// One partition's share of a request.
struct One<'a> {
    name: &'a str,
    topic_id: Uuid,
    index: i32,
    /// Where its batch lies in the frame.
    at: Range<usize>,
    acks: i16,
}

fn append(
    call: &Call<'_>,
    one: One<'_>,
    received: &mut Received<'_>,
    admission: Option<&Result<Admission, Refusal>>,
    validator: &mut Validator,
) -> Result<Appended, Failed> {
    let One { name, topic_id, index, at, acks } = one;
    let topic = resolve(call, name, topic_id)?;
    let place = Some((&*topic.name, index));
    if let Some(code) = call.forced(place) {
        return Err(Refusal::new(code, "asked for by a test").into());
    }
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    // Looked at first, so that a client at the wrong node does not cost a validation.
    let (log_start, in_sync) = {
        let state = hosted(call, &partition, -1, Role::Leader)?;
        (state.log.start(), state.in_sync(|node| call.cluster.is_alive(node)).len())
    };
    let config = topic.config();
    if acks == -1 && in_sync < config.insync_replicas_min {
        let why = format!("{in_sync} in-sync replicas, {} are needed", config.insync_replicas_min);
        return Err(Refusal::new(ErrorCode::NotEnoughReplicas, why).into());
    }
    let now_ms = now_ms();
    let batch = one_batch(received.bytes(&at), call.version)?;
    let admission = admission.cloned().transpose()?;
    let append_time_ms = if config.log_append_time { now_ms } else { -1 };
    let outcome = validator
        .validate(&batch, &config, now_ms)
        .and_then(|valid| store(call, &partition, valid, (received, at), admission, append_time_ms))
        .map_err(|refusal| Failed {
            log_start: if tells_start(refusal.code) { log_start } else { NO_OFFSET },
            refusal,
        });
    match call.forced_after(place) {
        Some(code) => Err(Refusal::new(code, "asked for by a test; the batch was handled").into()),
        None => outcome,
    }
}

/// The errors of an append with which Kafka does not tell where the log starts are these.
fn tells_start(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::CorruptMessage
            | ErrorCode::MessageTooLarge
            | ErrorCode::KafkaStorageError
            | ErrorCode::NotLeaderOrFollower
    )
}

fn store(
    call: &Call<'_>,
    partition: &Arc<Partition>,
    valid: Valid,
    (received, at): (&mut Received<'_>, Range<usize>),
    admission: Option<Admission>,
    append_time_ms: i64,
) -> Result<Appended, Refusal> {
    let memory = &call.cluster.memory;
    let bytes = at.len();
    let paid = memory.take(received.cost(&at) + BATCH_OVERHEAD_BYTES);
    let block = match paid {
        None => None,
        Some(paid) => {
            let mut batch = received.keep(at);
            valid.put_right(batch.bytes_mut())?;
            Some(Block::new(batch, paid))
        }
    };
    let now_ms = now_ms();
    let mut state = hosted(call, partition, -1, Role::Leader)?;
    let state = &mut *state;
    let appended = |state: &State, base_offset, end, append_time_ms| Appended {
        base_offset,
        append_time_ms,
        log_start: state.log.start(),
        partition: partition.clone(),
        end,
        leader_epoch: state.leader_epoch,
    };
    if let Some(stamp) = valid.stamp {
        state.sweep(call.cluster.expiry(), now_ms);
        let verdict = state.producers.judge(stamp, state.lens(call.node));
        if let Verdict::Duplicate { base_offset, last_offset, timestamp } = verdict {
            // Kafka tells the largest time of the batch that is stored, whoever has set it.
            return Ok(appended(state, base_offset, last_offset.saturating_add(1), timestamp));
        }
        refuse(stamp, verdict)?;
        check_begin(state, stamp, admission, call.node)?;
    }
    let admitted = valid.stamp.is_none_or(|stamp| state.producers.admit(stamp.producer_id, stamp.epoch, memory));
    let (Some(block), true) = (block, admitted) else {
        return Err(full(call, partition, bytes));
    };
    let base_offset = state.log.append(block, valid.last_offset_delta, valid.max_timestamp, state.leader_epoch);
    let end = state.log.end();
    if let Some(stamp) = valid.stamp {
        state.producers.appended(stamp, (base_offset, end - 1), valid.max_timestamp, now_ms);
    }
    partition.changed.notify_waiters();
    Ok(appended(state, base_offset, end, append_time_ms))
}

/// What a batch must be to begin a transaction in this log.
fn check_begin(state: &State, stamp: Stamp, admission: Option<Admission>, node: i32) -> Result<(), Refusal> {
    let Stamp { producer_id, first_sequence, .. } = stamp;
    let is_open = state.log.transactions().start_of(producer_id).is_some();
    match admission {
        // Its marker came between.
        Some(Admission::Open) if !is_open => {
            let why = format!("the transaction of producer {producer_id} has ended");
            Err(Refusal::new(ErrorCode::InvalidTxnState, why))
        }
        Some(Admission::Fresh) if first_sequence != 0 && !state.producers.knows(producer_id, state.lens(node)) => {
            refuse(stamp, Verdict::OutOfOrder { last_sequence: -1 })
        }
        _ => Ok(()),
    }
}

/// What a producer did wrong.
fn refuse(stamp: Stamp, verdict: Verdict) -> Result<(), Refusal> {
    let Stamp { producer_id, epoch, first_sequence, .. } = stamp;
    let (code, why) = match verdict {
        Verdict::Append | Verdict::Duplicate { .. } => return Ok(()),
        Verdict::OldEpoch { newest } => (
            ErrorCode::InvalidProducerEpoch,
            format!("producer {producer_id} sent epoch {epoch}, the newest is {newest}"),
        ),
        Verdict::OutOfOrder { last_sequence } => (
            ErrorCode::OutOfOrderSequenceNumber,
            format!("producer {producer_id} sent sequence {first_sequence}, the last one is {last_sequence}"),
        ),
        Verdict::InTransaction { first_offset } => (
            ErrorCode::InvalidTxnState,
            format!("producer {producer_id} has a transaction open since offset {first_offset}, this batch is in none"),
        ),
    };
    Err(Refusal::new(code, why))
}

fn full(call: &Call<'_>, partition: &Partition, bytes: usize) -> Refusal {
    let memory = &call.cluster.memory;
    let (used, total) = (show_size(memory.used_bytes() as u64), show_size(memory.total_bytes() as u64));
    let why = format!("the broker's memory is full ({used} of {total}): delete records or topics, or raise --memory");
    if memory.may_complain(now_ms()) {
        tracing::warn!("refused {} for {}: {why}", show_size(bytes as u64), partition.at);
    }
    Refusal::new(ErrorCode::KafkaStorageError, why)
}

fn tell(index: i32, outcome: &Result<Appended, Failed>) -> PartitionProduceResponse {
    match outcome {
        Ok(appended) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset,
            log_append_time_ms: appended.append_time_ms,
            log_start_offset: appended.log_start,
            ..Default::default()
        },
        Err(Failed { refusal, log_start }) => PartitionProduceResponse {
            index,
            error_code: refusal.code.code(),
            base_offset: NO_OFFSET,
            log_append_time_ms: -1,
            log_start_offset: *log_start,
            record_errors: refusal.record.map(|record| record_error(record, refusal)).into_iter().collect(),
            error_message: Some(refusal.message.clone()),
            ..Default::default()
        },
    }
}

fn record_error(record: i32, refusal: &Refusal) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage { batch_index: record, batch_index_error_message: Some(refusal.message.clone()) }
}
