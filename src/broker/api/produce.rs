//! Produce: batches looked through (see `validate`), stamped with offset and leader epoch, stored as they came.
//!
//! - Versions: all that `wire` speaks. v0 to v2 are told as supported and refused (the connection ends), as Kafka 4 does:
//!   librdkafka takes their absence for a broker that cannot take compressed batches. By topic id from v13.
//! - acks 0 (no answer; an error ends the connection, so that the client looks again), 1 and -1, which differ only in
//!   that -1 asks for `min.insync.replicas` (NOT_ENOUGH_REPLICAS); there is one copy of the data and it is in memory.
//! - Idempotent producers: see `producers`. A retry is answered with the first try's offset.
//! - Memory full: KAFKA_STORAGE_ERROR, and a warning in the broker's log every few seconds.
//! - Left out: transactions (a transactional id or batch is refused), quotas, the timeout (nothing is waited for).

use super::{Call, led_partition, resolve};
use crate::base::place::TopicPartition;
use crate::base::units::show_size;
use crate::broker::cluster::now_ms;
use crate::broker::log::{BATCH_OVERHEAD_BYTES, Block};
use crate::broker::producers::Verdict;
use crate::broker::validate::{Refusal, Valid, Validator, one_batch};
use crate::wire::ErrorCode;
use crate::wire::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};

const NO_OFFSET: i64 = -1;

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

pub(super) fn handle(call: &Call<'_>, request: ProduceRequest<'_>) -> Produced {
    let refused = refuse_all(&request);
    let mut validator = Validator::default();
    let mut failed = false;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for entry in &topic.partition_data {
            let outcome = match &refused {
                Some(refusal) => Err(refusal.clone().into()),
                None => append(call, &topic.name, topic.topic_id, entry, request.acks, &mut validator),
            };
            failed |= outcome.is_err();
            partition_responses.push(tell(entry.index, outcome));
        }
        responses.push(TopicProduceResponse { name: topic.name, topic_id: topic.topic_id, partition_responses });
    }
    match request.acks {
        0 if failed => Produced::Close,
        0 => Produced::Silence,
        _ => {
            Produced::Answer(ProduceResponse { responses, throttle_time_ms: call.throttle_ms(), ..Default::default() })
        }
    }
}

fn refuse_all(request: &ProduceRequest<'_>) -> Option<Refusal> {
    if !matches!(request.acks, -1..=1) {
        let why = format!("acks is {}, it must be -1, 0 or 1", request.acks);
        return Some(Refusal::new(ErrorCode::InvalidRequiredAcks, why));
    }
    request.transactional_id.as_ref()?;
    Some(Refusal::new(ErrorCode::InvalidTxnState, "the embedded broker has no transactions"))
}

fn append(
    call: &Call<'_>,
    name: &str,
    topic_id: crate::wire::Uuid,
    entry: &PartitionProduceData<'_>,
    acks: i16,
    validator: &mut Validator,
) -> Result<Appended, Failed> {
    let topic = resolve(call, name, topic_id)?;
    let place = Some((&*topic.name, entry.index));
    if let Some(code) = call.forced(place) {
        return Err(Refusal::new(code, "asked for by a test").into());
    }
    let partition = topic.partition(entry.index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    // Looked at first, so that a client at the wrong node does not cost a validation.
    let log_start = led_partition(call, &partition, -1)?.log.start();
    let config = topic.config();
    if acks == -1 && partition.replicas.len() < config.insync_replicas_min {
        let why = format!("{} in-sync replicas, {} are needed", partition.replicas.len(), config.insync_replicas_min);
        return Err(Refusal::new(ErrorCode::NotEnoughReplicas, why).into());
    }
    let now_ms = now_ms();
    let batch = one_batch(entry.records.unwrap_or_default(), call.version)?;
    let append_time_ms = if config.log_append_time { now_ms } else { -1 };
    let outcome = validator
        .validate(&batch, &config, now_ms)
        .and_then(|valid| store(call, &partition, valid, append_time_ms))
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
    partition: &crate::broker::topic::Partition,
    valid: Valid,
    append_time_ms: i64,
) -> Result<Appended, Refusal> {
    let memory = &call.cluster.memory;
    let bytes = valid.bytes.len();
    let paid = memory.take(bytes + BATCH_OVERHEAD_BYTES);
    let mut state = led_partition(call, partition, -1)?;
    let state = &mut *state;
    if let Some(stamp) = valid.stamp {
        match state.producers.judge(stamp) {
            Verdict::Append => {}
            Verdict::Duplicate { base_offset, timestamp } => {
                let append_time_ms = if append_time_ms == -1 { -1 } else { timestamp };
                return Ok(Appended { base_offset, append_time_ms, log_start: state.log.start() });
            }
            Verdict::OldEpoch { newest } => {
                let why = format!("producer {} sent epoch {}, the newest is {newest}", stamp.producer_id, stamp.epoch);
                return Err(Refusal::new(ErrorCode::InvalidProducerEpoch, why));
            }
            Verdict::OutOfOrder { last_sequence } => {
                let why = format!(
                    "producer {} sent sequence {}, the last one is {last_sequence}",
                    stamp.producer_id, stamp.first_sequence
                );
                return Err(Refusal::new(ErrorCode::OutOfOrderSequenceNumber, why));
            }
        }
    }
    let admitted = valid.stamp.is_none_or(|stamp| state.producers.admit(stamp, memory));
    let (Some(paid), true) = (paid, admitted) else {
        return Err(full(call, partition, bytes));
    };
    let block = Block::new(valid.bytes, paid);
    let base_offset = state.log.append(block, valid.last_offset_delta, valid.max_timestamp, state.leader_epoch);
    if let Some(stamp) = valid.stamp {
        state.producers.appended(stamp, base_offset, valid.max_timestamp);
    }
    partition.changed.notify_waiters();
    Ok(Appended { base_offset, append_time_ms, log_start: state.log.start() })
}

fn full(call: &Call<'_>, partition: &crate::broker::topic::Partition, bytes: usize) -> Refusal {
    let memory = &call.cluster.memory;
    let (used, total) = (show_size(memory.used_bytes() as u64), show_size(memory.total_bytes() as u64));
    let why = format!("the broker's memory is full ({used} of {total}): delete records or topics, or raise --memory");
    if memory.may_complain(now_ms()) {
        tracing::warn!("refused {} for {}: {why}", show_size(bytes as u64), partition.at);
    }
    Refusal::new(ErrorCode::KafkaStorageError, why)
}

fn tell(index: i32, outcome: Result<Appended, Failed>) -> PartitionProduceResponse {
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
            log_start_offset: log_start,
            record_errors: refusal.record.map(|record| record_error(record, &refusal)).into_iter().collect(),
            error_message: Some(refusal.message),
            ..Default::default()
        },
    }
}

fn record_error(record: i32, refusal: &Refusal) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage { batch_index: record, batch_index_error_message: Some(refusal.message.clone()) }
}
