//! Inputs and output walked in lockstep.
//!
//! ```text
//!  inputs ──▶ sorted by (key, source, offset) ──▶ what should come next ─┐
//!                                                                        ├─ the same? ──▶ on to the next pair
//!  output ──▶ what comes next ───────────────────────────────────────────┘     no: keep the first, read on and count
//! ```
//!
//! A block of each source is held, and nothing grows with the data. Records that agree are the same on both sides and would
//! cancel out; so hashing into the buckets begins at the first difference, and both sides are just read to their ends then.
//!
//! Non-obvious: the bytes of key, value and headers are compared as they stand in their batches. If they are the same, so are
//! the records; if they are not, lengths may have been written in more bytes than needed, so the records are looked at.

use super::blocks::{Block, Blocks};
use super::buckets::{Buckets, hash};
use super::difference::{Difference, differing};
use super::inputs::{Inputs, Next};
use crate::batch::Record;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::keys::{Key, KeyPlan, KeySource};
use crate::ports::Source;

/// What the walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) input_records: u64,
    pub(super) output_records: u64,
    /// Records of the inputs that the output lacks, and the other way round; lower bounds unless exact.
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) exact: bool,
    /// Records of the output whose key is below that of the record before them.
    pub(super) out_of_order: u64,
    pub(super) first: Option<Difference>,
    /// What was found to be wrong with the inputs after that: then it may be they that are to blame.
    pub(super) input_flaw: Option<String>,
}

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct How<'a> {
    pub(super) keys: &'a KeyPlan,
    pub(super) with_timestamp: bool,
    /// What each reader may take.
    pub(super) share: ReadShare,
}

/// Walks both sides to their ends.
pub(super) async fn compare<I, O>(
    inputs: impl Iterator<Item = I>,
    output: O,
    how: How<'_>,
    cx: &JobContext,
) -> Result<Comparison, JobError>
where
    I: Source + 'static,
    O: Source + 'static,
    JobError: From<I::Error> + From<O::Error>,
{
    let How { keys, with_timestamp, share } = how;
    let mut inputs = Inputs::new(inputs.map(|source| Blocks::start(source, Some(keys), share, cx)).collect());
    let mut output = Output::new(Blocks::start(output, None, share, cx), how);
    let mut comparison = Comparison {
        input_records: 0,
        output_records: 0,
        missing: 0,
        extra: 0,
        exact: true,
        out_of_order: 0,
        first: None,
        input_flaw: None,
    };
    // How many records of the stretch agree.
    let agreed = walk(&mut inputs, &mut output, with_timestamp).await?;
    let expected = inputs.order().get(agreed).and_then(|next| inputs.record(*next));
    let found = output.record();
    if expected.is_some() || found.is_some() {
        comparison.first = Some(difference(expected, found, &output, how));
        let mut buckets = Buckets::new();
        let flaw = inputs.drain(agreed, |record| buckets.input(hash(record, with_timestamp))).await?;
        comparison.input_flaw = flaw.map(|error| error.to_string());
        output.drain(|record| buckets.output(hash(record, with_timestamp))).await?;
        let tally = buckets.tally();
        (comparison.missing, comparison.extra, comparison.exact) = (tally.missing, tally.extra, tally.exact);
    }
    comparison.input_records = inputs.records();
    comparison.output_records = output.blocks.records();
    comparison.out_of_order = output.out_of_order;
    Ok(comparison)
}

/// Walks to the first difference, or to the end of both sides. Gives where in the inputs' stretch it is; in the output it
/// is at the next record.
async fn walk(inputs: &mut Inputs, output: &mut Output<'_>, with_timestamp: bool) -> Result<usize, JobError> {
    while inputs.next_stretch().await? {
        let mut at = 0;
        while at < inputs.order().len() {
            if !output.refill().await? {
                return Ok(at);
            }
            let agree = agreeing(inputs, &inputs.order()[at..], output.at_hand(), with_timestamp);
            output.pass(agree);
            at += agree;
            if at < inputs.order().len() && !output.is_used_up() {
                return Ok(at);
            }
        }
    }
    output.refill().await?;
    Ok(0)
}

/// How many of the records that are expected are there, as far as both are at hand.
fn agreeing(inputs: &Inputs, order: &[Next], (block, start): (&Block, usize), with_timestamp: bool) -> usize {
    let pairs = order.iter().zip(start..block.len());
    let mut agree = 0;
    for (next, index) in pairs {
        let (expected, expected_raw) = inputs.raw(*next);
        let (found, found_raw) = block.raw(index);
        if (expected != found && with_timestamp)
            || (expected_raw != found_raw && !mean_the_same(inputs, *next, block, index))
        {
            break;
        }
        agree += 1;
    }
    agree
}

#[cold]
fn mean_the_same(inputs: &Inputs, next: Next, block: &Block, index: usize) -> bool {
    match (inputs.record(next), block.record(index)) {
        (Some((_, expected)), Some(found)) => differing(&found, &expected, false).is_empty(),
        _ => false,
    }
}

fn difference(
    expected: Option<(&Blocks, Record<'_>)>,
    found: Option<Record<'_>>,
    output: &Output<'_>,
    how: How<'_>,
) -> Difference {
    let fields = match (&expected, &found) {
        (Some((_, expected)), Some(found)) => differing(found, expected, how.with_timestamp),
        _ => Vec::new(),
    };
    let end = output.blocks.range().end;
    let at = output.blocks.partition().at(found.as_ref().map_or(end, |found| found.offset));
    let mut difference = Difference::new(at.clone(), fields);
    if let Some(found) = found {
        difference = difference.with_found(at, &found, how.keys);
    }
    if let Some((blocks, expected)) = expected {
        let from = blocks.partition().at(expected.offset);
        difference = difference.with_expected(from, &expected, how.keys);
    }
    difference
}

/// The output, one record after the other, watched for keys that run backwards.
struct Output<'a> {
    blocks: Blocks,
    /// Which record of the block at hand is next.
    at: usize,
    keys: &'a KeyPlan,
    /// Whether records that agree may run backwards all the same.
    watched: bool,
    /// The last key that could be read, of a record before the next one.
    last: Option<Key>,
    out_of_order: u64,
}

impl<'a> Output<'a> {
    fn new(blocks: Blocks, how: How<'a>) -> Self {
        let by_timestamp = how.keys.parts().iter().any(|part| part.source == KeySource::Timestamp);
        // Otherwise what agrees has the inputs' key, and these are in order.
        let watched = by_timestamp && !how.with_timestamp;
        Self { blocks, at: 0, keys: how.keys, watched, last: None, out_of_order: 0 }
    }

    /// The block at hand, and which of its records is next.
    fn at_hand(&self) -> (&Block, usize) {
        (self.blocks.block(), self.at)
    }

    fn is_used_up(&self) -> bool {
        self.at == self.blocks.block().len()
    }

    /// The next record, if it is at hand.
    fn record(&self) -> Option<Record<'_>> {
        self.blocks.block().record(self.at)
    }

    /// Makes sure that there is a record at hand; `false` at the end.
    async fn refill(&mut self) -> Result<bool, JobError> {
        while self.is_used_up() {
            self.at = 0;
            if !self.blocks.next().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Passes records that agree.
    fn pass(&mut self, records: usize) {
        let Some(last) = (self.at + records).checked_sub(1) else { return };
        if records > 0 {
            let watched_from = if self.watched { self.at } else { last };
            (watched_from..=last).for_each(|index| self.watch(index));
        }
        self.at += records;
    }

    /// Compares a record's key with the last one.
    fn watch(&mut self, index: usize) {
        // A key that cannot be read has no place in the order; the record is found as one that should not be there.
        if let Some(record) = self.blocks.block().record(index)
            && let Ok(key) = self.keys.extract(&record)
        {
            self.out_of_order += u64::from(self.last.as_ref().is_some_and(|last| key < *last));
            self.last = Some(key);
        }
    }

    /// Lends everything from the next record on to `each`, once it is known to be wrong.
    async fn drain(&mut self, mut each: impl FnMut(&Record<'_>)) -> Result<(), JobError> {
        while self.refill().await? {
            for index in self.at..self.blocks.block().len() {
                self.watch(index);
                self.blocks.block().record(index).iter().for_each(&mut each);
            }
            self.at = self.blocks.block().len();
        }
        Ok(())
    }
}
