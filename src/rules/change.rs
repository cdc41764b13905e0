//! What a rule makes of one field that is there and not null.

use super::Class;
use super::cast::{Target, cast, put_string};
use super::refusal::Refusal;
use super::seen::{Number, Seen};
use super::tree::Kind;
use regex::bytes::Regex;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// A value of a rule file, as JSON. Steps of one rule share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Json {
    pub(super) text: Arc<[u8]>,
    pub(super) kind: Kind,
}

impl Json {
    pub(super) fn null() -> Self {
        Self { text: (*b"null").into(), kind: Kind::Null }
    }
}

/// Capitals or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
}

/// What is made of a field, or asked of it.
#[derive(Debug)]
pub(super) enum Change {
    Cast(Target),
    /// Only texts are trimmed; so it is with `Case`.
    Trim,
    Case(Case),
    /// By text. With `strict`, what is not among them is refused.
    Map {
        values: HashMap<Box<[u8]>, Json>,
        strict: bool,
    },
    Range {
        min: Option<Number>,
        max: Option<Number>,
    },
    Pattern(Regex),
}

impl Change {
    /// Writes what `value` becomes to `out`, and says what it is then; `None` if it stays as it is.
    #[inline]
    pub(super) fn apply(&self, value: Seen<'_>, out: &mut Vec<u8>) -> Result<Option<Kind>, Refusal> {
        match self {
            Self::Cast(target) => cast(value, *target, out),
            Self::Trim => Ok(trim(value, out)),
            Self::Case(case) => Ok(to_case(value, *case, out)),
            Self::Map { values, strict } => map(value, values, *strict, out),
            Self::Range { min, max } => range(value, *min, *max).map(|()| None),
            Self::Pattern(regex) => pattern(value, regex).map(|()| None),
        }
    }
}

fn trim(value: Seen<'_>, out: &mut Vec<u8>) -> Option<Kind> {
    let text = text_of(value)?;
    let trimmed = text.trim();
    (trimmed.len() != text.len()).then(|| put_string(trimmed.as_bytes(), out))
}

fn to_case(value: Seen<'_>, case: Case, out: &mut Vec<u8>) -> Option<Kind> {
    let text = text_of(value)?;
    if text.is_ascii() {
        let stays = |byte: u8| match case {
            Case::Lower => !byte.is_ascii_uppercase(),
            Case::Upper => !byte.is_ascii_lowercase(),
        };
        if text.bytes().all(stays) {
            return None;
        }
        let kind = put_string(value.text, out);
        // Written, it may have escapes, whose letters must stay.
        return match (kind, case) {
            (Kind::Text { escaped: false }, Case::Lower) => {
                out.make_ascii_lowercase();
                Some(kind)
            }
            (Kind::Text { escaped: false }, Case::Upper) => {
                out.make_ascii_uppercase();
                Some(kind)
            }
            _ => {
                out.clear();
                let cased = if case == Case::Lower { text.to_ascii_lowercase() } else { text.to_ascii_uppercase() };
                Some(put_string(cased.as_bytes(), out))
            }
        };
    }
    let cased = if case == Case::Lower { text.to_lowercase() } else { text.to_uppercase() };
    (cased != text).then(|| put_string(cased.as_bytes(), out))
}

fn text_of(value: Seen<'_>) -> Option<&str> {
    match value.kind {
        Kind::Text { .. } => std::str::from_utf8(value.text).ok(),
        _ => None,
    }
}

fn map(
    value: Seen<'_>,
    values: &HashMap<Box<[u8]>, Json>,
    strict: bool,
    out: &mut Vec<u8>,
) -> Result<Option<Kind>, Refusal> {
    let nested = matches!(value.kind, Kind::Array | Kind::Object);
    match values.get(value.text).filter(|_| !nested) {
        Some(json) => {
            out.extend_from_slice(&json.text);
            Ok(Some(json.kind))
        }
        None if !strict => Ok(None),
        None if nested => Err(Refusal::of(Class::WrongType, "arrays and objects are not mapped")),
        None => Err(Refusal::of(Class::NotMapped, "none of the values that are mapped")),
    }
}

fn range(value: Seen<'_>, min: Option<Number>, max: Option<Number>) -> Result<(), Refusal> {
    let number = value.number().ok_or(Refusal::of(Class::WrongType, "no number"))?;
    if min.is_some_and(|min| number.order(min) == Ordering::Less) {
        return Err(Refusal::of(Class::OutOfRange, "below the range"));
    }
    if max.is_some_and(|max| number.order(max) == Ordering::Greater) {
        return Err(Refusal::of(Class::OutOfRange, "above the range"));
    }
    Ok(())
}

fn pattern(value: Seen<'_>, regex: &Regex) -> Result<(), Refusal> {
    if matches!(value.kind, Kind::Array | Kind::Object) {
        return Err(Refusal::of(Class::WrongType, "an array or object matches no pattern"));
    }
    if regex.is_match(value.text) { Ok(()) } else { Err(Refusal::of(Class::NoMatch, "does not match the pattern")) }
}
