//! An envelope read back: what it holds, and what is wrong with it.

use super::BASE64;
use crate::base::text::excerpt;
use crate::batch::{Headers, HeadersBuf};
use crate::formats::{base64, string};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// Why a line is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// No JSON, or JSON that is no object.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// A member stands twice.
    #[error("\"{0}\" stands twice")]
    Twice(&'static str),
    /// There is no payload.
    #[error(
        "no \"payload\" in it: null is a tombstone, but it must be said. (A line that is itself the value needs --format lines)"
    )]
    NoPayload,
    /// A member that cannot be what it is.
    #[error("\"{field}\" is {got}, not {expected}")]
    Field {
        /// The member.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// An excerpt of what it is.
        got: String,
    },
}

/// What an envelope holds of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// The partition it says, if any.
    pub partition: Option<i32>,
    /// The time it says, in milliseconds since 1970, if any; -1 is one too.
    pub timestamp: Option<i64>,
    /// The key; absent and null are the same.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// Reads envelopes, one after the other, in buffers that are used again.
#[derive(Debug, Default)]
pub struct EnvelopeReader {
    /// Strings with escapes, and bytes that came as base64.
    unfolded: Vec<u8>,
    headers: HeadersBuf,
}

/// Where bytes are.
#[derive(Debug, Clone)]
enum Spot<'a> {
    Null,
    Line(&'a [u8]),
    Unfolded(Range<usize>),
}

impl Spot<'_> {
    fn bytes<'a>(&'a self, unfolded: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Null => None,
            Self::Line(bytes) => Some(bytes),
            Self::Unfolded(range) => unfolded.get(range.clone()),
        }
    }
}

impl EnvelopeReader {
    /// What `line` holds. Spaces around the object do no harm, members that are not known neither.
    pub fn read<'a>(&'a mut self, line: &'a [u8]) -> Result<Unwrapped<'a>, EnvelopeError> {
        self.unfolded.clear();
        self.headers.clear();
        let members = Members::of(line)?;
        let partition = number(&members, PARTITION, "a partition's number")?;
        let timestamp = number(&members, TS, "milliseconds since 1970")?;
        if let Some(headers) = members.get(HEADERS) {
            self.take_headers(headers)?;
        }
        let key = self.spot(members.get(KEY), members.get(KEY_ENCODING), KEY, KEY_ENCODING)?;
        let payload = members.get(PAYLOAD).ok_or(EnvelopeError::NoPayload)?;
        let value = self.spot(Some(payload), members.get(PAYLOAD_ENCODING), PAYLOAD, PAYLOAD_ENCODING)?;
        Ok(Unwrapped {
            partition: partition.and_then(|partition| i32::try_from(partition).ok()),
            timestamp,
            key: resolve(key, &self.unfolded),
            value: resolve(value, &self.unfolded),
            headers: self.headers.headers(),
        })
    }

    /// The bytes that a member stands for.
    fn spot<'a>(
        &mut self,
        raw: Option<&'a str>,
        encoding: Option<&str>,
        field: usize,
        encoding_field: usize,
    ) -> Result<Spot<'a>, EnvelopeError> {
        let Some(raw) = raw else { return Ok(Spot::Null) };
        let encoded = match encoding {
            None | Some("null") => false,
            Some(word) if is_base64(word) => true,
            Some(word) => return Err(wrong(encoding_field, "\"base64\"", word)),
        };
        let Some(inside) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return match (raw, encoded) {
                ("null", _) => Ok(Spot::Null),
                (_, true) => Err(wrong(field, "a string, as its encoding says", raw)),
                // What is nested is taken verbatim.
                (_, false) => Ok(Spot::Line(raw.as_bytes())),
            };
        };
        if !encoded && !inside.contains('\\') {
            return Ok(Spot::Line(inside.as_bytes()));
        }
        let start = self.unfolded.len();
        let text = string::take_inside(inside, &mut self.unfolded);
        text.ok_or_else(|| wrong(field, "text: an escape in it stands for no character", raw))?;
        if encoded {
            let text = self.unfolded.split_off(start);
            let bytes = base64::decode(&text, &mut self.unfolded);
            bytes.ok_or_else(|| wrong(field, "base64, as its encoding says", raw))?;
        }
        Ok(Spot::Unfolded(start..self.unfolded.len()))
    }

    /// `[[name, value], …]`, or kcat's `[name, value, …]`.
    fn take_headers(&mut self, raw: &str) -> Result<(), EnvelopeError> {
        const EXPECTED: &str = "an array of [NAME, VALUE]";
        if raw == "null" {
            return Ok(());
        }
        let refused = || wrong(HEADERS, EXPECTED, raw);
        let mut flat_name: Option<&str> = None;
        for element in elements(raw).map_err(|_| refused())? {
            let element = element.get();
            let (name, value, value_encoding, name_encoding) = if element.starts_with('[') && flat_name.is_none() {
                let parts = elements(element).map_err(|_| refused())?;
                let part = |index: usize| parts.get(index).map(|part| part.get());
                let (Some(name), Some(value), 2..=4) = (part(0), part(1), parts.len()) else { return Err(refused()) };
                (name, value, part(2), part(3))
            } else if let Some(name) = flat_name.take() {
                (name, element, None, None)
            } else {
                flat_name = Some(element);
                continue;
            };
            let name = self.spot(Some(name).filter(|name| name.starts_with('"')), name_encoding, HEADERS, HEADERS)?;
            let value = self.spot(Some(value), value_encoding, HEADERS, HEADERS)?;
            let Some(name) = name.bytes(&self.unfolded) else { return Err(refused()) };
            self.headers.push(name, value.bytes(&self.unfolded));
        }
        if flat_name.is_some() { Err(refused()) } else { Ok(()) }
    }
}

fn resolve<'a>(spot: Spot<'a>, unfolded: &'a [u8]) -> Option<&'a [u8]> {
    match spot {
        Spot::Null => None,
        Spot::Line(bytes) => Some(bytes),
        Spot::Unfolded(range) => unfolded.get(range),
    }
}

fn is_base64(raw: &str) -> bool {
    raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(BASE64)
}

fn wrong(field: usize, expected: &'static str, got: &str) -> EnvelopeError {
    EnvelopeError::Field { field: FIELDS[field], expected, got: excerpt(got.as_bytes()) }
}

fn number(members: &Members<'_>, field: usize, expected: &'static str) -> Result<Option<i64>, EnvelopeError> {
    let Some(raw) = members.get(field).filter(|raw| *raw != "null") else { return Ok(None) };
    let number = raw.parse().ok().filter(|number| field != PARTITION || (0..=i32::MAX.into()).contains(number));
    number.map(Some).ok_or_else(|| wrong(field, expected, raw))
}

const FIELDS: [&str; 7] = ["partition", "ts", "headers", "key", "key_encoding", "payload", "payload_encoding"];
const PARTITION: usize = 0;
const TS: usize = 1;
const HEADERS: usize = 2;
const KEY: usize = 3;
const KEY_ENCODING: usize = 4;
const PAYLOAD: usize = 5;
const PAYLOAD_ENCODING: usize = 6;

/// The members that we know, each as it is written.
struct Members<'a> {
    raw: [Option<&'a str>; FIELDS.len()],
    twice: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn of(line: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut json = serde_json::Deserializer::from_slice(line);
        let members = json.deserialize_map(MembersVisitor).and_then(|members| json.end().map(|()| members));
        let members = members.map_err(|error| EnvelopeError::Json(super::super::json_problem(&error)))?;
        members.twice.map_or(Ok(members), |field| Err(EnvelopeError::Twice(field)))
    }

    fn get(&self, field: usize) -> Option<&'a str> {
        self.raw[field]
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members { raw: [None; FIELDS.len()], twice: None };
        while let Some(field) = map.next_key_seed(Field)? {
            // Also what is not known is looked at: a line that is half JSON is not taken.
            let raw = map.next_value::<&RawValue>()?.get();
            let Some(field) = field else { continue };
            if members.raw[field].replace(raw).is_some() {
                members.twice.get_or_insert(FIELDS[field]);
            }
        }
        Ok(members)
    }
}

/// A member's name.
struct Field;

impl<'de> DeserializeSeed<'de> for Field {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Field {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(FIELDS.iter().position(|field| *field == name))
    }
}

/// The elements of an array, each as it is written. Only records with headers come here.
fn elements(raw: &str) -> serde_json::Result<Vec<&RawValue>> {
    struct Elements;
    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                elements.push(element);
            }
            Ok(elements)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_seq(Elements)
}
