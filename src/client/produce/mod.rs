//! One partition of a topic as a [`Sink`]: finished batches, appended in order, each once.
//!
//! ```text
//! append ──▶ check ──▶ flight: what may be sent? ──▶ round: submit, await in order ──▶ answer: where did it land?
//!                        ▲      (state machine)                                            │
//!                        └──── between rounds: who leads? search the log, send again ◀─────┘
//! ```
//!
//! Non-obvious:
//! - A lost answer says nothing. Before a sole writer sends the batch again the log is searched for it; found there, it counts
//!   as stored, otherwise the same bytes go out under the same sequence and the broker tells a repeat from a new batch. The
//!   search is an extra: the broker's memory of a producer goes by the *timestamps of its records* (a day by default), so
//!   batches of old records are forgotten within minutes, and at once when a broker restarts; a repeat is then stored a
//!   second time. Who may not read the topic goes without it, and so does who writes beside others (`beside_others`): there
//!   the broker's memory is all there is.
//! - Whatever comes to a sole writer, the next base offset must follow the last one. So a batch that was stored twice, or a
//!   writer beside us, stops the run at the next answer. What no answer can show is a repeat of the *last* batch that reaches a forgetful
//!   broker after everything was acknowledged: look at the partition's end when the run is over. Beside others base offsets
//!   need only grow (without numbers not even that), so there a second copy goes unnoticed.
//! - Nothing is sent behind our back: the writer works while one of its methods is awaited. (Requests that were handed to the
//!   connection go out, and their answers come in, all the same.) What is dropped while it waits
//!   does no harm to what was taken before; of an `append` nobody knows then whether it was taken, so only `close` makes
//!   sense after it.
//! - Without acknowledgements ([`Acks::None`]) nothing is ever certain. What stands for an answer is that the network has taken the
//!   batch (`unanswered` has what can be learned beside that).
//! - Two times bound everything: an answer may take [`Cluster::timeout`] beyond what the broker is allowed to wait for its
//!   replicas; from the first failure on, a batch must become certain within [`WriteOptions::delivery_timeout`].

mod answer;
mod codes;
mod flight;
mod outgoing;
mod producer_id;
mod round;
mod search;
mod unanswered;

#[cfg(test)]
mod tests;

pub use crate::base::appended::{Appended, NotAdjacent};
pub use crate::ports::Outgoing;
pub use outgoing::Landed;
pub use producer_id::Identity;

use super::call::{Connection, Pending};
use super::cluster::{Cluster, Leader};
use super::error::ClientError;
use super::need::Need;
use super::retry::Retry;
use crate::base::place::TopicPartition;
use crate::ports::Sink;
use crate::wire::Uuid;
use crate::wire::produce::Produce;
use flight::Flight;
use outgoing::Held;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use unanswered::Unanswered;

/// What is promised about a batch whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Batches are numbered, so that the broker recognises a repeat.
    #[default]
    Idempotent,
    /// They are not: a repeat that the search does not prevent is stored, and noticed by its
    /// offset, which ends the run; beside others neither is there.
    AtLeastOnce,
}

impl Delivery {
    /// As it is typed and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idempotent => "idempotent",
            Self::AtLeastOnce => "at-least-once",
        }
    }
}

/// When a batch counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// When all replicas in sync have it.
    #[default]
    All,
    /// When the leader has it; it may be lost with the leader. Batches carry no numbers then.
    Leader,
    /// It never does: there is no answer, and a batch counts as sent when it is handed to the network. Batches carry no numbers.
    None,
}

/// How a partition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// What is promised about a batch whose answer was lost.
    pub delivery: Delivery,
    /// How many batches are on their way at once: 1 to 5, and 1 without numbers.
    pub in_flight_max: usize,
    /// How long a batch is tried from its first failure on; `None` is four times the cluster's timeout, so 2 minutes by
    /// default. Longer than a question is tried: a leader that is killed costs 9 to 14 s, a broker's clean restart a minute;
    /// waiting loses nothing, while giving up leaves an output that has to be begun again.
    pub delivery_timeout: Option<Duration>,
    /// When a batch counts as stored. Only with [`Acks::All`] can batches be numbered.
    pub acks: Acks,
    /// Others may write to the partition as well: offsets of theirs between ours are no error, so the guard against repeats
    /// is the numbers alone.
    pub beside_others: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            delivery: Delivery::Idempotent,
            in_flight_max: flight::IN_FLIGHT_MAX,
            delivery_timeout: None,
            acks: Acks::All,
            beside_others: false,
        }
    }
}

/// Appends to one partition. See the module's head.
#[derive(Debug)]
pub struct PartitionWriter {
    cluster: Cluster,
    delivery_timeout: Duration,
    acks: Acks,
    identity: Option<Identity>,
    /// The transactions that everything is written in, if any.
    transaction: Option<Transactional>,
    flight: Flight,
    appended: Appended,
    /// The batches that are not certain yet, those of `flight` in the same order.
    held: VecDeque<Held>,
    /// The first sequence of the next batch.
    sequence_next: i32,
    /// What is stored for certain and was not asked for yet, the oldest first.
    landed: VecDeque<Landed>,
    /// The topic that was there at the start; another one of the same name is not it.
    topic_id: Option<Uuid>,
    connection: Option<(Leader, Connection)>,
    /// The answers that are awaited, in order.
    pending: VecDeque<Pending<Produce>>,
    /// An answer's buffer, to be used again.
    buffer: Vec<u8>,
    /// The broker throttles us: nothing is sent before, and then one batch at a time.
    throttled_until: Option<Instant>,
    /// What went wrong last, while it is being put right.
    failure: Option<ClientError>,
    /// The tries since then.
    retry: Option<Retry>,
    stopped: bool,
    unanswered: Unanswered,
    /// For a test: what is sent again goes out under new numbers, and is not searched for.
    #[cfg(test)]
    renumbers: bool,
}

impl Cluster {
    /// A writer to `partition`, whose end is `end`: the first batch must land there.
    pub async fn writer(
        &self,
        partition: TopicPartition,
        end: i64,
        options: WriteOptions,
    ) -> Result<PartitionWriter, ClientError> {
        let identity = match (options.delivery, options.acks) {
            (Delivery::Idempotent, Acks::All) => Some(self.new_producer().await?),
            (Delivery::AtLeastOnce, _) | (_, Acks::Leader | Acks::None) => None,
        };
        Ok(self.writer_as(partition, end, options, identity, None))
    }

    /// A writer to `partition`, whose end is `end`, as a producer that is known already.
    pub(super) fn writer_as(
        &self,
        partition: TopicPartition,
        end: i64,
        options: WriteOptions,
        identity: Option<Identity>,
        transaction: Option<Transactional>,
    ) -> PartitionWriter {
        let sole = transaction.as_ref().map_or(!options.beside_others, |transaction| transaction.sole);
        let flight = Flight::new(end, options.in_flight_max, identity.is_some());
        PartitionWriter {
            cluster: self.clone(),
            delivery_timeout: options.delivery_timeout.unwrap_or(self.timeout() * 4),
            acks: options.acks,
            flight: if sole { flight } else { flight.beside_others() },
            identity,
            transaction,
            appended: Appended::at_end(partition, end),
            held: VecDeque::new(),
            sequence_next: 0,
            landed: VecDeque::new(),
            topic_id: None,
            connection: None,
            pending: VecDeque::new(),
            buffer: Vec::new(),
            throttled_until: None,
            failure: None,
            retry: None,
            stopped: false,
            unanswered: Unanswered::default(),
            #[cfg(test)]
            renumbers: false,
        }
    }
}

/// A partition that is written in transactions.
#[derive(Debug, Clone)]
pub(super) struct Transactional {
    /// As who.
    pub(super) id: Arc<str>,
    /// In which versions.
    pub(super) produce: Need,
    /// Whether nobody else writes there, so that each batch must land right behind the one before it.
    pub(super) sole: bool,
}

impl PartitionWriter {
    /// Waits until everything taken is stored for certain. What is dropped while it waits does no harm.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        let result = self.try_finish().await;
        self.stopped |= result.is_err();
        result
    }
}

/// Between transactions.
impl PartitionWriter {
    /// What follows is written as `identity`: with a new epoch the sequences begin anew. Nothing may be on its way.
    pub(super) fn go_on_as(&mut self, identity: Identity) {
        if self.identity != Some(identity) {
            self.sequence_next = 0;
        }
        self.identity = Some(identity);
        self.flight.begin_alone();
    }

    /// The transaction has ended, and its marker taken an offset.
    pub(super) fn pass_marker(&mut self) {
        self.flight.pass(1);
        self.appended.pass(1);
    }
}

impl PartitionWriter {
    /// The partition that is written.
    pub fn partition(&self) -> &TopicPartition {
        self.appended.partition()
    }

    /// As whose batches go out.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// What the batches take that are not stored for certain yet.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.iter().map(|held| held.bytes.capacity()).sum()
    }

    /// What is stored for certain.
    pub fn appended(&self) -> Appended {
        self.appended.clone()
    }

    /// The buffer of a batch that is stored, to be filled again.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.landed().map(|landed| landed.bytes)
    }

    /// The next batch that is stored for certain, in the order in which they were appended; each is told once.
    pub fn landed(&mut self) -> Option<Landed> {
        self.landed.pop_front()
    }

    /// Sends a batch behind those before it, and waits while as many as may be are on their way.
    pub async fn append(&mut self, batch: Outgoing) -> Result<(), ClientError> {
        self.still_writes()?;
        let result = self.try_append(batch).await;
        self.stopped |= result.is_err();
        result
    }

    async fn try_append(&mut self, batch: Outgoing) -> Result<(), ClientError> {
        let held = self.check(batch)?;
        while !self.flight.has_room() {
            self.step().await?;
        }
        self.flight.push(held.records);
        self.sequence_next = held.sequence_after();
        self.held.push_back(held);
        // What was handed to a connection goes on its way without us.
        self.send().await?;
        self.take_what_has_come()
    }

    /// Waits until everything is stored for certain, or why it cannot be.
    pub async fn finish(mut self) -> (Appended, Result<(), ClientError>) {
        let result = self.try_finish().await;
        if result.is_err() {
            self.hear_out().await;
        }
        (self.appended, result)
    }

    async fn try_finish(&mut self) -> Result<(), ClientError> {
        self.still_writes()?;
        while self.flight.len() > 0 {
            self.step().await?;
        }
        self.hear_word().await;
        Ok(())
    }

    /// Sends nothing more, not even again, and waits for the answers that are on their way.
    pub async fn close(mut self) -> (Appended, Result<(), ClientError>) {
        let result = self.fall_silent().await;
        (self.appended, result)
    }

    /// The same, for who wants to know afterwards which batches landed.
    pub async fn fall_silent(&mut self) -> Result<(), ClientError> {
        let mut result = Ok(());
        while !self.stopped && result.is_ok() && !self.pending.is_empty() {
            result = self.await_answer().await;
        }
        self.hear_the_rest().await;
        self.stopped = true;
        result
    }

    /// Of a writer that has fallen silent: what is stored behind a batch of which that is not known. With each its place among
    /// all that [`Self::landed`] has not told.
    pub fn landed_apart(&mut self) -> Vec<(usize, Landed)> {
        let held = std::mem::take(&mut self.held).into_iter().enumerate();
        let apart = held.filter(|(index, held)| held.told.is_some() && self.flight.has_landed(*index));
        apart.map(|(index, held)| (index, held.landed(-1))).collect()
    }

    fn still_writes(&self) -> Result<(), ClientError> {
        match self.stopped {
            true => Err(ClientError::WriterStopped { partition: self.partition().clone() }),
            false => Ok(()),
        }
    }
}

impl Sink for PartitionWriter {
    type Error = ClientError;

    fn partition(&self) -> &TopicPartition {
        self.partition()
    }

    async fn append(&mut self, batch: Outgoing) -> Result<(), ClientError> {
        self.append(batch).await
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        self.spare()
    }

    fn appended(&self) -> Appended {
        self.appended()
    }

    async fn finish(self) -> (Appended, Result<(), ClientError>) {
        self.finish().await
    }

    async fn close(self) -> (Appended, Result<(), ClientError>) {
        self.close().await
    }
}
