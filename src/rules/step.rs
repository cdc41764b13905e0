//! What a rule file becomes: steps, each for one field of one rule.

use super::RuleId;
use super::change::{Change, Json};
use super::condition::Condition;
use super::lookup::Lookup;
use super::moment::{Part, Unit};
use super::paths::PathId;
use std::sync::Arc;

/// One thing that is done to every record.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) rule: RuleId,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// Where the field is missing or null.
    Default {
        path: PathId,
        value: Json,
    },
    Rename {
        from: PathId,
        to: PathId,
    },
    Drop {
        path: PathId,
    },
    /// Where the field is there and not null.
    Change {
        path: PathId,
        change: Arc<Change>,
        fallback: Fallback,
    },
    Required {
        path: PathId,
    },
    /// A part of the moment in another field.
    DerivePart {
        path: PathId,
        from: PathId,
        unit: Unit,
        part: Part,
        fallback: Fallback,
    },
    /// Other fields' texts put together.
    DeriveText {
        path: PathId,
        pieces: Vec<Piece>,
        fallback: Fallback,
    },
    /// Fields of what another topic has under the key in a field.
    Lookup(Lookup),
    Filter {
        keep: bool,
        condition: Condition,
    },
    /// The state is told the key and the time as they are here.
    Deduplicate {
        key: Vec<PathId>,
        time: Option<(PathId, Unit)>,
    },
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<[u8]>),
    Field(PathId),
}

/// What is done where a rule fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fallback {
    /// The record is refused.
    Reject,
    /// The field stays what it was.
    Keep,
    /// The field becomes this.
    Value(Json),
}

/// A rule's window of deduplication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) rule: RuleId,
    pub(super) window_ms: i64,
    pub(super) lateness_ms: i64,
}
