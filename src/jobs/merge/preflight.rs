//! Everything that can be refused before anything is written: a refusal says what is in the way and the way out.
//!
//! It looks through our own client, so what it finds does not depend on the client that merges.

use super::aborted::refuse_aborted;
use super::plan::{Plan, Source, least_memory};
use super::ranges::sources;
use super::{Client, Delivery, MergeSettings, OutputCodec, Strategy};
use crate::base::place::{Place, TopicPartition};
use crate::base::shutdown::Shutdown;
use crate::base::units::show_size;
use crate::client::{Cluster, Need, OffsetAt, ReadOptions, TopicInfo};
use crate::jobs::JobContext;
use crate::jobs::cursor::{HeldRecord, RecordCursor};
use crate::jobs::error::JobError;
use crate::keys::{Fields, Key, KeyPart, KeyPlan};
use crate::merge::SOURCES_MAX;
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
    pub(super) cluster: Cluster,
}

/// The last record of an output that is added to.
#[derive(Debug)]
pub(super) struct Floor {
    key: Key,
    shown: String,
    at: Place,
    /// The job itself wrote it.
    resumed: bool,
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
            Ok(key) if key < self.key && self.resumed => Err(JobError::Unfit(format!(
                "the input is not sorted: {at} has key {}, which goes before the last record that is written already, {} with \
                 key {}",
                keys.show(first),
                self.at,
                self.shown,
            ))),
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
    cluster.require(Need::READ).await?;
    cluster
        .require(if settings.delivery == Delivery::AtLeastOnce { Need::WRITE } else { Need::WRITE_IDEMPOTENT })
        .await?;
    let output = output_partition(&cluster.topic(&settings.to).await?)?;
    let mut inputs = Vec::new();
    for name in &settings.from {
        let topic = cluster.topic(name).await?;
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        inputs.extend(topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.index)));
    }
    let sources = sources(settings, &cluster, inputs, cx.timeout).await?;
    if settings.client == Client::Rskafka {
        refuse_aborted(&cluster, &sources).await?;
    }

    let config = cluster.topic_configs(&settings.to).await?;
    // What the output holds is looked at when nobody else writes there any more under the same job.
    let alone = settings.delivery != Delivery::ExactlyOnce;
    let held = held(&cluster, &output, alone).await?;
    check_output(settings, &output, alone.then_some(&held), &config)?;
    let floor = match settings.append && alone {
        true => floor(&cluster, &output, held.clone(), &settings.keys, false).await?,
        false => None,
    };
    if settings.client == Client::Kmerge && sources.len() > SOURCES_MAX {
        return Err(JobError::Refused(format!(
            "{} partitions are more than can be merged at once, {SOURCES_MAX}: merge some of the topics first",
            sources.len()
        )));
    }
    let least = least_memory(settings, sources.iter().filter(|source| source.offsets() > 0).count());
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
    Ok(Prepared { plan, floor, cluster })
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
    if settings.client == Client::Rskafka {
        check_plain(settings)?;
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

/// What the foreign client cannot do.
fn check_plain(settings: &MergeSettings) -> Result<(), JobError> {
    let refused = |what: &str, way_out: &str| {
        Err(JobError::Usage(format!("--client rskafka {what}: {way_out}, or leave --client out")))
    };
    match settings.compression {
        OutputCodec::None | OutputCodec::Gzip | OutputCodec::Snappy => {}
        _ => return refused("compresses with gzip or snappy only", "use --compression gzip"),
    }
    if settings.delivery != Delivery::AtLeastOnce {
        return refused("has no idempotent producer", "use --delivery at-least-once");
    }
    if settings.strategy == Strategy::Count {
        return refused("does not count", "use --strategy merge");
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
async fn held(cluster: &Cluster, output: &TopicPartition, alone: bool) -> Result<Range<i64>, JobError> {
    let asked = std::slice::from_ref(output);
    let start = one(&cluster.offsets(asked, OffsetAt::Earliest).await?);
    let end = one(&cluster.offsets(asked, OffsetAt::Latest).await?);
    let stable = one(&cluster.offsets(asked, OffsetAt::LastStable).await?);
    // Asked last: records that come in meanwhile only raise it.
    if stable < end && alone {
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
    held: Option<&Range<i64>>,
    config: &BTreeMap<String, String>,
) -> Result<(), JobError> {
    if let Some(held) = held
        && held.start < held.end
        && !settings.append
    {
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

/// The largest batch that a topic of this configuration takes.
pub(crate) fn message_bytes_max(config: &BTreeMap<String, String>) -> usize {
    config.get("max.message.bytes").and_then(|value| value.parse().ok()).unwrap_or(MESSAGE_BYTES_DEFAULT)
}

/// The last record of the output; `None` if it holds none.
pub(super) async fn floor(
    cluster: &Cluster,
    output: &TopicPartition,
    held: Range<i64>,
    keys: &KeyPlan,
    resumed: bool,
) -> Result<Option<Floor>, JobError> {
    let mut back = LOOK_BACK;
    // The last offsets may be transaction markers, aborted records or holes: look further back until there is a record.
    if held.is_empty() {
        return Ok(None);
    }
    loop {
        let from = held.end.saturating_sub(back).max(held.start);
        if let Some(floor) = last_between(cluster, output, from..held.end, keys, resumed).await? {
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
    resumed: bool,
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
        Ok(key) => Ok(Some(Floor { key, shown: keys.show(&last), at, resumed })),
        Err(error) => Err(JobError::Key { at, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_is_the_topics_own() {
        let config = |value: &str| BTreeMap::from([("max.message.bytes".to_owned(), value.to_owned())]);
        assert_eq!(message_bytes_max(&config("2000")), 2000);
        assert_eq!(message_bytes_max(&BTreeMap::new()), MESSAGE_BYTES_DEFAULT);
    }
}
