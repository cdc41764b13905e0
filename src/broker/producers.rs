//! Idempotent producers of one partition: which batch may come next, and which one was here before.
//!
//! The rules are Apache Kafka's as observed on 4.2, surprising ones included:
//! - A producer the partition knows nothing of may begin at any epoch and with any sequence. (UNKNOWN_PRODUCER_ID, which
//!   older brokers answered here, is not raised by 4.x.)
//! - A retry is recognised by epoch and exact first and last sequence, never by its bytes, among the last five batches;
//!   it is answered with the offset of the first try. Any other sequence than the next one is out of order.
//! - A new epoch begins at sequence 0, and from then on the older epoch is refused.
//! - A producer is forgotten when its last record is old by its own timestamp (`producer.id.expiration.ms`), at the next
//!   sweep and whenever a node starts, unless a transaction of it is open.
//! - A node that was restarted knows the last batch of each producer from before, and all that came after.
//!
//! What is kept here is what a node knows that never stopped; [`Lens`] shows it as another node knows it.

use super::memory::{Memory, Paid};
use super::transactions::{Marker, Transactions};
use crate::batch::BatchHeader;
use std::collections::{HashMap, VecDeque};

/// How many batches back a retry is recognised.
const WINDOW_BATCHES: usize = 5;

/// What one producer's state costs, its window full, with the map's share.
const PRODUCER_BYTES: usize = 400;

/// What is told where there is no sequence, epoch or offset.
const NONE: i64 = -1;

/// The header fields that identify a batch among its producer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) first_sequence: i32,
    pub(crate) record_count: i32,
    pub(crate) is_transactional: bool,
}

impl Stamp {
    /// The stamp of a batch; nothing where no producer is named.
    pub(crate) fn of(header: &BatchHeader) -> Option<Self> {
        (header.producer_id != NONE).then_some(Self {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            record_count: header.record_count,
            is_transactional: header.is_transactional(),
        })
    }

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
    Duplicate { base_offset: i64, last_offset: i64, timestamp: i64 },
    /// Its epoch is below the newest one seen.
    OldEpoch { newest: i16 },
    /// It is neither the next one nor one of the last five.
    OutOfOrder { last_sequence: i32 },
    /// It is not transactional, and its producer's transaction that began there is open.
    InTransaction { first_offset: i64 },
}

/// When producers are forgotten: Kafka's `producer.id.expiration.ms` and `producer.id.expiration.check.interval.ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) expiration_ms: i64,
    pub(crate) check_interval_ms: i64,
    /// When the sweeps began.
    pub(crate) since_ms: i64,
}

impl Expiry {
    pub(crate) const DEFAULT_EXPIRATION_MS: i64 = 86_400_000;
    pub(crate) const DEFAULT_CHECK_INTERVAL_MS: i64 = 600_000;

    /// The latest sweep up to `now_ms`; the first one comes an interval after the beginning.
    fn latest_sweep_ms(&self, now_ms: i64) -> Option<i64> {
        let interval_ms = self.check_interval_ms.max(1);
        let since = now_ms.saturating_sub(self.since_ms);
        (since >= interval_ms).then(|| now_ms - since % interval_ms)
    }
}

/// A node's restart: what it knows of the producers from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reload {
    /// Where the log ended.
    pub(crate) log_end: i64,
    pub(crate) at_ms: i64,
    pub(crate) expiration_ms: i64,
}

/// Whose knowledge is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lens<'a> {
    pub(crate) reload: Option<Reload>,
    pub(crate) transactions: &'a Transactions,
}

/// A producer as DescribeProducers tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) coordinator_epoch: i32,
    pub(crate) transaction_start: i64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    window: VecDeque<Seen>,
    /// Of its last batch or marker.
    last_timestamp: i64,
    last_offset: i64,
    coordinator_epoch: i32,
    /// When that was written, by the wall clock.
    changed_ms: i64,
    _paid: Paid,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
    timestamp: i64,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
    /// The last sweep: what it left and what came since, no look before the next one can find expired.
    swept_ms: i64,
}

impl Producer {
    /// Whether the node knows it at all.
    fn is_known(&self, producer_id: i64, lens: Lens<'_>) -> bool {
        lens.reload.is_none_or(|reload| {
            self.last_offset >= reload.log_end
                || reload.at_ms.saturating_sub(self.last_timestamp) < reload.expiration_ms
                || lens.transactions.start_of(producer_id).is_some()
        })
    }

    /// The batches of the window that the node knows.
    fn window(&self, producer_id: i64, lens: Lens<'_>) -> impl Iterator<Item = &Seen> {
        let hidden = lens.reload.map_or(0, |reload| {
            let before = self.window.partition_point(|seen| seen.base_offset < reload.log_end);
            let last = before.checked_sub(1).and_then(|last| self.window.get(last));
            let kept = last.is_some_and(|last| {
                reload.at_ms.saturating_sub(last.timestamp) < reload.expiration_ms
                    || lens.transactions.start_of(producer_id).is_some()
            });
            before - usize::from(kept)
        });
        self.window.range(hidden..)
    }

    fn last_sequence(&self, producer_id: i64, lens: Lens<'_>) -> i32 {
        self.window(producer_id, lens).last().map_or(NONE as i32, |seen| seen.last_sequence)
    }
}

impl Producers {
    /// Forgets those that have been silent too long, as the sweeps up to now have done.
    pub(crate) fn sweep(&mut self, expiry: Expiry, now_ms: i64, transactions: &Transactions) {
        let Some(swept_ms) = expiry.latest_sweep_ms(now_ms).filter(|swept_ms| *swept_ms > self.swept_ms) else {
            return;
        };
        self.swept_ms = swept_ms;
        self.known.retain(|producer_id, producer| {
            producer.changed_ms >= swept_ms
                || swept_ms.saturating_sub(producer.last_timestamp) < expiry.expiration_ms
                || transactions.start_of(*producer_id).is_some()
        });
    }

    /// Judges a batch without changing anything.
    pub(crate) fn judge(&self, stamp: Stamp, lens: Lens<'_>) -> Verdict {
        let producer_id = stamp.producer_id;
        let Some(producer) = self.known.get(&producer_id).filter(|known| known.is_known(producer_id, lens)) else {
            return Verdict::Append;
        };
        let last = producer.last_sequence(producer_id, lens);
        if stamp.epoch < producer.epoch {
            return Verdict::OldEpoch { newest: producer.epoch };
        }
        let next = if stamp.epoch > producer.epoch {
            0
        } else {
            let stamped = (stamp.first_sequence, stamp.last_sequence());
            let same = |seen: &&Seen| (seen.first_sequence, seen.last_sequence) == stamped;
            if let Some(seen) = producer.window(producer_id, lens).find(same) {
                let Seen { base_offset, last_offset, timestamp, .. } = *seen;
                return Verdict::Duplicate { base_offset, last_offset, timestamp };
            }
            last.checked_add(1).unwrap_or(0)
        };
        if stamp.first_sequence != next {
            return Verdict::OutOfOrder { last_sequence: last };
        }
        match lens.transactions.start_of(producer_id) {
            Some(first_offset) if !stamp.is_transactional => Verdict::InTransaction { first_offset },
            _ => Verdict::Append,
        }
    }

    /// Whether a node knows a producer.
    pub(crate) fn knows(&self, producer_id: i64, lens: Lens<'_>) -> bool {
        self.known.get(&producer_id).is_some_and(|known| known.is_known(producer_id, lens))
    }

    /// The newest epoch of a producer.
    pub(crate) fn epoch_of(&self, producer_id: i64) -> Option<i16> {
        self.known.get(&producer_id).map(|known| known.epoch)
    }

    /// Makes room for a producer that is not known yet; `false` when there is no memory for it.
    pub(crate) fn admit(&mut self, producer_id: i64, epoch: i16, memory: &Memory) -> bool {
        if self.known.contains_key(&producer_id) {
            return true;
        }
        let Some(paid) = memory.take(PRODUCER_BYTES) else { return false };
        let producer = Producer {
            epoch,
            window: VecDeque::with_capacity(WINDOW_BATCHES),
            last_timestamp: NONE,
            last_offset: NONE,
            coordinator_epoch: NONE as i32,
            changed_ms: 0,
            _paid: paid,
        };
        self.known.insert(producer_id, producer);
        true
    }

    /// Remembers a batch that was appended. Its producer was admitted before.
    pub(crate) fn appended(&mut self, stamp: Stamp, offsets: (i64, i64), timestamp: i64, now_ms: i64) {
        let Some(producer) = self.known.get_mut(&stamp.producer_id) else { return };
        if producer.epoch != stamp.epoch {
            producer.epoch = stamp.epoch;
            producer.window.clear();
        }
        if producer.window.len() == WINDOW_BATCHES {
            producer.window.pop_front();
        }
        let (base_offset, last_offset) = offsets;
        producer.window.push_back(Seen {
            first_sequence: stamp.first_sequence,
            last_sequence: stamp.last_sequence(),
            base_offset,
            last_offset,
            timestamp,
        });
        (producer.last_timestamp, producer.last_offset, producer.changed_ms) = (timestamp, last_offset, now_ms);
    }

    /// Remembers a marker, which renews the producer's lease and may raise its epoch. Its producer was admitted before.
    pub(crate) fn marked(&mut self, producer_id: i64, epoch: i16, offset: i64, marker: Marker, now_ms: i64) {
        let Some(producer) = self.known.get_mut(&producer_id) else { return };
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.window.clear();
        }
        producer.coordinator_epoch = marker.coordinator_epoch;
        (producer.last_timestamp, producer.last_offset, producer.changed_ms) = (marker.timestamp, offset, now_ms);
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// The producers as a node knows them, by their ids.
    pub(crate) fn describe(&self, lens: Lens<'_>) -> Vec<Described> {
        let known = self.known.iter().filter(|(producer_id, producer)| producer.is_known(**producer_id, lens));
        let mut described: Vec<Described> = known
            .map(|(&producer_id, producer)| Described {
                producer_id,
                epoch: producer.epoch,
                last_sequence: producer.last_sequence(producer_id, lens),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start: lens.transactions.start_of(producer_id).unwrap_or(NONE),
            })
            .collect();
        described.sort_by_key(|producer| producer.producer_id);
        described
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records' timestamp, and when they were written.
    const STAMPED_MS: i64 = 5_000;
    const WRITTEN_MS: i64 = 7_000;

    /// A partition that counts offsets and takes what the rules let through, as the log does.
    struct Partition {
        producers: Producers,
        memory: Memory,
        end: i64,
        reload: Option<Reload>,
        transactions: Transactions,
    }

    impl Partition {
        fn new() -> Self {
            Self {
                producers: Producers::default(),
                memory: Memory::new(1 << 20),
                end: 0,
                reload: None,
                transactions: Transactions::default(),
            }
        }

        /// `(epoch, first sequence, records)` of producer 1, answered as a broker would: base offset or error code.
        fn send(&mut self, epoch: i16, first_sequence: i32, record_count: i32) -> Result<i64, i16> {
            let stamp = Stamp { producer_id: 1, epoch, first_sequence, record_count, is_transactional: false };
            match self.producers.judge(stamp, self.lens()) {
                Verdict::Append => {
                    assert!(self.producers.admit(1, epoch, &self.memory));
                    let base_offset = self.end;
                    self.end += i64::from(record_count);
                    self.producers.appended(stamp, (base_offset, self.end - 1), STAMPED_MS, WRITTEN_MS);
                    Ok(base_offset)
                }
                Verdict::Duplicate { base_offset, .. } => Ok(base_offset),
                Verdict::OutOfOrder { .. } => Err(45),
                Verdict::OldEpoch { .. } => Err(47),
                Verdict::InTransaction { .. } => Err(48),
            }
        }

        fn lens(&self) -> Lens<'_> {
            Lens { reload: self.reload, transactions: &self.transactions }
        }

        /// The node is restarted so long after the records' timestamp.
        fn restart(&mut self, age_ms: i64) {
            self.reload = Some(Reload { log_end: self.end, at_ms: STAMPED_MS + age_ms, expiration_ms: 1_000 });
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
    fn a_restarted_node_knows_the_last_batch_and_its_window_fills_again() {
        let mut partition = Partition::holding(8);
        partition.restart(0);
        assert_eq!(partition.send(0, 60, 10), Err(45));
        assert_eq!(partition.send(0, 70, 10), Ok(70));
        assert_eq!(partition.send(0, 80, 10), Ok(80));
        assert_eq!(partition.send(0, 70, 10), Ok(70));
        assert_eq!(partition.send(0, 80, 10), Ok(80));
        assert_eq!(partition.end, 90);
        partition.reload = None;
        assert_eq!(partition.send(0, 60, 10), Ok(60), "a node that never stopped");
    }

    #[test]
    fn a_restarted_node_forgets_producers_of_old_records() {
        let mut partition = Partition::holding(2);
        partition.restart(1_000);
        assert_eq!(partition.producers.describe(partition.lens()), []);
        assert_eq!(partition.send(0, 10, 10), Ok(20), "a retry is written twice");
        assert_eq!(partition.send(0, 10, 10), Ok(20));
    }

    #[test]
    fn a_sweep_forgets_what_is_old_by_its_timestamp_unless_it_was_written_after_it() {
        let expiry = Expiry { expiration_ms: 1_000, check_interval_ms: 500, since_ms: 0 };
        for (now_ms, known) in [(WRITTEN_MS, 1), (WRITTEN_MS + 499, 1), (WRITTEN_MS + 500, 0)] {
            let mut partition = Partition::holding(1);
            partition.producers.sweep(expiry, now_ms, &partition.transactions);
            assert_eq!(partition.producers.describe(partition.lens()).len(), known, "{now_ms}");
        }
        let mut partition = Partition::holding(1);
        partition.producers.sweep(Expiry { expiration_ms: 10_000, ..expiry }, 14_999, &partition.transactions);
        assert_eq!(partition.producers.describe(partition.lens()).len(), 1);
    }

    #[test]
    fn a_producer_that_cannot_be_paid_for_is_not_admitted() {
        let mut producers = Producers::default();
        let memory = Memory::new(PRODUCER_BYTES);
        assert!(producers.admit(1, 0, &memory));
        assert!(producers.admit(1, 0, &memory));
        assert!(!producers.admit(2, 0, &memory));
    }
}
