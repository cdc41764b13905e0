//! Measures: rows in groups, by fields and by windows of event time, and what the values of each group come to. Pure.
//!
//! ```text
//!  record ──Cleaner──▶ row, or a row for each member ──▶ Table ──▶ entries in order ─┐
//!                      its key, the values asked for      full? ─▶ entries in order ─┼─ merged by key ──▶ Finisher ──▶ Cells
//!                                                         full? ─▶ entries in order ─┘  (elsewhere)
//! ```
//!
//! # The section of a rule file
//!
//! ```toml
//! [measure]
//! by = ["device_type", "/geo/country"]   # a group for each of what they are together; without it, one of all
//! window = "1h"                          # and for each hour, in UTC, counted from 1970
//! time = "timestamp"                     # by this field, instead of the record's own timestamp
//! unit = "s"                             # what numbers of time count: s, ms (if nothing is said), us, ns
//! unnest = "members"                     # each object in this array is a row, instead of the record
//! aggregates = { logins = "count", users = { distinct = "user_id" }, mean_age = { mean = "age" }, slow_ms = { p95 = "ms" } }
//! ```
//!
//! `[[rule]]` tables may stand before it, as `clean` has them: they are put to each record first, and what they reject or filter is
//! no row.
//!
//! # What was decided where that leaves room
//!
//! - A field of `by` that is missing or null is a key like any other; it comes first. Keys are alike if their types and values
//!   are: 1 and 1.0 are, 1 and "1" are not. Arrays and objects are alike if they are written alike.
//! - Groups come in the order of their windows, then of their keys: nothing, false, true, numbers, texts by their bytes, others.
//! - A row whose time cannot be read has no window, and is rejected. So is a record without the array of `unnest`, and a member of
//!   it that is no object.
//! - What values come to is told in `aggregate.rs`; each is exact, however little memory there was.
//! - `unnest` is put to what the rules have left, and what stands beside the array is not of the row.
//! - What was put together before cannot be taken apart: of a field within `aggregates`, where `clean`'s groups have theirs, no
//!   mean, quantile or number of different values is taken.
//!
//! # Non-obvious
//!
//! - Sums, means and extremes are kept as they are so far. For quantiles and different values every value is an entry of its own
//!   behind its group's: so the memory that one group takes is bounded too, and the answer is read off the entries as they come.

mod cells;
mod finish;
mod interned;
mod measurer;
mod members;
mod order;
mod row;
mod state;
mod table;

#[cfg(test)]
mod tests;

pub use cells::{Cell, Cells, csv_heads};
pub use finish::{Finisher, NoEntry, Unfit};
pub use measurer::{Looked, MEASURE, Measurer, RowCounts, TableFull, UNDECODABLE};
pub use table::{Filled, Sorted};

use super::aggregate::AggregateSpec;
use super::moment::Unit;
use super::paths::{PathId, Paths};
use super::{RuleError, Rules, parse};
use std::sync::Arc;

/// A rule file of measures, checked.
#[derive(Debug, Clone)]
pub struct Measures {
    /// What is put to each record first. There may be none.
    pub rules: Arc<Rules>,
    /// What is measured.
    pub plan: Arc<MeasurePlan>,
}

/// What is measured.
#[derive(Debug)]
pub struct MeasurePlan {
    pub(super) by: Vec<PathId>,
    pub(super) window: Option<Windowing>,
    pub(super) unnest: Option<Unnest>,
    pub(super) aggregates: Vec<AggregateSpec>,
    /// How many of these have to tell values apart.
    pub(super) spread: usize,
    pub(super) columns: Vec<String>,
}

/// By what time rows are in windows.
#[derive(Debug)]
pub(super) struct Windowing {
    pub(super) size_ms: i64,
    /// The record's own, if not by a field.
    pub(super) time: Option<(PathId, Unit)>,
}

/// Where rows are members of an array.
#[derive(Debug)]
pub(super) struct Unnest {
    /// In the record.
    pub(super) array: PathId,
    /// The fields of members.
    pub(super) paths: Paths,
}

impl Measures {
    /// Reads a rule file. What is wrong with it is told all at once, in the order of the lines.
    pub fn parse(text: &str) -> Result<Self, Vec<RuleError>> {
        parse::measures(text)
    }
}

impl MeasurePlan {
    /// The names of the answer's columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether rows are members of records.
    pub fn is_nested(&self) -> bool {
        self.unnest.is_some()
    }

    /// How many of them tell whose row it is: windows and keys.
    pub fn key_columns(&self) -> usize {
        self.columns.len() - self.aggregates.len()
    }
}

/// The columns that a window has.
pub(super) const WINDOW_COLUMNS: [&str; 2] = ["window_start", "window_end"];
