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
//! - Readers share connections, one partition a request, pipelined: so a buffer belongs to one partition, is the caller's,
//!   and the kernel's copy into it is the only one. A broker works on a connection's requests in order, therefore it is not
//!   asked to wait for data: a partition that has none is asked again later, on its own.
//! - An answer without data proves nothing (a throttled broker, a follower that lags, an open transaction): it is waited
//!   out for the cluster's timeout, which starts anew with each call and each step forward, and then is an error.
//!   There are two exceptions: a compacted topic whose last records are gone (`PartitionReader::hollow_until`), and a reader
//!   that follows, at the end of what is committed (`follow.rs`).
//! - A position is never reset. What the log no longer holds is an error that names the offsets that are lost.
//! - With each new leader it is asked where the epoch that was read ends in its log: an unclean election may have replaced
//!   records that were read already, and nothing else would show it (`epochs.rs`).
//! - A batch larger than the window comes whole (the broker's rule, so that readers get ahead at all) and is taken up to
//!   [`ReadOptions::batch_bytes_max`].

mod answer;
mod cut;
mod epochs;
mod follow;
mod ground;
mod mark;

pub use follow::Tail;
pub use ground::Ground;
pub use mark::LogMark;

use super::address::Address;
use super::cluster::{Cluster, Lane, Leader, call_error, refused};
use super::deadline::Deadline;
use super::error::{CallError, ClientError, Stalled};
use super::link::Expect;
use super::offsets::OffsetAt;
use super::retry::{Backoff, Retry, Verdict};
use crate::base::place::TopicPartition;
use crate::ports::Source;
use crate::wire::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic};
use crate::wire::{ErrorCode, Uuid};
use answer::{Got, Nothing};
use follow::Following;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How long a broker may hold a fetch back for data that it should have and does not give (it may have to get it from
/// remote storage), once it has given none [`QUICK_ANSWERS_MAX`] times. It holds up others then.
const FETCH_WAIT: Duration = Duration::from_millis(500);
const QUICK_ANSWERS_MAX: u32 = 3;

/// How often a damaged batch is fetched before it counts as damaged where it is stored.
const DAMAGED_TRIES_MAX: u32 = 4;

/// How many answers in a row must say that there is nothing before a compacted log is believed to be hollow at its end.
const HOLLOW_ANSWERS_MIN: u32 = QUICK_ANSWERS_MAX + 2;

/// What an answer may hold beside its batches: headers, and 16 bytes for each aborted transaction.
const ANSWER_OVERHEAD_BYTES: usize = 1 << 20;

const READ_COMMITTED: i8 = 1;
const NO_EPOCH: i32 = -1;
const NO_NODE: i32 = -1;

/// The version from which a Fetch carries the epoch that was read last.
const EPOCH_FROM_VERSION: i16 = 12;

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
    lane: Lane,
    /// The leader, once its log is known to be the one that is read.
    leader: Option<Leader>,
    /// The epoch of the last leader whose log was that one.
    leader_epoch: Option<i32>,
    /// The leader epoch of the last batch read; -1 for none.
    read_epoch: i32,
    /// Whether to tell it to the broker.
    tell_epoch: bool,
    /// The highest high watermark seen: what lies below was replicated.
    replicated: i64,
    /// The window of the next fetch: larger than asked for after a batch that did not fit.
    fetch_bytes: usize,
    /// How often the batch at the position came damaged.
    damaged_tries: u32,
    /// Set where the end of the log is a place to wait.
    following: Option<Following>,
    /// The node id of the broker that the last answer came from; -1 before the first one.
    read_from: Arc<AtomicI32>,
    ground: Ground,
}

impl Cluster {
    /// A reader of the committed data of `partition` within `range`. Nothing is asked before its first `next`.
    pub fn reader(&self, partition: TopicPartition, range: Range<i64>, options: ReadOptions) -> PartitionReader {
        PartitionReader {
            cluster: self.clone(),
            position: range.start,
            ground: Ground::new(range.start),
            partition,
            range,
            options,
            topic_id: None,
            lane: self.fetch_lane(),
            leader: None,
            leader_epoch: None,
            read_epoch: NO_EPOCH,
            tell_epoch: true,
            replicated: 0,
            fetch_bytes: options.fetch_bytes_max,
            damaged_tries: 0,
            following: None,
            read_from: Arc::new(AtomicI32::new(NO_NODE)),
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
            let asked = Instant::now();
            let got = self.fetch(into, &mut patience).await;
            if let (Ok(Got::Data | Got::Ground), Some(following)) = (&got, &self.following) {
                following.tail.data_came();
            }
            match got {
                Ok(Got::Data) => return Ok(Some(())),
                Ok(Got::Ground) => patience = Patience::new(&self.cluster),
                Ok(Got::Cut) => {}
                Ok(Got::Nothing(nothing)) if self.waits_at(&nothing) => {
                    self.rest(&nothing, asked).await;
                    patience = Patience::new(&self.cluster);
                }
                Ok(Got::Nothing(nothing)) => {
                    patience.empty_answers += 1;
                    patience.owed = self.position < nothing.last_stable.max(nothing.high_watermark);
                    if nothing.throttled > Duration::ZERO {
                        // The broker keeps us waiting on purpose; that says nothing about the data.
                        patience.extend(nothing.throttled);
                        patience.empty_answers = 0;
                        tokio::time::sleep(nothing.throttled).await;
                    } else if patience.empty_answers >= HOLLOW_ANSWERS_MIN
                        && let Some(end) = self.hollow_until(&nothing).await
                    {
                        tracing::info!(
                            partition = %self.partition,
                            position = self.position,
                            end,
                            "compaction has removed the last records"
                        );
                        self.position = end;
                        // What was read before the hole may have ended in it: that would look like a log that was cut.
                        self.read_epoch = NO_EPOCH;
                        self.ground.reached(None, end);
                    } else if patience.deadline.passed() {
                        return Err(self.stalled(nothing, patience.started.elapsed()).await);
                    } else {
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
                    self.lane = self.lane.other();
                    tokio::time::sleep(patience.backoff.next()).await;
                }
                Ok(Got::Beyond(error)) => {
                    tracing::debug!(%error, "waiting for the leader to know better");
                    patience.wait_or(error).await?;
                    self.look_again();
                }
                // It was there a moment ago. A broker that has just started may not know all topics yet.
                Err(error @ ClientError::UnknownTopic { .. }) if self.topic_id.is_some() => {
                    patience.wait_or(error).await?;
                }
                Err(error) => {
                    if patience.retry.after(error).await? == Verdict::Refresh {
                        self.look_again();
                    }
                }
            }
        }
        into.clear();
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
    /// Whether the last answer was empty though the broker should have had data.
    owed: bool,
}

impl Patience {
    fn new(cluster: &Cluster) -> Self {
        let deadline = cluster.deadline();
        let (retry, backoff) = (cluster.retry_until(deadline), cluster.backoff());
        Self { started: Instant::now(), deadline, retry, backoff, empty_answers: 0, owed: false }
    }

    fn extend(&mut self, time: Duration) {
        self.deadline.extend(time);
        self.retry.extend(time);
    }

    /// A pause before the next try; `error` if there is no time for one.
    async fn wait_or(&mut self, error: ClientError) -> Result<(), ClientError> {
        let wait = self.backoff.next();
        if self.deadline.left() <= wait {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// How long the broker may wait for data.
    fn wait(&self) -> Duration {
        if self.owed && self.empty_answers >= QUICK_ANSWERS_MAX { FETCH_WAIT } else { Duration::ZERO }
    }
}

impl PartitionReader {
    /// Where the node id of the broker is kept that was read from last; -1 before there is one.
    pub fn read_from(&self) -> Arc<AtomicI32> {
        self.read_from.clone()
    }

    /// What holds nothing behind the data that was handed out.
    pub fn ground(&self) -> Ground {
        self.ground.clone()
    }

    /// The next offset to read: everything before it has been handed out or holds nothing.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// One fetch at the position.
    async fn fetch(&mut self, into: &mut Vec<u8>, patience: &mut Patience) -> Result<Got, ClientError> {
        let leader = self.leader(patience.deadline).await?;
        let queued = Instant::now();
        let turn = self.cluster.fetch_turn(leader.node, self.lane).await;
        patience.extend(queued.elapsed());
        // One silent broker must not use up the time in which another could be asked.
        let time = self.cluster.timeout() / 2;
        let connection = self.cluster.connection(leader.node, self.lane, patience.deadline.within(time)).await?;
        let broker = connection.broker().clone();
        let failed = |error| call_error::<Fetch>(&broker, error);
        let version = connection.version::<Fetch>().map_err(failed)?;
        let wait = self.follow_wait().unwrap_or_else(|| patience.wait());
        let expect = Expect {
            buffer: std::mem::take(into),
            answer_bytes_max: self.options.batch_bytes_max.max(self.fetch_bytes) + ANSWER_OVERHEAD_BYTES,
            // Not cut off where the patience ends: an answer on its way would be taken for none.
            deadline: Deadline::after(wait + time),
            find: cut::finder(version),
        };
        let request = self.request(leader, wait, version);
        let pending = connection.submit_with::<Fetch>(&request, expect).map_err(failed)?;
        let mut answer = match pending.await {
            Err(CallError::FrameTooLarge { stated, .. }) => return Err(self.batch_too_large(stated)),
            other => other.map_err(failed)?,
        };
        drop(turn);
        let records = answer.take_field();
        let response = answer.read().map_err(failed)?;
        check(&broker, &self.partition, response.error_code)?;
        let throttled = Duration::from_millis(response.throttle_time_ms.max(0) as u64);
        if throttled > Duration::ZERO {
            // The broker reads nothing more from this connection meanwhile.
            connection.excuse(throttled);
        }
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
            return self.out_of_range(&broker).await;
        }
        check(&broker, &self.partition, data.error_code)?;
        self.read_from.store(leader.node, Relaxed);
        if data.diverging_epoch.end_offset >= 0 || data.diverging_epoch.epoch >= 0 {
            return Err(self.truncated(&broker, Some(data.diverging_epoch.end_offset), self.read_epoch, leader.epoch));
        }
        *into = records.unwrap_or_else(|| data.records.unwrap_or_default().to_vec());
        self.take(&data, &broker, throttled, into)
    }

    /// The leader, kept from fetch to fetch. A new one's log must be the one that was read so far.
    async fn leader(&mut self, deadline: Deadline) -> Result<Leader, ClientError> {
        if let Some(leader) = self.leader {
            return Ok(leader);
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
        self.same_log(leader, deadline).await?;
        self.leader = Some(leader);
        Ok(leader)
    }

    /// What is known of the leader has failed: ask who leads.
    fn look_again(&mut self) {
        match self.leader.take() {
            Some(leader) => self.cluster.outdated(&self.partition, leader),
            None => self.cluster.forget(&self.partition.topic),
        }
    }

    fn request(&self, leader: Leader, wait: Duration, version: i16) -> FetchRequest {
        let fetch_bytes = i32::try_from(self.fetch_bytes).unwrap_or(i32::MAX);
        let tells_epoch = self.tell_epoch && version >= EPOCH_FROM_VERSION;
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
                    last_fetched_epoch: if tells_epoch { self.read_epoch } else { NO_EPOCH },
                    log_start_offset: -1,
                    partition_max_bytes: fetch_bytes,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        }
    }

    /// Up to where the log holds nothing from the position on, and never will, if that is what an empty answer means.
    ///
    /// Compaction can remove the last records of a log that is no longer written to (tombstones in a closed segment); a fetch
    /// there finds nothing, though the offsets exist. Nothing in the answer tells this from a broker that is slow, so it
    /// is believed only of a compacted topic, when nothing is held back by a transaction, and said several times.
    async fn hollow_until(&self, nothing: &Nothing) -> Option<i64> {
        let stable = nothing.high_watermark.min(nothing.last_stable);
        let end = if self.following.is_some() { self.range.end.min(stable) } else { self.range.end };
        if stable < end {
            return None;
        }
        // Who may not look at the configuration waits, and gets the error that nothing comes.
        let configs = self.cluster.topic_configs(&self.partition.topic).await.unwrap_or_default();
        let policy = configs.get("cleanup.policy")?;
        policy.split(',').any(|word| word.trim() == "compact").then_some(end)
    }

    /// A position that the log does not hold, says a broker. The leader (as it is now) says what it does hold.
    async fn out_of_range(&mut self, broker: &Address) -> Result<Got, ClientError> {
        self.look_again();
        let partitions = std::slice::from_ref(&self.partition);
        let earliest = self.cluster.offsets(partitions, OffsetAt::Earliest).await?;
        let latest = self.cluster.offsets(partitions, OffsetAt::Latest).await?;
        let (&[earliest], &[latest]) = (&*earliest, &*latest) else {
            return Err(refused(broker, "Fetch", self.partition.at(self.position), ErrorCode::OffsetOutOfRange));
        };
        let lost = ClientError::OutOfRange {
            partition: self.partition.clone(),
            wanted: self.position,
            end: self.end_known(),
            earliest,
            latest,
        };
        if self.position < earliest {
            return Err(lost);
        }
        if self.position > latest {
            // A leader that was elected a moment ago may not know the end yet.
            return Ok(Got::Beyond(lost));
        }
        // It is there. Either that was a follower which lags, or the broker does not know the epoch that we told it.
        self.tell_epoch = false;
        Ok(Got::Beyond(refused(broker, "Fetch", self.partition.at(self.position), ErrorCode::OffsetOutOfRange)))
    }

    fn batch_too_large(&self, bytes: usize) -> ClientError {
        let cap = self.options.batch_bytes_max.max(self.options.fetch_bytes_max);
        ClientError::BatchTooLarge { at: self.partition.at(self.position), bytes, cap }
    }

    async fn stalled(&self, nothing: Nothing, waited: Duration) -> ClientError {
        let held_open = nothing.last_stable <= self.position && self.position < nothing.high_watermark;
        let producer = match held_open {
            true => self.cluster.open_transaction(&self.partition, nothing.last_stable).await,
            false => None,
        };
        ClientError::Stalled(Box::new(Stalled {
            partition: self.partition.clone(),
            broker: nothing.broker,
            position: self.position,
            end: self.end_known(),
            last_stable: nothing.last_stable,
            high_watermark: nothing.high_watermark,
            waited,
            producer,
        }))
    }
}

fn check(broker: &Address, partition: &TopicPartition, code: i16) -> Result<(), ClientError> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(refused(broker, "Fetch", partition, code)),
    }
}
