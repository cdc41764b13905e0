//! How often which value came: the values one behind the other, a row for each, and an index over the rows by hash.
//!
//! Nothing is allocated for a value that was there before, and what the table takes is known exactly.

use super::VALUE_BYTES_MAX;

/// How often each value came, up to a number of values.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Row numbers from 1, at the place that the hash says or behind it; 0 is free. Its length is a power of two.
    index: Vec<u32>,
    rows: Vec<Row>,
    text: Vec<u8>,
    /// Records that were counted.
    pub(super) records: u64,
    /// Those of them whose value has no row.
    pub(super) other: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    count: u64,
    hash: u64,
    start: u32,
    len: u32,
}

/// The fewest places of an index.
const INDEX_LEN_MIN: usize = 16;

impl Table {
    /// What an empty one takes, with what stands around it.
    pub(super) const EMPTY_BYTES: usize = 2 * size_of::<Self>();

    /// One without rows so far, in which so many records were counted before.
    pub(super) fn begun(records: u64, other: u64) -> Self {
        Self { records, other, ..Self::default() }
    }

    /// Counts a value that has this hash.
    #[inline]
    pub(super) fn add(&mut self, value: &[u8], hash: u64, values_max: usize) {
        self.records += 1;
        match self.find(value, hash) {
            Ok(row) => self.rows[row].count += 1,
            Err(_) if value.len() > VALUE_BYTES_MAX || self.rows.len() >= values_max => self.other += 1,
            Err(free) => self.put(value, hash, 1, free),
        }
    }

    /// Takes a value that is not there yet, as it was counted before; `false` if it is there or takes too much.
    pub(super) fn take(&mut self, value: &[u8], hash: u64, count: u64, values_max: usize) -> bool {
        match self.find(value, hash) {
            Err(free) if value.len() <= VALUE_BYTES_MAX && self.rows.len() < values_max => {
                self.put(value, hash, count, free);
                true
            }
            _ => false,
        }
    }

    /// How often a value came, if it has a row.
    pub(super) fn count_of(&self, value: &[u8], hash: u64) -> u64 {
        self.find(value, hash).map_or(0, |row| self.rows[row].count)
    }

    /// The row of a value, or the place in the index where it would go.
    #[inline]
    fn find(&self, value: &[u8], hash: u64) -> Result<usize, usize> {
        let Some(mask) = self.index.len().checked_sub(1) else { return Err(0) };
        let mut at = hash as usize & mask;
        loop {
            match self.index[at].checked_sub(1) {
                None => return Err(at),
                Some(row) => {
                    let row = row as usize;
                    if self.rows[row].hash == hash && self.value(row) == value {
                        return Ok(row);
                    }
                }
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn put(&mut self, value: &[u8], hash: u64, count: u64, free: usize) {
        let (start, len) = (self.text.len() as u32, value.len() as u32);
        self.text.extend_from_slice(value);
        self.rows.push(Row { count, hash, start, len });
        // Three of four places at most, so that a free one is near.
        if self.rows.len() * 4 > self.index.len() * 3 {
            self.grow();
        } else {
            self.index[free] = self.rows.len() as u32;
        }
    }

    fn grow(&mut self) {
        let len = (self.index.len() * 2).max(INDEX_LEN_MIN);
        self.index.clear();
        self.index.resize(len, 0);
        for (row, number) in self.rows.iter().zip(1..) {
            let mut at = row.hash as usize & (len - 1);
            while self.index[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.index[at] = number;
        }
    }

    /// The value of a row, in the order in which they came.
    #[inline]
    pub(super) fn value(&self, row: usize) -> &[u8] {
        let Row { start, len, .. } = self.rows[row];
        &self.text[start as usize..(start + len) as usize]
    }

    /// A row's value, its hash, and how often it came.
    pub(super) fn row(&self, row: usize) -> Option<(&[u8], u64, u64)> {
        self.rows.get(row).map(|found| (self.value(row), found.hash, found.count))
    }

    /// All rows, in the order in which their values came first.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u8], u64, u64)> {
        (0..self.rows.len()).filter_map(|row| self.row(row))
    }

    /// How many values have a row.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What it takes. While it grows, half of that is there once more.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let held = self.index.capacity() * 4 + self.rows.capacity() * size_of::<Row>() + self.text.capacity();
        Self::EMPTY_BYTES + held + held / 2
    }

    /// Adds the rows of another one, whatever they are.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.records += other.records;
        self.other += other.other;
        for (value, hash, count) in other.rows() {
            match self.find(value, hash) {
                Ok(row) => self.rows[row].count += count,
                Err(free) => self.put(value, hash, count, free),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::hash::{BuildHasher as _, RandomState};

    #[test]
    fn every_value_is_counted_as_often_as_it_came_also_where_hashes_are_alike() {
        for alike in [u64::MAX, 7, 0] {
            let hasher = RandomState::new();
            let (mut table, mut expected) = (Table::default(), HashMap::<String, u64>::new());
            for number in 0..5_000_u64 {
                let value = (number * number % 997 % (number / 10 + 1)).to_string();
                table.add(value.as_bytes(), hasher.hash_one(value.as_bytes()) & alike, 1000);
                *expected.entry(value).or_default() += 1;
            }
            let found = table.rows().map(|(value, _, count)| (String::from_utf8(value.to_vec()).unwrap(), count));
            assert_eq!(found.collect::<HashMap<_, _>>(), expected);
            assert_eq!((table.records, table.other, table.len()), (5_000, 0, expected.len()));
        }
    }

    #[test]
    fn what_comes_after_the_last_value_that_has_room_is_other_and_so_is_a_long_one() {
        let mut table = Table::default();
        for value in 0..10_u8 {
            for _ in 0..3 {
                table.add(&[value], value.into(), 4);
            }
        }
        table.add(&[b'x'; VALUE_BYTES_MAX + 1], 77, 100);
        table.add(&[b'x'; VALUE_BYTES_MAX], 77, 100);
        assert_eq!((table.len(), table.records, table.other), (5, 32, 19));
        assert_eq!((table.count_of(&[3], 3), table.count_of(&[4], 4)), (3, 0));
        assert!(!table.take(&[3], 3, 1, 100) && !table.take(&[9], 9, 1, 5) && table.take(&[9], 9, 8, 6));
        assert_eq!(table.row(5), Some((&[9][..], 9, 8)));
    }
}
