//! Idempotent producers of one partition: which batch may come next, and which one was here before.
//!
//! The rules are Apache Kafka's as observed on 4.2, surprising ones included:
//! - A producer the partition knows nothing of may begin at any epoch and with any sequence.
//! - A retry is recognised by epoch and exact first and last sequence, never by its bytes, among the last five batches;
//!   it is answered with the offset of the first try. Any other sequence than the next one is out of order.
//! - A new epoch begins at sequence 0, and from then on the older epoch is refused.
//!
//! Not here: Kafka forgets a producer a day after the timestamp of its last record; this broker forgets none until the
//! topic is deleted.

use super::memory::{Memory, Paid};
use std::collections::{HashMap, VecDeque};

/// How many batches back a retry is recognised.
const WINDOW_BATCHES: usize = 5;

/// What one producer's state costs, its window full, with the map's share.
const PRODUCER_BYTES: usize = 320;

/// The header fields that identify a batch among its producer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) first_sequence: i32,
    pub(crate) record_count: i32,
}

impl Stamp {
    /// Sequences count up to 2^31-1 and go on at 0, inside a batch as well.
    fn last_sequence(&self) -> i32 {
        let sum = i64::from(self.first_sequence) + i64::from(self.record_count.max(1)) - 1;
        (sum & i64::from(i32::MAX)) as i32
    }
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Append,
    /// It is in the log already.
    Duplicate { base_offset: i64, timestamp: i64 },
    /// Its epoch is below the newest one seen.
    OldEpoch { newest: i16 },
    /// It is neither the next one nor one of the last five.
    OutOfOrder { last_sequence: i32 },
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    window: VecDeque<Seen>,
    _paid: Paid,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    timestamp: i64,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
}

impl Producers {
    /// Judges a batch without changing anything.
    pub(crate) fn judge(&self, stamp: Stamp) -> Verdict {
        let Some(producer) = self.known.get(&stamp.producer_id) else { return Verdict::Append };
        let last = producer.window.back().map_or(-1, |seen| seen.last_sequence);
        if stamp.epoch < producer.epoch {
            return Verdict::OldEpoch { newest: producer.epoch };
        }
        if stamp.epoch > producer.epoch {
            return if stamp.first_sequence == 0 {
                Verdict::Append
            } else {
                Verdict::OutOfOrder { last_sequence: last }
            };
        }
        let same =
            |seen: &&Seen| (seen.first_sequence, seen.last_sequence) == (stamp.first_sequence, stamp.last_sequence());
        if let Some(seen) = producer.window.iter().find(same) {
            return Verdict::Duplicate { base_offset: seen.base_offset, timestamp: seen.timestamp };
        }
        let next = last.checked_add(1).unwrap_or(0);
        if stamp.first_sequence == next { Verdict::Append } else { Verdict::OutOfOrder { last_sequence: last } }
    }

    /// Makes room for a producer that is not known yet; `false` when there is no memory for it.
    pub(crate) fn admit(&mut self, stamp: Stamp, memory: &Memory) -> bool {
        if self.known.contains_key(&stamp.producer_id) {
            return true;
        }
        let Some(paid) = memory.take(PRODUCER_BYTES) else { return false };
        let window = VecDeque::with_capacity(WINDOW_BATCHES);
        self.known.insert(stamp.producer_id, Producer { epoch: stamp.epoch, window, _paid: paid });
        true
    }

    /// Remembers a batch that was appended. Its producer was admitted before.
    pub(crate) fn appended(&mut self, stamp: Stamp, base_offset: i64, timestamp: i64) {
        let Some(producer) = self.known.get_mut(&stamp.producer_id) else { return };
        if producer.epoch != stamp.epoch {
            producer.epoch = stamp.epoch;
            producer.window.clear();
        }
        if producer.window.len() == WINDOW_BATCHES {
            producer.window.pop_front();
        }
        producer.window.push_back(Seen {
            first_sequence: stamp.first_sequence,
            last_sequence: stamp.last_sequence(),
            base_offset,
            timestamp,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition that counts offsets and takes what the rules let through, as the log does.
    struct Partition {
        producers: Producers,
        memory: Memory,
        end: i64,
    }

    impl Partition {
        fn new() -> Self {
            Self { producers: Producers::default(), memory: Memory::new(1 << 20), end: 0 }
        }

        /// `(epoch, first sequence, records)` of producer 1, answered as a broker would: base offset or error code.
        fn send(&mut self, epoch: i16, first_sequence: i32, record_count: i32) -> Result<i64, i16> {
            let stamp = Stamp { producer_id: 1, epoch, first_sequence, record_count };
            match self.producers.judge(stamp) {
                Verdict::Append => {
                    assert!(self.producers.admit(stamp, &self.memory));
                    let base_offset = self.end;
                    self.end += i64::from(record_count);
                    self.producers.appended(stamp, base_offset, 0);
                    Ok(base_offset)
                }
                Verdict::Duplicate { base_offset, .. } => Ok(base_offset),
                Verdict::OutOfOrder { .. } => Err(45),
                Verdict::OldEpoch { .. } => Err(47),
            }
        }

        fn holding(batches: i32) -> Self {
            let mut partition = Self::new();
            for i in 0..batches {
                assert_eq!(partition.send(0, i * 10, 10), Ok(i64::from(i) * 10));
            }
            partition
        }
    }

    #[test]
    fn the_next_sequence_is_appended_and_an_exact_retry_gets_the_original_offset() {
        let mut partition = Partition::holding(2);
        assert_eq!(partition.send(0, 10, 10), Ok(10));
        assert_eq!(partition.send(0, 20, 10), Ok(20));
        assert_eq!(partition.end, 30);
    }

    #[test]
    fn an_overlapping_cut_a_part_and_a_gap_are_out_of_order() {
        for (first, count) in [(5, 10), (0, 20), (12, 3), (10, 9), (21, 10), (100, 1)] {
            assert_eq!(Partition::holding(2).send(0, first, count), Err(45), "first {first} count {count}");
        }
    }

    #[test]
    fn the_last_five_batches_are_remembered_and_the_sixth_is_out_of_order() {
        let mut partition = Partition::holding(8);
        for back in 1..=5 {
            let first = (8 - back) * 10;
            assert_eq!(partition.send(0, first, 10), Ok(first.into()), "{back} back");
        }
        assert_eq!(partition.send(0, 20, 10), Err(45));
        assert_eq!(partition.send(0, 10, 10), Err(45));
        assert_eq!(partition.end, 80);
    }

    #[test]
    fn a_producer_nobody_knows_may_begin_anywhere() {
        assert_eq!(Partition::new().send(0, 100, 1), Ok(0));
        assert_eq!(Partition::new().send(7, 55, 1), Ok(0));
    }

    #[test]
    fn a_batch_that_overtook_the_first_one_shuts_it_out() {
        let mut partition = Partition::new();
        assert_eq!(partition.send(0, 10, 10), Ok(0));
        assert_eq!(partition.send(0, 0, 10), Err(45));
    }

    #[test]
    fn sequences_wrap_at_the_end_of_a_batch_and_inside_one() {
        let mut partition = Partition::new();
        assert_eq!(partition.send(0, i32::MAX, 3), Ok(0));
        assert_eq!(partition.send(0, i32::MAX, 3), Ok(0));
        assert_eq!(partition.send(0, 2, 1), Ok(3));
        let mut partition = Partition::new();
        assert_eq!(partition.send(0, i32::MAX - 1, 2), Ok(0));
        assert_eq!(partition.send(0, 0, 1), Ok(2));
    }

    #[test]
    fn a_higher_epoch_begins_at_zero_and_fences_the_older_one() {
        let mut partition = Partition::holding(1);
        assert_eq!(partition.send(3, 10, 10), Err(45));
        assert_eq!(partition.send(3, 0, 10), Ok(10));
        assert_eq!(partition.send(0, 10, 10), Err(47));
        assert_eq!(partition.send(0, 0, 10), Err(47));
        assert_eq!(partition.send(3, 0, 10), Ok(10));
    }

    #[test]
    fn a_producer_that_cannot_be_paid_for_is_not_admitted() {
        let mut producers = Producers::default();
        let memory = Memory::new(PRODUCER_BYTES);
        let stamp = |producer_id| Stamp { producer_id, epoch: 0, first_sequence: 0, record_count: 1 };
        assert!(producers.admit(stamp(1), &memory));
        assert!(producers.admit(stamp(1), &memory));
        assert!(!producers.admit(stamp(2), &memory));
    }
}
