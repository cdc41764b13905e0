//! Records as text of the user's own making: kcat's format string, with names where kcat's letters are too few.
//!
//! | token | is | the same by name |
//! | --- | --- | --- |
//! | `%s` `%S` `%R` | the value, its length (-1 for null), that as four bytes | `%{value}` `%{value:len}` `%{value:len32}` |
//! | `%k` `%K` | the key, its length | `%{key}` `%{key:len}` |
//! | `%T` | the timestamp, in milliseconds since 1970 | `%{ts}`, `%{ts:s}`, `%{ts:rfc3339}` |
//! | `%h` | all headers, as `name=value,name=value`, null as `NULL` | `%{headers}`, `%{headers:json}`, `%{headers:count}` |
//! | `%t` `%p` `%o` | topic, partition, offset | `%{topic}` `%{partition}` `%{offset}` |
//! | `%%` | a percent sign | |
//! | | the last header of a name | `%{header:NAME}` |
//! | `\n` `\t` `\r` `\0` `\\` `\xNN` | one character | |
//!
//! Whatever is bytes (value, key, a header) can be written as `text` (as it is; the default), `hex`, `base64`, `json` (as in the
//! envelope: documents nested, other text a string, the rest a string of base64) or `len`.
//!
//! A template is compiled once; writing a record allocates nothing but what the output grows by. Where the output is a terminal,
//! what comes from records cannot drive it: control characters are written as escapes, line breaks and tabs stay. What the
//! template itself says is the user's and goes out as it is.

mod parse;

#[cfg(test)]
mod tests;

pub use parse::TemplateError;

use super::base64;
use super::envelope::{Envelope, put_headers, put_json, put_number};
use crate::base::text::put_visible;
use crate::base::time::show_epoch_ms;
use std::io::Write as _;

/// A format string, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    /// What stands for a key or a value that is null.
    null: Vec<u8>,
    visible: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Time(TimeForm),
    Bytes(Field, ByteForm),
    Headers(HeadersForm),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Value,
    Key,
    /// The last header of this name.
    Header(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteForm {
    Text,
    Hex,
    Base64,
    Json,
    Len,
    Len32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeForm {
    Millis,
    Seconds,
    Rfc3339,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeadersForm {
    Pairs,
    Json,
    Count,
}

impl Template {
    /// Reads a format string.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { pieces: parse::pieces(text)?, null: Vec::new(), visible: false })
    }

    /// What is written for a key or a value that is null; nothing, as long as nothing is said.
    pub fn null_as(self, text: &str) -> Self {
        Self { null: text.as_bytes().to_vec(), ..self }
    }

    /// Whether what comes from records must not drive a terminal.
    pub fn visible(self, visible: bool) -> Self {
        Self { visible, ..self }
    }

    /// Appends a record. No line break is added: the template says where it wants one.
    pub fn write(&self, out: &mut Vec<u8>, record: &Envelope<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Bytes(Field::Value, ByteForm::Text) => self.put_plain(out, record.value),
                Piece::Bytes(field, form) => self.put(out, field.of(record), *form),
                Piece::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Piece::Partition => put_number(out, record.partition.into()),
                Piece::Offset => put_number(out, record.offset),
                Piece::Time(form) => put_time(out, record.timestamp, *form),
                Piece::Headers(form) => self.put_headers(out, record, *form),
            }
        }
    }

    /// Bytes as they are.
    #[inline]
    fn put_plain(&self, out: &mut Vec<u8>, bytes: Option<&[u8]>) {
        let bytes = bytes.unwrap_or(&self.null);
        match self.visible {
            false => out.extend_from_slice(bytes),
            true => put_visible(out, bytes),
        }
    }

    fn put(&self, out: &mut Vec<u8>, bytes: Option<&[u8]>, form: ByteForm) {
        let length = || bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        match (form, bytes) {
            (ByteForm::Len, _) => put_number(out, length()),
            (ByteForm::Len32, _) => out.extend_from_slice(&(length() as i32).to_be_bytes()),
            (ByteForm::Json, _) => {
                let from = out.len();
                put_json(out, bytes);
                self.hide_controls(out, from);
            }
            (ByteForm::Text, _) | (_, None) => self.put_plain(out, bytes),
            (ByteForm::Hex, Some(bytes)) => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
                bytes.iter().for_each(|byte| out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]));
            }
            (ByteForm::Base64, Some(bytes)) => base64::encode(bytes, out),
        }
    }

    fn put_headers(&self, out: &mut Vec<u8>, record: &Envelope<'_>, form: HeadersForm) {
        match form {
            HeadersForm::Count => put_number(out, record.headers.len() as i64),
            HeadersForm::Json => {
                let from = out.len();
                put_headers(out, record.headers);
                self.hide_controls(out, from);
            }
            HeadersForm::Pairs => {
                for (index, header) in record.headers.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.put_plain(out, Some(header.key));
                    out.push(b'=');
                    self.put_plain(out, Some(header.value.unwrap_or(b"NULL")));
                }
            }
        }
    }

    /// A document that is nested is copied as it is, and JSON allows some control characters in strings.
    fn hide_controls(&self, out: &mut Vec<u8>, from: usize) {
        if self.visible {
            escape_json_controls(out, from);
        }
    }
}

impl Field {
    fn of<'a>(&self, record: &Envelope<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Value => record.value,
            Self::Key => record.key,
            Self::Header(name) => record.headers.last(name).flatten(),
        }
    }
}

fn put_time(out: &mut Vec<u8>, timestamp: i64, form: TimeForm) {
    match form {
        TimeForm::Millis => put_number(out, timestamp),
        TimeForm::Seconds if timestamp >= 0 => put_number(out, timestamp / 1000),
        // A record without a timestamp has -1 there.
        TimeForm::Seconds => put_number(out, timestamp),
        TimeForm::Rfc3339 if timestamp == -1 => put_number(out, timestamp),
        // Writing to a vector cannot fail.
        TimeForm::Rfc3339 => drop(write!(out, "{}", show_epoch_ms(timestamp))),
    }
}

/// Writes the control characters that JSON leaves alone in strings, and those that turn the direction of text, as escapes; from
/// `from` on.
pub fn escape_json_controls(out: &mut Vec<u8>, from: usize) {
    let is_hidden = |c: char| c.is_control() || crate::base::text::turns_text(c);
    let Ok(text) = std::str::from_utf8(&out[from..]) else { return };
    if !text.chars().any(is_hidden) {
        return;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hidden(c) && !matches!(c, '\t' | '\n') {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    out.truncate(from);
    out.extend_from_slice(shown.as_bytes());
}
