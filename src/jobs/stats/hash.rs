//! The hash of a word: folded multiplication, as in foldhash and wyhash, with a seed that nobody else can foresee.
//!
//! With a known seed, a topic could be written whose words all fall together, and a search along them would take for ever.

use crate::formats::words::Word;

/// What makes a hash one of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed {
    add: u64,
    multiply: u64,
}

impl Seed {
    /// Another one each time.
    pub(super) fn random() -> Self {
        Self { add: rand::random(), multiply: rand::random::<u64>() | 1 }
    }

    /// The hash of a word.
    #[inline(always)]
    pub(super) fn of(self, word: Word<'_>) -> u64 {
        if word.is_short() { self.of_head(word.head) } else { self.of_long(word.bytes) }
    }

    /// The hash of a short word, by its head.
    #[inline(always)]
    pub(super) fn of_head(self, head: u128) -> u64 {
        spread(fold(head as u64 ^ self.add, (head >> 64) as u64 ^ self.multiply))
    }

    /// Of a longer one: sixteen bytes at a time, in two lanes that need not wait for each other; the last sixteen of each lane once
    /// more if they are not a multiple.
    pub(super) fn of_long(self, bytes: &[u8]) -> u64 {
        let (mut one, mut other) = (self.add ^ bytes.len() as u64, self.multiply);
        let (pairs, rest) = bytes.as_chunks::<32>();
        for pair in pairs {
            one = self.fold_in(one, pair.first_chunk());
            other = self.fold_in(other, pair.last_chunk());
        }
        if !rest.is_empty() {
            one = self.fold_in(one, bytes.get(bytes.len().saturating_sub(32)..).and_then(<[u8]>::first_chunk));
            other = self.fold_in(other, bytes.last_chunk());
        }
        spread(one ^ other.rotate_left(32))
    }

    /// What a lane is with another sixteen bytes.
    #[inline(always)]
    fn fold_in(self, lane: u64, sixteen: Option<&[u8; 16]>) -> u64 {
        let Some(sixteen) = sixteen else { return lane };
        let sixteen = u128::from_le_bytes(*sixteen);
        fold(sixteen as u64 ^ lane, (sixteen >> 64) as u64 ^ self.multiply)
    }
}

/// Lets the topmost bits depend on all others. Words that differ in a few digits are multiplied by the same number, and with one
/// seed of thousands they would lie half as close again in some places as in others.
#[inline(always)]
pub(super) fn spread(hash: u64) -> u64 {
    // The golden ratio's bits, as everybody takes them.
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Lets every bit of a hash depend on all others, which a table does not need and a sketch does.
pub(super) fn mix(hash: u64) -> u64 {
    let mut z = hash;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
