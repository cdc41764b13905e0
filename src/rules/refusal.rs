//! What a rule cannot do with a value, before anybody has to read it: most refusals are mended, and cost no text.

use super::paths::{PathId, Paths};
use super::seen::Seen;
use super::tree::{Kind, Tree};
use super::{Class, Reason};
use crate::base::text::excerpt;
use crate::base::time::TimeError;
use std::fmt;

/// Why a value is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) class: Class,
    pub(super) why: Why,
}

/// The half of a sentence behind what the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Is(&'static str),
    Time(TimeError),
}

impl From<&'static str> for Why {
    fn from(text: &'static str) -> Self {
        Self::Is(text)
    }
}

impl From<TimeError> for Why {
    fn from(error: TimeError) -> Self {
        Self::Time(error)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(text) => f.write_str(text),
            Self::Time(error) => error.fmt(f),
        }
    }
}

impl Refusal {
    /// The field is not there, or null.
    pub(super) const MISSING: Self = Self { class: Class::Missing, why: Why::Is("") };

    pub(super) const fn of(class: Class, why: &'static str) -> Self {
        Self { class, why: Why::Is(why) }
    }

    pub(super) fn cast(why: impl Into<Why>) -> Self {
        Self { class: Class::NoCast, why: why.into() }
    }

    /// The sentence: which field, what it is, why not.
    pub(super) fn reason(self, path: PathId, paths: &Paths, tree: &Tree) -> Reason {
        let field = paths.shown(path);
        let text = match tree.get(path) {
            None => format!("{field} is missing"),
            Some(_) if self.class == Class::Missing => format!("{field} is null"),
            Some(member) => format!("{field} is {}: {}", shown(&Seen::of(member, tree, &mut Vec::new())), self.why),
        };
        Reason { class: self.class, text }
    }
}

/// A value, short and printable: a text in quotation marks, all else without.
fn shown(seen: &Seen<'_>) -> String {
    let excerpt = excerpt(seen.text);
    match seen.kind {
        Kind::Text { .. } => excerpt,
        _ => {
            let bare = excerpt.strip_prefix('"').map(|shown| shown.strip_suffix('"').unwrap_or(shown));
            bare.unwrap_or(&excerpt).replace("\\\"", "\"").replace("...\" (", "... (")
        }
    }
}
