//! The rules of `clean`: what is made of a record, in the order in which a file has them. Pure: no I/O and no clock.
//!
//! ```text
//!  rule file ──parse──▶ Rules ──shared──▶ Cleaner (one a worker) ──▶ Verdict, cleaned JSON, Counts
//!                                            │ keys and times of what is kept
//!                                            ▼
//!                                         State (one an input partition) ──▶ New or Duplicate
//!                                            │ what is new: keys of groups, times, values
//!                                            ▼
//!                                         Groups (one an input partition) ──▶ Closed, once their window is
//! ```
//!
//! What many records come to, in groups, is measured by the section that [`measure`] describes.
//!
//! # A rule file
//!
//! ```toml
//! [[rule]]                               # missing or null becomes this
//! default = { field = "device_type", value = "unknown" }
//!
//! [[rule]]                               # a field is a name, or a pointer through objects
//! rename = { field = "/meta/ts", to = "timestamp" }
//!
//! [[rule]]
//! drop = { field = ["debug", "meta"] }
//!
//! [[rule]]                               # to int, float, bool, string or time
//! cast = { field = "timestamp", to = "time", unit = "s" }
//!
//! [[rule]]                               # on_failure: reject (if nothing is said), null, keep, or a default
//! cast = { field = "age", to = "int", on_failure = "null" }
//!
//! [[rule]]
//! trim = { field = ["user_id", "locale"] }
//!
//! [[rule]]
//! case = { field = "locale", to = "upper" }
//!
//! [[rule]]                               # what is not among the values stays, unless on_failure or default says else
//! map = { field = "device_type", values = { ios = "iOS", iPhone = "iOS" } }
//!
//! [[rule]]
//! range = { field = "age", min = 0, max = 150, default = 0 }
//!
//! [[rule]]                               # a regular expression, found anywhere if ^ and $ do not hold it
//! pattern = { field = "ip", matches = '^\d+\.\d+\.\d+\.\d+$' }
//!
//! [[rule]]
//! name = "who logs in"                   # what reports and dead letters call it
//! required = { field = ["user_id", "timestamp"] }
//!
//! [[rule]]                               # year, month, day, hour, minute, second, weekday (Monday is 1) or date, in UTC
//! derive = { field = "day", from = "timestamp", part = "date" }
//!
//! [[rule]]
//! derive = { field = "origin", template = "{device_type}/{locale}", default = "unknown" }
//!
//! [[rule]]                               # keep or drop; all, any and not join conditions
//! filter = { drop = { any = [
//!     { field = "user_id", starts_with = "test-" },
//!     { field = "app_version", in = ["0.0.0", "dev"] },
//! ] } }
//!
//! [[rule]]                               # of the records that all other rules keep
//! deduplicate = { key = ["user_id", "device_id"], window = "10m", time = "timestamp" }
//!
//! [[group_by]]                           # of what goes on: a record a group and window, to a topic of their own
//! key = ["device_type"]
//! window = "10m"                         # from 12:00 to 12:10, to 12:20 ...
//! time = "timestamp"                     # the record's own, if nothing is said
//! lateness = "1m"                        # how much later than the latest so far a record may come
//! to = "logins-by-device"
//! aggregates = { logins = "count", mean_age = { mean = "age" }, users = { distinct = "user_id" } }
//!
//! [[group_by]]                           # the records themselves in place of aggregates
//! name = "sessions"
//! key = "user_id"
//! window = "1h"
//! to = "sessions"
//! members = true
//! members_max = 500                      # the job ends where there are more; 10000, if nothing is said
//!
//! [parquet]                              # the table that --parquet writes, where the first records are not to decide
//! columns = { user_id = "string", timestamp = "time", age = "int", meta = "json" }
//! metadata = false                       # without _topic, _partition, _offset and _timestamp
//! ```
//!
//! An `[[insight]]` beside them says what is counted of the records that go out; `insight/mod.rs` has the words for it. A rule that
//! takes fields from another topic is a `lookup`; `lookup/mod.rs` has the words for that.
//!
//! # What the rules do with what is not as they expect it
//!
//! - Rules are put in the order of the file, and each sees what those before it have made.
//! - What no rule names is copied as it is written: numbers, escapes, order. New members come behind those that are there; an
//!   object that a rule puts something into is made where it is missing or null. A renamed field keeps its place, but where it
//!   goes to another object.
//! - A field that is missing or null: `default` fills it, `required` rejects it, `derive` from it fails, a filter's condition
//!   does not hold of it (`exists = false` and `not_equals` do), `deduplicate` rejects it; all others leave it alone.
//! - A field of another type: `trim` and `case` leave it alone, `range` fails on what is no number, `pattern` on arrays and
//!   objects (of a number it looks at the text), `map` goes by text, so 1 and "1" are one; conditions go by type, and where
//!   one asks for an order among different types the record is rejected.
//! - `derive` replaces what is there, `rename` never: a field that is there already (and not null) rejects the record, as does
//!   a text or number where an object would have to be. Null is not worth that: where it cannot be moved, it stays.
//! - A failure that is mended is counted under the rule's name, so that nothing passes unseen; so is `keep`. What a `lookup` found
//!   and did not find is counted by itself.
//! - `group_by` rejects a record whose key or time is missing or null (as `deduplicate` does), before it goes anywhere. Aggregates
//!   pass over what is missing or null, and count what is of the wrong type (`aggregate.rs` says what each can use).
//! - The windows of a `group_by` close by event time: once the largest time in the input partition is the lateness beyond their
//!   end. What comes later for them is late: in no group, counted, and otherwise as any other record. One time far in the future
//!   closes them all, so a `range` before is of use.
//! - A value that is no JSON object, or has two members of one name, half a surrogate pair or invalid UTF-8 anywhere, is
//!   undecodable, and so is a tombstone. Deep nesting and large numbers are no fault until a rule has to read them.

// A rule file, and what it becomes.
mod parse;

mod error;

mod paths;

mod step;

mod table;

// A record, and what is made of it.
mod verdict;

mod cleaner;

mod scan;

mod string_end;

mod tree;

mod seen;

mod change;

mod cast;

mod moment;

mod condition;

mod refusal;

// What another topic has.
pub mod lookup;

// What is said and counted.
mod reason;

mod counts;

// What is remembered from record to record.
mod state;

// What is made of many records: windows of event time, and what values come to.
mod event_time;

mod picks;

mod aggregate;

mod group_by;

mod groups;

mod closed;

// What is counted of what goes out.
pub mod insight;
pub mod measure;

pub use aggregate::{Aggregate, AggregateKind, AggregateSpec};
pub use cleaner::Cleaner;
pub use closed::Closed;
pub use counts::Counts;
pub use error::RuleError;
pub use event_time::{EventTime, window_of, windows_of};
pub use group_by::{GroupBy, Grouped};
pub use groups::{GroupStand, GroupedAt, Groups, GroupsFull};
pub use picks::FieldValue;
pub use reason::{Class, Reason};
pub use state::{Offer, Offered, State, StateCounts, StateFull};
pub use table::Table;
pub use verdict::{Incoming, Verdict};

use crate::base::units::show_duration_ms;
use insight::Insight;
use lookup::LookupTopic;
use paths::Paths;
#[cfg(test)]
use std::sync::Arc;
use step::{Step, Window};

/// Which rule of a file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub usize);

/// A rule file, checked.
#[derive(Debug)]
pub struct Rules {
    names: Vec<String>,
    steps: Vec<Step>,
    windows: Vec<Window>,
    group_bys: Vec<GroupBy>,
    insights: Vec<Insight>,
    lookups: Vec<LookupTopic>,
    paths: Paths,
    table: Table,
}

impl Rules {
    /// Reads a rule file. What is wrong with it is told all at once, in the order of the lines.
    pub fn parse(text: &str) -> Result<Self, Vec<RuleError>> {
        parse::rules(text)
    }

    /// What a rule is called in reports and dead letters.
    pub fn name(&self, rule: RuleId) -> &str {
        self.names.get(rule.0).map_or("", String::as_str)
    }

    /// How many rules there are, the `group_by` among them.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is nothing to do; such a file says of a table only what its columns are.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.insights.is_empty()
    }

    /// What is counted of the records that go out.
    pub fn insights(&self) -> &[Insight] {
        &self.insights
    }

    /// Whether a [`State`] has to be asked about what is kept.
    pub fn is_stateful(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Whether something is held of a partition from record to record, so that its log may have to be read again.
    pub fn holds_something(&self) -> bool {
        self.is_stateful() || !self.group_bys.is_empty()
    }

    /// What a `group_by` makes a record of, for people.
    pub fn describe(&self, by: &GroupBy) -> String {
        let fields = by.key.iter().map(|path| self.paths.shown(*path)).collect::<Vec<_>>().join(", ");
        let time = by.time.map_or("the record's timestamp", |(path, _)| self.paths.shown(path));
        format!("{fields} in {} of {time}, {}", show_duration_ms(by.window_ms.unsigned_abs()), by.what())
    }

    /// The ways in which what goes on is grouped, in the order of the file.
    pub fn group_bys(&self) -> &[GroupBy] {
        &self.group_bys
    }
}

#[cfg(test)]
mod tests;
