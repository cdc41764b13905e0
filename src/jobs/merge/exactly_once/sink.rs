//! The sink of a merge that is delivered exactly once: a task of its own writes batches and commits, while the engine already
//! merges what comes after.
//!
//! ```text
//!  engine ──append, commit──▶ (a few orders wait) ──▶ task: TransactionWriter ──▶ output, job record, EndTxn
//!         ◀─────spare buffers, what is stored───────┘
//! ```
//!
//! Non-obvious: what the task meets is told twice. The engine hears that nothing more is taken; why, and whether the job can
//! go on, is in [`Ended`], with the producer.

use super::record::Recorder;
use crate::base::appended::Appended;
use crate::base::place::TopicPartition;
use crate::client::Membership;
use crate::client::transactional::{TransactionWriter, TransactionalProducer, Trouble};
use crate::jobs::JobContext;
use crate::jobs::commit_pace::CommitPace;
use crate::jobs::error::JobError;
use crate::observe::phase::{Phase, Phases};
use crate::observe::stages::{Stage, Watch};
use crate::ports::{Outgoing, Reached, Sink};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What the writing task does next.
struct Order {
    batch: Option<Outgoing>,
    commit: Option<Reached>,
}

/// See the module's head.
pub(super) struct CommittingSink {
    partition: TopicPartition,
    orders: mpsc::Sender<Order>,
    shared: Shared,
    /// Resolves when the task has ended.
    ended: oneshot::Receiver<()>,
}

/// What both sides look at.
#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

struct State {
    appended: Appended,
    pace: CommitPace,
    spares: Vec<Vec<u8>>,
}

/// A consumer group whose offsets follow the progress.
pub(super) struct Followers {
    pub(super) group: String,
    pub(super) inputs: Vec<TopicPartition>,
    /// Only when all is done: before, the positions say nothing of what is written.
    pub(super) at_the_end: bool,
}

/// How the writing ended.
pub(super) struct Ended {
    pub(super) producer: TransactionalProducer,
    /// What is committed.
    pub(super) recorder: Recorder,
    pub(super) trouble: Option<WriteTrouble>,
}

/// Why it ended early.
pub(super) enum WriteTrouble {
    Client(Trouble),
    /// The job record cannot be put together.
    Job(JobError),
}

impl From<Trouble> for WriteTrouble {
    fn from(trouble: Trouble) -> Self {
        Self::Client(trouble)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommittingSink {
    /// Begins to write through `writer`; so many batches may wait for it.
    pub(super) fn start(
        writer: TransactionWriter,
        recorder: Recorder,
        followers: Option<Followers>,
        pace: CommitPace,
        waiting_max: usize,
        cx: &JobContext,
    ) -> (Self, JoinSet<Ended>) {
        let appended = writer.appended();
        let partition = appended.partition().clone();
        let shared = Shared(Arc::new(Mutex::new(State { appended, pace, spares: Vec::new() })));
        let (orders, received) = mpsc::channel(waiting_max.max(1));
        let (ends, ended) = oneshot::channel();
        let task = Task {
            writer,
            recorder,
            followers,
            shared: shared.clone(),
            phases: cx.phases.clone(),
            watch: cx.progress.stages().watch(),
            uncommitted: false,
            costing: None,
            go_on: Instant::now(),
            _ends: ends,
            #[cfg(test)]
            record_apart: super::sabotage::Sabotage::RecordApart.is_missing(),
        };
        // It ends with this set, if nobody waits for it.
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run(received));
        (Self { partition, orders, shared, ended }, tasks)
    }

    async fn order(&mut self, order: Order) -> Result<(), JobError> {
        // The task says why it has stopped.
        self.orders.send(order).await.map_err(|_| JobError::OutputClosed)
    }
}

impl Sink for CommittingSink {
    type Error = JobError;

    fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    async fn append(&mut self, batch: Outgoing) -> Result<(), JobError> {
        self.shared.state().pace.wrote(batch.len);
        self.order(Order { batch: Some(batch), commit: None }).await
    }

    fn commits(&self) -> bool {
        true
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.shared.state().pace.due()
    }

    async fn due(&self) {
        loop {
            let due = self.shared.state().pace.due();
            sleep_until(due).await;
            // It may have been put off meanwhile.
            if self.is_due() {
                return;
            }
        }
    }

    async fn commit(&mut self, batch: Option<Outgoing>, reached: Reached) -> Result<(), JobError> {
        self.shared.state().pace.asked(Instant::now());
        self.order(Order { batch, commit: Some(reached) }).await
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        self.shared.state().spares.pop()
    }

    fn appended(&self) -> Appended {
        self.shared.state().appended.clone()
    }

    async fn finish(self) -> (Appended, Result<(), JobError>) {
        self.close().await
    }

    async fn close(self) -> (Appended, Result<(), JobError>) {
        let Self { orders, shared, ended, .. } = self;
        // Without orders to come, the task ends when it has done what waits. Nobody sends anything.
        drop(orders);
        let _ = ended.await;
        let appended = shared.state().appended.clone();
        (appended, Ok(()))
    }
}

/// The time in which nothing is written because of a commit. It ends when the first batch behind it is stored: that one goes
/// alone, and a broker holds it until the markers of the commit are written (Kafka 4.2 looks every 20 ms).
struct Costing {
    so_far: Duration,
    appended: u32,
}

/// The writing side.
struct Task {
    writer: TransactionWriter,
    recorder: Recorder,
    followers: Option<Followers>,
    shared: Shared,
    phases: Phases,
    watch: Watch,
    /// Whether batches were written since the last commit.
    uncommitted: bool,
    /// What the last commit has cost so far, while its first batches are awaited.
    costing: Option<Costing>,
    /// Not before then is anything written again.
    go_on: Instant,
    _ends: oneshot::Sender<()>,
    #[cfg(test)]
    record_apart: bool,
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Ended {
        let mut trouble = None;
        while let Some(order) = orders.recv().await {
            self.watch.lap(Stage::AwaitMerge);
            let done = self.carry_out(order).await;
            self.tell();
            if let Err(error) = done {
                trouble = Some(error);
                break;
            }
        }
        drop(orders);
        Ended { producer: self.writer.into_producer().await, recorder: self.recorder, trouble }
    }

    async fn carry_out(&mut self, Order { batch, commit }: Order) -> Result<(), WriteTrouble> {
        if batch.is_some() {
            self.phases.reached(Phase::Produce);
        }
        match (batch, commit) {
            (Some(batch), None) => {
                self.uncommitted = true;
                self.append(batch).await?
            }
            (batch, Some(reached)) => self.commit(batch, reached).await?,
            (None, None) => {}
        }
        Ok(())
    }

    async fn commit(&mut self, batch: Option<Outgoing>, reached: Reached) -> Result<(), WriteTrouble> {
        if batch.is_none() && self.uncommitted {
            let what = "a commit came without the last batch that it speaks of (a defect of this program)";
            return Err(WriteTrouble::Job(JobError::Refused(what.to_owned())));
        }
        let last = match batch {
            Some(batch) => {
                let last = Recorder::last_of(&batch).map_err(WriteTrouble::Job)?;
                self.append(batch).await?;
                Some(last)
            }
            None => None,
        };
        self.writer.flush().await?;
        self.watch.lap(Stage::Produce);
        self.tell_cost();
        // From here on nothing is written because of the commit.
        let began = Instant::now();
        self.tell();
        if let Some(Followers { group, inputs, at_the_end }) = &self.followers
            && (reached.complete || !at_the_end)
        {
            let offsets = inputs.iter().cloned().zip(reached.positions.iter().copied());
            let group = Membership::only_a_name(group);
            self.writer.offsets(&group, &offsets.collect::<Vec<_>>()).await?;
        }
        self.phases.reached(Phase::JobRecord);
        let record = self.recorder.record(last, &self.writer.appended(), reached).map_err(WriteTrouble::Job)?;
        #[cfg(test)]
        if self.record_apart {
            self.writer.commit().await?;
        }
        self.writer.record(record).await?;
        self.phases.reached(Phase::EndTxn);
        self.writer.commit().await?;
        self.phases.reached(Phase::AfterCommit);
        self.watch.lap(Stage::Commit);
        self.recorder.committed();
        self.uncommitted = false;
        self.costing = Some(Costing { so_far: began.elapsed(), appended: 0 });
        self.go_on = Instant::now() + self.shared.state().pace.breath();
        Ok(())
    }

    async fn append(&mut self, batch: Outgoing) -> Result<(), Trouble> {
        let began = Instant::now();
        sleep_until(self.go_on).await;
        // The breath after a commit is part of what it costs.
        self.watch.lap(Stage::Commit);
        self.writer.append(batch).await?;
        self.watch.lap(Stage::Produce);
        if let Some(costing) = &mut self.costing {
            costing.so_far += began.elapsed();
            costing.appended += 1;
            // The second one had to wait until the first was stored.
            if costing.appended == 2 {
                self.tell_cost();
            }
        }
        Ok(())
    }

    fn tell_cost(&mut self) {
        if let Some(Costing { so_far, .. }) = self.costing.take() {
            self.shared.state().pace.cost(so_far);
        }
    }

    /// Lets the other side see what is stored, and gives buffers back.
    fn tell(&mut self) {
        let mut state = self.shared.state();
        state.appended = self.writer.appended();
        while let Some(spare) = self.writer.spare() {
            state.spares.push(spare);
        }
    }
}
