//! What the tests of all messages share: random messages, and a message taken apart into named leaves.

use std::collections::BTreeMap;
use std::fmt::Debug;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Uuid;

/// Random fields, from a seed. Numbers are drawn from the edges as often as from the middle.
pub(crate) struct Dice(StdRng);

/// What random byte fields are cut from, so that they may live as long as anybody likes.
static POOL: [u8; 256] = {
    let mut pool = [0; 256];
    let mut at = 0;
    while at < pool.len() {
        pool[at] = (at as u8).wrapping_mul(167) ^ 0x5a;
        at += 1;
    }
    pool
};

macro_rules! integers {
    ($($type:ident)*) => {$(
        pub(crate) fn $type(&mut self) -> $type {
            match self.0.random_range(0..4) {
                0 => [<$type>::MIN, -1, 0, 1, <$type>::MAX][self.0.random_range(0..5)],
                _ => self.0.random(),
            }
        }
    )*};
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    integers! { i8 i16 i32 i64 }

    pub(crate) fn bool(&mut self) -> bool {
        self.0.random()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid(self.0.random())
    }

    /// How many elements an array gets.
    pub(crate) fn count(&mut self) -> usize {
        self.below(4)
    }

    pub(crate) fn string(&mut self) -> String {
        // Up to 130 bytes and more, where a varint takes its second byte; some of them outside ASCII.
        let length = if self.below(8) == 0 { self.below(140) } else { self.below(12) };
        (0..length).map(|_| ['a', 'Z', '.', '_', '7', 'ß', '字', '🦀'][self.below(8)]).collect()
    }

    pub(crate) fn bytes(&mut self) -> &'static [u8] {
        let start = self.below(POOL.len());
        &POOL[start..start + self.below(POOL.len() - start)]
    }
}

/// Field paths such as `topics[0].name` with their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaves(pub(crate) BTreeMap<String, String>);

impl Leaves {
    pub(crate) fn leaf(&mut self, path: &str, value: &impl Debug) {
        self.0.insert(path.to_owned(), format!("{value:?}"));
    }
}
