//! One part of a key: where it is taken from, how it is read, and what is said when it cannot be.

use super::json::{self, Found};
use super::normal::Normaliser;
use super::number::{Decimal, NumberError, parse_int};
use super::{Fields, KeyError};
use crate::base::text::{excerpt, visible};
use crate::base::time::{Time, parse_rfc3339, show_epoch_ms};
use std::borrow::Cow;
use std::fmt;

/// Where a part of a key is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// The record's value.
    Value,
    /// The record's key.
    Key,
    /// The record's timestamp.
    Timestamp,
    /// The last header of this name.
    Header(String),
    /// A field of the value, which is JSON.
    Json(json::Pointer),
}

/// How a part of a key is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// Decimal digits in ASCII, within 64 bits.
    #[default]
    Int,
    /// A decimal number of at most 38 significant digits.
    Decimal,
    /// Eight bytes: a signed number, the most significant byte first.
    Be64,
    /// UTF-8, compared as bytes.
    String,
    /// Any bytes.
    Bytes,
    /// RFC 3339, or milliseconds since 1970.
    Time,
}

/// One `--key`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// Where it is taken from.
    pub source: KeySource,
    /// How it is read. A timestamp is always a number.
    pub kind: KeyType,
}

/// `value:int`, what a key is when nothing is said.
impl Default for KeyPart {
    fn default() -> Self {
        Self { source: KeySource::Value, kind: KeyType::Int }
    }
}

impl KeyType {
    /// Every type, in the order of the help.
    pub const ALL: [KeyType; 6] = [Self::Int, Self::Decimal, Self::Be64, Self::String, Self::Bytes, Self::Time];

    /// The word that names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Decimal => "decimal",
            Self::Be64 => "be64",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Time => "time",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => f.write_str("value"),
            Self::Key => f.write_str("key"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Header(name) => write!(f, "header:{}", visible(name)),
            Self::Json(pointer) => write!(f, "value:json:{}", visible(pointer.text())),
        }
    }
}

impl KeyPart {
    /// The part as it can be typed, character by character: what is read from it is this part again.
    pub fn spec(&self) -> String {
        let source = match &self.source {
            KeySource::Timestamp => return "timestamp".to_owned(),
            KeySource::Value => "value",
            KeySource::Key => "key",
            KeySource::Header(name) => &format!("header:{name}"),
            KeySource::Json(pointer) => &format!("value:json:{}", pointer.text()),
        };
        format!("{source}:{}", self.kind)
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            KeySource::Timestamp => write!(f, "timestamp"),
            _ => write!(f, "{}:{}", self.source, self.kind),
        }
    }
}

/// What a part found in a record, read.
enum Read<'a> {
    Int(i64),
    Decimal(Decimal, Cow<'a, [u8]>),
    String(Cow<'a, [u8]>),
    Time(Time, Cow<'a, [u8]>),
    Timestamp(i64),
}

impl KeyPart {
    /// The short way for what most keys are, a number. `None` for parts of other types, and where there is none or not a usual
    /// one: the long way reads it, or says what is wrong.
    #[inline(always)]
    pub(super) fn short_int(&self, fields: &impl Fields) -> Option<i64> {
        match (self.kind, &self.source) {
            (KeyType::Int, KeySource::Value) => parse_int(fields.value()?).ok(),
            (KeyType::Int, KeySource::Key) => parse_int(fields.key()?).ok(),
            (KeyType::Int, KeySource::Json(pointer)) => int_in_json(fields.value()?, pointer),
            (KeyType::Int, KeySource::Timestamp) => Some(fields.timestamp()),
            (KeyType::Be64, KeySource::Value) => Some(i64::from_be_bytes(fields.value()?.try_into().ok()?)),
            (KeyType::Be64, KeySource::Key) => Some(i64::from_be_bytes(fields.key()?.try_into().ok()?)),
            _ => None,
        }
    }

    /// The short way for a text that is all of a field, of which it is not known yet whether it is UTF-8. `None` as above.
    #[inline]
    pub(super) fn short_text<'a>(&self, fields: &'a impl Fields) -> Option<&'a [u8]> {
        match (self.kind, &self.source) {
            (KeyType::String | KeyType::Bytes, KeySource::Value) => fields.value(),
            (KeyType::String | KeyType::Bytes, KeySource::Key) => fields.key(),
            _ => None,
        }
    }

    /// Everything but what [`Self::short_int`] reads.
    pub(super) fn normalise(&self, fields: &impl Fields, out: &mut Normaliser<'_>) -> Result<(), KeyError> {
        match self.read(fields)? {
            Read::Int(number) | Read::Timestamp(number) => out.int(number),
            Read::Decimal(decimal, _) => out.decimal(&decimal),
            Read::String(body) => out.string(&body),
            Read::Time(time, _) => out.time(time),
        }
        Ok(())
    }

    pub(super) fn show(&self, fields: &impl Fields) -> String {
        match self.read(fields) {
            Ok(Read::Int(number)) => number.to_string(),
            Ok(Read::Timestamp(ms)) if ms >= 0 => show_epoch_ms(ms).to_string(),
            Ok(Read::Timestamp(ms)) => ms.to_string(),
            // Checked to be digits and a few letters, but there may be many zeros.
            Ok(Read::Decimal(_, text) | Read::Time(_, text)) if text.len() <= 64 => {
                String::from_utf8_lossy(&text).into_owned()
            }
            Ok(Read::Decimal(_, text) | Read::Time(_, text) | Read::String(text)) => excerpt(&text),
            Err(_) => "unreadable".to_owned(),
        }
    }

    fn read<'a>(&self, fields: &'a impl Fields) -> Result<Read<'a>, KeyError> {
        match &self.source {
            KeySource::Timestamp => Ok(Read::Timestamp(fields.timestamp())),
            KeySource::Value => self
                .read_bytes(Cow::Borrowed(fields.value().ok_or_else(|| self.missing("the record's value is null"))?)),
            KeySource::Key => {
                self.read_bytes(Cow::Borrowed(fields.key().ok_or_else(|| self.missing("the record's key is null"))?))
            }
            KeySource::Header(name) => match fields.header(name) {
                Some(Some(value)) => self.read_bytes(Cow::Borrowed(value)),
                Some(None) => Err(self.missing("the header's value is null")),
                None => Err(self.missing("the record has no such header")),
            },
            KeySource::Json(pointer) => {
                let document = fields.value().ok_or_else(|| self.missing("the record's value is null"))?;
                self.read_json(pointer, document)
            }
        }
    }

    fn read_bytes<'a>(&self, bytes: Cow<'a, [u8]>) -> Result<Read<'a>, KeyError> {
        let unreadable = |reason: &dyn fmt::Display| self.unreadable(reason, &bytes);
        match self.kind {
            KeyType::Int => parse_int(&bytes).map(Read::Int).map_err(|error| unreadable(&error)),
            KeyType::Decimal => match Decimal::parse(&bytes) {
                Ok(decimal) => Ok(Read::Decimal(decimal, bytes)),
                Err(error) => Err(unreadable(&error)),
            },
            KeyType::Be64 => match <[u8; 8]>::try_from(&*bytes) {
                Ok(word) => Ok(Read::Int(i64::from_be_bytes(word))),
                Err(_) => Err(unreadable(&format_args!("it has {} bytes, not 8", bytes.len()))),
            },
            KeyType::String => match std::str::from_utf8(&bytes) {
                Ok(_) => Ok(Read::String(bytes)),
                Err(error) => Err(unreadable(&format_args!("not UTF-8 from byte {} on", error.valid_up_to()))),
            },
            KeyType::Bytes => Ok(Read::String(bytes)),
            KeyType::Time => match read_time(&bytes) {
                Ok(time) => Ok(Read::Time(time, bytes)),
                Err(reason) => Err(unreadable(&reason)),
            },
        }
    }

    fn read_json<'a>(&self, pointer: &json::Pointer, document: &'a [u8]) -> Result<Read<'a>, KeyError> {
        // What is no usual int was not found by the short way.
        let found = match self.kind {
            KeyType::Int => json::find_exactly(document, pointer),
            _ => json::find(document, pointer),
        };
        let raw = match found {
            Ok(Found::At(raw)) => raw,
            Ok(Found::Nowhere) => {
                return Err(self.missing(&format!("the JSON has nothing there: {}", excerpt(document))));
            }
            Ok(Found::Twice) => {
                return Err(self.unreadable(&"the JSON has two members of that name on the way", document));
            }
            Err(error) => return Err(self.unreadable(&format_args!("the value is no JSON: {error}"), document)),
        };
        let wrong = |what: &str| self.unreadable(&format_args!("it is {what}"), raw.as_bytes());
        match raw.as_bytes().first() {
            Some(b'"') => self.read_bytes(json::text(raw).map_err(|error| self.unreadable(&error, raw.as_bytes()))?),
            Some(b'-' | b'0'..=b'9') => self.read_json_number(raw),
            Some(b'n') => Err(self.missing("the JSON has null there")),
            Some(b't' | b'f') => Err(wrong("true or false")),
            Some(b'[') => Err(wrong("an array")),
            _ => Err(wrong("an object")),
        }
    }

    fn read_json_number<'a>(&self, raw: &'a str) -> Result<Read<'a>, KeyError> {
        let whole = || {
            // Most numbers are plain; the others are read exactly too, whatever a double would make of them.
            match parse_int(raw.as_bytes()) {
                Err(NumberError::NoInt) => Decimal::parse(raw.as_bytes()).and_then(Decimal::to_i64),
                read => read,
            }
            .map_err(|error| self.unreadable(&error, raw.as_bytes()))
        };
        match self.kind {
            KeyType::Int => whole().map(Read::Int),
            KeyType::Time => Ok(Read::Time(Time { epoch_ms: whole()?, nanos: 0 }, Cow::Borrowed(raw.as_bytes()))),
            KeyType::Decimal => self.read_bytes(Cow::Borrowed(raw.as_bytes())),
            KeyType::Be64 | KeyType::String | KeyType::Bytes => {
                Err(self.unreadable(&"it is a number, not a string", raw.as_bytes()))
            }
        }
    }

    fn missing(&self, reason: &str) -> KeyError {
        KeyError::Missing { part: self.source.to_string(), reason: reason.to_owned() }
    }

    pub(super) fn unreadable(&self, reason: &dyn fmt::Display, bytes: &[u8]) -> KeyError {
        KeyError::Unreadable {
            part: self.source.to_string(),
            wanted: self.kind,
            reason: reason.to_string(),
            excerpt: excerpt(bytes),
        }
    }
}

/// A JSON number that is written as an integer, in a usual document.
#[inline]
fn int_in_json(document: &[u8], pointer: &json::Pointer) -> Option<i64> {
    parse_int(json::find_usual(document, pointer)?).ok()
}

/// Digits are milliseconds since 1970, also four of them: a year alone is no RFC 3339 time.
fn read_time(text: &[u8]) -> Result<Time, String> {
    match parse_int(text) {
        Ok(epoch_ms) => Ok(Time { epoch_ms, nanos: 0 }),
        Err(NumberError::NoInt) => parse_rfc3339(text).map_err(|error| format!("{error}, nor milliseconds since 1970")),
        Err(error) => Err(error.to_string()),
    }
}
