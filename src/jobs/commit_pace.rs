//! When to commit: every so often, sooner at the start, less often where commits cost too much.
//!
//! The first commit comes early, so that what is wrong with committing shows early and a short job that is killed keeps
//! something. From then on a commit comes each interval. What it costs is the time in which nothing is written because of it;
//! where that is more than [`COST_MAX`] of the time, the interval grows, and shrinks again when it has become cheap. It stays
//! far below the timeout after which the coordinator aborts a transaction.

use std::time::Duration;
use tokio::time::Instant;

/// The first commit comes after so long, if the interval is not shorter.
const FIRST: Duration = Duration::from_millis(100);
/// The interval grows up to this, or to what was asked for.
const STRETCHED_MAX: Duration = Duration::from_secs(5);
/// The share of the time that commits may take.
const COST_MAX: f64 = 0.03;
/// What a broker that is not busy takes to write the markers of a commit. A batch that comes sooner is held back for at least
/// 20 ms (its `add.partitions.to.txn.retry.backoff.ms`).
const BREATH: Duration = Duration::from_millis(5);
/// And no more than this part of the interval is waited for them.
const OF_INTERVAL: u32 = 100;
/// A transaction is over after this part of its timeout.
const OF_TIMEOUT: u32 = 4;
/// And after so many bytes, whatever the clock says.
const BYTES_MAX: u64 = 256 << 20;

/// The longest that a transaction of this timeout stays open.
pub(super) fn longest(timeout: Duration) -> Duration {
    (timeout / OF_TIMEOUT).max(Duration::from_millis(1))
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct CommitPace {
    asked: Duration,
    interval: Duration,
    longest: Duration,
    /// When the last commit was asked for, or the job began.
    last: Instant,
    due: Instant,
    bytes: u64,
}

impl CommitPace {
    /// Commits every `interval`, in transactions that must not come near `timeout`.
    pub(super) fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        let longest = longest(timeout);
        let asked = interval.min(longest);
        let stretched = asked.max(STRETCHED_MAX).min(longest);
        Self { asked, interval: asked, longest: stretched, last: now, due: now + asked.min(FIRST), bytes: 0 }
    }

    /// Commits every `interval`, the first time as well, whatever it costs.
    pub(super) fn steady(interval: Duration, now: Instant) -> Self {
        Self { asked: interval, interval, longest: interval, last: now, due: now + interval, bytes: 0 }
    }

    /// So many bytes were handed over.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// When the next commit is due.
    pub(super) fn due(&self) -> Instant {
        if self.bytes >= BYTES_MAX { self.last } else { self.due }
    }

    /// A commit was asked for.
    pub(super) fn asked(&mut self, now: Instant) {
        self.last = now;
        self.due = now + self.interval;
        self.bytes = 0;
    }

    /// How long to leave the broker in peace after a commit.
    pub(super) fn breath(&self) -> Duration {
        BREATH.min(self.interval / OF_INTERVAL)
    }

    /// It is done, and nothing was written for `cost` because of it.
    pub(super) fn cost(&mut self, cost: Duration) {
        let share = cost.as_secs_f64() / self.interval.as_secs_f64().max(1e-6);
        let old = self.interval;
        if share > COST_MAX {
            self.interval = (old * 2).min(self.longest);
        } else if share < COST_MAX / 4.0 {
            self.interval = (old / 2).max(self.asked);
        }
        // The commit after this one is asked for already.
        self.due = self.last + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace(interval: Duration) -> (CommitPace, Instant) {
        let now = Instant::now();
        (CommitPace::new(interval, Duration::from_secs(60), now), now)
    }

    #[test]
    fn the_first_commit_comes_early_and_the_next_ones_each_interval() {
        let (mut pace, now) = pace(1000 * MS);
        assert_eq!(pace.due(), now + 100 * MS);
        pace.asked(now + 120 * MS);
        assert_eq!(pace.due(), now + 1120 * MS);
        let (pace, now) = self::pace(20 * MS);
        assert_eq!(pace.due(), now + 20 * MS);
    }

    #[test]
    fn commits_that_cost_too_much_become_rarer_and_come_back_when_they_are_cheap() {
        let (mut pace, now) = pace(1000 * MS);
        for expected in [2000, 4000, 5000, 5000] {
            pace.asked(now);
            pace.cost(200 * MS);
            assert_eq!(pace.due(), now + expected * MS);
        }
        for expected in [2500, 1250, 1000, 1000] {
            pace.asked(now);
            pace.cost(1 * MS);
            assert_eq!(pace.due(), now + expected * MS);
        }
        // In between nothing changes.
        pace.cost(20 * MS);
        assert_eq!(pace.due(), now + 1000 * MS);
    }

    #[test]
    fn steady_commits_come_each_interval_from_the_first_one_on_however_much_they_cost() {
        let now = Instant::now();
        let mut pace = CommitPace::steady(30_000 * MS, now);
        assert_eq!(pace.due(), now + 30_000 * MS);
        pace.asked(now);
        pace.cost(20_000 * MS);
        assert_eq!(pace.due(), now + 30_000 * MS);
        pace.wrote(BYTES_MAX as usize);
        assert!(pace.due() <= now);
    }

    #[test]
    fn between_commits_that_follow_each_other_closely_nothing_is_waited_for() {
        assert_eq!(pace(Duration::ZERO).0.breath(), Duration::ZERO);
        assert_eq!(pace(100 * MS).0.breath(), 1 * MS);
        assert_eq!(pace(1000 * MS).0.breath(), BREATH);
        assert_eq!(pace(5000 * MS).0.breath(), BREATH);
    }

    #[test]
    fn fault_70_a_transaction_stays_far_below_its_timeout_and_below_a_size() {
        let now = Instant::now();
        let mut pace = CommitPace::new(60_000 * MS, Duration::from_secs(8), now);
        pace.asked(now);
        pace.cost(1000 * MS);
        assert_eq!(pace.due(), now + 2000 * MS);
        pace.wrote(BYTES_MAX as usize);
        assert!(pace.due() <= now);
        pace.asked(now);
        assert_eq!(pace.due(), now + 2000 * MS);
    }
}
