//! The merge delivered exactly once: output and progress are committed together, and one way leads from every start, crash
//! and doubt to where the job goes on.
//!
//! ```text
//!  take the transactional id ──▶ job record, output's tail ──▶ start? ──▶ merge, commit, commit … ──▶ complete
//!   (whoever had it is out)          ▲                          │              │
//!                                    │                          └ refuse       │ doubt
//!                                    └──── only we are here ◀── resolve ◀──────┘
//!                                                                  └ a successor runs: status 5
//! ```
//!
//! Non-obvious:
//! - After a doubt nothing in memory counts. What is committed is read again, and merged from there with new readers.
//! - The record that follows the last one that stands must not lie below it: an input that runs backwards just where the
//!   job was stopped would show nowhere else.
//! - Who is asked to stop commits what it has. What stops for another reason voids what is open, so that readers of the
//!   output need not wait for the transaction to time out.

mod pace;
mod record;
mod sink;

#[cfg(test)]
mod sabotage;

#[cfg(test)]
mod tests;

use super::preflight::{self, Floor, Prepared, interruptible};
use super::{MergeSettings, Plan, Source, Strategy, count, engine};
use crate::base::place::TopicPartition;
use crate::client::transactional::{TransactionalProducer, Trouble};
use crate::client::{Cluster, OffsetAt, WriteOptions};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::ledger::facts::{OutputFacts, output_facts};
use crate::jobs::ledger::name::default_name;
use crate::jobs::ledger::record::{PlannedInput, PlannedOutput};
use crate::jobs::ledger::start::{Asked, Start, decide};
use crate::jobs::ledger::{JobPlan, JobProgress, JobState, Ledger};
use pace::Pace;
use record::Recorder;
use sink::{CommittingSink, Ended, WriteTrouble};
use std::collections::BTreeMap;
use std::ops::Range;
use tokio::time::Instant;

/// So often the job begins again after doubts with nothing new committed between them.
const FRUITLESS_MAX: u32 = 5;

/// How it went.
pub(super) struct Done {
    /// The plan, as it was when the job began.
    pub(super) plan: Plan,
    /// Records that this run wrote.
    pub(super) records: u64,
    /// Records that were there before this run.
    pub(super) resumed_at: u64,
    /// What there is to say about the start.
    pub(super) said: Option<String>,
}

/// One job on its way.
struct Job<'a> {
    settings: &'a MergeSettings,
    cx: &'a JobContext,
    cluster: Cluster,
    /// As the command line has it.
    asked: JobPlan,
    plan: Plan,
    ledger: Ledger,
    /// Records that were there when this run began, once that is known.
    resumed_at: Option<u64>,
    said: Option<String>,
    /// What is committed, by all runs.
    rank: u64,
    fruitless: u32,
}

/// Where to go on.
struct Onward {
    plan: JobPlan,
    progress: JobProgress,
    /// The plan is not in the record yet.
    fresh: bool,
    output: OutputFacts,
}

/// Merges what was prepared.
pub(super) async fn run(prepared: Prepared, settings: &MergeSettings, cx: &JobContext) -> Result<Done, JobError> {
    let Prepared { plan, cluster, .. } = prepared;
    let name = settings.progressing.job.clone().unwrap_or_else(|| default_name(&settings.from, &settings.to));
    let opened = async {
        let output = cluster.topic(&settings.to).await?;
        let replicas = output.partitions.first().map_or(1, |partition| partition.replicas.len());
        let replicas = i16::try_from(replicas.max(1)).unwrap_or(1);
        let topic = &settings.progressing.jobs_topic;
        let ledger = Ledger::open(&cluster, topic, &name, replicas, cx.timeout).await?;
        let asked = asked(&name, &plan, settings, &cluster).await?;
        ledger.check_fits(&asked)?;
        Ok((ledger, asked))
    };
    let (ledger, asked) = interruptible(cx, opened).await?;
    let timeout = settings.progressing.transaction_timeout;
    let taken = async { cluster.transactional(&name, timeout).await.map_err(|trouble| trouble.into_error().into()) };
    let producer = interruptible(cx, taken).await?;
    if let Some(gap) = producer.known_gap() {
        tracing::warn!("{gap}");
    }
    let (resumed_at, said, rank, fruitless) = (None, None, 0, 0);
    Job { settings, cx, cluster, asked, plan, ledger, resumed_at, said, rank, fruitless }.run(producer).await
}

/// The plan that this command line makes, as it would be stored.
async fn asked(name: &str, plan: &Plan, settings: &MergeSettings, cluster: &Cluster) -> Result<JobPlan, JobError> {
    let mut ids = BTreeMap::new();
    for topic in settings.from.iter().chain([&settings.to]) {
        ids.insert(topic.clone(), cluster.topic(topic).await?.topic_id);
    }
    let id = |partition: &TopicPartition| ids.get(&*partition.topic).copied().unwrap_or_default();
    let inputs = plan.sources.iter().map(|source| PlannedInput {
        partition: source.partition.clone(),
        topic_id: id(&source.partition),
        range: source.range.clone(),
    });
    Ok(JobPlan {
        job: name.to_owned(),
        inputs: inputs.collect(),
        keys: settings.keys.clone(),
        strategy: settings.strategy,
        output: PlannedOutput { partition: plan.output.clone(), topic_id: id(&plan.output), start: plan.output_end },
        planned_at_ms: plan.planned_at_ms,
    })
}

impl Job<'_> {
    async fn run(mut self, mut producer: TransactionalProducer) -> Result<Done, JobError> {
        loop {
            let onward = match self.recover().await {
                Ok(onward) => onward,
                Err(error) => return Err(self.stopped(error)),
            };
            let Some(onward) = onward else { return Ok(self.done()) };
            let (given_back, outcome) = match self.merge(onward, producer).await {
                Ok(merged) => merged,
                Err(error) => return Err(self.stopped(error)),
            };
            producer = given_back;
            let doubt = match outcome {
                Ok(()) => return Ok(self.done()),
                Err(Stopped::Doubt(doubt)) => doubt,
                Err(Stopped::Job(error)) => return Err(self.stopped(error)),
                Err(Stopped::Void(error)) => {
                    // Best effort: otherwise the transaction times out.
                    if let Err(trouble) = producer.resolve().await {
                        tracing::debug!(error = %trouble.into_error(), "what is open will time out");
                    }
                    return Err(self.stopped(error));
                }
            };
            tracing::warn!(
                "what was written since the last commit is in doubt ({doubt}): reading what stands, and going on"
            );
            self.fruitless += 1;
            if self.fruitless > FRUITLESS_MAX {
                return Err(self.stopped(doubt));
            }
            let resolved = async { producer.resolve().await.map_err(|trouble| trouble.into_error().into()) };
            if let Err(error) = interruptible(self.cx, resolved).await {
                return Err(self.stopped(error));
            }
        }
    }

    /// Reads what stands and decides where to go on; `None` where nothing is left to do.
    async fn recover(&mut self) -> Result<Option<Onward>, JobError> {
        let (cluster, ledger, cx) = (&self.cluster, &self.ledger, self.cx);
        let look = async {
            let record = ledger.read().await?;
            let facts = output_facts(cluster, &self.asked.output.partition, record.as_ref(), cx.timeout).await?;
            Ok((record, facts, self.logs().await?))
        };
        let (record, facts, logs) = interruptible(cx, look).await?;
        let first_time = self.resumed_at.is_none();
        let asked = Asked {
            plan: &self.asked,
            start_typed: self.settings.start.is_some(),
            end_typed: self.settings.end.is_some(),
            // Once it has begun again, it goes on.
            restart: self.settings.progressing.restart && (first_time || facts.first_record.is_none()),
            append: self.settings.append,
            retention_loss: self.settings.allow.retention_loss,
        };
        let start = decide(asked, record, &facts, &logs)?;
        if first_time {
            self.said = start.sentence();
        }
        let (plan, progress, fresh) = match start {
            Start::Fresh(plan) => {
                let progress = JobProgress {
                    positions: plan.inputs.iter().map(|input| input.range.start).collect(),
                    rank: 0,
                    tail: None,
                    state: JobState::Running,
                    updated_at_ms: plan.planned_at_ms,
                };
                (plan, progress, true)
            }
            Start::Continue { plan, progress } => (plan, progress, false),
            Start::Complete { plan, progress, .. } => {
                self.take_on(&plan);
                self.reached(progress.rank);
                return Ok(None);
            }
        };
        self.take_on(&plan);
        self.reached(progress.rank);
        Ok(Some(Onward { plan, progress, fresh, output: facts }))
    }

    /// The plan of the job is that of its record.
    fn take_on(&mut self, plan: &JobPlan) {
        let sources =
            plan.inputs.iter().map(|input| Source { partition: input.partition.clone(), range: input.range.clone() });
        self.plan.sources = sources.collect();
        self.plan.output_end = plan.output.start;
        self.plan.planned_at_ms = plan.planned_at_ms;
    }

    /// So many records stand.
    fn reached(&mut self, rank: u64) {
        self.resumed_at.get_or_insert(rank);
        if rank > self.rank {
            self.fruitless = 0;
        }
        self.rank = rank;
    }

    /// What each input holds now.
    async fn logs(&self) -> Result<Vec<Range<i64>>, JobError> {
        let inputs: Vec<_> = self.asked.inputs.iter().map(|input| input.partition.clone()).collect();
        let earliest = self.cluster.offsets(&inputs, OffsetAt::Earliest).await?;
        let latest = self.cluster.offsets(&inputs, OffsetAt::Latest).await?;
        Ok(earliest.into_iter().zip(latest).map(|(start, end)| start..end.max(start)).collect())
    }

    /// What the first record to come must not lie below.
    async fn floor(&self, onward: &Onward) -> Result<Option<Floor>, JobError> {
        let output = &onward.plan.output.partition;
        let (range, resumed) = match (onward.progress.tail, self.settings.append) {
            (Some(tail), _) => (tail.start..tail.end, true),
            (None, true) => (onward.output.log.clone(), false),
            (None, false) => return Ok(None),
        };
        preflight::floor(&self.cluster, output, range, &self.settings.keys, resumed).await
    }

    /// Merges from there to the end, or to where something stops it.
    async fn merge(
        &mut self,
        onward: Onward,
        producer: TransactionalProducer,
    ) -> Result<(TransactionalProducer, Result<(), Stopped>), JobError> {
        let floor = interruptible(self.cx, self.floor(&onward)).await?;
        let rest = self.rest(&onward);
        let Onward { plan, progress, fresh, output } = onward;
        let rank = progress.rank;
        let recorder = Recorder::new(self.ledger.clone(), fresh.then_some(plan), progress);
        let record = self.ledger.partition().clone();
        // One batch waits with the writing task, so one less is on its way; more would not be faster.
        let options = WriteOptions { in_flight_max: engine::BATCHES_IN_FLIGHT - 2, ..WriteOptions::default() };
        let writer = producer.writer(rest.output.clone(), output.log.end, record, options);
        let progressing = &self.settings.progressing;
        let pace = Pace::new(progressing.commit_interval, progressing.transaction_timeout, Instant::now());
        let (settings, cluster, cx) = (self.settings, &self.cluster, self.cx);
        let ((appended, outcome), mut task) = match settings.strategy {
            Strategy::Merge => {
                cx.progress.begin("merge", rest.offsets());
                let engine = engine::Engine::on(&rest, settings, cluster, cx);
                let (sink, task) = CommittingSink::start(writer, recorder, pace, engine.batches_waiting());
                (engine.merge(floor, sink).await, task)
            }
            Strategy::Count => {
                let (sink, task) = CommittingSink::start(writer, recorder, pace, 1);
                (count::count_into(&rest, settings, floor, cluster, cx, sink, rank).await, task)
            }
        };
        let Ended { producer, recorder, trouble } = match task.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(died)) => std::panic::resume_unwind(died.into_panic()),
            None => return Err(JobError::OutputClosed),
        };
        self.reached(recorder.progress().rank);
        let outcome = stopped_by(trouble, outcome);
        if outcome.is_ok() {
            self.wait_until_seen(appended.next()).await;
        }
        Ok((producer, outcome))
    }

    /// A commit is decided a moment before readers see it: who reads when we are done is to find everything.
    async fn wait_until_seen(&self, end: i64) {
        let output = self.plan.output.clone();
        if let Err(error) = self.cluster.wait_for_transactions(&[(output, end)], self.cx.timeout).await {
            tracing::warn!("everything is committed, but readers do not see it yet: {error}");
        }
    }

    /// What is left to do, as a plan of its own.
    fn rest(&self, onward: &Onward) -> Plan {
        let mut rest = self.plan.clone();
        if self.settings.strategy == Strategy::Merge {
            for (source, position) in rest.sources.iter_mut().zip(&onward.progress.positions) {
                source.range.start = *position;
            }
        }
        rest.output_end = onward.output.log.end;
        rest
    }

    fn done(self) -> Done {
        let resumed_at = self.resumed_at.unwrap_or(0);
        Done { plan: self.plan, records: self.rank - resumed_at, resumed_at, said: self.said }
    }

    fn stopped(&self, error: JobError) -> JobError {
        JobError::Paused {
            error: Box::new(error),
            job: self.asked.job.clone(),
            records: self.rank,
            planned: self.plan.offsets(),
        }
    }
}

/// Why the merge stopped before its end.
enum Stopped {
    /// What was written since the last commit is in doubt.
    Doubt(JobError),
    /// It cannot go on, and what is open is to be voided.
    Void(JobError),
    /// It stops as it is.
    Job(JobError),
}

/// What the writer met outweighs what the engine saw of it.
fn stopped_by(trouble: Option<WriteTrouble>, outcome: Result<(), JobError>) -> Result<(), Stopped> {
    match (trouble, outcome) {
        (None, Ok(())) => Ok(()),
        (None, Err(error @ JobError::Interrupted(_))) => Err(Stopped::Job(error)),
        (None, Err(error)) => Err(Stopped::Void(error)),
        // Who is asked to stop does not begin again; what is in doubt is decided by the next run.
        (Some(_), Err(error @ JobError::Interrupted(_))) => Err(Stopped::Void(error)),
        (Some(WriteTrouble::Client(Trouble::Doubt(error))), _) => Err(Stopped::Doubt(error.into())),
        (Some(WriteTrouble::Client(Trouble::Fenced(error))), _) => Err(Stopped::Job(error.into())),
        (Some(WriteTrouble::Client(Trouble::Stop(error))), _) => Err(Stopped::Void(error.into())),
        (Some(WriteTrouble::Job(error)), _) => Err(Stopped::Void(error)),
    }
}
