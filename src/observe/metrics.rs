//! What every process of ours tells Prometheus of itself, and what a job tells of its progress.

use super::exposition::{Exposition, Sort};
use super::progress::Progress;
use super::usage::Usage;
use crate::base::clock::now_ms;

/// A process, from when it began to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    began_ms: i64,
}

impl Process {
    /// This process; it counts as started now.
    pub fn starting() -> Self {
        Self { began_ms: now_ms() }
    }

    /// Adds its families.
    pub fn put(&self, text: &mut Exposition) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        text.family("kmerge_build_info", Sort::Gauge, "Always 1; its label has the version.").sample(&version, 1);
        let usage = Usage::now();
        text.family("process_cpu_seconds_total", Sort::Counter, "User and system time of all threads.")
            .sample(&[], usage.cpu_seconds);
        text.family("process_resident_memory_bytes", Sort::Gauge, "Memory that is resident now.")
            .count(&[], usage.memory_bytes);
        text.family("process_start_time_seconds", Sort::Gauge, "When it started, in seconds since 1970.")
            .sample(&[], self.began_ms as f64 / 1000.0);
    }
}

/// Adds a job's families.
pub fn put_progress(text: &mut Exposition, progress: &Progress) {
    let done = progress.done_by_phase();
    let mut family = text.family(
        "kmerge_records_total",
        Sort::Counter,
        "Records that the job has read, or written where it writes, by what it was doing.",
    );
    done.iter().for_each(|(phase, done)| family.count(&[("phase", phase)], done.records));
    let mut family = text.family(
        "kmerge_bytes_total",
        Sort::Counter,
        "The bytes of those records: keys and values, not compressed.",
    );
    done.iter().for_each(|(phase, done)| family.count(&[("phase", phase)], done.bytes));

    let now = progress.snapshot();
    let mut family = text.family(
        "kmerge_phase_records_planned",
        Sort::Gauge,
        "Records that the job expects in what it is doing now; 0 where that is open.",
    );
    family.count(&[("phase", &now.phase)], now.records_total);
    let mut family =
        text.family("kmerge_phase_records_done", Sort::Gauge, "Records that are done of what it is doing now.");
    family.count(&[("phase", &now.phase)], now.records_done);
    text.family("kmerge_phase_seconds", Sort::Gauge, "For how long it has been doing that.")
        .sample(&[("phase", &now.phase)], now.elapsed.as_secs_f64());

    if let Some(acknowledged) = progress.acknowledged() {
        let help =
            "From the sending of a batch to the answer that it is stored; of one that was sent again, the last time.";
        text.family("kmerge_acknowledgement_seconds", Sort::Histogram, help).histogram(&acknowledged.read());
    }

    let mut family = text.family(
        "kmerge_partition_wait_seconds_total",
        Sort::Counter,
        "How long a partition held up a merge, or a consume that is ordered.",
    );
    for (who, time) in progress.waits() {
        let partition = who.partition.to_string();
        family.sample(&[("topic", &who.topic), ("partition", &partition)], time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::super::exposition::strict;
    use super::*;
    use crate::base::place::TopicPartition;
    use std::time::Duration;

    #[test]
    fn a_jobs_metrics_are_what_its_progress_says() {
        let progress = Progress::default();
        let read = |progress: &Progress| {
            let mut text = Exposition::default();
            Process::starting().put(&mut text);
            put_progress(&mut text, progress);
            strict::read(&text.finish()).unwrap()
        };
        let before = read(&progress);
        assert!(before.iter().any(|family| family.name == "kmerge_build_info"), "before it begins");
        assert!(before.iter().all(|family| family.kind != "histogram"), "nobody writes");
        for ms in [3, 3, 40, 90_000] {
            progress.acknowledgements().add(Duration::from_millis(ms));
        }
        progress.begin("merge", 10);
        progress.add(4, 40);
        progress.waiting_for(Some(&TopicPartition::new("in", 3)));
        progress.waiting_for(None);
        let read = read(&progress);
        let value = |name: &str| {
            let family = read.iter().find(|family| family.name == name).unwrap();
            family.samples.iter().map(|sample| (sample.labels.clone(), sample.value)).next().unwrap()
        };
        let acknowledged = read.iter().find(|family| family.name == "kmerge_acknowledgement_seconds").unwrap();
        let sample = |suffix: &str, le: &str| {
            let mut found = acknowledged.samples.iter().filter(|one| one.suffix == suffix);
            found.find(|one| one.labels.iter().all(|(_, value)| value == le)).unwrap().value
        };
        assert_eq!((sample("_bucket", "0.002"), sample("_bucket", "0.005"), sample("_bucket", "30")), (0.0, 2.0, 3.0));
        assert_eq!((sample("_bucket", "+Inf"), sample("_count", ""), sample("_sum", "")), (4.0, 4.0, 90.046));
        let phase = vec![("phase".to_owned(), "merge".to_owned())];
        assert_eq!(value("kmerge_records_total"), (phase.clone(), 4.0));
        assert_eq!(value("kmerge_bytes_total"), (phase.clone(), 40.0));
        assert_eq!(value("kmerge_phase_records_planned"), (phase, 10.0));
        let (labels, time) = value("kmerge_partition_wait_seconds_total");
        assert_eq!(labels, [("topic".to_owned(), "in".to_owned()), ("partition".to_owned(), "3".to_owned())]);
        assert!(time >= 0.0);
        assert!(value("process_start_time_seconds").1 > 1.6e9);
    }
}
