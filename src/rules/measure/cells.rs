//! A row of the answer, and how it is written: as CSV, as JSON, for people.

use crate::base::text::visible;
use crate::formats::string;

/// What stands in one place of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// No value.
    Nothing,
    /// A number, true, false, an array or an object, as JSON has it.
    Plain(&'a str),
    /// A text.
    Text(&'a str),
}

/// Cells, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells {
    bytes: Vec<u8>,
}

const NOTHING: u8 = 0;
const PLAIN: u8 = 1;
const TEXT: u8 = 2;

impl Cells {
    /// Those that [`Cells::bytes`] gave.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    /// To be put aside.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn nothing(&mut self) {
        self.put(NOTHING, &[]);
    }

    pub(super) fn plain(&mut self, json: &[u8]) {
        self.put(PLAIN, json);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.put(TEXT, text);
    }

    fn put(&mut self, sort: u8, text: &[u8]) {
        self.bytes.push(sort);
        self.bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(text);
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Cell<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (&sort, behind) = rest.split_first()?;
            let (len, behind) = behind.split_first_chunk()?;
            let (text, behind) = behind.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
            rest = behind;
            let text = std::str::from_utf8(text).ok()?;
            Some(match sort {
                NOTHING => Cell::Nothing,
                PLAIN => Cell::Plain(text),
                _ => Cell::Text(text),
            })
        })
    }

    /// Appends a line of CSV (RFC 4180). An empty text has quotation marks, and no value has none, but where it would leave an empty
    /// line, which readers pass over.
    pub fn put_csv(&self, out: &mut String) {
        let before = out.len();
        for (index, cell) in self.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            match cell {
                Cell::Nothing => {}
                Cell::Plain(text) => put_csv_field(out, text),
                Cell::Text("") => out.push_str("\"\""),
                Cell::Text(text) => put_csv_field(out, text),
            }
        }
        if out.len() == before {
            out.push_str("\"\"");
        }
        out.push('\n');
    }

    /// Appends an object with these names.
    pub fn put_json(&self, names: &[String], out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (cell, name)) in self.iter().zip(names).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            string::put(out, name);
            out.push(b':');
            match cell {
                Cell::Nothing => out.extend_from_slice(b"null"),
                Cell::Plain(json) => out.extend_from_slice(json.as_bytes()),
                Cell::Text(text) => string::put(out, text),
            }
        }
        out.push(b'}');
    }
}

impl Cell<'_> {
    /// How many characters people are shown.
    pub fn width(self) -> usize {
        match self {
            Cell::Nothing => 1,
            // Most need no look at each character.
            Cell::Plain(text) | Cell::Text(text) if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                text.len()
            }
            _ => self.show().chars().count(),
        }
    }

    /// As people are shown it, safe for their terminal.
    pub fn show(self) -> String {
        match self {
            Cell::Nothing => "-".to_owned(),
            Cell::Plain(text) | Cell::Text(text) => visible(text),
        }
    }
}

/// Appends a field of CSV, in quotation marks where it needs them.
pub(super) fn put_csv_field(out: &mut String, field: &str) {
    if !field.contains([',', '"', '\n', '\r']) {
        return out.push_str(field);
    }
    out.push('"');
    for (index, part) in field.split('"').enumerate() {
        out.push_str(if index == 0 { "" } else { "\"\"" });
        out.push_str(part);
    }
    out.push('"');
}

/// A line of CSV with the names of columns.
pub fn csv_heads(names: &[String]) -> String {
    let mut out = String::new();
    for (index, name) in names.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        put_csv_field(&mut out, name);
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_so_that_it_can_be_read_again() {
        let mut cells = Cells::default();
        cells.text(b"a,\"b\"\n\xc3\xa9");
        cells.nothing();
        cells.text(b"");
        cells.plain(b"{\"a\":[1,2]}");
        cells.plain(b"-1.5");
        cells.text(b"plain");
        let cells = Cells::of_bytes(cells.bytes());
        let mut csv = String::new();
        cells.put_csv(&mut csv);
        assert_eq!(csv, "\"a,\"\"b\"\"\n\u{e9}\",,\"\",\"{\"\"a\"\":[1,2]}\",-1.5,plain\n");
        let names: Vec<String> = ["t", "n", "e", "o", "-", "\"p"].map(str::to_owned).to_vec();
        let mut json = Vec::new();
        cells.put_json(&names, &mut json);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&json).unwrap(),
            serde_json::json!({ "t": "a,\"b\"\n\u{e9}", "n": null, "e": "", "o": { "a": [1, 2] }, "-": -1.5, "\"p": "plain" })
        );
        let shown: Vec<String> = cells.iter().map(Cell::show).collect();
        assert_eq!(shown, ["a,\"b\"\\n\u{e9}", "-", "", "{\"a\":[1,2]}", "-1.5", "plain"]);
        assert_eq!(csv_heads(&names), "t,n,e,o,-,\"\"\"p\"\n");
    }

    #[test]
    fn a_row_of_one_column_is_read_back_as_a_row_though_it_has_no_value() {
        let mut cells = Cells::default();
        cells.nothing();
        let mut text = csv_heads(&["n".to_owned()]);
        cells.put_csv(&mut text);
        assert_eq!(text, "n\n\"\"\n");
        cells.nothing();
        let mut csv = String::new();
        cells.put_csv(&mut csv);
        assert_eq!(csv, ",\n");
    }

    #[test]
    fn what_is_cut_short_gives_the_cells_before_it() {
        let mut cells = Cells::default();
        cells.text(b"a");
        cells.text(b"bc");
        for cut in 0..cells.bytes.len() {
            let cut = Cells::of_bytes(&cells.bytes[..cut]);
            assert!(cut.iter().count() < 2);
        }
    }
}
