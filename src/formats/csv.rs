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

use super::text::Text;
use super::{Malformed, Row, string};
use crate::base::text::{did_you_mean, excerpt};
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

/// How far the end of the row has been looked for.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first byte of a field.
    #[default]
    Start,
    /// In a field without quotation marks.
    Plain,
    /// Between quotation marks.
    Quoted,
    /// Behind a quotation mark that ends the field, if it is not doubled.
    Closed,
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

impl State {
    #[inline(always)]
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, _) => Self::Quoted,
            (Self::Start | Self::Closed, b'"') => Self::Quoted,
            (_, byte) if byte == delimiter => Self::Start,
            _ => Self::Plain,
        }
    }
}

impl Scan {
    /// Where the line break is that ends the row.
    fn end_of_row(&mut self, unread: &[u8], delimiter: u8) -> Option<usize> {
        let rest = unread.get(self.at..)?;
        if self.state != State::Quoted {
            let end = memchr::memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            if memchr::memchr(b'"', line).is_none() {
                if end.is_none() {
                    // Begun anew when more is there: a quotation mark may follow the delimiter that the block ends in.
                    self.state = match rest.last() {
                        Some(last) if *last == delimiter => State::Start,
                        Some(_) => State::Plain,
                        None => self.state,
                    };
                    self.at = unread.len();
                }
                return end.map(|end| self.at + end);
            }
        }
        for (at, &byte) in rest.iter().enumerate() {
            if byte == b'\n' && self.state != State::Quoted {
                return Some(self.at + at);
            }
            self.state = self.state.after(byte, delimiter);
        }
        self.at = unread.len();
        None
    }
}

fn ragged(fields: usize, columns: usize) -> Result<(), Wrong> {
    match fields == columns {
        true => Ok(()),
        false => Err((0, format!("{fields} fields where the header has {columns}"))),
    }
}

fn without_return(row: &[u8]) -> usize {
    row.len() - usize::from(row.last() == Some(&b'\r'))
}

/// Nothing in it is a quotation mark or has to be escaped, and it is ASCII.
#[inline]
fn is_plain(line: &[u8]) -> bool {
    line.iter().fold(true, |plain, &byte| plain & (byte >= b' ') & (byte < 0x7f) & (byte != b'"') & (byte != b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::text::in_blocks;
    use proptest::prelude::*;
    use serde_json::Value;

    type Found = (Option<String>, Option<String>, String);

    fn read_with(mut csv: Csv, text: &[u8], step: usize) -> Result<Vec<Found>, Malformed> {
        let owned = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        in_blocks(text, step, |text| {
            let row = csv.next(text)?;
            Ok(row.map(|row| (owned(row.key), owned(row.time), owned(row.value).unwrap())))
        })
    }

    fn read(text: &str, step: usize) -> Vec<String> {
        let rows = read_with(Csv::new(b',', None, None), text.as_bytes(), step).unwrap();
        rows.into_iter().map(|(_, _, value)| value).collect()
    }

    fn error(text: &[u8]) -> String {
        let errors: Vec<String> = (1..=text.len().max(1))
            .map(|step| read_with(Csv::new(b',', None, None), text, step).unwrap_err().to_string())
            .collect();
        assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
        errors[0].clone()
    }

    #[test]
    fn rows_become_objects_wherever_blocks_end() {
        let text = "id,name\n1,a b\r\n\n2,\"x, \"\"y\"\"\nz\"\n3,é\\\t\n4,\n\"5\",say \"hi\"";
        let objects = [
            r#"{"id":"1","name":"a b"}"#,
            r#"{"id":"2","name":"x, \"y\"\nz"}"#,
            r#"{"id":"3","name":"é\\\t"}"#,
            r#"{"id":"4","name":""}"#,
            r#"{"id":"5","name":"say \"hi\""}"#,
        ];
        for step in 1..=text.len() {
            assert_eq!(read(text, step), objects, "{step}");
        }
        assert_eq!(read("\u{feff}a\r\n1\r\n", 3), [r#"{"a":"1"}"#]);
        assert_eq!(read("\"a \"\"b\"\"\"\n1\n", 2), [r#"{"a \"b\"":"1"}"#]);
        assert_eq!(read("a,b\n", 1), [""; 0]);
    }

    #[test]
    fn columns_are_handed_out_as_they_are() {
        for step in 1..9 {
            let csv = Csv::new(b';', Some("k"), Some("t"));
            let rows = read_with(csv, b"t;k\n1;x\n2;\"a;\"\"b\"\n", step).unwrap();
            let of = |row: &Found| (row.0.clone().unwrap(), row.1.clone().unwrap());
            assert_eq!(
                rows.iter().map(of).collect::<Vec<_>>(),
                [("x".into(), "1".into()), ("a;\"b".into(), "2".into())]
            );
        }
        let error = read_with(Csv::new(b',', Some("nmae"), None), b"id,name\n", 9).unwrap_err().to_string();
        assert!(error.contains("did you mean name?") && error.contains("--key nmae"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, said) in [
            (&b""[..], "line 1: there is no header"),
            (b"\n\n", "line 3: there is no header"),
            (b"a,,c\n", "line 1: column 2 has no name"),
            (b"a,b,a\n", "line 1: columns 1 and 3 are both named \"a\""),
            (b"a,b\n1,2\n3\n", "line 3: 1 fields where the header has 2"),
            (b"a,b\n\"1\n\",2\n3,4,5\n", "line 4: 3 fields where the header has 2"),
            (b"a,b\n1,\"2\"x\n", "line 2: text behind a closing quotation mark: \"x\""),
            (b"a,b\n1,2\n3,\"4\n5\n", "line 3: the text ends inside quotation marks"),
            (b"a\nx\n\xff\n", "line 3: no UTF-8"),
            (b"a\n\"x\ny\xff\"\n", "line 3: no UTF-8"),
        ] {
            let error = error(text);
            assert!(error.starts_with(said), "{error} is not {said}");
        }
    }

    proptest! {
        #[test]
        fn fields_come_back_from_the_object_whatever_they_hold_and_wherever_blocks_end(
            rows in proptest::collection::vec(proptest::collection::vec("[a,\"\n\r\t\\\\é \u{1}]{0,6}", 3), 0..6),
            step in 1..40usize,
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
            let text = format!("x,y,z\n{}", rows.iter().map(line).collect::<String>());
            for (object, row) in read(&text, step).iter().zip(&rows) {
                let object: Value = serde_json::from_str(object).unwrap();
                for (column, field) in ["x", "y", "z"].into_iter().zip(row) {
                    prop_assert_eq!(&object[column], field);
                }
            }
            prop_assert_eq!(read(&text, step).len(), rows.len());
        }

        #[test]
        fn any_bytes_give_rows_or_an_error_and_the_same_wherever_blocks_end(
            text in proptest::collection::vec(prop_oneof![4 => proptest::sample::select(b",\"\n\ra".to_vec()), 1 => any::<u8>()], 0..40),
            step in 1..20usize,
        ) {
            let whole = read_with(Csv::new(b',', None, None), &text, 100);
            prop_assert_eq!(read_with(Csv::new(b',', None, None), &text, step), whole);
        }
    }
}
