//! The task that ends transactions: writes the markers of those that are decided, aborts those that took too long.
//!
//! As in Kafka a client has its answer before the first marker is in a log: there is a pause of [`PAUSE`], about what was
//! measured there. A partition that nobody leads, a full memory, a node that does not answer: it is tried again until it
//! is done. A deleted partition needs no marker.

use super::transaction::{Part, Phase, Transaction};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::batch::control::{ControlType, marker};
use crate::broker::cluster::{Cluster, lock};
use crate::broker::log::{BATCH_OVERHEAD_BYTES, Block};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Between the answer and the markers.
const PAUSE: Duration = Duration::from_millis(2);

/// Until what could not be done is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// There is one coordinator all the time, and this is its epoch.
const COORDINATOR_EPOCH: i32 = 0;

/// The task. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Worker {
    task: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(cluster: &Arc<Cluster>) -> Self {
        Self { task: tokio::spawn(run(cluster.clone())) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(cluster: Arc<Cluster>) {
    let coordinator = &cluster.coordinator;
    loop {
        let mut woken = pin!(coordinator.wake.notified());
        woken.as_mut().enable();
        expire(&cluster);
        match end_decided(&cluster).min(next_expiry(&cluster)) {
            Wait::Until(time) => tokio::select! {
                () = woken => {}
                () = tokio::time::sleep_until(time) => {}
            },
            Wait::Woken => woken.await,
        }
    }
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    Until(Instant),
    Woken,
}

/// Aborts the transactions whose time is up.
fn expire(cluster: &Cluster) {
    let coordinator = &cluster.coordinator;
    let now_ms = now_ms();
    let mut ids = lock(&coordinator.ids);
    for (id, entry) in ids.iter_mut() {
        if entry.transaction.expires_ms().is_some_and(|at| at <= now_ms) && coordinator.reachable(cluster, id).is_ok() {
            entry.transaction.fence(cluster.features().raises_epochs());
            coordinator.decided(entry);
        }
    }
}

fn next_expiry(cluster: &Cluster) -> Wait {
    let ids = lock(&cluster.coordinator.ids);
    let expiries = ids.values().filter_map(|entry| entry.transaction.expires_ms());
    expiries.min().map_or(Wait::Woken, |at| {
        let left_ms = u64::try_from(at.saturating_sub(now_ms())).unwrap_or(0);
        Wait::Until(Instant::now() + Duration::from_millis(left_ms).max(RETRY))
    })
}

/// A transaction that is decided, as it was a moment ago.
struct Decided {
    id: Arc<str>,
    transaction: Transaction,
    since: Instant,
    written: BTreeMap<TopicPartition, i64>,
}

/// Goes on with every decided transaction as far as it gets.
fn end_decided(cluster: &Cluster) -> Wait {
    let coordinator = &cluster.coordinator;
    let now = Instant::now();
    let mut wait = Wait::Woken;
    let decided: Vec<Decided> = {
        let ids = lock(&coordinator.ids);
        let of = |(id, entry): (&Arc<str>, &super::Entry)| {
            let since = entry.decided?;
            let (transaction, written) = (entry.transaction.clone(), entry.written.clone());
            Some(Decided { id: id.clone(), since, transaction, written })
        };
        ids.iter().filter_map(of).collect()
    };
    for Decided { id, transaction, since, mut written } in decided {
        if now < since + PAUSE {
            wait = wait.min(Wait::Until(since + PAUSE));
            continue;
        }
        let is_done = coordinator.reachable(cluster, &id).is_ok() && mark(cluster, &transaction, &mut written);
        if is_done {
            let mut groups = coordinator.groups();
            for part in &transaction.parts {
                if let Part::Group(group) = part {
                    groups.end(group, transaction.producer.id, transaction.phase == Phase::PrepareCommit);
                }
            }
        } else {
            wait = wait.min(Wait::Until(now + RETRY));
        }
        // Nobody but this task changes a transaction while it is ending.
        if let Some(entry) = lock(&coordinator.ids).get_mut(&id) {
            entry.written = written;
            if is_done {
                entry.complete();
            }
        }
        if is_done {
            coordinator.completed.notify_waiters();
        }
    }
    wait
}

/// Writes the markers that are missing; says whether all are written and safe.
fn mark(cluster: &Cluster, transaction: &Transaction, written: &mut BTreeMap<TopicPartition, i64>) -> bool {
    let held = lock(&cluster.coordinator.held);
    let mut all = !held.all;
    for part in &transaction.parts {
        match part {
            Part::Partition(at) if held.all || held.partitions.contains(at) => all = false,
            Part::Partition(at) => all &= mark_one(cluster, transaction, at, written),
            Part::Group(_) => {}
        }
    }
    all
}

fn mark_one(
    cluster: &Cluster,
    transaction: &Transaction,
    at: &TopicPartition,
    written: &mut BTreeMap<TopicPartition, i64>,
) -> bool {
    let Some(partition) = cluster.partition(at) else { return true };
    let mut state = partition.state();
    if let Some(end) = written.get(at).filter(|end| **end <= state.log.end()) {
        return state.log.high_watermark() >= *end;
    }
    if !cluster.is_reachable(state.leader) {
        return false;
    }
    let kind = if transaction.phase == Phase::PrepareCommit { ControlType::Commit } else { ControlType::Abort };
    let (producer, now_ms) = (transaction.producer, now_ms());
    let Ok(bytes) = marker(0, kind, now_ms, producer.id, producer.epoch, COORDINATOR_EPOCH) else { return false };
    let Some(paid) = cluster.memory.take(bytes.len() + BATCH_OVERHEAD_BYTES) else { return false };
    let (end, block) = (state.log.end(), Block::new(bytes.into(), paid));
    if state.replicate(end, block, &cluster.memory, now_ms).is_err() {
        return false;
    }
    written.insert(at.clone(), state.log.end());
    let is_safe = state.log.high_watermark() >= state.log.end();
    drop(state);
    partition.changed.notify_waiters();
    is_safe
}
