//! What rules take of the newest values of a topic, by key.
//!
//! ```text
//!  key │ kind, end │ kind, end │ … │ JSON │ JSON │ …          one piece of memory for each key
//! ```
//!
//! Non-obvious: asking allocates nothing, and so does a value that says the same as the one before.

use super::super::tree::Kind;
use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

/// What is said of a field before all of them: its kind, and where it ends among the others.
pub(super) const HEAD_BYTES: usize = 5;

/// What a piece of memory costs beside its own bytes.
const PIECE_BYTES: usize = 32;
/// A place in the set, with the byte that tells whether it is taken.
const PLACE_BYTES: usize = size_of::<Entry>() + 1;
/// A set of fewer keys does not shrink.
const SHRINKS_FROM: usize = 1024;

/// A key, and what is taken of its value.
#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    key_len: u32,
}

impl Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_len as usize).unwrap_or_default()
    }
}

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

/// See the module's head.
#[derive(Debug)]
pub struct LookupTable {
    entries: HashSet<Entry>,
    /// For how many entries there are places: what a set tells of itself becomes less where entries were taken out.
    places: usize,
    fields: usize,
    /// What the pieces take.
    pieces_bytes: usize,
    /// Records that were taken.
    pub(super) records: u64,
    /// Of these, values that no rule could look at, and records without a key.
    pub(super) unreadable: u64,
    pub(super) without_key: u64,
}

impl LookupTable {
    pub(super) fn new(fields: usize) -> Self {
        Self { entries: HashSet::new(), places: 0, fields, pieces_bytes: 0, records: 0, unreadable: 0, without_key: 0 }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records of the topic so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Of these, values that no rule could look at.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// And records without a key.
    pub fn without_key(&self) -> u64 {
        self.without_key
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.pieces_bytes + places_bytes(self.places)
    }

    /// What it takes at most while another entry of so many bytes is put in.
    pub(super) fn bytes_with(&self, entry_bytes: usize) -> usize {
        // Where half of the places are left over from entries that are gone, it is tidied up in place.
        let grown = match self.entries.len() < self.entries.capacity() || self.entries.len() < self.places / 2 {
            true => 0,
            // For a moment both are there, the larger one and the one before.
            false => places_bytes(self.places.saturating_add(1).saturating_mul(2)),
        };
        self.bytes().saturating_add(grown).saturating_add(entry_bytes + PIECE_BYTES)
    }

    #[inline]
    pub(in crate::rules) fn get(&self, key: &[u8]) -> Option<Found<'_>> {
        let entry = self.entries.get(key)?;
        Some(Found { parts: entry.bytes.get(entry.key_len as usize..)?, fields: self.fields })
    }

    /// Whether that is what the key has already.
    pub(super) fn has(&self, key: &[u8], entry: &[u8]) -> bool {
        self.entries.get(key).is_some_and(|held| *held.bytes == *entry)
    }

    /// Puts an entry in, which begins with its key of so many bytes.
    pub(super) fn put(&mut self, entry: &[u8], key_len: u32) {
        self.pieces_bytes += entry.len() + PIECE_BYTES;
        if let Some(before) = self.entries.replace(Entry { bytes: entry.into(), key_len }) {
            self.forget(&before);
        }
        self.places = self.places.max(self.entries.capacity());
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: &[u8]) {
        let Some(before) = self.entries.take(key) else { return };
        self.forget(&before);
        if self.places > SHRINKS_FROM && self.entries.len() < self.places / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
            self.places = self.entries.capacity();
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.pieces_bytes -= entry.bytes.len() + PIECE_BYTES;
    }
}

/// What a set takes that has room for so many: of eight places it fills seven.
fn places_bytes(capacity: usize) -> usize {
    capacity.saturating_mul(8).div_ceil(7).saturating_mul(PLACE_BYTES)
}

/// What is taken of a value that was found.
#[derive(Debug, Clone, Copy)]
pub(in crate::rules) struct Found<'a> {
    parts: &'a [u8],
    fields: usize,
}

impl<'a> Found<'a> {
    /// One of the fields, unless it is missing or null.
    #[inline]
    pub(in crate::rules) fn field(self, index: usize) -> Option<(&'a [u8], Kind)> {
        let (kind, end) = self.head(index)?;
        let start = if index == 0 { 0 } else { self.head(index - 1)?.1 };
        let kind = kind_of(kind)?;
        let json = self.parts.get(self.fields * HEAD_BYTES..)?.get(start..end)?;
        Some((json, kind))
    }

    fn head(self, index: usize) -> Option<(u8, usize)> {
        let &[kind, a, b, c, d] = self.parts.get(index * HEAD_BYTES..)?.first_chunk()?;
        Some((kind, u32::from_le_bytes([a, b, c, d]) as usize))
    }
}

/// A kind as a byte; nothing, if there is nothing.
pub(super) fn code_of(kind: Option<Kind>) -> u8 {
    match kind {
        None | Some(Kind::Null) => 0,
        Some(Kind::Bool) => 1,
        Some(Kind::Number { whole: true }) => 2,
        Some(Kind::Number { whole: false }) => 3,
        Some(Kind::Text { escaped: false }) => 4,
        Some(Kind::Text { escaped: true }) => 5,
        Some(Kind::Array) => 6,
        Some(Kind::Object | Kind::Opened) => 7,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    Some(match code {
        1 => Kind::Bool,
        2 | 3 => Kind::Number { whole: code == 2 },
        4 | 5 => Kind::Text { escaped: code == 5 },
        6 => Kind::Array,
        7 => Kind::Object,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_were_made_count_for_as_long_as_they_are_there() {
        let mut table = LookupTable::new(0);
        let key = |number: u32| number.to_be_bytes();
        (0..100_000).for_each(|number| table.put(&key(number), 4));
        let places = table.bytes() - table.pieces_bytes;
        // Old ones go and new ones come, and as many as a quarter stay.
        for number in 0..70_000 {
            table.remove(&key(number));
            if number % 4 == 0 {
                table.put(&key(200_000 + number), 4);
            }
            assert!(table.bytes() - table.pieces_bytes >= places, "{number}");
            assert!(table.bytes_with(4) >= table.bytes() + 4);
        }
        (0..300_000).for_each(|number| table.remove(&key(number)));
        assert!(table.is_empty() && table.bytes() < places / 8, "{}", table.bytes());
    }
}
