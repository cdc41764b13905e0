//! The task that copies partitions to the nodes they are reassigned to, and ends the moves that are done.
//!
//! There is one copy of the data, so what is copied is the right to serve it: how far a new replica reaches is noted and moved
//! on piece by piece, by a node that is alive and answers. Readers and writers go on meanwhile, at the old leader, and learn of
//! the new one as in Kafka, by being refused. Where a throttle is set (`rates`) the pieces are as large as that lets them be.

use super::rates::{End, Pace, Rates, is_throttled};
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
use tokio::time::Instant;

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
    /// How fast nodes may copy.
    pub(crate) rates: Rates,
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
    let mut pace = Pace::default();
    loop {
        let mut woken = pin!(cluster.moves.wake.notified());
        woken.as_mut().enable();
        let moving: Vec<TopicPartition> = lock(&cluster.moves.under_way).iter().cloned().collect();
        let mut best = Turn::Over;
        for at in moving {
            let turn = cluster.partition(&at).map_or(Turn::Over, |partition| turn(&cluster, &partition, &mut pace));
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

fn turn(cluster: &Cluster, partition: &Partition, pace: &mut Pace) -> Turn {
    let config = cluster.topic(&partition.at.topic).map(|topic| topic.config());
    let mut state = partition.state();
    if !state.moving.is_under_way() {
        return Turn::Over;
    }
    let held = *lock(&cluster.moves.held);
    let serves = |node: i32| cluster.is_alive(node) && cluster.is_reachable(node);
    // The ends of a copy that a throttle holds for, with their rates.
    let leader = state.leader;
    let throttled = |follower: i32| {
        let ends = [(leader, End::Leader), (follower, End::Follower)].into_iter();
        ends.filter_map(|(node, end)| {
            let config = config.as_ref().filter(|config| is_throttled(config, end, partition.at.partition, node));
            config.and(cluster.moves.rates.get(node, end)).map(|rate| (node, end, rate))
        })
    };
    let mut copied = false;
    if !held && state.leader_serves(serves) {
        let now = Instant::now();
        let room = |follower: i32| {
            let rooms = throttled(follower).map(|(node, end, rate)| pace.room(node, end, rate, now));
            rooms.min().map_or(PIECE_BYTES, |room| room.min(PIECE_BYTES))
        };
        for (follower, bytes) in state.copy_on(room, serves) {
            throttled(follower).for_each(|(node, end, _)| pace.used(node, end, bytes));
            copied = true;
        }
    }
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
