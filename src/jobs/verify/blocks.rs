//! Records in blocks, read ahead: each input has a task that decodes the next block while the one before it is compared.
//!
//! ```text
//!           ┌ task of one input ──────────────────────┐   full    ┌───────────────────┐
//!  windows ─▶ decode, take the key, sorted yet?, copy │──────────▶│ is being compared │     two blocks in all,
//!           └─────────────────────▲───────────────────┘           └─────────┬─────────┘     for ever
//!                                 └──────────── to be filled again ─────────┘
//! ```
//!
//! Non-obvious: what is wrong with an input (a key that cannot be read, or that runs backwards) ends the block and waits there
//! until the records before it are dealt with, because a difference before it is worth more. The record itself is the
//! block's last, without a key. Who wants to can read on behind it.

use super::block::{Block, compare};
use crate::base::place::TopicPartition;
use crate::batch::RawRecord;
use crate::jobs::JobContext;
use crate::jobs::cursor::{HeldRaw, RecordCursor};
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::jobs::windows::{Windows, finished};
use crate::keys::{KeyError, KeyPlan};
use crate::ports::Source;
use std::ops::ControlFlow;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Records of a block, at most: enough to amortise the change, few enough to stay in the cache.
const RECORDS_MAX: usize = 4096;

/// Blocks of a partition.
const ALIVE: usize = 2;

/// One partition, block after block.
pub(super) struct Blocks {
    partition: TopicPartition,
    block: Block,
    full: mpsc::Receiver<Result<Block, JobError>>,
    empty: mpsc::Sender<Block>,
    /// The one task; it ends with this.
    task: JoinSet<()>,
    /// How many records came.
    records: u64,
}

impl Blocks {
    /// Begins to read what is to be in the order of `keys`.
    pub(super) fn start<S>(source: S, keys: &KeyPlan, share: ReadShare, cx: &JobContext) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let partition = source.partition().clone();
        let reader = Reader {
            cursor: share.cursor(Windows::start(source, share.fetch_bytes, None), cx),
            order: Order::new(keys.clone()),
            // Half of a block is for what records take in any case, half for their bytes: a vector grows to twice what it holds.
            records_max: (share.block_bytes / 2 / Block::RECORD_BYTES).clamp(1, RECORDS_MAX),
            bytes_max: (share.block_bytes / 4).min(Block::BYTES_MAX),
        };
        let (empty, empties) = mpsc::channel(ALIVE);
        let (fulls, full) = mpsc::channel(ALIVE);
        // One to be filled now, the other is the one at hand. There is room: nothing was sent yet.
        let _ = empty.try_send(Block::default());
        let mut task = JoinSet::new();
        task.spawn(reader.run(empties, fulls));
        Self { partition, block: Block::default(), full, empty, task, records: 0 }
    }

    /// The partition that is read.
    pub(super) fn partition(&self) -> &TopicPartition {
        &self.partition
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
    order: Order,
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
        block.clear(2 * self.bytes_max);
        loop {
            self.fill_here(block)?;
            if block.len() > 0 {
                return Ok(true);
            }
            if !self.cursor.more().await? {
                return Ok(false);
            }
        }
    }

    fn fill_here(&mut self, block: &mut Block) -> Result<(), JobError> {
        let Self { cursor, order, records_max, bytes_max } = self;
        let (records_max, bytes_max) = (*records_max, *bytes_max);
        let stop = cursor.pass_here_with(
            block,
            |block, found| {
                block.push(found);
                match order.pass(found, block) {
                    Ok(()) if block.len() < records_max && block.bytes() < bytes_max => ControlFlow::Continue(()),
                    Ok(()) => ControlFlow::Break(None),
                    Err(wrong) => ControlFlow::Break(Some(wrong)),
                }
            },
            Block::leave,
        )?;
        if let Some(Some(wrong)) = stop {
            block.flaw = order.flaw(wrong, block, cursor.partition());
        }
        order.keep_last(block);
        Ok(())
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

/// What is wrong with a record, before its batch was left.
enum Wrong {
    Key(Box<KeyError>),
    Backwards,
}

impl Order {
    fn new(keys: KeyPlan) -> Self {
        Self { keys, last: (0, Vec::new()), tail: Vec::new(), before: HeldRaw::default() }
    }

    /// Puts the key of the record, which is the block's last, into the block, or says what is wrong with it.
    #[inline(always)]
    fn pass(&mut self, found: &RawRecord<'_>, block: &mut Block) -> Result<(), Wrong> {
        let word = match self.keys.extract_into(&found.record, &mut self.tail) {
            Ok(word) => word,
            Err(error) => return Err(Wrong::Key(Box::new(error))),
        };
        if compare((word, &self.tail), (self.last.0, &self.last.1)).is_lt() {
            return Err(Wrong::Backwards);
        }
        block.push_key(word, &self.tail);
        self.last.0 = word;
        // Most keys are eight bytes.
        if !(self.tail.is_empty() && self.last.1.is_empty()) {
            std::mem::swap(&mut self.tail, &mut self.last.1);
        }
        Ok(())
    }

    /// The error that names the block's last record. What follows is compared among itself.
    #[cold]
    fn flaw(&mut self, wrong: Wrong, block: &Block, partition: &TopicPartition) -> Option<JobError> {
        self.last = (0, Vec::new());
        let index = block.len().checked_sub(1)?;
        let found = block.record(index)?;
        let at = partition.at(found.offset);
        Some(match wrong {
            Wrong::Key(error) => JobError::Key { at, error: *error },
            Wrong::Backwards => {
                let last = index.checked_sub(1).map_or_else(|| self.before.record(), |last| block.record(last));
                let (previous_offset, previous_key) = match &last {
                    Some(last) => (last.offset, self.keys.show(last)),
                    None => (found.offset, "(unknown)".to_owned()),
                };
                JobError::Unsorted { at, key: self.keys.show(&found), previous_offset, previous_key }
            }
        })
    }

    fn keep_last(&mut self, block: &Block) {
        if let Some(index) = block.len().checked_sub(1)
            && let Some(last) = block.record(index)
        {
            let (timestamp, raw) = block.raw(index);
            self.before.hold(last.offset, timestamp, raw);
        }
    }
}
