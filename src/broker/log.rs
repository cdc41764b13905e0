//! One partition's log: whole batches in offset order, as they came but for base offset and leader epoch.
//!
//! ```text
//!        start                                  last stable       high watermark, end
//!          ▼                                        ▼               ▼
//!   ┌───────────┬─────────┐   ┌────────┬───────────┬───────────────┐
//!   │ 0 .. 9    │ 10..17  │   │ 40..49 │ 50 .. 79  │ 80 .. 99      │
//!   └───────────┴─────────┘   └────────┴───────────┴───────────────┘
//!     start may lie inside a batch: it is served whole, the reader skips what it did not ask for
//! ```
//!
//! Invariants: batches never overlap and ascend; gaps between them are legal (compaction leaves such); the high
//! watermark is the end unless a test holds it back, because there is one copy of the data however many replicas are
//! told. A batch is never changed once it is in here, so readers share its bytes without holding the log's lock.

use super::epochs::{EpochEnd, Epochs};
use super::memory::Paid;
use super::received::Kept;
use super::transactions::{Aborted, Transactions};
use crate::batch::Batch;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a stored batch costs beside its bytes: the entry here, the shared block, the allocator's share.
pub(crate) const BATCH_OVERHEAD_BYTES: usize = 128;

/// Where the header fields lie that the log fills in or reads without knowing the rest.
const PARTITION_LEADER_EPOCH_AT: usize = 12;

/// A batch's bytes, shared between the log and the answers that are being sent.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Kept,
    /// Given back when the last answer that sends this block is out.
    _paid: Paid,
}

impl Block {
    pub(crate) fn new(bytes: Kept, paid: Paid) -> Self {
        Self { bytes, _paid: paid }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// Fills in what only the leader knows. Both fields lie before the checksummed part.
    fn stamp(&mut self, base_offset: i64, leader_epoch: i32) {
        let bytes = self.bytes.bytes_mut();
        if let Some(field) = bytes.get_mut(..8) {
            field.copy_from_slice(&base_offset.to_be_bytes());
        }
        if let Some(field) = bytes.get_mut(PARTITION_LEADER_EPOCH_AT..PARTITION_LEADER_EPOCH_AT + 4) {
            field.copy_from_slice(&leader_epoch.to_be_bytes());
        }
    }
}

/// A batch in the log, with what is asked of it often.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    /// The largest timestamp of its records; the append time where that is the topic's.
    pub(crate) max_timestamp: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) block: Arc<Block>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<Stored>,
    start: i64,
    end: i64,
    /// Where a test holds the high watermark back.
    watermark_held: Option<i64>,
    epochs: Epochs,
    transactions: Transactions,
}

/// Batches that were read, whole, in order.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) bytes: usize,
}

/// An append that would break the ascending order of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) log_end: i64,
}

impl Log {
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// One past the last offset given out.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// The offset below which everything is known to be on every replica that counts.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.watermark_held.map_or(self.end, |held| held.min(self.end))
    }

    /// Holds the high watermark back, or lets it go to the end.
    pub(crate) fn hold_watermark(&mut self, at: Option<i64>) {
        self.watermark_held = at;
    }

    /// The offset below which no transaction is open.
    pub(crate) fn last_stable(&self) -> i64 {
        self.last_stable_below(self.high_watermark())
    }

    /// The same where a copy of the log knows of no higher watermark than that.
    pub(crate) fn last_stable_below(&self, high_watermark: i64) -> i64 {
        let unstable = self.transactions.first_unstable(high_watermark);
        unstable.map_or(high_watermark, |first| first.clamp(self.start.min(high_watermark), high_watermark))
    }

    pub(crate) fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    /// Pretends that a transaction is open from `offset` on, or that it has ended.
    pub(crate) fn set_open_from(&mut self, offset: Option<i64>) {
        self.transactions.pretend_open(offset);
    }

    pub(crate) fn add_aborted(&mut self, aborted: Aborted) {
        self.transactions.pretend_aborted(aborted);
    }

    /// The aborted transactions with records in `from..to`; none where that is empty.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        if from >= to {
            return Vec::new();
        }
        self.transactions.aborted_between(from, to)
    }

    /// A leader of that epoch goes on from here.
    pub(crate) fn begin_epoch(&mut self, epoch: i32) {
        self.epochs.begin(epoch, self.end);
    }

    /// How far the records of an epoch reach.
    pub(crate) fn end_of_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.end)
    }

    /// The epoch of the oldest records.
    pub(crate) fn earliest_epoch(&self) -> Option<i32> {
        self.epochs.earliest(self.start)
    }

    /// Puts a batch at the end; gives its base offset.
    pub(crate) fn append(
        &mut self,
        block: Block,
        last_offset_delta: i32,
        max_timestamp: i64,
        leader_epoch: i32,
    ) -> i64 {
        let base_offset = self.end;
        // Appending at the end cannot overlap.
        let _ = self.append_at(base_offset, block, last_offset_delta, max_timestamp, leader_epoch);
        base_offset
    }

    /// Puts a batch at `base_offset`, which may leave a gap behind the batch before it.
    pub(crate) fn append_at(
        &mut self,
        base_offset: i64,
        mut block: Block,
        last_offset_delta: i32,
        max_timestamp: i64,
        leader_epoch: i32,
    ) -> Result<(), Overlap> {
        let last_offset = base_offset.saturating_add(last_offset_delta.max(0).into());
        if base_offset < self.end {
            return Err(Overlap { log_end: self.end });
        }
        block.stamp(base_offset, leader_epoch);
        self.epochs.begin(leader_epoch, base_offset);
        if let Ok(batch) = Batch::read(block.bytes()) {
            self.transactions.note(&batch, base_offset);
        }
        self.batches.push_back(Stored {
            base_offset,
            last_offset,
            max_timestamp,
            leader_epoch,
            block: Arc::new(block),
        });
        self.end = last_offset.saturating_add(1);
        Ok(())
    }

    /// The whole batches from the one that holds `offset` up to those that begin below `limit`, at most `bytes_max` of
    /// them; with `one_at_least` the first is given whatever its size, so that a reader with small buffers gets on.
    pub(crate) fn read(&self, offset: i64, limit: i64, bytes_max: usize, one_at_least: bool) -> Slice {
        let mut slice = Slice::default();
        for stored in self.from(offset) {
            let bytes = stored.block.bytes().len();
            let first = one_at_least && slice.blocks.is_empty();
            if stored.base_offset >= limit || (!first && slice.bytes.saturating_add(bytes) > bytes_max) {
                break;
            }
            slice.bytes = slice.bytes.saturating_add(bytes);
            slice.blocks.push(stored.block.clone());
        }
        slice
    }

    /// Where a copy ends that had everything before `offset` and gets up to so many bytes of whole batches more, one batch at
    /// least; and how many it gets.
    pub(crate) fn end_of_piece(&self, offset: i64, bytes_max: usize) -> (i64, usize) {
        let (mut bytes, mut end) = (0_usize, None);
        for stored in self.from(offset) {
            let more = bytes.saturating_add(stored.block.bytes().len());
            if more > bytes_max
                && let Some(end) = end
            {
                return (end, bytes);
            }
            bytes = more;
            end = Some(stored.last_offset.saturating_add(1));
        }
        (self.end, bytes)
    }

    /// The bytes of the batches below `end`.
    pub(crate) fn bytes_below(&self, end: i64) -> usize {
        let below = self.batches.iter().take_while(|stored| stored.base_offset < end);
        below.map(|stored| stored.block.bytes().len()).sum()
    }

    /// The batches from the one that holds `offset`, or the next one where `offset` lies in a gap.
    pub(crate) fn from(&self, offset: i64) -> impl Iterator<Item = &Stored> {
        let first = self.batches.partition_point(|stored| stored.last_offset < offset);
        self.batches.range(first..)
    }

    /// Forgets what lies before `offset` (at most the end). Batches wholly below it are freed.
    pub(crate) fn trim(&mut self, offset: i64) {
        self.start = self.start.max(offset.min(self.end));
        while self.batches.front().is_some_and(|stored| stored.last_offset < self.start) {
            self.batches.pop_front();
        }
        self.epochs.cut_start(self.start);
        self.transactions.cut_start(self.start);
    }

    /// Forgets what lies from `offset` on, in whole batches: the end is `offset`, or the start of the batch it lies in.
    pub(crate) fn truncate(&mut self, offset: i64) {
        let mut end = self.end.min(offset.max(0));
        while let Some(stored) = self.batches.back().filter(|stored| stored.last_offset >= end) {
            end = end.min(stored.base_offset);
            self.batches.pop_back();
        }
        self.end = end;
        self.start = self.start.min(end);
        self.epochs.cut_end(end);
        self.transactions.cut_end(end);
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    fn block(memory: &Memory, len: usize) -> Block {
        Block::new(vec![0xee; len].into(), memory.take(len).unwrap())
    }

    fn three_batches(memory: &Memory) -> Log {
        let mut log = Log::default();
        assert_eq!(log.append(block(memory, 100), 9, 5, 0), 0);
        assert_eq!(log.append(block(memory, 200), 0, 9, 0), 10);
        assert_eq!(log.append(block(memory, 300), 4, 7, 3), 11);
        log
    }

    fn bases(slice: &Slice) -> Vec<i64> {
        slice.blocks.iter().map(|b| i64::from_be_bytes(b.bytes()[..8].try_into().unwrap())).collect()
    }

    #[test]
    fn base_offset_and_leader_epoch_are_filled_in_and_nothing_else() {
        let log = three_batches(&Memory::new(1000));
        let last = log.from(11).next().unwrap();
        assert_eq!(last.block.bytes()[..8], 11i64.to_be_bytes());
        assert_eq!(last.block.bytes()[8..12], [0xee; 4]);
        assert_eq!(last.block.bytes()[12..16], 3i32.to_be_bytes());
        assert!(last.block.bytes()[16..].iter().all(|b| *b == 0xee));
        assert_eq!((log.start(), log.end(), log.last_stable()), (0, 16, 16));
    }

    #[test]
    fn a_read_gives_whole_batches_from_the_one_that_holds_the_offset() {
        let log = three_batches(&Memory::new(1000));
        assert_eq!(bases(&log.read(0, 16, 1000, true)), [0, 10, 11]);
        assert_eq!(bases(&log.read(7, 16, 1000, true)), [0, 10, 11]);
        assert_eq!(bases(&log.read(10, 16, 1000, true)), [10, 11]);
        assert_eq!(bases(&log.read(16, 16, 1000, true)), [] as [i64; 0]);
        assert_eq!(bases(&log.read(0, 11, 1000, true)), [0, 10]);
    }

    #[test]
    fn a_small_limit_still_gives_one_batch_where_one_is_due_and_never_a_part() {
        let log = three_batches(&Memory::new(1000));
        assert_eq!(bases(&log.read(0, 16, 1, true)), [0]);
        assert_eq!(bases(&log.read(0, 16, 1, false)), [] as [i64; 0]);
        assert_eq!(bases(&log.read(0, 16, 300, false)), [0, 10]);
        assert_eq!(bases(&log.read(0, 16, 299, true)), [0]);
    }

    #[test]
    fn an_offset_in_a_gap_reads_on_behind_it_and_an_overlap_is_refused() {
        let memory = Memory::new(1000);
        let mut log = three_batches(&memory);
        assert_eq!(log.append_at(15, block(&memory, 50), 0, 0, 0), Err(Overlap { log_end: 16 }));
        log.append_at(40, block(&memory, 50), 2, 0, 0).unwrap();
        assert_eq!(bases(&log.read(16, 43, 1000, true)), [40]);
        assert_eq!(log.end(), 43);
    }

    #[test]
    fn trimming_frees_whole_batches_and_keeps_the_one_the_start_lies_in() {
        let memory = Memory::new(1000);
        let mut log = three_batches(&memory);
        log.trim(12);
        assert_eq!((log.start(), log.end(), memory.used_bytes()), (12, 16, 300));
        assert_eq!(bases(&log.read(12, 16, 1000, true)), [11]);
        log.trim(5);
        assert_eq!(log.start(), 12);
        log.trim(99);
        assert_eq!((log.start(), log.end(), memory.used_bytes()), (16, 16, 0));
        assert_eq!(log.append(block(&memory, 10), 0, 0, 0), 16);
    }

    #[test]
    fn bytes_come_back_only_when_the_last_answer_that_sends_them_is_gone() {
        let memory = Memory::new(1000);
        let mut log = three_batches(&memory);
        let slice = log.read(0, 16, 100, true);
        log.trim(16);
        assert_eq!(memory.used_bytes(), 100);
        drop(slice);
        assert_eq!(memory.used_bytes(), 0);
    }

    #[test]
    fn truncation_takes_whole_batches_off_the_end() {
        let memory = Memory::new(1000);
        let mut log = three_batches(&memory);
        assert_eq!(log.end_of_epoch(0), Some(EpochEnd { epoch: 0, end: 11 }));
        log.truncate(13);
        assert_eq!((log.start(), log.end(), memory.used_bytes()), (0, 11, 300));
        assert_eq!((log.end_of_epoch(0), log.end_of_epoch(3)), (Some(EpochEnd { epoch: 0, end: 11 }), None));
        log.truncate(10);
        assert_eq!((log.end(), memory.used_bytes()), (10, 100));
        assert_eq!(log.append(block(&memory, 10), 0, 0, 4), 10);
        log.trim(10);
        log.truncate(5);
        assert_eq!((log.start(), log.end(), memory.used_bytes()), (5, 5, 0));
    }

    #[test]
    fn a_held_high_watermark_stays_behind_the_end_and_never_above_it() {
        let mut log = three_batches(&Memory::new(1000));
        log.hold_watermark(Some(10));
        assert_eq!((log.high_watermark(), log.last_stable(), log.end()), (10, 10, 16));
        log.truncate(0);
        assert_eq!((log.high_watermark(), log.last_stable(), log.end()), (0, 0, 0));
    }

    #[test]
    fn an_open_transaction_holds_the_last_stable_offset_back() {
        let mut log = three_batches(&Memory::new(1000));
        log.set_open_from(Some(10));
        assert_eq!((log.last_stable(), log.end()), (10, 16));
        log.set_open_from(None);
        log.add_aborted(Aborted { producer_id: 7, first_offset: 10, last_offset: 10 });
        assert_eq!(log.aborted_between(0, 10), []);
        assert_eq!(log.aborted_between(10, 11).len(), 1);
        assert_eq!(log.aborted_between(11, 16), []);
    }
}
