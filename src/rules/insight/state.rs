//! What was counted of one input partition, for all insights of a rule file.

use super::listing::Listing;
use super::table::Table;
use super::windows::{Timely, Windows};
use super::{Insight, Noted};
use crate::rules::Rules;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// What is counted would take more than there is memory for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "insight {insight}: what is counted of the partition takes more than {bytes_max} bytes: tell fewer values apart \
     (values_max), let windows be longer or lateness be less, or give more memory"
)]
pub struct InsightsFull {
    /// The one that takes most.
    pub insight: String,
    /// What all of them may take.
    pub bytes_max: usize,
}

/// A window that has closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Of which insight, in the order of the file.
    pub insight: usize,
    /// Where it starts.
    pub start_ms: i64,
    /// What is in it. Of more than a thousand values the most frequent ones are listed.
    pub listing: Listing,
    /// How many different values were told apart.
    pub values: usize,
}

/// What was counted of one input partition.
#[derive(Debug)]
pub struct Insights {
    pub(super) rules: Arc<Rules>,
    pub(super) counters: Vec<Counter>,
    hasher: RandomState,
    /// Windows may have closed that were not taken yet.
    closing: bool,
    pub(super) bytes_max: usize,
}

/// What was counted for one insight.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    pub(super) total: Table,
    pub(super) windows: Option<Windows>,
    /// The offset from which on records were counted.
    pub(super) since: i64,
    /// Offsets whose records could not be counted.
    pub(super) missed: u64,
    pub(super) late: u64,
    pub(super) untimed: u64,
}

impl Counter {
    pub(super) fn new(insight: &Insight, since: i64) -> Self {
        let windows = insight.windows.map(Windows::new);
        Self { total: Table::default(), windows, since, missed: 0, late: 0, untimed: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.total.bytes() + self.windows.as_ref().map_or(0, Windows::bytes)
    }
}

impl Insights {
    /// Nothing is counted yet of what is at `since` and behind it; and all of it is never to take more than so many bytes.
    pub fn new(rules: &Arc<Rules>, since: i64, bytes_max: usize) -> Self {
        let counters = rules.insights().iter().map(|insight| Counter::new(insight, since)).collect();
        Self { rules: Arc::clone(rules), counters, hasher: RandomState::new(), closing: false, bytes_max }
    }

    /// Counts a record that goes out. Windows that close by it have to be taken before the next one.
    #[inline]
    pub fn count(&mut self, noted: Noted<'_>) -> Result<(), InsightsFull> {
        let Self { rules, counters, hasher, closing, .. } = self;
        let (mut start, mut bytes) = (0, 0);
        for ((counter, insight), &(end, time_ms)) in counters.iter_mut().zip(rules.insights()).zip(noted.ends) {
            let value = noted.values.get(start..end).unwrap_or_default();
            start = end;
            let hash = hasher.hash_one(value);
            counter.total.add(value, hash, insight.values_max);
            match (&mut counter.windows, time_ms) {
                (Some(windows), Some(time_ms)) => {
                    *closing |= windows.see(time_ms);
                    if windows.add(time_ms, value, hash, insight.values_max) == Timely::Late {
                        counter.late += 1;
                    }
                }
                (Some(_), None) => counter.untimed += 1,
                (None, _) => {}
            }
            bytes += counter.bytes();
        }
        if bytes > self.bytes_max { Err(self.full()) } else { Ok(()) }
    }

    #[cold]
    pub(super) fn full(&self) -> InsightsFull {
        let counters = self.counters.iter().zip(self.rules.insights());
        let largest = counters.max_by_key(|(counter, _)| counter.bytes());
        let insight = largest.map_or_else(String::new, |(_, insight)| insight.name.clone());
        InsightsFull { insight, bytes_max: self.bytes_max }
    }

    /// The next window that has closed, insight by insight, in their order.
    #[inline]
    pub fn next_closed(&mut self) -> Option<Closed> {
        if self.closing { self.take_closed() } else { None }
    }

    fn take_closed(&mut self) -> Option<Closed> {
        for (insight, counter) in self.counters.iter_mut().enumerate() {
            let look = |table: &Table| (Listing::of(table), table.len());
            let closed = counter.windows.as_mut().and_then(|windows| windows.next_closed(look));
            if let Some((start_ms, (listing, values))) = closed {
                return Some(Closed { insight, start_ms, listing, values });
            }
        }
        self.closing = false;
        None
    }

    /// So many offsets hold records that went out and cannot be counted any more.
    pub fn miss(&mut self, offsets: u64) {
        self.counters.iter_mut().for_each(|counter| counter.missed += offsets);
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.counters.iter().map(Counter::bytes).sum()
    }

    /// What one insight has counted in all; the values that come most often are listed.
    pub fn total(&self, insight: usize) -> Listing {
        self.counters.get(insight).map_or_else(Listing::default, |counter| Listing::of(&counter.total))
    }

    /// How many different values one insight has told apart.
    pub fn values(&self, insight: usize) -> usize {
        self.counters.get(insight).map_or(0, |counter| counter.total.len())
    }

    /// From which offset on an insight has counted, and of how many offsets it could not.
    pub fn since(&self, insight: usize) -> (i64, u64) {
        self.counters.get(insight).map_or((0, 0), |counter| (counter.since, counter.missed))
    }

    /// Records that came too late for a window, and records without a time.
    pub fn late_and_untimed(&self, insight: usize) -> (u64, u64) {
        self.counters.get(insight).map_or((0, 0), |counter| (counter.late, counter.untimed))
    }

    /// What several partitions have counted in all for one insight, with its first `top` values.
    pub fn sum<'a>(partitions: impl IntoIterator<Item = &'a Self>, insight: usize, top: usize) -> Listing {
        let partitions: Vec<&Self> = partitions.into_iter().collect();
        let counters = partitions.iter().filter_map(|one| one.counters.get(insight));
        let tables: Vec<&Table> = counters.map(|counter| &counter.total).collect();
        // Each partition hashes with a seed of its own.
        let hashers: Vec<&RandomState> = partitions.iter().map(|one| &one.hasher).collect();
        Listing::sum(&tables, |table, value| hashers[table].hash_one(value), top)
    }

    #[inline]
    pub(super) fn hash(&self, value: &[u8]) -> u64 {
        self.hasher.hash_one(value)
    }
}
