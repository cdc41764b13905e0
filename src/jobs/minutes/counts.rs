//! Records by what they went to, partition and minute, until they stand in a ledger.

use super::{Line, Minute, Runs};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What records went to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The topic; where they became rows of files, that which they came from.
    pub topic: Arc<str>,
    /// They became rows of the files that this group writes.
    pub files_of: Option<Arc<str>>,
}

impl About {
    /// Records of a topic.
    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self { topic: name.into(), files_of: None }
    }
}

/// A batch that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    /// The offset of its first record.
    pub base_offset: i64,
    /// What the answer told as the time of the append, or -1.
    pub append_time_ms: i64,
    /// The largest time of its records, as they were sent.
    pub max_timestamp: i64,
}

/// Of what, which partition, and when.
pub(super) type Place = (About, i32, Minute);

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) records: u64,
    /// Keys and values, where that is known of all of them.
    pub(super) bytes: Option<u64>,
    pub(super) first_offset: i64,
    pub(super) last_offset: i64,
}

impl Counted {
    pub(super) fn add(&mut self, more: Self) {
        self.records += more.records;
        self.bytes = self.bytes.zip(more.bytes).map(|(one, other)| one + other);
        self.first_offset = self.first_offset.min(more.first_offset);
        self.last_offset = self.last_offset.max(more.last_offset);
    }

    /// As a ledger has it.
    pub(super) fn line(self, (about, partition, minute): &Place) -> Line {
        Line {
            topic: about.topic.to_string(),
            files_of: about.files_of.as_deref().map(str::to_owned),
            partition: *partition,
            minute: *minute,
            records: self.records,
            bytes: self.bytes,
            offsets: Some(self.first_offset..=self.last_offset),
        }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Counts {
    by: BTreeMap<Place, Counted>,
}

impl Counts {
    /// Takes a batch that is stored; `stamps` says that the topic gives records the time of their append.
    pub fn add_batch(&mut self, (about, stamps): (&About, bool), partition: i32, batch: Acknowledged, runs: &Runs) {
        // Kafka answers a repeat with the largest time of the batch, also where the topic keeps the records' own.
        let stamped = batch.append_time_ms >= 0 && (stamps || batch.append_time_ms != batch.max_timestamp);
        let at = |place: u32| batch.base_offset.saturating_add(place.into());
        let mut add = |minute, records: u32, bytes, (first, last)| {
            let (first_offset, last_offset) = (at(first), at(last));
            let counted = Counted { records: records.into(), bytes: Some(bytes), first_offset, last_offset };
            self.add((about.clone(), partition, minute), counted);
        };
        if stamped {
            let (records, bytes) = runs.all();
            add(Minute::of(batch.append_time_ms), records, bytes, (0, records.saturating_sub(1)));
        } else {
            runs.iter().for_each(|run| add(run.minute, run.records, run.bytes, (run.first, run.last)));
        }
    }

    /// Takes rows of a file: the offset of each of their records, and its time.
    pub fn add_rows(&mut self, about: &About, partition: i32, rows: impl Iterator<Item = (i64, i64)>) {
        let mut run: Option<(Minute, Counted)> = None;
        for (offset, timestamp_ms) in rows {
            let minute = Minute::of(timestamp_ms);
            let one = Counted { records: 1, bytes: None, first_offset: offset, last_offset: offset };
            match &mut run {
                Some((current, counted)) if *current == minute => counted.add(one),
                _ => {
                    if let Some((minute, counted)) = run.replace((minute, one)) {
                        self.add((about.clone(), partition, minute), counted);
                    }
                }
            }
        }
        if let Some((minute, counted)) = run {
            self.add((about.clone(), partition, minute), counted);
        }
    }

    /// Takes what others have counted.
    pub fn merge(&mut self, others: Self) {
        others.by.into_iter().for_each(|(place, counted)| self.add(place, counted));
    }

    pub(super) fn add(&mut self, place: Place, more: Counted) {
        self.by.entry(place).and_modify(|known| known.add(more)).or_insert(more);
    }

    /// How many partitions and minutes there are.
    pub fn len(&self) -> usize {
        self.by.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    /// How many records.
    pub fn records(&self) -> u64 {
        self.by.values().map(|counted| counted.records).sum()
    }

    /// The next one, which is taken out.
    pub(super) fn pop(&mut self) -> Option<(Place, Counted)> {
        self.by.pop_first()
    }
}
