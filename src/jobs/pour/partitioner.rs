//! Which partition a record goes to: by its key where Java's producer would put it, without a key where the last one went
//! until its batch is sent.

use std::hash::{BuildHasher as _, RandomState};

/// The partition that Kafka's own producers choose for a key, of `count`.
#[inline]
pub fn partition_of_key(key: &[u8], count: usize) -> usize {
    // A negative hash loses its sign, not its magnitude.
    (murmur2(key) as u32 & 0x7fff_ffff) as usize % count.max(1)
}

/// MurmurHash2 in 32 bits, with the seed that Kafka has chosen.
#[inline]
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Java's lengths have 31 bits, and so have those of keys.
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ word >> 24).wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    (hash ^ hash >> 15) as i32
}

/// Where records without a key go: one partition until a batch for it is cut, then the next one that takes more.
#[derive(Debug)]
pub(super) struct Sticky {
    at: usize,
    /// Which partitions have a leader. Where none has, all count.
    led: Vec<bool>,
}

impl Sticky {
    /// Begins anywhere: many short runs that all began at 0 would fill that one.
    pub(super) fn new(mut led: Vec<bool>) -> Self {
        if !led.contains(&true) {
            led.fill(true);
        }
        let count = led.len().max(1);
        let mut sticky = Self { at: RandomState::new().hash_one(0) as usize % count, led };
        sticky.move_on(|_| true);
        sticky
    }

    #[inline]
    pub(super) fn current(&self) -> usize {
        self.at
    }

    /// The next one with a leader; if possible one that `has_room`.
    pub(super) fn move_on(&mut self, has_room: impl Fn(usize) -> bool) {
        let count = self.led.len();
        let others = || (1..=count).map(|step| (self.at + step) % count).filter(|at| self.led[*at]);
        if let Some(next) = others().find(|at| has_room(*at)).or_else(|| others().next()) {
            self.at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_kafkas_own_tests() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
        assert_eq!(partition_of_key(b"21", 10), ((-973_932_308_i32 as u32 & 0x7fff_ffff) % 10) as usize);
    }

    #[test]
    fn without_a_key_the_partitions_take_turns_and_those_that_cannot_take_more_are_passed_over() {
        let mut sticky = Sticky { at: 0, led: vec![true, true, false, true] };
        let mut next = |has_room: fn(usize) -> bool| {
            sticky.move_on(has_room);
            sticky.current()
        };
        assert_eq!([next(|_| true), next(|_| true), next(|_| true)], [1, 3, 0]);
        assert_eq!(next(|at| at == 3), 3, "1 is full");
        assert_eq!(next(|_| false), 0, "all are full: wait for the next in turn");
        assert!(Sticky::new(vec![false; 3]).led.iter().all(|led| *led));
    }
}
