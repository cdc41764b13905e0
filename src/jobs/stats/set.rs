//! The words that are known: an exact set that takes no more memory than it was given.
//!
//! ```text
//!  word ──▶ hash ──▶ shard ──▶ slots, 16 bytes each: head │ place │ seen        arena
//!                              up to 8 bytes: the word itself, its length        ┌────────────────┐
//!                              longer:        its hash, where it stands ────────▶│ length, bytes  │
//!                                                                                └────────────────┘
//! ```
//!
//! Non-obvious:
//! - Nothing is allocated for a word that is known, and nothing for a new one of up to eight bytes but its slot, so looking one
//!   up costs one line of memory, mostly.
//! - A table that doubles needs three times what it holds while it moves. There are many small ones instead, which grow one at a
//!   time and by half: what one needs while it moves is a hundredth of the whole.
//! - Once one word found no room none is added any more, also where others would still fit: whoever estimates the rest must be
//!   able to rely on a word being either here or there.

use super::hash::Seed;
use crate::formats::words::{Word, head_of};

/// The longest word that stands in its slot.
const IN_SLOT_BYTES_MAX: usize = size_of::<u64>();

/// The top bits of a hash that choose a shard.
const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// Slots of a shard at first.
const SLOTS_MIN: usize = 16;
const SLOT_BYTES: usize = size_of::<Slot>();

/// What an arena grows by. A longer word has a chunk of its own.
const CHUNK_BYTES: usize = 64 << 10;
/// Words stand at multiples of this, so that 32 bits reach far enough.
const ALIGN: usize = 4;
const PLACES_PER_CHUNK: usize = CHUNK_BYTES / ALIGN;
/// Places up to here are lengths of words that are in their slot; 0 is a slot that is free.
const FIRST_PLACE: usize = 16;
const LENGTH_BYTES: usize = 4;

const _: () = assert!(SLOT_BYTES == 16);
const _: () = assert!(IN_SLOT_BYTES_MAX < FIRST_PLACE);

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was added.
    Added,
    /// It was there, last seen under another stamp.
    Before,
    /// It was there, last seen under this stamp.
    Again,
    /// It was not there, and there is no room.
    NoRoom,
}

/// See the module's head.
pub(super) struct WordSet {
    shards: Box<[Shard; SHARDS]>,
    arena: Arena,
    seed: Seed,
    words: u64,
    /// Bytes that may still be taken.
    bytes_left: usize,
    /// With more than this left nothing has to be saved.
    bytes_plenty: usize,
    full: bool,
}

#[derive(Clone, Copy)]
struct Slot {
    head: u64,
    place: u32,
    seen: u32,
}

const FREE: Slot = Slot { head: 0, place: 0, seen: 0 };

struct Shard {
    /// Never full, so that a search ends.
    slots: Vec<Slot>,
    used: usize,
}

impl Shard {
    fn new(slots: usize) -> Self {
        Self { slots: vec![FREE; slots], used: 0 }
    }

    /// The slot where a search for this hash begins: the bits below the shard's, scaled to the number of slots, which so need
    /// not be a power of two.
    #[inline(always)]
    fn first(&self, hash: u64) -> usize {
        ((u128::from(hash << SHARD_BITS) * self.slots.len() as u128) >> 64) as usize
    }

    #[inline(always)]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    fn first_free(&self, hash: u64) -> usize {
        let mut at = self.first(hash);
        while self.slots[at].place != 0 {
            at = self.after(at);
        }
        at
    }
}

#[inline(always)]
fn shard_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SHARD_BITS)) as usize
}

impl WordSet {
    /// The least that a set takes.
    pub(super) const BYTES_MIN: usize = SHARDS * SLOTS_MIN * SLOT_BYTES;

    /// A set that takes `bytes_max`, or the least there is.
    pub(super) fn new(bytes_max: usize, seed: Seed) -> Self {
        Self {
            shards: Box::new(std::array::from_fn(|_| Shard::new(SLOTS_MIN))),
            arena: Arena::default(),
            seed,
            words: 0,
            bytes_left: bytes_max.saturating_sub(Self::BYTES_MIN),
            bytes_plenty: bytes_max / 2,
            full: false,
        }
    }

    /// How many words are in it.
    pub(super) fn len(&self) -> u64 {
        self.words
    }

    /// Forgets all words and keeps the room of the slots.
    pub(super) fn clear(&mut self) {
        if self.words == 0 {
            return;
        }
        for shard in self.shards.iter_mut().filter(|shard| shard.used > 0) {
            shard.slots.fill(FREE);
            shard.used = 0;
        }
        self.bytes_left += self.arena.clear();
        (self.words, self.full) = (0, false);
    }

    /// Asks memory for where a word of this hash would be.
    #[inline(always)]
    pub(super) fn expect(&self, hash: u64) {
        let shard = &self.shards[shard_of(hash)];
        // There is no other way to ask for it without `unsafe` than to read it, and to pretend that it matters.
        std::hint::black_box(shard.slots[shard.first(hash)].place);
    }

    /// Looks a word up by its hash, adds it if it is not there, and remembers the stamp.
    #[inline(always)]
    pub(super) fn see(&mut self, word: Word<'_>, hash: u64, stamp: u32) -> Seen {
        let len = word.bytes.len();
        let head = if len <= IN_SLOT_BYTES_MAX { word.head as u64 } else { hash };
        let shard = &mut self.shards[shard_of(hash)];
        let mut at = shard.first(hash);
        loop {
            let slot = &mut shard.slots[at];
            if slot.place == 0 {
                return self.add(word, Slot { head, place: 0, seen: stamp }, hash, at);
            }
            let is_it = slot.head == head
                && match len {
                    short @ 0..=IN_SLOT_BYTES_MAX => slot.place == short as u32,
                    _ => self.arena.get(slot.place) == Some(word.bytes),
                };
            if is_it {
                let before = std::mem::replace(&mut slot.seen, stamp);
                return if before == stamp { Seen::Again } else { Seen::Before };
            }
            at = shard.after(at);
        }
    }

    /// Adds a word whose search ended at this slot of its shard, which is free.
    #[inline(never)]
    fn add(&mut self, word: Word<'_>, slot: Slot, hash: u64, at: usize) -> Seen {
        if self.full {
            return Seen::NoRoom;
        }
        let Some((place, grown)) = self.place_for(word, hash) else {
            self.full = true;
            return Seen::NoRoom;
        };
        let shard = &mut self.shards[shard_of(hash)];
        let at = if grown { shard.first_free(hash) } else { at };
        shard.slots[at] = Slot { place, ..slot };
        shard.used += 1;
        self.words += 1;
        Seen::Added
    }

    /// Makes sure that there is a slot for the word, and puts a long one into the arena; also says whether its shard has grown.
    fn place_for(&mut self, word: Word<'_>, hash: u64) -> Option<(u32, bool)> {
        let index = shard_of(hash);
        let (used, slots) = (self.shards[index].used + 1, self.shards[index].slots.len());
        // Searches for what is not there get long soon: they stay short while there is plenty of room, get longer while there is
        // some, and where there is none to grow, a little more must do.
        let eighths = if self.bytes_left > self.bytes_plenty { 5 } else { 7 };
        let grown = used * 8 > slots * eighths && self.grow(index);
        if !grown && used * 16 > slots * 15 {
            return None;
        }
        let place = match word.bytes.len() {
            short @ 0..=IN_SLOT_BYTES_MAX => short as u32,
            _ => self.arena.push(word.bytes, &mut self.bytes_left)?,
        };
        Some((place, grown))
    }

    fn grow(&mut self, index: usize) -> bool {
        let shard = &mut self.shards[index];
        let slots = shard.slots.len() + shard.slots.len() / 2;
        let Some(left) = self.bytes_left.checked_sub(slots * SLOT_BYTES) else { return false };
        let mut grown = Shard { used: shard.used, ..Shard::new(slots) };
        for slot in shard.slots.iter().filter(|slot| slot.place != 0) {
            let hash = match slot.place {
                len if (len as usize) < FIRST_PLACE => self.seed.of_head(head_of(slot.head, len as usize)),
                _ => slot.head,
            };
            let at = grown.first_free(hash);
            grown.slots[at] = *slot;
        }
        self.bytes_left = left + shard.slots.len() * SLOT_BYTES;
        *shard = grown;
        true
    }
}

/// Long words, one behind the other.
#[derive(Default)]
struct Arena {
    chunks: Vec<Vec<u8>>,
}

impl Arena {
    fn get(&self, place: u32) -> Option<&[u8]> {
        let place = (place as usize).checked_sub(FIRST_PLACE)?;
        let chunk = self.chunks.get(place / PLACES_PER_CHUNK)?.get(place % PLACES_PER_CHUNK * ALIGN..)?;
        let (length, bytes) = chunk.split_first_chunk::<LENGTH_BYTES>()?;
        bytes.get(..u32::from_le_bytes(*length) as usize)
    }

    fn push(&mut self, word: &[u8], bytes_left: &mut usize) -> Option<u32> {
        let length = u32::try_from(word.len()).ok()?;
        let needed = LENGTH_BYTES + word.len();
        let fits = |chunk: &Vec<u8>| chunk.len() + needed <= chunk.capacity().min(CHUNK_BYTES);
        if !self.chunks.last().is_some_and(fits) {
            let chunk_bytes = needed.max(CHUNK_BYTES);
            let left = bytes_left.checked_sub(chunk_bytes)?;
            // Beyond what a place can say.
            u32::try_from((self.chunks.len() + 1) * PLACES_PER_CHUNK + FIRST_PLACE).ok()?;
            *bytes_left = left;
            self.chunks.push(Vec::with_capacity(chunk_bytes));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let place = index * PLACES_PER_CHUNK + chunk.len() / ALIGN + FIRST_PLACE;
        chunk.extend_from_slice(&length.to_le_bytes());
        chunk.extend_from_slice(word);
        if chunk.capacity() - chunk.len() >= ALIGN {
            chunk.resize(chunk.len().next_multiple_of(ALIGN), 0);
        }
        Some(place as u32)
    }

    /// Gives back how many bytes it took.
    fn clear(&mut self) -> usize {
        let bytes = self.chunks.iter().map(Vec::capacity).sum();
        self.chunks.clear();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::words::each_word;
    use std::collections::HashSet;

    fn see(set: &mut WordSet, text: &str, stamp: u32) -> Seen {
        let mut seen = None;
        each_word(text.as_bytes(), |word| seen = Some(set.see(word, set.seed.of(word), stamp)));
        seen.expect("a word")
    }

    fn set(bytes: usize) -> WordSet {
        WordSet::new(bytes, Seed::random())
    }

    #[test]
    fn a_word_is_new_once_and_known_by_its_stamp_after() {
        let mut set = set(1 << 20);
        for word in ["a", "exactly8", "longer-than-eight", "a\0", "exactly8\0"] {
            assert_eq!(see(&mut set, word, 1), Seen::Added, "{word}");
            assert_eq!(see(&mut set, word, 1), Seen::Again, "{word}");
            assert_eq!(see(&mut set, word, 2), Seen::Before, "{word}");
            assert_eq!(see(&mut set, word, 2), Seen::Again, "{word}");
        }
        assert_eq!(set.len(), 5);
        set.clear();
        assert_eq!((set.len(), see(&mut set, "longer-than-eight", 2)), (0, Seen::Added));
    }

    #[test]
    fn it_agrees_with_a_set_of_the_standard_library() {
        let mut set = set(64 << 20);
        let mut known = HashSet::new();
        let mut state = 7_u64;
        for _ in 0..300_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = format!("{:x}", (state >> 33) % 50_000 * 0x1_0001);
            let word = if state >> 63 == 0 { word.repeat(3) } else { word };
            let new = see(&mut set, &word, 0) == Seen::Added;
            assert_eq!(new, known.insert(word));
        }
        assert_eq!(set.len(), known.len() as u64);
    }

    #[test]
    fn what_was_added_before_it_was_full_stays_and_nothing_is_added_after() {
        for bytes in [0, 100 << 10, 1 << 20] {
            let mut set = set(bytes);
            let word = |number: u32| {
                if number.is_multiple_of(2) { format!("w{number}") } else { format!("a-longer-{number}") }
            };
            let added = (0..).take_while(|number| see(&mut set, &word(*number), 0) == Seen::Added).count() as u32;
            assert_eq!(set.len(), u64::from(added));
            assert!(bytes == 0 || added as usize > bytes / 80, "{added} in {bytes}");
            for number in 0..added {
                assert_eq!(see(&mut set, &word(number), 0), Seen::Again);
                assert!(matches!(see(&mut set, &word(added + 1 + number), 0), Seen::NoRoom));
            }
            assert_eq!(set.len(), u64::from(added));
        }
    }

    #[test]
    fn what_it_takes_stays_below_what_it_was_given() {
        for bytes in [WordSet::BYTES_MIN, 1 << 20, 3 << 20] {
            let mut set = set(bytes);
            for number in 0.. {
                let slots: usize = set.shards.iter().map(|shard| shard.slots.capacity() * SLOT_BYTES).sum();
                let words: usize = set.arena.chunks.iter().map(Vec::capacity).sum();
                assert!(slots + words <= bytes, "{slots} and {words} of {bytes}");
                assert_eq!(slots + words + set.bytes_left, bytes);
                if let Seen::NoRoom = see(&mut set, &format!("{number}-word-{number}"), 0) {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_word_larger_than_a_chunk_is_kept_and_one_larger_than_the_room_is_not() {
        let mut set = set(1 << 20);
        let (large, larger) = ("x".repeat(CHUNK_BYTES + 1), "x".repeat(2 << 20));
        assert_eq!(see(&mut set, &large, 0), Seen::Added);
        assert_eq!(see(&mut set, "also-a-long-one", 0), Seen::Added);
        assert_eq!(see(&mut set, &large, 0), Seen::Again);
        assert!(matches!(see(&mut set, &larger, 0), Seen::NoRoom));
        assert_eq!(see(&mut set, "also-a-long-one", 0), Seen::Again);
    }

    #[test]
    fn words_spread_over_the_shards_whatever_the_seed() {
        for _ in 0..20 {
            let mut set = set(8 << 20);
            for number in 0..64_000 {
                see(&mut set, &number.to_string(), 0);
            }
            let most = set.shards.iter().map(|shard| shard.used).max().unwrap();
            // By chance it is 1,100; ten times as far from 1,000 as a standard deviation is still allowed.
            assert!(most < 1320, "{most} of 64,000 in one shard of 64, seed {:?}", set.seed);
        }
    }
}
