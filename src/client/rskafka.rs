//! The foreign client that the plain merge and the generator run on, behind the few calls they need.
//!
//! What rskafka 0.6 does that a caller must know, and what is done about it here:
//!
//! - A call retries by itself, sleeping up to 500 s between attempts and without an end: every call here has a deadline.
//! - `produce` sleeps on a throttled **success** and sends it again, and repeats a send whose answer was lost. So a call may
//!   leave several copies; only the offset of the last one is told. [`PlainPartition::produce`] returns it, and
//!   [`Appended`] holds it against the end of what was written before.
//! - Its decoder rejects transaction markers, null header values, lz4 and zstd. These come back as errors that say so.
//! - One such batch spoils the whole answer, whatever else is in it. [`PlainPartition::fetch`] asks for less until the answer
//!   ends before it, or holds nothing else: then the error names the place, and what lies behind the end plays no part.
//! - A fetch gives no way to step over a batch without records, and takes a batch that is cut inside for one that did not
//!   fit. Both show as a fetch that yields nothing; [`PlainPartition::fetch`] asks a second time, for more, then gives up.
//! - It takes addresses as the system's resolver does: no default port, no `PLAINTEXT://`, no IPv6 literal without brackets.
//!   So addresses are read by us and written out for it.
//! - Headers are a map: of a repeated name the last value stays. LogAppendTime is not seen: a record keeps the time its
//!   producer gave. Neither can be noticed here.
//!
//! Its messages are told apart by their text where it has no type for them. A test of the suite makes the broker send each
//! one, so that a new version with other words does not go unnoticed.

use super::Address;
use crate::base::kind::Kind;
use crate::base::place::{Place, TopicPartition};
use crate::base::text::visible;
use ::rskafka::BackoffConfig;
use ::rskafka::chrono::DateTime;
use ::rskafka::client::error::{Error, ProtocolError, RequestError};
use ::rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use ::rskafka::client::{Client, ClientBuilder};
use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::base::appended::{Appended, NotAdjacent};
pub use ::rskafka::client::partition::Compression;
pub use ::rskafka::record::{Record, RecordAndOffset};

/// A broker may hold a fetch back for so long when it has nothing to give.
const FETCH_WAIT_MS: i32 = 500;
/// The second, larger fetch after one that yielded nothing: room for the largest batch a broker takes by default, and more.
const FETCH_AGAIN_BYTES: i32 = 8 << 20;
/// A fetch that holds a batch this client cannot read is repeated with so many times fewer bytes, down to a single batch:
/// steps that are large enough to get there soon, and small enough to take what is good before it in a few fetches.
const FETCH_LESS: i32 = 16;
/// A checksum that is wrong may have been damaged on the way: the fetch is repeated this often.
const REFETCHES_MAX: u32 = 2;
/// Frames above this are refused. A fetch is far smaller but for a single batch that is not.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// What went wrong in the foreign client, with its coordinates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlainError {
    /// The cluster could not be reached.
    #[error("connect to {brokers}: {detail}")]
    Connect {
        /// The addresses that were tried.
        brokers: String,
        /// The last failure.
        detail: String,
    },
    /// A call did not end in time.
    #[error("{what}: no answer within {} s (--timeout)", after.as_secs_f64())]
    Timeout {
        /// What was asked, and of which partition.
        what: String,
        /// How long we waited.
        after: Duration,
    },
    /// The cluster could not be reached for as long as we try.
    #[error("{what}: tried again and again (--timeout), at last: {detail}")]
    GaveUp {
        /// What was asked, and of which partition.
        what: String,
        /// The last failure.
        detail: String,
    },
    /// The broker no longer has the record.
    #[error(
        "{at} is gone: the log now begins later or was cut (retention, deleted records, or an unclean election); \
         nothing was skipped. Start again from what is there with --start earliest, or keep the input for longer"
    )]
    OutOfRange {
        /// Where the merge stood.
        at: Place,
    },
    /// A transaction marker, which rskafka cannot read.
    #[error(
        "a transaction marker stands at or after {at}: this client cannot read past it, nor tell aborted records from \
         committed ones, so what is written so far may hold aborted records"
    )]
    Marker {
        /// The offset asked for: it is the first batch from there on.
        at: Place,
    },
    /// A header without a value, which rskafka cannot read.
    #[error(
        "a record at or after {at} has a header whose value is null (or a negative length): this client cannot read it"
    )]
    NullHeader {
        /// The offset asked for: it is the first batch from there on.
        at: Place,
    },
    /// A codec that this build of rskafka cannot read.
    #[error(
        "a batch at or after {at} is compressed with {codec}: this client reads none, gzip and snappy only. Have the input \
         written anew with one of these"
    )]
    Codec {
        /// The offset asked for: it is the first batch from there on.
        at: Place,
        /// The codec's name.
        codec: &'static str,
    },
    /// What the broker sent is not what the format says.
    #[error("a batch at or after {at} cannot be read: {detail}")]
    Corrupt {
        /// The offset asked for: it is the first batch from there on.
        at: Place,
        /// The client's words.
        detail: String,
    },
    /// Twice nothing, below the end that was asked for.
    #[error(
        "{at} yields no record, twice, though the log goes on to offset {end}: the records there were compacted away or \
         are not readable, and this client cannot step over them. End before it (--end), or copy the topic"
    )]
    Nothing {
        /// Where the fetch stands.
        at: Place,
        /// Where it should get to.
        end: i64,
    },
    /// The broker refused a batch for its size.
    #[error("{partition}: the broker refused a batch for its size ({code})")]
    TooLarge {
        /// The partition written to.
        partition: TopicPartition,
        /// The broker's error.
        code: String,
    },
    /// The broker answered that we may not.
    #[error("{what}: the broker answered {code}{detail}")]
    Denied {
        /// What was asked, and of which partition.
        what: String,
        /// The broker's error.
        code: String,
        /// Its words, if it had any.
        detail: String,
    },
    /// The broker answered with an error.
    #[error("{what}: the broker answered {code}{detail}")]
    Server {
        /// What was asked, and of which partition.
        what: String,
        /// The broker's error.
        code: String,
        /// Its words, if it had any.
        detail: String,
    },
    /// Anything else that the foreign client reports.
    #[error("{what}: {detail}")]
    Client {
        /// What was asked, and of which partition.
        what: String,
        /// The client's words.
        detail: String,
    },
}

impl PlainError {
    /// The sort of failure, for the exit status.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::GaveUp { .. } | Self::Denied { .. } => {
                Kind::Unreachable
            }
            // As check and verify have it: what was promised is not there.
            Self::OutOfRange { .. } | Self::Corrupt { .. } => Kind::Data,
            _ => Kind::Failed,
        }
    }
}

impl PlainError {
    /// Whether it is a batch in the answer that cannot be read.
    fn is_of_a_batch(&self) -> bool {
        matches!(self, Self::Marker { .. } | Self::NullHeader { .. } | Self::Codec { .. } | Self::Corrupt { .. })
    }
}

/// A connected cluster.
#[derive(Debug)]
pub struct PlainClient {
    client: Client,
    timeout: Duration,
}

impl PlainClient {
    /// Connects and reads the cluster's metadata. Each later call may take `timeout`.
    pub async fn connect(brokers: &[String], timeout: Duration) -> Result<Self, PlainError> {
        // Retries are quick, and give up a little before our own deadline, so that the error can say what was wrong.
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
            deadline: Some(timeout.mul_f64(0.8)),
        };
        let shown = || brokers.iter().map(|b| visible(b)).collect::<Vec<_>>().join(",");
        let spelled_out = brokers.iter().map(|broker| Address::parse(broker).map(|address| address.to_string()));
        let spelled_out = spelled_out.collect::<Result<Vec<_>, _>>();
        let spelled_out = spelled_out.map_err(|detail| PlainError::Connect { brokers: shown(), detail })?;
        let building = ClientBuilder::new(spelled_out)
            .client_id("kmerge")
            .max_message_size(FRAME_BYTES_MAX)
            .backoff_config(backoff)
            .build();
        match tokio::time::timeout(timeout, building).await {
            Ok(Ok(client)) => Ok(Self { client, timeout }),
            Ok(Err(error)) => Err(PlainError::Connect { brokers: shown(), detail: chain(&error) }),
            Err(_) => Err(PlainError::Timeout { what: format!("connect to {}", shown()), after: timeout }),
        }
    }

    /// A connection of its own to the leader of `partition`.
    pub async fn partition(&self, partition: &TopicPartition) -> Result<PlainPartition, PlainError> {
        // Metadata of a topic that was created a moment ago may not have reached every broker.
        let opening = self.client.partition_client(&*partition.topic, partition.partition, UnknownTopicHandling::Retry);
        let what = || format!("find the leader of {partition}");
        match tokio::time::timeout(self.timeout, opening).await {
            Ok(Ok(client)) => Ok(PlainPartition { partition: partition.clone(), client, timeout: self.timeout }),
            Ok(Err(error)) => Err(general(what(), &error)),
            Err(_) => Err(PlainError::Timeout { what: what(), after: self.timeout }),
        }
    }
}

/// One partition, read from and written to.
#[derive(Debug)]
pub struct PlainPartition {
    partition: TopicPartition,
    client: PartitionClient,
    timeout: Duration,
}

impl PlainPartition {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Records from `offset` on and below `end`, in offset order, at least one; about `bytes` of the log, but never less
    /// than one whole batch.
    pub async fn fetch(&self, offset: i64, end: i64, bytes: i32) -> Result<Vec<RecordAndOffset>, PlainError> {
        let mut bytes = bytes.max(1);
        let mut found_nothing = false;
        let mut refetches = 0;
        loop {
            let mut records = match self.fetch_once(offset, bytes).await {
                Ok(records) => records,
                Err(PlainError::Corrupt { .. }) if refetches < REFETCHES_MAX => {
                    refetches += 1;
                    continue;
                }
                // One batch spoils the answer for all: it may lie behind the end, and those before it are good.
                Err(error) if error.is_of_a_batch() && bytes > 1 => {
                    bytes = (bytes / FETCH_LESS).max(1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            // What lies past the end is not ours: it may be unsorted, or not there the next time.
            let below_end = records.partition_point(|r| r.offset < end);
            let gone_past_end = below_end < records.len();
            records.truncate(below_end);
            if !records.is_empty() || gone_past_end {
                return Ok(records);
            }
            if found_nothing {
                return Err(PlainError::Nothing { at: self.partition.at(offset), end });
            }
            found_nothing = true;
            bytes = bytes.max(FETCH_AGAIN_BYTES);
        }
    }

    async fn fetch_once(&self, offset: i64, bytes: i32) -> Result<Vec<RecordAndOffset>, PlainError> {
        let fetching = self.client.fetch_records(offset, 1..bytes.saturating_add(1), FETCH_WAIT_MS);
        let at = || self.partition.at(offset);
        match tokio::time::timeout(self.timeout, fetching).await {
            Ok(Ok((records, _high_watermark))) => Ok(records),
            Ok(Err(error)) => Err(of_fetch(at(), &error)),
            Err(_) => Err(PlainError::Timeout { what: format!("fetch {}", at()), after: self.timeout }),
        }
    }

    /// Appends `records` as one batch and returns the offset of the first, as the broker told it last.
    pub async fn produce(&self, records: Vec<Record>, compression: Compression) -> Result<i64, PlainError> {
        let what = || format!("write to {} (how much of the last batch arrived is not known)", self.partition);
        match tokio::time::timeout(self.timeout, self.client.produce(records, compression)).await {
            Ok(Ok(offsets)) => offsets
                .first()
                .copied()
                .ok_or_else(|| PlainError::Client { what: what(), detail: "the broker told no offset".to_owned() }),
            Ok(Err(Error::ServerError {
                protocol_error: code @ (ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge),
                ..
            })) => Err(PlainError::TooLarge { partition: self.partition.clone(), code: code.to_string() }),
            Ok(Err(error)) => Err(general(what(), &error)),
            Err(_) => Err(PlainError::Timeout { what: what(), after: self.timeout }),
        }
    }
}

/// A record that is nothing but a value. A time that no calendar reaches becomes 1970.
pub fn record_of_value(value: Vec<u8>, timestamp_ms: i64) -> Record {
    Record {
        key: None,
        value: Some(value),
        headers: BTreeMap::new(),
        timestamp: DateTime::from_timestamp_millis(timestamp_ms).unwrap_or_default(),
    }
}

/// A fetch's error by what the user can do about it.
fn of_fetch(at: Place, error: &Error) -> PlainError {
    if let Error::ServerError { protocol_error, .. } = error {
        return match protocol_error {
            ProtocolError::OffsetOutOfRange => PlainError::OutOfRange { at },
            _ => general(format!("fetch {at}"), error),
        };
    }
    let detail = chain(error);
    if detail.contains("control batch") || detail.contains("control record") {
        return PlainError::Marker { at };
    }
    if detail.contains("out of range integral type conversion") {
        return PlainError::NullHeader { at };
    }
    if detail.contains("Unimplemented compression") {
        let codec = ["Lz4", "Zstd", "Snappy", "Gzip"].into_iter().find(|name| detail.contains(name));
        let codec = match codec {
            Some("Lz4") => "lz4",
            Some("Zstd") => "zstd",
            _ => "a codec of another kind",
        };
        return PlainError::Codec { at, codec };
    }
    match error {
        Error::Request(
            RequestError::ReadError(_) | RequestError::ReadVersionedError(_) | RequestError::TooMuchData { .. },
        )
        | Error::InvalidResponse(_) => PlainError::Corrupt { at, detail },
        _ => general(format!("fetch {at}"), error),
    }
}

fn general(what: String, error: &Error) -> PlainError {
    match error {
        Error::ServerError { protocol_error, error_message, .. } => {
            let code = protocol_error.to_string();
            let detail = error_message.as_deref().map(|m| format!(" ({})", visible(m))).unwrap_or_default();
            match is_denial(protocol_error) {
                true => PlainError::Denied { what, code, detail },
                false => PlainError::Server { what, code, detail },
            }
        }
        Error::RetryFailed(_) => PlainError::GaveUp { what, detail: chain(error) },
        _ => PlainError::Client { what, detail: chain(error) },
    }
}

/// The same errors as our client counts as "you may not".
fn is_denial(error: &ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::TopicAuthorizationFailed
            | ProtocolError::GroupAuthorizationFailed
            | ProtocolError::ClusterAuthorizationFailed
            | ProtocolError::TransactionalIdAuthorizationFailed
            | ProtocolError::SaslAuthenticationFailed
    )
}

/// The error and its causes on one line, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = visible(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let text = visible(&cause.to_string());
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        source = cause.source();
    }
    out
}
