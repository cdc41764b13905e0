//! Runs as they come: once there are as many of one size as can be merged at once, they become one.
//!
//! So there are never many files open, and an entry is written again only as often as there are sizes. Where many put runs aside
//! beside each other, each has a part of the files that may be open; with so few, runs of one size are merged before they are many,
//! and in the end those of different sizes.

use super::reader::RunReader;
use super::run::{self, Run};
use super::scratch::Scratch;
use super::{Entries, Merge, SpillError};

/// How many runs are merged at once. Files are open meanwhile, and each has a buffer.
pub(super) const FAN_IN: usize = 32;
/// Those who put runs aside at the same time have so many files open together, and each a few at least: a process often may open
/// 1024, and has connections as well. In the end each has one more, of what was in memory.
const OPEN_TOGETHER: usize = 640;
/// With fewer every run would be merged with everything before it.
const OPEN_MIN: usize = 4;
const FAN_IN_MIN: usize = 4;
/// A buffer's size, within what there is memory for: less makes seeking dear, more gains nothing.
const BUFFER_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=128 << 10;

/// Runs, and how they are read and written.
#[derive(Debug)]
pub struct Runs {
    scratch: Scratch,
    runs: Vec<Run>,
    buffer_bytes: usize,
    /// So many of one size become one.
    fan_in: usize,
    /// And so many files may be open, the one that is written as well.
    open_max: usize,
}

impl Runs {
    /// More than these do not put runs aside beside each other.
    pub const SHARERS_MAX: usize = OPEN_TOGETHER / OPEN_MIN;

    /// None yet. So many bytes may be taken while runs are written and merged; half of that is for entries longer than a buffer.
    pub fn new(scratch: Scratch, memory_bytes: usize) -> Self {
        let buffer_bytes = (memory_bytes / 2 / (FAN_IN + 1)).clamp(*BUFFER_BYTES.start(), *BUFFER_BYTES.end());
        Self { scratch, runs: Vec::new(), buffer_bytes, fan_in: FAN_IN, open_max: OPEN_TOGETHER }
    }

    /// The same where so many put runs aside beside each other: the more there are, the fewer files each has.
    pub fn one_of(mut self, sharers: usize) -> Self {
        self.open_max = (OPEN_TOGETHER / sharers.max(1)).max(OPEN_MIN);
        // So that there is room for several sizes.
        self.fan_in = (self.open_max / 3).clamp(FAN_IN_MIN, FAN_IN);
        self
    }

    /// None yet, in the same place.
    pub fn none(&self) -> Self {
        Self { scratch: self.scratch.clone(), runs: Vec::new(), ..*self }
    }

    /// The largest entry with which merging stays within the memory: each run that is merged holds one.
    pub fn entry_bytes_max(memory_bytes: usize) -> usize {
        memory_bytes / (2 * FAN_IN)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many entries there are in all.
    pub fn entries(&self) -> u64 {
        self.runs.iter().map(|run| run.entries).sum()
    }

    /// Puts entries aside, which are in order. `stop` is asked now and then.
    pub fn add(&mut self, entries: &mut dyn Entries, stop: &dyn Fn() -> bool) -> Result<(), SpillError> {
        self.runs.push(run::write(&self.scratch, self.buffer_bytes, 0, entries, stop)?);
        Ok(())
    }

    /// Whether there are so many that some should be merged.
    pub fn are_many(&self) -> bool {
        self.has_many(0) || self.is_full()
    }

    /// Whether the next one would be one too many, or merging some.
    fn is_full(&self) -> bool {
        self.runs.len() + 1 >= self.open_max
    }

    fn has_many(&self, level: u32) -> bool {
        self.runs.iter().filter(|run| run.level == level).count() >= self.fan_in
    }

    /// Merges runs of one size as long as there are many. To be called when the memory is free.
    pub fn settle(&mut self, stop: &dyn Fn() -> bool) -> Result<(), SpillError> {
        let mut level = 0;
        while self.has_many(level) {
            let (these, others) = std::mem::take(&mut self.runs).into_iter().partition(|run| run.level == level);
            self.runs = others;
            self.merge(these, level + 1, stop)?;
            level += 1;
        }
        while self.is_full() && self.runs.len() > 1 {
            self.merge_early(stop)?;
        }
        Ok(())
    }

    /// Merges the runs of the lowest level that has several; where none has, the two lowest ones.
    fn merge_early(&mut self, stop: &dyn Fn() -> bool) -> Result<(), SpillError> {
        self.runs.sort_by_key(|run| run.level);
        let first = self.runs.windows(2).position(|pair| matches!(pair, [a, b] if a.level == b.level)).unwrap_or(0);
        let mut these = self.runs.split_off(first);
        let level = these.first().map_or(0, |run| run.level);
        let count = these.iter().take_while(|run| run.level == level).count().clamp(2, FAN_IN);
        let behind = these.split_off(count.min(these.len()));
        self.runs.extend(behind);
        let level = these.iter().map(|run| run.level).max().unwrap_or(0);
        self.merge(these, level + 1, stop)
    }

    /// Takes over another one's runs.
    pub fn append(&mut self, other: Self) {
        self.runs.extend(other.runs);
    }

    /// All entries in order.
    pub fn into_entries(mut self, stop: &dyn Fn() -> bool) -> Result<Merge<Box<dyn Entries + Send>>, SpillError> {
        while self.runs.len() > FAN_IN {
            // The smallest ones, and no more than needed: the largest is not written again.
            self.runs.sort_by_key(|run| std::cmp::Reverse(run.bytes));
            let count = (self.runs.len() - FAN_IN + 1).min(FAN_IN);
            let these = self.runs.split_off(self.runs.len() - count);
            self.merge(these, 0, stop)?;
        }
        let readers = self.runs.into_iter().map(|run| RunReader::new(run, &self.scratch, self.buffer_bytes));
        Ok(Merge::new(readers.map(|reader| Box::new(reader) as Box<dyn Entries + Send>).collect()))
    }

    fn merge(&mut self, runs: Vec<Run>, level: u32, stop: &dyn Fn() -> bool) -> Result<(), SpillError> {
        let readers = runs.into_iter().map(|run| RunReader::new(run, &self.scratch, self.buffer_bytes));
        let mut merge = Merge::new(readers.collect());
        self.runs.push(run::write(&self.scratch, self.buffer_bytes, level, &mut merge, stop)?);
        Ok(())
    }
}
