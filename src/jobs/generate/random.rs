//! Random numbers that are the same for a seed, on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): one addition and a mix.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator that `seed` and `stream` name; streams of one seed have nothing to do with each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut own = Self(seed);
        let start = own.next_u64();
        Self(start ^ Self(stream.wrapping_add(1)).next_u64())
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// One of these.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        choices.get(self.below(choices.len() as u64) as usize).copied()
    }

    /// Whether something happens that does with this probability. Draws a number either way, so that one more thing to
    /// decide shifts nothing else.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        // 53 bits are what a float can tell apart between 0 and 1.
        ((self.next_u64() >> 11) as f64) < share * (1u64 << 53) as f64
    }

    /// How many of `trials` fair coins fall on their head.
    pub(super) fn heads(&mut self, trials: u64) -> u64 {
        let words: u64 = (0..trials / 64).map(|_| u64::from(self.next_u64().count_ones())).sum();
        match trials % 64 {
            0 => words,
            rest => words + u64::from((self.next_u64() >> (64 - rest)).count_ones()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_first_output_of_seed_0_comes_out() {
        assert_eq!(SplitMix64(0).next_u64(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn shares_are_kept_and_limits_are_not_reached() {
        let mut random = SplitMix64::new(3, 0);
        let hits = (0..100_000).filter(|_| random.happens(0.1)).count();
        assert!((9_600..10_400).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| !random.happens(0.0) && random.happens(1.0)));
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert_eq!((random.below(0), random.one_of::<u8>(&[])), (0, None));
    }
}
