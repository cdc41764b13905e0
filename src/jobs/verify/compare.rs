//! Inputs and output walked in lockstep.
//!
//! ```text
//!  inputs ──▶ heap by (key, source, offset) ──▶ what should come next ─┐
//!                                                                      ├─ the same? ──▶ on to the next pair
//!  output ──▶ what comes next ─────────────────────────────────────────┘     no: keep the first, read on and count
//! ```
//!
//! One record of each source is held, and nothing grows with the data. Every record is hashed into the buckets when it is
//! read, so after the first difference both sides are just read to their ends.

use super::buckets::{Buckets, hash};
use super::difference::{Difference, differing};
use super::inputs::Inputs;
use crate::jobs::cursor::{HeldRecord, RecordCursor};
use crate::jobs::error::JobError;
use crate::keys::{Key, KeyPlan};
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

/// The output, one record after the other, watched for keys that run backwards.
struct Output<'a, S> {
    cursor: RecordCursor<S>,
    keys: &'a KeyPlan,
    with_timestamp: bool,
    held: HeldRecord,
    /// The last key that could be read.
    last: Option<Key>,
    records: u64,
    out_of_order: u64,
}

/// Walks both sides to their ends.
pub(super) async fn compare<I, O>(
    inputs: Vec<RecordCursor<I>>,
    output: RecordCursor<O>,
    keys: &KeyPlan,
    with_timestamp: bool,
) -> Result<Comparison, JobError>
where
    I: Source,
    O: Source,
    JobError: From<I::Error> + From<O::Error>,
{
    let mut buckets = Buckets::new();
    let mut inputs = Inputs::start(inputs, keys, with_timestamp, &mut buckets).await?;
    let mut output = Output {
        cursor: output,
        keys,
        with_timestamp,
        held: HeldRecord::default(),
        last: None,
        records: 0,
        out_of_order: 0,
    };
    let first = loop {
        let expected = inputs.next(&mut buckets).await?;
        let found = output.next(&mut buckets).await?;
        let fields = match (expected, found) {
            (None, false) => break None,
            (Some(source), true) => differing(&output.held, inputs.head(source), with_timestamp),
            _ => Vec::new(),
        };
        if found && expected.is_some() && fields.is_empty() {
            continue;
        }
        let end = output.cursor.range().end;
        let at = output.cursor.partition().at(if found { output.held.offset() } else { end });
        let mut difference = Difference::new(at.clone(), fields);
        if found {
            difference = difference.with_found(at, &output.held, keys);
        }
        if let Some(source) = expected {
            let head = inputs.head(source);
            let from = inputs.cursor(source).partition().at(head.offset());
            difference = difference.with_expected(from, head, keys);
        }
        break Some(difference);
    };
    let mut input_flaw = None;
    if first.is_some() {
        input_flaw = inputs.drain(&mut buckets).await?.map(|error| error.to_string());
        while output.next(&mut buckets).await? {}
    }
    let tally = buckets.tally();
    Ok(Comparison {
        input_records: inputs.records,
        output_records: output.records,
        missing: tally.missing,
        extra: tally.extra,
        exact: tally.exact,
        out_of_order: output.out_of_order,
        first,
        input_flaw,
    })
}

impl<S: Source> Output<'_, S>
where
    JobError: From<S::Error>,
{
    /// Takes the next record; `false` at the end.
    async fn next(&mut self, buckets: &mut Buckets) -> Result<bool, JobError> {
        let held = &mut self.held;
        let next = self
            .cursor
            .next_with(|record| {
                held.hold(record);
                (hash(record, self.with_timestamp), self.keys.extract(record))
            })
            .await?;
        let Some((hash, key)) = next else { return Ok(false) };
        buckets.output(hash);
        self.records += 1;
        // A key that cannot be read has no place in the order; the record is found as one that should not be there.
        if let Ok(key) = key {
            self.out_of_order += u64::from(self.last.as_ref().is_some_and(|last| key < *last));
            self.last = Some(key);
        }
        Ok(true)
    }
}
