//! Records as text, in both directions. Pure: bytes in, bytes out; where they come from and go to is the jobs' affair.
//!
//! ```text
//!  blocks ──▶ text: what is not used yet ──▶ lines, csv, json, envelopes ──▶ Row: key, value, headers, time
//! ```
//!
//! What holds of every reader:
//! - It asks for more by answering `None`, and goes on where it was; so a text may be larger than memory, and what is read of
//!   it does not depend on where its blocks end.
//! - Nothing is allocated for a line or a row of CSV; of JSON, what serde_json takes to skip what is nested. No row may be
//!   longer than the limit the text was made with.
//! - What is wrong is told with its line. Which file it was is added by who opened it.

// What is read.
pub mod text;

pub mod lines;

pub mod csv;

pub mod json;

// One record as one JSON object on one line.
pub mod envelope;

// Records as rows of a table.
pub mod parquet;

// One record as text of the user's own making.
pub mod template;

// What a word of a record's text is.
pub mod words;

// What the formats share.
mod base64;

pub(crate) mod string;

use crate::batch::Headers;
use csv::Csv;
use envelope::{EnvelopeReader, Unwrapped};
use json::Documents;
use lines::Lines;
use text::Text;

/// One record of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The partition it says.
    pub partition: Option<i32>,
    /// The time it says, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The field that its time is to be taken from, as it is written.
    pub time: Option<&'a [u8]>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

impl<'a> Row<'a> {
    /// A row that is nothing but a value.
    #[inline]
    pub fn of(value: &'a [u8]) -> Self {
        Self { partition: None, timestamp: None, time: None, key: None, value: Some(value), headers: Headers::EMPTY }
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Malformed {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// A reader of one of the formats.
#[derive(Debug)]
pub enum Reader {
    /// Lines that are values, perhaps behind a key.
    Lines(Lines),
    /// Lines that are envelopes, with blank ones between them if need be.
    Envelopes(Lines, EnvelopeReader),
    /// CSV with a header.
    Csv(Box<Csv>),
    /// An array, or documents one behind the other.
    Json(Documents),
}

impl Reader {
    /// The next text begins.
    pub fn restart(&mut self) {
        match self {
            // Lines know nothing of the line before.
            Self::Lines(_) | Self::Envelopes(..) => {}
            Self::Csv(csv) => csv.restart(),
            Self::Json(documents) => documents.restart(),
        }
    }

    /// The next row; `None` if it is not all there, or there is none if the text has ended.
    #[inline]
    pub fn next<'a>(&'a mut self, text: &'a mut Text) -> Result<Option<Row<'a>>, Malformed> {
        match self {
            Self::Lines(lines) => lines.next(text),
            Self::Csv(csv) => csv.next(text),
            Self::Json(documents) => documents.next(text),
            Self::Envelopes(lines, reader) => next_envelope(lines, reader, text),
        }
    }
}

fn next_envelope<'a>(
    lines: &mut Lines,
    reader: &'a mut EnvelopeReader,
    text: &'a mut Text,
) -> Result<Option<Row<'a>>, Malformed> {
    let line = loop {
        let number = text.line();
        let Some(line) = lines.take(text)? else { return Ok(None) };
        if !text.slice(line.clone()).trim_ascii().is_empty() {
            break (line, number);
        }
    };
    let (line, number) = line;
    let Unwrapped { partition, timestamp, key, value, headers } =
        reader.read(text.slice(line)).map_err(|error| Malformed { line: number, problem: error.to_string() })?;
    Ok(Some(Row { partition, timestamp, time: None, key, value, headers }))
}

/// What serde_json has to say about a text, with the column and without the line: that is counted by who reads a file.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((problem, _)) if error.column() > 0 => format!("{problem} at column {}", error.column()),
        Some((problem, _)) => problem.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::text::in_blocks;
    use super::*;

    #[test]
    fn envelopes_are_lines_with_blank_ones_between_them_and_a_bad_one_is_told_with_its_line() {
        let text = b"{\"payload\":\"a\",\"ts\":5}\n\n  \n{\"payload\":null,\"key\":\"k\",\"partition\":2}\r\n";
        for step in 1..text.len() {
            let mut reader = Reader::Envelopes(Lines::new(), EnvelopeReader::default());
            let rows = in_blocks(text, step, |text| {
                let row = reader.next(text)?;
                Ok(row.map(|row| {
                    (row.partition, row.timestamp, row.key.map(<[u8]>::to_vec), row.value.map(<[u8]>::to_vec))
                }))
            });
            let expected = [(None, Some(5), None, Some(b"a".to_vec())), (Some(2), None, Some(b"k".to_vec()), None)];
            assert_eq!(rows.unwrap(), expected, "{step}");
        }
        let mut reader = Reader::Envelopes(Lines::new(), EnvelopeReader::default());
        let rows = in_blocks(b"\n\n{}\n", 2, |text| Ok(reader.next(text)?.map(|_| ())));
        let error = rows.unwrap_err();
        assert_eq!((error.line, error.problem.contains("payload")), (3, true), "{error}");
    }
}
