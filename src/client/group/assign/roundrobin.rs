//! roundrobin: all partitions of all topics in one line, each to the next member that wants it.

use super::{Counts, Member, Shares, ordered, wanted};
use crate::base::place::TopicPartition;

pub(super) fn share(members: &[Member], counts: &Counts) -> Shares {
    let mut shares = vec![Vec::new(); members.len()];
    let order = ordered(members);
    let mut turn = 0;
    for (topic, count) in wanted(members, counts) {
        for partition in 0..count {
            // Somebody wants it, so a round finds who.
            let next = (turn..turn + order.len()).find(|place| members[order[place % order.len()]].wants(topic));
            let Some(next) = next else { continue };
            shares[order[next % order.len()]].push(TopicPartition::new(topic.clone(), partition));
            turn = (next + 1) % order.len();
        }
    }
    shares
}
