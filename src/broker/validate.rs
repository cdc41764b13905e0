//! What a batch must be before it is stored, in the order in which Kafka looks, and with its error codes.
//!
//! | what is wrong | code |
//! |---|---|
//! | not exactly one batch, format v0 or v1, base offset not 0, count and offsets disagree, control batch, producer id without sequence, a record that cannot be read, bytes left over, no key on a compacted topic | 87 INVALID_RECORD |
//! | checksum, unknown magic, a length shorter than a header | 2 CORRUPT_MESSAGE |
//! | longer than `max.message.bytes` | 10 MESSAGE_TOO_LARGE |
//! | timestamp out of the topic's bounds; claimed to be the broker's where the broker sets it | 32 INVALID_TIMESTAMP |
//! | zstd before Produce v7, an unknown codec | 76 UNSUPPORTED_COMPRESSION_TYPE |
//!
//! Where this broker is stricter than Kafka: offset deltas inside an uncompressed batch must count up by one (Kafka
//! stores whatever a faulty producer sends); part of a second batch behind the first is refused (Kafka drops it); a
//! body that cannot be read is 87 and an unknown codec 76 (Kafka answers -1 to both).
//!
//! As in Kafka, the header's largest timestamp is not believed: it is put right from the records.

use super::configs::TopicConfig;
use super::producers::Stamp;
use crate::batch::{Batch, BatchError, BatchMut, Codec, RecordReader, TimestampType, Unseen};
use crate::wire::ErrorCode;

/// What a batch's decompressed window may take while it is looked through.
const WINDOW_BYTES_MAX: usize = 64 << 20;

/// The byte of a header that holds the timestamp type, and the bit of it.
const ATTRIBUTES_LOW_AT: usize = 22;
const LOG_APPEND_BIT: u8 = 0x08;

/// Kafka's way to say that a record or a producer has none.
const NONE: i64 = -1;

/// The version of Produce from which zstd is allowed.
const ZSTD_FROM_VERSION: i16 = 7;

const MESSAGE_CHARS_MAX: usize = 1000;

/// A batch that may be stored, once its header is put right.
#[derive(Debug)]
pub(crate) struct Valid {
    due: Option<Due>,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: i64,
    /// Its place among the batches of an idempotent producer.
    pub(crate) stamp: Option<Stamp>,
}

/// What is to be put right in a header.
#[derive(Debug)]
enum Due {
    /// The broker sets the time.
    AppendTime,
    /// Who sent it said another largest timestamp than its records have, or that a broker had set it.
    MaxTimestamp,
}

impl Valid {
    /// Puts the header right of the batch that was looked through.
    pub(crate) fn put_right(&self, bytes: &mut [u8]) -> Result<(), Refusal> {
        match self.due {
            None => {}
            Some(Due::AppendTime) => patch(bytes)?.set_append_time(self.max_timestamp),
            Some(Due::MaxTimestamp) => {
                if let Some(attributes) = bytes.get_mut(ATTRIBUTES_LOW_AT) {
                    *attributes &= !LOG_APPEND_BIT;
                }
                patch(bytes)?.set_max_timestamp(self.max_timestamp);
            }
        }
        Ok(())
    }
}

/// Why a request, or a part of it, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// The record that is wrong, counted from 0 within its batch.
    pub(crate) record: Option<i32>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // Messages quote what clients sent, and a string on the wire has at most 32,767 bytes.
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(end);
        }
        Self { code, message, record: None }
    }

    fn of_record(code: ErrorCode, record: i32, message: impl Into<String>) -> Self {
        Self { record: Some(record), ..Self::new(code, message) }
    }
}

/// Keeps the decompressor's buffers from batch to batch.
pub(crate) struct Validator {
    reader: RecordReader,
}

impl Default for Validator {
    fn default() -> Self {
        Self { reader: RecordReader::new(WINDOW_BYTES_MAX) }
    }
}

impl Validator {
    /// Looks a batch through, and says what is to be put right before it is stored.
    pub(crate) fn validate(&mut self, batch: &Batch<'_>, config: &TopicConfig, now_ms: i64) -> Result<Valid, Refusal> {
        check_header(batch, config)?;
        let found_timestamp = self.check_records(batch, config, now_ms)?;
        let header = &batch.header;
        let max_timestamp = if config.log_append_time { now_ms } else { found_timestamp };
        let claims_append_time = header.timestamp_type() == TimestampType::LogAppend;
        let due = if config.log_append_time {
            Some(Due::AppendTime)
        } else {
            (max_timestamp != header.max_timestamp || claims_append_time).then_some(Due::MaxTimestamp)
        };
        let stamp = Stamp::of(header);
        Ok(Valid { due, last_offset_delta: header.last_offset_delta, max_timestamp, stamp })
    }

    /// Walks the records; gives their largest timestamp.
    fn check_records(&mut self, batch: &Batch<'_>, config: &TopicConfig, now_ms: i64) -> Result<i64, Refusal> {
        let earliest_ms = now_ms.saturating_sub(config.timestamp_before_max_ms);
        let latest_ms = now_ms.saturating_add(config.timestamp_after_max_ms);
        let check_time = !config.log_append_time;
        let unseen = Unseen {
            earliest: if check_time { earliest_ms } else { i64::MIN },
            latest: if check_time { latest_ms } else { i64::MAX },
            keyed: config.is_compacted,
        };
        let mut max_timestamp = NONE;
        let mut index = 0;
        self.reader.start(batch).map_err(unreadable)?;
        loop {
            // Only records of which there may be something to say are taken apart.
            let passed = self.reader.pass(batch.bytes(), &unseen);
            index += passed.records;
            max_timestamp = max_timestamp.max(passed.max_timestamp.unwrap_or(NONE));
            let Some(record) = self.reader.next(batch).map_err(unreadable)? else { return Ok(max_timestamp) };
            if config.is_compacted && record.key.is_none() {
                let message = "Compacted topic cannot accept message without key";
                return Err(Refusal::of_record(ErrorCode::InvalidRecord, index, message));
            }
            let timestamp = record.timestamp;
            if check_time && timestamp != NONE && !(earliest_ms..=latest_ms).contains(&timestamp) {
                let message = format!("timestamp {timestamp} is not within [{earliest_ms}, {latest_ms}]");
                return Err(Refusal::of_record(ErrorCode::InvalidTimestamp, index, message));
            }
            max_timestamp = max_timestamp.max(timestamp);
            index += 1;
        }
    }
}

/// The one batch that a partition's share of a request must be. Kafka checks this before it looks at the log.
pub(crate) fn one_batch(bytes: &[u8], version: i16) -> Result<Batch<'_>, Refusal> {
    let invalid = |what: String| Refusal::new(ErrorCode::InvalidRecord, what);
    if bytes.is_empty() {
        return Err(invalid("the partition's entry holds no record batch, it must hold exactly one".into()));
    }
    let batch = Batch::read(bytes).map_err(|error| match error {
        BatchError::Magic(0 | 1) => invalid(format!("only record format v2 can be produced: {error}")),
        BatchError::Magic(_) => Refusal::new(ErrorCode::CorruptMessage, error.to_string()),
        BatchError::Header { field: "batch_length", .. } => Refusal::new(ErrorCode::CorruptMessage, error.to_string()),
        error => invalid(error.to_string()),
    })?;
    let left_over = bytes.len() - batch.bytes().len();
    if left_over > 0 {
        return Err(invalid(format!("{left_over} bytes follow the record batch, an entry must hold exactly one")));
    }
    let codec = batch.header.codec().map_err(unreadable)?;
    if codec == Codec::Zstd && version < ZSTD_FROM_VERSION {
        let message = format!("Produce v{version} cannot carry zstd, v{ZSTD_FROM_VERSION} can");
        return Err(Refusal::new(ErrorCode::UnsupportedCompressionType, message));
    }
    Ok(batch)
}

fn check_header(batch: &Batch<'_>, config: &TopicConfig) -> Result<(), Refusal> {
    let header = &batch.header;
    let invalid = |what: String| Err(Refusal::new(ErrorCode::InvalidRecord, what));
    if header.base_offset != 0 {
        return invalid(format!("the base offset must be 0, it is {}", header.base_offset));
    }
    let bytes = batch.bytes().len();
    if bytes > config.message_bytes_max {
        let message = format!("the batch has {bytes} bytes, max.message.bytes is {}", config.message_bytes_max);
        return Err(Refusal::new(ErrorCode::MessageTooLarge, message));
    }
    batch.verify_checksum().map_err(|error| Refusal::new(ErrorCode::CorruptMessage, error.to_string()))?;
    if header.record_count < 1 {
        return invalid(format!("the record count is {}", header.record_count));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.record_count) {
        return invalid(format!(
            "the record count is {}, the last offset delta {}",
            header.record_count, header.last_offset_delta
        ));
    }
    if header.is_control() {
        return invalid("clients cannot write control records".into());
    }
    if header.producer_id != NONE && header.base_sequence < 0 {
        return invalid(format!("producer {} sent sequence {}", header.producer_id, header.base_sequence));
    }
    let stamped = header.timestamp_type() == TimestampType::LogAppend;
    if stamped && (config.log_append_time || header.max_timestamp == NONE) {
        let message = "a producer cannot claim that the broker set the timestamps";
        return Err(Refusal::new(ErrorCode::InvalidTimestamp, message));
    }
    Ok(())
}

fn unreadable(error: BatchError) -> Refusal {
    match error {
        BatchError::Record { index, .. } => Refusal::of_record(ErrorCode::InvalidRecord, index, error.to_string()),
        BatchError::UnknownCodec(_) => Refusal::new(ErrorCode::UnsupportedCompressionType, error.to_string()),
        _ => Refusal::new(ErrorCode::InvalidRecord, error.to_string()),
    }
}

fn patch(bytes: &mut [u8]) -> Result<BatchMut<'_>, Refusal> {
    BatchMut::new(bytes).map_err(unreadable)
}
