//! Rate and memory over time, as a chart.

use super::report::{Batch, StatsReport};
use crate::observe::plot::{Chart, Line, Panel};

/// More points than this nobody sees; several batches share one then.
const POINTS_MAX: usize = 480;

impl StatsReport {
    /// How fast the topic was read and what memory that took, over time.
    pub fn chart(&self) -> Chart {
        let batches = &self.totals.batches;
        let together = batches.len().div_ceil(POINTS_MAX).max(1);
        let (mut rates, mut memory, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for group in batches.chunks(together) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let seconds = last.began_seconds + last.seconds - first.began_seconds;
            let records: u64 = group.iter().map(|batch| batch.records).sum();
            let most = group.iter().map(|batch| batch.memory_bytes).max().unwrap_or(0);
            let spent: f64 = group.iter().map(|batch| batch.cpu_percent * batch.seconds).sum();
            let at = first.began_seconds + seconds / 2.0;
            rates.push((at, records as f64 / seconds.max(1e-9)));
            memory.push((last.began_seconds + last.seconds, most as f64 / f64::from(1 << 20)));
            cpu.push((at, spent / seconds.max(1e-9)));
        }
        let panel = |y_label: &str, points| Panel {
            y_label: y_label.to_owned(),
            lines: vec![Line { name: String::new(), points }],
            ..Panel::default()
        };
        let a_point = match together {
            1 => String::new(),
            many => format!(", {many} batches a point"),
        };
        Chart {
            title: format!("{}: {} a batch{a_point}", self.topic, counted(self.batch_records, batches)),
            x_label: "seconds".to_owned(),
            x_counts: false,
            panels: vec![panel("records/s", rates), panel("memory, MiB", memory), panel("CPU, % of one core", cpu)],
        }
    }
}

fn counted(batch_records: u64, batches: &[Batch]) -> String {
    let records = batches.first().map_or(batch_records, |batch| batch.records);
    format!("{} record{}", crate::base::units::show_count(records), if records == 1 { "" } else { "s" })
}
