//! The shapes of `kmerge perf`, the same for every benchmark: ten partitions, a fixed seed.

pub use kmerge::jobs::perf::Shape;

/// Ten partitions of a topic, as the design has it.
pub const PARTITIONS: usize = 10;

const SEED: u64 = 0x6b6d_6572_6765;

/// The sorted keys of each partition: `records` in all.
pub fn keys(shape: Shape, records: usize) -> Vec<Vec<u64>> {
    let partitions = shape.keys(SEED, PARTITIONS as u32, records as u64);
    // Ours are all above zero.
    partitions.map(|keys| keys.map(i64::unsigned_abs).collect()).collect()
}
