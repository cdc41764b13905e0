//! From a row to a record: its key, its time, its headers, as the settings have it.

use super::input::Input;
use super::{Mode, ProduceSettings, feed};
use crate::base::clock::now_ms;
use crate::base::text::excerpt;
use crate::base::time::parse_rfc3339;
use crate::batch::{Headers, HeadersBuf};
use crate::formats::csv::Csv;
use crate::formats::envelope::EnvelopeReader;
use crate::formats::json::Documents;
use crate::formats::lines::Lines;
use crate::formats::{Reader, Row};
use crate::jobs::error::JobError;
use crate::jobs::pour::PourSettings;
use crate::keys::{Pointer, field};
use std::borrow::Cow;

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Each line is a value.
    Lines,
    /// Each line is an envelope.
    Envelope,
    /// The elements of an array, or documents one behind the other.
    Json,
    /// Rows behind a header.
    Csv,
}

/// Where a record's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFrom {
    /// The field of this column.
    Column(String),
    /// A field of the value, which is JSON.
    Pointer(Pointer),
    /// What stands before this delimiter in the line.
    Delimiter(String),
}

/// Where a record's time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFrom {
    /// All have the same, in milliseconds since 1970.
    Fixed(i64),
    /// The field of this column.
    Column(String),
    /// A field of the value, which is JSON.
    Pointer(Pointer),
}

/// Refuses settings that contradict each other, and inputs that are not there, before anything is done.
pub(super) fn check(settings: &ProduceSettings) -> Result<(), JobError> {
    let usage = |message: &str| Err(JobError::Usage(message.to_owned()));
    let is_stdin = settings.inputs.contains(&Input::Stdin);
    if is_stdin && (settings.repeat_to.is_some() || settings.compare_records.is_some()) {
        return usage("--repeat-to and --compare read their input again, and a pipe can be read once: name a file");
    }
    if settings.inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
        return usage("the standard input (-) can be read once");
    }
    if settings.batch_records == Some(0) || settings.compare_records == Some(0) {
        return usage("--batch-records and --compare-records must be 1 or more");
    }
    if settings.compare_records.is_some() && settings.mode == Mode::Sync {
        return usage("--compare writes both ways by itself: leave --mode out");
    }
    for input in &settings.inputs {
        let format = settings.format.unwrap_or_else(|| input.format());
        let name = input.name();
        let refuse = |message: String| Err(JobError::Usage(message));
        match (&settings.key, format) {
            (Some(KeyFrom::Column(column)), format) if format != Format::Csv => {
                return refuse(format!(
                    "--key {column}: {name} has no columns (it is read as {}); of JSON say --key /{column}, of a CSV --format csv",
                    format.name()
                ));
            }
            (Some(KeyFrom::Pointer(pointer)), Format::Csv) => {
                return refuse(format!(
                    "--key {}: {name} is a CSV, whose columns are named without a slash",
                    pointer.text()
                ));
            }
            (Some(KeyFrom::Delimiter(_)), format) if format != Format::Lines => {
                return refuse(format!("--key-delimiter parts lines, and {name} is read as {}", format.name()));
            }
            _ => {}
        }
        match (&settings.time, format) {
            (Some(TimeFrom::Column(column)), format) if format != Format::Csv => {
                return refuse(format!(
                    "--timestamp-from {column}: {name} has no columns (it is read as {})",
                    format.name()
                ));
            }
            (Some(TimeFrom::Pointer(pointer)), Format::Csv) => {
                return refuse(format!(
                    "--timestamp-from {}: {name} is a CSV, whose columns are named without a slash",
                    pointer.text()
                ));
            }
            _ => {}
        }
        if settings.keep_partitions && format != Format::Envelope {
            return refuse(format!("--keep-partitions needs envelopes (-J), and {name} is read as {}", format.name()));
        }
        if let Input::File(path) = input {
            std::fs::metadata(path).map_err(|source| JobError::Input { name, source })?;
        }
    }
    if settings.memory_bytes < 2 * feed::MEMORY {
        return usage("--memory must be 4MiB or more");
    }
    Ok(())
}

impl Format {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Envelope => "envelope",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

impl ProduceSettings {
    /// The longest record that is read: it is held as it is read, as it is written, and in its batch.
    pub(super) fn record_bytes_max(&self) -> usize {
        self.memory_bytes / 8
    }

    /// How records are written, with the part of the memory that is for that.
    pub(super) fn pour(&self) -> PourSettings {
        PourSettings { memory_bytes: self.memory_bytes / 2, memory_shares: Some(2), ..self.pour }
    }
}

/// What is taken from rows, and how.
pub(super) struct Shape<'a> {
    settings: &'a ProduceSettings,
}

/// A row with what was taken from it.
pub(super) struct Prepared<'a> {
    pub(super) row: Row<'a>,
    pub(super) key: Option<Cow<'a, [u8]>>,
    pub(super) timestamp: Option<i64>,
}

impl<'a> Shape<'a> {
    pub(super) fn of(settings: &'a ProduceSettings) -> Self {
        Self { settings }
    }

    /// A reader for this input.
    pub(super) fn reader(&self, input: &Input) -> Reader {
        let settings = self.settings;
        match settings.format.unwrap_or_else(|| input.format()) {
            Format::Lines => Reader::Lines(match &settings.key {
                Some(KeyFrom::Delimiter(delimiter)) => Lines::keyed(delimiter),
                _ => Lines::new(),
            }),
            Format::Envelope => Reader::Envelopes(Lines::new(), EnvelopeReader::default()),
            Format::Json => Reader::Json(Documents::new()),
            Format::Csv => {
                let key = match &settings.key {
                    Some(KeyFrom::Column(column)) => Some(column.as_str()),
                    _ => None,
                };
                let time = match &settings.time {
                    Some(TimeFrom::Column(column)) => Some(column.as_str()),
                    _ => None,
                };
                let delimiter = settings.csv_delimiter.unwrap_or(if input.is_tab_separated() { b'\t' } else { b',' });
                Reader::Csv(Box::new(Csv::new(delimiter, key, time)))
            }
        }
    }

    /// Takes key and time from a row.
    #[inline]
    pub(super) fn prepare<'r>(&self, row: Row<'r>) -> Result<Prepared<'r>, String> {
        let key = match &self.settings.key {
            Some(KeyFrom::Pointer(pointer)) => Some(wanted(row.value, pointer)?),
            _ => row.key.map(Cow::Borrowed),
        };
        let timestamp = match &self.settings.time {
            None => row.timestamp,
            Some(TimeFrom::Fixed(time)) => Some(*time),
            Some(TimeFrom::Column(_)) => Some(parse_time(row.time.unwrap_or_default())?),
            Some(TimeFrom::Pointer(pointer)) => Some(parse_time(&wanted(row.value, pointer)?)?),
        };
        Ok(Prepared { row, key, timestamp })
    }
}

/// The field that a pointer leads to.
fn wanted<'a>(value: Option<&'a [u8]>, pointer: &Pointer) -> Result<Cow<'a, [u8]>, String> {
    let found = field(value.unwrap_or_default(), pointer)?;
    found.ok_or_else(|| format!("no {} in {}", pointer.text(), excerpt(value.unwrap_or_default())))
}

/// Reads a time: milliseconds since 1970, or RFC 3339.
pub fn parse_time(text: &[u8]) -> Result<i64, String> {
    if let Some(number) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
        return Ok(number);
    }
    let wrong = |error| format!("{} is no time: neither milliseconds since 1970 nor {error}", excerpt(text));
    parse_rfc3339(text).map(|time| time.epoch_ms).map_err(wrong)
}

/// The headers that all records get, and behind them the row's own.
pub(super) fn headers<'a>(
    fixed: &[(String, Option<String>)],
    own: Headers<'a>,
    together: &'a mut HeadersBuf,
) -> Headers<'a> {
    if fixed.is_empty() {
        return own;
    }
    together.clear();
    for (name, value) in fixed {
        together.push(name.as_bytes(), value.as_deref().map(str::as_bytes));
    }
    for header in own.iter() {
        together.push(header.key, header.value);
    }
    together.headers()
}

/// The time of day, looked at now and then.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now_ms: Option<i64>,
}

impl Clock {
    /// It is looked at again.
    pub(super) fn forget(&mut self) {
        self.now_ms = None;
    }

    #[inline]
    pub(super) fn now_ms(&mut self) -> i64 {
        *self.now_ms.get_or_insert_with(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_or_a_date() {
        assert_eq!(parse_time(b"1700000000000"), Ok(1_700_000_000_000));
        assert_eq!(parse_time(b"-1"), Ok(-1));
        assert_eq!(parse_time(b"1970-01-01T00:00:01Z"), Ok(1000));
        for wrong in [&b""[..], b"now", b"2026-01-01", b"\xff", b"99999999999999999999"] {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn headers_of_all_come_before_the_rows_own() {
        let (mut own, mut together) = (HeadersBuf::default(), HeadersBuf::default());
        own.push(b"own", None);
        let fixed = [("all".to_owned(), Some("x".to_owned()))];
        let both = headers(&fixed, own.headers(), &mut together);
        let names: Vec<_> = both.iter().map(|header| header.key.to_vec()).collect();
        assert_eq!(names, [b"all".to_vec(), b"own".to_vec()]);
        assert_eq!(headers(&[], own.headers(), &mut HeadersBuf::default()), own.headers());
    }
}
