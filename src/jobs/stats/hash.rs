//! The hash of a word: folded multiplication, as in foldhash and wyhash, with a seed that nobody else can foresee.
//!
//! With a known seed, a topic could be written whose words all fall together, and a search along them would take for ever.

use crate::formats::words::{SHORT_BYTES_MAX, Word};

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
        match word.bytes.len() {
            short @ 0..=SHORT_BYTES_MAX => self.of_short(word.head, short as u32),
            _ => self.of_long(word.bytes),
        }
    }

    /// The hash of a word of up to eight bytes.
    #[inline(always)]
    pub(super) fn of_short(self, head: u64, len: u32) -> u64 {
        fold(head ^ self.add, self.multiply ^ (u64::from(len) << 1))
    }

    /// Of a longer one: eight at a time, the last eight once more if they are not a multiple.
    #[inline(always)]
    fn of_long(self, bytes: &[u8]) -> u64 {
        let mut hash = self.add ^ bytes.len() as u64;
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            hash = fold(hash ^ u64::from_le_bytes(*eight), self.multiply);
        }
        if let (false, Some(last)) = (rest.is_empty(), bytes.last_chunk::<8>()) {
            hash = fold(hash ^ u64::from_le_bytes(*last), self.multiply);
        }
        hash
    }
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
