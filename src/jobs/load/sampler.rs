//! How far apart writing and reading are, looked at all along a trial.

use super::plan::Plan;
use super::reading::Read;
use crate::observe::progress::Progress;
use crate::observe::usage::Usage;
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_millis(20);

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sampled {
    /// When the measuring began and when it ended,
    pub(super) began: Sample,
    pub(super) ended: Sample,
    /// and between them the most records that were acknowledged and not read.
    pub(super) lag_max: u64,
}

/// One look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) acknowledged: u64,
    pub(super) read: u64,
    pub(super) cpu_seconds: f64,
}

impl Sample {
    /// `written` counts what is acknowledged. What is read is looked at first: the other one only grows meanwhile.
    fn take(written: &Progress, read: &Read) -> Self {
        let read = read.records();
        Self { read, acknowledged: written.snapshot().records_done, cpu_seconds: Usage::now().cpu_seconds }
    }

    /// Records that were acknowledged and not read; a reader may know of a record before its writer does.
    pub(super) fn lag(&self) -> u64 {
        self.acknowledged.saturating_sub(self.read)
    }
}

/// Looks until the plan ends.
pub(super) async fn sample(plan: Plan, written: Progress, read: Arc<Read>) -> Sampled {
    tokio::time::sleep_until(plan.measured_from()).await;
    let began = Sample::take(&written, &read);
    let mut sampled = Sampled { began, ended: began, lag_max: began.lag() };
    while tokio::time::Instant::now() < plan.end() {
        tokio::time::sleep_until(plan.end().min(tokio::time::Instant::now() + EVERY)).await;
        sampled.ended = Sample::take(&written, &read);
        sampled.lag_max = sampled.lag_max.max(sampled.ended.lag());
    }
    sampled
}
