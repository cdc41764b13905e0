//! What was counted, for people and for programs.

use super::lexicon::Unique;
use crate::base::place::Place;
use crate::base::shutdown::Signal;
use crate::base::units::{show_count, show_size};
use crate::jobs::error::JobError;
use crate::keys::{KeyError, TextSource};
use crate::observe::histogram::Histogram;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What was counted in a topic.
#[derive(Debug, Clone)]
pub struct StatsReport {
    /// The topic.
    pub topic: String,
    /// How many of its partitions were read.
    pub partitions: usize,
    /// What the words were taken from.
    pub text: TextSource,
    /// How many records a batch has, the last one excepted.
    pub batch_records: u64,
    /// What was counted.
    pub totals: Totals,
    /// The signal that ended it before the end.
    pub stopped: Option<Signal>,
}

/// What was counted in all records, and in each batch of them.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Records.
    pub records: u64,
    /// Of their keys and values.
    pub bytes: u64,
    /// Words in their texts.
    pub words: u64,
    /// Different words.
    pub unique_words: Unique,
    /// From the first fetch to the last record.
    pub seconds: f64,
    /// Processor time of the process in that time; 100 is one core.
    pub cpu_percent: f64,
    /// Processor time since the process began.
    pub cpu_seconds: f64,
    /// The most memory that was resident at once.
    pub peak_memory_bytes: u64,
    /// How old records were when they were read.
    pub ages: Ages,
    /// Records without the text that words are taken from.
    pub without_text: u64,
    /// Records whose text could not be read.
    pub unreadable: Option<Unreadable>,
    /// In the order in which they were read.
    pub batches: Vec<Batch>,
}

/// What was counted in one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Records.
    pub records: u64,
    /// Of their keys and values.
    pub bytes: u64,
    /// Words in their texts.
    pub words: u64,
    /// Different words in it.
    pub unique_words: Unique,
    /// Different words in it and in all batches before.
    pub unique_words_so_far: Unique,
    /// When it began, after the first fetch.
    pub began_seconds: f64,
    /// From the end of the batch before it to its own.
    pub seconds: f64,
    /// Processor time of the process in that time; 100 is one core.
    pub cpu_percent: f64,
    /// The memory that was resident at its end.
    pub memory_bytes: u64,
    /// How old its records were when they were read.
    pub ages: Ages,
}

/// How old records were when they were read, in milliseconds; nothing where none of them has a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ages {
    /// Half of them were no older.
    pub p50_ms: Option<u64>,
    /// 99 of 100 were no older.
    pub p99_ms: Option<u64>,
}

/// Records whose text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// How many.
    pub records: u64,
    /// The first of them,
    pub first: Place,
    /// and what is wrong with it.
    pub error: KeyError,
}

impl Ages {
    pub(super) fn of(ages: &Histogram) -> Self {
        Self { p50_ms: ages.quantile(0.5), p99_ms: ages.quantile(0.99) }
    }
}

/// Per second, also of what took no time that a clock could tell.
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-9)
}

/// The names of [`StatsReport::rows`].
pub const COLUMNS: [&str; 12] = [
    "BATCH",
    "RECORDS",
    "BYTES",
    "WORDS",
    "UNIQUE",
    "UNIQUE-SO-FAR",
    "SECONDS",
    "RECORDS/S",
    "CPU-%",
    "MEMORY-BYTES",
    "AGE-P50-MS",
    "AGE-P99-MS",
];

/// The names of [`StatsReport::rows_csv`].
pub const COLUMNS_CSV: [&str; 14] = {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = COLUMNS;
    [a, b, c, d, e, f, g, h, i, j, k, l, "UNIQUE-EXACT", "UNIQUE-SO-FAR-EXACT"]
};

impl Batch {
    /// How many records a second on its own clock.
    pub fn records_per_second(&self) -> f64 {
        per_second(self.records, self.seconds)
    }

    fn row(&self, number: usize, unique: impl Fn(Unique) -> String) -> Vec<String> {
        let age = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
        vec![
            number.to_string(),
            self.records.to_string(),
            self.bytes.to_string(),
            self.words.to_string(),
            unique(self.unique_words),
            unique(self.unique_words_so_far),
            format!("{:.6}", self.seconds),
            format!("{:.0}", self.records_per_second()),
            format!("{:.1}", self.cpu_percent),
            self.memory_bytes.to_string(),
            age(self.ages.p50_ms),
            age(self.ages.p99_ms),
        ]
    }

    fn to_json(&self, number: usize) -> Value {
        json!({
            "batch": number,
            "records": self.records,
            "bytes": self.bytes,
            "words": self.words,
            "unique_words": self.unique_words.count,
            "unique_words_exact": self.unique_words.exact,
            "unique_words_so_far": self.unique_words_so_far.count,
            "unique_words_so_far_exact": self.unique_words_so_far.exact,
            "began_seconds": self.began_seconds,
            "seconds": self.seconds,
            "records_per_second": self.records_per_second().round(),
            "cpu_percent": tenths(self.cpu_percent),
            "memory_bytes": self.memory_bytes,
            "age_p50_ms": self.ages.p50_ms,
            "age_p99_ms": self.ages.p99_ms,
        })
    }
}

impl StatsReport {
    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        self.stopped.map_or(Ok(()), |signal| Err(JobError::Interrupted(signal)))
    }

    /// The batch from which on the number of different words in all is an estimate, counted from 1.
    pub fn estimated_from(&self) -> Option<usize> {
        self.totals.batches.iter().position(|batch| !batch.unique_words_so_far.exact).map(|index| index + 1)
    }

    /// The batches as a table for people, a row each, and one for all of them; an estimate is marked with a tilde.
    pub fn rows(&self) -> impl Iterator<Item = Vec<String>> {
        let unique = |unique: Unique| format!("{}{}", if unique.exact { "" } else { "~" }, unique.count);
        let all = &self.totals;
        let as_batch = Batch {
            records: all.records,
            bytes: all.bytes,
            words: all.words,
            unique_words: all.unique_words,
            unique_words_so_far: all.unique_words,
            began_seconds: 0.0,
            seconds: all.seconds,
            cpu_percent: all.cpu_percent,
            memory_bytes: all.peak_memory_bytes,
            ages: all.ages,
        };
        let mut total = as_batch.row(0, unique);
        total[0] = "total".to_owned();
        (1..).zip(&all.batches).map(move |(number, batch)| batch.row(number, unique)).chain([total])
    }

    /// The batches as a table for programs.
    pub fn rows_csv(&self) -> impl Iterator<Item = Vec<String>> {
        (1..).zip(&self.totals.batches).map(|(number, batch)| {
            let mut row = batch.row(number, |unique| unique.count.to_string());
            row.extend([batch.unique_words.exact.to_string(), batch.unique_words_so_far.exact.to_string()]);
            row
        })
    }

    /// The batches as JSON objects.
    pub fn batches_json(&self) -> impl Iterator<Item = Value> {
        (1..).zip(&self.totals.batches).map(|(number, batch)| batch.to_json(number))
    }

    /// The report as one JSON object, without its batches: as objects, all of them at once would take many times what they do.
    pub fn to_json(&self) -> Value {
        let all = &self.totals;
        json!({
            "topic": self.topic,
            "partitions": self.partitions,
            "text": self.text.to_string(),
            "batch_records": self.batch_records,
            "complete": self.stopped.is_none(),
            "records": all.records,
            "bytes": all.bytes,
            "words": all.words,
            "unique_words": all.unique_words.count,
            "unique_words_exact": all.unique_words.exact,
            "unique_words_at_least": all.unique_words.at_least,
            "estimated_from_batch": self.estimated_from(),
            "seconds": all.seconds,
            "records_per_second": per_second(all.records, all.seconds).round(),
            "bytes_per_second": per_second(all.bytes, all.seconds).round(),
            "words_per_second": per_second(all.words, all.seconds).round(),
            "cpu_percent": tenths(all.cpu_percent),
            "cpu_seconds": all.cpu_seconds,
            "peak_memory_bytes": all.peak_memory_bytes,
            "age_p50_ms": all.ages.p50_ms,
            "age_p99_ms": all.ages.p99_ms,
            "without_text": all.without_text,
            "unreadable": all.unreadable.as_ref().map_or(0, |unreadable| unreadable.records),
            "first_unreadable": all.unreadable.as_ref().map(|unreadable| json!({
                "topic": &*unreadable.first.partition.topic,
                "partition": unreadable.first.partition.partition,
                "offset": unreadable.first.offset,
                "reason": unreadable.error.to_string(),
            })),
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let all = &self.totals;
        let mut out = String::new();
        if let Some(Unreadable { records, first, error }) = &all.unreadable {
            let more = match records - 1 {
                0 => String::new(),
                more => format!(" (and {} more like it; their words are not counted)", show_count(more)),
            };
            let _ = writeln!(out, "{first}: {error}{more}");
        }
        if all.without_text > 0 {
            let _ = writeln!(out, "{} records have no {}", show_count(all.without_text), self.text);
        }
        if let Some(batch) = self.estimated_from() {
            let _ = writeln!(
                out,
                "from batch {batch} on there was no room for more words: {} different ones at least, about {} by estimate \
                 (standard error 0.8 % of those beyond). More --memory keeps it exact",
                show_count(all.unique_words.at_least),
                show_count(all.unique_words.count),
            );
        }
        let _ = write!(
            out,
            "{}{}: {} records ({}), {} words, {}{} different, in {:.2} s: {} records/s, {}/s, CPU {:.0} %, peak memory {}",
            if self.stopped.is_some() { "stopped in " } else { "" },
            self.topic,
            show_count(all.records),
            show_size(all.bytes),
            show_count(all.words),
            if all.unique_words.exact { "" } else { "about " },
            show_count(all.unique_words.count),
            all.seconds,
            show_count(per_second(all.records, all.seconds) as u64),
            show_size(per_second(all.bytes, all.seconds) as u64),
            all.cpu_percent,
            show_size(all.peak_memory_bytes),
        );
        if let Ages { p50_ms: Some(p50), p99_ms: Some(p99) } = all.ages {
            let _ = write!(out, "; read {} after they were made, 99 % within {}", show_ms(p50), show_ms(p99));
        }
        out
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A time that is told with two or three digits.
fn show_ms(ms: u64) -> String {
    match ms as f64 / 1000.0 {
        seconds if seconds < 1.0 => format!("{ms} ms"),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 48.0 * 3600.0 => format!("{:.1} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}
