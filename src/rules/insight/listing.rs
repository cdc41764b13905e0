//! The most frequent values first, of one table or of the sum of several.
//!
//! What partitions have counted is added up value by value. Not all values are gone through: of each table those that are the
//! most frequent there, and how often they are in every other one. So the sum of a value that is listed is right; that no
//! value is missing which would belong to the first ones is known where none of those that were not gone through can have
//! come as often.

use super::table::Table;
use std::collections::BTreeMap;

/// Of a table so many values are gone through where several are added up, and so many are written out of a window.
pub(super) const LISTED_MAX: usize = 1000;
/// A listing takes no more than this for its values.
const LISTED_BYTES_MAX: usize = 128 << 10;

/// A value and how often it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The value as JSON.
    pub json: Box<[u8]>,
    /// How often it came.
    pub count: u64,
}

/// The most frequent values first; where they are alike, by their bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Records that were counted.
    pub records: u64,
    /// Those of them whose value was not told apart from others.
    pub other: u64,
    /// The values that are listed.
    pub values: Vec<Value>,
    /// Records whose value is not listed, though it was told apart.
    pub rest: u64,
    /// Whether the first so many of the list are the first ones for certain.
    pub exact_to: usize,
}

fn sort(values: &mut [Value]) {
    values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.json.cmp(&b.json)));
}

/// The rows of a table that come most often, as many as are listed.
fn first_rows(table: &Table, most: usize) -> Vec<(&[u8], u64, u64)> {
    let order = |a: &(&[u8], u64, u64), b: &(&[u8], u64, u64)| b.2.cmp(&a.2).then_with(|| a.0.cmp(b.0));
    let mut rows = Vec::new();
    for row in table.rows() {
        rows.push(row);
        // However long the table is, this is not.
        if rows.len() > 2 * most {
            rows.select_nth_unstable_by(most, order);
            rows.truncate(most);
        }
    }
    rows.sort_unstable_by(order);
    rows.truncate(most);
    rows
}

impl Listing {
    /// What is in one table.
    pub(super) fn of(table: &Table) -> Self {
        let mut listing = Self { records: table.records, other: table.other, ..Self::default() };
        let mut bytes = 0;
        for (json, _, count) in first_rows(table, LISTED_MAX) {
            bytes += json.len();
            if bytes > LISTED_BYTES_MAX {
                break;
            }
            listing.values.push(Value { json: json.into(), count });
        }
        listing.count_rest();
        listing.exact_to = listing.values.len();
        listing
    }

    /// The sum of several tables, with the first `top` values of it. Each table has hashes of its own.
    pub(super) fn sum(tables: &[&Table], hash: impl Fn(usize, &[u8]) -> u64, top: usize) -> Self {
        let mut candidates: BTreeMap<&[u8], u64> = BTreeMap::new();
        // How often a value may have come, at most, that is not among them.
        let mut unseen_max = 0;
        for table in tables {
            let rows = first_rows(table, LISTED_MAX);
            if rows.len() < table.len() {
                unseen_max += rows.last().map_or(0, |(_, _, count)| *count);
            }
            candidates.extend(rows.into_iter().map(|(value, _, _)| (value, 0)));
        }
        for (value, count) in &mut candidates {
            let counts = tables.iter().enumerate().map(|(at, table)| table.count_of(value, hash(at, value)));
            *count = counts.sum();
        }
        let candidates = candidates.into_iter().map(|(json, count)| Value { json: json.into(), count });
        let mut values: Vec<Value> = candidates.collect();
        sort(&mut values);
        values.truncate(top);
        let mut listing = Self {
            records: tables.iter().map(|table| table.records).sum(),
            other: tables.iter().map(|table| table.other).sum(),
            exact_to: values.partition_point(|value| unseen_max == 0 || value.count > unseen_max),
            values,
            rest: 0,
        };
        listing.count_rest();
        listing
    }

    /// Adds what another partition says of the same window. What it does not list may be missing from the sum.
    pub fn add(&mut self, other: &Self) {
        let mut values: BTreeMap<Box<[u8]>, u64> =
            self.values.drain(..).map(|value| (value.json, value.count)).collect();
        for value in &other.values {
            *values.entry(value.json.clone()).or_default() += value.count;
        }
        self.values = values.into_iter().map(|(json, count)| Value { json, count }).collect();
        sort(&mut self.values);
        self.values.truncate(2 * LISTED_MAX);
        self.records += other.records;
        self.other += other.other;
        self.count_rest();
        self.exact_to = if self.rest == 0 { self.values.len() } else { 0 };
    }

    /// Whether its first `top` values are those for certain.
    pub fn is_exact(&self, top: usize) -> bool {
        self.exact_to >= top.min(self.values.len())
    }

    fn count_rest(&mut self) {
        let listed: u64 = self.values.iter().map(|value| value.count).sum();
        self.rest = self.records.saturating_sub(self.other).saturating_sub(listed);
    }
}
