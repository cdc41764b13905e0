//! Named shapes of sorted input, the same for every benchmark: ten partitions, a fixed seed.

/// Ten partitions of a topic, as the design has it.
pub const PARTITIONS: usize = 10;

/// The shapes. What they are called here is what the benchmark prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Values 1 to 10: few distinct keys, long runs of ties.
    Ints10,
    /// Random 32-bit values: hardly a tie, hardly a run.
    Dense,
    /// A dense key and 100 bytes beside it.
    M118,
    /// A dense key and 1 KiB beside it.
    L1k,
    /// Partition p holds the p-th tenth of the range: whole partitions follow each other.
    Disjoint,
    /// Partition 0 holds 90 % of the records.
    Skewed,
}

pub const ALL: [Shape; 6] = [Shape::Ints10, Shape::Dense, Shape::M118, Shape::L1k, Shape::Disjoint, Shape::Skewed];

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ints10 => "ints10",
            Self::Dense => "dense",
            Self::M118 => "m118",
            Self::L1k => "l1k",
            Self::Disjoint => "disjoint",
            Self::Skewed => "skewed",
        }
    }

    /// Bytes beside the key in each record.
    pub fn payload_bytes(self) -> usize {
        match self {
            Self::M118 => 100,
            Self::L1k => 1024,
            _ => 0,
        }
    }

    /// The sorted keys of each partition: `records` in all.
    pub fn keys(self, records: usize) -> Vec<Vec<u64>> {
        let mut random = SplitMix(0x6b6d_6572_6765);
        (0..PARTITIONS)
            .map(|partition| {
                let share = match (self, partition) {
                    (Self::Skewed, 0) => records * 9 / 10,
                    (Self::Skewed, _) => records / 10 / (PARTITIONS - 1),
                    _ => records / PARTITIONS,
                };
                let mut keys: Vec<u64> = (0..share).map(|_| self.key(partition as u64, random.next())).collect();
                keys.sort_unstable();
                keys
            })
            .collect()
    }

    fn key(self, partition: u64, random: u64) -> u64 {
        const TENTH: u64 = (1 << 32) / PARTITIONS as u64;
        match self {
            Self::Ints10 => 1 + random % 10,
            Self::Disjoint => partition * TENTH + random % TENTH,
            _ => random >> 32,
        }
    }
}

/// A small generator whose sequence is part of the benchmark: Steele, Lea and Flood's SplitMix64.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
