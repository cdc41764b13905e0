//! The rounds: each measures everything once. See the module's head.

use super::PerfSettings;
use super::fill::fill;
use super::prebuilt::{as_written, cut_anew};
use super::wall::{Replayed, Way, replay, ways};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Signal;
use crate::base::units::show_count;
use crate::batch::{Batches, Codec};
use crate::client::{Cluster, OffsetAt, PartitionReader, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::load::OwnTopic;
use crate::jobs::merge::{self, Allow, Client, MergeSettings, OutputCodec, Progressing, Strategy};
use crate::jobs::merge::{batch_bytes_within, message_bytes_max};
use crate::jobs::outlet::Cut;
use crate::jobs::verify::{self, VerifySettings};
use crate::keys::{KeyPlan, Order};
use crate::observe::stages::StageTimes;
use crate::observe::usage::Usage;
use crate::ports::{Outgoing, Source as _};
use std::time::Instant;
use tokio::task::JoinSet;

/// What everything is measured on.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) settings: &'a PerfSettings,
    pub(super) cx: &'a JobContext,
    pub(super) cluster: &'a Cluster,
    /// What the names of its topics begin with.
    pub(super) name: &'a str,
    /// What is merged.
    pub(super) input: &'a str,
}

/// What came of all rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// The ways that were tried to write.
    pub ways: Vec<Way>,
    /// The size that the merge's own batches stay below.
    pub batch_bytes: usize,
    /// The rounds that were done to their ends.
    pub rounds: Vec<Round>,
    /// What a record of the output takes in its batch.
    pub record_bytes: f64,
    /// The most memory that was resident while the first merge ran; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What all proofs took, that of the first merge as well.
    pub verify_seconds: f64,
    /// How many merges were proved.
    pub verified: u32,
    /// The signal that ended it before the end.
    pub stopped: Option<Signal>,
}

/// What was measured in one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// Records a second by each way to write.
    pub walls: Vec<f64>,
    /// Records a second that were fetched.
    pub fetch: f64,
    /// The merge.
    pub merge: Merged,
}

/// One merge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// From its first look at the cluster to its last commit.
    pub seconds: f64,
    /// Processor time of this process meanwhile.
    pub cpu_seconds: f64,
    /// What its stages took.
    pub stages: StageTimes,
}

/// What is measured in a round, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The batches, in the way of this number.
    Wall(usize),
    Fetch,
    Merge,
}

/// All of it, in this order or backwards.
fn turns(ways: usize, round: u32) -> Vec<Turn> {
    let mut turns: Vec<Turn> = (0..ways).map(Turn::Wall).chain([Turn::Fetch, Turn::Merge]).collect();
    if round.is_multiple_of(2) {
        turns.reverse();
    }
    turns
}

impl Bench<'_> {
    /// Fills the input, merges once, and measures; the merges keep their progress in `jobs`.
    pub(super) async fn run(self, jobs: &str) -> Result<Measured, JobError> {
        self.unless_stopped(fill(&self)).await?;
        let first = self.own("out-0".to_owned()).await?;
        let measured = self.measure(first.name(), jobs).await;
        first.delete(self.cluster).await;
        measured
    }

    async fn measure(self, first: &str, jobs: &str) -> Result<Measured, JobError> {
        tracing::info!("a merge that does not count: everything gets warm, and the wall is made of its output");
        // The allocator keeps for later what batches are held in, so this is the one merge whose memory can be told.
        let tells_peak = Usage::forget_peak();
        self.merge(first, jobs).await?;
        let peak_memory_bytes = tells_peak.then(|| Usage::now().peak_memory_bytes);
        let verify_seconds = self.verify(first).await?;
        let bytes_max = message_bytes_max(&self.cluster.topic_configs(first).await?);
        let batch_bytes = self.merge_batch_bytes(bytes_max);
        let ways = ways(batch_bytes, bytes_max);
        let mut measured =
            Measured { ways, batch_bytes, peak_memory_bytes, verify_seconds, verified: 1, ..Measured::default() };
        for number in 1..=self.settings.rounds {
            match self.round(number, first, jobs, bytes_max, &mut measured).await {
                Ok(round) => measured.rounds.push(round),
                Err(error) => match error.kind() {
                    Kind::Interrupted(signal) if !measured.rounds.is_empty() => {
                        measured.stopped = Some(signal);
                        break;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(measured)
    }

    async fn round(
        self,
        number: u32,
        first: &str,
        jobs: &str,
        bytes_max: usize,
        measured: &mut Measured,
    ) -> Result<Round, JobError> {
        let mut round = Round { walls: vec![0.0; measured.ways.len()], ..Round::default() };
        for turn in turns(measured.ways.len(), number) {
            match turn {
                Turn::Fetch => round.fetch = self.unless_stopped(self.fetch()).await?,
                Turn::Wall(way) => {
                    let topic = self.own(format!("wall-{number}-{}", way + 1)).await?;
                    let wall = self.unless_stopped(self.wall(first, topic.name(), measured.ways[way], bytes_max)).await;
                    topic.delete(self.cluster).await;
                    let Replayed { records_per_second, record_bytes } = wall?;
                    round.walls[way] = records_per_second;
                    if measured.ways[way].batch_bytes == measured.batch_bytes {
                        measured.record_bytes = record_bytes;
                    }
                }
                Turn::Merge => {
                    let topic = self.own(format!("out-{number}")).await?;
                    let merged = self.merge_and_verify(topic.name(), jobs).await;
                    topic.delete(self.cluster).await;
                    let (merge, seconds) = merged?;
                    round.merge = merge;
                    measured.verify_seconds += seconds;
                    measured.verified += 1;
                }
            }
        }
        let per_second = |rate: f64| show_count(rate.round() as u64);
        tracing::info!(
            "round {number} of {}: produce alone at best {}, fetch alone {}, merge {} records/s",
            self.settings.rounds,
            per_second(round.walls.iter().copied().fold(0.0, f64::max)),
            per_second(round.fetch),
            per_second(self.settings.records as f64 / round.merge.seconds.max(1e-9)),
        );
        Ok(round)
    }

    /// A topic of one partition of our own.
    async fn own(self, name: String) -> Result<OwnTopic, JobError> {
        OwnTopic::make(self.cluster, format!("{}-{name}", self.name), 1, self.settings.replication_factor).await
    }

    async fn unless_stopped<T>(self, work: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
        tokio::select! {
            biased;
            signal = self.cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
            done = work => done,
        }
    }

    /// Writes the output of the first merge again, in batches that are there already.
    async fn wall(self, first: &str, topic: &str, way: Way, bytes_max: usize) -> Result<Replayed, JobError> {
        let batches = self.prebuilt(first, way, bytes_max).await?;
        self.cx.progress.begin("produce alone", self.settings.records);
        replay(&self, topic, batches, self.settings.records, way.in_flight).await
    }

    /// The size that the merge's batches stay below: with little memory, less than it is told.
    fn merge_batch_bytes(self, bytes_max: usize) -> usize {
        let PerfSettings { shape, seed, partitions, records, memory_bytes, batch_bytes, .. } = *self.settings;
        // Partitions without a record take no part of the memory.
        let sources = shape.keys(seed, partitions, records).filter(|keys| keys.size_hint().0 > 0).count();
        batch_bytes_within(memory_bytes, sources, batch_bytes.min(bytes_max))
    }

    /// What the merge wrote, as it wrote it, or in batches of another size.
    pub(super) async fn prebuilt(self, first: &str, way: Way, bytes_max: usize) -> Result<Vec<Outgoing>, JobError> {
        let PerfSettings { shape, records, codec, .. } = *self.settings;
        let output = TopicPartition::new(first, 0);
        let batches = as_written(self.cluster, &output, records.saturating_mul(shape.record_bytes())).await?;
        match way.batch_bytes == self.merge_batch_bytes(bytes_max) {
            true => Ok(batches),
            false => cut_anew(batches, &output, Cut { batch_bytes: way.batch_bytes, bytes_max, codec }).await,
        }
    }

    /// Fetches the input and counts it, all partitions at once, as the merge does.
    async fn fetch(self) -> Result<f64, JobError> {
        let PerfSettings { partitions, records, .. } = *self.settings;
        self.cx.progress.begin("fetch alone", records);
        let partitions: Vec<_> = (0..partitions as i32).map(|index| TopicPartition::new(self.input, index)).collect();
        let ends = self.cluster.offsets(&partitions, OffsetAt::Latest).await?;
        let began = Instant::now();
        let mut readers = JoinSet::new();
        for (partition, end) in partitions.into_iter().zip(ends) {
            readers.spawn(count(self.cluster.reader(partition, 0..end, ReadOptions::default())));
        }
        let mut fetched = 0;
        while let Some(counted) = readers.join_next().await {
            let counted = counted.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?;
            self.cx.progress.add(counted, 0);
            fetched += counted;
        }
        let seconds = began.elapsed().as_secs_f64();
        match fetched == records {
            true => Ok(records as f64 / seconds.max(1e-9)),
            false => {
                Err(JobError::Refused(format!("{}: {records} records were written, {fetched} fetched", self.input)))
            }
        }
    }

    async fn merge_and_verify(self, topic: &str, jobs: &str) -> Result<(Merged, f64), JobError> {
        let merged = self.merge(topic, jobs).await?;
        Ok((merged, self.verify(topic).await?))
    }

    async fn merge(self, topic: &str, jobs: &str) -> Result<Merged, JobError> {
        let settings = self.merge_settings(topic, jobs)?;
        let before = Usage::now().cpu_seconds;
        let report = merge::run(&settings, self.cx).await.map_err(bare)?;
        Ok(Merged { seconds: report.seconds, cpu_seconds: report.cpu_seconds - before, stages: report.stages })
    }

    fn keys(self) -> Result<KeyPlan, JobError> {
        KeyPlan::parse(&[self.settings.shape.key().to_owned()], Order::Asc).map_err(JobError::Usage)
    }

    fn merge_settings(self, topic: &str, jobs: &str) -> Result<MergeSettings, JobError> {
        let settings = self.settings;
        Ok(MergeSettings {
            from: vec![self.input.to_owned()],
            to: topic.to_owned(),
            keys: self.keys()?,
            memory_bytes: settings.memory_bytes,
            threads: None,
            strategy: Strategy::Merge,
            client: Client::Kmerge,
            delivery: settings.delivery,
            progressing: Progressing { jobs_topic: jobs.to_owned(), ..Progressing::default() },
            allow: Allow::default(),
            compression: match settings.codec {
                Codec::None => OutputCodec::None,
                Codec::Gzip => OutputCodec::Gzip,
                Codec::Snappy => OutputCodec::Snappy,
                Codec::Lz4 => OutputCodec::Lz4,
                Codec::Zstd => OutputCodec::Zstd,
            },
            batch_bytes: settings.batch_bytes,
            start: None,
            end: None,
            append: false,
        })
    }

    /// Proves the output, record by record; gives how long that took.
    async fn verify(self, topic: &str) -> Result<f64, JobError> {
        let proof = VerifySettings {
            from: vec![self.input.to_owned()],
            to: topic.to_owned(),
            keys: self.keys()?,
            ignore_timestamp: false,
            start: None,
            end: None,
            output_start: None,
            output_end: None,
            memory_bytes: self.settings.memory_bytes,
        };
        let began = Instant::now();
        let report = verify::run(&proof, self.cx).await?;
        report.verdict()?;
        match report.output_records() == self.settings.records {
            true => Ok(began.elapsed().as_secs_f64()),
            false => Err(JobError::Difference(format!(
                "{} records were generated, {topic} has {}",
                self.settings.records,
                report.output_records()
            ))),
        }
    }
}

/// What stopped a merge, without how to go on with it: nobody will, its topics are deleted.
fn bare(error: JobError) -> JobError {
    match error {
        JobError::Paused { error, .. } | JobError::Stopped { error, .. } => bare(*error),
        error => error,
    }
}

/// Counts the records of a range by the headers of its batches, which lie in it as a whole.
async fn count(mut reader: PartitionReader) -> Result<u64, JobError> {
    let start = reader.partition().at(reader.range().start);
    let (mut records, mut window) = (0, Vec::new());
    while reader.next(&mut window).await?.is_some() {
        for batch in Batches::new(&window) {
            let batch = batch.map_err(|error| JobError::Batch { at: start.clone(), error })?;
            records += u64::from(batch.header.record_count.unsigned_abs());
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::super::prebuilt::as_written;
    use super::super::shape::Shape;
    use super::super::tests::settings;
    use super::*;
    use crate::broker::{Broker, BrokerConfig};
    use crate::jobs::merge::Delivery;
    use crate::jobs::testing::{block_on, context};

    /// The batches of a topic: their records, and their bytes without what a broker or a producer adds.
    async fn stored(cluster: &Cluster, topic: &str) -> Vec<(u32, Vec<u8>)> {
        let batches = as_written(cluster, &TopicPartition::new(topic, 0), 0).await.unwrap();
        batches.into_iter().map(|batch| (batch.records, batch.bytes)).collect()
    }

    #[test]
    fn what_is_produced_alone_has_the_merges_batches_byte_by_byte() {
        block_on(async {
            let broker = Broker::start(BrokerConfig::default()).await.unwrap();
            let cx = JobContext { brokers: broker.addresses(), ..context() };
            let cluster = Cluster::connect(&cx.brokers, cx.timeout).await.unwrap();
            for (number, (codec, delivery)) in
                (0..).zip([(Codec::None, Delivery::ExactlyOnce), (Codec::Lz4, Delivery::Idempotent)])
            {
                let (shape, batch_bytes) = (Shape::M118, 4000);
                let settings = PerfSettings { shape, batch_bytes, codec, delivery, ..settings() };
                let (name, input) = (format!("kmerge-perf-{number}"), format!("kmerge-perf-{number}-in"));
                let bench = Bench { settings: &settings, cx: &cx, cluster: &cluster, name: &name, input: &input };
                OwnTopic::make(&cluster, input.clone(), settings.partitions, None).await.unwrap();
                fill(&bench).await.unwrap();
                let output = bench.own("out".to_owned()).await.unwrap();
                bench.merge(output.name(), &format!("{name}-jobs")).await.unwrap();
                bench.verify(output.name()).await.unwrap();

                let way = Way { batch_bytes, in_flight: 2 };
                let again = bench.own("wall".to_owned()).await.unwrap();
                bench.wall(output.name(), again.name(), way, 1 << 20).await.unwrap();
                let merged = stored(&cluster, output.name()).await;
                assert_eq!(stored(&cluster, again.name()).await, merged, "{codec:?}");
                assert!(merged.len() > 20, "{codec:?}: {} batches", merged.len());
                assert_eq!(merged.iter().map(|(records, _)| u64::from(*records)).sum::<u64>(), settings.records);

                let larger = bench.prebuilt(output.name(), Way { batch_bytes: 8000, ..way }, 1 << 20).await.unwrap();
                assert!(larger.len() < merged.len(), "{codec:?}");
                assert_eq!(larger.iter().map(|batch| u64::from(batch.records)).sum::<u64>(), settings.records);
                assert!(bench.fetch().await.unwrap() > 0.0, "all records of the input are fetched");
            }
        });
    }

    #[test]
    fn everything_has_its_turn_in_each_round_and_every_other_one_runs_backwards() {
        assert_eq!(turns(2, 1), [Turn::Wall(0), Turn::Wall(1), Turn::Fetch, Turn::Merge]);
        assert_eq!(turns(2, 2), [Turn::Merge, Turn::Fetch, Turn::Wall(1), Turn::Wall(0)]);
        assert_eq!(turns(2, 3), turns(2, 1));
    }
}
