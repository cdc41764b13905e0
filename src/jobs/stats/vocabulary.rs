//! How many different words there are, in all and in each batch: exactly, as far as the memory goes.
//!
//! ```text
//!  words ──▶ front.rs ──▶ set.rs: all words, each with the batch in which it was seen last
//!            seen just      └─ no room ──▶ sketch.rs: about how many; set.rs and sketch.rs once more, for this batch
//! ```
//!
//! The words of a batch need no set of their own, since that of all words remembers when it saw each. Only once it has no more
//! room do the words that are not in it go into two others: a sketch, which estimates how many they are in all, and a set for
//! the batch, which is emptied after it (and has a sketch behind it as well).

use super::front::{Front, Full};
use super::hash::{Seed, mix};
use super::set::{Seen, WordSet};
use super::sketch::Sketch;
use crate::formats::words::{Word, each_word};

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
    fn of(known: u64, beyond: &Sketch) -> Self {
        let exact = beyond.is_empty();
        // A sketch that is not empty has seen one word at least.
        let at_least = known + u64::from(!exact);
        Self { count: (known + beyond.estimate()).max(at_least), at_least, exact }
    }
}

/// See the module's head.
pub(super) struct Vocabulary {
    seed: Seed,
    /// Words that the others have not been told of yet.
    front: Front,
    all: WordSet,
    /// Words that found no room.
    beyond: Sketch,
    batch: Batch,
}

/// What is known of the batch at hand.
struct Batch {
    stamp: u32,
    /// Words of it that are in the set of all, or in its own.
    unique: u64,
    /// Words of it that found no room in the set of all,
    own: WordSet,
    /// and not here either.
    beyond: Sketch,
}

impl Vocabulary {
    /// The least that it works with.
    pub(super) const BYTES_MIN: usize = 2 * (WordSet::BYTES_MIN + Sketch::BYTES) + Front::BYTES_MIN;

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn new(bytes_max: usize) -> Self {
        let seed = Seed::random();
        let bytes = bytes_max.saturating_sub(2 * Sketch::BYTES);
        let front = Front::new(bytes / 8, seed);
        let bytes = bytes.saturating_sub(front.bytes());
        // Enough for ordinary batches of nothing but new words also where the memory is small.
        let own = (bytes / 4).max(WordSet::BYTES_MIN);
        Self {
            seed,
            front,
            all: WordSet::new(bytes.saturating_sub(own), seed),
            beyond: Sketch::new(),
            batch: Batch { stamp: 1, unique: 0, own: WordSet::new(own, seed), beyond: Sketch::new() },
        }
    }

    /// Takes the words of a text; gives how many.
    #[inline]
    pub(super) fn see_all(&mut self, text: &[u8]) -> u64 {
        let mut words = 0;
        each_word(text, |word| {
            words += 1;
            let hash = self.seed.of(word);
            if let Err(Full) = self.front.see(word, hash) {
                self.see_full(word, hash);
            }
        });
        words
    }

    #[inline(never)]
    fn see_full(&mut self, word: Word<'_>, hash: u64) {
        self.empty_front();
        if let Err(Full) = self.front.see(word, hash) {
            // It is too long for the front, whatever else is in there.
            see_beside(word, hash, &mut self.all, &mut self.beyond, &mut self.batch);
        }
    }

    fn empty_front(&mut self) {
        let Self { front, all, beyond, batch, .. } = self;
        front.empty(|word, hash| see_beside(word, hash, all, beyond, batch));
    }

    /// The different words since the last time.
    pub(super) fn end_batch(&mut self) -> Unique {
        self.empty_front();
        let unique = Unique::of(self.batch.unique, &self.batch.beyond);
        // Zero is what the set of all starts its stamps at; after four billion batches one may be met again.
        self.batch.stamp = self.batch.stamp.wrapping_add(1).max(1);
        self.batch.unique = 0;
        self.batch.own.clear();
        self.batch.beyond.clear();
        unique
    }

    /// The different words of all batches that have ended.
    pub(super) fn total(&self) -> Unique {
        Unique::of(self.all.len(), &self.beyond)
    }
}

/// Takes a word that is not in the front.
#[inline(always)]
fn see_beside(word: Word<'_>, hash: u64, all: &mut WordSet, beyond: &mut Sketch, batch: &mut Batch) {
    match all.see(word, hash, batch.stamp) {
        Seen::Again => {}
        Seen::Added | Seen::Before => batch.unique += 1,
        Seen::NoRoom => {
            beyond.add(mix(hash));
            match batch.own.see(word, hash, 0) {
                Seen::Again | Seen::Before => {}
                Seen::Added => batch.unique += 1,
                Seen::NoRoom => batch.beyond.add(mix(hash)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(vocabulary: &mut Vocabulary, text: &str) {
        vocabulary.see_all(text.as_bytes());
    }

    fn exactly(count: u64) -> Unique {
        Unique { count, at_least: count, exact: true }
    }

    #[test]
    fn batches_count_their_own_words_and_the_total_counts_each_once() {
        let mut vocabulary = Vocabulary::new(1 << 20);
        see(&mut vocabulary, "a b a");
        assert_eq!((vocabulary.end_batch(), vocabulary.total()), (exactly(2), exactly(2)));
        see(&mut vocabulary, "b c b a-word-longer-than-eight");
        assert_eq!((vocabulary.end_batch(), vocabulary.total()), (exactly(3), exactly(4)));
        assert_eq!((vocabulary.end_batch(), vocabulary.total()), (exactly(0), exactly(4)));
    }

    #[test]
    fn without_room_batches_stay_exact_and_the_total_becomes_an_estimate_that_says_so() {
        // What is known: 20,000 words; then 200,000 more, of which each batch has 2,000, and 1,000 known ones.
        let mut vocabulary = Vocabulary::new(1 << 20);
        let word = |number: u64| format!("w{number}");
        (0..20_000).for_each(|number| see(&mut vocabulary, &word(number)));
        assert_eq!(vocabulary.end_batch(), exactly(20_000));
        for batch in 0..100 {
            for again in 0..2 {
                (0..2000).for_each(|number| see(&mut vocabulary, &word(20_000 + batch * 2000 + number)));
                (0..1000).for_each(|number| see(&mut vocabulary, &word(number + again)));
            }
            assert_eq!(vocabulary.end_batch(), exactly(3001), "{batch}");
        }
        let total = vocabulary.total();
        assert!(!total.exact && total.at_least >= 20_000 && total.at_least <= 220_000, "{total:?}");
        let off = total.count as f64 / 220_000.0 - 1.0;
        assert!(off.abs() < 0.04, "{total:?}");
    }

    #[test]
    fn a_batch_with_more_words_than_fit_anywhere_is_estimated_and_the_next_one_is_exact_again() {
        let mut vocabulary = Vocabulary::new(Vocabulary::BYTES_MIN);
        (0..50_000).for_each(|number| see(&mut vocabulary, &number.to_string()));
        let batch = vocabulary.end_batch();
        assert!(!batch.exact && (f64::from(batch.count as u32) / 50_000.0 - 1.0).abs() < 0.04, "{batch:?}");
        see(&mut vocabulary, "x y x");
        assert_eq!(vocabulary.end_batch(), exactly(2));
    }
}
