//! What was found: the rows, and what became of the records.

use super::MeasureSettings;
use super::worker::Worked;
use crate::base::place::Place;
use crate::base::text::visible;
use crate::base::units::{show_count, show_size};
use crate::observe::usage::Usage;
use crate::rules::Counts;
use crate::rules::measure::{Cell, Cells, MEASURE, MeasurePlan, RowCounts, UNDECODABLE, Unfit, csv_heads};
use crate::spill::{Scratch, SpillError, Spool};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Instant;

/// The rows of the answer, in order.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<String>,
    /// Of each column, how many characters the longest cell has, as people are shown it.
    widths: Vec<usize>,
    key_columns: usize,
    count: u64,
    spool: Spool,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Columns for people.
    Table,
    /// Lines of CSV.
    Csv,
    /// JSON objects.
    Json,
}

/// A record that is refused, or a member of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it is.
    pub at: Place,
    /// The rule; `measure` where there is no row in it, `undecodable` where no rule could look at it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = visible(&self.reason);
        match self.by.as_str() {
            UNDECODABLE => write!(f, "{}: undecodable: {reason}", self.at),
            MEASURE => write!(f, "{}: there is no row in it: {reason}", self.at),
            rule => write!(f, "{}: refused by {}: {reason}", self.at, visible(rule)),
        }
    }
}

/// What was counted by all workers.
#[derive(Debug, Default)]
pub(super) struct Counted {
    counts: Counts,
    rows: RowCounts,
    duplicates: BTreeMap<String, u64>,
    late: u64,
    /// Of each worker the first one it met; of these the one in the first partition.
    refused: Option<Refused>,
}

impl Counted {
    pub(super) fn add(&mut self, worked: &Worked) {
        self.counts.add(&worked.counts);
        self.rows.rows += worked.rows.rows;
        for (ours, theirs) in [
            (&mut self.rows.rejected, &worked.rows.rejected),
            (&mut self.rows.rejected_members, &worked.rows.rejected_members),
        ] {
            theirs.iter().for_each(|(class, count)| *ours.entry(*class).or_default() += count);
        }
        for (rule, count) in &worked.duplicates {
            *self.duplicates.entry(rule.clone()).or_default() += count;
        }
        self.late += worked.late;
        if let Some(theirs) = &worked.refused
            && self.refused.as_ref().is_none_or(|ours| theirs.at < ours.at)
        {
            self.refused = Some(theirs.clone());
        }
    }
}

/// What was found, and what became of the records.
#[derive(Debug)]
pub struct MeasureReport {
    from: Vec<String>,
    counted: Counted,
    unfit: Vec<Unfit>,
    groups: u64,
    nested: bool,
    spilled_bytes: u64,
    spilled_files: u64,
    seconds: f64,
    /// The answer.
    pub rows: Rows,
}

impl MeasureReport {
    pub(super) fn new(
        settings: &MeasureSettings,
        counted: Counted,
        rows: Rows,
        unfit: Vec<Unfit>,
        scratch: &Scratch,
        began: Instant,
    ) -> Self {
        Self {
            from: settings.from.clone(),
            counted,
            unfit,
            groups: rows.count,
            nested: settings.measures.plan.is_nested(),
            spilled_bytes: scratch.written(),
            spilled_files: scratch.files(),
            seconds: began.elapsed().as_secs_f64(),
            rows,
        }
    }

    /// Records that were read.
    pub fn records(&self) -> u64 {
        self.counted.counts.records
    }

    fn filtered(&self) -> u64 {
        self.counted.counts.filtered.values().sum()
    }

    fn duplicates(&self) -> u64 {
        self.counted.duplicates.values().sum()
    }

    fn rejected(&self) -> u64 {
        let Counts { rejected, undecodable, .. } = &self.counted.counts;
        rejected.values().chain(undecodable.values()).chain(self.counted.rows.rejected.values()).sum()
    }

    fn rejected_members(&self) -> u64 {
        self.counted.rows.rejected_members.values().sum()
    }

    /// Records whose rows were measured.
    fn measured(&self) -> u64 {
        self.records().saturating_sub(self.filtered() + self.duplicates() + self.rejected())
    }

    /// The report as one JSON object, without its rows.
    pub fn to_json(&self) -> Value {
        let Counted { counts, rows, late, refused, .. } = &self.counted;
        let usage = Usage::now();
        let mut report = Map::new();
        let mut put = |name: &str, value: Value| report.insert(name.to_owned(), value);
        put("from", json!(self.from));
        put("in", json!(self.records()));
        put("measured", json!(self.measured()));
        put("filtered", json!(self.filtered()));
        put("deduplicated", json!(self.duplicates()));
        put("rejected", json!(self.rejected()));
        put("rows", json!(rows.rows));
        put("rejected_members", json!(self.rejected_members()));
        put("groups", json!(self.groups));
        put(
            "unfit",
            self.unfit.iter().map(|unfit| (unfit.name.clone(), json!(unfit.values))).collect::<Map<_, _>>().into(),
        );
        put("defaulted", json!(counts.defaulted));
        put("mended", json!(counts.mended));
        put("filtered_by_rule", json!(counts.filtered));
        put("deduplicated_by_rule", json!(self.counted.duplicates));
        put("late", json!(late));
        let refusals = self.refusals().into_iter();
        let refusals = refusals.map(|(by, class, count)| json!({ "rule": by, "class": class, "count": count }));
        put("rejected_by_rule", refusals.collect());
        put(
            "first_rejected",
            refused.as_ref().map_or(Value::Null, |refused| {
                json!({
                    "topic": *refused.at.partition.topic,
                    "partition": refused.at.partition.partition,
                    "offset": refused.at.offset,
                    "rule": refused.by,
                    "reason": refused.reason,
                })
            }),
        );
        put("spilled_bytes", json!(self.spilled_bytes));
        put("spilled_files", json!(self.spilled_files));
        put("seconds", json!(self.seconds));
        put("records_per_second", json!(self.rate().round()));
        put("cpu_seconds", json!(usage.cpu_seconds));
        put("peak_memory_bytes", json!(usage.peak_memory_bytes));
        Value::Object(report)
    }

    /// By whom and as what records and members were refused.
    fn refusals(&self) -> Vec<(String, &'static str, u64)> {
        let Counted { counts, rows, .. } = &self.counted;
        let by_rule = counts.rejected.iter().map(|((rule, class), count)| (rule.clone(), class.name(), *count));
        let by_none = counts.undecodable.iter().map(|(class, count)| (UNDECODABLE.to_owned(), class.name(), *count));
        let by_us = rows.rejected.iter().chain(&rows.rejected_members);
        let by_us = by_us.map(|(class, count)| (MEASURE.to_owned(), class.name(), *count));
        by_rule.chain(by_none).chain(by_us).collect()
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        if let Some(refused) = &self.counted.refused {
            let more = self.rejected() + self.rejected_members() - 1;
            let more = if more > 0 { format!(" (and {} more)", show_count(more)) } else { String::new() };
            let _ = writeln!(text, "{refused}{more}");
        }
        let refusals = self.refusals();
        if !refusals.is_empty() {
            let refusals = refusals.iter();
            let all: Vec<String> = refusals
                .map(|(by, class, count)| format!("{} ({class}) {}", visible(by), show_count(*count)))
                .collect();
            let _ = writeln!(text, "refused: {}", all.join(", "));
        }
        for (what, counts) in
            [("defaults put in", &self.counted.counts.defaulted), ("mended", &self.counted.counts.mended)]
        {
            if !counts.is_empty() {
                let all = counts.iter().map(|(name, count)| format!("{} {}", visible(name), show_count(*count)));
                let _ = writeln!(text, "{what}: {}", all.collect::<Vec<_>>().join(", "));
            }
        }
        if !self.unfit.is_empty() {
            let all = self.unfit.iter();
            let all = all.map(|unfit| format!("{} {}", visible(&unfit.name), show_count(unfit.values)));
            let _ = writeln!(
                text,
                "values of no use to an aggregate, which passed them over: {}",
                all.collect::<Vec<_>>().join(", ")
            );
        }
        let _ = write!(
            text,
            "{}: {} records in {:.2} s ({} records/s): {} measured, {} filtered, {} duplicates, {} refused; ",
            self.from.join(", "),
            show_count(self.records()),
            self.seconds,
            show_count(self.rate() as u64),
            show_count(self.measured()),
            show_count(self.filtered()),
            show_count(self.duplicates()),
            show_count(self.rejected()),
        );
        if self.nested {
            let _ = write!(
                text,
                "{} members measured, {} refused; ",
                show_count(self.counted.rows.rows),
                show_count(self.rejected_members())
            );
        }
        let _ = write!(text, "{} group{}", show_count(self.groups), if self.groups == 1 { "" } else { "s" });
        if self.spilled_bytes > 0 {
            let _ = write!(text, ", {} put aside on disk meanwhile", show_size(self.spilled_bytes));
        }
        text
    }

    fn rate(&self) -> f64 {
        self.records() as f64 / self.seconds.max(1e-9)
    }
}

impl Rows {
    pub(super) fn new(plan: &MeasurePlan, scratch: Scratch, memory_bytes: usize) -> Self {
        let columns = plan.columns().to_vec();
        let widths = columns.iter().map(|name| visible(name).chars().count()).collect();
        Self { widths, key_columns: plan.key_columns(), columns, count: 0, spool: Spool::new(scratch, memory_bytes) }
    }

    pub(super) fn push(&mut self, row: &Cells) -> Result<(), SpillError> {
        for (width, cell) in self.widths.iter_mut().zip(row.iter()) {
            *width = cell.width().max(*width);
        }
        self.count += 1;
        self.spool.push(row.bytes())
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Lends all rows as text to `take`, one after the other, as long as it takes them; before those of a table and of CSV come
    /// the names.
    pub fn each_text<E: From<SpillError>>(
        self,
        form: Form,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { columns, widths, key_columns, spool, .. } = self;
        let mut text = String::new();
        match form {
            Form::Csv => {
                take(&csv_heads(&columns))?;
                spool.each(|row| {
                    text.clear();
                    Cells::of_bytes(row).put_csv(&mut text);
                    take(&text)
                })
            }
            Form::Json => {
                let mut object = Vec::new();
                spool.each(|row| {
                    object.clear();
                    Cells::of_bytes(row).put_json(&columns, &mut object);
                    take(&String::from_utf8_lossy(&object))
                })
            }
            Form::Table => {
                let mut put = |cells: &mut dyn Iterator<Item = String>| {
                    text.clear();
                    put_line(cells, &widths, key_columns, &mut text);
                    take(&text)
                };
                put(&mut columns.iter().map(|name| visible(name)))?;
                spool.each(|row| put(&mut Cells::of_bytes(row).iter().map(Cell::show)))
            }
        }
    }
}

/// A line of a table: the first `left` columns line up on the left, without blanks at the end.
fn put_line(cells: &mut dyn Iterator<Item = String>, widths: &[usize], left: usize, line: &mut String) {
    for (column, (cell, width)) in cells.zip(widths).enumerate() {
        line.push_str(if column == 0 { "" } else { "  " });
        let blanks = width.saturating_sub(cell.chars().count());
        let (before, behind) = if column < left { (0, blanks) } else { (blanks, 0) };
        let _ = write!(line, "{:before$}{cell}{:behind$}", "", "");
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
}
