//! What the nodes of one cluster share: topics, addresses, memory, the next producer id.
//!
//! There is one copy of everything. A node is a listener and the set of partitions it leads; what is asked of the wrong
//! node is refused as a real cluster refuses it, so that a client must find its way.

use super::configs::TopicConfig;
use super::coordinator::Coordinator;
use super::faults::Faults;
use super::features::Features;
use super::memory::Memory;
use super::producers::Expiry;
use super::throttle::Quotas;
use super::topic::{NO_LEADER, Partition, Topic};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::wire::Uuid;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One listener and where clients reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    /// All nodes there ever are.
    pub(crate) nodes: Vec<Node>,
    pub(crate) memory: Memory,
    pub(crate) faults: Faults,
    pub(crate) quotas: Quotas,
    features: RwLock<Features>,
    /// Transactions and committed offsets.
    pub(crate) coordinator: Coordinator,
    /// The nodes that are known to be dead.
    dead: RwLock<BTreeSet<i32>>,
    /// The nodes that do not answer, whether that is known or not.
    silent: RwLock<BTreeSet<i32>>,
    expiry: Mutex<Expiry>,
    topics: RwLock<Topics>,
    next_producer_id: AtomicI64,
    /// Moves on by one partition at a time, so that leaders are spread also over topics of one partition.
    next_leader: AtomicUsize,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

/// Why a topic could not be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAdded {
    Exists,
    /// Metrics once wrote dots as underscores, so Kafka keeps such names apart.
    Collides(Arc<str>),
    NoMemory,
}

impl std::fmt::Display for NotAdded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists => f.write_str("it exists"),
            Self::Collides(other) => write!(f, "its name collides with that of {other}"),
            Self::NoMemory => f.write_str("the broker's memory is full"),
        }
    }
}

impl Cluster {
    pub(crate) fn new(nodes: Vec<Node>, memory_bytes: usize) -> Self {
        let random: u64 = rand::random();
        Self {
            id: format!("kmerge{random:016x}"),
            nodes,
            memory: Memory::new(memory_bytes),
            faults: Faults::default(),
            quotas: Quotas::default(),
            features: RwLock::default(),
            coordinator: Coordinator::default(),
            dead: RwLock::default(),
            silent: RwLock::default(),
            expiry: Mutex::new(Expiry {
                expiration_ms: Expiry::DEFAULT_EXPIRATION_MS,
                check_interval_ms: Expiry::DEFAULT_CHECK_INTERVAL_MS,
                since_ms: now_ms(),
            }),
            topics: RwLock::default(),
            next_producer_id: AtomicI64::new(1),
            next_leader: AtomicUsize::new(0),
        }
    }

    pub(crate) fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// What the cluster has settled on by now.
    pub(crate) fn features(&self) -> Features {
        *read(&self.features)
    }

    pub(crate) fn set_features(&self, features: Features) {
        *write(&self.features) = features;
    }

    /// The node that is told as the controller. Any node does its work.
    pub(crate) fn controller(&self) -> i32 {
        self.alive().first().map_or(-1, |node| node.id)
    }

    /// The nodes that are told to clients.
    pub(crate) fn alive(&self) -> Vec<&Node> {
        let dead = read(&self.dead);
        self.nodes.iter().filter(|node| !dead.contains(&node.id)).collect()
    }

    pub(crate) fn is_alive(&self, node: i32) -> bool {
        !read(&self.dead).contains(&node)
    }

    /// Whether the other nodes would get an answer from it.
    pub(crate) fn is_reachable(&self, node: i32) -> bool {
        node != NO_LEADER && !read(&self.silent).contains(&node)
    }

    /// A node answers no more, or again.
    pub(crate) fn set_reachable(&self, node: i32, is_reachable: bool) {
        let mut silent = write(&self.silent);
        if is_reachable {
            silent.remove(&node)
        } else {
            silent.insert(node)
        };
    }

    /// The cluster learns that a node is dead: what it led is led by another replica that has everything, or by nobody.
    pub(crate) fn bury(&self, node: i32) {
        write(&self.dead).insert(node);
        for partition in self.partitions() {
            let mut state = partition.state();
            if state.leader == node {
                let heir = state.in_sync(|other| self.is_alive(other)).first().copied();
                match heir {
                    Some(heir) => state.elect(heir, &self.memory, now_ms()),
                    None => state.lose_leader(),
                }
            }
            drop(state);
            partition.changed.notify_waiters();
        }
    }

    /// The cluster learns that a node is back: it leads what nobody else could lead.
    pub(crate) fn welcome(&self, node: i32) {
        write(&self.dead).remove(&node);
        for partition in self.partitions() {
            let mut state = partition.state();
            if state.leader == NO_LEADER && state.in_sync(|other| self.is_alive(other)).contains(&node) {
                state.elect(node, &self.memory, now_ms());
            }
            drop(state);
            partition.changed.notify_waiters();
        }
    }

    /// A node was restarted and knows of producers what it finds in its logs.
    pub(crate) fn reload(&self, node: i32) {
        let expiration_ms = self.expiry().expiration_ms;
        for partition in self.partitions() {
            partition.state().reload(node, now_ms(), expiration_ms);
        }
    }

    fn partitions(&self) -> Vec<Arc<Partition>> {
        self.topics().iter().flat_map(|topic| topic.partitions()).collect()
    }

    pub(crate) fn expiry(&self) -> Expiry {
        *lock(&self.expiry)
    }

    pub(crate) fn set_expiry(&self, expiry: Expiry) {
        *lock(&self.expiry) = expiry;
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.topics).by_name.get(name).cloned()
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        read(&self.topics).by_id.get(&id).cloned()
    }

    /// All topics by name.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        read(&self.topics).by_name.values().cloned().collect()
    }

    pub(crate) fn partition(&self, at: &TopicPartition) -> Option<Arc<Partition>> {
        self.topic(&at.topic)?.partition(at.partition)
    }

    pub(crate) fn next_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The nodes that hold a new partition, its leader first.
    pub(crate) fn place(&self, replicas: usize) -> Vec<i32> {
        let first = self.next_leader.fetch_add(1, Ordering::Relaxed);
        let alive = self.alive();
        let nodes = alive.iter().cycle().skip(first % alive.len().max(1));
        nodes.take(replicas.min(alive.len())).map(|node| node.id).collect()
    }

    /// Whether a topic of that name could be added now.
    pub(crate) fn may_add(&self, name: &str) -> Result<(), NotAdded> {
        may_add(&read(&self.topics), name)
    }

    /// Adds a topic with one partition for each list of replicas.
    pub(crate) fn add_topic(
        &self,
        name: &str,
        placement: Vec<Vec<i32>>,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, NotAdded> {
        let mut topics = write(&self.topics);
        may_add(&topics, name)?;
        let topic = Topic::new(name, Uuid(rand::random()), config);
        topic.add_partitions(placement, &self.memory).ok_or(NotAdded::NoMemory)?;
        let topic = Arc::new(topic);
        topics.by_id.insert(topic.id, topic.clone());
        topics.by_name.insert(topic.name.clone(), topic.clone());
        Ok(topic)
    }

    /// Forgets a topic and its records; readers that wait for more are woken to find it gone.
    pub(crate) fn remove_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let topic = {
            let mut topics = write(&self.topics);
            let topic = topics.by_name.remove(name)?;
            topics.by_id.remove(&topic.id);
            topic
        };
        self.coordinator.groups().forget_topic(name);
        for partition in topic.partitions() {
            partition.changed.notify_waiters();
        }
        Some(topic)
    }
}

fn may_add(topics: &Topics, name: &str) -> Result<(), NotAdded> {
    if topics.by_name.contains_key(name) {
        return Err(NotAdded::Exists);
    }
    let collides = |other: &&Arc<str>| other.len() == name.len() && unified(other) == unified(name);
    if name.contains(['.', '_'])
        && let Some(other) = topics.by_name.keys().find(collides)
    {
        return Err(NotAdded::Collides(other.clone()));
    }
    Ok(())
}

fn unified(name: &str) -> String {
    name.replace('.', "_")
}

/// A lock is only poisoned by a panic, which leaves our plain data usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(nodes: i32) -> Cluster {
        let nodes = (1..=nodes).map(|id| Node { id, host: "h".into(), port: 9000 + id as u16 }).collect();
        Cluster::new(nodes, 1 << 20)
    }

    #[test]
    fn leaders_are_spread_over_the_nodes_also_by_topics_of_one_partition() {
        let cluster = cluster(3);
        assert_eq!(cluster.place(1), [1]);
        assert_eq!(cluster.place(2), [2, 3]);
        assert_eq!(cluster.place(2), [3, 1]);
        assert_eq!(cluster.place(9), [1, 2, 3]);
    }

    #[test]
    fn a_name_that_differs_only_by_dot_and_underscore_collides() {
        let cluster = cluster(1);
        cluster.add_topic("a.b", vec![vec![1]], TopicConfig::default()).unwrap();
        assert_eq!(cluster.may_add("a.b"), Err(NotAdded::Exists));
        assert_eq!(cluster.may_add("a_b"), Err(NotAdded::Collides("a.b".into())));
        assert_eq!(cluster.may_add("a-b"), Ok(()));
    }

    #[test]
    fn a_removed_topic_gives_its_memory_back() {
        let cluster = cluster(1);
        let topic = cluster.add_topic("t", vec![vec![1]; 10], TopicConfig::default()).unwrap();
        let id = topic.id;
        assert!(cluster.memory.used_bytes() > 0);
        assert!(cluster.topic_by_id(id).is_some());
        drop((topic, cluster.remove_topic("t")));
        assert_eq!(cluster.memory.used_bytes(), 0);
        assert!(cluster.topic("t").is_none() && cluster.topic_by_id(id).is_none());
    }

    #[test]
    fn a_topic_whose_partitions_do_not_fit_is_not_added() {
        let cluster = cluster(1);
        let placement = vec![vec![1]; 100_000];
        assert_eq!(cluster.add_topic("t", placement, TopicConfig::default()).unwrap_err(), NotAdded::NoMemory);
        assert_eq!(cluster.memory.used_bytes(), 0);
    }
}
