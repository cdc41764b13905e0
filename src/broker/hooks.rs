//! What tests do to topics and partitions behind the protocol's back: prepared batches, gaps, retention, elections, lost
//! tails, lagging copies, forgotten producers, quotas. What is done to whole nodes is in `nodes`, to requests in `faults`.

use super::configs::{Change, TopicConfig};
use super::log::{BATCH_OVERHEAD_BYTES, Block};
use super::producers::Expiry;
use super::topic::{Partition, State};
use super::transactions::Aborted;
use super::{Broker, BrokerError, refused};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::batch::{Batch, Batches};
use crate::wire::{ApiKey, Uuid};
use std::sync::Arc;
use std::time::Duration;

impl Broker {
    /// Creates a topic each partition of which is held by so many nodes.
    pub fn create_replicated_topic(
        &self,
        topic: &str,
        partitions: i32,
        replicas: usize,
        configs: &[(&str, &str)],
    ) -> Result<(), BrokerError> {
        super::topic::check_name(topic).map_err(|why| refused(topic, why))?;
        let limit = super::api::PARTITIONS_MAX;
        if !(1..=limit).contains(&partitions) {
            return Err(refused(topic, format!("{partitions} partitions, it must be 1 to {limit}")));
        }
        let changes = configs.iter().map(|(name, value)| (*name, Change::Set((*value).to_owned())));
        let config = TopicConfig::default().changed(changes).map_err(|why| refused(topic, why))?;
        let placement = (0..partitions).map(|_| self.cluster.place(replicas)).collect();
        self.cluster.add_topic(topic, placement, config).map_err(|error| refused(topic, error.to_string()))?;
        Ok(())
    }

    /// Deletes a topic and its records.
    pub fn delete_topic(&self, topic: &str) -> Result<(), BrokerError> {
        let gone = self.cluster.remove_topic(topic);
        gone.map(drop).ok_or_else(|| BrokerError::UnknownPartition(TopicPartition::new(topic, 0)))
    }

    /// The id of a topic; one that is deleted and created again has another.
    pub fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.cluster.topic(topic).map(|topic| topic.id)
    }

    /// Puts prepared batches (data, control, transactional, empty, with append time, from any producer) at the end of a
    /// partition, as a follower takes them from its leader: base offsets and leader epoch are filled in, the rest
    /// (checksum, flags, records) stays as it is. What they say of producers and transactions is taken note of: a
    /// transactional batch holds the last stable offset back until a marker of its producer ends the transaction, and an
    /// aborted one is told to read-committed readers. Gives the first batch's offset.
    pub fn append_raw(&self, topic: &str, partition: i32, batches: &[u8]) -> Result<i64, BrokerError> {
        let first = self.changed(topic, partition, |state| state.log.end())?;
        let mut whole = Batches::new(batches);
        for batch in &mut whole {
            let end = self.changed(topic, partition, |state| state.log.end())?;
            self.append_raw_at(topic, partition, end, batch?.bytes())?;
        }
        // What is left over is not a batch; reading it says why.
        if !whole.rest().is_empty() {
            Batch::read(whole.rest())?;
        }
        Ok(first)
    }

    /// The same with one batch at an offset of the test's choice, which may leave a gap as compaction does.
    pub fn append_raw_at(
        &self,
        topic: &str,
        partition: i32,
        base_offset: i64,
        batch: &[u8],
    ) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        let batch = Batch::read(batch)?;
        let memory = &self.cluster.memory;
        let full = BrokerError::MemoryFull { limit_bytes: memory.total_bytes() };
        let paid = memory.take(batch.bytes().len() + BATCH_OVERHEAD_BYTES).ok_or(full)?;
        let block = Block::new(batch.bytes().into(), paid);
        let appended = found.state().replicate(base_offset, block, memory, now_ms());
        appended.map_err(|overlap| BrokerError::Overlap {
            partition: found.at.clone(),
            end: overlap.log_end,
            base_offset,
        })?;
        found.changed.notify_waiters();
        Ok(())
    }

    /// All batches of a partition, one after the other, as a reader of everything would get them.
    pub fn log(&self, topic: &str, partition: i32) -> Result<Vec<u8>, BrokerError> {
        let found = self.partition(topic, partition)?;
        let slice = {
            let state = found.state();
            state.log.read(state.log.start(), i64::MAX, usize::MAX, true)
        };
        Ok(slice.blocks.iter().flat_map(|block| block.bytes().iter().copied()).collect())
    }

    /// Start and end of a partition's log.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), BrokerError> {
        let found = self.partition(topic, partition)?;
        let state = found.state();
        Ok((state.log.start(), state.log.end()))
    }

    /// High watermark and last stable offset of a partition, as its leader tells them.
    pub fn readable(&self, topic: &str, partition: i32) -> Result<(i64, i64), BrokerError> {
        let found = self.partition(topic, partition)?;
        let state = found.state();
        Ok((state.log.high_watermark(), state.log.last_stable()))
    }

    /// Moves the log start up, as retention does.
    pub fn set_log_start(&self, topic: &str, partition: i32, offset: i64) -> Result<(), BrokerError> {
        self.changed(topic, partition, |state| state.log.trim(offset))
    }

    /// Pretends that a transaction is open from an offset on, or that none is: the last stable offset stays there. (A
    /// transaction with records is opened by [`Self::append_raw`].)
    pub fn set_open_transaction(&self, topic: &str, partition: i32, from: Option<i64>) -> Result<(), BrokerError> {
        self.changed(topic, partition, |state| state.log.set_open_from(from))
    }

    /// Tells readers of committed data that a producer's records from the first to the last offset were aborted, where
    /// the batches of [`Self::append_raw`] do not say so themselves.
    pub fn add_aborted(
        &self,
        topic: &str,
        partition: i32,
        producer_id: i64,
        first_offset: i64,
        last_offset: i64,
    ) -> Result<(), BrokerError> {
        let aborted = Aborted { producer_id, first_offset, last_offset };
        self.changed(topic, partition, |state| state.log.add_aborted(aborted))
    }

    /// The id of the node that leads a partition; -1 while none can.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32, BrokerError> {
        Ok(self.partition(topic, partition)?.state().leader)
    }

    /// The epoch of a partition's leader: 0 at first, one more with each election.
    pub fn leader_epoch(&self, topic: &str, partition: i32) -> Result<i32, BrokerError> {
        Ok(self.partition(topic, partition)?.state().leader_epoch)
    }

    /// Makes a node the leader of a partition, in a new epoch, which is given back. The old leader answers
    /// NOT_LEADER_OR_FOLLOWER from now on, unless it holds a replica still and is only read from. Where the node's copy
    /// [lags](Self::lag) the election is an unclean one: what it lacks is lost. A node that held no replica takes the
    /// place of the old leader.
    pub fn elect(&self, topic: &str, partition: i32, node: i32) -> Result<i32, BrokerError> {
        self.cluster.node(node).ok_or(BrokerError::UnknownNode(node))?;
        self.changed(topic, partition, |state| {
            state.elect(node, &self.cluster.memory, now_ms());
            state.leader_epoch
        })
    }

    /// [`Self::elect`] by the name that earlier tests know.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), BrokerError> {
        self.elect(topic, partition, node).map(drop)
    }

    /// An unclean election that loses the tail: the log ends at `offset` (or at the start of the batch it lies in), in a
    /// new epoch, which is given back; the leader stays. What is appended then takes the lost offsets again.
    pub fn truncate(&self, topic: &str, partition: i32, offset: i64) -> Result<i32, BrokerError> {
        self.changed(topic, partition, |state| {
            let memory = &self.cluster.memory;
            state.truncate(offset, memory, now_ms());
            state.elect(state.leader, memory, now_ms());
            state.leader_epoch
        })
    }

    /// A node's copy of a partition ends at `end` until [`Self::catch_up`]: it is out of sync, whoever reads from it (a
    /// follower serves Fetch from version 11 on) sees no more than that, and if it is [elected](Self::elect) the rest is
    /// lost. Only for nodes that do not lead.
    pub fn lag(&self, topic: &str, partition: i32, node: i32, end: i64) -> Result<(), BrokerError> {
        self.cluster.node(node).ok_or(BrokerError::UnknownNode(node))?;
        let found = self.partition(topic, partition)?;
        let mut state = found.state();
        if state.leader == node {
            return Err(BrokerError::Leads { node, partition: found.at.clone() });
        }
        state.lag(node, end);
        drop(state);
        found.changed.notify_waiters();
        Ok(())
    }

    /// The leader of a partition takes everything from `offset` on for not yet replicated, until [`Self::catch_up`]:
    /// readers see no further, a Produce with acks -1 above it waits until its timeout (REQUEST_TIMED_OUT, and the batch is
    /// in the log). Elected after that, a leader answers ListOffsets with OFFSET_NOT_AVAILABLE until it has caught up.
    pub fn hold_high_watermark(&self, topic: &str, partition: i32, offset: i64) -> Result<(), BrokerError> {
        self.changed(topic, partition, |state| state.log.hold_watermark(Some(offset)))
    }

    /// Every copy of a partition is whole again and its high watermark the end of its log.
    pub fn catch_up(&self, topic: &str, partition: i32) -> Result<(), BrokerError> {
        self.changed(topic, partition, State::catch_up)
    }

    /// A partition forgets all that it knows of idempotent producers, as when they expire: the next batch of each is
    /// taken whatever its sequence, a retry is appended twice.
    pub fn forget_producers(&self, topic: &str, partition: i32) -> Result<(), BrokerError> {
        self.changed(topic, partition, |state| state.producers.forget())
    }

    /// From now on producers are forgotten so long after the timestamp of their last record (Kafka's
    /// `producer.id.expiration.ms`, a day by default), in sweeps at that interval (ten minutes by default).
    pub fn expire_producers(&self, after: Duration, check_interval: Duration) {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let (expiration_ms, check_interval_ms) = (ms(after), ms(check_interval));
        self.cluster.set_expiry(Expiry { expiration_ms, check_interval_ms, since_ms: now_ms() });
    }

    /// A quota, until it is lifted by `None`: each answer of that API says that the client is throttled for so long, and
    /// the broker reads nothing from its connection meanwhile. What was asked for is done, but a throttled Fetch is
    /// answered empty, and the next one on its connection is let through. (A throttle that the broker does not enforce is
    /// [`Fault::Throttle`](super::Fault::Throttle).)
    pub fn throttle(&self, api: ApiKey, pause: impl Into<Option<Duration>>) {
        self.cluster.quotas.set(api, pause.into());
    }

    /// Does something to a partition and wakes who waits for it to change.
    fn changed<T>(&self, topic: &str, partition: i32, act: impl FnOnce(&mut State) -> T) -> Result<T, BrokerError> {
        let found = self.partition(topic, partition)?;
        let done = act(&mut found.state());
        found.changed.notify_waiters();
        Ok(done)
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, BrokerError> {
        let at = TopicPartition::new(topic, partition);
        self.cluster.partition(&at).ok_or(BrokerError::UnknownPartition(at))
    }
}
