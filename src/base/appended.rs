//! The guard against repeats: what a broker acknowledges must follow what it acknowledged before.

use super::place::TopicPartition;

/// What the broker told of our appends: each must begin where the last one ended, the first one at the end that the
/// partition had when the run was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    partition: TopicPartition,
    start: i64,
    next: i64,
    /// Offsets between the two that are no records.
    passed: u64,
}

/// The broker appended somewhere else than where the last append ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{partition}: a batch of {records} records was to land at offset {expected}, the broker says {got}: {}",
    if got > expected { "records that are not of this run lie between (another writer, or a batch that was sent twice \
        because its answer was late or throttled)" } else { "it overlaps what was written before, or took the place of a batch that was refused" }
)]
pub struct NotAdjacent {
    /// The partition written to.
    pub partition: TopicPartition,
    /// Where the batch had to land.
    pub expected: i64,
    /// Where the broker says it landed.
    pub got: i64,
    /// How many records it holds.
    pub records: i64,
}

impl Appended {
    /// Nothing appended yet; the partition ends at `end`.
    pub fn at_end(partition: TopicPartition, end: i64) -> Self {
        Self { partition, start: end, next: end, passed: 0 }
    }

    /// The partition written to.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Takes in that `records` records landed at `base`.
    pub fn take(&mut self, base: i64, records: i64) -> Result<(), NotAdjacent> {
        if base != self.next {
            let (partition, expected) = (self.partition.clone(), self.next);
            return Err(NotAdjacent { partition, expected, got: base, records });
        }
        self.next += records;
        Ok(())
    }

    /// Takes in that `offsets` were taken by what is no record.
    pub fn pass(&mut self, offsets: u32) {
        self.next += i64::from(offsets);
        self.passed += u64::from(offsets);
    }

    /// The offset of the first record of this run.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// The offset after the last record of this run.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// How many records this run appended.
    pub fn records(&self) -> u64 {
        self.next.abs_diff(self.start) - self.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended() -> Appended {
        let mut appended = Appended::at_end(TopicPartition::new("out", 0), 100);
        appended.take(100, 10).unwrap();
        appended
    }

    #[test]
    fn a_gap_in_the_acknowledged_offsets_stops_with_both_numbers() {
        let error = appended().take(120, 10).unwrap_err();
        assert_eq!((error.expected, error.got), (110, 120));
        let shown = error.to_string();
        assert!(shown.contains("110") && shown.contains("120") && shown.contains("sent twice"), "{shown}");
    }

    #[test]
    fn an_overlap_in_the_acknowledged_offsets_stops_with_both_numbers() {
        let shown = appended().take(105, 10).unwrap_err().to_string();
        assert!(shown.contains("110") && shown.contains("105") && shown.contains("overlaps"), "{shown}");
    }

    #[test]
    fn adjacent_batches_count_up() {
        let mut appended = appended();
        appended.take(110, 5).unwrap();
        assert_eq!((appended.start(), appended.next(), appended.records()), (100, 115, 15));
    }
}
