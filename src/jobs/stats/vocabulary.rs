//! How many different words there are, in all and in each batch: exactly, as far as the memory goes.
//!
//! ```text
//!  texts, joined
//!    │
//!  words ──▶ front.rs ── full, or the batch is over: ──▶ lexicon.rs ─▶ set.rs: all words, each with the batch it was seen in last
//!            seen just?  a list, to a thread of its own     └─ no room ──▶ sketch.rs: about how many
//! ```
//!
//! Non-obvious:
//! - While the words of a list are looked up among all words, the front takes those that follow. There is one list, so nothing
//!   waits unless the thread is a whole front behind. It ends when this is dropped.
//! - So what a batch had is known a little after its end ([`Vocabulary::ended`]), in order.
//! - To wake a thread takes as long as to look a hundred words up. The few words of a small batch are looked up right here.
//! - Texts are joined before they are parted, so that what each of them costs is shared.
//! - A word that is longer than all the room of a front is looked up right away, behind those that came before it.

use super::front::{Front, Full, Words};
use super::hash::Seed;
use super::lexicon::{Lexicon, Unique};
use super::worker::Worker;
use crate::formats::words::{Joined, TakeWords, Word, each_word};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fewer words are not worth waking the thread for.
const HANDED_OVER_MIN: usize = 500;

/// See the module's head.
pub(super) struct Vocabulary {
    seed: Seed,
    /// How many words of the batch were taken.
    words: u64,
    /// Words that the thread has not been told of yet.
    front: Front,
    /// An empty list, if it is not with the thread.
    spare: Option<Words>,
    thread: Worker<Handed>,
    /// Held by the thread while it has the list.
    lexicon: Arc<Mutex<Lexicon>>,
    /// How many words those batches had that have ended and of which not all is known,
    words_ended: VecDeque<u64>,
    /// and what there is to say of others: two at most, if each is asked for.
    ended: VecDeque<Ended>,
}

/// What the thread is given, and gives back.
struct Handed {
    words: Words,
    ends_batch: bool,
    /// The different words of the batch that it ended, and of all.
    unique: Option<(Unique, Unique)>,
}

/// The words of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) words: u64,
    /// How many different ones.
    pub(super) unique: Unique,
    /// How many in all batches up to it.
    pub(super) unique_so_far: Unique,
}

impl Vocabulary {
    /// The least that it works with.
    pub(super) const BYTES_MIN: usize = Lexicon::BYTES_MIN + 2 * Front::BYTES_MIN;

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn start(bytes_max: usize) -> io::Result<Self> {
        let seed = Seed::random();
        let front = Front::new(bytes_max / 16, seed);
        let spare = Some(Words::of(&front));
        // The list takes no more than its front.
        let lexicon = Lexicon::new(bytes_max.saturating_sub(2 * front.bytes()), seed);
        let lexicon = Arc::new(Mutex::new(lexicon));
        let all = lexicon.clone();
        let thread = Worker::start("lexicon", 1, move |handed: &mut Handed| {
            let mut lexicon = lock(&all);
            lexicon.take(&mut handed.words);
            handed.unique = handed.ends_batch.then(|| lexicon.end_batch());
        })?;
        Ok(Self { seed, words: 0, front, spare, thread, lexicon, words_ended: VecDeque::new(), ended: VecDeque::new() })
    }

    /// Takes the words of a part of texts that were joined.
    pub(super) fn see_part(&mut self, texts: &Joined, part: Range<usize>) {
        self.words += texts.part(part, self);
    }

    /// Takes the words of a text that is too large to be joined to others.
    pub(super) fn see_large(&mut self, text: &[u8]) {
        each_word(text, |word| {
            if word.is_short() {
                self.short(word.head);
            } else {
                self.longer(word.bytes);
            }
            self.words += 1;
        });
    }

    #[cold]
    fn short_in_full(&mut self, head: u128) {
        self.hand_over(false);
        // There is room in one that is empty.
        let _ = self.front.see_short(head);
    }

    #[cold]
    fn longer_in_full(&mut self, bytes: &[u8]) {
        self.hand_over(false);
        if let Err(Full) = self.front.see_longer(bytes) {
            self.wait();
            let word = Word::of(bytes);
            lock(&self.lexicon).see(word, self.seed.of(word));
        }
    }

    /// The batch is over; the next one may begin.
    pub(super) fn end_batch(&mut self) {
        self.words_ended.push_back(std::mem::take(&mut self.words));
        if self.front.len() >= HANDED_OVER_MIN {
            self.hand_over(true);
            return;
        }
        let mut words = self.list();
        self.front.empty_into(&mut words);
        let mut lexicon = lock(&self.lexicon);
        lexicon.take(&mut words);
        let unique = lexicon.end_batch();
        drop(lexicon);
        self.spare = Some(words);
        self.tell(unique);
    }

    /// What batches had: each once, in order, as far as it is known by now.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Waits until all that was handed over is looked up.
    pub(super) fn wait(&mut self) {
        let words = self.list();
        self.spare = Some(words);
    }

    fn hand_over(&mut self, ends_batch: bool) {
        let mut words = self.list();
        self.front.empty_into(&mut words);
        self.thread.give(Handed { words, ends_batch, unique: None });
    }

    /// The list, once it is empty.
    fn list(&mut self) -> Words {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let Some(Handed { words, unique, .. }) = self.thread.take_back() else { return Words::of(&self.front) };
        if let Some(unique) = unique {
            self.tell(unique);
        }
        words
    }

    /// The first of those batches that have ended had so many different words.
    fn tell(&mut self, (unique, unique_so_far): (Unique, Unique)) {
        let words = self.words_ended.pop_front().unwrap_or_default();
        self.ended.push_back(Ended { words, unique, unique_so_far });
    }
}

impl TakeWords for Vocabulary {
    #[inline(always)]
    fn short(&mut self, head: u128) {
        if let Err(Full) = self.front.see_short(head) {
            self.short_in_full(head);
        }
    }

    #[inline(always)]
    fn longer(&mut self, bytes: &[u8]) {
        if let Err(Full) = self.front.see_longer(bytes) {
            self.longer_in_full(bytes);
        }
    }
}

/// Nothing is left half done under this lock.
fn lock(lexicon: &Mutex<Lexicon>) -> MutexGuard<'_, Lexicon> {
    lexicon.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every other text is parted as those are that were joined.
    fn see(vocabulary: &mut Vocabulary, text: &str) {
        let mut texts = Joined::with_room(1 << 10);
        if text.len().is_multiple_of(2) && texts.push(text.as_bytes()) {
            let end = texts.end_part();
            vocabulary.see_part(&texts, 0..end);
        } else {
            vocabulary.see_large(text.as_bytes());
        }
    }

    fn vocabulary(bytes_max: usize) -> Vocabulary {
        Vocabulary::start(bytes_max).unwrap()
    }

    /// The different words of the batch, and of all.
    fn end_batch(vocabulary: &mut Vocabulary) -> (Unique, Unique) {
        vocabulary.end_batch();
        vocabulary.wait();
        let Ended { unique, unique_so_far, .. } = vocabulary.ended().unwrap();
        (unique, unique_so_far)
    }

    fn exactly(count: u64) -> Unique {
        Unique { count, at_least: count, exact: true }
    }

    #[test]
    fn batches_count_their_own_words_and_the_total_counts_each_once() {
        let mut vocabulary = vocabulary(1 << 20);
        see(&mut vocabulary, "a b a");
        assert_eq!(end_batch(&mut vocabulary), (exactly(2), exactly(2)));
        see(&mut vocabulary, "b c b a-word-longer-than-eight");
        assert_eq!(end_batch(&mut vocabulary), (exactly(3), exactly(4)));
        assert_eq!(end_batch(&mut vocabulary), (exactly(0), exactly(4)));
    }

    #[test]
    fn without_room_batches_stay_exact_and_the_total_becomes_an_estimate_that_says_so() {
        // What is known: 20,000 words; then 200,000 more, of which each batch has 2,000, and 1,000 known ones.
        let mut vocabulary = vocabulary(1 << 20);
        let word = |number: u64| format!("w{number}");
        (0..20_000).for_each(|number| see(&mut vocabulary, &word(number)));
        assert_eq!(end_batch(&mut vocabulary), (exactly(20_000), exactly(20_000)));
        let mut total = exactly(0);
        for batch in 0..100 {
            for again in 0..2 {
                (0..2000).for_each(|number| see(&mut vocabulary, &word(20_000 + batch * 2000 + number)));
                (0..1000).for_each(|number| see(&mut vocabulary, &word(number + again)));
            }
            let (of_batch, of_all) = end_batch(&mut vocabulary);
            assert_eq!(of_batch, exactly(3001), "{batch}");
            total = of_all;
        }
        assert!(!total.exact && total.at_least >= 20_000 && total.at_least <= 220_000, "{total:?}");
        let off = total.count as f64 / 220_000.0 - 1.0;
        assert!(off.abs() < 0.04, "{total:?}");
    }

    #[test]
    fn a_batch_with_more_words_than_fit_anywhere_is_estimated_and_the_next_one_is_exact_again() {
        let mut vocabulary = vocabulary(Vocabulary::BYTES_MIN);
        (0..50_000).for_each(|number| see(&mut vocabulary, &number.to_string()));
        let (batch, _) = end_batch(&mut vocabulary);
        assert!(!batch.exact && (f64::from(batch.count as u32) / 50_000.0 - 1.0).abs() < 0.04, "{batch:?}");
        see(&mut vocabulary, "x y x");
        assert_eq!(end_batch(&mut vocabulary).0, exactly(2));
    }

    #[test]
    fn each_batch_is_told_once_in_order_while_the_next_ones_are_counted() {
        // Fronts of 12,288 words, so that more than one of them goes to a large batch; and words too long for them.
        let mut vocabulary = vocabulary(12 << 20);
        let long = "x".repeat(1 << 18);
        let (mut told, mut expected) = (Vec::new(), Vec::new());
        for batch in 0..20 {
            // Large and small ones by turns.
            let new = if batch % 3 == 0 { batch + 1 } else { batch * 3001 % 20_000 + 1 };
            for again in 0..2 {
                (0..new).for_each(|number| see(&mut vocabulary, &format!("{batch}-{number}")));
                see(&mut vocabulary, &long[again..]);
            }
            let before = expected.last().map_or(2, |ended: &Ended| ended.unique_so_far.count);
            let (unique, unique_so_far) = (exactly(new + 2), exactly(before + new));
            expected.push(Ended { words: 2 * (new + 1), unique, unique_so_far });
            vocabulary.end_batch();
            told.extend(std::iter::from_fn(|| vocabulary.ended()));
        }
        vocabulary.wait();
        told.extend(std::iter::from_fn(|| vocabulary.ended()));
        assert_eq!(told, expected);
    }
}
