//! A plan that spreads topics evenly over some brokers and moves no more than that takes.
//!
//! Kafka's tool deals all partitions out anew, by chance. Here what may stay stays: only copies on other brokers, and those
//! that one broker has more of than its share, move. Then leaders are spread: each broker is first in as many lists as any
//! other, give or take one, where the lists allow it. The same cluster gives the same plan.
//!
//! ```text
//! who holds it now ── keep what is on these brokers ── fill up from the least loaded ── level ── spread the leaders
//! ```
//!
//! Where every broker has a rack, a partition's copies are on as many racks as there are, and levelling never puts two on one
//! that were on two.

use super::plan::Plan;
use crate::base::place::TopicPartition;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A broker that may hold partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub node: i32,
    /// Its rack; looked at only where all have one.
    pub rack: Option<String>,
}

/// A partition that has more copies than there are brokers to hold them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{partition} has {replicas} replicas, and only {brokers} broker(s) may hold them: name more brokers")]
pub struct TooFew {
    /// The partition.
    pub partition: TopicPartition,
    /// How many copies it has.
    pub replicas: usize,
    /// How many brokers were named.
    pub brokers: usize,
}

/// Spreads the partitions of `now` over the candidates.
pub fn propose(now: &Plan, candidates: &[Candidate]) -> Result<Plan, TooFew> {
    for (partition, replicas) in &now.partitions {
        if replicas.len() > candidates.len() {
            let (partition, replicas, brokers) = (partition.clone(), replicas.len(), candidates.len());
            return Err(TooFew { partition, replicas, brokers });
        }
    }
    let mut board = Board::new(now, candidates);
    board.keep(now);
    board.fill(now);
    board.level();
    board.spread_leaders();
    Ok(Plan { partitions: board.lists, ..Plan::default() })
}

/// The lists as they are so far, and who holds how much.
struct Board<'c> {
    lists: BTreeMap<TopicPartition, Vec<i32>>,
    load: BTreeMap<i32, usize>,
    /// Nothing where racks are not looked at.
    racks: BTreeMap<i32, &'c str>,
    /// The most copies a broker keeps of what it has.
    share: usize,
}

impl<'c> Board<'c> {
    fn new(now: &Plan, candidates: &'c [Candidate]) -> Self {
        let copies: usize = now.partitions.values().map(Vec::len).sum();
        let racks = candidates.iter().map(|one| Some((one.node, one.rack.as_deref()?))).collect::<Option<_>>();
        Self {
            lists: BTreeMap::new(),
            load: candidates.iter().map(|one| (one.node, 0)).collect(),
            racks: racks.unwrap_or_default(),
            share: copies.div_ceil(candidates.len().max(1)),
        }
    }

    /// Copies stay where they may, the leaders' first.
    fn keep(&mut self, now: &Plan) {
        self.lists = now.partitions.keys().map(|at| (at.clone(), Vec::new())).collect();
        let ranks = now.partitions.values().map(Vec::len).max().unwrap_or(0);
        for rank in 0..ranks {
            for (at, replicas) in &now.partitions {
                let Some(node) = replicas.get(rank) else { continue };
                let Some(load) = self.load.get_mut(node).filter(|load| **load < self.share) else { continue };
                *load += 1;
                self.lists.entry(at.clone()).or_default().push(*node);
            }
        }
    }

    /// What is missing goes to the least loaded broker, on a rack that the partition is not on if there is one.
    fn fill(&mut self, now: &Plan) {
        for (at, replicas) in &now.partitions {
            let mut list = self.lists.remove(at).unwrap_or_default();
            while list.len() < replicas.len() {
                let free = self.load.keys().copied().filter(|node| !list.contains(node));
                let Some(node) = free.min_by_key(|node| (self.shared_racks(*node, &list), self.load[node], *node))
                else {
                    break;
                };
                list.push(node);
                *self.load.entry(node).or_default() += 1;
            }
            self.lists.insert(at.clone(), list);
        }
    }

    /// How many copies of a list are on this broker's rack.
    fn shared_racks(&self, node: i32, list: &[i32]) -> usize {
        let Some(rack) = self.racks.get(&node) else { return 0 };
        list.iter().filter(|other| self.racks.get(other) == Some(rack)).count()
    }

    /// Copies move from the most loaded broker to the least loaded, until no two differ by more than one. Each move makes the
    /// squares of the loads less, so it ends.
    fn level(&mut self) {
        while let Some((at, from, to)) = self.next_move() {
            if let Some(slot) = self.lists.get_mut(&at).and_then(|list| list.iter_mut().find(|node| **node == from)) {
                *slot = to;
            }
            *self.load.entry(from).or_default() -= 1;
            *self.load.entry(to).or_default() += 1;
        }
    }

    fn next_move(&self) -> Option<(TopicPartition, i32, i32)> {
        let mut by_load: Vec<(usize, i32)> = self.load.iter().map(|(node, load)| (*load, *node)).collect();
        by_load.sort_unstable();
        for (most, from) in by_load.iter().rev() {
            for (least, to) in &by_load {
                if most.saturating_sub(*least) < 2 {
                    break;
                }
                let may_move = |list: &[i32]| {
                    let others: Vec<i32> = list.iter().copied().filter(|node| node != from).collect();
                    list.contains(from)
                        && !list.contains(to)
                        && self.shared_racks(*to, &others) <= self.shared_racks(*from, &others)
                };
                if let Some((at, _)) = self.lists.iter().find(|(_, list)| may_move(list)) {
                    return Some((at.clone(), *from, *to));
                }
            }
        }
        None
    }

    /// Who leads most hands over to who leads least, through others where need be: from list to list, a broker that leads one
    /// hands over to one that only follows there.
    fn spread_leaders(&mut self) {
        loop {
            let mut led: BTreeMap<i32, usize> = self.load.keys().map(|node| (*node, 0)).collect();
            for first in self.lists.values().filter_map(|list| list.first()) {
                *led.entry(*first).or_default() += 1;
            }
            let mut by_count: Vec<(usize, i32)> = led.iter().map(|(node, count)| (*count, *node)).collect();
            by_count.sort_unstable();
            let way = by_count.iter().rev().find_map(|(most, from)| {
                let enough = by_count.iter().filter(|(least, _)| most.saturating_sub(*least) >= 2);
                self.way(*from, &enough.map(|(_, node)| *node).collect())
            });
            let Some(way) = way else { return };
            for (at, to) in way {
                if let Some(list) = self.lists.get_mut(&at)
                    && let Some(place) = list.iter().position(|node| *node == to)
                {
                    let node = list.remove(place);
                    list.insert(0, node);
                }
            }
        }
    }

    /// The lists whose leader changes, and to whom, so that `from` leads one less and one of `to` one more.
    fn way(&self, from: i32, to: &BTreeSet<i32>) -> Option<Vec<(TopicPartition, i32)>> {
        let mut came: BTreeMap<i32, (i32, TopicPartition)> = BTreeMap::new();
        let mut next = VecDeque::from([from]);
        while let Some(node) = next.pop_front() {
            if to.contains(&node) {
                let mut way = Vec::new();
                let mut at = node;
                while let Some((before, list)) = came.get(&at).filter(|_| at != from) {
                    way.push((list.clone(), at));
                    at = *before;
                }
                return Some(way);
            }
            for (at, list) in self.lists.iter().filter(|(_, list)| list.first() == Some(&node)) {
                for other in list.iter().skip(1).filter(|other| **other != from) {
                    if !came.contains_key(other) {
                        came.insert(*other, (node, at.clone()));
                        next.push_back(*other);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(lists: &[&[i32]]) -> Plan {
        let partitions = (0..).zip(lists).map(|(index, list)| (TopicPartition::new("t", index), list.to_vec()));
        Plan { partitions: partitions.collect(), ..Plan::default() }
    }

    fn brokers(nodes: &[i32]) -> Vec<Candidate> {
        nodes.iter().map(|node| Candidate { node: *node, rack: None }).collect()
    }

    fn counts(nodes: &[i32], held: impl Iterator<Item = i32>) -> Vec<usize> {
        let mut counts: BTreeMap<i32, usize> = nodes.iter().map(|node| (*node, 0)).collect();
        held.for_each(|node| *counts.entry(node).or_default() += 1);
        counts.into_values().collect()
    }

    fn spread(counts: &[usize]) -> usize {
        counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
    }

    #[test]
    fn a_broker_that_has_joined_gets_its_share_and_nothing_else_moves() {
        let now = plan(&[&[1], &[2], &[1], &[2], &[1], &[2]]);
        let proposed = propose(&now, &brokers(&[1, 2, 3])).unwrap();
        assert_eq!(counts(&[1, 2, 3], proposed.partitions.values().flatten().copied()), [2, 2, 2]);
        let moved = now.partitions.iter().filter(|(at, list)| proposed.partitions[*at] != **list).count();
        assert_eq!(moved, 2);
        assert_eq!(propose(&proposed, &brokers(&[1, 2, 3])).unwrap(), proposed, "nothing is left to do");
    }

    #[test]
    fn a_broker_that_is_not_named_is_emptied_and_leaders_are_spread() {
        let now = plan(&[&[1, 2], &[1, 2], &[1, 3], &[1, 3]]);
        let proposed = propose(&now, &brokers(&[2, 3])).unwrap();
        assert!(proposed.partitions.values().all(|list| list.len() == 2 && !list.contains(&1)), "{proposed:?}");
        assert_eq!(counts(&[2, 3], proposed.partitions.values().map(|list| list[0])), [2, 2]);
    }

    #[test]
    fn copies_go_to_racks_where_there_are_none_yet() {
        let candidate = |node, rack: &str| Candidate { node, rack: Some(rack.to_owned()) };
        let candidates = [candidate(1, "a"), candidate(2, "a"), candidate(3, "b"), candidate(4, "b")];
        let proposed = propose(&plan(&[&[9, 8], &[9, 8], &[9, 8], &[9, 8]]), &candidates).unwrap();
        for list in proposed.partitions.values() {
            assert_ne!(list[0] <= 2, list[1] <= 2, "{proposed:?}");
        }
        assert_eq!(counts(&[1, 2, 3, 4], proposed.partitions.values().flatten().copied()), [2, 2, 2, 2]);
    }

    #[test]
    fn more_copies_than_brokers_are_refused_by_name() {
        let error = propose(&plan(&[&[1], &[1, 2, 3]]), &brokers(&[4, 5])).unwrap_err();
        assert!(error.to_string().starts_with("t partition 1 has 3 replicas, and only 2 broker(s)"), "{error}");
    }

    proptest! {
        #[test]
        fn every_plan_is_level_keeps_the_number_of_copies_and_moves_nothing_the_second_time(
            lists in prop::collection::vec(prop::sample::subsequence(vec![1, 2, 3, 4, 5, 6], 1..=3).prop_shuffle(), 1..30),
            nodes in prop::sample::subsequence(vec![1, 2, 3, 4, 5, 6, 7], 3..=7),
        ) {
            let now = plan(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let proposed = propose(&now, &brokers(&nodes)).unwrap();
            for (at, list) in &proposed.partitions {
                prop_assert_eq!(list.len(), now.partitions[at].len());
                prop_assert!(list.iter().all(|node| nodes.contains(node)));
                prop_assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
            }
            let loads = counts(&nodes, proposed.partitions.values().flatten().copied());
            prop_assert!(spread(&loads) <= 1, "{:?}", loads);
            prop_assert_eq!(propose(&proposed, &brokers(&nodes)).unwrap(), proposed);
        }
    }
}
