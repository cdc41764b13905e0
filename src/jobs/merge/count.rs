//! Counting instead of merging: how often each key occurs is all there is to know of records that are nothing but their key.
//!
//! ```text
//!  partition 0 ──▶ worker: {1: 520, 2: 498, …} ┐
//!  partition 1 ──▶ worker: {1: 511, 2: 509, …} ┼─▶ sum ──▶ 1 × 1031, 2 × 1007, … in order ──▶ output
//!  partition 2 ──▶ worker: …                   ┘
//! ```
//!
//! Every partition is read at once, each by exactly one worker, and no input needs to be sorted. Nothing is written before
//! all is read, so a record that is more than its key (a record key, headers, a value such as `007` that another one would
//! be mistaken for) is refused while the output is still untouched. What such a record cannot tell is when it was made: the
//! output carries the time of the plan.

use super::engine::BATCHES_ALIVE;
use super::preflight::{Floor, interruptible};
use super::{MergeSettings, Plan, Source};
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::Place;
use crate::base::text::excerpt;
use crate::batch::{Headers, Record};
use crate::client::{Cluster, PartitionReader, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::jobs::outlet::{Closed, Cut, Outlet};
use crate::keys::{KeyPlan, Order};
use crate::ports::Sink;
use std::collections::{BTreeMap, HashMap};
use tokio::task::JoinSet;

/// What a distinct key takes: in its worker's table and, at the end, in the sum.
const DISTINCT_BYTES: usize = 96;
/// Keys are paid for by so many at once.
const DISTINCT_STEP: usize = 256;
/// What a partition is read through, at least: the fetch, what is read of it, and what a batch unfolds to.
const SHARE_BYTES_MIN: usize = 64 << 10;
const SHARE_PARTS: usize = 3;
/// More at once makes nothing faster.
const WINDOW_BYTES_MAX: usize = 1 << 20;

/// The least memory with which `sources` sources can be counted.
pub(super) fn least_bytes(sources: usize) -> usize {
    // Half is for the keys.
    sources.saturating_mul(2 * SHARE_BYTES_MIN).max(2 << 20)
}

/// Counts what `plan` says and writes it, beginning behind the first `rank` records. Tells what was appended, however it
/// ended.
pub(super) async fn count<S>(
    plan: &Plan,
    settings: &MergeSettings,
    floor: Option<Floor>,
    cluster: &Cluster,
    cx: &JobContext,
    sink: S,
    rank: u64,
) -> Closed
where
    S: Sink,
    JobError: From<S::Error>,
{
    cx.progress.begin("count", plan.offsets());
    match interruptible(cx, read(plan, &settings.keys, cluster, cx)).await {
        Ok(counts) => put(counts, plan, settings, floor, sink, rank, cx).await,
        Err(error) => Outlet::new(sink, cut(plan, settings), cx.progress.clone()).close_because(error).await,
    }
}

async fn put<S>(
    counts: BTreeMap<i64, u64>,
    plan: &Plan,
    settings: &MergeSettings,
    floor: Option<Floor>,
    sink: S,
    rank: u64,
    cx: &JobContext,
) -> Closed
where
    S: Sink,
    JobError: From<S::Error>,
{
    cx.progress.begin("write", counts.values().sum::<u64>().saturating_sub(rank));
    let mut outlet = Outlet::new(sink, cut(plan, settings), cx.progress.clone()).guarded_by(&plan.retention);
    let written = write(counts, plan, &settings.keys, floor, &mut outlet, rank, cx).await;
    outlet.end(written, || all_read(plan)).await
}

/// Everything is read before anything is written; how far the job is, is how much it has written.
fn all_read(plan: &Plan) -> Vec<i64> {
    plan.sources.iter().map(|source| source.range.end).collect()
}

fn cut(plan: &Plan, settings: &MergeSettings) -> Cut {
    Cut {
        // What was read through is free by now.
        batch_bytes: settings.batch_bytes.min(plan.memory_bytes / 2 / BATCHES_ALIVE),
        bytes_max: plan.output_bytes_max,
        codec: settings.compression.codec().unwrap_or_default(),
    }
}

/// Counts all partitions at once.
async fn read(plan: &Plan, keys: &KeyPlan, cluster: &Cluster, cx: &JobContext) -> Result<BTreeMap<i64, u64>, JobError> {
    let sources: Vec<&Source> = plan.sources.iter().filter(|source| source.offsets() > 0).collect();
    let memory = plan.memory_bytes / 2;
    let window_bytes = (memory / sources.len().max(1) / SHARE_PARTS).min(WINDOW_BYTES_MAX);
    let distinct = ByteBudget::new(memory);
    let mut workers = JoinSet::new();
    for source in &sources {
        let options = ReadOptions { fetch_bytes_max: window_bytes, ..ReadOptions::default() };
        let reader = cluster.reader(source.partition.clone(), source.range.clone(), options);
        let records = RecordCursor::new(reader, window_bytes, cx.shutdown.clone(), cx.progress.clone());
        let worker = Worker { records, source: (*source).clone(), keys: keys.clone(), distinct: distinct.clone() };
        workers.spawn(worker.run());
    }
    let mut sum = BTreeMap::new();
    // Held until everything is summed up: the sum is what it pays for.
    let mut paid = Vec::new();
    while let Some(counted) = workers.join_next().await {
        let (counts, reserved) = match counted {
            Ok(counted) => counted?,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        for (key, count) in counts {
            *sum.entry(key).or_insert(0) += count;
        }
        paid.push(reserved);
    }
    Ok(sum)
}

/// Counts one partition.
struct Worker {
    records: RecordCursor<PartitionReader>,
    source: Source,
    keys: KeyPlan,
    distinct: ByteBudget,
}

type Counted = (HashMap<i64, u64>, Vec<Reserved>);

impl Worker {
    async fn run(mut self) -> Result<Counted, JobError> {
        let mut counts: HashMap<i64, u64> = HashMap::new();
        let mut paid = Vec::new();
        let (source, keys) = (&self.source, &self.keys);
        let mut run = None;
        loop {
            let next = self.records.next_with(|record| bare_key(record, keys, || source.partition.at(record.offset)));
            let key = next.await?.transpose()?;
            // Inputs are mostly sorted, so equal keys mostly follow each other: the table is asked once for all of them.
            match &mut run {
                Some((last, count)) if key == Some(*last) => {
                    *count += 1;
                    continue;
                }
                Some((last, count)) => *counts.entry(*last).or_insert(0) += *count,
                None => {}
            }
            if counts.len() > paid.len() * DISTINCT_STEP {
                let more = self.distinct.try_take(DISTINCT_STEP * DISTINCT_BYTES);
                paid.push(more.ok_or_else(|| too_many(counts.len(), source))?);
            }
            match key {
                Some(key) => run = Some((key, 1)),
                None => return Ok((counts, paid)),
            }
        }
    }
}

fn too_many(distinct: usize, source: &Source) -> JobError {
    JobError::Refused(format!(
        "{}: more distinct keys than fit into the memory there is ({distinct} in this partition so far): give more \
         --memory, or use --strategy merge, which does not hold keys. Nothing was written",
        source.partition
    ))
}

/// The key of a record that is nothing else.
fn bare_key(record: &Record<'_>, keys: &KeyPlan, at: impl Fn() -> Place) -> Result<i64, JobError> {
    let value = record.value.unwrap_or_default();
    let more = match canonical(value) {
        Some(key) if record.key.is_none() && record.headers.is_empty() => return Ok(key),
        Some(_) if record.key.is_some() => "has a record key".to_owned(),
        Some(_) => "has headers".to_owned(),
        None => {
            keys.extract(record).map_err(|error| JobError::Key { at: at(), error })?;
            format!("writes its number as {}, which another spelling equals", excerpt(value))
        }
    };
    Err(JobError::Unfit(format!(
        "{} {more}: --strategy count keeps nothing but the number, in its shortest form. Use --strategy merge. Nothing was \
         written",
        at()
    )))
}

/// The number, if `value` is its one shortest spelling: no plus sign, no zero in front, no minus zero.
fn canonical(value: &[u8]) -> Option<i64> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let shortest = match digits {
        [b'0'] => value.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !shortest {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Writes each key as often as it was counted.
async fn write<S>(
    counts: BTreeMap<i64, u64>,
    plan: &Plan,
    keys: &KeyPlan,
    floor: Option<Floor>,
    outlet: &mut Outlet<S>,
    mut skip: u64,
    cx: &JobContext,
) -> Result<(), JobError>
where
    S: Sink,
    JobError: From<S::Error>,
{
    let mut ordered: Vec<(i64, u64)> = counts.into_iter().collect();
    if keys.order() == Order::Desc {
        ordered.reverse();
    }
    ordered.retain_mut(|(_, count)| {
        let skipped = skip.min(*count);
        skip -= skipped;
        *count -= skipped;
        *count > 0
    });
    if skip > 0 {
        return Err(JobError::Unfit(format!(
            "the inputs hold {skip} records less than the output has of them already: some were deleted since. Nothing was \
             added"
        )));
    }
    if let (Some(floor), Some((key, _))) = (floor, ordered.first()) {
        let value = key.to_string();
        let (offset, timestamp, headers) = (plan.output_end, plan.planned_at_ms, Headers::EMPTY);
        let first = Record { offset, timestamp, key: None, value: Some(value.as_bytes()), headers };
        floor.check(keys, &first, || plan.output.at(plan.output_end))?;
    }
    for (key, count) in ordered {
        let value = key.to_string();
        for _ in 0..count {
            if outlet.is_full_for_value(value.len()) {
                if let Some(signal) = cx.shutdown.requested() {
                    return Err(JobError::Interrupted(signal));
                }
                outlet.send_or_commit(|| all_read(plan)).await?;
                cx.give_way();
            }
            outlet.push_value(plan.planned_at_ms, value.as_bytes()).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_spelling_of_a_number_is_counted() {
        for (text, number) in [("0", 0), ("7", 7), ("-7", -7), ("10", 10), ("-9223372036854775808", i64::MIN)] {
            assert_eq!(canonical(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["", "-", "+7", "-0", "00", "007", "-07", " 7", "7 ", "7.0", "x", "9223372036854775808", "\u{663}"]
        {
            assert_eq!(canonical(text.as_bytes()), None, "{text:?}");
        }
    }
}
