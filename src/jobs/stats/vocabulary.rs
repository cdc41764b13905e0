//! How many different words there are, in all and in each batch: exactly, as far as the memory goes.
//!
//! Every word is looked up once: the set of all words remembers with each the batch in which it was seen last, so the words
//! of a batch need no set of their own. Only once the set has no more room do the words that are not in it go into two others:
//! a sketch, which estimates how many they are in all, and a set for the batch, which is emptied after it (and has a sketch
//! behind it as well).

use super::set::{Seed, Seen, WordSet};
use super::sketch::Sketch;
use super::words::Word;

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
    pub(super) const BYTES_MIN: usize = 2 * (WordSet::BYTES_MIN + Sketch::BYTES);

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn new(bytes_max: usize) -> Self {
        let bytes = bytes_max.saturating_sub(2 * Sketch::BYTES);
        let own = (bytes / 8).max(WordSet::BYTES_MIN);
        let seed = Seed::random();
        Self {
            all: WordSet::new(bytes.saturating_sub(own), seed),
            beyond: Sketch::new(),
            batch: Batch { stamp: 1, unique: 0, own: WordSet::new(own, seed), beyond: Sketch::new() },
        }
    }

    /// Takes the next word.
    #[inline(always)]
    pub(super) fn see(&mut self, word: Word<'_>) {
        match self.all.see(word, self.batch.stamp) {
            Seen::Again => {}
            Seen::Added | Seen::Before => self.batch.unique += 1,
            Seen::NoRoom(hash) => self.see_beyond(word, hash),
        }
    }

    #[inline(never)]
    fn see_beyond(&mut self, word: Word<'_>, hash: u64) {
        self.beyond.add(mix(hash));
        match self.batch.own.see(word, 0) {
            Seen::Again | Seen::Before => {}
            Seen::Added => self.batch.unique += 1,
            Seen::NoRoom(hash) => self.batch.beyond.add(mix(hash)),
        }
    }

    /// The different words since the last time.
    pub(super) fn end_batch(&mut self) -> Unique {
        let unique = Unique::of(self.batch.unique, &self.batch.beyond);
        // Zero is what the set of all starts its stamps at; after four billion batches one may be met again.
        self.batch.stamp = self.batch.stamp.wrapping_add(1).max(1);
        self.batch.unique = 0;
        self.batch.own.clear();
        self.batch.beyond.clear();
        unique
    }

    /// The different words of all batches.
    pub(super) fn total(&self) -> Unique {
        Unique::of(self.all.len(), &self.beyond)
    }
}

/// Lets every bit of a hash depend on all others, which a table does not need and a sketch does.
fn mix(hash: u64) -> u64 {
    let mut z = hash;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::words::each_word;
    use super::*;

    fn see(vocabulary: &mut Vocabulary, text: &str) {
        each_word(text.as_bytes(), |word| vocabulary.see(word));
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
