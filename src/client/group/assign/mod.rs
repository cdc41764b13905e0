//! Who reads what: the leader of a group shares the partitions out by one of four rules, under the names that other clients
//! know them by, so that its members need not all be ours.
//!
//! ```text
//!                 members alike            what it keeps from one time to the next
//!  range          per topic, in blocks     nothing
//!  roundrobin     over all topics          nothing
//!  sticky         balanced                 as much as balance allows (each says what it had, in its user data)
//!  cooperative-   the same, but what       the same; and what somebody still has goes to nobody else in that step: it is
//!   sticky        nobody gave up yet       taken first, given in the next rebalance
//! ```
//! Pure: members and counts of partitions in, partitions out. What holds for all four: every partition of every topic that
//! exists and has a subscriber goes to exactly one member that subscribes to it (cooperative-sticky: to at most one, and the
//! rest in the next step); the same question has the same answer.

mod cooperative;
mod range;
mod roundrobin;
mod sticky;

#[cfg(test)]
mod tests;

use crate::base::place::TopicPartition;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A rule by which partitions are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assignor {
    /// Each topic in blocks, one for each of its subscribers.
    Range,
    /// All partitions in turn.
    RoundRobin,
    /// As even as can be, with as few changes as can be.
    Sticky,
    /// The same, without giving up what stays: a partition that moves is taken in one step and given in the next.
    CooperativeSticky,
}

/// What a member of a group is to its leader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// The name under which it comes back after a restart.
    pub(crate) instance: Option<String>,
    /// What it subscribes to, each once.
    pub(crate) topics: Vec<Arc<str>>,
    /// What it says it has.
    pub(crate) owned: Vec<TopicPartition>,
    /// Since when; -1 if it does not say.
    pub(crate) generation: i32,
}

/// How many partitions each topic has; without those that do not exist.
pub(crate) type Counts = BTreeMap<Arc<str>, i32>;

/// What each member is given, in the order of the members.
pub(crate) type Shares = Vec<Vec<TopicPartition>>;

impl Assignor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    /// The name that all clients know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Shares out.
    pub(crate) fn share(self, members: &[Member], counts: &Counts) -> Shares {
        match self {
            Self::Range => range::share(members, counts),
            Self::RoundRobin => roundrobin::share(members, counts),
            Self::Sticky => sticky::share(members, counts),
            Self::CooperativeSticky => cooperative::share(members, counts),
        }
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Assignor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| {
            let hint = crate::base::text::did_you_mean(text, Self::ALL.iter().map(|one| one.name()));
            format!("no assignor {text:?}{hint}; there are range, roundrobin, sticky and cooperative-sticky")
        })
    }
}

impl Member {
    fn wants(&self, topic: &str) -> bool {
        self.topics.iter().any(|one| **one == *topic)
    }

    /// The order that all clients put members in, so that it is the same whoever leads: those with a name first.
    fn order(&self, other: &Self) -> Ordering {
        match (&self.instance, &other.instance) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.id.cmp(&other.id),
        }
    }
}

/// The indexes of the members in that order.
fn ordered(members: &[Member]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|a, b| members[*a].order(&members[*b]));
    order
}

/// The topics that exist and that somebody wants, with their counts, by name.
fn wanted<'a>(members: &[Member], counts: &'a Counts) -> impl Iterator<Item = (&'a Arc<str>, i32)> {
    let wanted: std::collections::BTreeSet<Arc<str>> = members.iter().flat_map(|one| one.topics.clone()).collect();
    counts.iter().filter(move |(topic, _)| wanted.contains(*topic)).map(|(topic, count)| (topic, *count))
}
