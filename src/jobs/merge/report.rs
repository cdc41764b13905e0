//! What a merge tells when it is done, and how to prove it.

use super::exactly_once::Done;
use super::{MergeSettings, Plan};
use crate::base::appended::Appended;
use crate::base::units::{show_count, show_size};
use crate::jobs::JobContext;
use crate::keys::{KeyPart, Order};
use crate::observe::stages::{Bound, StageTimes};
use crate::observe::usage::Usage;
use serde_json::{Value, json};
use std::time::Duration;

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeReport {
    /// Records written.
    pub records: u64,
    /// Their keys, values and headers.
    pub bytes: u64,
    /// From the first look at the cluster to the last acknowledged batch.
    pub seconds: f64,
    /// Input partitions, those without a record as well.
    pub partitions: usize,
    /// `merge` or `count`.
    pub strategy: &'static str,
    /// The client underneath.
    pub client: &'static str,
    /// What is promised about repeats.
    pub delivery: &'static str,
    /// Where each input ends, as `verify --end` takes it.
    pub ends: String,
    /// The first offset of the output that this run wrote, as `verify --output-start` takes it.
    pub output_start: i64,
    /// Records that were there before, where this run went on with a job.
    pub resumed_at: u64,
    /// How the job started, where there is something to say about it.
    pub said: Option<String>,
    /// The most memory that was resident at once.
    pub peak_memory_bytes: u64,
    /// Processor time of the process.
    pub cpu_seconds: f64,
    /// Threads that merged and decoded.
    pub threads: usize,
    /// What each of its stages took.
    pub stages: StageTimes,
    /// The command that proves the output.
    pub verify_command: String,
}

impl MergeReport {
    pub(super) fn new(
        plan: &Plan,
        settings: &MergeSettings,
        cx: &JobContext,
        appended: &Appended,
        took: Duration,
        usage: Usage,
    ) -> Self {
        Self {
            records: appended.records(),
            bytes: cx.progress.snapshot().bytes_done,
            seconds: took.as_secs_f64(),
            partitions: plan.sources.len(),
            strategy: settings.strategy.name(),
            client: settings.client.name(),
            delivery: settings.delivery.name(),
            ends: plan.ends().to_string(),
            output_start: appended.start(),
            resumed_at: 0,
            said: None,
            peak_memory_bytes: usage.peak_memory_bytes,
            cpu_seconds: usage.cpu_seconds,
            threads: 1 + cx.progress.stages().workers(),
            stages: StageTimes::default(),
            verify_command: verify_command(plan, settings, cx, appended.start()),
        }
    }

    /// What a job delivered exactly once tells: of this run alone, but for its plan.
    pub(super) fn of_job(done: Done, settings: &MergeSettings, cx: &JobContext, took: Duration, usage: Usage) -> Self {
        let Done { plan, records, resumed_at, said } = done;
        let start = plan.output_end;
        let none = Appended::at_end(plan.output.clone(), start);
        Self { records, resumed_at, said, ..Self::new(&plan, settings, cx, &none, took, usage) }
    }

    fn records_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.records as f64 / self.seconds } else { 0.0 }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "records": self.records,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "records_per_second": self.records_per_second().round(),
            "partitions": self.partitions,
            "strategy": self.strategy,
            "client": self.client,
            "delivery": self.delivery,
            "ends": self.ends,
            "output_start": self.output_start,
            "resumed_at": self.resumed_at,
            "peak_memory_bytes": self.peak_memory_bytes,
            "cpu_seconds": self.cpu_seconds,
            "threads": self.threads,
            "stage_seconds": self.stages.to_json(),
            "bound_by": self.stages.bound().map(Bound::name),
            "verify_command": self.verify_command,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let said = self.said.as_ref().map(|said| format!("{said}\n")).unwrap_or_default();
        let merged = match (&self.said, self.records) {
            // It was done before.
            (Some(_), 0) => String::new(),
            _ => format!(
                "merged {} records ({}) of {} partitions in {:.2} s: {} records/s, peak memory {}, cpu {:.2} s\n",
                show_count(self.records),
                show_size(self.bytes),
                self.partitions,
                self.seconds,
                show_count(self.records_per_second() as u64),
                show_size(self.peak_memory_bytes),
                self.cpu_seconds,
            ),
        };
        let bound = self.stages.summary().map(|bound| format!("{bound}\n")).unwrap_or_default();
        format!("{said}{merged}{bound}prove it: {}", self.verify_command)
    }
}

/// The command line that verifies exactly what this run wrote from what it read, as it stands.
fn verify_command(plan: &Plan, settings: &MergeSettings, cx: &JobContext, output_start: i64) -> String {
    let mut words = vec!["kmerge".to_owned(), "verify".to_owned()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), quoted(&value)]);
    flag("--from", settings.from.join(","));
    flag("--to", settings.to.clone());
    if settings.keys.parts() != [KeyPart::default()] {
        for part in settings.keys.parts() {
            flag("--key", part.to_string());
        }
    }
    if settings.keys.order() == Order::Desc {
        flag("--order", "desc".to_owned());
    }
    // What a time means may change, and retention moves where a log starts; what was read does not.
    flag("--start", plan.starts().to_string());
    flag("--end", plan.ends().to_string());
    flag("--output-start", output_start.to_string());
    if settings.strategy == super::Strategy::Count {
        // Counted records carry the time of the plan.
        flag("--ignore", "timestamp".to_owned());
    }
    if !cx.brokers_in_environment {
        flag("--brokers", cx.brokers.join(","));
    }
    words.join(" ")
}

/// As a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ',' | ':' | '=' | '/' | '@');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_take_apart_are_quoted() {
        assert_eq!(quoted("data-input:0=1,1=2"), "data-input:0=1,1=2");
        assert_eq!(quoted("a:0=1;b:0=2"), "'a:0=1;b:0=2'");
        assert_eq!(quoted("value:json:/it's"), r"'value:json:/it'\''s'");
    }
}
