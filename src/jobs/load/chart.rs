//! Throughput, latency and lag over the number of partitions, a line for each rate.

use super::report::LoadReport;
use super::trial::Trial;
use crate::base::units::show_count;
use crate::observe::plot::{Chart, Line, Panel};

impl LoadReport {
    /// What came of the trials, drawn.
    pub fn chart(&self) -> Chart {
        let panel = |y_label: &str, logarithmic: bool, of: fn(&Trial) -> Option<f64>| Panel {
            y_label: y_label.to_owned(),
            logarithmic,
            lines: self.settings.times.iter().map(|times| self.line(*times, of)).collect(),
        };
        Chart {
            title: format!(
                "{} records/s of {} bytes, and multiples of that",
                show_count(self.settings.rate.round() as u64),
                self.settings.record_bytes
            ),
            x_label: "partitions".to_owned(),
            x_counts: true,
            panels: vec![
                panel("read, records/s", false, |trial| Some(trial.read_per_second)),
                panel("latency p50, ms", true, |trial| trial.latency_ms.p50),
                panel("latency p99, ms", true, |trial| trial.latency_ms.p99),
                panel("lag at most, records", false, |trial| Some(trial.lag_max as f64)),
            ],
        }
    }

    fn line(&self, times: f64, of: fn(&Trial) -> Option<f64>) -> Line {
        let trials = self.trials.iter().filter(|trial| trial.times == times);
        let mut points: Vec<(f64, f64)> =
            trials.filter_map(|trial| Some((f64::from(trial.partitions), of(trial)?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let offered = (self.settings.rate * times).round() as u64;
        Line { name: format!("{}/s", show_count(offered)), points }
    }
}
