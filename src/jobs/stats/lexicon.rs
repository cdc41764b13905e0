//! All words, and those of the batch at hand, as far as the memory goes; about how many there are beyond.
//!
//! The words of a batch need no set of their own, since that of all words remembers when it saw each. Only once it has no more
//! room do the words that are not in it go into two others: a sketch, which estimates how many they are in all, and a set for
//! the batch, which is emptied after it (and has a sketch behind it as well).

use super::front::Words;
use super::hash::{Seed, mix};
use super::set::{Seen, WordSet};
use super::sketch::Sketch;
use crate::formats::words::Word;

/// A number of different words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unique {
    /// How many, or about how many.
    pub count: u64,
    /// There are at least so many.
    pub at_least: u64,
    /// Whether it is no estimate.
    pub exact: bool,
}

impl Unique {
    /// No word at all.
    pub(super) const NONE: Self = Self { count: 0, at_least: 0, exact: true };

    fn of(known: u64, beyond: &Sketch) -> Self {
        let exact = beyond.is_empty();
        // A sketch that is not empty has seen one word at least.
        let at_least = known + u64::from(!exact);
        Self { count: (known + beyond.estimate()).max(at_least), at_least, exact }
    }
}

/// See the module's head.
pub(super) struct Lexicon {
    all: WordSet,
    /// Words that found no room.
    beyond: Sketch,
    /// What is known of the batch at hand: its number,
    stamp: u32,
    /// words of it that are in the set of all, or in its own,
    batch_unique: u64,
    /// words of it that found no room in the set of all,
    batch_own: WordSet,
    /// and not here either.
    batch_beyond: Sketch,
}

impl Lexicon {
    /// The least that it works with.
    pub(super) const BYTES_MIN: usize = 2 * (WordSet::BYTES_MIN + Sketch::BYTES);

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn new(bytes_max: usize, seed: Seed) -> Self {
        let bytes = bytes_max.saturating_sub(2 * Sketch::BYTES);
        // Enough for ordinary batches of nothing but new words also where the memory is small.
        let own = (bytes / 4).max(WordSet::BYTES_MIN);
        Self {
            all: WordSet::new(bytes.saturating_sub(own), seed),
            beyond: Sketch::new(),
            stamp: 1,
            batch_unique: 0,
            batch_own: WordSet::new(own, seed),
            batch_beyond: Sketch::new(),
        }
    }

    /// Takes all words of a list, which is empty then.
    pub(super) fn take(&mut self, words: &mut Words) {
        words.hand_over(self, |lexicon, hash| lexicon.all.expect(hash), Self::see);
    }

    /// Takes a word.
    #[inline(always)]
    pub(super) fn see(&mut self, word: Word<'_>, hash: u64) {
        match self.all.see(word, hash, self.stamp) {
            Seen::Again => {}
            Seen::Added | Seen::Before => self.batch_unique += 1,
            Seen::NoRoom => {
                self.beyond.add(mix(hash));
                match self.batch_own.see(word, hash, 0) {
                    Seen::Again | Seen::Before => {}
                    Seen::Added => self.batch_unique += 1,
                    Seen::NoRoom => self.batch_beyond.add(mix(hash)),
                }
            }
        }
    }

    /// The different words since the last time, and those of all batches.
    pub(super) fn end_batch(&mut self) -> (Unique, Unique) {
        let unique = Unique::of(self.batch_unique, &self.batch_beyond);
        // Zero is what the set of all starts its stamps at; after four billion batches one may be met again.
        self.stamp = self.stamp.wrapping_add(1).max(1);
        self.batch_unique = 0;
        self.batch_own.clear();
        self.batch_beyond.clear();
        (unique, Unique::of(self.all.len(), &self.beyond))
    }
}
