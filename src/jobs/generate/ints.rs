//! Random integers in ascending order, one partition at a time, without holding them.
//!
//! Drawing `n` numbers and sorting them needs memory for `n`. Here the range is halved instead: of `n` uniform 64-bit
//! numbers the count that begins with a zero bit is the count of zeros among `n` fair bits, so one pass over n/64 random
//! words says how many go left and how many go right, and each half is asked in turn:
//!
//! ```text
//!            n = 1000                bits 0..64 unknown
//!        ┌──────┴──────┐
//!      0 : 493       1 : 507         first bit known
//!     ┌──┴──┐       ┌──┴──┐
//!   00:250 01:243 10:249 11:258      … until few are left: those are drawn and sorted
//! ```
//!
//! The 64-bit numbers are scaled to the asked range by a multiplication, which keeps their order. Everything is integer
//! arithmetic on a generator that is written down here, so a seed gives the same numbers on every machine and in every
//! version (a test holds it to that). Memory: 64 nodes and one leaf, whatever `n` and the range are.

use super::random::SplitMix64;
use std::ops::RangeInclusive;

/// So few numbers are drawn and sorted at once.
const LEAF: usize = 32;

/// All numbers whose leading bits are those of `base`, of which the last `bits` are still to be drawn.
#[derive(Debug)]
struct Node {
    base: u64,
    bits: u32,
    count: u64,
}

/// The values of one partition: `count` integers of a range, uniformly drawn, in ascending order.
#[derive(Debug)]
pub struct SortedInts {
    random: SplitMix64,
    min: i64,
    /// How many different values there are: up to 2^64.
    width: u128,
    /// Still to be split, the next one last.
    nodes: Vec<Node>,
    leaf: [u64; LEAF],
    leaf_len: usize,
    leaf_next: usize,
    left: u64,
}

impl SortedInts {
    /// `count` values of `range` for partition `partition`; an empty range gives its start again and again.
    pub fn new(seed: u64, partition: u32, range: RangeInclusive<i64>, count: u64) -> Self {
        let (min, max) = (*range.start(), *range.end());
        let width = (i128::from(max) - i128::from(min)).max(0).unsigned_abs() + 1;
        Self {
            random: SplitMix64::new(seed, u64::from(partition)),
            min,
            width,
            nodes: vec![Node { base: 0, bits: 64, count }],
            leaf: [0; LEAF],
            leaf_len: 0,
            leaf_next: 0,
            left: count,
        }
    }

    /// Fills the leaf with the next numbers, or finds that there are none.
    fn refill(&mut self) -> bool {
        while let Some(Node { base, bits, count }) = self.nodes.pop() {
            if count <= LEAF as u64 || bits == 0 {
                let len = count.min(LEAF as u64) as usize;
                if len == 0 {
                    continue;
                }
                for slot in &mut self.leaf[..len] {
                    *slot = base | self.random.next_u64().checked_shr(64 - bits).unwrap_or(0);
                }
                self.leaf[..len].sort_unstable();
                if count > len as u64 {
                    self.nodes.push(Node { base, bits, count: count - len as u64 });
                }
                (self.leaf_len, self.leaf_next) = (len, 0);
                return true;
            }
            let right = self.random.heads(count);
            let bits = bits - 1;
            self.nodes.push(Node { base: base | (1 << bits), bits, count: right });
            self.nodes.push(Node { base, bits, count: count - right });
        }
        false
    }
}

impl Iterator for SortedInts {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if self.leaf_next == self.leaf_len && !self.refill() {
            return None;
        }
        let drawn = self.leaf[self.leaf_next];
        self.leaf_next += 1;
        self.left -= 1;
        // Below `width`, so the sum is at most `max`.
        let above_min = (u128::from(drawn) * self.width) >> 64;
        Some((i128::from(self.min) + above_min as i128) as i64)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::try_from(self.left).unwrap_or(usize::MAX), usize::try_from(self.left).ok())
    }
}

/// How many of `records` each partition gets: even, or `skew` of them (0 to 1) in partition 0 and the rest evenly in the
/// others. What does not divide goes to the first ones, one each.
pub fn share_out(records: u64, partitions: u32, skew: Option<f64>) -> Vec<u64> {
    let even = |records: u64, partitions: u64| {
        (0..partitions).map(move |i| records / partitions + u64::from(i < records % partitions))
    };
    match skew {
        Some(skew) if partitions > 1 => {
            let first = ((records as f64 * skew).round() as u64).min(records);
            std::iter::once(first).chain(even(records - first, u64::from(partitions) - 1)).collect()
        }
        _ => even(records, u64::from(partitions)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let first: Vec<i64> = SortedInts::new(1, 0, 0..=999_999, 1000).step_by(200).collect();
        assert_eq!(first, [479, 184_472, 379_414, 606_414, 792_884]);
        let other_partition: Vec<i64> = SortedInts::new(1, 1, 0..=999_999, 1000).step_by(200).collect();
        assert_eq!(other_partition, [427, 231_147, 426_657, 630_167, 812_282]);
    }

    #[test]
    fn the_count_is_exact_and_the_values_ascend_within_the_range() {
        for (range, count) in [(1..=10, 10_000), (-5..=-5, 100), (i64::MIN..=i64::MAX, 5_000), (0..=3, 1), (0..=3, 0)] {
            let values: Vec<i64> = SortedInts::new(7, 3, range.clone(), count).collect();
            assert_eq!(values.len() as u64, count);
            assert!(values.is_sorted(), "{range:?}");
            assert!(values.iter().all(|v| range.contains(v)), "{range:?}");
        }
    }

    #[test]
    fn every_value_of_a_small_range_is_about_as_frequent() {
        let mut counts = [0i64; 10];
        for value in SortedInts::new(42, 0, 1..=10, 1_000_000) {
            counts[value as usize - 1] += 1;
        }
        // The standard deviation of each count is 300.
        assert!(counts.iter().all(|count| (count - 100_000).abs() < 1500), "{counts:?}");
    }

    #[test]
    fn values_of_a_large_range_spread_evenly() {
        let values: Vec<i64> = SortedInts::new(9, 0, i64::MIN..=i64::MAX, 100_000).collect();
        for (i, share) in [0.1, 0.25, 0.5, 0.75, 0.9].into_iter().enumerate() {
            let expected = (share - 0.5) * 2f64.powi(64);
            let got = values[(share * 1e5) as usize] as f64;
            assert!((got - expected).abs() < 0.01 * 2f64.powi(64), "quantile {i}: {got} for {expected}");
        }
        let distinct: std::collections::BTreeSet<_> = values.iter().collect();
        assert_eq!(distinct.len(), values.len(), "repeats would show a lack of entropy");
    }

    #[test]
    fn what_does_not_divide_goes_to_the_first() {
        assert_eq!(share_out(11, 3, None), [4, 4, 3]);
        assert_eq!(share_out(2, 4, None), [1, 1, 0, 0]);
        assert_eq!(share_out(101, 3, Some(0.9)), [91, 5, 5]);
        assert_eq!(share_out(10, 1, Some(0.1)), [10], "one partition takes all");
        assert_eq!(share_out(10, 3, Some(0.0)), [0, 5, 5]);
        assert_eq!(share_out(10, 3, Some(1.0)), [10, 0, 0]);
    }
}
