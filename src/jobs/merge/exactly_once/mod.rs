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

mod record;
mod sink;

#[cfg(test)]
pub(super) mod sabotage;

#[cfg(test)]
mod tests;

use super::job::{self, Begun};
use super::preflight::{self, Looked, Prepared, interruptible};
use super::{MergeSettings, Plan, Progressing, Source, Strategy, count, engine};
use crate::base::kind::Kind;
use crate::client::WriteOptions;
use crate::client::transactional::{TransactionalProducer, Trouble};
use crate::jobs::JobContext;
use crate::jobs::commit_pace::{self, CommitPace};
use crate::jobs::error::JobError;
use crate::jobs::ledger::start::Start;
use crate::jobs::ledger::{JobPlan, JobProgress, JobState, Ledger};

use record::Recorder;
#[cfg(test)]
use sabotage::Sabotage;
use sink::{CommittingSink, Ended, Followers, WriteTrouble};
use std::time::Duration;
use tokio::time::Instant;

/// So often the job begins again after doubts with nothing new committed between them.
const FRUITLESS_MAX: u32 = 5;

/// Between two of them that bring nothing new, once, twice, three times ... so long.
const PAUSE: Duration = Duration::from_millis(200);

/// What is open is tried to be voided for so long by who stops.
const VOID_TIME: Duration = Duration::from_secs(10);

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
    looked: Looked,
    ledger: Ledger,
    /// The plan, as the job began with it; known once it was looked at where to go on.
    plan: Option<Plan>,
    resumed_at: u64,
    said: Option<String>,
    /// What is committed, by all runs.
    rank: u64,
    fruitless: u32,
    #[cfg(test)]
    read_early: Option<Option<Onward>>,
}

/// Where to go on.
struct Onward {
    prepared: Prepared,
    progress: JobProgress,
    /// The plan, if it is not in the record yet.
    fresh: Option<JobPlan>,
}

/// Merges, from wherever the job is.
pub(super) async fn run(settings: &MergeSettings, cx: &JobContext) -> Result<Done, JobError> {
    let looked = interruptible(cx, preflight::look(settings, cx)).await?;
    let name = job::name(settings);
    let Progressing { jobs_topic, transaction_timeout, .. } = &settings.progressing;
    let replicas = i16::try_from(looked.output_topic.replication_factor()).unwrap_or(1).max(1);
    let cluster = looked.cluster.clone();
    let ledger = interruptible(cx, Ledger::open(&cluster, jobs_topic, &name, replicas, cx.timeout)).await?;
    let (plan, resumed_at, said, rank, fruitless) = (None, 0, None, 0, 0);
    let job = Job {
        settings,
        cx,
        looked,
        ledger,
        plan,
        resumed_at,
        said,
        rank,
        fruitless,
        #[cfg(test)]
        read_early: None,
    };
    #[cfg(test)]
    let (job, name) = (job.without_barrier().await?, Sabotage::unfenced(name));
    let taken = async {
        cluster.transactional(&name, *transaction_timeout).await.map_err(|trouble| trouble.into_error().into())
    };
    interruptible(cx, job::refuse_early(&job.looked, settings, &job.ledger)).await?;
    let producer = interruptible(cx, taken).await?;
    if settings.progressing.commit_interval > commit_pace::longest(*transaction_timeout) {
        tracing::warn!(
            "a transaction is committed after a quarter of --transaction-timeout at the latest, whatever --commit-interval says"
        );
    }
    if let Some(gap) = producer.known_gap() {
        tracing::warn!("{gap}");
    }
    job.run(producer).await
}

impl Job<'_> {
    async fn run(mut self, mut producer: TransactionalProducer) -> Result<Done, JobError> {
        loop {
            let onward = match self.recover().await {
                Ok(onward) => onward,
                // What somebody else goes on with cannot be understood by who was shut out while it looked.
                Err(JobError::Refused(_) | JobError::Unfit(_)) if producer.is_overtaken().await => {
                    return Err(producer.fenced().into());
                }
                Err(error) => return Err(self.stopped(error)),
            };
            let Some(onward) = onward else { return self.done() };
            let (given_back, outcome) = match self.merge(onward, producer).await {
                Ok(merged) => merged,
                Err(error) => return Err(self.stopped(error)),
            };
            producer = given_back;
            let doubt = match outcome {
                Ok(()) => return self.done(),
                Err(Stopped::Doubt(doubt)) => doubt,
                Err(Stopped::Job(error)) => return Err(self.stopped(error)),
                Err(Stopped::Void(error)) => {
                    void(&mut producer).await;
                    return Err(self.stopped(error));
                }
            };
            tracing::warn!(
                "what was written since the last commit is in doubt ({doubt}): reading what stands, and going on"
            );
            self.fruitless += 1;
            if self.fruitless > FRUITLESS_MAX {
                void(&mut producer).await;
                return Err(self.stopped(doubt));
            }
            let resolved = async {
                tokio::time::sleep(PAUSE * (self.fruitless - 1)).await;
                producer.resolve().await.map_err(|trouble| trouble.into_error().into())
            };
            if let Err(error) = interruptible(self.cx, resolved).await {
                void(&mut producer).await;
                return Err(self.stopped(error));
            }
        }
    }

    /// Reads what stands and decides where to go on; `None` where nothing is left to do.
    async fn recover(&mut self) -> Result<Option<Onward>, JobError> {
        #[cfg(test)]
        if let Some(early) = self.read_early.take() {
            return Ok(early);
        }
        let again = self.plan.is_some();
        let begun = job::begin(self.looked.clone(), self.settings, &self.ledger, again, self.cx);
        let Begun { start, prepared } = interruptible(self.cx, begun).await?;
        let said = start.sentence();
        let (plan, progress, fresh) = match start {
            Start::Fresh(plan) => {
                let progress = JobProgress {
                    positions: plan.inputs.iter().map(|input| input.range.start).collect(),
                    rank: 0,
                    tail: None,
                    state: JobState::Running,
                    updated_at_ms: plan.planned_at_ms,
                };
                (plan.clone(), progress, Some(plan))
            }
            Start::Continue { plan, progress } | Start::Complete { plan, progress, .. } => (plan, progress, None),
        };
        if !again {
            self.resumed_at = progress.rank;
            if let (Some(said), true) = (&said, prepared.is_some()) {
                tracing::info!("{said}");
            }
            self.said = said;
        }
        self.reached(progress.rank);
        self.plan = Some(self.whole(&plan));
        Ok(prepared.map(|prepared| Onward { prepared, progress, fresh }))
    }

    /// The plan as the job began with it.
    fn whole(&self, plan: &JobPlan) -> Plan {
        let sources =
            plan.inputs.iter().map(|input| Source { partition: input.partition.clone(), range: input.range.clone() });
        let whole = self.looked.clone().with_nothing_left(self.settings, plan.output.start).plan;
        Plan { sources: sources.collect(), planned_at_ms: plan.planned_at_ms, ..whole }
    }

    /// So many records stand.
    fn reached(&mut self, rank: u64) {
        if rank > self.rank {
            self.fruitless = 0;
        }
        self.rank = rank;
    }

    /// Merges from there to the end, or to where something stops it.
    async fn merge(
        &mut self,
        onward: Onward,
        producer: TransactionalProducer,
    ) -> Result<(TransactionalProducer, Result<(), Stopped>), JobError> {
        let Onward { prepared: Prepared { plan: mut rest, floor, cluster }, progress, fresh } = onward;
        // Counted records carry the time of the plan.
        rest.planned_at_ms = self.plan.as_ref().map_or(rest.planned_at_ms, |plan| plan.planned_at_ms);
        let rank = progress.rank;
        let recorder = Recorder::new(self.ledger.clone(), fresh, progress);
        let record = self.ledger.partition().clone();
        // One batch waits and one is in the writing task's hand, so two less are on their way; more would not be faster.
        let options = WriteOptions { in_flight_max: engine::BATCHES_IN_FLIGHT - 2, ..WriteOptions::default() };
        let writer = producer.writer(rest.output.clone(), rest.output_end, record, options);
        #[cfg(test)]
        let writer = Sabotage::renumbering(writer);
        let progressing = &self.settings.progressing;
        let followers = progressing.group.clone().map(|group| Followers {
            group,
            inputs: rest.sources.iter().map(|source| source.partition.clone()).collect(),
            at_the_end: self.settings.strategy == Strategy::Count,
        });
        let pace = CommitPace::new(progressing.commit_interval, progressing.transaction_timeout, Instant::now());
        let (settings, cx) = (self.settings, self.cx);
        let ((appended, outcome), mut task) = match settings.strategy {
            Strategy::Merge => {
                cx.progress.begin("merge", rest.offsets());
                let engine = engine::Engine::on(&rest, settings, &cluster, cx);
                let (sink, task) =
                    CommittingSink::start(writer, recorder, followers, pace, engine.batches_waiting(), cx);
                (engine.merge(floor, sink).await, task)
            }
            Strategy::Count => {
                let (sink, task) = CommittingSink::start(writer, recorder, followers, pace, 1, cx);
                (count::count(&rest, settings, floor, &cluster, cx, sink, rank).await, task)
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
        let output = self.looked.output.clone();
        if let Err(error) = self.looked.cluster.wait_for_transactions(&[(output, end)], self.cx.timeout).await {
            tracing::warn!("everything is committed, but readers do not see it yet: {error}");
        }
    }

    fn done(self) -> Result<Done, JobError> {
        let Self { plan, rank, resumed_at, said, .. } = self;
        let plan = plan.ok_or(JobError::OutputClosed)?;
        Ok(Done { plan, records: rank.saturating_sub(resumed_at), resumed_at, said })
    }

    /// The error with how far the job is, and how to go on where the same command would.
    fn stopped(&self, error: JobError) -> JobError {
        let Some(plan) = &self.plan else { return error };
        let way_on = match (error.kind(), self.settings.progressing.restart) {
            (Kind::Interrupted(_) | Kind::Unreachable, false) => Some("the same command goes on there"),
            (Kind::Interrupted(_) | Kind::Unreachable, true) => {
                Some("the same command without --restart goes on there")
            }
            (Kind::Fenced, _) => return error,
            _ if self.rank == 0 => return error,
            _ => None,
        };
        JobError::Paused { error: Box::new(error), records: self.rank, planned: plan.offsets(), way_on }
    }
}

#[cfg(test)]
impl Job<'_> {
    /// Where that safety is missing: what stands is read before others are shut out.
    async fn without_barrier(mut self) -> Result<Self, JobError> {
        if Sabotage::NoBarrier.is_missing() {
            self.read_early = Some(self.recover().await?);
        }
        Ok(self)
    }
}

/// Voids what is open, so that readers need not wait until it times out; not at any price.
async fn void(producer: &mut TransactionalProducer) {
    if !producer.holds_something_open() {
        return;
    }
    match tokio::time::timeout(VOID_TIME, producer.resolve()).await {
        Ok(Ok(())) => {}
        Ok(Err(trouble)) => tracing::debug!(error = %trouble.into_error(), "what is open will time out"),
        Err(_) => tracing::debug!("what is open will time out: its coordinator does not answer"),
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
        (Some(WriteTrouble::Client(Trouble::Doubt(_))), Err(error @ JobError::Interrupted(_))) => {
            Err(Stopped::Void(error))
        }
        (Some(WriteTrouble::Client(Trouble::Doubt(error))), _) => Err(Stopped::Doubt(error.into())),
        (Some(WriteTrouble::Client(Trouble::Fenced(error))), _) => Err(Stopped::Job(error.into())),
        (Some(WriteTrouble::Client(Trouble::Stop(error))), _) => Err(Stopped::Void(error.into())),
        (Some(WriteTrouble::Job(error)), _) => Err(Stopped::Void(error)),
    }
}
