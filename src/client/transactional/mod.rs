//! A transactional producer: what it writes between two commits is seen by readers of committed records whole or not at all,
//! and whoever takes the same transactional id later shuts it out.
//!
//! ```text
//!  Cluster::transactional ──▶ TransactionalProducer ──▶ writer ──▶ append … append ──▶ record, commit ──┐
//!   (fences, once)              ▲      (machine.rs decides what every answer means)   ▲                 │
//!                               │                                                     └── next epoch ◀──┘
//!                               └── resolve ◀── any doubt: abort, ask with the current epoch, read again
//! ```
//!
//! Non-obvious:
//! - An error here is one of three things ([`Trouble`]): a doubt, after which [`TransactionalProducer::resolve`] tells whether
//!   we may go on; being fenced; or the end. What was appended since the last commit is worth nothing after any of them.
//! - Batches are written by the same writer as outside transactions. In an open transaction the broker never forgets a
//!   producer, however old its records are.
//! - The record that goes with a commit is written last, to a partition that others write to as well.
//! - There are two writers: of one partition that nobody else writes to, with a record beside it (`writer.rs`), and of any number
//!   of partitions that others write to as well (`spread.rs`), with the offsets of who reads in a group.

mod coordinator;
mod machine;
mod offsets;
mod spread;
mod way;
mod writer;

pub use spread::SpreadWriter;
pub use writer::TransactionWriter;

use super::cluster::Cluster;
use super::deadline::Deadline;
use super::error::ClientError;
use super::produce::Identity;
use super::retry::{Verdict, verdict};
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use coordinator::Asked;
use machine::{Action, Event, State, Way, step};
use std::sync::Arc;
use std::time::Duration;

/// Why nothing more can be written in this transaction.
#[derive(Debug)]
pub enum Trouble {
    /// It is not known what became of it, or it is known to be void. [`TransactionalProducer::resolve`] decides.
    Doubt(ClientError),
    /// Another instance has taken over.
    Fenced(ClientError),
    /// It cannot be.
    Stop(ClientError),
}

impl Trouble {
    /// What went wrong.
    pub fn into_error(self) -> ClientError {
        match self {
            Self::Doubt(error) | Self::Fenced(error) | Self::Stop(error) => error,
        }
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct TransactionalProducer {
    cluster: Cluster,
    id: Arc<str>,
    /// After which the coordinator aborts a transaction by itself.
    timeout: Duration,
    way: Way,
    identity: Identity,
    state: State,
    /// The broker that keeps the id.
    coordinator: Option<i32>,
    /// The broker that keeps the group whose offsets move along.
    group_coordinator: Option<i32>,
    /// On the explicit way: what the open transaction has been told to hold.
    added: Vec<TopicPartition>,
}

/// How a transaction has ended.
enum Ended {
    AsAsked,
    /// What became of it stands in the log; this is why that is not known.
    Somehow(ClientError),
}

impl Cluster {
    /// Takes the transactional id `id`: whoever had it can write nothing more, and what was open under it is aborted. When
    /// this returns, everything written under it before is decided.
    pub async fn transactional(&self, id: &str, timeout: Duration) -> Result<TransactionalProducer, Trouble> {
        let way = self.way().await.map_err(Trouble::Stop)?;
        let mut producer = TransactionalProducer {
            cluster: self.clone(),
            id: id.into(),
            timeout,
            way,
            identity: Identity { id: -1, epoch: -1 },
            state: State::Starting,
            coordinator: None,
            group_coordinator: None,
            added: Vec::new(),
        };
        producer.drive(Action::Init).await?;
        tracing::debug!(
            id,
            ?way,
            producer_id = producer.identity.id,
            epoch = producer.identity.epoch,
            "transactional id taken"
        );
        Ok(producer)
    }
}

impl TransactionalProducer {
    /// What cannot be excluded on the way that is spoken, if anything.
    pub fn known_gap(&self) -> Option<&'static str> {
        (self.way == Way::Explicit).then_some(
            "these brokers do not run transaction.version 2: a request to end a transaction that is delayed on the network could \
             end the next one as well (KAFKA-17754). After every lost answer the producer's epoch is raised, which leaves a gap \
             only for copies that the network makes itself",
        )
    }

    /// Whether something may be open that readers wait for.
    pub fn holds_something_open(&self) -> bool {
        !matches!(self.state, State::Idle | State::Fenced | State::Stopped)
    }

    /// Whether somebody else has the transactional id by now, as its coordinator says; `false` where it does not tell. Asking
    /// changes nothing.
    pub async fn is_overtaken(&mut self) -> bool {
        let Some(now) = self.described().await else { return false };
        now != self.identity
    }

    /// After any doubt: voids what may be open and asks whether we are still the one. If so, whatever was written before
    /// is decided when this returns; what became of it stands in the log.
    pub async fn resolve(&mut self) -> Result<(), Trouble> {
        let (state, action) = step(self.way, self.state, Event::Doubt);
        self.state = state;
        self.drive(action).await.map(|_| ())
    }

    /// Before something is written to `partitions`.
    async fn begin(&mut self, partitions: &[TopicPartition]) -> Result<(), Trouble> {
        let (state, _) = step(self.way, self.state, Event::Begin);
        if state != State::Open {
            return Err(self.wrong("a transaction cannot begin now"));
        }
        self.state = state;
        let missing: Vec<_> = partitions.iter().filter(|one| !self.added.contains(one)).cloned().collect();
        if self.way == Way::Explicit && !missing.is_empty() {
            self.add(&missing).await?;
        }
        self.added.extend(missing);
        Ok(())
    }

    /// Lets everything written since the last commit stand. It was all acknowledged.
    async fn commit(&mut self) -> Result<(), Trouble> {
        let (state, action) = step(self.way, self.state, Event::Commit);
        self.state = state;
        match self.drive(action).await? {
            Ended::AsAsked => Ok(()),
            Ended::Somehow(error) => Err(Trouble::Doubt(error)),
        }
    }

    /// Does what the machine says until it says that we may go on.
    async fn drive(&mut self, mut action: Action) -> Result<Ended, Trouble> {
        let deadline = Deadline::after(self.cluster.timeout() * 4);
        let mut retry = self.cluster.retry_until(deadline);
        let mut asked = Asked::of(action);
        let mut doubt = None;
        loop {
            let answer = match action {
                Action::Continue => return Ok(Ended::AsAsked),
                Action::Init | Action::InitCurrent | Action::EndTxn(_) => {
                    asked = Asked::of(action);
                    self.ask(asked, deadline).await
                }
                Action::Again | Action::Elsewhere => self.ask(asked, deadline).await,
                Action::Adopt | Action::AdoptAndRecover | Action::GiveWay | Action::Stop => {
                    return Err(self.wrong("an answer without a question"));
                }
            };
            let (event, mut failure, identity) = match answer {
                Ok((ErrorCode::None, identity)) => (Event::Answered(ErrorCode::None), None, Some(identity)),
                Ok((code, _)) => (Event::Answered(code), Some(self.refusal(asked, code)), None),
                Err((event, error)) => (event, Some(error), None),
            };
            if event == Event::NotAsked
                && let Some(error) = failure.take_if(|error| verdict(error) == Verdict::Stop)
            {
                return Err(Trouble::Stop(error));
            }
            let (state, next) = step(self.way, self.state, event);
            self.state = state;
            action = next;
            let why =
                |this: &Self, failure: Option<ClientError>| failure.unwrap_or_else(|| this.wrong_error("no answer"));
            match action {
                Action::Adopt | Action::AdoptAndRecover => {
                    self.identity = identity.unwrap_or(self.identity);
                    self.added.clear();
                    return Ok(match action {
                        Action::Adopt => Ended::AsAsked,
                        _ => Ended::Somehow(doubt.unwrap_or_else(|| self.wrong_error("nothing was in doubt"))),
                    });
                }
                Action::GiveWay => return Err(Trouble::Fenced(self.fenced())),
                Action::Stop => return Err(Trouble::Stop(why(self, failure))),
                Action::Again | Action::Elsewhere => {
                    if action == Action::Elsewhere {
                        self.coordinator = None;
                    }
                    retry.after_verdict(why(self, failure), Verdict::Again).await.map_err(Trouble::Stop)?;
                }
                // It is known already what its own answer will say.
                Action::InitCurrent | Action::EndTxn(_) => doubt = failure.or(doubt),
                Action::Continue | Action::Init => {}
            }
        }
    }

    /// What there is to say where somebody else has the id.
    pub fn fenced(&self) -> ClientError {
        ClientError::Fenced { id: self.id.to_string(), explicit: self.way == Way::Explicit }
    }

    fn wrong(&self, what: &str) -> Trouble {
        Trouble::Stop(self.wrong_error(what))
    }

    fn wrong_error(&self, what: &str) -> ClientError {
        ClientError::Transaction {
            id: self.id.to_string(),
            what: format!("{what} (a defect of this program, {:?})", self.state),
        }
    }
}
