//! How many words there are, and how many different ones, in all and in each batch: exactly, as far as the memory goes.
//!
//! ```text
//!          ┌─▶ parted here ───▶ front.rs ── full, or the batch is over: a list ─┐
//!  texts ──┤ a chunk at a time                                                  ▼
//!          └─▶ by a thread ───▶ a front of its own ────────────────────────▶ lexicon.rs ─▶ set.rs: all words, each with the
//!              if it has time                                                   │          batch it was seen in last
//!                                                                               └─ no room ──▶ sketch.rs: about how many
//! ```
//!
//! Non-obvious:
//! - Parting texts costs the most. So whoever has time does it: a chunk goes to the thread while it has room for one, and is
//!   parted here otherwise. In which order the words of a batch are seen does not matter.
//! - The thread also has the lexicon, and takes what it is given in order. So a batch's words come before its end, and its end
//!   before the words of the next one; what a batch had is known a little later ([`Vocabulary::ended`]).
//! - To wake a thread takes as long as to look a hundred words up. The few words of a small batch are looked up right here.
//! - A word that is longer than all the room of a front is looked up right away, behind those that came before it.

use super::front::{Front, Full, Words};
use super::hash::Seed;
use super::lexicon::{Lexicon, Unique};
use crate::formats::words::{Word, each_word};
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Fewer words are not worth waking the thread for.
const HANDED_OVER_MIN: usize = 500;

/// A chunk, where there is memory for it: small enough for a core's second cache, and some hundred texts.
const CHUNK_BYTES_MAX: usize = 64 << 10;
const CHUNK_BYTES_MIN: usize = 4 << 10;
/// Chunks that the thread may have at once: one that it parts, and some that wait.
const CHUNKS: usize = 3;
/// With them it may have one list.
const MESSAGES: usize = CHUNKS + 1;

/// What is told of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// How many words it had,
    pub(super) words: u64,
    /// how many different ones,
    pub(super) unique: Unique,
    /// and how many there were in all batches up to it.
    pub(super) unique_so_far: Unique,
}

/// See the module's head.
pub(super) struct Vocabulary {
    seed: Seed,
    /// Texts that are not parted yet, a line for each.
    chunk: Vec<u8>,
    chunk_bytes: usize,
    spare_chunks: Vec<Vec<u8>>,
    /// Words that the lexicon has not been told of yet, and how many were parted here in this batch.
    front: Front,
    words: u64,
    /// Whether the thread has some of this batch.
    shared: bool,
    /// An empty list, if it is not with the thread.
    spare: Option<Words>,
    to_thread: SyncSender<Handed>,
    from_thread: Receiver<Returned>,
    thread: Option<JoinHandle<()>>,
    /// Held by the thread while it looks words up.
    lexicon: Arc<Mutex<Lexicon>>,
    /// Of batches that have ended and that nobody has asked for: two at most.
    ended: VecDeque<Ended>,
}

/// What the thread is given,
enum Handed {
    Chunk(Vec<u8>),
    /// with how many words were parted here in all, where it ends the batch.
    List(Words, Option<u64>),
}

/// and what it gives back.
enum Returned {
    Chunk(Vec<u8>),
    List(Words, Option<Ended>),
}

impl Vocabulary {
    /// The least that it works with.
    pub(super) const BYTES_MIN: usize = Lexicon::BYTES_MIN + 4 * Front::BYTES_MIN + (CHUNKS + 1) * CHUNK_BYTES_MIN;

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn start(bytes_max: usize) -> io::Result<Self> {
        let seed = Seed::random();
        let front = Front::new(bytes_max / 32, seed);
        let spare = Words::of(&front);
        let chunk_bytes = (bytes_max / 64).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let mut spare_chunks: Vec<_> = (0..=CHUNKS).map(|_| Vec::with_capacity(chunk_bytes)).collect();
        let chunk = spare_chunks.pop().unwrap_or_default();
        // A list takes no more than its front; the thread has the like of both.
        let elsewhere = 4 * front.bytes() + (CHUNKS + 1) * chunk_bytes;
        let lexicon = Arc::new(Mutex::new(Lexicon::new(bytes_max.saturating_sub(elsewhere), seed)));
        let (to_thread, handed) = sync_channel(MESSAGES);
        let (give_back, from_thread) = sync_channel(MESSAGES);
        let there = There { seed, list: Words::of(&front), front: Front::new(bytes_max / 32, seed), words: 0 };
        let all = lexicon.clone();
        let work = move || there.work(&handed, &give_back, &all);
        let thread = Some(std::thread::Builder::new().name("words".to_owned()).spawn(work)?);
        let (spare, ended) = (Some(spare), VecDeque::new());
        Ok(Self {
            seed,
            chunk,
            chunk_bytes,
            spare_chunks,
            front,
            words: 0,
            shared: false,
            spare,
            to_thread,
            from_thread,
            thread,
            lexicon,
            ended,
        })
    }

    /// Takes the words of a text.
    #[inline]
    pub(super) fn see_all(&mut self, text: &[u8]) {
        if self.chunk.len() + text.len() >= self.chunk_bytes {
            self.see_chunk();
            if text.len() >= self.chunk_bytes {
                return self.part(text);
            }
        }
        self.chunk.extend_from_slice(text);
        // Parts words, whatever the texts before and behind it are.
        self.chunk.push(b'\n');
    }

    /// Empties the chunk.
    #[inline(never)]
    fn see_chunk(&mut self) {
        while let Ok(returned) = self.from_thread.try_recv() {
            self.take_back(returned);
        }
        match self.spare_chunks.pop() {
            Some(spare) => {
                self.shared = true;
                let chunk = std::mem::replace(&mut self.chunk, spare);
                self.hand(Handed::Chunk(chunk));
            }
            None => self.part_chunk(),
        }
    }

    fn part_chunk(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        self.part(&chunk);
        chunk.clear();
        self.chunk = chunk;
    }

    fn part(&mut self, text: &[u8]) {
        let mut words = 0;
        each_word(text, |word| {
            words += 1;
            let hash = self.seed.of(word);
            if let Err(Full) = self.front.see(word, hash) {
                self.see_full(word, hash);
            }
        });
        self.words += words;
    }

    #[inline(never)]
    fn see_full(&mut self, word: Word<'_>, hash: u64) {
        self.hand_over(None);
        if let Err(Full) = self.front.see(word, hash) {
            self.wait();
            lock(&self.lexicon).see(word, hash);
        }
    }

    /// The batch is over; the next one may begin.
    pub(super) fn end_batch(&mut self) {
        self.part_chunk();
        let words = std::mem::take(&mut self.words);
        if std::mem::take(&mut self.shared) || self.front.len() >= HANDED_OVER_MIN {
            return self.hand_over(Some(words));
        }
        let mut list = self.list();
        self.front.empty_into(&mut list);
        let mut lexicon = lock(&self.lexicon);
        lexicon.take(&mut list);
        self.ended.push_back(Ended::of(words, &mut lexicon));
        drop(lexicon);
        self.spare = Some(list);
    }

    /// What a batch had: each batch once, in order, as far as they are known by now.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Waits until all lists that were handed over are looked up.
    pub(super) fn wait(&mut self) {
        let list = self.list();
        self.spare = Some(list);
    }

    fn hand_over(&mut self, ends_batch: Option<u64>) {
        let mut list = self.list();
        self.front.empty_into(&mut list);
        self.hand(Handed::List(list, ends_batch));
    }

    fn hand(&self, handed: Handed) {
        // If the thread is gone, the next wait for it says so.
        let _ = self.to_thread.send(handed);
    }

    fn take_back(&mut self, returned: Returned) {
        match returned {
            Returned::Chunk(chunk) => self.spare_chunks.push(chunk),
            Returned::List(list, ended) => {
                self.ended.extend(ended);
                self.spare = Some(list);
            }
        }
    }

    /// The list, once it is empty.
    fn list(&mut self) -> Words {
        loop {
            if let Some(spare) = self.spare.take() {
                return spare;
            }
            match self.from_thread.recv() {
                Ok(returned) => self.take_back(returned),
                // It only ends before this does if it dies.
                Err(_) => match self.thread.take().map(JoinHandle::join) {
                    Some(Err(died)) => std::panic::resume_unwind(died),
                    _ => return Words::of(&self.front),
                },
            }
        }
    }
}

/// What the thread has for itself.
struct There {
    seed: Seed,
    front: Front,
    list: Words,
    /// Of the batch at hand.
    words: u64,
}

impl There {
    /// Until nobody gives it anything any more.
    fn work(mut self, handed: &Receiver<Handed>, give_back: &SyncSender<Returned>, lexicon: &Mutex<Lexicon>) {
        while let Ok(handed) = handed.recv() {
            let returned = match handed {
                Handed::Chunk(mut chunk) => {
                    self.part(&chunk, lexicon);
                    chunk.clear();
                    Returned::Chunk(chunk)
                }
                Handed::List(mut list, None) => {
                    lock(lexicon).take(&mut list);
                    Returned::List(list, None)
                }
                Handed::List(mut list, Some(words)) => {
                    self.front.empty_into(&mut self.list);
                    let mut lexicon = lock(lexicon);
                    lexicon.take(&mut list);
                    lexicon.take(&mut self.list);
                    let words = words + std::mem::take(&mut self.words);
                    Returned::List(list, Some(Ended::of(words, &mut lexicon)))
                }
            };
            if give_back.send(returned).is_err() {
                return;
            }
        }
    }

    fn part(&mut self, text: &[u8], lexicon: &Mutex<Lexicon>) {
        let Self { seed, front, list, words } = self;
        each_word(text, |word| {
            *words += 1;
            let hash = seed.of(word);
            if let Err(Full) = front.see(word, hash) {
                front.empty_into(list);
                let mut lexicon = lock(lexicon);
                lexicon.take(list);
                if let Err(Full) = front.see(word, hash) {
                    lexicon.see(word, hash);
                }
            }
        });
    }
}

impl Ended {
    /// Ends a batch of so many words.
    fn of(words: u64, lexicon: &mut Lexicon) -> Self {
        let (unique, unique_so_far) = lexicon.end_batch();
        Self { words, unique, unique_so_far }
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
        let ended = vocabulary.ended().unwrap();
        (ended.unique, ended.unique_so_far)
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
            let before = expected.last().map_or(2, |(_, _, of_all): &(u64, Unique, Unique)| of_all.count);
            expected.push((2 * new + 2, exactly(new + 2), exactly(before + new)));
            vocabulary.end_batch();
            told.extend(std::iter::from_fn(|| vocabulary.ended()));
        }
        vocabulary.wait();
        told.extend(std::iter::from_fn(|| vocabulary.ended()));
        let told: Vec<_> = told.iter().map(|one: &Ended| (one.words, one.unique, one.unique_so_far)).collect();
        assert_eq!(told, expected);
    }
}
