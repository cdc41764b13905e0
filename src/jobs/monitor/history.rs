//! From two looks to rates and ages. Pure: it knows neither clock nor cluster.

use super::snapshot::{GroupSeen, Seen, Snapshot};
use crate::base::place::TopicPartition;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What is kept from look to look.
#[derive(Debug, Default)]
pub struct History {
    last: Option<Snapshot>,
    /// What was seen to come in since the first look, by partition; of one that is gone it goes as well.
    bytes_in: HashMap<TopicPartition, u64>,
    /// From where a transaction holds readers back, and when that was first seen.
    held: HashMap<TopicPartition, (i64, Duration)>,
}

/// A look with what follows from the one before.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What was seen.
    pub snapshot: Snapshot,
    /// The time since the look before; `None` for the first.
    pub elapsed: Option<Duration>,
    /// As the snapshot's.
    pub topics: Vec<TopicView>,
    /// As the snapshot's.
    pub groups: Vec<GroupView>,
}

/// A topic: the sums over those of its partitions of which something is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicView {
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionView>,
    /// Offsets a second.
    pub messages_per_second: Option<f64>,
    /// Bytes a second.
    pub bytes_per_second: Option<f64>,
    /// The bytes of the leaders' copies.
    pub log_bytes: Option<u64>,
    /// Partitions of which a rate should be known and is not.
    pub gaps: usize,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionView {
    /// Offsets a second.
    pub messages_per_second: Option<f64>,
    /// Bytes a second.
    pub bytes_per_second: Option<f64>,
    /// The bytes that were seen to come in since the first look.
    pub bytes_in: u64,
    /// For how long a transaction has held readers back, as far as is known: since it began, or since that was first seen.
    pub held_for: Option<Duration>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// What it reads, by topic.
    pub topics: Vec<GroupTopic>,
}

/// A group in a topic: the sums over those partitions of which something is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupTopic {
    /// The topic.
    pub topic: Arc<str>,
    /// Partitions that it has offsets of.
    pub partitions: usize,
    /// Those of them whose end is not known.
    pub unknown: usize,
    /// All committed offsets together.
    pub committed: i64,
    /// The lag of all of them together.
    pub lag: i64,
    /// The largest lag in seconds.
    pub lag_seconds: Option<f64>,
    /// Offsets a second that it reads.
    pub messages_per_second: Option<f64>,
}

impl TopicView {
    /// The longest time that a transaction has held readers of a partition back.
    pub fn held_for(&self) -> Option<Duration> {
        self.partitions.iter().filter_map(|one| one.held_for).max()
    }
}

impl History {
    /// The partitions that a transaction was seen to hold back from this offset on.
    pub fn held_from(&self, partition: &TopicPartition) -> Option<i64> {
        self.held.get(partition).map(|(from, _)| *from)
    }

    /// Puts a look beside the one before.
    pub fn advance(&mut self, snapshot: Snapshot) -> View {
        let last = self.last.take();
        let elapsed = last.as_ref().and_then(|last| snapshot.at.checked_sub(last.at)).filter(|time| !time.is_zero());
        let last = last.unwrap_or_default();
        let mut held = HashMap::new();
        let mut bytes_in = HashMap::new();
        let mut topics = Vec::with_capacity(snapshot.topics.len());
        let before: HashMap<&str, _> = last.topics.iter().map(|topic| (&*topic.name, topic)).collect();
        for topic in &snapshot.topics {
            let before = before.get(&*topic.name).filter(|before| before.id == topic.id);
            let mut view = TopicView { name: topic.name.clone(), ..TopicView::default() };
            for (index, now) in (0..).zip(&topic.partitions) {
                let at = TopicPartition::new(topic.name.clone(), index);
                let was = before.and_then(|before| before.partitions.get(index as usize));
                let moved = was.zip(elapsed).map(|(was, elapsed)| (Moved::between(was, now), elapsed));
                let per_second = |count: Option<u64>, time: Duration| Some(count? as f64 / time.as_secs_f64());
                let mut one = PartitionView {
                    messages_per_second: moved.and_then(|(moved, time)| per_second(moved.messages, time)),
                    bytes_per_second: moved.and_then(|(moved, time)| per_second(moved.bytes, time)),
                    ..PartitionView::default()
                };
                let grown = moved.and_then(|(moved, _)| moved.bytes).unwrap_or(0);
                one.bytes_in = was.and(self.bytes_in.get(&at)).unwrap_or(&0).saturating_add(grown);
                if let Some((from, _)) = now.held_from() {
                    let since = match self.held.get(&at) {
                        Some((before, since)) if *before == from => *since,
                        _ => snapshot.at,
                    };
                    let began = now.held_by.as_ref().and_then(|held| held.transaction.as_ref()?.1);
                    let told = began.map(|began| snapshot.now_ms.saturating_sub(began).max(0) as u64);
                    let seen = snapshot.at.saturating_sub(since);
                    one.held_for = Some(told.map_or(seen, |ms| Duration::from_millis(ms).max(seen)));
                    held.insert(at.clone(), (from, since));
                }
                bytes_in.insert(at, one.bytes_in);
                if elapsed.is_some() && (one.messages_per_second.is_none() || one.bytes_per_second.is_none()) {
                    view.gaps += 1;
                }
                add(&mut view.messages_per_second, one.messages_per_second);
                add(&mut view.bytes_per_second, one.bytes_per_second);
                view.log_bytes = match (view.log_bytes, now.log_bytes) {
                    (Some(a), Some(b)) => Some(a.saturating_add(b)),
                    (a, b) => a.or(b),
                };
                view.partitions.push(one);
            }
            topics.push(view);
        }
        let groups = snapshot.groups.iter().map(|group| {
            let was = last.groups.iter().find(|one| one.name == group.name);
            group_view(group, was, elapsed, snapshot.now_ms)
        });
        let groups = groups.collect();
        (self.bytes_in, self.held) = (bytes_in, held);
        self.last = Some(snapshot.clone());
        View { snapshot, elapsed, topics, groups }
    }
}

/// What came in between two looks at a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moved {
    messages: Option<u64>,
    bytes: Option<u64>,
}

impl Moved {
    fn between(was: &Seen, now: &Seen) -> Self {
        // An end that moved back was told by a leader that had not heard of the last records, or they were lost.
        let messages = was.end.zip(now.end).and_then(|(was, now)| u64::try_from(now.checked_sub(was)?).ok());
        // Of a log whose start moved, or that another broker tells of, it is not known what came and what went.
        let same_log = was.leader == now.leader && was.start.is_some() && was.start == now.start;
        let sizes = was.log_bytes.zip(now.log_bytes).filter(|_| same_log);
        Self { messages, bytes: sizes.and_then(|(was, now)| now.checked_sub(was)) }
    }
}

fn group_view(group: &GroupSeen, was: Option<&GroupSeen>, elapsed: Option<Duration>, now_ms: i64) -> GroupView {
    let before: HashMap<&TopicPartition, i64> =
        was.iter().flat_map(|was| &was.positions).map(|one| (&one.partition, one.committed)).collect();
    let mut topics: BTreeMap<Arc<str>, GroupTopic> = BTreeMap::new();
    for one in &group.positions {
        let topic = topics
            .entry(one.partition.topic.clone())
            .or_insert_with(|| GroupTopic { topic: one.partition.topic.clone(), ..GroupTopic::default() });
        topic.partitions += 1;
        topic.committed = topic.committed.saturating_add(one.committed);
        match one.lag() {
            Some(lag) => topic.lag = topic.lag.saturating_add(lag),
            None => topic.unknown += 1,
        }
        let seconds = one.lag_seconds(now_ms);
        topic.lag_seconds = seconds.into_iter().chain(topic.lag_seconds).reduce(f64::max);
        // One that was set back has not read less than nothing.
        let read = before.get(&one.partition).and_then(|was| u64::try_from(one.committed.checked_sub(*was)?).ok());
        add(&mut topic.messages_per_second, read.zip(elapsed).map(|(read, time)| read as f64 / time.as_secs_f64()));
    }
    GroupView { name: group.name.clone(), topics: topics.into_values().collect() }
}

fn add(sum: &mut Option<f64>, one: Option<f64>) {
    if let Some(one) = one {
        *sum = Some(sum.unwrap_or(0.0) + one);
    }
}
