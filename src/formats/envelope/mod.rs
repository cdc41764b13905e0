//! One record as one JSON object on one line: kcat's envelope, in both directions, without loss.
//!
//! ```json
//! {"topic":"t","partition":0,"offset":17,"tstype":"create","ts":1700000000000,"broker":1,
//!  "headers":[["trace","af01"],["none",null]],"key":"k","payload":{"a": 1}}
//! ```
//!
//! How bytes are written, for the payload, the key and the value of a header alike:
//!
//! | the bytes are | in JSON | and beside it |
//! | --- | --- | --- |
//! | absent (of a payload: a tombstone) | `null` | |
//! | a JSON object or array, on one line, nothing around it | those bytes, verbatim | |
//! | any other UTF-8 | a string | |
//! | anything else | base64, a string | `"payload_encoding":"base64"`, `"key_encoding":"base64"` |
//!
//! A header is `[NAME, VALUE]`; where there is something to mark, `[NAME, VALUE, VALUE_ENCODING]` or, for a name that is no
//! UTF-8, `[NAME, VALUE, VALUE_ENCODING, NAME_ENCODING]` with `null` where there is nothing.
//!
//! Non-obvious:
//! - A payload that is the *text* `null`, `17`, `true` or `"quoted"` is written as a string; so what is nested is never a
//!   scalar, and null is only a tombstone. A scalar that somebody else nests is taken by its text.
//! - What is nested is copied, never built: numbers, escapes, repeated members and spaces come back as they were. So bytes with
//!   a line break in them, or with spaces around them, are no nested document but a string: a line would end in them, and a
//!   reader would drop them.
//! - No UTF-8 text holds a raw control character when it is written as a string. What is nested may hold those that JSON allows
//!   inside strings (U+007F to U+009F): who writes to a terminal looks at that.
//! - kcat itself writes headers as one flat array, names and values in turn. That is read too.

mod read;

#[cfg(test)]
mod tests;

pub use read::{EnvelopeError, EnvelopeReader, Unwrapped};

use super::{base64, string};
use crate::batch::{Headers, TimestampType};

/// The word that marks bytes which are no text.
const BASE64: &str = "base64";

/// A record with its place, to be written as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The record's offset in it.
    pub offset: i64,
    /// Milliseconds since 1970; -1 where there is none.
    pub timestamp: i64,
    /// Whose time that is.
    pub timestamp_type: TimestampType,
    /// The node id of the broker that it was read from, where that is known.
    pub broker: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers, left out where there are none.
    pub headers: Headers<'a>,
}

impl Envelope<'_> {
    /// Appends the object, without a line break.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"topic\":");
        string::put(out, self.topic);
        out.extend_from_slice(b",\"partition\":");
        put_number(out, self.partition.into());
        out.extend_from_slice(b",\"offset\":");
        put_number(out, self.offset);
        out.extend_from_slice(match self.timestamp_type {
            _ if self.timestamp < 0 => b",\"tstype\":\"unknown\"" as &[u8],
            TimestampType::Create => b",\"tstype\":\"create\"",
            TimestampType::LogAppend => b",\"tstype\":\"logappend\"",
        });
        out.extend_from_slice(b",\"ts\":");
        put_number(out, self.timestamp);
        if let Some(broker) = self.broker {
            out.extend_from_slice(b",\"broker\":");
            put_number(out, broker.into());
        }
        if !self.headers.is_empty() {
            out.extend_from_slice(b",\"headers\":");
            put_headers(out, self.headers);
        }
        out.extend_from_slice(b",\"key\":");
        if put_bytes(out, self.key) == Mark::Base64 {
            out.extend_from_slice(b",\"key_encoding\":\"base64\"");
        }
        out.extend_from_slice(b",\"payload\":");
        if put_bytes(out, self.value) == Mark::Base64 {
            out.extend_from_slice(b",\"payload_encoding\":\"base64\"");
        }
        out.push(b'}');
    }
}

/// Headers as an array of arrays.
pub(super) fn put_headers(out: &mut Vec<u8>, headers: Headers<'_>) {
    out.push(b'[');
    for (index, header) in headers.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
        let name = put_text(out, header.key);
        out.push(b',');
        let value = put_bytes(out, header.value);
        out.extend_from_slice(match (value, name) {
            (Mark::None, Mark::None) => b"]",
            (Mark::Base64, Mark::None) => b",\"base64\"]",
            (Mark::None, Mark::Base64) => b",null,\"base64\"]" as &[u8],
            (Mark::Base64, Mark::Base64) => b",\"base64\",\"base64\"]",
        });
    }
    out.push(b']');
}

/// Bytes alone, as they are written in an envelope; what is base64 is not marked.
pub(super) fn put_json(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_bytes(out, bytes);
}

/// What has to be said beside the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Base64,
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Mark {
    match bytes {
        None => out.extend_from_slice(b"null"),
        Some(bytes) if is_one_line_document(bytes) => out.extend_from_slice(bytes),
        Some(bytes) => return put_text(out, bytes),
    }
    Mark::None
}

/// Bytes as a string, whatever they are.
fn put_text(out: &mut Vec<u8>, bytes: &[u8]) -> Mark {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            string::put(out, text);
            Mark::None
        }
        Err(_) => {
            out.push(b'"');
            base64::encode(bytes, out);
            out.push(b'"');
            Mark::Base64
        }
    }
}

/// A number in decimal digits.
pub(super) fn put_number(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Whether the bytes are a JSON object or array and nothing else, without a line break. Walks them once and builds nothing;
/// depth costs no stack (serde_json keeps a byte a level on the heap).
pub fn is_one_line_document(bytes: &[u8]) -> bool {
    let framed = matches!(bytes, [b'{', .., b'}'] | [b'[', .., b']']);
    framed
        && !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
        && std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}
