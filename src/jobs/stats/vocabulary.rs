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
use crate::formats::words::{Joined, Word, each_word};
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Fewer words are not worth waking the thread for.
const HANDED_OVER_MIN: usize = 500;

/// See the module's head.
pub(super) struct Vocabulary {
    seed: Seed,
    /// Texts whose words are not taken yet.
    joined: Joined,
    /// How many words of the batch were taken.
    words: u64,
    /// Words that the thread has not been told of yet.
    front: Front,
    /// An empty list, if it is not with the thread.
    spare: Option<Words>,
    to_look_up: SyncSender<Handed>,
    looked_up: Receiver<Returned>,
    thread: Option<JoinHandle<()>>,
    /// Held by the thread while it has the list.
    lexicon: Arc<Mutex<Lexicon>>,
    /// Of batches that have ended and that nobody has asked for: two at most.
    ended: VecDeque<(Unique, Unique)>,
}

/// What the thread is given,
struct Handed {
    words: Words,
    ends_batch: bool,
}

/// and what it gives back.
struct Returned {
    words: Words,
    /// The different words of the batch that it ended, and of all.
    ended: Option<(Unique, Unique)>,
}

impl Vocabulary {
    /// The least that it works with.
    pub(super) const BYTES_MIN: usize = Lexicon::BYTES_MIN + 2 * Front::BYTES_MIN + Joined::BYTES;

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn start(bytes_max: usize) -> io::Result<Self> {
        let seed = Seed::random();
        let front = Front::new(bytes_max / 16, seed);
        let spare = Words::of(&front);
        // The list takes no more than its front.
        let lexicon = Lexicon::new(bytes_max.saturating_sub(2 * front.bytes() + Joined::BYTES), seed);
        let lexicon = Arc::new(Mutex::new(lexicon));
        let (to_look_up, handed) = sync_channel(1);
        let (give_back, looked_up) = sync_channel(1);
        let all = lexicon.clone();
        let look_up = move || {
            while let Ok(Handed { mut words, ends_batch }) = handed.recv() {
                let mut lexicon = lock(&all);
                lexicon.take(&mut words);
                let ended = ends_batch.then(|| lexicon.end_batch());
                drop(lexicon);
                if give_back.send(Returned { words, ended }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("words".to_owned()).spawn(look_up)?;
        let (spare, thread, ended) = (Some(spare), Some(thread), VecDeque::new());
        Ok(Self { seed, joined: Joined::new(), words: 0, front, spare, to_look_up, looked_up, thread, lexicon, ended })
    }

    /// Takes the words of a text.
    #[inline]
    pub(super) fn see_all(&mut self, text: &[u8]) {
        if !self.joined.push(text) {
            self.part();
            if !self.joined.push(text) {
                self.see_large(text);
            }
        }
    }

    /// Parts the texts that were joined.
    #[inline(never)]
    fn part(&mut self) {
        let mut joined = std::mem::take(&mut self.joined);
        self.words += joined.part(|word| self.see(word));
        self.joined = joined;
    }

    /// Takes the words of a text that is too large to be joined to others.
    #[cold]
    fn see_large(&mut self, text: &[u8]) {
        each_word(text, |word| {
            self.see(word);
            self.words += 1;
        });
    }

    #[inline(always)]
    fn see(&mut self, word: Word<'_>) {
        let hash = self.seed.of(word);
        if let Err(Full) = self.front.see(word, hash) {
            self.see_full(word.bytes, hash);
        }
    }

    #[cold]
    fn see_full(&mut self, bytes: &[u8], hash: u64) {
        let word = Word::of(bytes);
        self.hand_over(false);
        if let Err(Full) = self.front.see(word, hash) {
            self.wait();
            lock(&self.lexicon).see(word, hash);
        }
    }

    /// The batch is over; the next one may begin. Gives how many words it had.
    pub(super) fn end_batch(&mut self) -> u64 {
        self.part();
        if self.front.len() >= HANDED_OVER_MIN {
            self.hand_over(true);
        } else {
            let mut words = self.list();
            self.front.empty_into(&mut words);
            let mut lexicon = lock(&self.lexicon);
            lexicon.take(&mut words);
            self.ended.push_back(lexicon.end_batch());
            self.spare = Some(words);
        }
        std::mem::take(&mut self.words)
    }

    /// The different words of a batch, and of all up to it: each batch once, in order, as far as they are known by now.
    pub(super) fn ended(&mut self) -> Option<(Unique, Unique)> {
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
        // If the thread is gone, the next wait for it says so.
        let _ = self.to_look_up.send(Handed { words, ends_batch });
    }

    /// The list, once it is empty.
    fn list(&mut self) -> Words {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        match self.looked_up.recv() {
            Ok(Returned { words, ended }) => {
                self.ended.extend(ended);
                words
            }
            // It only ends before this does if it dies.
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(died)) => std::panic::resume_unwind(died),
                _ => Words::of(&self.front),
            },
        }
    }
}

/// Nothing is left half done under this lock.
fn lock(lexicon: &Mutex<Lexicon>) -> std::sync::MutexGuard<'_, Lexicon> {
    lexicon.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(vocabulary: &mut Vocabulary, text: &str) {
        vocabulary.see_all(text.as_bytes());
    }

    fn vocabulary(bytes_max: usize) -> Vocabulary {
        Vocabulary::start(bytes_max).unwrap()
    }

    /// The different words of the batch, and of all.
    fn end_batch(vocabulary: &mut Vocabulary) -> (Unique, Unique) {
        vocabulary.end_batch();
        vocabulary.wait();
        vocabulary.ended().unwrap()
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
            let before = expected.last().map_or(2, |(_, of_all): &(Unique, Unique)| of_all.count);
            expected.push((exactly(new + 2), exactly(before + new)));
            vocabulary.end_batch();
            told.extend(std::iter::from_fn(|| vocabulary.ended()));
        }
        vocabulary.wait();
        told.extend(std::iter::from_fn(|| vocabulary.ended()));
        assert_eq!(told, expected);
    }
}
