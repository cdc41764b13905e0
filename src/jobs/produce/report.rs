//! What became of it: a line for each batch of records, the whole, and the comparison.

use super::Mode;
use crate::base::shutdown::Signal;
use crate::base::units::{show_count, show_size};
use crate::formats::words::count_words;
use crate::jobs::error::JobError;
use crate::jobs::pour::Poured;
use crate::observe::usage::Usage;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// So many lines are kept for the report at the end; each is told when it is there.
const LINES_MAX: usize = 10_000;

/// So many records, and what they hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchLine {
    /// Counted from 1.
    pub batch: u64,
    /// How many; fewer in the last one.
    pub records: u64,
    /// Words in their values: as `stats` counts them.
    pub words: u64,
    /// Their values.
    pub bytes: u64,
    /// From the batch before it to this one being handed to the writers.
    pub seconds: f64,
}

/// Counts along, and tells of each batch.
pub(super) struct Batches<'a> {
    size: Option<u64>,
    heard: &'a mut (dyn FnMut(&BatchLine) + Send),
    began: Instant,
    line: BatchLine,
    lines: Vec<BatchLine>,
}

const EMPTY: BatchLine = BatchLine { batch: 1, records: 0, words: 0, bytes: 0, seconds: 0.0 };

impl<'a> Batches<'a> {
    pub(super) fn new(size: Option<u64>, heard: &'a mut (dyn FnMut(&BatchLine) + Send)) -> Self {
        Self { size, heard, began: Instant::now(), line: EMPTY, lines: Vec::new() }
    }

    /// One more record.
    #[inline]
    pub(super) fn count(&mut self, value: &[u8]) {
        let Some(size) = self.size else { return };
        self.line.records += 1;
        self.line.words += count_words(value);
        self.line.bytes += value.len() as u64;
        if self.line.records == size {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.line.seconds = self.began.elapsed().as_secs_f64();
        self.began = Instant::now();
        (self.heard)(&self.line);
        if self.lines.len() < LINES_MAX {
            self.lines.push(self.line);
        }
        self.line = BatchLine { batch: self.line.batch + 1, ..EMPTY };
    }

    /// Tells of what is left; gives all.
    pub(super) fn end(mut self) -> Vec<BatchLine> {
        if self.line.records > 0 {
            self.tell();
        }
        self.lines
    }
}

impl BatchLine {
    /// For people.
    pub fn show(&self) -> String {
        format!(
            "batch {}: {} records, {} words, {} in {:.3} s: {} records/s",
            show_count(self.batch),
            show_count(self.records),
            show_count(self.words),
            show_size(self.bytes),
            self.seconds,
            show_count((self.records as f64 / self.seconds.max(1e-9)) as u64)
        )
    }

    fn to_json(self) -> Value {
        let Self { batch, records, words, bytes, seconds } = self;
        json!({ "batch": batch, "records": records, "words": words, "bytes": bytes, "seconds": seconds })
    }
}

/// One run over the inputs.
#[derive(Debug)]
pub(super) struct Run {
    mode: Mode,
    pub(super) poured: Poured,
    batches: Vec<BatchLine>,
    seconds: f64,
}

impl Run {
    pub(super) fn new(mode: Mode, poured: Poured, batches: Vec<BatchLine>, took: Duration) -> Self {
        Self { mode, poured, batches, seconds: took.as_secs_f64() }
    }

    fn rate(&self) -> f64 {
        self.poured.gone() as f64 / self.seconds.max(1e-9)
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut members = self.poured.to_json();
        let more = [
            ("mode", json!(self.mode.name())),
            ("bytes", json!(self.poured.bytes)),
            ("seconds", json!(self.seconds)),
            ("records_per_second", json!(self.rate().round())),
        ];
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
        if !self.batches.is_empty() {
            members.insert("batches".to_owned(), self.batches.iter().map(|line| line.to_json()).collect());
        }
        members
    }

    fn summary(&self) -> String {
        format!(
            "{} ({}) in {:.2} s: {} records/s",
            self.poured.summary(),
            show_size(self.poured.bytes),
            self.seconds,
            show_count(self.rate() as u64)
        )
    }
}

/// What became of it all.
#[derive(Debug)]
pub struct ProduceReport {
    topic: String,
    created: bool,
    /// The first records, one at a time, where that was asked for.
    pub(super) sync: Option<Run>,
    pub(super) run: Option<Run>,
    /// What ended it before its time.
    pub(super) interrupted: Option<Signal>,
}

impl ProduceReport {
    pub(super) fn new(topic: &str, created: bool) -> Self {
        Self { topic: topic.to_owned(), created, sync: None, run: None, interrupted: None }
    }

    /// Whether all that was tried so far was stored.
    pub(super) fn is_whole(&self) -> bool {
        self.runs().all(|run| {
            let poured = &run.poured;
            poured.counts.failed == 0 && poured.error.is_none() && poured.ledger.is_none()
        })
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.sync.iter().chain(&self.run)
    }

    /// How many times as fast the second run was as the first.
    fn ratio(&self) -> Option<f64> {
        let (sync, run) = (self.sync.as_ref()?, self.run.as_ref()?);
        Some(run.rate() / sync.rate().max(1e-9))
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let usage = Usage::now();
        let mut members = self.run.as_ref().map(Run::to_json).unwrap_or_default();
        let more = [
            ("topic", json!(self.topic)),
            ("created", json!(self.created)),
            ("cpu_seconds", json!(usage.cpu_seconds)),
            ("peak_memory_bytes", json!(usage.peak_memory_bytes)),
        ];
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
        if let Some(sync) = &self.sync {
            members.insert("sync".to_owned(), Value::Object(sync.to_json()));
            members.insert("ratio".to_owned(), json!(self.ratio()));
        }
        Value::Object(members)
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let made = if self.created { " (made)" } else { "" };
        let runs: Vec<String> = self.runs().map(Run::summary).collect();
        format!("{}{made}: {}", self.topic, runs.join("\n"))
    }

    /// Both runs side by side, where two were asked for.
    pub fn table(&self) -> Option<String> {
        self.sync.as_ref()?;
        let mut table = format!(
            "{:<6} {:>12} {:>12} {:>8} {:>10} {:>12}\n",
            "MODE", "SENT", "ACKED", "FAILED", "SECONDS", "RECORDS/S"
        );
        for run in self.runs() {
            let counts = run.poured.counts;
            table += &format!(
                "{:<6} {:>12} {:>12} {:>8} {:>10.3} {:>12.0}\n",
                run.mode.name(),
                counts.sent,
                counts.acknowledged,
                counts.failed,
                run.seconds,
                run.rate()
            );
        }
        if let Some(ratio) = self.ratio() {
            table += &format!("async sends {ratio:.1} times as many records a second as sync\n");
        }
        Some(table)
    }

    /// Whether it went as it was asked to.
    pub fn verdict(self) -> Result<(), JobError> {
        let interrupted = self.interrupted;
        for run in self.sync.into_iter().chain(self.run) {
            run.poured.verdict()?;
        }
        interrupted.map_or(Ok(()), |signal| Err(JobError::Interrupted(signal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_batch_is_told_and_the_last_one_is_what_is_left() {
        let mut told = Vec::new();
        let mut heard = |line: &BatchLine| told.push((line.batch, line.records, line.words, line.bytes));
        let mut batches = Batches::new(Some(2), &mut heard);
        ["a\u{a0}b", "c", "d"].into_iter().for_each(|value| batches.count(value.as_bytes()));
        assert_eq!(batches.end().len(), 2);
        assert_eq!(told, [(1, 2, 3, 5), (2, 1, 1, 1)]);
    }
}
