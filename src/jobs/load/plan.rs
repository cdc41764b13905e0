//! When each record of a trial is due.

use crate::jobs::error::JobError;
use crate::jobs::pace::Pace;
use std::time::Duration;
use tokio::time::Instant;

/// A mark in a record that was due in the time that is measured.
const MEASURED: u64 = 1 << 63;

/// See the module's head. All times that are told in records count from `zero`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pace: Pace,
    zero: Instant,
    /// When the first record is due, as a distance from `zero`.
    start: Duration,
    warm_up: Duration,
    duration: Duration,
    /// How many records are due in all.
    pub(super) records: u64,
}

impl Plan {
    /// So many records a second from `start` on.
    pub(super) fn new(
        rate: f64,
        zero: Instant,
        start: Instant,
        warm_up: Duration,
        duration: Duration,
    ) -> Result<Self, JobError> {
        let pace = Pace::rate(rate).map_err(JobError::Usage)?;
        // A record that is due at the very end is not due before it.
        let records = (rate * (warm_up + duration).as_secs_f64()).ceil() as u64;
        Ok(Self { pace, zero, start: start - zero, warm_up, duration, records })
    }

    /// When what happens begins to be measured,
    pub(super) fn measured_from(&self) -> Instant {
        self.zero + self.start + self.warm_up
    }

    /// and when no more is.
    pub(super) fn end(&self) -> Instant {
        self.measured_from() + self.duration
    }

    /// When the record is due that has so many before it.
    pub(super) fn due(&self, before: u64) -> Instant {
        self.zero + self.due_after(before)
    }

    fn due_after(&self, before: u64) -> Duration {
        self.start + self.pace.after(before).unwrap_or_default()
    }

    /// What a record says: when it is due, in nanoseconds since zero, and whether it is measured.
    pub(super) fn stamp(&self, before: u64) -> u64 {
        let due = self.due_after(before);
        let nanos = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX) & !MEASURED;
        if due >= self.start + self.warm_up { nanos | MEASURED } else { nanos }
    }
}

/// How long after it was due `now` is, in microseconds, where the record of this stamp is measured. Both count from zero.
pub(super) fn latency_us(stamp: u64, now: Duration) -> Option<u64> {
    let due = Duration::from_nanos(stamp & !MEASURED);
    let latency = now.saturating_sub(due).as_micros();
    (stamp & MEASURED != 0).then(|| u64::try_from(latency).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_latency_counts_from_when_a_record_was_due_and_only_after_the_warm_up() {
        let zero = Instant::now();
        let (warm_up, duration) = (Duration::from_secs(1), Duration::from_secs(2));
        let plan = Plan::new(100.0, zero, zero + Duration::from_secs(5), warm_up, duration).unwrap();
        assert_eq!(plan.records, 300);
        assert_eq!(plan.due(0) - zero, Duration::from_secs(5));
        assert_eq!((plan.measured_from() - zero, plan.end() - zero), (Duration::from_secs(6), Duration::from_secs(8)));
        assert!(plan.due(299) < plan.end() && plan.due(300) == plan.end());
        let read = |before: u64, after_ms: u64| {
            let now = plan.due(before) - zero + Duration::from_millis(after_ms);
            latency_us(plan.stamp(before), now)
        };
        assert_eq!((read(99, 10), read(100, 10), read(299, 700)), (None, Some(10_000), Some(700_000)));
        assert_eq!(latency_us(plan.stamp(100), Duration::ZERO), Some(0), "no clock runs backwards here");
    }
}
