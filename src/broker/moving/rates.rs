//! How fast copies may be made: what a node may send as leader and take as follower, of the partitions that say so.
//!
//! As in Kafka a rate is a node's setting, and which copies it holds for is a topic's: `partition:node` pairs, or `*`. A move goes
//! on as far as the room of both ends reaches. The room grows with the time, up to that of a second; a batch larger than what is
//! there is taken all the same, and paid for by a longer pause.

use crate::broker::cluster::lock;
use crate::broker::configs::TopicConfig;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use tokio::time::Instant;

/// Which end of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    Leader,
    Follower,
}

impl End {
    /// The node's setting.
    pub(crate) const fn rate(self) -> &'static str {
        match self {
            Self::Leader => "leader.replication.throttled.rate",
            Self::Follower => "follower.replication.throttled.rate",
        }
    }

    /// The topic's setting.
    pub(crate) const fn replicas(self) -> &'static str {
        match self {
            Self::Leader => "leader.replication.throttled.replicas",
            Self::Follower => "follower.replication.throttled.replicas",
        }
    }

    /// Which end a node's setting is about.
    pub(crate) fn of_rate(name: &str) -> Option<Self> {
        [Self::Leader, Self::Follower].into_iter().find(|end| end.rate() == name)
    }
}

/// Bytes a second of each node, where they are set.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    set: Mutex<BTreeMap<(i32, End), i64>>,
}

impl Rates {
    pub(crate) fn set(&self, node: i32, end: End, rate: Option<i64>) {
        let mut set = lock(&self.set);
        match rate {
            Some(rate) => set.insert((node, end), rate),
            None => set.remove(&(node, end)),
        };
    }

    pub(crate) fn get(&self, node: i32, end: End) -> Option<i64> {
        lock(&self.set).get(&(node, end)).copied()
    }
}

/// Whether a topic says that a copy of this partition is throttled at this end of it.
pub(crate) fn is_throttled(config: &TopicConfig, end: End, partition: i32, node: i32) -> bool {
    let listed = config.text(end.replicas());
    listed == "*" || listed.split(',').any(|pair| pair.trim() == format!("{partition}:{node}"))
}

/// The room that each end has now. Only the task that copies has one.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rooms: HashMap<(i32, End), Room>,
}

#[derive(Debug)]
struct Room {
    /// Below 0 after a batch that was larger.
    bytes: f64,
    grown: Instant,
}

impl Pace {
    /// How many bytes this end may copy at `now`.
    pub(super) fn room(&mut self, node: i32, end: End, rate: i64, now: Instant) -> usize {
        let room = self.rooms.entry((node, end)).or_insert(Room { bytes: 0.0, grown: now });
        let grown = now.saturating_duration_since(room.grown).as_secs_f64() * rate as f64;
        room.bytes = (room.bytes + grown).min(rate as f64);
        room.grown = now;
        if room.bytes >= 1.0 { room.bytes as usize } else { 0 }
    }

    /// So many were copied there.
    pub(super) fn used(&mut self, node: i32, end: End, bytes: usize) {
        if let Some(room) = self.rooms.get_mut(&(node, end)) {
            room.bytes -= bytes as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::configs::Change;
    use std::time::Duration;

    #[test]
    fn room_grows_with_the_time_up_to_that_of_a_second_and_what_is_taken_beyond_it_is_paid_for() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let at = |ms: u64| began + Duration::from_millis(ms);
        assert_eq!(pace.room(1, End::Leader, 1000, at(0)), 0);
        assert_eq!(pace.room(1, End::Leader, 1000, at(100)), 100);
        pace.used(1, End::Leader, 600);
        assert_eq!(pace.room(1, End::Leader, 1000, at(500)), 0, "half a second is owed");
        assert_eq!(pace.room(1, End::Leader, 1000, at(700)), 100);
        assert_eq!(pace.room(1, End::Leader, 1000, at(9000)), 1000);
        assert_eq!(pace.room(1, End::Follower, 1000, at(9000)), 0, "its own");
        assert_eq!(pace.room(2, End::Leader, 0, at(9000)), 0);
        assert_eq!(pace.room(2, End::Leader, 0, at(99_000)), 0, "a rate of nothing stays nothing");
    }

    #[test]
    fn a_topic_says_which_copies_are_throttled() {
        let with = |value: &str| {
            let changes = [(End::Follower.replicas(), Change::Set(value.to_owned()))];
            TopicConfig::default().changed(changes).unwrap()
        };
        for (value, is) in [("", false), ("*", true), ("0:1,3:2", true), ("3:1,0:2", false), ("13:2", false)] {
            assert_eq!(is_throttled(&with(value), End::Follower, 3, 2), is, "{value}");
            assert!(!is_throttled(&with(value), End::Leader, 3, 2), "{value}");
        }
    }
}
