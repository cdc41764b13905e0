//! A topic and its partitions. The log, the producers and the leader of a partition change together under one lock.

use super::cluster::{lock, read, write};
use super::configs::TopicConfig;
use super::log::Log;
use super::memory::{Memory, Paid};
use super::producers::Producers;
use crate::base::place::TopicPartition;
use crate::wire::Uuid;
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
    /// The nodes that are told to hold it. There is one copy of the data, so all of them are always in sync.
    pub(crate) replicas: Vec<i32>,
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
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
}

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
        read(&self.partitions).first().map_or(0, |partition| partition.replicas.len())
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
        let leader = replicas.first().copied().unwrap_or(-1);
        let state = State { log: Log::default(), producers: Producers::default(), leader, leader_epoch: 0 };
        Self { at, replicas, state: Mutex::new(state), changed: Notify::new(), _paid: paid }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
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
