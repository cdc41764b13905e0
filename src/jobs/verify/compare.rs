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

use super::blocks::Blocks;
use super::buckets::{Buckets, hash};
use super::difference::{Difference, differing};
use super::inputs::Inputs;
use super::output::Output;
use crate::batch::Record;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::keys::KeyPlan;
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
    let inputs = inputs.map(|source| Blocks::start(source, keys, share, cx)).collect();
    let mut inputs = Inputs::new(inputs, cx.progress.clone());
    let mut output = Output::start(output, how, cx);
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
    let agreed = walk(&mut inputs, &mut output).await?;
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
    comparison.output_records = output.records();
    comparison.out_of_order = output.out_of_order();
    Ok(comparison)
}

/// Walks to the first difference, or to the end of both sides. Gives where in the inputs' stretch it is; in the output it
/// is at the record that is held, or at the end.
async fn walk(inputs: &mut Inputs, output: &mut Output<'_>) -> Result<usize, JobError> {
    while inputs.next_stretch().await? {
        let mut at = 0;
        while at < inputs.order().len() {
            at += output.follow(inputs, at)?;
            let parted = at < inputs.order().len() && (output.is_held() || !output.more().await?);
            if parted || at == inputs.order().len() {
                output.followed(inputs, at);
            }
            if parted {
                return Ok(at);
            }
        }
    }
    // Nothing more is expected.
    while output.follow(inputs, 0)? == 0 && !output.is_held() && output.more().await? {}
    Ok(0)
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
    let at = output.partition().at(found.as_ref().map_or(output.range().end, |found| found.offset));
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
