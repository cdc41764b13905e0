//! Which node coordinates a group or a transactional id.
//!
//! Each key has its node by a hash over the nodes that were there from the start, and while that one is dead the next one
//! that is alive: what it kept is not lost, as it lies with the cluster (Kafka reads it from a replicated log). Tests can move a key to another node.

use crate::broker::cluster::{Cluster, read, write};
use std::collections::BTreeMap;
use std::sync::RwLock;

/// Kafka's default for the partitions of its internal topics, which stand for the keys' homes.
const PARTITIONS: i32 = 50;

/// What a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Group,
    Transaction,
}

/// The keys that a test has moved.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    moved: RwLock<BTreeMap<(Sort, String), i32>>,
}

impl Seats {
    pub(crate) fn move_to(&self, sort: Sort, key: &str, node: i32) {
        write(&self.moved).insert((sort, key.to_owned()), node);
    }

    /// The node of a key; nothing where all are dead.
    pub(crate) fn node(&self, sort: Sort, key: &str, cluster: &Cluster) -> Option<i32> {
        let moved = read(&self.moved).get(&(sort, key.to_owned())).copied();
        if let Some(node) = moved.filter(|node| cluster.is_alive(*node)) {
            return Some(node);
        }
        let homes = cluster.members.homes();
        let first = usize::try_from(partition(key)).unwrap_or(0) % homes.len().max(1);
        let round = homes.iter().cycle().skip(first).take(homes.len()).copied();
        // One that joined later takes over only where all homes are dead.
        let later = cluster.alive().into_iter().map(|node| node.id);
        round.chain(later).find(|node| cluster.is_alive(*node))
    }
}

/// The partition of an internal topic that would hold a key: Java's hash of a string, without its sign.
pub(crate) fn partition(key: &str) -> i32 {
    let hash = key.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::membership::Node;

    fn cluster(nodes: i32) -> Cluster {
        let nodes = (1..=nodes).map(|id| Node { id, host: "h".into(), port: 9000 + id as u16 }).collect();
        Cluster::new(nodes, 1 << 20)
    }

    #[test]
    fn a_key_has_the_partition_that_kafka_gives_it() {
        // "hello".hashCode() is 99162322; that of "polygenelubricants" is the one integer without a positive twin.
        assert_eq!(partition("hello"), 99_162_322 % 50);
        assert_eq!(partition("polygenelubricants"), 0);
        assert_eq!(partition(""), 0);
    }

    #[test]
    fn keys_are_spread_over_the_nodes_and_fall_to_the_next_one_that_is_alive() {
        let cluster = cluster(3);
        let seats = Seats::default();
        let node = |key: &str| seats.node(Sort::Transaction, key, &cluster);
        let of: BTreeMap<i32, String> =
            (0..50).map(|i| format!("id-{i}")).map(|key| (node(&key).unwrap(), key)).collect();
        assert_eq!(of.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
        cluster.bury(2);
        assert_eq!((node(&of[&1]), node(&of[&2]), node(&of[&3])), (Some(1), Some(3), Some(3)));
        cluster.bury(3);
        assert_eq!(node(&of[&2]), Some(1));
        cluster.bury(1);
        assert_eq!(node(&of[&2]), None);
    }

    #[test]
    fn a_moved_key_stays_where_it_was_put_while_that_node_is_alive() {
        let cluster = cluster(2);
        let seats = Seats::default();
        seats.move_to(Sort::Group, "g", 2);
        assert_eq!(seats.node(Sort::Group, "g", &cluster), Some(2));
        seats.move_to(Sort::Group, "g", 1);
        assert_eq!(seats.node(Sort::Group, "g", &cluster), Some(1));
        cluster.bury(1);
        assert_eq!(seats.node(Sort::Group, "g", &cluster), Some(2));
    }
}
