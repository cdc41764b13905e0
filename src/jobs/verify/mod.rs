//! `verify`: proves that an output holds the records of its inputs, each once, unchanged, in the one order they have.
//!
//! It shares with `merge` the key language and what fetches windows ahead, and nothing else: it has its own way of decoding
//! them, and puts the inputs in order by sorting. Inputs and output are walked in lockstep; the first place where they part
//! is named, and from there on both sides are read to their ends to count what is missing and what is extra. Memory is
//! bounded by the settings, whatever the topics hold.
//!
//! Why that proves it: of every input, all records are read, each key is compared with the one before it, and the sort is a
//! permutation; so what should come next is known, record for record, and there is but one such order. The output is read once,
//! offset after offset, and its next record is compared with the next that should come, in all its bytes and its timestamp.
//! What agrees is therefore the same record at the same place; nothing is taken on the word of a hash, of a count, or of the
//! output itself. A record of the output whose bytes are those of an input's record need not be taken apart once more.
//!
//! Order has to be there before it can be verified: an input that runs backwards is an error, as it is for `merge`, unless the
//! output was found to differ before that.

// What a job's record says of it.
mod recorded;

// What should come, and what comes.
mod compare;

mod inputs;

mod sorting;

mod output;

mod blocks;

mod block;

// What differs.
mod buckets;

mod difference;

mod report;

pub use difference::{Difference, Field, Shown};
pub use recorded::{JobTyped, of_job};
pub use report::VerifyReport;

use super::JobContext;
use super::error::JobError;
use super::range::{Bounds, ReadShare, offsets_in, partitions_of, pin};
use crate::base::ends::{Bound, Ends};
use crate::client::Cluster;
use crate::keys::KeyPlan;
use compare::How;
use std::time::Instant;

/// What is verified.
#[derive(Debug, Clone)]
pub struct VerifySettings {
    /// The input topics, in the order that decides ties.
    pub from: Vec<String>,
    /// The output topic, which has one partition.
    pub to: String,
    /// By what the inputs were merged.
    pub keys: KeyPlan,
    /// Whether timestamps may differ.
    pub ignore_timestamp: bool,
    /// Where the inputs start; without it, at the first offset there is.
    pub start: Option<Bound>,
    /// Where the inputs end; without it, at the high watermarks now.
    pub end: Option<Bound>,
    /// The first offset of the output; without it, the first there is.
    pub output_start: Option<i64>,
    /// The offset after the last of the output; without it, the high watermark now.
    pub output_end: Option<i64>,
    /// The most memory that reading may take.
    pub memory_bytes: usize,
}

/// Walks inputs and output and says whether the one is the merge of the other.
pub async fn run(settings: &VerifySettings, cx: &JobContext) -> Result<VerifyReport, JobError> {
    let started = Instant::now();
    if settings.from.contains(&settings.to) {
        return Err(JobError::Usage(format!("{} is both input and output", settings.to)));
    }
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let inputs = partitions_of(&cluster, &settings.from, &[]).await?;
    let outputs = partitions_of(&cluster, std::slice::from_ref(&settings.to), &[]).await?;
    if outputs.len() != 1 {
        return Err(JobError::Refused(format!(
            "{} has {} partitions: one total order needs a topic of exactly one",
            settings.to,
            outputs.len()
        )));
    }
    let share = ReadShare::of("verify", settings.memory_bytes, buckets::BUCKETS_BYTES, inputs.len() + 1)?;
    // The output first: what is merged in while we look is then rather in the inputs alone, as when a merge still runs.
    let [output_start, output_end] = [settings.output_start, settings.output_end].map(|at| at.map(Bound::Offset));
    let bounds =
        Bounds { start: ("--output-start", output_start.as_ref()), end: ("--output-end", output_end.as_ref()) };
    let output = pin(&cluster, &outputs, bounds).await?;
    let bounds = Bounds { start: ("--start", settings.start.as_ref()), end: ("--end", settings.end.as_ref()) };
    let inputs = pin(&cluster, &inputs, bounds).await?;
    cx.progress.begin("verify", offsets_in(&inputs).saturating_add(offsets_in(&output)));

    let open = |(partition, range): super::range::Pinned| cluster.reader(partition, range, share.read_options());
    let Some((output_partition, output_range)) = output.into_iter().next() else {
        return Err(JobError::Refused(format!("{} has no partition", settings.to)));
    };
    let how = How { keys: &settings.keys, with_timestamp: !settings.ignore_timestamp, share };
    let output = open((output_partition.clone(), output_range.clone()));
    let found = compare::compare(inputs.iter().cloned().map(open), output, how, cx).await?;
    let offsets = |of: fn(&std::ops::Range<i64>) -> i64| -> Ends {
        inputs.iter().map(|(partition, range)| (partition.clone(), of(range))).collect()
    };
    Ok(VerifyReport {
        found,
        keys: settings.keys.clone(),
        ignore_timestamp: settings.ignore_timestamp,
        starts: offsets(|range| range.start),
        ends: offsets(|range| range.end),
        ends_were_given: settings.end.is_some(),
        output: output_partition,
        output_range,
        output_end_was_given: settings.output_end.is_some(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests;
