//! Insights: how often the values of a field come among the records that go out, in all and by windows of event time.
//!
//! ```toml
//! [[insight]]                            # the ten most frequent values, in all
//! field = "device_type"
//!
//! [[insight]]                            # in all, and for each five minutes, anew every minute
//! name = "who comes from where"
//! field = ["device_type", "/geo/country"]
//! top = 20
//! window = "5m"
//! slide = "1m"
//! time = "timestamp"                     # the record's own timestamp, if absent
//! unit = "s"
//! lateness = "30s"
//! ```
//!
//! - What is counted is the value as JSON, after all rules: 1 and "1" are two, 1 and 1.0 as well; a text is one however it is
//!   escaped. A field that is missing counts as null. Several fields together are an array.
//! - The first `values_max` different values (10000, if nothing is said) of a partition, and of each window there, are told
//!   apart; what comes after them is counted as `other`, and so is a value that takes more than 1000 bytes.
//! - A window closes when the partition's event time, the largest time seen there less the lateness, has come to its end. Only
//!   records move it. What comes for a window that is closed is `late`: it counts in all, and in those of its windows that
//!   are open. What has no time that can be read is `untimed`: it counts in all, and nowhere else.
//!
//! Non-obvious:
//! - All of it is a function of the partition's log: what was counted up to an offset is written out as parts
//!   ([`Insights::part`]), read back ([`Restoring`]), and the records behind that offset are counted again.
//! - A window with a slide is the sum of panes as long as the slide, so a record is counted once, however many windows it is in.

mod notes;

mod table;

mod windows;

mod listing;

mod state;

mod snapshot;

#[cfg(test)]
mod tests;

pub use listing::{Listing, Value};
pub use notes::Noted;
pub(super) use notes::Notes;
pub use snapshot::{Broken, Part, PartPlace, Restoring};
pub use state::{Closed, Insights, InsightsFull};

use super::moment::{EPOCH_MS, Unit};
use super::paths::PathId;
use crate::base::units::show_duration_ms;

/// The times that windows have: those of four-digit years. What says it is of another one is untimed.
pub(super) const TIMES_MS: std::ops::RangeInclusive<i64> = EPOCH_MS;

/// A value that takes more than this as JSON is not told apart from others.
pub(super) const VALUE_BYTES_MAX: usize = 1000;

/// What is counted, how, and by which windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insight {
    /// What reports call it.
    pub name: String,
    /// The fields, as people write them.
    pub fields: Vec<String>,
    /// How many values are shown.
    pub top: usize,
    /// Its windows, if it has any.
    pub windows: Option<WindowsOf>,
    /// So many values are told apart.
    pub values_max: usize,
    pub(super) paths: Vec<PathId>,
    /// Where a record's time is; its own timestamp, if nothing is said.
    pub(super) time: Option<(PathId, Unit)>,
    /// All that the counts depend on, in words: counts by another definition are of no use.
    pub(super) definition: String,
}

/// Windows of event time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowsOf {
    /// How long a window is: a multiple of the slide.
    pub size_ms: i64,
    /// From one window's start to the next one's.
    pub slide_ms: i64,
    /// How much later than others a record may come.
    pub lateness_ms: i64,
}

impl Insight {
    /// What it counts, for people.
    pub fn describe(&self) -> String {
        let Self { name, fields, top, .. } = self;
        let windows = self.windows.map(|WindowsOf { size_ms, slide_ms, .. }| {
            let shown = |ms: i64| show_duration_ms(ms.unsigned_abs());
            let slide = if slide_ms == size_ms { String::new() } else { format!(" anew every {}", shown(slide_ms)) };
            format!(" and for each {}{slide}", shown(size_ms))
        });
        let windows = windows.unwrap_or_default();
        format!("{name}: how often the {top} most frequent values of {} come, in all{windows}", fields.join(" with "))
    }
}
