//! CSV with a header: each row becomes a JSON object of strings, `{"column":"field",…}`, in the order of the columns.
//!
//! The grammar is RFC 4180's: a field that begins with a quotation mark ends at the next one that is not doubled, and may hold
//! delimiters and line breaks; elsewhere a quotation mark is a character. Rows end in `\n` or `\r\n`, blank lines are passed
//! over, a byte order mark before the header too. A row of another width than the header is an error with its line.
//!
//! Fields stay text, also those that look like numbers: `007` is not 7, and `1.10` not 1.1.
//!
//! Non-obvious: nearly every row has no quotation mark and nothing to escape. That is found out for the whole row at once
//! (loops that compilers turn into vector code), and then a field is one copy.

mod grammar;

#[cfg(test)]
mod tests;

use super::text::Text;
use super::{Malformed, Row, string};
use crate::base::text::{did_you_mean, excerpt};
use grammar::{Scan, State, is_plain, without_return};
use std::ops::Range;

/// Reads rows, one after the other.
#[derive(Debug)]
pub struct Csv {
    delimiter: u8,
    key: Wanted,
    time: Wanted,
    header: Option<Header>,
    scan: Scan,
    /// The object being written.
    object: Vec<u8>,
    /// Fields as they are, where quotation marks had to be taken away; where each ends.
    fields: Vec<u8>,
    field_ends: Vec<usize>,
}

/// A column that is wanted for itself.
#[derive(Debug, Default)]
struct Wanted {
    name: Option<String>,
    column: Option<usize>,
}

#[derive(Debug)]
struct Header {
    /// What stands before the field of each column: `{"first":"`, then `","second":"`.
    prefixes: Vec<Vec<u8>>,
}

impl Csv {
    /// A reader for this delimiter; `key` and `time` are columns that are handed out beside the object.
    pub fn new(delimiter: u8, key: Option<&str>, time: Option<&str>) -> Self {
        let wanted = |name: Option<&str>| Wanted { name: name.map(str::to_owned), column: None };
        Self {
            delimiter,
            key: wanted(key),
            time: wanted(time),
            header: None,
            scan: Scan::default(),
            object: Vec::new(),
            fields: Vec::new(),
            field_ends: Vec::new(),
        }
    }

    /// The next text begins with a header of its own.
    pub fn restart(&mut self) {
        (self.header, self.scan) = (None, Scan::default());
    }

    /// The next row; `None` if it is not all there.
    pub fn next<'a>(&'a mut self, text: &'a mut Text) -> Result<Option<Row<'a>>, Malformed> {
        if self.header.is_none() {
            let Some((row, used)) = self.find(text)? else {
                return match text.is_ended() {
                    true => Err(text.wrong(0, "there is no header: a CSV begins with the names of its columns")),
                    false => Ok(None),
                };
            };
            self.read_header(text, row)?;
            text.take(used);
        }
        let Some((row, used)) = self.find(text)? else { return Ok(None) };
        let line = text.unread().get(..row).unwrap_or_default();
        let (key, time) = match is_plain(line) {
            true => self.read_plain(line),
            false => self.read_any(line),
        }
        .map_err(|(ahead, problem)| text.wrong(ahead, problem))?;
        let taken = text.take(used);
        let row = text.slice(taken);
        let field = |wanted: Option<Field>| match wanted {
            Some(Field::Row(range)) => row.get(range),
            Some(Field::Unquoted(range)) => self.fields.get(range),
            None => None,
        };
        Ok(Some(Row { key: field(key), time: field(time), ..Row::of(&self.object) }))
    }

    /// How long the next row is without its end, and with it. Blank lines before it are used.
    fn find(&mut self, text: &mut Text) -> Result<Option<(usize, usize)>, Malformed> {
        loop {
            let Some(end) = self.scan.end_of_row(text.unread(), self.delimiter) else {
                if !text.is_ended() {
                    text.check_length()?;
                    return Ok(None);
                }
                let unread = text.unread().len();
                if unread == 0 {
                    return Ok(None);
                }
                if self.scan.state == State::Quoted {
                    let began = text.unread().iter().position(|byte| *byte == b'"').unwrap_or(0);
                    return Err(text.wrong(began, "the text ends inside quotation marks"));
                }
                self.scan = Scan::default();
                let row = without_return(text.unread());
                if row == 0 {
                    text.take(unread);
                    return Ok(None);
                }
                return Ok(Some((row, unread)));
            };
            self.scan = Scan::default();
            let row = without_return(&text.unread()[..end]);
            if row > 0 {
                return Ok(Some((row, end + 1)));
            }
            text.take(end + 1);
        }
    }

    fn read_header(&mut self, text: &mut Text, row: usize) -> Result<(), Malformed> {
        let line = text.unread().get(..row).unwrap_or_default();
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let names = self.header_names(line).map_err(|problem| text.wrong(0, problem))?;
        for (flag, wanted) in [("--key", &mut self.key), ("--timestamp-from", &mut self.time)] {
            let Some(name) = &wanted.name else { continue };
            wanted.column = names.iter().position(|column| column == name);
            if wanted.column.is_none() {
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                let names = excerpt(names.join(", ").as_bytes());
                return Err(
                    text.wrong(0, format!("{flag} {name}: there is no such column{hint}; the columns are {names}"))
                );
            }
        }
        let prefixes = names.iter().enumerate().map(|(column, name)| {
            let mut prefix = if column == 0 { b"{".to_vec() } else { b"\",".to_vec() };
            string::put(&mut prefix, name);
            prefix.extend_from_slice(b":\"");
            prefix
        });
        self.header = Some(Header { prefixes: prefixes.collect() });
        Ok(())
    }

    fn header_names(&mut self, line: &[u8]) -> Result<Vec<String>, String> {
        self.unquote(line).map_err(|(_, problem)| problem)?;
        let mut names = Vec::new();
        let mut start = 0;
        for end in &self.field_ends {
            let name = std::str::from_utf8(&self.fields[start..*end]);
            let name = name.map_err(|_| format!("the name of column {} is no UTF-8", names.len() + 1))?;
            if name.trim().is_empty() {
                return Err(format!("column {} has no name: the first row must be the header", names.len() + 1));
            }
            if let Some(first) = names.iter().position(|known| known == name) {
                let (name, second) = (excerpt(name.as_bytes()), names.len() + 1);
                return Err(format!("columns {} and {second} are both named {name}", first + 1));
            }
            names.push(name.to_owned());
            start = *end;
        }
        Ok(names)
    }

    /// A row without quotation marks and without anything to escape.
    fn read_plain(&mut self, line: &[u8]) -> Result<Pair, Wrong> {
        let prefixes = self.header.as_ref().map(|header| header.prefixes.as_slice()).unwrap_or_default();
        self.object.clear();
        let (mut start, mut column) = (0, 0);
        let (mut key, mut time) = (None, None);
        for end in memchr::memchr_iter(self.delimiter, line).chain(std::iter::once(line.len())) {
            if let Some(prefix) = prefixes.get(column) {
                self.object.extend_from_slice(prefix);
                self.object.extend_from_slice(&line[start..end]);
                if self.key.column == Some(column) {
                    key = Some(Field::Row(start..end));
                }
                if self.time.column == Some(column) {
                    time = Some(Field::Row(start..end));
                }
            }
            (start, column) = (end + 1, column + 1);
        }
        self.object.extend_from_slice(b"\"}");
        ragged(column, prefixes.len()).map(|()| (key, time))
    }

    /// Any row.
    fn read_any(&mut self, line: &[u8]) -> Result<Pair, Wrong> {
        self.unquote(line)?;
        if let Err(error) = std::str::from_utf8(line) {
            let near = excerpt(&line[error.valid_up_to()..]);
            return Err((error.valid_up_to(), format!("no UTF-8, which JSON has to be, at {near}")));
        }
        let prefixes = self.header.as_ref().map(|header| header.prefixes.as_slice()).unwrap_or_default();
        ragged(self.field_ends.len(), prefixes.len())?;
        self.object.clear();
        let (mut start, mut pair) = (0, (None, None));
        for ((column, prefix), end) in prefixes.iter().enumerate().zip(&self.field_ends) {
            self.object.extend_from_slice(prefix);
            string::put_inside(&mut self.object, &self.fields[start..*end]);
            if self.key.column == Some(column) {
                pair.0 = Some(Field::Unquoted(start..*end));
            }
            if self.time.column == Some(column) {
                pair.1 = Some(Field::Unquoted(start..*end));
            }
            start = *end;
        }
        self.object.extend_from_slice(b"\"}");
        Ok(pair)
    }

    /// Takes a row's fields apart, without the quotation marks around them.
    fn unquote(&mut self, line: &[u8]) -> Result<(), Wrong> {
        self.fields.clear();
        self.field_ends.clear();
        let mut state = State::Start;
        for (at, &byte) in line.iter().enumerate() {
            let next = state.after(byte, self.delimiter);
            match (state, next) {
                (State::Closed, State::Plain) => {
                    let rest = excerpt(&line[at..]);
                    return Err((
                        at,
                        format!("text behind a closing quotation mark: {rest} (one inside a field is doubled)"),
                    ));
                }
                (_, State::Start) => self.field_ends.push(self.fields.len()),
                // The first of two, or the last of the field.
                (State::Start, State::Quoted) | (State::Quoted, State::Closed) => {}
                _ => self.fields.push(byte),
            }
            state = next;
        }
        self.field_ends.push(self.fields.len());
        Ok(())
    }
}

/// The key's field and the time's.
type Pair = (Option<Field>, Option<Field>);
/// How many bytes into the row something is wrong, and what.
type Wrong = (usize, String);

/// Where a field is.
enum Field {
    Row(Range<usize>),
    Unquoted(Range<usize>),
}

fn ragged(fields: usize, columns: usize) -> Result<(), Wrong> {
    match fields == columns {
        true => Ok(()),
        false => Err((0, format!("{fields} fields where the header has {columns}"))),
    }
}
