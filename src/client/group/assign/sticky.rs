//! sticky: as even as the subscriptions allow, and of all such shares one that changes little.
//!
//! ```text
//!  claims ──▶ who has it now ──▶ the rest to who has least ──▶ while somebody has two more than another
//!             (latest claim)      (pickiest topics first)      that it can reach: pass one along the way
//! ```
//! Non-obvious:
//! - "Reach" is more than one step: where a may take nothing of c's but b may, and b has something that a may take, one
//!   goes from c to b and one from b to a. Without such ways, shares with differing subscriptions stay uneven.
//! - Each pass makes the sum of squares of the shares smaller, so it ends, and at its end no change at all would make the
//!   shares more even.
//! - Of a topic's partitions the one passed on is one that was not had before, if there is any.
//! - Two members that claim one partition since the same generation are both wrong: neither keeps it.

use super::{Counts, Member, Shares, ordered, wanted};
use crate::base::place::TopicPartition;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Shares being made: topics and members are numbers here, members in their common order.
struct Making {
    /// For each topic, who wants it.
    takers: Vec<Vec<usize>>,
    /// For each member and topic, the partitions it has.
    shares: Vec<BTreeMap<usize, Vec<i32>>>,
    /// For each member, how many these are.
    loads: Vec<usize>,
    /// Who had a partition before.
    before: HashMap<(usize, i32), usize>,
}

pub(super) fn share(members: &[Member], counts: &Counts) -> Shares {
    let order = ordered(members);
    let topics: Vec<_> = wanted(members, counts).collect();
    let takers = topics.iter().map(|(topic, _)| {
        let places = order.iter().enumerate().filter(|(_, member)| members[**member].wants(topic));
        places.map(|(place, _)| place).collect()
    });
    let mut making = Making {
        takers: takers.collect(),
        shares: vec![BTreeMap::new(); members.len()],
        loads: vec![0; members.len()],
        before: HashMap::new(),
    };
    making.keep(members, &order, &topics);
    making.fill(&topics);
    while making.even_out() {}

    let mut shares = vec![Vec::new(); members.len()];
    for (place, share) in making.shares.into_iter().enumerate() {
        for (topic, mut partitions) in share {
            partitions.sort_unstable();
            let named = partitions.into_iter().map(|one| TopicPartition::new(topics[topic].0.clone(), one));
            shares[order[place]].extend(named);
        }
    }
    shares
}

impl Making {
    /// Gives back what members have, where that still can be.
    fn keep(&mut self, members: &[Member], order: &[usize], topics: &[(&std::sync::Arc<str>, i32)]) {
        // The claim of the latest generation, and by how many it is made.
        let mut claims: HashMap<(usize, i32), (i32, usize, usize)> = HashMap::new();
        for (place, member) in order.iter().map(|member| &members[*member]).enumerate() {
            for one in &member.owned {
                let Ok(topic) = topics.binary_search_by(|(name, _)| (***name).cmp(&*one.topic)) else { continue };
                if !(0..topics[topic].1).contains(&one.partition) || !member.wants(&one.topic) {
                    continue;
                }
                let claim = claims.entry((topic, one.partition)).or_insert((member.generation, place, 0));
                if member.generation > claim.0 {
                    *claim = (member.generation, place, 0);
                }
                // The same member may name a partition twice.
                if member.generation == claim.0 && (claim.2 == 0 || claim.1 != place) {
                    claim.2 += 1;
                }
            }
        }
        for ((topic, partition), (_, place, by)) in claims {
            if by == 1 {
                self.before.insert((topic, partition), place);
                self.give(place, topic, partition);
            }
        }
        // The map above has no order of its own.
        self.shares.iter_mut().flat_map(BTreeMap::values_mut).for_each(|partitions| partitions.sort_unstable());
    }

    /// Gives out what nobody has: first what fewest want.
    fn fill(&mut self, topics: &[(&std::sync::Arc<str>, i32)]) {
        let mut picky: Vec<usize> = (0..topics.len()).collect();
        picky.sort_by_key(|topic| self.takers[*topic].len());
        for topic in picky {
            for partition in 0..topics[topic].1 {
                if self.before.contains_key(&(topic, partition)) {
                    continue;
                }
                let least = self.takers[topic].iter().copied().min_by_key(|place| self.loads[*place]);
                if let Some(place) = least {
                    self.give(place, topic, partition);
                }
            }
        }
    }

    fn give(&mut self, place: usize, topic: usize, partition: i32) {
        self.shares[place].entry(topic).or_default().push(partition);
        self.loads[place] += 1;
    }

    /// Passes one partition from a member that has too many towards one that has too few; false if there is none such.
    fn even_out(&mut self) -> bool {
        let mut fullest: Vec<usize> = (0..self.loads.len()).collect();
        fullest.sort_by_key(|place| (std::cmp::Reverse(self.loads[*place]), *place));
        // What the fuller ones could not reach the less full ones may still.
        fullest.into_iter().any(|from| self.pass_on(from))
    }

    /// Finds the emptiest member that `from` can reach, by the shortest way, and passes one along it.
    fn pass_on(&mut self, from: usize) -> bool {
        let least = self.loads.iter().copied().min().unwrap_or(0);
        if self.loads[from] < least + 2 {
            return false;
        }
        // How each member was reached: from whom, with what topic.
        let mut way: Vec<Option<(usize, usize)>> = vec![None; self.loads.len()];
        let mut queue = VecDeque::from([from]);
        let mut best: Option<usize> = None;
        'search: while let Some(at) = queue.pop_front() {
            for (topic, partitions) in &self.shares[at] {
                if partitions.is_empty() {
                    continue;
                }
                for &to in &self.takers[*topic] {
                    if to == from || way[to].is_some() {
                        continue;
                    }
                    way[to] = Some((at, *topic));
                    queue.push_back(to);
                    if self.loads[to] + 2 <= self.loads[from]
                        && best.is_none_or(|best| self.loads[to] < self.loads[best])
                    {
                        best = Some(to);
                        if self.loads[to] == least {
                            break 'search;
                        }
                    }
                }
            }
        }
        let Some(mut to) = best else { return false };
        while let Some((at, topic)) = way[to] {
            self.pass(at, to, topic);
            to = at;
        }
        true
    }

    fn pass(&mut self, from: usize, to: usize, topic: usize) {
        let Some(partitions) = self.shares[from].get_mut(&topic) else { return };
        // One that comes back to who had it, else one that is new here, else any.
        let had = |partition: &i32, who| self.before.get(&(topic, *partition)) == Some(&who);
        let at = partitions.iter().rposition(|one| had(one, to));
        let at = at.or_else(|| partitions.iter().rposition(|one| !had(one, from)));
        let at = at.unwrap_or(partitions.len() - 1);
        let partition = partitions.remove(at);
        self.loads[from] -= 1;
        self.give(to, topic, partition);
    }
}
