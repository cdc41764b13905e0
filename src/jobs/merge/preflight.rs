//! Everything that can be refused before anything is written: a refusal says what is in the way and the way out.
//!
//! ```text
//!  look: settings, topics, what the logs hold ──▶ (a job that is recorded: where it is) ──▶ ready: is it all there, will the
//!                                                                                     output keep it, is the memory enough
//! ```
//!
//! It looks through our own client, so what it finds does not depend on the client that merges.

use super::aborted::refuse_aborted;
use super::floor;
pub(super) use super::floor::Floor;
use super::keeping::Keeping;
use super::plan::{Plan, Source, least_memory};
use super::{Client, Delivery, MergeSettings, OutputCodec, Strategy, firsts, job, ranges};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::base::units::show_size;
use crate::client::{Cluster, Need, OffsetAt, TopicInfo};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::ledger::facts::first_record;
use crate::keys::KeyPart;
use crate::merge::SOURCES_MAX;
use crate::wire::Uuid;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The largest batch a topic takes where its configuration does not say (the broker's default).
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// A batch must have room for its header and a record.
const BATCH_BYTES_MIN: usize = 1 << 10;

/// A plan, and what the first record must not lie below.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) floor: Option<Floor>,
    pub(super) cluster: Cluster,
}

/// What there is, before it is decided what to do with it.
#[derive(Clone)]
pub(super) struct Looked {
    pub(super) cluster: Cluster,
    pub(super) output: TopicPartition,
    pub(super) output_topic: TopicInfo,
    /// What of each input was asked for; whether it is there is not looked at.
    pub(super) sources: Vec<Source>,
    /// The id of each source's topic.
    pub(super) topic_ids: Vec<Uuid>,
    /// What each source's log holds, from its first offset to the high watermark.
    pub(super) logs: Vec<Range<i64>>,
    pub(super) planned_at_ms: i64,
    keeping: Keeping,
    message_bytes_max: usize,
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

/// Makes the plan of what would be done now, or refuses.
pub(super) async fn prepare(settings: &MergeSettings, cx: &JobContext) -> Result<Prepared, JobError> {
    let looked = look(settings, cx).await?;
    if settings.delivery == Delivery::ExactlyOnce {
        return job::foresee(looked, settings, cx).await;
    }
    let (cluster, output) = (&looked.cluster, &looked.output);
    let held = held(cluster, output).await?;
    // Neither markers nor aborted records are something that is there.
    if !settings.append && first_record(cluster, output, held.clone()).await?.is_some() {
        return Err(JobError::Refused(format!(
            "{output} is not empty (offsets {} to {}): write to an empty topic, or add behind what is there with --append",
            held.start,
            held.end - 1
        )));
    }
    let floor = match settings.append {
        true => floor::floor(cluster, output, held.clone(), &settings.keys).await?,
        false => None,
    };
    let sources = looked.sources.clone();
    looked.ready(settings, cx, sources, held.end, floor).await
}

/// Looks at the settings, the cluster and the topics; nothing here depends on what the output holds.
pub(super) async fn look(settings: &MergeSettings, cx: &JobContext) -> Result<Looked, JobError> {
    check_settings(settings)?;
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?.timing(cx.progress.acknowledgements());
    cluster.require(Need::READ).await?;
    cluster
        .require(if settings.delivery == Delivery::AtLeastOnce { Need::WRITE } else { Need::WRITE_IDEMPOTENT })
        .await?;
    let output_topic = cluster.topic(&settings.to).await?;
    let output = output_partition(&output_topic)?;
    let (mut inputs, mut topic_ids) = (Vec::new(), Vec::new());
    for name in &settings.from {
        let topic = cluster.topic(name).await?;
        let name: Arc<str> = topic.name.as_str().into();
        inputs.extend(topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.index)));
        topic_ids.resize(inputs.len(), topic.topic_id);
    }
    if settings.client == Client::Kmerge && inputs.len() > SOURCES_MAX {
        return Err(JobError::Refused(format!(
            "{} partitions are more than can be merged at once, {SOURCES_MAX}: merge some of the topics first",
            inputs.len()
        )));
    }
    let ranges::Ranges { sources, logs } = ranges::pin(settings, &cluster, &inputs).await?;
    let config = cluster.topic_configs(&settings.to).await?;
    let keeping = Keeping::of(&output, &output_topic, &config, cluster.brokers().len(), settings.allow);
    keeping.check()?;
    Ok(Looked {
        output,
        output_topic,
        sources,
        topic_ids,
        logs,
        planned_at_ms: now_ms(),
        keeping,
        message_bytes_max: message_bytes_max(&config),
        cluster,
    })
}

impl Looked {
    /// Asks anew what the inputs hold, and whether the topics are still those: what a job has planned may reach further than
    /// they did at the first look, and much may have happened since then.
    pub(super) async fn look_again(&mut self) -> Result<(), JobError> {
        self.output_topic = self.cluster.topic(&self.output_topic.name).await?;
        let mut ids = BTreeMap::new();
        for source in &self.sources {
            let name = &source.partition.topic;
            if !ids.contains_key(name) {
                ids.insert(name.clone(), self.cluster.topic(name).await?.topic_id);
            }
        }
        let now = |source: &Source| ids.get(&source.partition.topic).copied();
        self.topic_ids = self.sources.iter().zip(&self.topic_ids).map(|(one, id)| now(one).unwrap_or(*id)).collect();
        let inputs: Vec<_> = self.sources.iter().map(|source| source.partition.clone()).collect();
        self.logs = ranges::logs(&self.cluster, &inputs).await?;
        Ok(())
    }

    /// The plan that reads `sources`, which may be less than was asked for, and writes to the output from `output_end` on;
    /// or why it cannot be carried out.
    pub(super) async fn ready(
        self,
        settings: &MergeSettings,
        cx: &JobContext,
        sources: Vec<Source>,
        output_end: i64,
        floor: Option<Floor>,
    ) -> Result<Prepared, JobError> {
        ranges::check(&sources, &self.logs, &self.cluster, cx.timeout).await?;
        if settings.client == Client::Rskafka {
            refuse_aborted(&self.cluster, &sources).await?;
        }
        let least = check_memory(settings, &sources)?;
        firsts::check(&self.cluster, settings, &self.keeping, &sources).await?;
        self.keeping.say();
        Ok(self.prepared(settings, sources, output_end, floor, least))
    }

    /// The plan of a merge that is done already.
    pub(super) fn with_nothing_left(self, settings: &MergeSettings, output_end: i64) -> Prepared {
        let done = |source: &Source| Source { range: source.range.end..source.range.end, ..source.clone() };
        let sources = self.sources.iter().map(done).collect();
        self.prepared(settings, sources, output_end, None, 0)
    }

    fn prepared(
        self,
        settings: &MergeSettings,
        sources: Vec<Source>,
        output_end: i64,
        floor: Option<Floor>,
        memory_bytes_least: usize,
    ) -> Prepared {
        let plan = Plan {
            sources,
            output: self.output,
            output_end,
            output_bytes_max: self.message_bytes_max,
            planned_at_ms: self.planned_at_ms,
            memory_bytes: settings.memory_bytes,
            memory_bytes_least,
            retention: self.keeping.retention().clone(),
        };
        Prepared { plan, floor, cluster: self.cluster }
    }
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
    let jobs_topic = &settings.progressing.jobs_topic;
    if settings.delivery == Delivery::ExactlyOnce && (settings.from.contains(jobs_topic) || settings.to == *jobs_topic)
    {
        return usage(format!("{jobs_topic} keeps the records of jobs: name another topic for them with --jobs-topic"));
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
    match settings.delivery {
        Delivery::ExactlyOnce => return refused("has no transactions", "use --delivery at-least-once"),
        Delivery::Idempotent => return refused("has no idempotent producer", "use --delivery at-least-once"),
        Delivery::AtLeastOnce => {}
    }
    if settings.strategy == Strategy::Count {
        return refused("does not count", "use --strategy merge");
    }
    Ok(())
}

/// What it takes at least; refused where there is less.
pub(super) fn check_memory(settings: &MergeSettings, sources: &[Source]) -> Result<usize, JobError> {
    let least = least_memory(settings, sources.iter().filter(|source| source.offsets() > 0).count());
    if settings.memory_bytes >= least {
        return Ok(least);
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

/// The largest batch that a topic of this configuration takes.
pub(crate) fn message_bytes_max(config: &BTreeMap<String, String>) -> usize {
    config.get("max.message.bytes").and_then(|value| value.parse().ok()).unwrap_or(MESSAGE_BYTES_DEFAULT)
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
