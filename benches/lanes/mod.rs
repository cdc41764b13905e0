//! Sorted keys through the engine's merge, at hand as the engine has them.

use kmerge::merge::{LaneMerge, Stop};

/// Keys of a source at hand at a time, and of the order that is asked for at once.
const STRETCH: usize = 4096;
const ORDER: usize = 8192;

/// Merges all of them, and gives the order part by part.
pub fn merge(partitions: &[Vec<u64>], mut emit: impl FnMut(&[u16])) {
    let mut merge = LaneMerge::new(partitions.len());
    let mut next = vec![0; partitions.len()];
    let mut order = Vec::with_capacity(ORDER);
    loop {
        order.clear();
        let stop = merge.run(&mut order, ORDER);
        emit(&order);
        match stop {
            Stop::Full => {}
            Stop::Needs(source) => {
                let keys = &partitions[source][next[source]..];
                let keys = &keys[..keys.len().min(STRETCH)];
                next[source] += keys.len();
                if keys.is_empty() {
                    merge.finish(source);
                    continue;
                }
                let lane = merge.refill(source);
                keys.iter().for_each(|key| lane.push_word(*key).expect("the shapes are sorted"));
            }
            Stop::Done => return,
        }
    }
}
