//! Transactions and committed offsets: what Kafka's coordinators keep.
//!
//! ```text
//!  InitProducerId, AddPartitionsToTxn, EndTxn …     Produce, TxnOffsetCommit
//!          │  at the id's node (seats)                   │ ask before they take something of a transaction
//!          ▼                                             ▼
//!   ids ── transaction: pure rules          groups (offsets): in force, and pending
//!          │
//!          ▼ a decided one
//!   markers: a task that writes them to the partitions' logs a little after the client has its answer
//! ```
//!
//! - It lies with the cluster: a node that stops loses nothing, the next one goes on.
//! - A decided transaction is complete once its markers are below the high watermark of every partition; until then
//!   nobody gets its id, which makes InitProducerId a barrier.
//! - Everything is paid for from the broker's memory. Ids are never forgotten (Kafka does that after a week).

mod hooks;
mod markers;
mod offsets;
mod seats;
mod transaction;

#[cfg(test)]
mod tests;

use super::cluster::{Cluster, lock};
use super::memory::Paid;
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use hooks::TransactionSeen;
pub(crate) use markers::Worker;
pub(crate) use offsets::{Committed, Groups};
pub(crate) use seats::{Seats, Sort, partition as internal_partition};
pub(crate) use transaction::{Part, Phase, Producer, Transaction};

/// Kafka's `transaction.max.timeout.ms`.
const TIMEOUT_MS_MAX: i32 = 900_000;

/// How long a request waits inside the broker for the transaction before its own to be complete
/// (`add.partitions.to.txn.retry.backoff.max.ms`).
const PATIENCE: Duration = Duration::from_millis(100);

/// What an id and a part of its transaction cost beside their strings.
const ID_BYTES: usize = 512;
const PART_BYTES: usize = 96;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    ids: Mutex<BTreeMap<Arc<str>, Entry>>,
    groups: Mutex<Groups>,
    pub(crate) seats: Seats,
    held: Mutex<Held>,
    /// There is something to do for the task that writes markers.
    wake: Notify,
    /// A transaction is complete.
    completed: Notify,
}

/// An id and what it takes to end its transaction.
#[derive(Debug)]
struct Entry {
    transaction: Transaction,
    /// When its end was decided.
    decided: Option<Instant>,
    /// Where the logs ended behind the markers that are written.
    written: BTreeMap<TopicPartition, i64>,
    parts_paid: Vec<Paid>,
    _paid: Paid,
}

/// The markers that a test holds back.
#[derive(Debug, Default)]
struct Held {
    all: bool,
    partitions: BTreeSet<TopicPartition>,
}

impl Coordinator {
    pub(crate) fn groups(&self) -> MutexGuard<'_, Groups> {
        lock(&self.groups)
    }

    /// Gives a transactional id to a producer.
    pub(crate) fn init(
        &self,
        cluster: &Cluster,
        id: &str,
        expected: Option<Producer>,
        timeout_ms: i32,
    ) -> Result<Producer, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        if !(1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let mut ids = lock(&self.ids);
        if !ids.contains_key(id) {
            let paid = cluster.memory.take(ID_BYTES + id.len()).ok_or(ErrorCode::CoordinatorNotAvailable)?;
            let transaction = Transaction::new(cluster.next_producer_id());
            ids.insert(id.into(), Entry::new(transaction, paid));
        }
        let entry = ids.get_mut(id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let raises = cluster.features().raises_epochs();
        let given = entry.transaction.init(expected, timeout_ms, raises, || cluster.next_producer_id());
        self.decided(entry);
        given
    }

    /// Adds what a producer is about to write to.
    pub(crate) fn add(
        &self,
        cluster: &Cluster,
        id: &str,
        producer: Producer,
        parts: Vec<Part>,
    ) -> Result<(), ErrorCode> {
        self.with(id, |entry| {
            let missing = entry.transaction.missing(producer, &parts)?;
            if missing > 0 {
                let names = |part: &Part| match part {
                    Part::Partition(_) => 0,
                    Part::Group(group) => group.len(),
                };
                let bytes = missing * PART_BYTES + parts.iter().map(names).sum::<usize>();
                let paid = cluster.memory.take(bytes).ok_or(ErrorCode::CoordinatorNotAvailable)?;
                entry.parts_paid.push(paid);
            }
            entry.transaction.add(producer, parts, now_ms())?;
            // It may be the next one to expire.
            self.wake.notify_one();
            Ok(())
        })
    }

    /// The same, and waits a little where the producer's last transaction is not complete yet.
    pub(crate) async fn add_patiently(
        &self,
        cluster: &Cluster,
        id: &str,
        producer: Producer,
        parts: Vec<Part>,
    ) -> Result<(), ErrorCode> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut completed = std::pin::pin!(self.completed.notified());
            completed.as_mut().enable();
            match self.add(cluster, id, producer, parts.clone()) {
                Err(ErrorCode::ConcurrentTransactions) => {}
                answer => return answer,
            }
            if tokio::time::timeout_at(deadline, completed).await.is_err() {
                return Err(ErrorCode::ConcurrentTransactions);
            }
        }
    }

    /// Says whether a producer has added that part.
    pub(crate) fn verify(&self, id: &str, producer: Producer, part: &Part) -> Result<(), ErrorCode> {
        self.with(id, |entry| entry.transaction.verify(producer, part))
    }

    /// Decides a transaction; `raises` says that the client wants the next epoch with the answer.
    pub(crate) fn end(
        &self,
        cluster: &Cluster,
        id: &str,
        producer: Producer,
        commits: bool,
        raises: bool,
    ) -> Result<Producer, ErrorCode> {
        self.with(id, |entry| {
            let ended = if raises {
                entry.transaction.end_raising(producer, commits, now_ms(), || cluster.next_producer_id())
            } else {
                entry.transaction.end(producer, commits)
            };
            self.decided(entry);
            ended
        })
    }

    /// How an id stands.
    pub(crate) fn look(&self, id: &str) -> Option<Transaction> {
        lock(&self.ids).get(id).map(|entry| entry.transaction.clone())
    }

    /// All ids and how they stand.
    pub(crate) fn look_at_all(&self) -> Vec<(Arc<str>, Transaction)> {
        lock(&self.ids).iter().map(|(id, entry)| (id.clone(), entry.transaction.clone())).collect()
    }

    /// The node of a transactional id, if somebody could reach it.
    pub(crate) fn reachable(&self, cluster: &Cluster, id: &str) -> Result<(), ErrorCode> {
        let node = self.seats.node(Sort::Transaction, id, cluster);
        let reachable = node.is_some_and(|node| cluster.is_reachable(node));
        if reachable { Ok(()) } else { Err(ErrorCode::CoordinatorNotAvailable) }
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Entry) -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        act(lock(&self.ids).get_mut(id).ok_or(ErrorCode::InvalidProducerIdMapping)?)
    }

    /// Where the end was decided just now, the markers are to be written.
    fn decided(&self, entry: &mut Entry) {
        if entry.transaction.phase.is_ending() && entry.decided.is_none() {
            entry.decided = Some(Instant::now());
            self.wake.notify_one();
        }
    }
}

impl Entry {
    fn new(transaction: Transaction, paid: Paid) -> Self {
        Self { transaction, decided: None, written: BTreeMap::new(), parts_paid: Vec::new(), _paid: paid }
    }

    fn complete(&mut self) {
        self.transaction.complete();
        self.decided = None;
        self.written.clear();
        self.parts_paid.clear();
    }
}
