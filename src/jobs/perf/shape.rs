//! Named shapes of sorted input: what is merged is easy or hard by how often keys repeat and how large records are.

use crate::jobs::generate::ints::{SortedInts, share_out};
use std::ops::RangeInclusive;

/// See the module's head. What they are called is what is typed and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Values 1 to 10: few distinct keys, long runs of ties.
    Ints10,
    /// Random 32-bit values: hardly a tie, hardly a run.
    Dense,
    /// Partition p holds the p-th part of the range: whole partitions follow each other.
    Disjoint,
    /// Partition 0 holds nine tenths of the records.
    Skewed,
    /// A dense key and 100 bytes beside it: about 118 in the log.
    M118,
    /// A dense key and 1 KiB beside it.
    L1k,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ints10, Self::Dense, Self::Disjoint, Self::Skewed, Self::M118, Self::L1k];

    /// As it is typed and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ints10 => "ints10",
            Self::Dense => "dense",
            Self::Disjoint => "disjoint",
            Self::Skewed => "skewed",
            Self::M118 => "m118",
            Self::L1k => "l1k",
        }
    }

    /// The key as `--key` takes it.
    pub fn key(self) -> &'static str {
        match self.payload_bytes() {
            0 => "value:int",
            _ => "key:int",
        }
    }

    /// How many records are enough to be measured and few enough to be waited for.
    pub fn records_default(self) -> u64 {
        match self {
            Self::M118 => 1_000_000,
            Self::L1k => 100_000,
            _ => 5_000_000,
        }
    }

    /// Bytes beside the key in each record; with 0 the value is the key.
    pub fn payload_bytes(self) -> usize {
        match self {
            Self::M118 => 100,
            Self::L1k => 1024,
            _ => 0,
        }
    }

    /// About what a record takes in a batch that is not compressed.
    pub fn record_bytes(self) -> u64 {
        match self {
            Self::Ints10 => 11,
            _ => 20 + self.payload_bytes() as u64,
        }
    }

    /// The sorted keys of each partition, `records` in all.
    pub fn keys(self, seed: u64, partitions: u32, records: u64) -> impl Iterator<Item = SortedInts> {
        let skew = (self == Self::Skewed).then_some(0.9);
        let counts = share_out(records, partitions, skew).into_iter().zip(0..partitions);
        counts.map(move |(count, partition)| SortedInts::new(seed, partition, self.range(partition, partitions), count))
    }

    fn range(self, partition: u32, partitions: u32) -> RangeInclusive<i64> {
        const ALL: i64 = 1 << 32;
        let part = ALL / i64::from(partitions.max(1));
        match self {
            Self::Ints10 => 1..=10,
            Self::Disjoint => i64::from(partition) * part..=(i64::from(partition) + 1) * part - 1,
            _ => 0..=ALL - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(shape: Shape, partitions: u32, records: u64) -> Vec<Vec<i64>> {
        shape.keys(7, partitions, records).map(Iterator::collect).collect()
    }

    #[test]
    fn each_shape_is_what_its_name_says() {
        for shape in Shape::ALL {
            let partitions = keys(shape, 10, 10_007);
            assert_eq!(partitions.iter().map(Vec::len).sum::<usize>(), 10_007, "{shape:?}");
            assert!(partitions.iter().all(|keys| keys.is_sorted()), "{shape:?}");
        }
        let most = |shape| keys(shape, 10, 10_000).into_iter().flatten().max().unwrap_or_default();
        assert_eq!(most(Shape::Ints10), 10);
        assert!(most(Shape::Dense) > 1 << 31);
        let disjoint = keys(Shape::Disjoint, 10, 10_000);
        assert!(disjoint.windows(2).all(|two| two[0].last() < two[1].first()), "one behind the other");
        let skewed = keys(Shape::Skewed, 10, 10_000);
        assert_eq!(skewed[0].len(), 9_000);
    }

    #[test]
    fn a_single_partition_holds_everything() {
        for shape in Shape::ALL {
            assert_eq!(keys(shape, 1, 100).concat().len(), 100, "{shape:?}");
        }
    }
}
