//! The task that copies partitions to the nodes they are reassigned to, and ends the moves that are done.
//!
//! There is one copy of the data, so what is copied is the right to serve it: how far a new replica reaches is noted and moved
//! on piece by piece, by a node that is alive and answers. Readers and writers go on meanwhile, at the old leader, and learn of
//! the new one as in Kafka, by being refused.

use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::broker::cluster::{Cluster, lock};
use crate::broker::topic::Partition;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a new replica gets in one turn.
const PIECE_BYTES: usize = 4 << 20;

/// Between two turns.
const PAUSE: Duration = Duration::from_millis(1);

/// Until what could not be done (a node is down, a test holds it) is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The partitions that are being moved.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    under_way: Mutex<BTreeSet<TopicPartition>>,
    /// A test wants copies to stand still.
    held: Mutex<bool>,
    wake: Notify,
}

impl Moves {
    /// Has the task look at a partition.
    pub(crate) fn add(&self, at: TopicPartition) {
        lock(&self.under_way).insert(at);
        self.wake.notify_one();
    }

    /// Copies stand still, or go on.
    pub(crate) fn hold(&self, held: bool) {
        *lock(&self.held) = held;
        self.wake.notify_one();
    }
}

/// The task. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Mover {
    task: JoinHandle<()>,
}

impl Mover {
    pub(crate) fn start(cluster: &Arc<Cluster>) -> Self {
        Self { task: tokio::spawn(run(cluster.clone())) }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What one turn of a partition has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Over,
    Stuck,
    Copied,
}

async fn run(cluster: Arc<Cluster>) {
    loop {
        let mut woken = pin!(cluster.moves.wake.notified());
        woken.as_mut().enable();
        let moving: Vec<TopicPartition> = lock(&cluster.moves.under_way).iter().cloned().collect();
        let mut best = Turn::Over;
        for at in moving {
            let turn = cluster.partition(&at).map_or(Turn::Over, |partition| turn(&cluster, &partition));
            if turn == Turn::Over {
                over(&cluster, &at);
            }
            best = best.max(turn);
            tokio::task::yield_now().await;
        }
        match best {
            Turn::Over => woken.await,
            Turn::Copied => tokio::time::sleep(PAUSE).await,
            Turn::Stuck => tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(RETRY) => {}
            },
        }
    }
}

/// A partition moves no more, unless it was given another aim since it was looked at.
fn over(cluster: &Cluster, at: &TopicPartition) {
    let mut under_way = lock(&cluster.moves.under_way);
    let moves = cluster.partition(at).is_some_and(|partition| partition.state().moving.is_under_way());
    if !moves {
        under_way.remove(at);
    }
}

fn turn(cluster: &Cluster, partition: &Partition) -> Turn {
    let mut state = partition.state();
    if !state.moving.is_under_way() {
        return Turn::Over;
    }
    let held = *lock(&cluster.moves.held);
    let serves = |node: i32| cluster.is_alive(node) && cluster.is_reachable(node);
    let copied = !held && state.leader_serves(serves) && state.copy_on(PIECE_BYTES, serves);
    let over = state.end_move(|node| cluster.is_alive(node), &cluster.memory, now_ms());
    drop(state);
    if copied || over {
        partition.changed.notify_waiters();
    }
    match (over, copied) {
        (true, _) => Turn::Over,
        (false, true) => Turn::Copied,
        (false, false) => Turn::Stuck,
    }
}
