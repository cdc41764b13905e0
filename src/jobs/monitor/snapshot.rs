//! What one look at a cluster saw. `None` is what was not told.

use crate::base::place::TopicPartition;
use crate::client::{FirstRecord, Producer};
use crate::wire::Uuid;
use std::sync::Arc;
use std::time::Duration;

/// One look.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When the ends were asked for, since the monitor began; by the monotonic clock.
    pub at: Duration,
    /// The time of day then, in milliseconds since 1970.
    pub now_ms: i64,
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The brokers that are in the cluster.
    pub brokers: Vec<BrokerSeen>,
    /// The topics that are looked at, by name.
    pub topics: Vec<TopicSeen>,
    /// The groups that are looked at, by name.
    pub groups: Vec<GroupSeen>,
    /// The groups of the names that were asked for, also those that read nothing of what is looked at; `None` where a broker did
    /// not tell of its groups.
    pub listed: Option<Vec<String>>,
    /// What could not be learned, and why; each once.
    pub problems: Vec<String>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSeen {
    /// Its id.
    pub node: i32,
    /// Where clients reach it.
    pub address: String,
    /// The bytes of the copies it holds, of all topics.
    pub log_bytes: Option<u64>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSeen {
    /// Its name.
    pub name: Arc<str>,
    /// Its id: one that was made anew is another topic.
    pub id: Uuid,
    /// Its partitions, by index.
    pub partitions: Vec<Seen>,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The broker that leads it; -1 for none.
    pub leader: i32,
    /// The brokers that should hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that are up to date.
    pub isr: Vec<i32>,
    /// The first offset that is still there.
    pub start: Option<i64>,
    /// The high watermark.
    pub end: Option<i64>,
    /// The last stable offset, asked for after the end: below that only where a transaction is open.
    pub stable: Option<i64>,
    /// The bytes of the leader's copy.
    pub log_bytes: Option<u64>,
    /// Whose transaction holds readers back, where that was asked and told.
    pub held_by: Option<Held>,
}

/// Who holds readers of committed records back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The producer, by the partition's leader.
    pub producer: Producer,
    /// Its transactional id and since when its transaction is open, by its coordinator.
    pub transaction: Option<(String, Option<i64>)>,
}

impl Seen {
    /// Whether fewer brokers are up to date than should hold it.
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }

    /// Whether nobody leads it.
    pub fn is_leaderless(&self) -> bool {
        self.leader < 0
    }

    /// From where on a transaction holds readers back, and where the partition ends.
    pub fn held_from(&self) -> Option<(i64, i64)> {
        self.stable.zip(self.end).filter(|(stable, end)| stable < end)
    }
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSeen {
    /// Its name.
    pub name: String,
    /// `Stable`, `Empty`, ...; empty where that is not told.
    pub state: String,
    /// How many are in it.
    pub members: Option<usize>,
    /// Where it is in the partitions that it has committed offsets of.
    pub positions: Vec<Position>,
}

/// Where a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset that the group reads.
    pub committed: i64,
    /// The partition's end.
    pub end: Option<i64>,
    /// The first record there is from that offset on.
    pub next: Option<FirstRecord>,
}

impl Position {
    /// How many offsets lie between the two; an offset beyond the end is no lead.
    pub fn lag(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.committed).max(0))
    }

    /// For how long the record that is read next has been there: nothing, where none is.
    pub fn lag_seconds(&self, now_ms: i64) -> Option<f64> {
        match (self.lag()?, self.next) {
            (0, _) | (_, Some(FirstRecord::Nothing)) => Some(0.0),
            (_, Some(FirstRecord::Written(time))) => Some(now_ms.saturating_sub(time).max(0) as f64 / 1000.0),
            _ => None,
        }
    }
}
