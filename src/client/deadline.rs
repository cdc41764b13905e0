//! Until when something may take. Monotonic: a clock that is set back or jumps a year changes nothing.

use std::time::Duration;
use tokio::time::Instant;

/// A moment, and the whole time that was given for it (which is what an error says).
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    started: Instant,
    at: Instant,
}

impl Deadline {
    /// `time` from now.
    pub(crate) fn after(time: Duration) -> Self {
        let started = Instant::now();
        // An absurd duration ends in a day's time rather than in an overflow.
        let at = started.checked_add(time).unwrap_or(started + Duration::from_secs(86_400));
        Self { started, at }
    }

    /// The sooner of this one and `time` from now.
    pub(crate) fn within(&self, time: Duration) -> Self {
        let short = Self::after(time);
        Self { started: short.started, at: short.at.min(self.at) }
    }

    /// The moment itself.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// What is left; zero once it has passed.
    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    pub(crate) fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// How long it was, from its start to its end.
    pub(crate) fn whole(&self) -> Duration {
        self.at.saturating_duration_since(self.started)
    }

    /// Moves the end on by `time`, for a wait that was not the other side's fault.
    pub(crate) fn extend(&mut self, time: Duration) {
        self.at = self.at.checked_add(time).unwrap_or(self.at);
    }

    /// Runs `work` until the deadline; `None` when it is over.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.at, work).await.ok()
    }
}
