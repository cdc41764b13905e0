//! The transactions of one partition as its log shows them: which are open, which were aborted, and up to where nothing
//! is open. They follow from the batches alone: a transactional batch of a producer opens one, its marker ends it.
//!
//! As in Kafka, a transaction whose marker lies above the high watermark still counts as open for readers, and a marker
//! without records before it leaves no trace.

use crate::batch::control::ControlType;
use crate::batch::{Batch, RecordReader};
use std::collections::BTreeMap;

/// A marker is a few bytes.
const MARKER_BYTES_MAX: usize = 64 * 1024;

/// A transaction that ended badly: read-committed readers are told to leave its records out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// Where the marker stands.
    pub(crate) last_offset: i64,
}

/// A control batch that ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) aborts: bool,
    pub(crate) timestamp: i64,
    pub(crate) coordinator_epoch: i32,
}

impl Marker {
    /// Reads a control batch; nothing where compaction has emptied it, it ends no transaction, or it cannot be read.
    pub(crate) fn of(batch: &Batch<'_>) -> Option<Self> {
        let mut reader = RecordReader::new(MARKER_BYTES_MAX);
        reader.start(batch).ok()?;
        let record = reader.next(batch).ok()??;
        let aborts = match ControlType::read(record.key).ok()? {
            ControlType::Abort => true,
            ControlType::Commit => false,
            ControlType::Other(_) => return None,
        };
        // A version, then the epoch.
        let epoch = record.value.and_then(|value| value.get(2..6)).and_then(|raw| raw.first_chunk::<4>());
        let coordinator_epoch = epoch.map_or(-1, |raw| i32::from_be_bytes(*raw));
        Some(Self { aborts, timestamp: record.timestamp, coordinator_epoch })
    }
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    transaction: Aborted,
    aborted: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Producer and first offset of each open transaction.
    open: BTreeMap<i64, i64>,
    /// In the order of their markers.
    ended: Vec<Ended>,
    /// Where a test pretends that one is open.
    pretended_from: Option<i64>,
}

impl Transactions {
    /// Takes note of a batch in the log at `base_offset`.
    pub(crate) fn note(&mut self, batch: &Batch<'_>, base_offset: i64) {
        let header = &batch.header;
        let producer_id = header.producer_id;
        // Kafka takes a batch that is transactional and names no producer for one that is neither.
        if !header.is_transactional() || producer_id < 0 {
            return;
        }
        if !header.is_control() {
            self.open.entry(producer_id).or_insert(base_offset);
        } else if let Some(marker) = Marker::of(batch)
            && let Some(first_offset) = self.open.remove(&producer_id)
        {
            let transaction = Aborted { producer_id, first_offset, last_offset: base_offset };
            self.ended.push(Ended { transaction, aborted: marker.aborts });
        }
    }

    /// Where a producer's open transaction begins.
    pub(crate) fn start_of(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// The offset from which on something is open, or ended above the high watermark only.
    pub(crate) fn first_unstable(&self, high_watermark: i64) -> Option<i64> {
        let unreplicated = self.ended.iter().rev().map(|ended| ended.transaction);
        let unreplicated = unreplicated.take_while(|transaction| transaction.last_offset >= high_watermark);
        let firsts = self.open.values().copied().chain(unreplicated.map(|transaction| transaction.first_offset));
        firsts.chain(self.pretended_from).min()
    }

    /// The aborted transactions with records in `from..to`, in the order of their markers.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        let aborted = self.ended.iter().filter(|ended| ended.aborted).map(|ended| ended.transaction);
        aborted.filter(|a| a.first_offset < to && a.last_offset >= from).collect()
    }

    /// Pretends that a transaction is open from `offset` on, or that it has ended.
    pub(crate) fn pretend_open(&mut self, offset: Option<i64>) {
        self.pretended_from = offset;
    }

    /// Pretends that a transaction was aborted, unless the log itself says so.
    pub(crate) fn pretend_aborted(&mut self, aborted: Aborted) {
        let same = |ended: &Ended| {
            let known = ended.transaction;
            (known.producer_id, known.first_offset) == (aborted.producer_id, aborted.first_offset)
        };
        if !self.ended.iter().any(same) {
            let at = self.ended.partition_point(|ended| ended.transaction.last_offset <= aborted.last_offset);
            self.ended.insert(at, Ended { transaction: aborted, aborted: true });
        }
    }

    /// The log lost what lies before `start`.
    pub(crate) fn cut_start(&mut self, start: i64) {
        self.ended.retain(|ended| ended.transaction.last_offset >= start);
    }

    /// The log lost what lies from `end` on: a transaction whose marker is lost is open again, one that began there never
    /// was.
    pub(crate) fn cut_end(&mut self, end: i64) {
        let lost = self.ended.partition_point(|ended| ended.transaction.last_offset < end);
        let reopened = self.ended.split_off(lost);
        self.open.retain(|_, first_offset| *first_offset < end);
        for Ended { transaction, .. } in reopened {
            if transaction.first_offset < end {
                self.open.insert(transaction.producer_id, transaction.first_offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::control::marker;
    use crate::batch::{BatchWriter, Codec, Headers};

    fn data(producer_id: i64) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        writer.transactional(true).producer(producer_id, 0, 0);
        writer.push(0, None, None, Headers::EMPTY).unwrap();
        writer.finish().unwrap().to_vec()
    }

    fn end(producer_id: i64, kind: ControlType) -> Vec<u8> {
        marker(0, kind, 5, producer_id, 0, 9).unwrap()
    }

    /// Offsets 0 and 1: data of producers 7 and 8; 2: 7 aborts; 3: 8 commits; 4: data of 7 again.
    fn noted() -> Transactions {
        let mut transactions = Transactions::default();
        let log = [data(7), data(8), end(7, ControlType::Abort), end(8, ControlType::Commit), data(7)];
        for (offset, bytes) in (0..).zip(&log) {
            transactions.note(&Batch::read(bytes).unwrap(), offset);
        }
        transactions
    }

    #[test]
    fn what_is_open_holds_readers_back_and_so_does_a_marker_that_is_not_replicated() {
        let transactions = noted();
        assert_eq!((transactions.start_of(7), transactions.start_of(8)), (Some(4), None));
        assert_eq!(transactions.first_unstable(5), Some(4));
        assert_eq!(transactions.first_unstable(4), Some(4));
        assert_eq!(transactions.first_unstable(3), Some(1));
        assert_eq!(transactions.first_unstable(2), Some(0));
    }

    #[test]
    fn only_what_was_aborted_in_the_range_is_told() {
        let transactions = noted();
        let aborted = Aborted { producer_id: 7, first_offset: 0, last_offset: 2 };
        assert_eq!(transactions.aborted_between(0, 5), [aborted]);
        assert_eq!(transactions.aborted_between(2, 3), [aborted]);
        assert_eq!(transactions.aborted_between(3, 5), []);
    }

    #[test]
    fn a_lost_marker_opens_its_transaction_again() {
        let mut transactions = noted();
        transactions.cut_end(3);
        assert_eq!((transactions.start_of(7), transactions.start_of(8)), (None, Some(1)));
        transactions.cut_end(1);
        assert_eq!((transactions.start_of(7), transactions.start_of(8)), (Some(0), None));
        assert_eq!(transactions.aborted_between(0, 5), []);
    }

    #[test]
    fn a_marker_alone_leaves_no_trace_and_its_fields_are_read() {
        let bytes = end(7, ControlType::Abort);
        let batch = Batch::read(&bytes).unwrap();
        assert_eq!(Marker::of(&batch), Some(Marker { aborts: true, timestamp: 5, coordinator_epoch: 9 }));
        let mut transactions = Transactions::default();
        transactions.note(&batch, 0);
        assert_eq!((transactions.first_unstable(1), transactions.aborted_between(0, 1)), (None, vec![]));
    }
}
