//! The first place where the output is not what it should be, for people and for programs.

use crate::base::place::Place;
use crate::base::text::excerpt;
use crate::base::time::show_epoch_ms;
use crate::batch::Record;
use crate::keys::KeyPlan;
use serde_json::{Value, json};
use std::fmt;

/// Bytes that two values may have in common before their excerpts start later.
const COMMON_BYTES_SHOWN: usize = 24;

/// The first place where the output is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where in the output; its end, if it ends too early.
    pub at: Place,
    /// What is there; `None` at the end.
    pub found: Option<Shown>,
    /// What should be there; `None` where the inputs have nothing more.
    pub expected: Option<Shown>,
    /// In which fields the two differ.
    pub fields: Vec<Field>,
}

/// A field in which two records differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The key.
    Key,
    /// The value, from this byte on.
    Value {
        /// The first byte that is not the same.
        from_byte: usize,
    },
    /// The headers: their names, values, order or number.
    Headers,
    /// The timestamp.
    Timestamp,
}

/// A record for people: bytes as excerpts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Where it is.
    pub at: Place,
    /// The key it is merged by.
    pub sort_key: String,
    /// The record's key.
    pub key: String,
    /// The value.
    pub value: String,
    /// The headers.
    pub headers: String,
    /// The timestamp, in milliseconds since 1970.
    pub timestamp: i64,
}

/// The fields in which two records differ; none if they are the same.
pub(super) fn differing(found: &Record<'_>, expected: &Record<'_>, with_timestamp: bool) -> Vec<Field> {
    let mut fields = Vec::new();
    if found.key != expected.key {
        fields.push(Field::Key);
    }
    if found.value != expected.value {
        fields.push(Field::Value { from_byte: common(found.value, expected.value) });
    }
    if found.headers != expected.headers {
        fields.push(Field::Headers);
    }
    if with_timestamp && found.timestamp != expected.timestamp {
        fields.push(Field::Timestamp);
    }
    fields
}

fn common(a: Option<&[u8]>, b: Option<&[u8]>) -> usize {
    let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Difference {
    pub(super) fn new(at: Place, fields: Vec<Field>) -> Self {
        Self { at, found: None, expected: None, fields }
    }

    /// Where the excerpts of the values begin: a long common beginning would hide what differs.
    fn value_from(&self) -> usize {
        self.fields.iter().find_map(|field| field.first_byte()).filter(|from| *from > COMMON_BYTES_SHOWN).unwrap_or(0)
    }

    pub(super) fn with_found(mut self, at: Place, record: &Record<'_>, keys: &KeyPlan) -> Self {
        self.found = Some(Shown::new(at, record, keys, self.value_from()));
        self
    }

    pub(super) fn with_expected(mut self, at: Place, record: &Record<'_>, keys: &KeyPlan) -> Self {
        self.expected = Some(Shown::new(at, record, keys, self.value_from()));
        self
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "topic": &*self.at.partition.topic,
            "partition": self.at.partition.partition,
            "offset": self.at.offset,
            "found": self.found.as_ref().map(Shown::to_json),
            "expected": self.expected.as_ref().map(Shown::to_json),
            "differs_in": self.fields.iter().map(|field| field.name()).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "first difference at {}:", self.at)?;
        match &self.found {
            Some(found) => writeln!(f, "  there is   {found}")?,
            None => writeln!(f, "  there is   nothing: the output ends here")?,
        }
        match &self.expected {
            Some(expected) => write!(f, "  should be  {expected}, from {}", expected.at)?,
            None => write!(f, "  should be  nothing: the inputs have no more records")?,
        }
        for (i, field) in self.fields.iter().enumerate() {
            write!(f, "{}{field}", if i == 0 { "\n  they differ in " } else { ", " })?;
        }
        Ok(())
    }
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value { .. } => "value",
            Self::Headers => "headers",
            Self::Timestamp => "timestamp",
        }
    }

    fn first_byte(self) -> Option<usize> {
        match self {
            Self::Value { from_byte } => Some(from_byte),
            _ => None,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.first_byte() {
            Some(from @ 1..) => write!(f, " (from byte {from} on)"),
            _ => Ok(()),
        }
    }
}

impl Shown {
    fn new(at: Place, record: &Record<'_>, keys: &KeyPlan, value_from: usize) -> Self {
        let value = match record.value {
            Some(value) if value_from > 0 => {
                format!("...{}", excerpt(value.get(value_from..).unwrap_or_default()))
            }
            value => shown(value),
        };
        Self {
            at,
            sort_key: keys.show(record),
            key: shown(record.key),
            value,
            headers: shown_headers(record),
            timestamp: record.timestamp,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "topic": &*self.at.partition.topic,
            "partition": self.at.partition.partition,
            "offset": self.at.offset,
            "sort_key": self.sort_key,
            "key": self.key,
            "value": self.value,
            "headers": self.headers,
            "timestamp": self.timestamp,
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (key {}, value {}, headers {}, ", self.sort_key, self.key, self.value, self.headers)?;
        match self.timestamp {
            ms @ 0.. => write!(f, "time {})", show_epoch_ms(ms)),
            ms => write!(f, "time {ms})"),
        }
    }
}

fn shown(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "null".to_owned(), excerpt)
}

/// The first few headers; the rest are counted.
fn shown_headers(record: &Record<'_>) -> String {
    const SHOWN_MAX: usize = 4;
    let more = record.headers.len().saturating_sub(SHOWN_MAX);
    let shown_first = record.headers.iter().take(SHOWN_MAX);
    let mut parts: Vec<String> =
        shown_first.map(|header| format!("{}={}", excerpt(header.key), shown(header.value))).collect();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(" ") }
}
