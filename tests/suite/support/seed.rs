//! Random numbers whose seed a failing test prints.

/// SplitMix64; `KMERGE_TEST_SEED` repeats a run.
pub struct Seed(pub u64);

impl Seed {
    /// A new seed, or that of the environment; printed, so that libtest shows it when the test fails.
    pub fn printed() -> Self {
        let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            use std::hash::{BuildHasher as _, RandomState};
            RandomState::new().hash_one(0)
        });
        // stderr, which libtest keeps for the report of a test that fails.
        eprintln!("KMERGE_TEST_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
