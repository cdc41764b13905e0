//! What came of the rounds, for people and for programs.

use super::PerfSettings;
use super::figures::{Series, best, share};
use super::rounds::{Measured, Merged, Round};
use crate::base::units::{show_count, show_size};
use crate::jobs::error::JobError;
use crate::observe::stages::{Bound, StageTimes};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A merge that takes no longer than this is mostly its beginning and its end.
const SECONDS_MIN: f64 = 1.0;

/// What came of it.
#[derive(Debug, Clone)]
pub struct PerfReport {
    /// What was measured.
    pub settings: PerfSettings,
    /// What the names of its topics began with.
    pub name: String,
    /// What came of the rounds.
    pub measured: Measured,
}

/// The names of [`PerfReport::rows`].
pub const COLUMNS: [&str; 8] = ["WORK", "BATCH-BYTES", "IN-FLIGHT", "RECORDS/S", "MIN", "MAX", "MB/S", "OF-WALL"];

impl PerfReport {
    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        self.measured.stopped.map_or(Ok(()), |signal| Err(JobError::Interrupted(signal)))
    }

    fn of_rounds(&self, figure: impl Fn(&Round) -> f64) -> Series {
        self.measured.rounds.iter().map(figure).collect()
    }

    /// Records a second by the way of this number.
    fn way(&self, way: usize) -> Series {
        self.of_rounds(|round| round.walls.get(way).copied().unwrap_or(0.0))
    }

    /// Which way is the wall.
    pub(super) fn wall_way(&self) -> usize {
        let ways: Vec<Series> = (0..self.measured.ways.len()).map(|way| self.way(way)).collect();
        best(&ways).unwrap_or(0)
    }

    /// Records a second that are the wall.
    pub fn wall(&self) -> Series {
        self.way(self.wall_way())
    }

    /// Records a second that were fetched.
    pub fn fetch(&self) -> Series {
        self.of_rounds(|round| round.fetch)
    }

    /// Records a second that were merged.
    pub fn merge(&self) -> Series {
        self.of_rounds(|round| self.merge_rate(&round.merge))
    }

    pub(super) fn merge_rate(&self, merge: &Merged) -> f64 {
        self.settings.records as f64 / merge.seconds.max(1e-9)
    }

    /// What part of the wall the merge has reached: median of median.
    pub fn share(&self) -> f64 {
        share(self.merge().median(), self.wall().median())
    }

    /// The same, of each round.
    pub(super) fn shares(&self) -> Series {
        let wall = self.wall_way();
        self.of_rounds(|round| share(self.merge_rate(&round.merge), round.walls.get(wall).copied().unwrap_or(0.0)))
    }

    /// Processor time of the merge; `None` where it would be that of the broker, too.
    pub fn client_cpu_ns_per_record(&self) -> Option<f64> {
        let spent = self.of_rounds(|round| round.merge.cpu_seconds * 1e9 / self.settings.records as f64).median();
        (!self.settings.embedded && spent > 0.0).then_some(spent)
    }

    /// The most memory that was resident while the first merge ran; `None` where the broker's records are among it.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.measured.peak_memory_bytes.filter(|_| !self.settings.embedded)
    }

    /// What the stages of all merges took.
    fn stages(&self) -> StageTimes {
        self.measured.rounds.iter().fold(StageTimes::default(), |all, round| all.and(round.merge.stages))
    }

    /// A row for each way to write, for fetching, for the merge.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let (wall, own) = (self.wall_way(), self.wall().median());
        let row = |work: &str, batch_bytes: String, in_flight: String, rates: Series, writes: bool| {
            let megabytes = rates.median() * self.measured.record_bytes / 1e6;
            let count = |rate: f64| format!("{rate:.0}");
            vec![
                work.to_owned(),
                batch_bytes,
                in_flight,
                count(rates.median()),
                count(rates.min()),
                count(rates.max()),
                if writes { format!("{megabytes:.1}") } else { String::new() },
                if writes { format!("{:.2}", share(rates.median(), own)) } else { String::new() },
            ]
        };
        let ways = self.measured.ways.iter().enumerate().map(|(index, way)| {
            let work = if index == wall { "wall" } else { "produce" };
            row(work, way.batch_bytes.to_string(), way.in_flight.to_string(), self.way(index), true)
        });
        let fetch = row("fetch", String::new(), String::new(), self.fetch(), false);
        let merge = row("merge", self.measured.batch_bytes.to_string(), String::new(), self.merge(), true);
        ways.chain([fetch, merge]).collect()
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let (settings, measured) = (&self.settings, &self.measured);
        let rate = |series: &Series| series.median().round();
        let spread = |series: &Series| json!([series.min().round(), series.max().round()]);
        let (wall, fetch, merge, shares) = (self.wall(), self.fetch(), self.merge(), self.shares());
        let way = measured.ways.get(self.wall_way());
        let ways = measured.ways.iter().enumerate().map(|(index, way)| {
            let rates = self.way(index);
            json!({
                "batch_bytes": way.batch_bytes,
                "in_flight": way.in_flight,
                "records_per_second": rate(&rates),
                "records_per_second_spread": spread(&rates),
            })
        });
        let stages = self.stages();
        json!({
            "topics": format!("{}-*", self.name),
            "broker": if settings.embedded { "embedded" } else { "cluster" },
            "shape": settings.shape.name(),
            "partitions": settings.partitions,
            "records": settings.records,
            "delivery": settings.delivery.name(),
            "compression": settings.codec.name(),
            "batch_bytes": settings.batch_bytes,
            "record_bytes": rounded(measured.record_bytes),
            "rounds": measured.rounds.len(),
            "complete": measured.stopped.is_none(),
            "wall_records_per_second": rate(&wall),
            "wall_records_per_second_spread": spread(&wall),
            "wall_batch_bytes": way.map(|way| way.batch_bytes),
            "wall_in_flight": way.map(|way| way.in_flight),
            "walls": ways.collect::<Vec<_>>(),
            "fetch_records_per_second": rate(&fetch),
            "fetch_records_per_second_spread": spread(&fetch),
            "merge_records_per_second": rate(&merge),
            "merge_records_per_second_spread": spread(&merge),
            "merge_seconds": self.of_rounds(|round| round.merge.seconds).median(),
            "share": rounded(self.share()),
            "share_spread": [rounded(shares.min()), rounded(shares.max())],
            "client_cpu_ns_per_record": self.client_cpu_ns_per_record().map(|spent| (spent * 10.0).round() / 10.0),
            "peak_memory_bytes": self.peak_memory_bytes(),
            "stage_seconds": stages.to_json(),
            "bound_by": stages.bound().map(Bound::name),
            "verified_merges": measured.verified,
            "verify_seconds": measured.verify_seconds,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let settings = &self.settings;
        let count = |rate: f64| show_count(rate.round() as u64);
        let (wall, merge, shares) = (self.wall(), self.merge(), self.shares());
        let rounds = self.measured.rounds.len();
        let mut out = format!(
            "the merge ({}, {}) reaches {:.2} of the wall ({:.2} to {:.2}): {} of {} records/s, median{} of {rounds} round{}\n",
            settings.shape.name(),
            settings.delivery.name(),
            self.share(),
            shares.min(),
            shares.max(),
            count(merge.median()),
            count(wall.median()),
            if rounds == 1 { "" } else { "s" },
            if rounds == 1 { "" } else { "s" },
        );
        if let Some(way) = self.measured.ways.get(self.wall_way()) {
            let _ = writeln!(
                out,
                "the wall: as many records, in batches of {} bytes that are there already, {} in flight, the best of {} ways",
                show_count(way.batch_bytes as u64),
                way.in_flight,
                self.measured.ways.len()
            );
        }
        let cpu =
            self.client_cpu_ns_per_record().map(|spent| format!("processor time of the merge: {spent:.1} ns a record"));
        let peak = self.peak_memory_bytes().map(|peak| format!("peak memory {}", show_size(peak)));
        let _ = match (settings.embedded, cpu.into_iter().chain(peak).collect::<Vec<_>>().join(", ")) {
            (true, _) => writeln!(
                out,
                "processor time and memory are not told: the broker runs in this process, and takes of both as well"
            ),
            (false, told) if told.is_empty() => Ok(()),
            (false, told) => writeln!(out, "{told}"),
        };
        if let Some(bound) = self.stages().summary() {
            let _ = writeln!(out, "{bound}");
        }
        let seconds = self.of_rounds(|round| round.merge.seconds).median();
        if seconds < SECONDS_MIN {
            let _ = writeln!(
                out,
                "a merge took {seconds:.2} s: much of that is its beginning and its end; --records {} would tell more",
                more_records(settings.records, seconds)
            );
        }
        let _ = write!(
            out,
            "all {} merges were verified, which took {:.1} s beside what was timed; topics {}-* made and deleted",
            self.measured.verified, self.measured.verify_seconds, self.name
        );
        out
    }
}

fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// So many records that a merge takes some seconds; a round number.
fn more_records(records: u64, seconds: f64) -> u64 {
    let wanted = records as f64 * (3.0 * SECONDS_MIN / seconds.max(1e-3));
    let magnitude = 10f64.powf(wanted.max(1.0).log10().floor());
    ((wanted / magnitude).ceil() * magnitude) as u64
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::super::wall::Way;
    use super::*;
    use crate::base::shutdown::Signal;

    fn round(walls: [f64; 2], merge_seconds: f64) -> Round {
        let merge = Merged { seconds: merge_seconds, cpu_seconds: 50e-9 * 1000.0, stages: StageTimes::default() };
        Round { walls: walls.into(), fetch: 5000.0, merge }
    }

    fn report() -> PerfReport {
        let way = |batch_bytes, in_flight| Way { batch_bytes, in_flight };
        let measured = Measured {
            ways: vec![way(250_000, 1), way(500_000, 2)],
            batch_bytes: 500_000,
            rounds: vec![round([900.0, 1000.0], 1.25), round([1500.0, 1250.0], 1.0), round([800.0, 1100.0], 2.0)],
            record_bytes: 20.0,
            peak_memory_bytes: Some(2_000_000),
            verify_seconds: 3.21,
            verified: 4,
            stopped: None,
        };
        PerfReport { settings: settings(), name: "kmerge-perf-x".to_owned(), measured }
    }

    #[test]
    fn the_wall_is_the_best_way_and_the_share_is_the_medians() {
        let json = report().to_json();
        assert_eq!((&json["wall_records_per_second"], &json["wall_batch_bytes"]), (&json!(1100.0), &json!(500_000)));
        assert_eq!((&json["wall_in_flight"], &json["rounds"]), (&json!(2), &json!(3)));
        assert_eq!(json["wall_records_per_second_spread"], json!([1000.0, 1250.0]));
        assert_eq!(
            (&json["merge_records_per_second"], &json["fetch_records_per_second"]),
            (&json!(800.0), &json!(5000.0))
        );
        assert_eq!((&json["share"], &json["share_spread"]), (&json!(0.727), &json!([0.455, 0.8])));
        assert_eq!((&json["client_cpu_ns_per_record"], &json["peak_memory_bytes"]), (&json!(50.0), &json!(2_000_000)));
        assert_eq!((&json["complete"], &json["verified_merges"]), (&json!(true), &json!(4)));
        assert_eq!(json["walls"][0]["records_per_second"], 900.0);
    }

    #[test]
    fn the_table_names_the_wall_and_what_the_merge_is_of_it() {
        let rows = report().rows();
        let words: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(words, ["produce", "wall", "fetch", "merge"]);
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
        assert_eq!((rows[1][7].as_str(), rows[2][7].as_str(), rows[3][7].as_str()), ("1.00", "", "0.73"));
        assert_eq!(rows[3][3..6].join(" "), "800 500 1000");
    }

    #[test]
    fn with_the_broker_in_this_process_time_and_memory_are_not_told() {
        let mut report = report();
        assert!(report.summary().contains("processor time of the merge: 50.0 ns a record"), "{}", report.summary());
        report.settings.embedded = true;
        let json = report.to_json();
        assert_eq!((&json["client_cpu_ns_per_record"], &json["peak_memory_bytes"]), (&Value::Null, &Value::Null));
        assert!(report.summary().contains("are not told: the broker runs in this process"), "{}", report.summary());
    }

    #[test]
    fn merges_that_are_too_short_to_tell_much_are_said_to_be_with_a_number_that_does() {
        let mut report = report();
        assert!(!report.summary().contains("would tell more"), "{}", report.summary());
        report.measured.rounds.iter_mut().for_each(|round| round.merge.seconds = 0.1);
        assert!(report.summary().contains("a merge took 0.10 s") && report.summary().contains("--records 30000 "));
        assert_eq!((more_records(5_000_000, 0.5), more_records(1, 0.9)), (30_000_000, 4));
    }

    #[test]
    fn who_was_asked_to_stop_tells_of_the_rounds_that_are_done_and_that_there_were_to_be_more() {
        let mut report = report();
        report.measured.stopped = Some(Signal::Interrupt);
        assert_eq!(report.to_json()["complete"], false);
        assert!(matches!(report.verdict(), Err(JobError::Interrupted(Signal::Interrupt))));
    }
}
