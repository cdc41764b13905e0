//! cooperative-sticky: the shares of `sticky`, less what another member says it still has.
//!
//! That one finds it missing from its own share, stops reading it and joins again; then it is nobody's, and given. So at no
//! moment do two members read a partition, and who keeps a partition never stops reading it.

use super::{Counts, Member, Shares, sticky};
use std::collections::HashMap;

pub(super) fn share(members: &[Member], counts: &Counts) -> Shares {
    let mut shares = sticky::share(members, counts);
    // Whoever says so: also a member that has fallen behind may still be reading it.
    let mut claims = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        for partition in &member.owned {
            let (owner, others) = claims.entry(partition).or_insert((index, false));
            *others |= *owner != index;
        }
    }
    for (index, share) in shares.iter_mut().enumerate() {
        share.retain(|partition| match claims.get(partition) {
            None => true,
            Some((owner, others)) => *owner == index && !others,
        });
    }
    shares
}
