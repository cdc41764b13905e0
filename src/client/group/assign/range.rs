//! range: each topic by itself, in blocks of neighbours; the first members get one more where it does not come out even.
//!
//! So partitions of the same number go to the same member in all topics that have the same subscribers and count: that is
//! what it is chosen for.

use super::{Counts, Member, Shares, ordered, wanted};
use crate::base::place::TopicPartition;

pub(super) fn share(members: &[Member], counts: &Counts) -> Shares {
    let mut shares = vec![Vec::new(); members.len()];
    let order = ordered(members);
    for (topic, count) in wanted(members, counts) {
        let takers: Vec<usize> = order.iter().copied().filter(|one| members[*one].wants(topic)).collect();
        let (each, more) = (count as usize / takers.len(), count as usize % takers.len());
        let mut next = 0;
        for (place, taker) in takers.into_iter().enumerate() {
            let block = each + usize::from(place < more);
            let partitions = (next..next + block).map(|partition| TopicPartition::new(topic.clone(), partition as i32));
            shares[taker].extend(partitions);
            next += block;
        }
    }
    shares
}
