//! Records in blocks, read ahead: each partition has a task that decodes the next block while the one before it is compared.
//!
//! ```text
//!           ┌ task of one partition ──────────────────┐   full    ┌───────────────────┐
//!  windows ─▶ decode, copy, take the key, sorted yet? │──────────▶│ is being compared │     two blocks in all,
//!           └─────────────────────▲───────────────────┘           └─────────┬─────────┘     for ever
//!                                 └──────────── to be filled again ─────────┘
//! ```
//!
//! Records are copied into blocks, key, value and headers as they stand in the batch, so that a block outlives its window and
//! lies close together; nothing is allocated for one. Keys are taken only where an order is asked for.
//!
//! Non-obvious: what is wrong with an input (a key that cannot be read, or that runs backwards) ends the block and waits there
//! until the records before it are dealt with, because a difference before it is worth more. The record itself is the
//! block's last, without a key. Who wants to can read on behind it.

use super::inputs::Next;
use crate::base::place::TopicPartition;
use crate::batch::{RawRecord, Record};
use crate::jobs::JobContext;
use crate::jobs::cursor::{HeldRaw, RecordCursor};
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::jobs::windows::{Windows, finished};
use crate::keys::KeyPlan;
use crate::ports::Source;
use std::ops::{ControlFlow, Range};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Records of a block, at most: enough to amortise the change, few enough to stay in the cache.
const RECORDS_MAX: usize = 4096;

/// Blocks of a partition.
const ALIVE: usize = 2;

/// Some records of one partition, in offset order.
#[derive(Debug, Default)]
pub(super) struct Block {
    spans: Vec<Span>,
    /// Key, value and headers of each record, as they stood in its batch.
    bytes: Vec<u8>,
    /// The first eight bytes of each key that could be read and does not run backwards.
    words: Vec<u64>,
    /// The bytes of each key after its first eight, all behind each other.
    tails: Vec<u8>,
    /// Where each key's tail ends; empty as long as no key has one.
    tail_ends: Vec<usize>,
    /// What is wrong with the last record.
    pub(super) flaw: Option<JobError>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    offset: i64,
    timestamp: i64,
    /// Where the record's bytes end; they begin where those of the one before end.
    end: usize,
}

impl Block {
    /// What a record takes beside its bytes: here, and with those of the other sources where they are put in order (one of
    /// two blocks is, at a time, but sorting needs room as well).
    const RECORD_BYTES: usize = size_of::<Span>() + size_of::<u64>() + size_of::<usize>() + size_of::<Next>();

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// How many of them, from the first on, are in order.
    pub(super) fn ordered(&self) -> usize {
        self.words.len()
    }

    /// The key of a record that is in order: its first eight bytes, and the rest.
    #[inline]
    pub(super) fn key(&self, index: usize) -> (u64, &[u8]) {
        (self.words[index], self.tail(index))
    }

    /// The first eight bytes of each key.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether any key is longer than that.
    pub(super) fn has_tails(&self) -> bool {
        !self.tail_ends.is_empty()
    }

    fn tail(&self, index: usize) -> &[u8] {
        let Some(&end) = self.tail_ends.get(index) else { return &[] };
        &self.tails[if index == 0 { 0 } else { self.tail_ends[index - 1] }..end]
    }

    /// A record's timestamp and bytes.
    #[inline(always)]
    pub(super) fn raw(&self, index: usize) -> (i64, &[u8]) {
        let start = if index == 0 { 0 } else { self.spans[index - 1].end };
        let span = &self.spans[index];
        (span.timestamp, &self.bytes[start..span.end])
    }

    /// A record, to be looked at. `None` beyond the last.
    pub(super) fn record(&self, index: usize) -> Option<Record<'_>> {
        let offset = self.spans.get(index)?.offset;
        let (timestamp, raw) = self.raw(index);
        // It was read from these very bytes before.
        Record::from_raw(offset, timestamp, raw).ok()
    }

    /// Forgets everything but the buffers, and of these what a huge record took.
    fn clear(&mut self, keep_bytes: usize) {
        for bytes in [&mut self.bytes, &mut self.tails] {
            bytes.clear();
            if bytes.capacity() > keep_bytes {
                *bytes = Vec::new();
            }
        }
        self.spans.clear();
        self.words.clear();
        self.tail_ends.clear();
        self.flaw = None;
    }

    #[inline(always)]
    fn push(&mut self, found: &RawRecord<'_>) {
        self.bytes.extend_from_slice(found.raw);
        let Record { offset, timestamp, .. } = found.record;
        self.spans.push(Span { offset, timestamp, end: self.bytes.len() });
    }

    #[inline(always)]
    fn push_key(&mut self, word: u64, tail: &[u8]) {
        self.words.push(word);
        if !tail.is_empty() || self.has_tails() {
            self.push_tail(tail);
        }
    }

    fn push_tail(&mut self, tail: &[u8]) {
        // The keys before the first that has one have none.
        self.tail_ends.resize(self.words.len() - 1, 0);
        self.tails.extend_from_slice(tail);
        self.tail_ends.push(self.tails.len());
    }
}

/// One partition, block after block.
pub(super) struct Blocks {
    partition: TopicPartition,
    range: Range<i64>,
    block: Block,
    full: mpsc::Receiver<Result<Block, JobError>>,
    empty: mpsc::Sender<Block>,
    /// The one task; it ends with this.
    task: JoinSet<()>,
    /// How many records came.
    records: u64,
}

impl Blocks {
    /// Begins to read; with `keys`, in the order of which the records are to be.
    pub(super) fn start<S>(source: S, keys: Option<&KeyPlan>, share: ReadShare, cx: &JobContext) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let (partition, range) = (source.partition().clone(), source.range());
        let reader = Reader {
            cursor: share.cursor(Windows::start(source, share.fetch_bytes, None), cx),
            order: keys.cloned().map(Order::new),
            // Half of a block is for what records take in any case, half for their bytes: a vector grows to twice what it holds.
            records_max: (share.block_bytes / 2 / Block::RECORD_BYTES).clamp(1, RECORDS_MAX),
            bytes_max: share.block_bytes / 4,
        };
        let (empty, empties) = mpsc::channel(ALIVE);
        let (fulls, full) = mpsc::channel(ALIVE);
        // One to be filled now, the other is the one at hand. There is room: nothing was sent yet.
        let _ = empty.try_send(Block::default());
        let mut task = JoinSet::new();
        task.spawn(reader.run(empties, fulls));
        Self { partition, range, block: Block::default(), full, empty, task, records: 0 }
    }

    /// The partition that is read.
    pub(super) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The offsets that are read.
    pub(super) fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    /// The block at hand: empty before the first and after the last.
    #[inline(always)]
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// How many records came so far, those of the block at hand included.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// What is wrong with the block's last record, handed over.
    pub(super) fn take_flaw(&mut self) -> Option<JobError> {
        self.block.flaw.take()
    }

    /// Exchanges the block at hand for the next one; `false` at the end of the range.
    pub(super) async fn next(&mut self) -> Result<bool, JobError> {
        // There is room for both; a task that has ended needs none.
        let _ = self.empty.try_send(std::mem::take(&mut self.block));
        match self.full.recv().await {
            Some(block) => self.block = block?,
            None => return finished(&mut self.task).await.map(|()| false),
        }
        self.records += self.block.len() as u64;
        Ok(true)
    }
}

/// What fills blocks.
struct Reader {
    cursor: RecordCursor<Windows>,
    order: Option<Order>,
    records_max: usize,
    bytes_max: usize,
}

impl Reader {
    async fn run(mut self, mut empties: mpsc::Receiver<Block>, fulls: mpsc::Sender<Result<Block, JobError>>) {
        // Whoever does not listen any more does not need to know.
        while let Some(mut block) = empties.recv().await {
            let filled = match self.fill(&mut block).await {
                Ok(false) => return,
                Ok(true) => Ok(block),
                Err(error) => Err(error),
            };
            let failed = filled.is_err();
            if fulls.send(filled).await.is_err() || failed {
                return;
            }
        }
    }

    /// Reads the next records, rather fewer than are wanted than waiting for more; `false` at the end.
    async fn fill(&mut self, block: &mut Block) -> Result<bool, JobError> {
        let Self { cursor, order, records_max, bytes_max } = self;
        let (records_max, bytes_max) = (*records_max, *bytes_max);
        block.clear(2 * bytes_max);
        loop {
            let full = |block: &Block| match block.len() >= records_max || block.bytes.len() >= bytes_max {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            match order.as_mut() {
                None => cursor.pass_here(|found| {
                    block.push(found);
                    full(block)
                })?,
                Some(order) => {
                    let partition = cursor.partition().clone();
                    cursor.pass_here(|found| {
                        let flawed = order.pass(found, block, &partition);
                        block.push(found);
                        if flawed.is_err() || block.tails.len() >= bytes_max {
                            block.flaw = flawed.err();
                            return ControlFlow::Break(());
                        }
                        full(block)
                    })?
                }
            };
            if let (Some(order), Some(last)) = (order.as_mut(), block.record(block.len().wrapping_sub(1))) {
                let (timestamp, raw) = block.raw(block.len() - 1);
                order.before.hold(last.offset, timestamp, raw);
            }
            if block.len() > 0 {
                return Ok(true);
            }
            if !cursor.more().await? {
                return Ok(false);
            }
        }
    }
}

/// Takes keys, and watches that they do not run backwards.
struct Order {
    keys: KeyPlan,
    /// The last key: its first eight bytes, and the rest. The least there is where there was none, or none to compare with.
    last: (u64, Vec<u8>),
    tail: Vec<u8>,
    /// The last record of the block before, to name both records of what runs backwards.
    before: HeldRaw,
}

impl Order {
    fn new(keys: KeyPlan) -> Self {
        Self { keys, last: (0, Vec::new()), tail: Vec::new(), before: HeldRaw::default() }
    }

    /// Puts the record's key into the block, or says what is wrong with it.
    #[inline(always)]
    fn pass(&mut self, found: &RawRecord<'_>, block: &mut Block, partition: &TopicPartition) -> Result<(), JobError> {
        let word = match self.keys.extract_into(&found.record, &mut self.tail) {
            Ok(word) => word,
            Err(error) => {
                self.last = (0, Vec::new());
                return Err(JobError::Key { at: partition.at(found.record.offset), error });
            }
        };
        if word < self.last.0 || (word == self.last.0 && self.tail < self.last.1) {
            return Err(self.backwards(found, block, partition));
        }
        block.push_key(word, &self.tail);
        self.last.0 = word;
        // Most keys are eight bytes.
        if !(self.tail.is_empty() && self.last.1.is_empty()) {
            std::mem::swap(&mut self.tail, &mut self.last.1);
        }
        Ok(())
    }

    /// The error that names both records. What follows is compared among itself.
    #[cold]
    fn backwards(&mut self, found: &RawRecord<'_>, block: &Block, partition: &TopicPartition) -> JobError {
        self.last = (0, Vec::new());
        let last = block.record(block.len().wrapping_sub(1)).or_else(|| self.before.record());
        let (previous_offset, previous_key) = match &last {
            Some(last) => (last.offset, self.keys.show(last)),
            None => (found.record.offset, "(unknown)".to_owned()),
        };
        let at = partition.at(found.record.offset);
        JobError::Unsorted { at, key: self.keys.show(&found.record), previous_offset, previous_key }
    }
}
