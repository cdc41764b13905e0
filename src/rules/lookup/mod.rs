//! `lookup`: fields of the newest value that another topic has under a record's key, as a stream is joined with a table.
//!
//! ```text
//!  topic users   key "u1"  {"name":"Ann","address":{"country":"IT"},"mail":"…"}
//!                             │ what rules take, as it is written
//!                             ▼
//!  table         "u1" ─▶ "Ann", "IT"
//!                             │
//!  record        {"user_id":"u1"} ──lookup──▶ {"user_id":"u1","name":"Ann","country":"IT"}
//! ```
//!
//! ```toml
//! [[rule]]                               # each field, and where it is in the topic's values; ["name"] if it is the same
//! lookup = { field = "user_id", topic = "users", take = { name = "name", country = "/address/country" } }
//!
//! [[rule]]                               # on_failure: keep (if nothing is said), null, reject, or a default
//! lookup = { field = "country", topic = "countries", take = ["currency"], default = "EUR" }
//! ```
//!
//! - The key is the text of the field: of a string what it says, of a number or a truth what is written. It is compared with the
//!   bytes of the other topic's keys. Missing, null, an array or an object is no key.
//! - What is found replaces what is there. What is not found fails, field by field: the record has no key, the key is not there, or
//!   what is under it lacks the field or has null in it.
//! - A tombstone takes a key out of the table. So does a value that no rule could look at (no JSON object, say), because what was
//!   there before is not the newest any more; that is counted. A record without a key is counted and passed over.
//! - Rules that look up in one topic share its table, which holds what they take and nothing else.
//!
//! Non-obvious: what a lookup gives depends on when it is asked. What is held of records, and made again by reading them again,
//! must not: `depends.rs` finds what would.

mod table;

mod tables;

mod counts;

mod depends;

pub use counts::LookupCounts;
pub(super) use counts::Outcome;
pub(super) use depends::{Cause, Holder, conflicts};
pub use table::LookupTable;
pub use tables::{LookupFull, Lookups, Taken};

use super::paths::{PathId, Paths};
use super::step::{Action, Fallback};
use super::{RuleId, Rules};
use std::sync::Arc;

/// A topic that rules look up in, and what they take of its values.
#[derive(Debug)]
pub struct LookupTopic {
    pub(super) name: Arc<str>,
    /// The fields of its values, and which of them are taken.
    pub(super) paths: Paths,
    pub(super) fields: Vec<PathId>,
}

/// What a rule looks up.
#[derive(Debug)]
pub(super) struct Lookup {
    /// Has the key.
    pub(super) field: PathId,
    /// Which of the topics, and its name.
    pub(super) topic: usize,
    pub(super) name: Arc<str>,
    pub(super) takes: Vec<Take>,
    /// For each of them that is not found.
    pub(super) fallback: Fallback,
}

/// A field that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) to: PathId,
    /// Which of the topic's fields that are taken.
    pub(super) from: usize,
}

impl LookupTopic {
    /// Nothing is taken of its values so far.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), paths: Paths::new(), fields: Vec::new() }
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes this field as well; gives which of those that are taken it is.
    pub(super) fn take(&mut self, path: PathId) -> usize {
        self.fields.iter().position(|other| *other == path).unwrap_or_else(|| {
            self.fields.push(path);
            self.fields.len() - 1
        })
    }
}

/// What a rule looks up, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupRule {
    /// The rule.
    pub rule: RuleId,
    /// The field that has the key.
    pub field: String,
    /// The topic.
    pub topic: String,
    /// Each field that is taken: what it becomes, and where it is in the topic's values.
    pub takes: Vec<(String, String)>,
}

impl Rules {
    /// The topics that rules look up in, each once.
    pub fn lookup_topics(&self) -> &[LookupTopic] {
        &self.lookups
    }

    /// What rules look up, in the order of the file.
    pub fn lookup_rules(&self) -> Vec<LookupRule> {
        let lookups = self.steps.iter().filter_map(|step| match &step.action {
            Action::Lookup(lookup) => Some((step.rule, lookup)),
            _ => None,
        });
        let described = lookups.filter_map(|(rule, lookup)| {
            let of = self.lookups.get(lookup.topic)?;
            let from = |take: &Take| of.fields.get(take.from).map_or("", |path| of.paths.shown(*path)).to_owned();
            let takes = lookup.takes.iter().map(|take| (self.paths.shown(take.to).to_owned(), from(take)));
            let (field, topic) = (self.paths.shown(lookup.field).to_owned(), lookup.name.to_string());
            Some(LookupRule { rule, field, topic, takes: takes.collect() })
        });
        described.collect()
    }
}
