//! A JSON pointer (RFC 6901) followed through a document that is never built: what is off the path is skipped, what it leads
//! to is handed out as the text it is.
//!
//! Skipping does not recurse (serde_json keeps its own stack on the heap, one byte a level), so a document's depth costs no
//! stack; only the pointer's own depth does, and that is limited where it is parsed. The whole document is read to its end:
//! a truncated one is an error even if the field stands before the cut.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The deepest pointer. serde_json counts the levels it is asked to enter and stops at 128.
const LEVELS_MAX: usize = 100;

/// A checked JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    names: Vec<String>,
}

impl Pointer {
    /// Reads `/a/0/b`, with `~1` for a slash and `~0` for a tilde. The empty pointer is the whole document.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        if parts.next() != Some("") {
            return Err(format!("the JSON pointer {text:?} does not begin with a slash"));
        }
        let names: Vec<String> = parts
            .map(unescape)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("the JSON pointer {text:?} has a ~ that is not ~0 (a tilde) or ~1 (a slash)"))?;
        if names.len() > LEVELS_MAX {
            return Err(format!("the JSON pointer has {} levels; at most {LEVELS_MAX} are followed", names.len()));
        }
        Ok(Self { text: text.to_owned(), names })
    }

    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names on the way, unescaped.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

fn unescape(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut pieces = name.split('~');
    out.push_str(pieces.next()?);
    for piece in pieces {
        let (sign, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        out.push(sign);
        out.push_str(rest);
    }
    Some(out)
}

/// Where a pointer leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// To this value, as it is written.
    At(&'a str),
    /// Nowhere.
    Nowhere,
    /// Past two members of one name: which is meant, nobody knows.
    Twice,
}

/// Follows `pointer` through `document`.
pub(super) fn find<'a>(document: &'a [u8], pointer: &Pointer) -> serde_json::Result<Found<'a>> {
    match find_usual(document, pointer).and_then(|raw| std::str::from_utf8(raw).ok()) {
        Some(raw) => Ok(Found::At(raw)),
        None => find_exactly(document, pointer),
    }
}

/// The same if the document is a usual one; `None` says nothing. A string is not yet known to be UTF-8.
#[inline]
pub(super) fn find_usual<'a>(document: &'a [u8], pointer: &Pointer) -> Option<&'a [u8]> {
    super::flat::find(document, &pointer.names)
}

/// The same, whatever the document holds.
pub(super) fn find_exactly<'a>(document: &'a [u8], pointer: &Pointer) -> serde_json::Result<Found<'a>> {
    let mut json = serde_json::Deserializer::from_slice(document);
    let found = Walk(&pointer.names).deserialize(&mut json)?;
    json.end()?;
    Ok(found)
}

/// What a field of a JSON document is, as bytes: the text of a string, anything else as it is written; `None` where it is null
/// or not there.
pub fn field<'a>(document: &'a [u8], pointer: &Pointer) -> Result<Option<Cow<'a, [u8]>>, String> {
    let no_json = |error: serde_json::Error| format!("no JSON: {error}");
    match find(document, pointer).map_err(no_json)? {
        Found::Nowhere | Found::At("null") => Ok(None),
        Found::At(raw) if raw.starts_with('"') => text(raw).map(Some).map_err(no_json),
        Found::At(raw) => Ok(Some(Cow::Borrowed(raw.as_bytes()))),
        Found::Twice => Err(format!("{} leads to two members of one name", pointer.text)),
    }
}

/// The text of a JSON string.
pub(super) fn text(raw: &str) -> serde_json::Result<Cow<'_, [u8]>> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain.as_bytes())),
        _ => serde_json::from_str::<String>(raw).map(|text| Cow::Owned(text.into_bytes())),
    }
}

/// The names still to follow.
struct Walk<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Found<'de>, D::Error> {
        if self.0.is_empty() {
            <&RawValue as serde::Deserialize>::deserialize(json).map(|raw| Found::At(raw.get()))
        } else {
            json.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found<'de>, A::Error> {
        let Some((name, tail)) = self.0.split_first() else { return Ok(Found::Nowhere) };
        let mut found = None;
        while let Some(is_it) = members.next_key_seed(Is(name))? {
            if !is_it {
                members.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                members.next_value::<IgnoredAny>()?;
                found = Some(Found::Twice);
            } else {
                found = Some(members.next_value_seed(Walk(tail))?);
            }
        }
        Ok(found.unwrap_or(Found::Nowhere))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Found<'de>, A::Error> {
        let Some((name, tail)) = self.0.split_first() else { return Ok(Found::Nowhere) };
        let mut found = Found::Nowhere;
        if let Some(index) = array_index(name) {
            for _ in 0..index {
                if elements.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(Found::Nowhere);
                }
            }
            match elements.next_element_seed(Walk(tail))? {
                Some(there) => found = there,
                None => return Ok(Found::Nowhere),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    // A plain value where the pointer wants to go deeper.
    fn visit_bool<E>(self, _: bool) -> Result<Found<'de>, E> {
        Ok(Found::Nowhere)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Found<'de>, E> {
        Ok(Found::Nowhere)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Found<'de>, E> {
        Ok(Found::Nowhere)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Found<'de>, E> {
        Ok(Found::Nowhere)
    }
    fn visit_str<E>(self, _: &str) -> Result<Found<'de>, E> {
        Ok(Found::Nowhere)
    }
    fn visit_unit<E>(self) -> Result<Found<'de>, E> {
        Ok(Found::Nowhere)
    }
}

/// Digits without a leading zero; `-`, the element after the last, is never there.
fn array_index(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    if plain && name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { None }
}

/// Whether a member has this name.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}
