//! The words of a short while: a table small enough to stay in a processor's own memory, before the set of all words.
//!
//! ```text
//!  word ──▶ hash ──▶ bucket, 64 bytes: four words, each a number of 16        long words
//!                    up to 15 bytes: the word and its length                  ┌───────┐
//!                    longer:         its hash, its length, where it stands ──▶│ bytes │
//!                                                                             └───────┘
//! ```
//!
//! Text repeats itself, and a large table's answer takes a hundred times as long as the sum of a few bytes. So a word is looked
//! for here first; only once the table is full, or a batch at its end, do its words go to the set of all, each once. They go
//! in the order of their hashes, which is the order in which that set has them, so it is walked from end to end, not jumped
//! about in. This table forgets everything then.
//!
//! A longer word is not even hashed if it was seen lately: a few bytes of it say which one it may be, and then it is compared.
//!
//! A processor that guesses wrong loses the time of twenty steps. So all four words of a bucket are compared whether or not the
//! first one is it, and the only question left open is whether the word is new.

use super::hash::{Seed, spread};
use crate::formats::words::{Word, len_of_head};

const BUCKET_SLOTS: usize = 4;
/// The largest table: 1 MiB of slots, a core's second cache on today's servers, of which the words of an ordinary batch use half.
const BUCKETS_MAX: usize = 1 << 13;
const BUCKETS_MIN: usize = 1 << 6;
/// What longer words take for each slot, at most, on the average.
const LONG_BYTES_A_SLOT: usize = 8;
/// What a slot costs: itself, its bytes of longer words, its place in the list.
const SLOT_BYTES: usize = size_of::<u128>() + LONG_BYTES_A_SLOT + size_of::<u32>();

/// How many words are announced at a time: more than a core can ask memory for at once.
const ANNOUNCED: usize = 64;

/// How many longer words are known again without a hash.
const LATELY: usize = 1 << 11;
const LATELY_BYTES: usize = LATELY * size_of::<u64>();

/// Filled from the first on; zero is a slot that is free.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u128; BUCKET_SLOTS]);

/// Where a longer word is, in the upper half of its slot: a length that no short word has, its own, and the place.
const LONG: u64 = 0xff << 56;
const LONG_LEN_SHIFT: u32 = 32;
const LONG_LEN_MAX: usize = (1 << 24) - 1;

/// See the module's head.
pub(super) struct Front {
    buckets: Box<[Bucket]>,
    /// How far a hash is moved to be a bucket's index.
    shift: u32,
    /// The slots that are used, in the order in which they came to be.
    used: Vec<u32>,
    long: Vec<u8>,
    /// Where longer words are that were seen lately, by samples of them: the upper halves of their slots, or zero.
    lately: Box<[u64; LATELY]>,
    seed: Seed,
}

/// There is no room for a new word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Front {
    /// The least that one takes.
    pub(super) const BYTES_MIN: usize = BUCKETS_MIN * BUCKET_SLOTS * SLOT_BYTES + LATELY_BYTES;

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn new(bytes_max: usize, seed: Seed) -> Self {
        let slots_max = bytes_max.saturating_sub(LATELY_BYTES) / SLOT_BYTES;
        let bits = (slots_max / BUCKET_SLOTS).clamp(BUCKETS_MIN, BUCKETS_MAX).ilog2();
        let slots = BUCKET_SLOTS << bits;
        Self {
            buckets: vec![Bucket([0; BUCKET_SLOTS]); 1 << bits].into(),
            shift: u64::BITS - bits,
            used: Vec::with_capacity(slots),
            long: Vec::with_capacity(slots * LONG_BYTES_A_SLOT),
            lately: Box::new([0; LATELY]),
            seed,
        }
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        self.slots() * SLOT_BYTES + LATELY_BYTES
    }

    /// How many words there are in it.
    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    fn slots(&self) -> usize {
        self.buckets.len() * BUCKET_SLOTS
    }

    /// Remembers a short word.
    #[inline(always)]
    pub(super) fn see_short(&mut self, head: u128) -> Result<(), Full> {
        let (low, high) = (head as u64, (head >> 64) as u64);
        let hash = self.seed.of_head(head);
        let mut at = (hash >> self.shift) as usize;
        loop {
            let [a, b, c, d] = self.buckets[at].0;
            let unlike = |slot: u128| (slot as u64 ^ low) | ((slot >> 64) as u64 ^ high);
            // Most words are where they were put first.
            if unlike(a) == 0 {
                return Ok(());
            }
            if unlike(b).min(unlike(c)).min(unlike(d)) == 0 {
                return Ok(());
            }
            if d == 0 {
                return self.add(at, head);
            }
            at = (at + 1) & (self.buckets.len() - 1);
        }
    }

    /// Remembers a longer word.
    #[inline(never)]
    pub(super) fn see_longer(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let lately = sample(bytes);
        if long_at(&self.long, u128::from(self.lately[lately]) << 64) == Some(bytes) {
            return Ok(());
        }
        self.lately[lately] = self.place_of_long(bytes)?;
        Ok(())
    }

    /// The upper half of a longer word's slot, which it has from now on.
    #[inline(never)]
    fn place_of_long(&mut self, bytes: &[u8]) -> Result<u64, Full> {
        let hash = self.seed.of_long(bytes);
        let mut at = (hash >> self.shift) as usize;
        loop {
            let bucket = &self.buckets[at].0;
            let mut alike = bucket.iter().filter(|slot| **slot as u64 == hash);
            if let Some(slot) = alike.find(|slot| long_at(&self.long, **slot) == Some(bytes)) {
                return Ok((slot >> 64) as u64);
            }
            if bucket[BUCKET_SLOTS - 1] == 0 {
                if bytes.len() > LONG_LEN_MAX.min(self.long.capacity() - self.long.len()) {
                    return Err(Full);
                }
                let place = LONG | (bytes.len() as u64) << LONG_LEN_SHIFT | self.long.len() as u64;
                self.add(at, u128::from(place) << 64 | u128::from(hash))?;
                self.long.extend_from_slice(bytes);
                return Ok(place);
            }
            at = (at + 1) & (self.buckets.len() - 1);
        }
    }

    #[inline(never)]
    fn add(&mut self, at: usize, slot: u128) -> Result<(), Full> {
        // Searches stay short up to three quarters.
        if self.used.len() * 4 >= self.slots() * 3 {
            return Err(Full);
        }
        let bucket = &mut self.buckets[at].0;
        let free = bucket.iter().fold(0, |free, slot| free + usize::from(*slot != 0)) % BUCKET_SLOTS;
        bucket[free] = slot;
        self.used.push((at * BUCKET_SLOTS + free) as u32);
        Ok(())
    }

    /// Moves all words into a list that is empty.
    pub(super) fn empty_into(&mut self, words: &mut Words) {
        if !self.long.is_empty() {
            self.lately.fill(0);
        }
        std::mem::swap(&mut self.long, &mut words.long);
        // Few are found by the list, many by going through all.
        if self.used.len() * 8 < self.slots() {
            for at in &self.used {
                let (bucket, slot) = (*at as usize / BUCKET_SLOTS, *at as usize % BUCKET_SLOTS);
                words.slots.push(std::mem::take(&mut self.buckets[bucket].0[slot]));
            }
        } else {
            for bucket in &mut self.buckets {
                // All four are copied, and those that are free taken back, so that nobody has to guess how many.
                let used: usize = bucket.0.iter().map(|slot| usize::from(*slot != 0)).sum();
                let len = words.slots.len() + used;
                words.slots.extend_from_slice(&std::mem::replace(&mut bucket.0, [0; BUCKET_SLOTS]));
                words.slots.truncate(len);
            }
        }
        self.used.clear();
    }
}

/// The words that a front had, in the order of their hashes unless they are few. They are listed because the front itself must stay
/// with the core that fills it: a line of memory that another core has touched takes as long to get back as one from far away.
pub(super) struct Words {
    slots: Vec<u128>,
    long: Vec<u8>,
    seed: Seed,
}

impl Words {
    /// An empty one that has room for all words of this front, and takes no more memory than it.
    pub(super) fn of(front: &Front) -> Self {
        Self {
            slots: Vec::with_capacity(front.slots() * 3 / 4 + BUCKET_SLOTS),
            long: Vec::with_capacity(front.long.capacity()),
            seed: front.seed,
        }
    }

    /// Hands all words to `take`, with their hashes, and forgets them. A few at a time are announced to `expect` by their hashes.
    pub(super) fn hand_over<T>(
        &mut self,
        to: &mut T,
        expect: impl Fn(&T, u64),
        mut take: impl FnMut(&mut T, Word<'_>, u64),
    ) {
        let mut hashes = [0; ANNOUNCED];
        for slots in self.slots.chunks(ANNOUNCED) {
            for (slot, hash) in slots.iter().zip(&mut hashes) {
                *hash = if slot >> 64 < u128::from(LONG) { self.seed.of_head(*slot) } else { *slot as u64 };
                expect(to, *hash);
            }
            for (slot, hash) in slots.iter().zip(hashes) {
                match long_at(&self.long, *slot) {
                    Some(bytes) => take(to, Word { bytes, head: 0 }, hash),
                    None => {
                        let bytes = slot.to_le_bytes();
                        let bytes = bytes.get(..len_of_head(*slot)).unwrap_or_default();
                        take(to, Word { bytes, head: *slot }, hash);
                    }
                }
            }
        }
        self.slots.clear();
        self.long.clear();
    }
}

/// The longer word that a slot has; `None` for a short one.
#[inline(always)]
fn long_at(long: &[u8], slot: u128) -> Option<&[u8]> {
    let place = (slot >> 64) as u64;
    let len = (place & !LONG) >> LONG_LEN_SHIFT;
    (place >= LONG).then(|| long.get(place as u32 as usize..)?.get(..len as usize))?
}

/// Which of the places for words that were seen lately a longer word has, by eight bytes at each quarter of it.
#[inline(always)]
fn sample(bytes: &[u8]) -> usize {
    let eight = |at: usize| {
        let eight = bytes.get(at..at + size_of::<u64>()).and_then(<[u8]>::first_chunk);
        eight.map_or(0, |eight| u64::from_le_bytes(*eight))
    };
    let last = bytes.len().saturating_sub(size_of::<u64>());
    let (quarter, half) = (last / 4, last / 2);
    let ends = eight(0) ^ eight(last).rotate_left(21);
    let inside = eight(quarter) ^ eight(half).rotate_left(43) ^ eight(quarter + half).rotate_left(11);
    let all = ends.wrapping_add(inside).wrapping_add(bytes.len() as u64);
    (spread(all ^ all >> 32) >> (u64::BITS - LATELY.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::words::each_word;
    use std::collections::BTreeSet;

    fn see(front: &mut Front, text: &str) -> Result<(), Full> {
        let mut seen = Ok(());
        each_word(text.as_bytes(), |word| {
            seen = if word.is_short() { front.see_short(word.head) } else { front.see_longer(word.bytes) };
        });
        seen
    }

    fn emptied(front: &mut Front) -> Vec<String> {
        let (mut words, mut list) = (Vec::new(), Words::of(front));
        front.empty_into(&mut list);
        let seed = front.seed;
        let expected = std::cell::Cell::new(0);
        list.hand_over(
            &mut words,
            |_, _| expected.set(expected.get() + 1),
            |words: &mut Vec<String>, word, hash| {
                assert_eq!(hash, seed.of(word));
                assert_eq!(word, Word::of(word.bytes));
                words.push(String::from_utf8(word.bytes.to_vec()).unwrap());
            },
        );
        assert_eq!(expected.get(), words.len());
        words
    }

    #[test]
    fn each_word_comes_out_once_with_its_hash() {
        let mut front = Front::new(0, Seed::random());
        let words = ["a", "fifteen--bytes.", "sixteen---bytes.", "a\0", "much-longer-than-the-others"];
        for _ in 0..2 {
            for word in words.iter().chain(&words) {
                assert_eq!(see(&mut front, word), Ok(()));
            }
            let mut out = emptied(&mut front);
            out.sort_unstable();
            let mut sorted = words.map(str::to_owned);
            sorted.sort_unstable();
            assert_eq!(out, sorted);
            assert!(emptied(&mut front).is_empty());
        }
    }

    #[test]
    fn longer_words_that_are_alike_in_all_that_is_looked_at_first_are_told_apart() {
        // Alike but for two bytes, which are not among those that say which word it may be; so all have one place there.
        let word = |number: usize| format!("0123456789abcdef{number:04}00123456789abcdefghijklmnopq");
        let samples: BTreeSet<usize> = (0..100).map(|number| sample(word(number).as_bytes())).collect();
        assert!(samples.len() == 1, "{samples:?}");
        let mut front = Front::new(64 << 10, Seed::random());
        // What it has is a part of others, and others are a part of it.
        let words: Vec<String> = (0..100).map(word).chain([word(7) + &word(8), word(7)[1..].to_owned()]).collect();
        for round in 0..3 {
            for again in 0..=round {
                for word in &words {
                    assert_eq!(see(&mut front, word), Ok(()));
                    assert_eq!(see(&mut front, word), Ok(()), "{again}");
                }
            }
            assert_eq!(front.len(), words.len());
            let mut out = emptied(&mut front);
            out.sort_unstable();
            let sorted: Vec<String> = words.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
            assert_eq!(out, sorted, "what was seen lately is forgotten with the rest");
        }
    }

    #[test]
    fn a_word_that_was_seen_lately_is_not_taken_for_a_part_of_another_one_that_stands_in_its_place_later() {
        let mut front = Front::new(0, Seed::random());
        let word = "seen-once-and-again";
        assert_eq!(see(&mut front, word), Ok(()));
        assert_eq!(emptied(&mut front), [word]);
        let longer = word.repeat(2);
        assert_eq!((see(&mut front, &longer), see(&mut front, word)), (Ok(()), Ok(())));
        let mut out = emptied(&mut front);
        out.sort_unstable();
        assert_eq!(out, [word, &longer]);
    }

    #[test]
    fn a_full_one_says_so_knows_what_it_has_and_is_emptied_in_the_order_of_hashes() {
        let mut front = Front::new(64 << 10, Seed::random());
        let added: BTreeSet<String> =
            (0..).map(|n| format!("w{n}")).take_while(|word| see(&mut front, word).is_ok()).collect();
        assert_eq!(added.len(), front.slots() * 3 / 4);
        assert!(added.iter().all(|word| see(&mut front, word).is_ok()));
        let (mut hashes, shift) = (Vec::new(), front.shift);
        let mut list = Words::of(&front);
        front.empty_into(&mut list);
        list.hand_over(&mut hashes, |_, _| {}, |hashes: &mut Vec<u64>, _, hash| hashes.push(hash >> shift));
        assert_eq!(hashes.len(), added.len());
        let out_of_order = hashes.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(
            // By chance half of them would be.
            out_of_order < hashes.len() / 4,
            "{out_of_order} of {}: only those that were pushed aside",
            hashes.len()
        );
        assert_eq!(see(&mut front, "again"), Ok(()));
    }

    #[test]
    fn long_words_take_no_more_than_their_share() {
        let mut front = Front::new(0, Seed::random());
        let bytes = front.long.capacity();
        assert_eq!(see(&mut front, &"x".repeat(bytes + 1)), Err(Full));
        assert_eq!(see(&mut front, &"x".repeat(bytes)), Ok(()));
        assert_eq!(see(&mut front, "another-long-one"), Err(Full));
        assert_eq!(see(&mut front, "short"), Ok(()));
        assert_eq!(front.long.capacity(), bytes);
        assert_eq!(emptied(&mut front).len(), 2);
    }
}
