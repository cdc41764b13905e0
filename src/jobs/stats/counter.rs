//! Texts on their way to the thread that counts their words.
//!
//! ```text
//!  texts ──▶ a page, filled ──▶ "words": vocabulary.rs ──▶ the page, empty, with what batches had that have ended
//!                ▲                                             │
//!                └─────────────────────────────────────────────┘
//! ```
//!
//! Non-obvious:
//! - So reading and counting go on at the same time, each at most [`PAGES`] pages apart; a page is some hundred texts.
//! - Where a batch ends is noted in its page. What a batch had does not depend on how texts came to be on pages.
//! - A text that is larger than a page is cut where white space is. If there is none, everything that is under way is waited for, and
//!   the text counted in place.

use super::vocabulary::{Ended, Vocabulary};
use super::worker::Worker;
use crate::formats::words::Joined;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there are: one that is filled, one that is counted, one between them.
const PAGES: usize = 3;
/// Waking a thread takes as long as counting a hundred short texts: a page should be more than that, and stay in a core's second
/// cache with the words that are looked for.
const PAGE_BYTES_MAX: usize = 128 << 10;
const PAGE_BYTES_MIN: usize = 8 << 10;
/// What pages take of the memory.
const PAGES_SHARE: usize = 32;
/// How many batches may end in one.
const ENDS_MAX: usize = 128;

/// See the module's head.
pub(super) struct Counter {
    page: Page,
    /// Empty ones.
    spare: Vec<Page>,
    /// How many are with the thread.
    away: usize,
    page_bytes: usize,
    thread: Worker<Page>,
    /// Held by the thread while it has a page.
    vocabulary: Arc<Mutex<Vocabulary>>,
    /// What is known and nobody has asked for yet.
    ended: VecDeque<Ended>,
}

#[derive(Default)]
struct Page {
    texts: Joined,
    /// Where batches end.
    ends: Vec<usize>,
    /// All that was counted is to be told of.
    waits: bool,
    /// What there is to say of batches that have ended, here or before.
    ended: Vec<Ended>,
}

impl Page {
    fn new(bytes: usize) -> Self {
        Self { texts: Joined::with_room(bytes), ..Self::default() }
    }

    /// What one takes that has so much room.
    const fn bytes(room: usize) -> usize {
        Joined::bytes_for(room) + 2 * ENDS_MAX * (size_of::<usize>() + size_of::<Ended>())
    }

    fn count(&mut self, vocabulary: &mut Vocabulary) {
        let mut start = 0;
        for end in self.ends.drain(..) {
            vocabulary.see_part(&self.texts, start..end);
            vocabulary.end_batch();
            self.ended.extend(std::iter::from_fn(|| vocabulary.ended()));
            start = end;
        }
        let end = self.texts.end_part();
        vocabulary.see_part(&self.texts, start..end);
        self.texts.clear();
        if std::mem::take(&mut self.waits) {
            vocabulary.wait();
        }
        self.ended.extend(std::iter::from_fn(|| vocabulary.ended()));
    }
}

impl Counter {
    /// The least that it works with.
    pub(super) const BYTES_MIN: usize = Vocabulary::BYTES_MIN + Self::pages_bytes(PAGE_BYTES_MIN);

    const fn pages_bytes(page: usize) -> usize {
        PAGES * Page::bytes(page)
    }

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn start(bytes_max: usize) -> io::Result<Self> {
        let page_bytes = (bytes_max / PAGES_SHARE / PAGES).clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX);
        let vocabulary = Vocabulary::start(bytes_max.saturating_sub(Self::pages_bytes(page_bytes)))?;
        let vocabulary = Arc::new(Mutex::new(vocabulary));
        let counted_in = vocabulary.clone();
        let thread = Worker::start("words", PAGES, move |page: &mut Page| page.count(&mut lock(&counted_in)))?;
        let mut spare: Vec<Page> = (0..PAGES).map(|_| Page::new(page_bytes)).collect();
        let page = spare.pop().unwrap_or_default();
        Ok(Self { page, spare, away: 0, page_bytes, thread, vocabulary, ended: VecDeque::new() })
    }

    /// Takes the words of a text.
    #[inline]
    pub(super) fn see_all(&mut self, text: &[u8]) {
        if !self.page.texts.push(text) {
            self.turn_page(text);
        }
    }

    #[inline(never)]
    fn turn_page(&mut self, mut text: &[u8]) {
        loop {
            self.hand_over();
            if self.page.texts.push(text) {
                return;
            }
            let fits = text.get(..self.page.texts.text_bytes_max()).unwrap_or(text);
            let Some(cut) = memchr::memrchr3(b' ', b'\n', b'\t', fits) else { break };
            let (before, behind) = text.split_at(cut);
            self.page.texts.push(before);
            text = &behind[1..];
        }
        self.settle();
        lock(&self.vocabulary).see_large(text);
    }

    /// The batch is over; the next one may begin.
    pub(super) fn end_batch(&mut self) {
        let end = self.page.texts.end_part();
        self.page.ends.push(end);
        if self.page.ends.len() == ENDS_MAX {
            self.hand_over();
        }
    }

    /// What batches had: each once, in order, as far as it is known by now.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Waits until all is counted.
    pub(super) fn wait(&mut self) {
        self.page.waits = true;
        self.hand_over();
        self.settle();
    }

    /// Gives the page to the thread and begins another one.
    fn hand_over(&mut self) {
        self.thread.give(std::mem::take(&mut self.page));
        self.away += 1;
        self.page = match self.spare.pop() {
            Some(spare) => spare,
            None => self.take_back(),
        };
    }

    /// Waits until no page is with the thread.
    fn settle(&mut self) {
        while self.away > 0 {
            let page = self.take_back();
            self.spare.push(page);
        }
    }

    /// Waits for an empty page.
    fn take_back(&mut self) -> Page {
        self.away -= 1;
        let Some(mut page) = self.thread.take_back() else { return Page::new(self.page_bytes) };
        self.ended.extend(page.ended.drain(..));
        page
    }
}

/// Nothing is left half done under this lock.
fn lock(vocabulary: &Mutex<Vocabulary>) -> MutexGuard<'_, Vocabulary> {
    vocabulary.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::lexicon::Unique;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The slow way: of each batch its words, how many different ones, and how many up to it.
    fn counted_plainly(batches: &[Vec<String>]) -> Vec<(u64, u64, u64)> {
        let mut so_far = HashSet::new();
        let of_batch = |texts: &Vec<String>| {
            let words: Vec<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
            let unique: HashSet<&str> = words.iter().copied().collect();
            so_far.extend(unique.iter().map(|word| (*word).to_owned()));
            (words.len() as u64, unique.len() as u64, so_far.len() as u64)
        };
        batches.iter().map(of_batch).collect()
    }

    fn counted(batches: &[Vec<String>], bytes: usize) -> Vec<(u64, u64, u64)> {
        let mut counter = Counter::start(bytes).unwrap();
        let mut told = Vec::new();
        for batch in batches {
            batch.iter().for_each(|text| counter.see_all(text.as_bytes()));
            counter.end_batch();
            told.extend(std::iter::from_fn(|| counter.ended()));
        }
        counter.wait();
        told.extend(std::iter::from_fn(|| counter.ended()));
        let exact = |unique: Unique| {
            assert!(unique.exact, "{unique:?}");
            unique.count
        };
        told.iter().map(|ended| (ended.words, exact(ended.unique), exact(ended.unique_so_far))).collect()
    }

    /// Batches of texts of words of every length up to what a page has room for and more; by kinds of things and numbers.
    fn batches(things: &[(u8, u16)]) -> Vec<Vec<String>> {
        let mut batches = vec![vec![String::new()]];
        for (kind, number) in things {
            let few = number % 50;
            let word = match kind {
                0 => {
                    batches.push(Vec::new());
                    continue;
                }
                1..8 => {
                    batches.last_mut().unwrap().push(String::new());
                    continue;
                }
                8 => "x".repeat(usize::from(*number) * 4),
                9..16 => "\u{e9}".repeat(usize::from(few)),
                16..24 => format!("{few}-longer-than-fifteen"),
                24..32 => number.to_string(),
                _ => few.to_string(),
            };
            let batch = batches.last_mut().unwrap();
            if batch.is_empty() {
                batch.push(String::new());
            }
            let between = [" ", " ", " ", "\n", "  ", "\t", "\u{3000}", "\u{85}"][usize::from(number % 8)];
            *batch.last_mut().unwrap() += &(word + between);
        }
        batches
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_texts_in_any_batches_have_the_words_that_the_slow_way_finds(
            things in proptest::collection::vec((0..128_u8, any::<u16>()), 0..2000),
        ) {
            let batches = batches(&things);
            prop_assert_eq!(counted(&batches, 64 << 20), counted_plainly(&batches));
        }
    }

    #[test]
    fn batches_of_nothing_and_of_one_word_are_each_told_once_in_order() {
        let batches: Vec<Vec<String>> =
            (0..1000).map(|number| if number % 3 == 0 { vec![] } else { vec![format!("w{}", number / 7)] }).collect();
        assert_eq!(counted(&batches, 8 << 20), counted_plainly(&batches));
    }

    #[test]
    fn many_pages_of_large_and_small_texts_make_the_same_batches_whatever_the_memory() {
        let text = |number: usize| match number % 50 {
            0 => format!("{} and-more-{number}", "many words of it ".repeat(1000)),
            _ => format!("{number} {}  a-word-longer-than-fifteen-{}", number % 97, number % 211),
        };
        let batches: Vec<Vec<String>> =
            (0..20).map(|batch| (0..700).map(|n| text(batch * 700 + n)).collect()).collect();
        let expected = counted_plainly(&batches);
        for bytes in [6 << 20, 64 << 20] {
            assert_eq!(counted(&batches, bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn what_it_takes_stays_below_what_it_was_given() {
        for bytes in [Counter::BYTES_MIN, 1 << 20, 64 << 20] {
            let counter = Counter::start(bytes).unwrap();
            let pages = Counter::pages_bytes(counter.page_bytes);
            assert!(pages + Vocabulary::BYTES_MIN <= bytes, "{pages} of {bytes}");
            assert_eq!(counter.spare.len() + 1, PAGES);
        }
    }
}
