//! Texts of bytes, each kept once and known by a number from 0 on.
//!
//! Non-obvious: it says before what it will take. Growth is in steps of its own choice, so that what it says is what it does.

use std::hash::{BuildHasher as _, RandomState};

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Interned {
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// Numbers of items, one up, by the lower bits of their hash or behind that; 0 is free. As many as a power of two.
    index: Vec<u32>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    start: usize,
    len: u32,
    hash: u32,
}

const INDEX_MIN: usize = 64;
/// More have no number.
const ITEMS_MAX: usize = u32::MAX as usize - 1;

impl Interned {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Forgets all, and keeps the room for as much.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
        self.index.fill(0);
    }

    /// What of the room is used.
    pub(super) fn used(&self) -> usize {
        self.bytes.len() + self.items.len() * (size_of::<Item>() + size_of::<u32>())
    }

    pub(super) fn get(&self, id: u32) -> &[u8] {
        self.items.get(id as usize).map_or(&[], |item| self.of(item))
    }

    fn of(&self, item: &Item) -> &[u8] {
        self.bytes.get(item.start..item.start + item.len as usize).unwrap_or_default()
    }

    /// The number of this text, and whether it is new.
    #[inline]
    pub(super) fn intern(&mut self, text: &[u8]) -> (u32, bool) {
        // The lower half says where, the upper half what.
        let hash = self.hasher.hash_one(text);
        let (place, hash) = (hash as usize, (hash >> 32) as u32);
        if (self.items.len() + 1) * 4 > self.index.len() * 3 {
            self.grow_index(1);
        }
        let mask = self.index.len() - 1;
        let mut at = place & mask;
        while let Some(id) = self.index[at].checked_sub(1) {
            let item = &self.items[id as usize];
            if item.hash == hash && self.of(item) == text {
                return (id, false);
            }
            at = (at + 1) & mask;
        }
        let id = self.items.len() as u32;
        self.index[at] = id + 1;
        reserve(&mut self.items, 1);
        reserve(&mut self.bytes, text.len());
        self.items.push(Item { start: self.bytes.len(), len: text.len() as u32, hash });
        self.bytes.extend_from_slice(text);
        (id, true)
    }

    /// Makes room for so many texts of so many bytes together, all at once.
    #[inline]
    pub(super) fn make_room(&mut self, texts: usize, bytes: usize) {
        reserve(&mut self.items, texts);
        reserve(&mut self.bytes, bytes);
        if (self.items.len() + texts) * 4 > self.index.len() * 3 {
            self.grow_index(texts);
        }
    }

    #[cold]
    fn grow_index(&mut self, more: usize) {
        let slots = slots_for(self.items.len() + more);
        self.index = vec![0; slots];
        for id in 0..self.items.len() {
            let text = self.get(id as u32);
            let mut at = self.hasher.hash_one(text) as usize & (slots - 1);
            while self.index[at] != 0 {
                at = (at + 1) & (slots - 1);
            }
            self.index[at] = id as u32 + 1;
        }
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.items.capacity() * size_of::<Item>() + self.index.capacity() * size_of::<u32>()
    }

    /// What it would take at once while it makes room for so many texts of so many bytes together, beyond what it takes now;
    /// `None` where there would be too many.
    #[inline]
    pub(super) fn growth(&self, texts: usize, bytes: usize) -> Option<usize> {
        let items = self.items.len() + texts;
        if items > ITEMS_MAX || bytes > u32::MAX as usize {
            return None;
        }
        let mut more = growth(&self.items, texts) + growth(&self.bytes, bytes);
        if items * 4 > self.index.len() * 3 {
            more += slots_for(items) * size_of::<u32>();
        }
        Some(more)
    }
}

/// How many slots an index of so many items has: three of four are used at most.
fn slots_for(items: usize) -> usize {
    (items * 4).div_ceil(3).next_power_of_two().max(INDEX_MIN)
}

/// How many there is room for after growth: by half, since what is moved has to be there twice for a moment.
fn grown<T>(items: &Vec<T>, more: usize) -> usize {
    (items.len() + more).max(items.capacity() + items.capacity() / 2).max(64)
}

/// What making room for `more` would take, in bytes: the whole of it, since what is there is still there while it is moved.
#[inline]
pub(super) fn growth<T>(items: &Vec<T>, more: usize) -> usize {
    if items.len() + more <= items.capacity() { 0 } else { grown(items, more) * size_of::<T>() }
}

/// Makes room in the way that [`growth`] says.
#[inline]
pub(super) fn reserve<T>(items: &mut Vec<T>, more: usize) {
    if items.len() + more > items.capacity() {
        items.reserve_exact(grown(items, more) - items.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number_and_comes_back() {
        let mut interned = Interned::default();
        let texts: Vec<Vec<u8>> = (0..5000).map(|n: u32| format!("{}", n.pow(2) % 3001).into_bytes()).collect();
        let mut numbers = std::collections::HashMap::new();
        for text in &texts {
            let (id, new) = interned.intern(text);
            assert_eq!(
                new,
                numbers.insert(text, id).is_none_or(|known| {
                    assert_eq!(known, id);
                    false
                })
            );
            assert_eq!(interned.get(id), text);
        }
        assert_eq!(interned.len(), numbers.len());
        assert_eq!(
            (interned.intern(b""), interned.intern(b"")),
            ((numbers.len() as u32, true), (numbers.len() as u32, false))
        );
    }

    #[test]
    fn what_it_takes_is_never_more_than_it_said_before() {
        let mut interned = Interned::default();
        for n in 0..20_000 {
            let text = format!("{n:>0$}", n % 40);
            let said = interned.bytes() + interned.growth(1, text.len()).unwrap();
            interned.intern(text.as_bytes());
            assert!(interned.bytes() <= said, "{} of {said} at {n}", interned.bytes());
        }
        assert!(interned.growth(ITEMS_MAX, 0).is_none());
    }
}
