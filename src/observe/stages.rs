//! The stage clock of a merge: for how long each of its stages worked, and for how long it waited for which other one.
//!
//! ```text
//!  fetch (a task a source)      merge (one task)                       produce (one task, where output is committed)
//!  ┌───────┬──────────────┐    ┌───────┬───────┬────────┬──────────┐   ┌─────────┬────────┬───────────────┐
//!  │ fetch │ wait for room│ ──▶│decode │ order │ encode │ waits  ◀─┼──▶│ produce │ commit │ wait for merge│
//!  └───────┴──────────────┘    └───────┴───────┴────────┴──────────┘   └─────────┴────────┴───────────────┘
//! ```
//!
//! Where workers decode ahead of the merge they are tasks between the first two: `decode: worked, waited`. The merge then waits for
//! them, or, where they wait for a window themselves, for the broker.
//!
//! Each task has a [`Watch`]: at every change of what it does the time since the last change is added to what it did. So the times of a
//! task add up to its life, nothing is counted twice, and the clock is read once for a window or a batch, never for a record.
//!
//! What binds is told from the merging task, which stands between the two others: while it has to wait, whom it waits for is
//! the slowest; where it waits for less than a quarter of its time, it is the slowest itself. Between them are buffers, so somebody who is only now and then
//! slow does not show, and need not.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a task of the merge does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A source waits for the broker's records.
    Fetch,
    /// A source has records, and waits until there is room for more.
    AwaitRoom,
    /// The merging task takes records and keys out of what was fetched.
    Decode,
    /// It finds their order.
    Order,
    /// It copies them into batches.
    Encode,
    /// It waits for records of a source.
    AwaitFetch,
    /// It waits for a worker that decodes records of a source.
    AwaitDecode,
    /// It waits until a batch is taken from it.
    AwaitProduce,
    /// The writing task waits for the broker to store batches.
    Produce,
    /// It commits.
    Commit,
    /// It waits for a batch.
    AwaitMerge,
    /// A worker takes records and keys out of what was fetched, ahead of the merging task.
    DecodeAhead,
    /// It has nothing to decode, or nobody to decode for.
    AwaitWork,
}

const STAGES: usize = Stage::AwaitWork as usize + 1;

/// The merge counts as what binds if it waits for less than this part of its time. That little is waited where tasks share
/// processors, also if nobody is slow; and with nobody to wait for it would be faster by no more than a third.
const WAITING_MAX: f64 = 0.25;

/// The times of all tasks of a job. Clones share them.
#[derive(Debug, Clone)]
pub struct Stages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    zero: Instant,
    spent_ns: [AtomicU64; STAGES],
    /// Workers that decode ahead, at most at once.
    workers: AtomicU64,
}

impl Default for Stages {
    fn default() -> Self {
        Self(Arc::new(Inner { zero: Instant::now(), spent_ns: Default::default(), workers: AtomicU64::new(0) }))
    }
}

impl Stages {
    /// The watch of a task that begins now.
    pub fn watch(&self) -> Watch {
        Watch(Arc::new(Watched { stages: self.clone(), since_ns: AtomicU64::new(self.now_ns()) }))
    }

    /// What each stage has taken since there is this clock: numbers that only grow.
    pub fn times(&self) -> StageTimes {
        StageTimes(std::array::from_fn(|stage| Duration::from_nanos(self.0.spent_ns[stage].load(Relaxed))))
    }

    /// So many workers decode ahead now.
    pub fn decoded_by(&self, workers: usize) {
        self.0.workers.fetch_max(workers as u64, Relaxed);
    }

    /// How many workers have decoded ahead.
    pub fn workers(&self) -> usize {
        self.0.workers.load(Relaxed) as usize
    }

    fn now_ns(&self) -> u64 {
        self.0.zero.elapsed().as_nanos() as u64
    }
}

/// One task's look at the clock. Clones are of the same task.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    stages: Stages,
    since_ns: AtomicU64,
}

impl Watch {
    /// What the task did since it was asked last was `stage`.
    pub fn lap(&self, stage: Stage) {
        self.lap_at(stage, self.0.stages.now_ns());
    }

    /// What the task did since it was asked last was `stage`, but for what lies in `other`'s time: that was `other`.
    pub fn lap_but(&self, stage: Stage, other: Stage, from: Instant, to: Instant) {
        let ns = |at: Instant| at.saturating_duration_since(self.0.stages.0.zero).as_nanos() as u64;
        let now = self.0.stages.now_ns();
        let since = self.0.since_ns.load(Relaxed);
        let from = ns(from).clamp(since, now.max(since));
        self.lap_at(stage, from);
        self.lap_at(other, ns(to).clamp(from, now.max(from)));
        self.lap(stage);
    }

    fn lap_at(&self, stage: Stage, now_ns: u64) {
        let since_ns = self.0.since_ns.swap(now_ns, Relaxed);
        self.0.stages.0.spent_ns[stage as usize].fetch_add(now_ns.saturating_sub(since_ns), Relaxed);
    }
}

/// What each stage took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes([Duration; STAGES]);

/// What a merge would have to be rid of to be faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The broker, giving records.
    Fetch,
    /// The merge itself.
    Merge,
    /// Those who decode for it.
    Decode,
    /// The broker, storing batches.
    Produce,
    /// The broker, committing.
    Commit,
}

impl Bound {
    /// As it is reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Merge => "merge",
            Self::Decode => "decode",
            Self::Produce => "produce",
            Self::Commit => "commit",
        }
    }

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fetch => "broker (fetching)",
            Self::Merge => "merge",
            Self::Decode => "decoding (more --threads may help)",
            Self::Produce => "broker (storing)",
            Self::Commit => "broker (committing)",
        }
    }
}

impl StageTimes {
    /// What one stage took.
    pub fn of(&self, stage: Stage) -> Duration {
        self.0[stage as usize]
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|stage| self.0[stage].saturating_add(other.0[stage])))
    }

    /// What was added since `before`.
    pub fn since(self, before: Self) -> Self {
        Self(std::array::from_fn(|stage| self.0[stage].saturating_sub(before.0[stage])))
    }

    fn sum(&self, stages: &[Stage]) -> f64 {
        stages.iter().map(|stage| self.of(*stage).as_secs_f64()).sum()
    }

    /// The life of the merging task.
    fn merging(&self) -> f64 {
        self.sum(&MERGE.map(|(stage, ..)| stage))
    }

    /// What part of its time the merging task waited for somebody.
    pub fn waiting_share(&self) -> f64 {
        let waited = self.sum(&[Stage::AwaitFetch, Stage::AwaitDecode, Stage::AwaitProduce]);
        if waited > 0.0 { waited / self.merging() } else { 0.0 }
    }

    /// What the merge was bound by; `None` where nothing was merged.
    pub fn bound(&self) -> Option<Bound> {
        let waits = [Stage::AwaitFetch, Stage::AwaitDecode, Stage::AwaitProduce];
        let [fetch, decode, produce] = waits.map(|stage| self.of(stage));
        if self.merging() <= 0.0 {
            None
        } else if self.waiting_share() < WAITING_MAX {
            Some(Bound::Merge)
        } else if decode > fetch && decode > produce {
            Some(Bound::Decode)
        } else if fetch > produce {
            Some(Bound::Fetch)
        } else if self.of(Stage::Commit) > self.of(Stage::Produce) {
            Some(Bound::Commit)
        } else {
            Some(Bound::Produce)
        }
    }

    /// What binds, for people.
    pub fn summary(&self) -> Option<String> {
        let percent = |share: f64| (share * 100.0).round();
        let (bound, waiting) = (self.bound()?, percent(self.waiting_share()));
        Some(match bound {
            Bound::Merge => format!("bound by: merge, which waited for the broker {waiting} % of its time"),
            bound => format!("bound by: {}, for which the merge waited {waiting} % of its time", bound.words()),
        })
    }

    /// All of it, in seconds; `null` where nothing was merged.
    pub fn to_json(&self) -> Value {
        if self.merging() <= 0.0 {
            return Value::Null;
        }
        let of_task = |task: &[(Stage, &str)]| -> Value {
            task.iter().map(|(stage, name)| ((*name).to_owned(), json!(self.of(*stage).as_secs_f64()))).collect()
        };
        json!({
            "fetch": of_task(&FETCH),
            "decode": of_task(&DECODE),
            "merge": of_task(&MERGE),
            "produce": of_task(&PRODUCE),
        })
    }

    /// All of it, as shares of each task's time, for who wants to know more.
    pub fn shares(&self) -> String {
        let mut out = String::new();
        for (task, stages) in [("fetch", &FETCH[..]), ("decode", &DECODE), ("merge", &MERGE), ("produce", &PRODUCE)] {
            let life: f64 = stages.iter().map(|(stage, _)| self.of(*stage).as_secs_f64()).sum();
            if life <= 0.0 {
                continue;
            }
            let _ = write!(out, "{}{task}:", if out.is_empty() { "" } else { "; " });
            for (index, (stage, name)) in stages.iter().enumerate() {
                let percent = self.of(*stage).as_secs_f64() / life * 100.0;
                let _ = write!(out, "{} {} {percent:.0} %", if index == 0 { "" } else { "," }, name.replace('_', " "));
            }
        }
        out
    }
}

/// What each task does, by the names that are reported.
const FETCH: [(Stage, &str); 2] = [(Stage::Fetch, "worked"), (Stage::AwaitRoom, "waited_for_merge")];
const DECODE: [(Stage, &str); 2] = [(Stage::DecodeAhead, "worked"), (Stage::AwaitWork, "waited")];
const MERGE: [(Stage, &str); 6] = [
    (Stage::Decode, "decoded"),
    (Stage::Order, "ordered"),
    (Stage::Encode, "encoded"),
    (Stage::AwaitFetch, "waited_for_fetch"),
    (Stage::AwaitDecode, "waited_for_decode"),
    (Stage::AwaitProduce, "waited_for_produce"),
];
const PRODUCE: [(Stage, &str); 3] =
    [(Stage::Produce, "worked"), (Stage::Commit, "committed"), (Stage::AwaitMerge, "waited_for_merge")];

#[cfg(test)]
mod tests {
    use super::*;

    fn times(spent: &[(Stage, u64)]) -> StageTimes {
        let mut times = StageTimes::default();
        for (stage, ms) in spent {
            times.0[*stage as usize] += Duration::from_millis(*ms);
        }
        times
    }

    #[test]
    fn the_times_of_a_task_add_up_to_its_life_and_other_tasks_have_their_own() {
        let stages = Stages::default();
        let (one, other) = (stages.watch(), stages.watch());
        let start = one.0.since_ns.load(Relaxed);
        other.0.since_ns.store(start + 5, Relaxed);
        one.lap_at(Stage::Order, start + 10);
        one.clone().lap_at(Stage::Encode, start + 30);
        other.lap_at(Stage::Commit, start + 12);
        one.lap_at(Stage::Order, start + 31);
        // A clock that seems to run backwards adds nothing.
        one.lap_at(Stage::Decode, start + 20);
        let times = stages.times();
        let ns = |stage| times.of(stage).as_nanos();
        assert_eq!((ns(Stage::Order), ns(Stage::Encode), ns(Stage::Commit), ns(Stage::Decode)), (11, 20, 7, 0));
    }

    #[test]
    fn of_a_wait_for_a_worker_what_the_worker_waited_for_the_broker_is_waiting_for_the_broker() {
        let stages = Stages::default();
        let zero = stages.0.zero;
        let at = |ms| zero + Duration::from_millis(ms);
        let wait = |asked_ms: u64, from, to| {
            let before = stages.times();
            let watch = stages.watch();
            watch.0.since_ns.store(asked_ms * 1_000_000, Relaxed);
            watch.lap_but(Stage::AwaitDecode, Stage::AwaitFetch, at(from), at(to));
            let times = stages.times().since(before);
            let [fetch, decode] =
                [Stage::AwaitFetch, Stage::AwaitDecode].map(|stage| times.of(stage).as_nanos() as u64);
            (fetch, fetch + decode, stages.now_ns() - asked_ms * 1_000_000)
        };
        // The watch cannot be turned forward: wait until there is something behind us.
        while stages.now_ns() < 40_000_000 {
            std::hint::spin_loop();
        }
        for (asked, from, to, fetch_ms) in [(10, 20, 30, 10), (10, 0, 25, 15), (10, 0, 5, 0), (10, 30, 20, 0)] {
            let (fetch, all, until) = wait(asked, from, to);
            assert_eq!(fetch, fetch_ms * 1_000_000, "{asked} {from} {to}");
            assert!(all <= until && all >= 30_000_000, "nothing twice and nothing lost: {all} of {until}");
        }
        let (fetch, all, _) = wait(10, 20, 1 << 40);
        assert!(fetch >= 20_000_000 && fetch < all, "{fetch} of {all}");
    }

    #[test]
    fn only_what_was_added_since_counts() {
        let before = times(&[(Stage::Order, 5), (Stage::Encode, 1)]);
        let after = times(&[(Stage::Order, 7), (Stage::Encode, 1), (Stage::Commit, 3)]);
        assert_eq!(after.since(before), times(&[(Stage::Order, 2), (Stage::Commit, 3)]));
    }

    #[test]
    fn who_is_waited_for_binds_and_where_nobody_is_the_merge_does() {
        let work = [(Stage::Decode, 40), (Stage::Order, 30), (Stage::Encode, 20)];
        let with = |more: &[(Stage, u64)]| times(&[&work[..], more].concat());
        assert_eq!(times(&[]).bound(), None);
        assert_eq!(with(&[(Stage::AwaitFetch, 12), (Stage::AwaitProduce, 13)]).bound(), Some(Bound::Merge));
        assert_eq!(with(&[(Stage::AwaitFetch, 40), (Stage::AwaitProduce, 5)]).bound(), Some(Bound::Fetch));
        let decoding = [(Stage::AwaitFetch, 5), (Stage::AwaitDecode, 40), (Stage::AwaitProduce, 30)];
        assert_eq!(with(&decoding).bound(), Some(Bound::Decode));
        let slow = [(Stage::AwaitFetch, 5), (Stage::AwaitDecode, 30), (Stage::AwaitProduce, 40)];
        assert_eq!(
            with(&[&slow[..], &[(Stage::Produce, 9), (Stage::Commit, 8)]].concat()).bound(),
            Some(Bound::Produce)
        );
        assert_eq!(
            with(&[&slow[..], &[(Stage::Produce, 8), (Stage::Commit, 9)]].concat()).bound(),
            Some(Bound::Commit)
        );
        assert_eq!(with(&slow).bound(), Some(Bound::Produce), "without a writing task it waits for the broker itself");
    }

    #[test]
    fn what_is_told_has_stable_names_and_says_who_binds() {
        let times = times(&[(Stage::Order, 250), (Stage::AwaitProduce, 750), (Stage::Fetch, 100)]);
        let seconds = times.to_json();
        assert_eq!(seconds["merge"]["waited_for_produce"], 0.75);
        assert_eq!(seconds["merge"]["ordered"], 0.25);
        assert_eq!(seconds["fetch"], json!({ "worked": 0.1, "waited_for_merge": 0.0 }));
        assert_eq!(seconds["produce"]["committed"], 0.0);
        assert_eq!(
            times.summary().as_deref(),
            Some("bound by: broker (storing), for which the merge waited 75 % of its time")
        );
        assert!(times.shares().contains("merge: decoded 0 %, ordered 25 %, encoded 0 %,"), "{}", times.shares());
        assert!(!times.shares().contains("produce: worked"), "a task that was not there: {}", times.shares());
        assert_eq!((StageTimes::default().to_json(), StageTimes::default().summary()), (Value::Null, None));
    }
}
