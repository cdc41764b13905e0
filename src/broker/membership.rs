//! The nodes of the cluster: where each listens, which are known to be dead, which do not answer.
//!
//! Nodes join while the cluster runs, and are never forgotten: one that is stopped keeps its id and its address. Its homes are
//! the nodes that were there from the start: what is spread over nodes by a hash (who coordinates what) stays where it is when
//! another one joins, as it does in Kafka.

use super::cluster::{read, write};
use std::collections::BTreeSet;
use std::sync::RwLock;

/// One listener and where clients reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Membership {
    nodes: RwLock<Vec<Node>>,
    homes: usize,
    dead: RwLock<BTreeSet<i32>>,
    silent: RwLock<BTreeSet<i32>>,
}

impl Membership {
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        let homes = nodes.len();
        Self { nodes: RwLock::new(nodes), homes, dead: RwLock::default(), silent: RwLock::default() }
    }

    /// All that ever joined, by their ids.
    pub(crate) fn all(&self) -> Vec<Node> {
        read(&self.nodes).clone()
    }

    /// Those that were there from the start.
    pub(crate) fn homes(&self) -> Vec<i32> {
        read(&self.nodes).iter().take(self.homes).map(|node| node.id).collect()
    }

    pub(crate) fn node(&self, id: i32) -> Option<Node> {
        read(&self.nodes).iter().find(|node| node.id == id).cloned()
    }

    /// Those that are told to clients.
    pub(crate) fn alive(&self) -> Vec<Node> {
        let dead = read(&self.dead);
        read(&self.nodes).iter().filter(|node| !dead.contains(&node.id)).cloned().collect()
    }

    pub(crate) fn is_alive(&self, node: i32) -> bool {
        !read(&self.dead).contains(&node)
    }

    /// A node is known to be dead, or to be back.
    pub(crate) fn set_alive(&self, node: i32, is_alive: bool) {
        mark(&self.dead, node, !is_alive);
    }

    /// Whether the other nodes would get an answer from it.
    pub(crate) fn is_reachable(&self, node: i32) -> bool {
        !read(&self.silent).contains(&node)
    }

    /// A node answers no more, or again.
    pub(crate) fn set_reachable(&self, node: i32, is_reachable: bool) {
        mark(&self.silent, node, !is_reachable);
    }

    /// Another node is there from now on; its id follows the highest one.
    pub(crate) fn join(&self, host: String, port: u16) -> Node {
        let mut nodes = write(&self.nodes);
        let id = nodes.last().map_or(1, |last| last.id.saturating_add(1));
        let node = Node { id, host, port };
        nodes.push(node.clone());
        node
    }
}

fn mark(set: &RwLock<BTreeSet<i32>>, node: i32, is_in: bool) {
    let mut set = write(set);
    if is_in {
        set.insert(node)
    } else {
        set.remove(&node)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joins_gets_the_next_id_and_is_no_home() {
        let nodes = (1..=2).map(|id| Node { id, host: "h".into(), port: 9000 }).collect();
        let members = Membership::new(nodes);
        assert_eq!(members.join("h".into(), 9003).id, 3);
        assert_eq!((members.homes(), members.alive().len()), (vec![1, 2], 3));
        members.set_alive(3, false);
        assert_eq!((members.alive().len(), members.node(3).is_some()), (2, true));
        assert_eq!(members.join("h".into(), 9004).id, 4);
    }
}
