//! Which batches of one fetch answer belong to aborted transactions.
//!
//! A broker that is asked for committed data only stops at the last stable offset, but leaves it to the client to drop what
//! was aborted: it sends along every aborted transaction that touches the answer, as producer id and first offset. A
//! producer's data counts as aborted from that offset until its abort marker. The list speaks of its own answer only and is
//! built anew for each, because a transaction may have begun long before the answer and may end after it.

use crate::batch::control::ControlType;
use crate::batch::{Batch, BatchError};
use std::collections::HashSet;

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Data to hand on.
    Data,
    /// Nothing for a reader: a marker, aborted data, or no records at all.
    Skip,
}

/// The aborted transactions of one answer.
#[derive(Debug)]
pub(crate) struct Aborted {
    /// (first offset, producer), the latest first, so that the next one is popped off the end.
    to_come: Vec<(i64, i64)>,
    /// Producers whose transaction at this point of the log was aborted.
    open: HashSet<i64>,
}

impl Aborted {
    /// `transactions` are (first offset, producer id), in any order.
    pub(crate) fn new(transactions: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut to_come: Vec<_> = transactions.into_iter().collect();
        to_come.sort_unstable_by(|a, b| b.cmp(a));
        Self { to_come, open: HashSet::new() }
    }

    /// Decides about the next batch; they must come in offset order.
    pub(crate) fn fate(&mut self, batch: &Batch<'_>) -> Result<Fate, BatchError> {
        let header = &batch.header;
        while let Some((_, producer)) = self.to_come.pop_if(|(first_offset, _)| *first_offset <= header.last_offset()) {
            self.open.insert(producer);
        }
        if header.is_control() {
            // A marker that compaction has emptied ends nothing; its transaction's data is gone as well.
            if self.open.contains(&header.producer_id) && ControlType::of_batch(batch)? == Some(ControlType::Abort) {
                self.open.remove(&header.producer_id);
            }
            return Ok(Fate::Skip);
        }
        let aborted = header.is_transactional() && self.open.contains(&header.producer_id);
        // Compaction keeps the header of an emptied batch, for its offsets and its producer's sequence.
        Ok(if aborted || header.record_count == 0 { Fate::Skip } else { Fate::Data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::control::marker;
    use crate::batch::{BatchWriter, Codec, Headers};

    fn data(base_offset: i64, producer: i64, transactional: bool) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        writer.base_offset(base_offset).producer(producer, 0, 0).transactional(transactional);
        writer.push(0, None, Some(b"1"), Headers::EMPTY).unwrap();
        writer.push(0, None, Some(b"2"), Headers::EMPTY).unwrap();
        writer.finish().unwrap().to_vec()
    }

    fn end(offset: i64, producer: i64, kind: ControlType) -> Vec<u8> {
        marker(offset, kind, 0, producer, 0, 0).unwrap()
    }

    fn kept(aborted: &[(i64, i64)], batches: &[Vec<u8>]) -> Vec<i64> {
        let mut aborted = Aborted::new(aborted.iter().copied());
        let batches: Vec<_> = batches.iter().map(|bytes| Batch::read(bytes).unwrap()).collect();
        let data = batches.iter().filter(|batch| aborted.fate(batch).unwrap() == Fate::Data);
        data.map(|batch| batch.header.base_offset).collect()
    }

    #[test]
    fn data_is_dropped_from_the_first_offset_of_its_transaction_to_its_abort_marker() {
        let log = [
            data(0, 7, true),
            end(2, 7, ControlType::Commit),
            data(3, 7, true),
            end(5, 7, ControlType::Abort),
            data(6, 7, true),
            end(8, 7, ControlType::Commit),
        ];
        assert_eq!(kept(&[(3, 7)], &log), [0, 6]);
    }

    #[test]
    fn other_producers_between_keep_their_data() {
        let log = [
            data(0, 1, true),
            data(2, 2, true),
            data(4, 1, false),
            data(6, -1, false),
            end(8, 2, ControlType::Commit),
            end(9, 1, ControlType::Abort),
        ];
        assert_eq!(kept(&[(0, 1)], &log), [2, 4, 6]);
    }

    #[test]
    fn a_transaction_that_began_before_the_answer_is_dropped_from_its_start() {
        assert_eq!(
            kept(&[(3, 1), (-5, 1)], &[data(0, 1, true), end(2, 1, ControlType::Abort), data(3, 1, true)]),
            [0; 0]
        );
    }

    #[test]
    fn the_commit_of_one_transaction_does_not_end_the_abort_of_the_same_producer_s_next() {
        let log = [end(2, 1, ControlType::Commit), data(3, 1, true), end(5, 1, ControlType::Abort)];
        assert_eq!(kept(&[(3, 1)], &log), [0; 0]);
    }

    /// A batch of two abort markers, which no broker writes today but the format allows, and which Java's reader takes.
    fn two_markers(offset: i64, producer: i64) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        writer.base_offset(offset).producer(producer, 0, -1).transactional(true).control(true);
        for _ in 0..2 {
            writer.push(0, Some(&[0, 0, 0, 0]), Some(&[0, 0, 0, 0, 0, 0]), Headers::EMPTY).unwrap();
        }
        writer.finish().unwrap().to_vec()
    }

    /// What compaction leaves of a marker: a header.
    fn emptied_marker(offset: i64, producer: i64) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        writer.base_offset(offset).producer(producer, 0, -1).transactional(true).control(true);
        writer.finish().unwrap().to_vec()
    }

    #[test]
    fn fault_32_two_markers_in_a_batch_an_unsorted_list_and_an_emptied_marker_are_taken_for_what_they_are() {
        let log = [
            data(0, 2, true),
            data(2, 1, true),
            two_markers(4, 1),
            data(6, 1, true),
            emptied_marker(8, 2),
            data(9, 2, true),
            end(11, 2, ControlType::Abort),
            data(12, 2, true),
        ];
        // Given as they come, not by offset: producer 1 aborted from 2 to 4, producer 2 from 0 to 11.
        assert_eq!(kept(&[(2, 1), (0, 2)], &log), [6, 12]);
        assert_eq!(kept(&[(0, 2), (2, 1)], &log), [6, 12]);
    }
}
