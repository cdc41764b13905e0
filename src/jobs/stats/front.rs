//! The words of a short while: a table small enough to stay in a processor's own memory, before the set of all words.
//!
//! Text repeats itself, and a large table's answer takes a hundred times as long as the sum of a few bytes. So a word is looked
//! for here first; only once the table is full, or a batch at its end, do its words go to the set of all, each once. They go
//! in the order of their hashes, which is the order in which that set has them, so it is walked from end to end, not jumped
//! about in. This table forgets everything then.

use super::hash::Seed;
use crate::formats::words::{SHORT_BYTES_MAX, Word};

/// The largest table: 512 KiB of slots, half of what a core's second cache has on small servers.
const SLOTS_MAX: usize = 1 << 15;
const SLOTS_MIN: usize = 1 << 8;
/// What longer words take for each slot, at most, on the average.
const LONG_BYTES_A_SLOT: usize = 8;
/// What a slot costs: itself, its bytes of longer words, its place in the list.
const SLOT_BYTES: usize = size_of::<Slot>() + LONG_BYTES_A_SLOT + size_of::<u32>();

#[derive(Clone, Copy)]
struct Slot {
    /// A short word, or a longer one's hash.
    head: u64,
    /// Where a longer one is.
    at: u32,
    /// Zero for a slot that is free.
    len: u32,
}

const FREE: Slot = Slot { head: 0, at: 0, len: 0 };

/// See the module's head.
pub(super) struct Front {
    slots: Box<[Slot]>,
    /// How far a hash is moved to be a slot's index.
    shift: u32,
    /// The slots that are used, in the order in which they came to be.
    used: Vec<u32>,
    long: Vec<u8>,
    seed: Seed,
}

/// There is no room for a new word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Front {
    /// The least that one takes.
    pub(super) const BYTES_MIN: usize = SLOTS_MIN * SLOT_BYTES;

    /// One that takes `bytes_max`, or the least there is.
    pub(super) fn new(bytes_max: usize, seed: Seed) -> Self {
        let slots = (bytes_max / SLOT_BYTES).clamp(SLOTS_MIN, SLOTS_MAX);
        let bits = slots.ilog2();
        let slots = 1 << bits;
        Self {
            slots: vec![FREE; slots].into(),
            shift: u64::BITS - bits,
            used: Vec::with_capacity(slots),
            long: Vec::with_capacity(slots * LONG_BYTES_A_SLOT),
            seed,
        }
    }

    /// What one takes that was given `bytes_max`.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES
    }

    /// Remembers a word of this hash.
    #[inline(always)]
    pub(super) fn see(&mut self, word: Word<'_>, hash: u64) -> Result<(), Full> {
        let len = word.bytes.len();
        let short = len <= SHORT_BYTES_MAX;
        let head = if short { word.head } else { hash };
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.head == head && slot.len as usize == len && (short || self.long_at(slot) == word.bytes) {
                return Ok(());
            }
            if slot.len == 0 {
                return self.add(word, head, at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline(always)]
    fn long_at(&self, slot: &Slot) -> &[u8] {
        self.long.get(slot.at as usize..).and_then(|rest| rest.get(..slot.len as usize)).unwrap_or_default()
    }

    #[inline]
    fn add(&mut self, word: Word<'_>, head: u64, at: usize) -> Result<(), Full> {
        // Searches stay short up to three quarters.
        if self.used.len() * 4 >= self.slots.len() * 3 {
            return Err(Full);
        }
        let mut slot = Slot { head, at: 0, len: word.bytes.len() as u32 };
        if word.bytes.len() > SHORT_BYTES_MAX {
            if word.bytes.len() > self.long.capacity() - self.long.len() {
                return Err(Full);
            }
            slot.at = self.long.len() as u32;
            self.long.extend_from_slice(word.bytes);
        }
        self.slots[at] = slot;
        self.used.push(at as u32);
        Ok(())
    }

    /// Hands all words to `take`, with their hashes, and forgets them.
    pub(super) fn empty(&mut self, mut take: impl FnMut(Word<'_>, u64)) {
        let mut hand_over = |slot: &Slot| {
            let head = slot.head.to_le_bytes();
            match slot.len as usize {
                0 => {}
                len @ 1..=SHORT_BYTES_MAX => {
                    let word = Word { bytes: &head[..len], head: slot.head };
                    take(word, self.seed.of_short(slot.head, slot.len));
                }
                len => {
                    let bytes = self.long.get(slot.at as usize..).and_then(|rest| rest.get(..len)).unwrap_or_default();
                    take(Word::of(bytes), slot.head);
                }
            }
        };
        if self.used.len() * 8 < self.slots.len() {
            for at in &self.used {
                let slot = &mut self.slots[*at as usize];
                hand_over(slot);
                *slot = FREE;
            }
        } else {
            self.slots.iter().for_each(hand_over);
            self.slots.fill(FREE);
        }
        self.used.clear();
        self.long.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::words::each_word;
    use std::collections::BTreeSet;

    fn see(front: &mut Front, text: &str) -> Result<(), Full> {
        let mut seen = Ok(());
        each_word(text.as_bytes(), |word| seen = front.see(word, front.seed.of(word)));
        seen
    }

    fn emptied(front: &mut Front) -> Vec<String> {
        let mut words = Vec::new();
        let seed = front.seed;
        front.empty(|word, hash| {
            assert_eq!(hash, seed.of(word));
            words.push(String::from_utf8(word.bytes.to_vec()).unwrap());
        });
        words
    }

    #[test]
    fn each_word_comes_out_once_with_its_hash() {
        let mut front = Front::new(0, Seed::random());
        let words = ["a", "eight-by", "nine-byte", "a\0", "much-longer-than-the-others"];
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
    fn a_full_one_says_so_knows_what_it_has_and_is_emptied_in_the_order_of_hashes() {
        let mut front = Front::new(64 << 10, Seed::random());
        let added: BTreeSet<String> =
            (0..).map(|n| format!("w{n}")).take_while(|word| see(&mut front, word).is_ok()).collect();
        assert_eq!(added.len(), front.slots.len() * 3 / 4);
        assert!(added.iter().all(|word| see(&mut front, word).is_ok()));
        let mut hashes = Vec::new();
        front.empty(|_, hash| hashes.push(hash >> 50));
        assert_eq!(hashes.len(), added.len());
        let out_of_order = hashes.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(
            out_of_order < hashes.len() / 2,
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
        assert_eq!(see(&mut front, "another-one"), Err(Full));
        assert_eq!(see(&mut front, "short"), Ok(()));
        assert_eq!(front.long.capacity(), bytes);
        assert_eq!(emptied(&mut front).len(), 2);
    }
}
