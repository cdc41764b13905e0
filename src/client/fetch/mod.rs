//! One partition of a topic as a [`Source`]: its committed data, batch by batch, within a range that was pinned.
//!
//! ```text
//! position ──▶ fetch from the leader ──▶ each batch: checksum, follows the last?, aborted? ──▶ whole data batches
//!    ▲                                                                                │
//!    └──────────────── one past the batch's last offset, whatever was in it ◀─────────┘
//! ```
//!
//! Non-obvious:
//! - The position moves by what a batch's header covers, not by the records in it: markers, aborted batches, emptied ones
//!   and compaction holes take offsets and hold nothing. So the range is at its end when the position is, and nothing is
//!   fetched at or after the end.
//! - An answer without data proves nothing (a throttled broker, a follower that lags, an open transaction): it is waited
//!   out for the cluster's timeout, which starts anew with each call and each step forward, and then is an error.
//!   The one exception is a compacted topic whose last records are gone: see `PartitionReader::is_hollow`.
//! - A position is never reset. What the log no longer holds is an error that names the offsets that are lost.
//! - A fetch holds one window in the connection's buffer and one in the caller's; a batch larger than the window comes
//!   whole (the broker's rule, so that readers get ahead at all) and is taken up to [`ReadOptions::batch_bytes_max`].

mod answer;

use super::address::Address;
use super::call::Connection;
use super::cluster::{Cluster, Lane, Leader, call_error, refused};
use super::deadline::Deadline;
use super::error::{CallError, ClientError, Stalled};
use super::offsets::OffsetAt;
use super::retry::{Backoff, Retry, Verdict};
use crate::base::place::TopicPartition;
use crate::ports::Source;
use crate::wire::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic};
use crate::wire::{ErrorCode, Uuid};
use answer::{Got, Nothing};
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// How long a broker may hold a fetch back until there is data.
const FETCH_WAIT: Duration = Duration::from_millis(500);

/// How often a damaged batch is fetched before it counts as damaged where it is stored.
const DAMAGED_TRIES_MAX: u32 = 4;

/// How many answers in a row must say that there is nothing before a compacted log is believed to be hollow at its end.
const HOLLOW_ANSWERS_MIN: u32 = 4;

/// What an answer may hold beside its batches: headers, and 16 bytes for each aborted transaction.
const ANSWER_OVERHEAD_BYTES: usize = 1 << 20;

const READ_COMMITTED: i8 = 1;

/// How much is fetched at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// The window: the bytes asked for in one fetch.
    pub fetch_bytes_max: usize,
    /// The largest single batch that is taken, where that is more than the window.
    pub batch_bytes_max: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { fetch_bytes_max: 1 << 20, batch_bytes_max: 64 << 20 }
    }
}

/// Reads one partition. Dropping a `next` that waits loses nothing: the next one goes on from the same place.
#[derive(Debug)]
pub struct PartitionReader {
    cluster: Cluster,
    partition: TopicPartition,
    range: Range<i64>,
    options: ReadOptions,
    /// The next offset to read.
    position: i64,
    /// The topic the range belongs to; another one of the same name is not it.
    topic_id: Option<Uuid>,
    connection: Option<(Leader, Connection)>,
    /// The last answer's bytes.
    buffer: Vec<u8>,
    /// The window of the next fetch: larger than asked for after a batch that did not fit.
    fetch_bytes: usize,
    /// How often the batch at the position came damaged.
    damaged_tries: u32,
}

impl Cluster {
    /// A reader of the committed data of `partition` within `range`. Nothing is asked before its first `next`.
    pub fn reader(&self, partition: TopicPartition, range: Range<i64>, options: ReadOptions) -> PartitionReader {
        PartitionReader {
            cluster: self.clone(),
            position: range.start,
            partition,
            range,
            options,
            topic_id: None,
            connection: None,
            buffer: Vec::new(),
            fetch_bytes: options.fetch_bytes_max,
            damaged_tries: 0,
        }
    }
}

impl Source for PartitionReader {
    type Error = ClientError;

    fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    async fn next(&mut self, into: &mut Vec<u8>) -> Result<Option<()>, ClientError> {
        into.clear();
        let mut patience = Patience::new(&self.cluster);
        while self.position < self.range.end {
            match self.fetch(into, patience.deadline).await {
                Ok(Got::Data) => return Ok(Some(())),
                Ok(Got::Ground) => patience = Patience::new(&self.cluster),
                Ok(Got::Cut) => {}
                Ok(Got::Nothing(nothing)) => {
                    patience.empty_answers += 1;
                    if nothing.throttled > Duration::ZERO {
                        // The broker keeps us waiting on purpose; that says nothing about the data.
                        patience.deadline.extend(nothing.throttled);
                        patience.empty_answers = 0;
                        tokio::time::sleep(nothing.throttled).await;
                    } else if patience.empty_answers >= HOLLOW_ANSWERS_MIN && self.is_hollow(&nothing).await {
                        tracing::info!(
                            partition = %self.partition,
                            position = self.position,
                            end = self.range.end,
                            "compaction has removed the last records of the range"
                        );
                        self.position = self.range.end;
                    } else if patience.deadline.passed() {
                        return Err(self.stalled(nothing, patience.started.elapsed()));
                    } else {
                        // A broker that does not wait itself must not be asked without a pause.
                        tokio::time::sleep(patience.backoff.next()).await;
                    }
                }
                Ok(Got::Damaged(broker, source)) => {
                    self.damaged_tries += 1;
                    let at = self.partition.at(self.position);
                    tracing::warn!(%at, tries = self.damaged_tries, error = %source, "damaged batch");
                    if self.damaged_tries >= DAMAGED_TRIES_MAX {
                        return Err(ClientError::Damaged { at, tries: self.damaged_tries, broker, source });
                    }
                    // What damaged it may be this connection's way.
                    self.connection = None;
                    tokio::time::sleep(patience.backoff.next()).await;
                }
                // It was there a moment ago. A broker that has just started may not know all topics yet.
                Err(ClientError::UnknownTopic { .. }) if self.topic_id.is_some() && !patience.deadline.passed() => {
                    tokio::time::sleep(patience.backoff.next()).await;
                }
                Err(error) => {
                    if patience.retry.after(error).await? == Verdict::Refresh {
                        self.connection = None;
                        self.cluster.forget(&self.partition.topic);
                    }
                }
            }
        }
        Ok(None)
    }
}

/// How long one `next` waits for a step forward.
struct Patience {
    started: Instant,
    deadline: Deadline,
    retry: Retry,
    backoff: Backoff,
    empty_answers: u32,
}

impl Patience {
    fn new(cluster: &Cluster) -> Self {
        let deadline = cluster.deadline();
        let (retry, backoff) = (cluster.retry_until(deadline), cluster.backoff());
        Self { started: Instant::now(), deadline, retry, backoff, empty_answers: 0 }
    }
}

impl PartitionReader {
    /// The next offset to read: everything before it has been handed out or holds nothing.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// One fetch at the position.
    async fn fetch(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<Got, ClientError> {
        let (leader, connection) = self.connect(deadline).await?;
        let wait = FETCH_WAIT.min(deadline.left());
        let request = self.request(leader, wait);
        // The wait is the broker's, the rest is for the way and for its disk. Not cut off where the patience ends: an answer
        // on its way would be taken for none.
        let deadline = Deadline::after(wait + self.cluster.timeout() / 2);
        let answer_bytes_max = self.options.batch_bytes_max.max(self.fetch_bytes) + ANSWER_OVERHEAD_BYTES;
        let buffer = std::mem::take(&mut self.buffer);
        let result = connection.call::<Fetch>(&request, buffer, answer_bytes_max, deadline).await;
        let broker = connection.broker().clone();
        self.connection = connection.is_usable().then_some((leader, connection));
        let answer = match result {
            Err(CallError::FrameTooLarge { stated, .. }) => return Err(self.batch_too_large(stated)),
            other => other.map_err(|error| call_error::<Fetch>(&broker, error))?,
        };
        let response = answer.read().map_err(|error| call_error::<Fetch>(&broker, error))?;
        check(&broker, &self.partition, response.error_code)?;
        let throttled = Duration::from_millis(response.throttle_time_ms.max(0) as u64);
        // One partition was asked for. Whether the topic comes by name or by id depends on the version.
        let topic = response.responses.into_iter().find(|topic| {
            topic.topic == *self.partition.topic || (topic.topic.is_empty() && topic.topic_id == leader.topic_id)
        });
        let wanted = self.partition.partition;
        let Some(data) = topic.and_then(|t| t.partitions.into_iter().find(|one| one.partition_index == wanted)) else {
            if throttled > Duration::ZERO {
                return Ok(Got::Nothing(Nothing { broker, throttled, high_watermark: -1, last_stable: -1 }));
            }
            return Err(ClientError::Protocol {
                broker,
                api: "Fetch",
                expected: self.partition.to_string(),
                got: "an answer without it".to_owned(),
            });
        };
        if data.error_code == ErrorCode::OffsetOutOfRange.code() {
            return Err(self.out_of_range(&broker).await);
        }
        check(&broker, &self.partition, data.error_code)?;
        let got = self.take(&data, &broker, throttled, into);
        self.buffer = answer.into_buffer();
        got
    }

    /// A connection to the leader, kept from fetch to fetch.
    async fn connect(&mut self, deadline: Deadline) -> Result<(Leader, Connection), ClientError> {
        if let Some((leader, connection)) = self.connection.take()
            && connection.is_usable()
        {
            return Ok((leader, connection));
        }
        let leader = self.cluster.leader(&self.partition, deadline).await?;
        match self.topic_id {
            Some(old) if old != leader.topic_id => {
                return Err(ClientError::Recreated {
                    topic: self.partition.topic.clone(),
                    old: old.to_string(),
                    new: leader.topic_id.to_string(),
                });
            }
            _ => self.topic_id = Some(leader.topic_id),
        }
        let connection = self.cluster.connection(leader.node, Lane::Fetch(0), deadline).await?;
        Ok((leader, connection))
    }

    fn request(&self, leader: Leader, wait: Duration) -> FetchRequest {
        let fetch_bytes = i32::try_from(self.fetch_bytes).unwrap_or(i32::MAX);
        FetchRequest {
            replica_id: -1,
            max_wait_ms: wait.as_millis() as i32,
            min_bytes: 1,
            max_bytes: fetch_bytes,
            isolation_level: READ_COMMITTED,
            // No session: each request says all there is to say.
            session_id: 0,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: self.partition.topic.to_string(),
                topic_id: leader.topic_id,
                partitions: vec![FetchPartition {
                    partition: self.partition.partition,
                    // Lets a leader that is behind, or no longer one, say so instead of answering from the past.
                    current_leader_epoch: leader.epoch,
                    fetch_offset: self.position,
                    last_fetched_epoch: -1,
                    log_start_offset: -1,
                    partition_max_bytes: fetch_bytes,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        }
    }

    /// Whether an empty answer means that the log holds nothing from the position to the end of the range, and never will.
    ///
    /// Compaction can remove the last records of a log that is no longer written to (tombstones in a closed segment); a fetch
    /// there finds nothing, though the offsets exist. Nothing in the answer tells this from a broker that is slow, so it
    /// is believed only of a compacted topic, when nothing is held back by a transaction, and said several times.
    async fn is_hollow(&self, nothing: &Nothing) -> bool {
        if nothing.high_watermark < self.range.end || nothing.last_stable < self.range.end {
            return false;
        }
        // Who may not look at the configuration waits, and gets the error that nothing comes.
        let configs = self.cluster.topic_configs(&self.partition.topic).await.unwrap_or_default();
        configs.get("cleanup.policy").is_some_and(|policy| policy.split(',').any(|word| word.trim() == "compact"))
    }

    /// The error for a position that the log does not hold, with what it does hold.
    async fn out_of_range(&self, broker: &Address) -> ClientError {
        let partitions = std::slice::from_ref(&self.partition);
        let earliest = self.cluster.offsets(partitions, OffsetAt::Earliest).await;
        let latest = self.cluster.offsets(partitions, OffsetAt::Latest).await;
        match (earliest.as_deref(), latest.as_deref()) {
            (Ok(&[earliest]), Ok(&[latest])) => ClientError::OutOfRange {
                partition: self.partition.clone(),
                wanted: self.position,
                end: self.range.end,
                earliest,
                latest,
            },
            _ => refused(broker, "Fetch", self.partition.at(self.position), ErrorCode::OffsetOutOfRange),
        }
    }

    fn batch_too_large(&self, bytes: usize) -> ClientError {
        let cap = self.options.batch_bytes_max.max(self.options.fetch_bytes_max);
        ClientError::BatchTooLarge { at: self.partition.at(self.position), bytes, cap }
    }

    fn stalled(&self, nothing: Nothing, waited: Duration) -> ClientError {
        ClientError::Stalled(Box::new(Stalled {
            partition: self.partition.clone(),
            broker: nothing.broker,
            position: self.position,
            end: self.range.end,
            last_stable: nothing.last_stable,
            high_watermark: nothing.high_watermark,
            waited,
        }))
    }
}

fn check(broker: &Address, partition: &TopicPartition, code: i16) -> Result<(), ClientError> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(refused(broker, "Fetch", partition, code)),
    }
}
