//! What `verify` found, for people and for programs.

use super::compare::Comparison;
use super::difference::{Difference, Field};
use crate::base::ends::Ends;
use crate::base::place::TopicPartition;
use crate::base::units::show_count;
use crate::jobs::error::JobError;
use crate::keys::KeyPlan;
use crate::observe::usage::Usage;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::Range;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyReport {
    pub(super) found: Comparison,
    pub(super) keys: KeyPlan,
    pub(super) ignore_timestamp: bool,
    pub(super) starts: Ends,
    pub(super) ends: Ends,
    pub(super) ends_were_given: bool,
    pub(super) output: TopicPartition,
    pub(super) output_range: Range<i64>,
    pub(super) output_end_was_given: bool,
    pub(super) seconds: f64,
}

impl VerifyReport {
    /// Whether the output is the merge of the inputs.
    pub fn ok(&self) -> bool {
        self.found.first.is_none()
    }

    /// Whether `missing` and `extra` are exact; otherwise they are lower bounds.
    pub fn exact(&self) -> bool {
        self.found.exact
    }

    /// How many records the inputs have.
    pub fn input_records(&self) -> u64 {
        self.found.input_records
    }

    /// How many records the output has.
    pub fn output_records(&self) -> u64 {
        self.found.output_records
    }

    /// How many records of the inputs the output lacks.
    pub fn missing(&self) -> u64 {
        self.found.missing
    }

    /// How many records of the output the inputs lack.
    pub fn extra(&self) -> u64 {
        self.found.extra
    }

    /// How many records of the output have a key below that of the record before them.
    pub fn out_of_order(&self) -> u64 {
        self.found.out_of_order
    }

    /// The first place where the output is wrong.
    pub fn first_difference(&self) -> Option<&Difference> {
        self.found.first.as_ref()
    }

    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        match &self.found.first {
            None => Ok(()),
            Some(first) => Err(JobError::Difference(format!("{} is not what it should be", first.at))),
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let usage = Usage::now();
        json!({
            "ok": self.ok(),
            "exact": self.found.exact,
            "input_records": self.found.input_records,
            "output_records": self.found.output_records,
            "missing": self.found.missing,
            "extra": self.found.extra,
            "out_of_order": self.found.out_of_order,
            "first_difference": self.found.first.as_ref().map(Difference::to_json),
            "input_flaw": self.found.input_flaw,
            "key": self.keys.to_string(),
            "ignored": if self.ignore_timestamp { vec!["timestamp"] } else { Vec::new() },
            "starts": self.starts.to_string(),
            "ends": self.ends.to_string(),
            "ends_were_given": self.ends_were_given,
            "output_start": self.output_range.start,
            "output_end": self.output_range.end,
            "seconds": self.seconds,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "cpu_seconds": usage.cpu_seconds,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        if !self.ends_were_given {
            let _ = writeln!(out, "the inputs were read up to where they end now (no --end): {}", self.ends);
        }
        if !self.output_end_was_given {
            let Range { start, end } = self.output_range;
            let _ = writeln!(
                out,
                "the output was read up to where it ends now (no --output-end): offsets {start} to {end}"
            );
        }
        let counts = format!(
            "{} records in {} input partitions, {} in {}",
            show_count(self.found.input_records),
            self.ends.len(),
            show_count(self.found.output_records),
            self.output,
        );
        let Some(first) = &self.found.first else {
            let besides = if self.ignore_timestamp { " (but for their timestamps)" } else { "" };
            let _ = write!(
                out,
                "verified: the output holds every record of the inputs once, unchanged{besides}, by {}: {counts}",
                self.keys
            );
            return out;
        };
        let at_least = if self.found.exact { "" } else { "at least " };
        let _ = writeln!(out, "DIFFERENT: {counts}");
        let _ = writeln!(out, "{first}");
        let _ = write!(
            out,
            "in all: {at_least}{} missing, {at_least}{} extra, {} out of order",
            show_count(self.found.missing),
            show_count(self.found.extra),
            show_count(self.found.out_of_order),
        );
        if self.found.exact && (self.found.missing, self.found.extra) == (0, 0) {
            let _ = write!(out, ": the records are all there, in another order");
        }
        if let Some(flaw) = &self.found.input_flaw {
            let _ = write!(out, "\nthe inputs have no one order to compare with: {flaw}");
        }
        if first.fields == [Field::Timestamp] {
            let _ = write!(
                out,
                "\nonly the timestamp differs there: a topic with message.timestamp.type=LogAppendTime sets its own; compare \
                 without them with --ignore timestamp"
            );
        }
        out
    }
}
