//! The order the output should have: the inputs merged by (key, source, offset).
//!
//! Stretch by stretch: of the blocks at hand, all records up to the first block's end are collected, source by source, and
//! sorted stably by their keys, all at once. That is the simplest thing that is right, and nothing of what `merge` runs on,
//! because it is the second opinion on that: no source is ever held against another one to say which is next.
//!
//! ```text
//!  source 0   1  4  4  9 │ 12 ...            the first block to end is source 1's, at key 9:
//!  source 1   2  9       │ (next block)      what is left of the line is sorted now; ties stay in the order of the
//!  source 2   3  3  8  │ 9  11 ...           sources, so source 2's 9 must wait for all of source 1's
//! ```

use super::block::{Block, compare};
use super::blocks::Blocks;
use super::sorting::Sorting;
use crate::batch::Record;
use crate::jobs::cursor::size;
use crate::jobs::error::JobError;
use crate::observe::progress::Progress;

/// The inputs, each with a block at hand.
pub(super) struct Inputs {
    sources: Vec<Input>,
    /// The stretch at hand.
    order: Vec<Next>,
    sorting: Sorting,
    /// Is told of the output's bytes, which are those of the inputs as long as both agree.
    progress: Progress,
}

struct Input {
    blocks: Blocks,
    /// How many records of the block at hand are in the stretch at hand or were before.
    taken: usize,
    ended: bool,
}

/// A record of the order, by where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    pub(super) word: u64,
    pub(super) source: u32,
    pub(super) index: u32,
}

impl Inputs {
    pub(super) fn new(sources: Vec<Blocks>, progress: Progress) -> Self {
        let sources = sources.into_iter().map(|blocks| Input { blocks, taken: 0, ended: false }).collect();
        Self { sources, order: Vec::new(), sorting: Sorting::default(), progress }
    }

    /// The stretch at hand.
    pub(super) fn order(&self) -> &[Next] {
        &self.order
    }

    /// Goes on to the next stretch, once the one at hand was found in the output; `false` where there is none.
    pub(super) async fn next_stretch(&mut self) -> Result<bool, JobError> {
        self.order.clear();
        for source in &mut self.sources {
            source.refill(&self.progress).await?;
        }
        let lasts = self.sources.iter().enumerate().filter(|(_, source)| !source.ended);
        let lasts = lasts.map(|(index, source)| (source.last_key(), index));
        let Some((_, bound)) = lasts.min_by(|a, b| compare(a.0, b.0).then(a.1.cmp(&b.1))) else {
            return Ok(false);
        };
        let (mut sources, mut tails) = (0, false);
        for index in 0..self.sources.len() {
            let start = self.sources[index].taken;
            let end = self.sources[index].up_to(self.sources[bound].last_key(), index <= bound);
            if end == start {
                continue;
            }
            sources += 1;
            tails |= self.sources[index].block().has_tails();
            let words = self.sources[index].block().words()[start..end].iter().zip(start as u32..);
            self.order.extend(words.map(|(word, at)| Next { word: *word, source: index as u32, index: at }));
            self.sources[index].taken = end;
        }
        match (sources, tails) {
            (1, _) => {}
            (_, false) => self.sorting.sort(&mut self.order),
            (_, true) => {
                let sources = &self.sources;
                let key = |next: &Next| sources[next.source as usize].block().key(next.index as usize);
                self.order.sort_by(|a, b| compare(key(a), key(b)));
            }
        }
        Ok(true)
    }

    /// The timestamp and the bytes of a record of the stretch at hand.
    #[inline(always)]
    pub(super) fn raw(&self, next: Next) -> (i64, &[u8]) {
        self.sources[next.source as usize].block().raw(next.index as usize)
    }

    /// A record of the stretch at hand, and where it is read.
    pub(super) fn record(&self, next: Next) -> Option<(&Blocks, Record<'_>)> {
        let blocks = &self.sources.get(next.source as usize)?.blocks;
        Some((blocks, blocks.block().record(next.index as usize)?))
    }

    /// How many records came so far.
    pub(super) fn records(&self) -> u64 {
        self.sources.iter().map(|source| source.blocks.records()).sum()
    }

    /// Lends everything from `at` in the stretch at hand on to `each`, in no order, once the output is known to be wrong.
    /// Gives what is wrong with the inputs themselves, if anything is.
    pub(super) async fn drain(
        &mut self,
        at: usize,
        mut each: impl FnMut(&Record<'_>),
    ) -> Result<Option<JobError>, JobError> {
        // What is left of the stretch is put back.
        for next in self.order.drain(at..).rev() {
            self.sources[next.source as usize].taken = next.index as usize;
        }
        let mut flaw = None;
        for source in &mut self.sources {
            let agreed = (0..source.taken).filter_map(|index| source.block().record(index));
            self.progress.add(0, agreed.map(|record| size(&record)).sum());
            loop {
                let block = source.blocks.block();
                (source.taken..block.len()).filter_map(|index| block.record(index)).for_each(|record| each(&record));
                source.taken = 0;
                flaw = flaw.or(source.blocks.take_flaw());
                if !source.blocks.next().await? {
                    break;
                }
            }
        }
        Ok(flaw)
    }
}

impl Input {
    #[inline(always)]
    fn block(&self) -> &Block {
        self.blocks.block()
    }

    /// Makes sure that there are records at hand that were not taken. What is wrong with the next one is an error.
    async fn refill(&mut self, progress: &Progress) -> Result<(), JobError> {
        while !self.ended && self.taken == self.block().ordered() {
            if let Some(flaw) = self.blocks.take_flaw() {
                return Err(flaw);
            }
            progress.add(0, self.block().payload_bytes());
            self.taken = 0;
            self.ended = !self.blocks.next().await?;
        }
        Ok(())
    }

    /// The last key at hand; there is one unless the source has ended.
    fn last_key(&self) -> (u64, &[u8]) {
        match self.block().ordered().checked_sub(1) {
            Some(last) => self.block().key(last),
            None => (u64::MAX, &[]),
        }
    }

    /// Up to which index the keys lie below `bound`, or also at it.
    fn up_to(&self, bound: (u64, &[u8]), also_at: bool) -> usize {
        let (mut low, mut high) = (self.taken, self.block().ordered());
        while low < high {
            let middle = low + (high - low) / 2;
            let order = compare(self.block().key(middle), bound);
            if order.is_lt() || (also_at && order.is_eq()) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
