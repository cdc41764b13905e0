//! What came of the trials, for people and for programs.

use super::LoadSettings;
use super::trial::Trial;
use crate::base::shutdown::Signal;
use crate::base::units::show_count;
use crate::jobs::error::JobError;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What came of all trials.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// What was offered.
    pub settings: LoadSettings,
    /// What the names of its topics began with.
    pub name: String,
    /// In the order in which they were done: by partitions, then by rate.
    pub trials: Vec<Trial>,
    /// The signal that ended it before the end.
    pub stopped: Option<Signal>,
}

/// The names of [`LoadReport::rows`].
pub const COLUMNS: [&str; 14] = [
    "PARTITIONS",
    "TIMES",
    "OFFERED/S",
    "WRITTEN/S",
    "READ/S",
    "P50-MS",
    "P99-MS",
    "P99.9-MS",
    "MAX-MS",
    "LAG-MAX",
    "LAG-END",
    "UNWRITTEN",
    "CPU-%",
    "KEEPS-UP",
];

impl LoadReport {
    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        self.stopped.map_or(Ok(()), |signal| Err(JobError::Interrupted(signal)))
    }

    /// A row for each trial.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let ms = |ms: Option<f64>| ms.map(|ms| format!("{ms:.1}")).unwrap_or_default();
        let row = |trial: &Trial| {
            vec![
                trial.partitions.to_string(),
                trial.times.to_string(),
                format!("{:.0}", trial.offered_per_second),
                format!("{:.0}", trial.written_per_second),
                format!("{:.0}", trial.read_per_second),
                ms(trial.latency_ms.p50),
                ms(trial.latency_ms.p99),
                ms(trial.latency_ms.p999),
                ms(trial.latency_ms.max),
                trial.lag_max.to_string(),
                trial.lag_end.to_string(),
                trial.unwritten_end.to_string(),
                format!("{:.0}", trial.cpu_percent),
                if trial.keeps_up { "yes" } else { "no" }.to_owned(),
            ]
        };
        self.trials.iter().map(row).collect()
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let settings = &self.settings;
        let trial = |trial: &Trial| {
            json!({
                "partitions": trial.partitions,
                "times": trial.times,
                "offered_per_second": trial.offered_per_second,
                "written_per_second": trial.written_per_second.round(),
                "read_per_second": trial.read_per_second.round(),
                "latency_p50_ms": trial.latency_ms.p50,
                "latency_p99_ms": trial.latency_ms.p99,
                "latency_p999_ms": trial.latency_ms.p999,
                "latency_max_ms": trial.latency_ms.max,
                "lag_max": trial.lag_max,
                "lag_end": trial.lag_end,
                "unwritten_end": trial.unwritten_end,
                "unsent": trial.unsent,
                "unread": trial.unread,
                "latencies_are_lower_bounds": trial.unread > 0,
                "cpu_percent": trial.cpu_percent.round(),
                "keeps_up": trial.keeps_up,
            })
        };
        json!({
            "topics": format!("{}-*", self.name),
            "rate": settings.rate,
            "seconds": settings.duration.as_secs_f64(),
            "warm_up_seconds": settings.warm_up.as_secs_f64(),
            "record_bytes": settings.record_bytes,
            "complete": self.stopped.is_none(),
            "trials": self.trials.iter().map(trial).collect::<Vec<_>>(),
        })
    }

    /// The least number of partitions that kept up with each rate; `None` where none of them did.
    fn enough(&self) -> Vec<(f64, Option<u32>)> {
        let mut rates: Vec<f64> = self.trials.iter().map(|trial| trial.offered_per_second).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let least = |rate: f64| {
            let kept_up = self.trials.iter().filter(|trial| trial.keeps_up && trial.offered_per_second == rate);
            kept_up.map(|trial| trial.partitions).min()
        };
        rates.into_iter().map(|rate| (rate, least(rate))).collect()
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for (rate, partitions) in self.enough() {
            let rate = show_count(rate.round() as u64);
            let _ = match partitions {
                Some(1) => writeln!(out, "{rate} records/s: 1 partition keeps up"),
                Some(least) => writeln!(out, "{rate} records/s: {least} partitions are the fewest that keep up"),
                None => writeln!(out, "{rate} records/s: none of these numbers of partitions keeps up"),
            };
        }
        for trial in self.trials.iter().filter(|trial| trial.unread > 0) {
            let _ = writeln!(
                out,
                "{} partitions, {} times: {} records were acknowledged and not read in time, so its latencies are lower bounds",
                trial.partitions,
                trial.times,
                show_count(trial.unread)
            );
        }
        let _ = write!(
            out,
            "{} trial{}, topics {}-* made and deleted",
            self.trials.len(),
            if self.trials.len() == 1 { "" } else { "s" },
            self.name
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::super::trial::Latency;
    use super::*;

    fn trial(partitions: u32, times: f64, keeps_up: bool) -> Trial {
        Trial {
            partitions,
            times,
            offered_per_second: 1000.0 * times,
            written_per_second: 999.6,
            read_per_second: 999.4,
            latency_ms: Latency { p50: Some(1.25), p99: Some(10.0), p999: None, max: Some(11.0) },
            lag_max: 7,
            lag_end: 1,
            unwritten_end: 2,
            unsent: 0,
            unread: 0,
            keeps_up,
            cpu_percent: 12.3,
        }
    }

    fn report(trials: Vec<Trial>) -> LoadReport {
        LoadReport { settings: settings(), name: "kmerge-perf-x".into(), trials, stopped: None }
    }

    #[test]
    fn the_fewest_partitions_that_keep_up_are_told_for_each_rate() {
        let trials = vec![
            trial(1, 1.0, true),
            trial(1, 2.0, false),
            trial(3, 1.0, true),
            trial(3, 2.0, true),
            trial(3, 3.0, false),
        ];
        let summary = report(trials).summary();
        assert!(summary.contains("1,000 records/s: 1 partition keeps up"), "{summary}");
        assert!(summary.contains("2,000 records/s: 3 partitions are the fewest"), "{summary}");
        assert!(summary.contains("3,000 records/s: none of these"), "{summary}");
        assert!(summary.contains("5 trials, topics kmerge-perf-x-* made and deleted"), "{summary}");
    }

    #[test]
    fn what_was_never_read_makes_latencies_lower_bounds() {
        let report = report(vec![trial(1, 1.0, true), Trial { unread: 1234, ..trial(3, 2.0, false) }]);
        let summary = report.summary();
        assert!(summary.contains("3 partitions, 2 times: 1,234 records were acknowledged and not read"), "{summary}");
        assert_eq!(summary.matches("lower bounds").count(), 1, "{summary}");
        let json = report.to_json();
        let of = |trial: usize, name: &str| json["trials"][trial][name].clone();
        assert_eq!((of(0, "unread"), of(0, "latencies_are_lower_bounds")), (json!(0), json!(false)));
        assert_eq!((of(1, "unread"), of(1, "latencies_are_lower_bounds")), (json!(1234), json!(true)));
    }

    #[test]
    fn rows_json_and_chart_tell_the_same() {
        let mut report = report(vec![trial(1, 1.5, true), trial(6, 1.5, false)]);
        report.settings.times = vec![1.5];
        let rows = report.rows();
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
        assert_eq!(rows[1].join(" "), "6 1.5 1500 1000 999 1.2 10.0  11.0 7 1 2 12 no");
        let json = report.to_json();
        assert_eq!(
            (&json["trials"][0]["latency_p99_ms"], &json["trials"][0]["latency_p999_ms"]),
            (&json!(10.0), &Value::Null)
        );
        let chart = report.chart();
        assert_eq!(chart.panels.len(), 4);
        assert_eq!(chart.panels[1].lines[0].points, [(1.0, 1.25), (6.0, 1.25)]);
        assert_eq!(chart.panels[1].lines[0].name, "1,500/s");
    }
}
