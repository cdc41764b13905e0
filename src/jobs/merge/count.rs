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

use super::output::{Closed, Output};
use super::preflight::{Floor, interruptible};
use super::record::{payload_bytes, window_bytes};
use super::{MergeSettings, Plan, Source, cut, plan};
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::Place;
use crate::base::text::excerpt;
use crate::client::rskafka::{Appended, PlainClient, Record, record_of_value};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::keys::{KeyPlan, Order};
use std::collections::{BTreeMap, HashMap};
use tokio::task::JoinSet;

/// What a distinct key takes: in its worker's table and, at the end, in the sum.
const DISTINCT_BYTES: usize = 96;
/// Keys are paid for by so many at once.
const DISTINCT_STEP: usize = 256;
/// Objects of tiny records are this many times larger than the same records in the log.
const OBJECTS_PER_LOG_BYTE: usize = 24;
const FETCH_BYTES_MIN: usize = 4 << 10;
const FETCH_BYTES_MAX: usize = 1 << 20;

/// Counts what `plan` says and writes it. Tells what was appended, however it ended.
pub(super) async fn count(
    plan: &Plan,
    settings: &MergeSettings,
    floor: Option<Floor>,
    client: &PlainClient,
    cx: &JobContext,
) -> Closed {
    let counted = async {
        let to = client.partition(&plan.output).await?;
        cx.progress.begin("count", plan.offsets());
        Ok((to, read(plan, &settings.keys, client, cx).await?))
    };
    let (to, counts) = match interruptible(cx, counted).await {
        Ok(counted) => counted,
        Err(error) => return (Appended::at_end(plan.output.clone(), plan.output_end), Err(error)),
    };
    cx.progress.begin("write", counts.values().sum());
    let mut output = Output::start(to, plan.output_end, cut(plan, settings), cx.progress.clone());
    match write(counts, plan, &settings.keys, floor, &mut output, cx).await {
        Ok(()) => output.finish().await,
        Err(error) => output.close_because(error).await,
    }
}

/// Counts all partitions at once.
async fn read(
    plan: &Plan,
    keys: &KeyPlan,
    client: &PlainClient,
    cx: &JobContext,
) -> Result<BTreeMap<i64, u64>, JobError> {
    let sources: Vec<&Source> = plan.sources.iter().filter(|source| source.offsets() > 0).collect();
    let memory = plan::memory_for_reading(plan.memory_bytes);
    let windows = ByteBudget::new(memory / 2);
    let distinct = ByteBudget::new(memory / 2);
    let mut workers = JoinSet::new();
    for source in &sources {
        let worker = Worker {
            from: client.partition(&source.partition).await?,
            source: (*source).clone(),
            keys: keys.clone(),
            windows: windows.clone(),
            window_bytes_aimed: windows.total() / sources.len().max(1),
            distinct: distinct.clone(),
            progress: cx.progress.clone(),
        };
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
    from: crate::client::rskafka::PlainPartition,
    source: Source,
    keys: KeyPlan,
    windows: ByteBudget,
    window_bytes_aimed: usize,
    distinct: ByteBudget,
    progress: crate::observe::progress::Progress,
}

type Counted = (HashMap<i64, u64>, Vec<Reserved>);

impl Worker {
    async fn run(self) -> Result<Counted, JobError> {
        let mut counts: HashMap<i64, u64> = HashMap::new();
        let mut paid = Vec::new();
        let mut next = self.source.range.start;
        let mut fetch_bytes = (self.window_bytes_aimed / OBJECTS_PER_LOG_BYTE).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX);
        while next < self.source.range.end {
            let records = self.from.fetch(next, self.source.range.end, fetch_bytes as i32).await?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            let bytes = window_bytes(&records);
            // Workers do not wait for each other, so what another one holds comes free.
            let room = self.windows.take(bytes).await.ok_or_else(|| too_little("one fetch", bytes, &self.source))?;
            let mut payload = 0;
            for fetched in &records {
                let at = || self.source.partition.at(fetched.offset);
                let key = bare_key(&fetched.record, &self.keys, at)?;
                payload += payload_bytes(&fetched.record) as u64;
                *counts.entry(key).or_insert(0) += 1;
                if counts.len() > paid.len() * DISTINCT_STEP {
                    let more = self.distinct.try_take(DISTINCT_STEP * DISTINCT_BYTES);
                    paid.push(more.ok_or_else(|| too_many(counts.len(), &self.source))?);
                }
            }
            self.progress.add(records.len() as u64, payload);
            fetch_bytes = (fetch_bytes * self.window_bytes_aimed / bytes.max(1)).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX);
            drop(room);
        }
        Ok((counts, paid))
    }
}

fn too_little(what: &str, bytes: usize, source: &Source) -> JobError {
    JobError::Refused(format!(
        "{}: {what} takes {} in memory once decoded: give --memory {}MiB or more",
        source.partition,
        crate::base::units::show_size(bytes as u64),
        plan::memory_for_windows(bytes.saturating_mul(2)).div_ceil(1 << 20)
    ))
}

fn too_many(distinct: usize, source: &Source) -> JobError {
    JobError::Refused(format!(
        "{}: more distinct keys than fit into the memory there is ({distinct} in this partition so far): give more \
         --memory, or use --strategy merge, which does not hold keys. Nothing was written",
        source.partition
    ))
}

/// The key of a record that is nothing else.
fn bare_key(record: &Record, keys: &KeyPlan, at: impl Fn() -> Place) -> Result<i64, JobError> {
    let value = record.value.as_deref().unwrap_or_default();
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
async fn write(
    counts: BTreeMap<i64, u64>,
    plan: &Plan,
    keys: &KeyPlan,
    mut floor: Option<Floor>,
    output: &mut Output,
    cx: &JobContext,
) -> Result<(), JobError> {
    let ordered: Box<dyn Iterator<Item = (i64, u64)> + Send> = match keys.order() {
        Order::Asc => Box::new(counts.into_iter()),
        Order::Desc => Box::new(counts.into_iter().rev()),
    };
    // Errors about a record would be about none in particular; a number is never too large.
    let at = || plan.output.at(plan.output_end);
    for (key, count) in ordered {
        let value = key.to_string().into_bytes();
        for _ in 0..count {
            let record = record_of_value(value.clone(), plan.planned_at_ms);
            if let Some(floor) = floor.take() {
                floor.check(keys, &record, at)?;
            }
            if output.push(record, at).await?
                && let Some(signal) = cx.shutdown.requested()
            {
                return Err(JobError::Interrupted(signal));
            }
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
        for text in ["", "-", "+7", "-0", "00", "007", "-07", " 7", "7 ", "7.0", "x", "9223372036854775808", "\u{663}"] {
            assert_eq!(canonical(text.as_bytes()), None, "{text:?}");
        }
    }
}
