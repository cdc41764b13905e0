//! A topic and its partitions. The log, the producers and the leader of a partition change together under one lock.
//!
//! There is one copy of the data. What makes a node's replica differ from it is noted here: where a lagging one ends, and
//! since when a restarted one knows its producers.

use super::cluster::{lock, read, write};
use super::configs::TopicConfig;
use super::log::{Block, Log, Overlap};
use super::memory::{Memory, Paid};
use super::moving::Move;
use super::producers::{Expiry, Lens, Producers, Reload, Stamp};
use super::transactions::Marker;
use crate::base::place::TopicPartition;
use crate::batch::Batch;
use crate::wire::Uuid;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use tokio::sync::Notify;

/// What an empty partition costs.
const PARTITION_BYTES: usize = 1024;

/// The longest topic name.
const NAME_CHARS_MAX: usize = 249;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    config: RwLock<Arc<TopicConfig>>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

/// A partition and who waits for it to grow.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) at: TopicPartition,
    state: Mutex<State>,
    /// Notified after each append, trim, and change of leader.
    pub(crate) changed: Notify,
    _paid: Paid,
}

/// What changes together.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) producers: Producers,
    /// The nodes that are told to hold it.
    pub(crate) replicas: Vec<i32>,
    /// [`NO_LEADER`] while none of them can lead.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    /// Who is added and who removed, while it is on its way to other nodes.
    pub(crate) moving: Move,
    /// Where the log ended when the leader was elected.
    pub(crate) leader_since: i64,
    /// Where the copies of the nodes end that do not have everything.
    pub(crate) lagging: BTreeMap<i32, i64>,
    /// The last restart of each node.
    reloads: BTreeMap<i32, Reload>,
}

/// The leader's id where there is none.
pub(crate) const NO_LEADER: i32 = -1;

impl Topic {
    pub(crate) fn new(name: &str, id: Uuid, config: TopicConfig) -> Self {
        Self { name: name.into(), id, config: RwLock::new(Arc::new(config)), partitions: RwLock::default() }
    }

    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        read(&self.config).clone()
    }

    /// Changes the configuration, or only says whether it could be changed.
    pub(crate) fn alter_config(
        &self,
        change: impl FnOnce(&TopicConfig) -> Result<TopicConfig, String>,
        validate_only: bool,
    ) -> Result<(), String> {
        let mut config = write(&self.config);
        let changed = change(&config)?;
        if !validate_only {
            *config = Arc::new(changed);
        }
        Ok(())
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        read(&self.partitions).clone()
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        read(&self.partitions).get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn partition_count(&self) -> usize {
        read(&self.partitions).len()
    }

    /// How many nodes hold each partition.
    pub(crate) fn replication_factor(&self) -> usize {
        read(&self.partitions).first().map_or(0, |partition| partition.state().replicas.len())
    }

    /// Adds a partition for each list of replicas, all or, when they cannot be paid for, none.
    pub(crate) fn add_partitions(&self, placement: Vec<Vec<i32>>, memory: &Memory) -> Option<()> {
        let mut partitions = write(&self.partitions);
        let mut added = Vec::new();
        for (index, replicas) in (partitions.len()..).zip(placement) {
            let paid = memory.take(PARTITION_BYTES)?;
            let index = i32::try_from(index).ok()?;
            added.push(Arc::new(Partition::new(TopicPartition::new(self.name.clone(), index), replicas, paid)));
        }
        partitions.extend(added);
        Some(())
    }
}

impl Partition {
    fn new(at: TopicPartition, replicas: Vec<i32>, paid: Paid) -> Self {
        Self { at, state: Mutex::new(State::new(replicas)), changed: Notify::new(), _paid: paid }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    pub(crate) fn new(replicas: Vec<i32>) -> Self {
        let mut log = Log::default();
        log.begin_epoch(0);
        Self {
            log,
            producers: Producers::default(),
            leader: replicas.first().copied().unwrap_or(NO_LEADER),
            replicas,
            leader_epoch: 0,
            moving: Move::default(),
            leader_since: 0,
            lagging: BTreeMap::new(),
            reloads: BTreeMap::new(),
        }
    }

    /// The replicas that have everything, of those that are alive.
    pub(crate) fn in_sync(&self, is_alive: impl Fn(i32) -> bool) -> Vec<i32> {
        let complete = |node: &i32| is_alive(*node) && !self.lagging.contains_key(node);
        self.replicas.iter().copied().filter(complete).collect()
    }

    /// Where a node's copy ends.
    pub(crate) fn end_at(&self, node: i32) -> i64 {
        self.lagging.get(&node).map_or(self.log.end(), |end| self.log.end().min(*end))
    }

    /// The high watermark as a node knows it.
    pub(crate) fn watermark_at(&self, node: i32) -> i64 {
        self.log.high_watermark().min(self.end_at(node))
    }

    /// The producers as a node knows them.
    pub(crate) fn lens(&self, node: i32) -> Lens<'_> {
        Lens { reload: self.reloads.get(&node).copied(), transactions: self.log.transactions() }
    }

    /// Forgets the producers that have been silent too long.
    pub(crate) fn sweep(&mut self, expiry: Expiry, now_ms: i64) {
        self.producers.sweep(expiry, now_ms, self.log.transactions());
    }

    /// Makes a node the leader in a new epoch. What its copy lacks is lost to everybody. A node that held no replica
    /// takes the place of the leader before it.
    pub(crate) fn elect(&mut self, node: i32, memory: &Memory, now_ms: i64) {
        if !self.replicas.contains(&node) {
            match self.replicas.iter_mut().find(|replica| **replica == self.leader) {
                Some(replica) => *replica = node,
                None => self.replicas.push(node),
            }
        }
        if let Some(end) = self.lagging.remove(&node).filter(|end| *end < self.log.end()) {
            self.truncate(end, memory, now_ms);
        }
        self.leader = node;
        self.leader_epoch = self.leader_epoch.saturating_add(1);
        self.leader_since = self.log.end();
        self.log.begin_epoch(self.leader_epoch);
    }

    /// No replica can lead.
    pub(crate) fn lose_leader(&mut self) {
        self.leader = NO_LEADER;
        self.leader_epoch = self.leader_epoch.saturating_add(1);
    }

    /// Loses what lies from `offset` on; what is known of producers follows from the log that is left, as in Kafka.
    pub(crate) fn truncate(&mut self, offset: i64, memory: &Memory, now_ms: i64) {
        self.log.truncate(offset);
        let end = self.log.end();
        self.lagging.values_mut().for_each(|lagging| *lagging = end.min(*lagging));
        self.reloads.values_mut().for_each(|reload| reload.log_end = end.min(reload.log_end));
        self.producers.forget();
        for stored in self.log.from(self.log.start()) {
            if let Ok(batch) = Batch::read(stored.block.bytes()) {
                note_producer(&mut self.producers, &batch, memory, now_ms);
            }
        }
    }

    /// Puts a batch into the log that nobody has judged, as a follower does, and takes note of what it says of producers
    /// and transactions.
    pub(crate) fn replicate(
        &mut self,
        base_offset: i64,
        block: Block,
        memory: &Memory,
        now_ms: i64,
    ) -> Result<(), Overlap> {
        let header = Batch::read(block.bytes()).map(|batch| batch.header);
        let (last_delta, max_timestamp) = header.map_or((0, -1), |h| (h.last_offset_delta, h.max_timestamp));
        self.log.append_at(base_offset, block, last_delta, max_timestamp, self.leader_epoch)?;
        let stored = self.log.from(base_offset).next();
        if let Some(batch) = stored.and_then(|stored| Batch::read(stored.block.bytes()).ok()) {
            note_producer(&mut self.producers, &batch, memory, now_ms);
        }
        Ok(())
    }

    /// A node's copy ends there from now on.
    pub(crate) fn lag(&mut self, node: i32, end: i64) {
        self.lagging.insert(node, end);
    }

    /// A node holds no copy any more.
    pub(crate) fn forget_copy(&mut self, node: i32) {
        self.lagging.remove(&node);
        self.reloads.remove(&node);
    }

    /// Every copy is whole and the high watermark is the end.
    pub(crate) fn catch_up(&mut self) {
        self.lagging.clear();
        self.log.hold_watermark(None);
    }

    /// A node was restarted.
    pub(crate) fn reload(&mut self, node: i32, at_ms: i64, expiration_ms: i64) {
        if self.replicas.contains(&node) {
            self.reloads.insert(node, Reload { log_end: self.log.end(), at_ms, expiration_ms });
        }
    }
}

/// What a batch in the log says of its producer, sequence and epoch unjudged.
fn note_producer(producers: &mut Producers, batch: &Batch<'_>, memory: &Memory, now_ms: i64) {
    let header = &batch.header;
    let Some(stamp) = Stamp::of(header) else { return };
    let marker = if header.is_control() { Marker::of(batch) } else { None };
    if header.is_control() != marker.is_some() || !producers.admit(stamp.producer_id, stamp.epoch, memory) {
        return;
    }
    let offsets = (header.base_offset, header.last_offset());
    match marker {
        Some(marker) => producers.marked(stamp.producer_id, stamp.epoch, offsets.0, marker, now_ms),
        None => producers.appended(stamp, offsets, header.max_timestamp, now_ms),
    }
}

/// Whether a topic may be called that: Kafka's rule, and what is wrong with the name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let shown = crate::base::text::visible(name);
    match name {
        "" => Err("the topic name is empty".into()),
        "." | ".." => Err(format!("the topic name cannot be {shown}")),
        _ if name.len() > NAME_CHARS_MAX => {
            Err(format!("the topic name is {} characters long, at most {NAME_CHARS_MAX} are allowed", name.len()))
        }
        _ if !name.chars().all(legal) => {
            Err(format!("the topic name {shown} holds other characters than ASCII letters, digits, '.', '_' and '-'"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_what_kafka_allows() {
        for good in ["a", "data-input", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "é", "a\n", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn partitions_are_added_all_or_none() {
        let memory = Memory::new(3 * PARTITION_BYTES);
        let topic = Topic::new("t", Uuid([1; 16]), TopicConfig::default());
        assert!(topic.add_partitions(vec![vec![1], vec![2]], &memory).is_some());
        assert!(topic.add_partitions(vec![vec![1], vec![2]], &memory).is_none());
        assert_eq!((topic.partition_count(), memory.used_bytes()), (2, 2 * PARTITION_BYTES));
        assert_eq!(topic.partition(1).unwrap().state().leader, 2);
        assert!(topic.partition(-1).is_none() && topic.partition(2).is_none());
    }
}
