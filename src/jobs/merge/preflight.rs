//! Everything that can be refused before anything is written: a refusal says what is in the way and the way out.
//!
//! It looks through our own client, so what it finds does not depend on the client that merges.

use super::plan::{Plan, Source, least_memory};
use super::{MergeSettings, Strategy};
use crate::base::ends::{Bound, Ends};
use crate::base::place::{Place, TopicPartition};
use crate::base::shutdown::Shutdown;
use crate::base::units::show_size;
use crate::client::{Cluster, OffsetAt, ReadOptions, TopicInfo};
use crate::jobs::JobContext;
use crate::jobs::cursor::{HeldRecord, RecordCursor};
use crate::jobs::error::JobError;
use crate::keys::{Fields, Key, KeyPart, KeyPlan};
use crate::observe::progress::Progress;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest batch a topic takes where its configuration does not say (the broker's default).
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// A batch must have room for its header and a record.
const BATCH_BYTES_MIN: usize = 1 << 10;
/// What may be unfolded at once to look at the output's last records.
const LOOK_BYTES: usize = 16 << 20;
/// The first look at the output's end goes so far back; each further one sixteen times as far.
const LOOK_BACK: i64 = 64;

/// A plan, and what the first record must not lie below.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) floor: Option<Floor>,
}

/// The last record of an output that is appended to.
#[derive(Debug)]
pub(super) struct Floor {
    key: Key,
    shown: String,
    at: Place,
}

impl Floor {
    /// Refuses a first record that would stand behind one that it should precede.
    pub(super) fn check(
        &self,
        keys: &KeyPlan,
        first: &impl Fields,
        at: impl FnOnce() -> Place,
    ) -> Result<(), JobError> {
        let at = at();
        match keys.extract(first) {
            Ok(key) if key < self.key => Err(JobError::Unfit(format!(
                "--append: the first record to write, {at}, has key {}, which goes before the last one there, {} with key \
                 {}. Write to an empty topic, or start later (--start). Nothing was written",
                keys.show(first),
                self.at,
                self.shown,
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(JobError::Key { at, error }),
        }
    }
}

/// Does `work` until somebody asks us to stop. Only for work that may be dropped anywhere.
pub(super) async fn interruptible<T>(
    cx: &JobContext,
    work: impl Future<Output = Result<T, JobError>>,
) -> Result<T, JobError> {
    tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        done = work => done,
    }
}

/// Makes the plan, or refuses.
pub(super) async fn prepare(settings: &MergeSettings, cx: &JobContext) -> Result<Prepared, JobError> {
    check_settings(settings)?;
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let output = output_partition(&cluster.topic(&settings.to).await?)?;
    let mut inputs = Vec::new();
    for name in &settings.from {
        let topic = cluster.topic(name).await?;
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        inputs.extend(topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.index)));
    }
    let sources = sources(settings, &cluster, inputs).await?;

    let config = cluster.topic_configs(&settings.to).await?;
    let held = held(&cluster, &output).await?;
    check_output(settings, &output, &held, &config)?;
    let floor = match settings.append {
        true => floor(&cluster, &output, held.clone(), &settings.keys).await?,
        false => None,
    };
    let least = least_memory(settings.strategy, sources.iter().filter(|source| source.offsets() > 0).count());
    check_memory(settings, &sources, least)?;
    let plan = Plan {
        sources,
        output,
        output_end: held.end,
        output_bytes_max: message_bytes_max(&config),
        planned_at_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64),
        memory_bytes: settings.memory_bytes,
        memory_bytes_least: least,
    };
    Ok(Prepared { plan, floor })
}

/// What is wrong whatever the cluster says.
fn check_settings(settings: &MergeSettings) -> Result<(), JobError> {
    let usage = |message: String| Err(JobError::Usage(message));
    if settings.from.is_empty() {
        return usage("no input topic: give --from TOPIC[,TOPIC...]".to_owned());
    }
    if settings.from.contains(&settings.to) {
        return usage(format!(
            "{} is input and output: a merge into its own input would never be sorted. Name another topic with --to",
            settings.to
        ));
    }
    for (i, name) in settings.from.iter().enumerate() {
        if settings.from[..i].contains(name) {
            return usage(format!("{name} is listed twice in --from: each record would be written twice"));
        }
    }
    if settings.batch_bytes < BATCH_BYTES_MIN {
        return usage(format!("--batch-bytes must be at least {}", show_size(BATCH_BYTES_MIN as u64)));
    }
    if settings.strategy == Strategy::Count && settings.keys.parts() != [KeyPart::default()] {
        return usage(format!(
            "--strategy count is for records that are nothing but their number, --key value:int, not {}: use --strategy \
             merge",
            settings.keys
        ));
    }
    Ok(())
}

fn check_memory(settings: &MergeSettings, sources: &[Source], least: usize) -> Result<(), JobError> {
    if settings.memory_bytes >= least {
        return Ok(());
    }
    Err(JobError::Refused(format!(
        "{} partitions cannot be merged in {}: give --memory {}KiB or more",
        sources.len(),
        show_size(settings.memory_bytes as u64),
        least.div_ceil(1 << 10)
    )))
}

fn output_partition(topic: &TopicInfo) -> Result<TopicPartition, JobError> {
    match topic.partitions.as_slice() {
        [only] => Ok(TopicPartition::new(topic.name.as_str(), only.index)),
        several => Err(JobError::Refused(format!(
            "{} has {} partitions: one total order needs a topic of exactly one. Make one with: kmerge topic create NAME \
             --partitions 1",
            topic.name,
            several.len()
        ))),
    }
}

/// Which offsets of the output can be read now.
async fn held(cluster: &Cluster, output: &TopicPartition) -> Result<Range<i64>, JobError> {
    let asked = std::slice::from_ref(output);
    let start = one(&cluster.offsets(asked, OffsetAt::Earliest).await?);
    let end = one(&cluster.offsets(asked, OffsetAt::Latest).await?);
    let stable = one(&cluster.offsets(asked, OffsetAt::LastStable).await?);
    // Asked last: records that come in meanwhile only raise it.
    if stable < end {
        return Err(JobError::Refused(format!(
            "{output}: somebody else has an open transaction there (it is stable up to offset {stable} of {end}), so the \
             merge would not stand alone. Wait for it to end, or write to another topic"
        )));
    }
    Ok(start..end)
}

fn one(offsets: &[i64]) -> i64 {
    offsets.first().copied().unwrap_or(0)
}

fn check_output(
    settings: &MergeSettings,
    output: &TopicPartition,
    held: &Range<i64>,
    config: &BTreeMap<String, String>,
) -> Result<(), JobError> {
    if held.start < held.end && !settings.append {
        return Err(JobError::Refused(format!(
            "{output} is not empty (offsets {} to {}): write to an empty topic, or add behind what is there with --append",
            held.start,
            held.end - 1
        )));
    }
    if config.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        tracing::warn!(
            "{output} is compacted (cleanup.policy): of records with the same key only the last will stay, and records \
             without a key are refused"
        );
    }
    Ok(())
}

fn message_bytes_max(config: &BTreeMap<String, String>) -> usize {
    config.get("max.message.bytes").and_then(|value| value.parse().ok()).unwrap_or(MESSAGE_BYTES_DEFAULT)
}

/// Pins the range of each input.
async fn sources(
    settings: &MergeSettings,
    cluster: &Cluster,
    inputs: Vec<TopicPartition>,
) -> Result<Vec<Source>, JobError> {
    let earliest = cluster.offsets(&inputs, OffsetAt::Earliest).await?;
    let latest = cluster.offsets(&inputs, OffsetAt::Latest).await?;
    let stable = cluster.offsets(&inputs, OffsetAt::LastStable).await?;
    for (partition, (stable, latest)) in inputs.iter().zip(stable.iter().zip(&latest)) {
        // Asked last: an input that grows meanwhile is stable beyond the end we took.
        if stable < latest {
            return Err(JobError::Refused(format!(
                "{partition} has an open transaction: it is stable up to offset {stable}, and goes on to {latest}. This \
                 client cannot tell committed records from others; merge when the transaction has ended (who holds it: \
                 kafka-transactions.sh --describe-producers)"
            )));
        }
    }
    let log = Log { partitions: &inputs, earliest: &earliest, latest: &latest };
    let starts = match &settings.start {
        None => earliest.clone(),
        Some(bound) => resolve("--start", bound, &log, cluster).await?,
    };
    let ends = match &settings.end {
        None => latest.clone(),
        Some(bound) => resolve("--end", bound, &log, cluster).await?,
    };
    let ranges = starts.into_iter().zip(ends).map(|(start, end)| start..end);
    let sources = inputs.iter().zip(ranges).map(|(partition, range)| Source { partition: partition.clone(), range });
    let sources: Vec<Source> = sources.collect();
    for (source, (earliest, latest)) in sources.iter().zip(earliest.iter().zip(&latest)) {
        check_range(source, *earliest..*latest)?;
    }
    Ok(sources)
}

/// The input partitions and what each holds.
struct Log<'a> {
    partitions: &'a [TopicPartition],
    earliest: &'a [i64],
    latest: &'a [i64],
}

/// The offset that a bound means in each partition.
async fn resolve(flag: &str, bound: &Bound, log: &Log<'_>, cluster: &Cluster) -> Result<Vec<i64>, JobError> {
    match bound {
        Bound::Earliest => Ok(log.earliest.to_vec()),
        Bound::Latest => Ok(log.latest.to_vec()),
        Bound::Offset(offset) => Ok(vec![*offset; log.partitions.len()]),
        Bound::Time(ms) => {
            let found = cluster.offsets(log.partitions, OffsetAt::Timestamp(*ms)).await?;
            // Where nothing is that young, the answer is the end, which may have moved since we took it.
            Ok(found.into_iter().zip(log.latest).map(|(at, latest)| at.min(*latest)).collect())
        }
        Bound::Offsets(listed) => of_list(flag, listed, log.partitions),
    }
}

/// A list must name every partition and no other: what it leaves out would be guessed.
fn of_list(flag: &str, listed: &Ends, partitions: &[TopicPartition]) -> Result<Vec<i64>, JobError> {
    if let Some(stranger) = listed.stranger_to(partitions) {
        return Err(JobError::Usage(format!("{flag} names {stranger}, which is no input")));
    }
    let of = |partition: &TopicPartition| {
        listed.get(partition).ok_or_else(|| JobError::Usage(format!("{flag} does not say where in {partition}")))
    };
    partitions.iter().map(of).collect()
}

/// What is asked for must be there.
fn check_range(source: &Source, log: Range<i64>) -> Result<(), JobError> {
    let Source { partition, range } = source;
    let refused = |message: String| Err(JobError::Refused(format!("{partition}: {message}")));
    if range.start < log.start {
        return refused(format!(
            "offset {} is gone, the log begins at {} (retention or deleted records). Start there, with --start earliest",
            range.start, log.start
        ));
    }
    if range.end > log.end {
        return refused(format!("the log ends at offset {}, before the end asked for, {}", log.end, range.end));
    }
    if range.start > range.end {
        return refused(format!("the start, offset {}, lies behind the end, offset {}", range.start, range.end));
    }
    Ok(())
}

/// The last record of the output; `None` if it holds none.
async fn floor(
    cluster: &Cluster,
    output: &TopicPartition,
    held: Range<i64>,
    keys: &KeyPlan,
) -> Result<Option<Floor>, JobError> {
    let mut back = LOOK_BACK;
    // The last offsets may be transaction markers, aborted records or holes: look further back until there is a record.
    if held.is_empty() {
        return Ok(None);
    }
    loop {
        let from = held.end.saturating_sub(back).max(held.start);
        if let Some(floor) = last_between(cluster, output, from..held.end, keys).await? {
            return Ok(Some(floor));
        }
        if from == held.start {
            return Ok(None);
        }
        back = back.saturating_mul(16);
    }
}

async fn last_between(
    cluster: &Cluster,
    output: &TopicPartition,
    range: Range<i64>,
    keys: &KeyPlan,
) -> Result<Option<Floor>, JobError> {
    let reader = cluster.reader(output.clone(), range, ReadOptions::default());
    // Who waits for us listens to the wish to stop.
    let mut records = RecordCursor::new(reader, LOOK_BYTES, Shutdown::default(), Progress::default());
    let mut last = HeldRecord::default();
    let mut found = false;
    while records.next_with(|record| last.hold(record)).await?.is_some() {
        found = true;
    }
    if !found {
        return Ok(None);
    }
    let at = output.at(last.offset());
    match keys.extract(&last) {
        Ok(key) => Ok(Some(Floor { key, shown: keys.show(&last), at })),
        Err(error) => Err(JobError::Key { at, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_error(asked: Range<i64>, log: Range<i64>) -> String {
        let source = Source { partition: TopicPartition::new("in", 2), range: asked };
        check_range(&source, log).unwrap_err().to_string()
    }

    #[test]
    fn a_range_that_is_not_there_is_refused_with_both_numbers() {
        let backwards = Range { start: 8, end: 7 };
        for (asked, log, said) in [
            (3..8, 5..10, "in partition 2: offset 3 is gone, the log begins at 5"),
            (5..11, 5..10, "the log ends at offset 10, before the end asked for, 11"),
            (backwards, 5..10, "the start, offset 8, lies behind the end, offset 7"),
        ] {
            let shown = range_error(asked, log);
            assert!(shown.contains(said), "{shown}");
        }
        let empty = Source { partition: TopicPartition::new("in", 2), range: 5..5 };
        assert!(check_range(&empty, 5..10).is_ok());
    }

    #[test]
    fn a_list_of_offsets_must_name_every_input_and_no_other() {
        let inputs = [TopicPartition::new("a", 0), TopicPartition::new("a", 1)];
        assert_eq!(of_list("--end", &"a:0=3,1=4".parse().unwrap(), &inputs).unwrap(), [3, 4]);
        let missing = of_list("--end", &"a:0=3".parse().unwrap(), &inputs).unwrap_err();
        assert_eq!(missing.to_string(), "--end does not say where in a partition 1");
        let stranger = of_list("--end", &"a:0=3,1=4,2=5".parse().unwrap(), &inputs).unwrap_err();
        assert_eq!(stranger.to_string(), "--end names a partition 2, which is no input");
    }

    #[test]
    fn the_largest_message_is_the_topics_own() {
        let config = |value: &str| BTreeMap::from([("max.message.bytes".to_owned(), value.to_owned())]);
        assert_eq!(message_bytes_max(&config("2000")), 2000);
        assert_eq!(message_bytes_max(&BTreeMap::new()), MESSAGE_BYTES_DEFAULT);
    }
}
