//! Conditions of `filter`: whether something holds of a record.
//!
//! Of a field that is missing or null nothing holds but `exists = false` and `not_equals`, which is the opposite of `equals`.
//! `equals` and `in` go by type: a number equals a number whatever it is written as, and never a text. An order
//! (`less`, `at_least` …) among other types than the condition's cannot be told: such a record is refused, not guessed.

use super::Class;
use super::paths::PathId;
use super::refusal::Refusal;
use super::seen::{Number, Seen};
use super::tree::{Kind, Tree};
use regex::bytes::Regex;
use std::cmp::Ordering;

/// What may hold of a record.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Field { path: PathId, tests: Vec<Test> },
}

/// What may hold of a field.
#[derive(Debug)]
pub(super) enum Test {
    Exists(bool),
    Equals(Constant),
    NotEquals(Constant),
    In(Vec<Constant>),
    Order { holds: fn(Ordering) -> bool, than: Constant },
    Contains(Box<[u8]>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Matches(Regex),
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Bool(bool),
    Number(Number),
    Text(Box<[u8]>),
}

impl Condition {
    /// Whether it holds; else which field is refused, and why. What comes first is looked at first, and no more than needed.
    pub(super) fn holds(&self, tree: &Tree, buffer: &mut Vec<u8>) -> Result<bool, (PathId, Refusal)> {
        match self {
            Self::All(all) => {
                for condition in all {
                    if !condition.holds(tree, buffer)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(any) => {
                for condition in any {
                    if condition.holds(tree, buffer)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(condition) => condition.holds(tree, buffer).map(|holds| !holds),
            Self::Field { path, tests } => {
                let seen = tree.something(*path).map(|member| Seen::of(member, tree, buffer));
                for test in tests {
                    if !test.holds(seen).map_err(|refusal| (*path, refusal))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

impl Test {
    fn holds(&self, seen: Option<Seen<'_>>) -> Result<bool, Refusal> {
        let Some(seen) = seen else {
            return Ok(matches!(self, Self::Exists(false) | Self::NotEquals(_)));
        };
        let text = |holds: &dyn Fn(&[u8]) -> bool| matches!(seen.kind, Kind::Text { .. }) && holds(seen.text);
        Ok(match self {
            Self::Exists(exists) => *exists,
            Self::Equals(constant) => constant.order(seen) == Some(Ordering::Equal),
            Self::NotEquals(constant) => constant.order(seen) != Some(Ordering::Equal),
            Self::In(constants) => constants.iter().any(|constant| constant.order(seen) == Some(Ordering::Equal)),
            Self::Order { holds, than } => match than.order(seen) {
                Some(order) => holds(order),
                None => return Err(Refusal::of(Class::WrongType, than.no_order())),
            },
            Self::Contains(part) => text(&|text| memchr::memmem::find(text, part).is_some()),
            Self::StartsWith(part) => text(&|text| text.starts_with(part)),
            Self::EndsWith(part) => text(&|text| text.ends_with(part)),
            Self::Matches(regex) => text(&|text| regex.is_match(text)),
        })
    }
}

impl Constant {
    /// How a value stands to it; `None` among different types.
    fn order(&self, seen: Seen<'_>) -> Option<Ordering> {
        match (self, seen.kind) {
            (Self::Bool(truth), Kind::Bool) => Some((seen.json == b"true").cmp(truth)),
            (Self::Number(number), Kind::Number { .. }) => seen.number().map(|seen| seen.order(*number)),
            (Self::Text(text), Kind::Text { .. }) => Some(seen.text.cmp(text)),
            _ => None,
        }
    }

    fn no_order(&self) -> &'static str {
        match self {
            Self::Number(_) => "no number, so it is neither less nor more than one",
            _ => "no text, so it stands neither before nor behind one",
        }
    }
}
