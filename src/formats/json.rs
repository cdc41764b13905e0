//! JSON documents one after the other: the elements of an array, or documents behind each other, also over many lines.
//!
//! ```text
//!  [ {"a": 1}, {"a": 2} ]      {"a": 1}        {
//!                              {"a": 2}          "a": 1 } …
//! ```
//!
//! An array at the top is taken apart, so its elements are the records, and several arrays may follow each other. Each record
//! is put on one line: spaces and line breaks outside strings go, everything else stays as it is written.
//!
//! Non-obvious: the end of a document is found by counting brackets, which costs a counter and no stack, however deep they are;
//! and is gone on with where it stopped when more has come. Whether it is JSON is looked at once it is whole (serde_json skips
//! without recursion).

use super::text::Text;
use super::{Malformed, Row};

/// Reads documents, one after the other.
#[derive(Debug, Default)]
pub struct Documents {
    place: Place,
    scan: Scan,
    /// The document on one line.
    line: Vec<u8>,
}

/// What may come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first document.
    #[default]
    First,
    /// A document at the top.
    Top,
    /// In an array: its first element, or its end.
    Opened,
    /// In an array: an element.
    Element,
    /// In an array: a comma, or its end.
    Behind,
}

/// How far the end of a document has been looked for.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
}

impl Documents {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next text begins.
    pub fn restart(&mut self) {
        (self.place, self.scan) = (Place::First, Scan::default());
    }

    /// The next document; `None` if it is not all there.
    pub fn next<'a>(&'a mut self, text: &mut Text) -> Result<Option<Row<'a>>, Malformed> {
        if !self.come_to_document(text)? {
            return Ok(None);
        }
        let Some(len) = self.scan.end_of_document(text.unread(), text.is_ended()) else {
            if text.is_ended() {
                return Err(text.wrong(0, "the document that begins here does not end"));
            }
            text.check_length()?;
            return Ok(None);
        };
        self.scan = Scan::default();
        let document = text.unread().get(..len).unwrap_or_default();
        let checked = match std::str::from_utf8(document) {
            Ok(document) => serde_json::from_str::<serde::de::IgnoredAny>(document)
                .map_err(|error| (line_start(document.as_bytes(), error.line()), super::json_problem(&error))),
            Err(error) => Err((error.valid_up_to(), "no UTF-8, which JSON has to be".to_owned())),
        };
        self.line.clear();
        compact(document, &mut self.line);
        checked.map_err(|(ahead, problem)| text.wrong(ahead, problem))?;
        text.take(len);
        self.place = if self.place == Place::Top { Place::Top } else { Place::Behind };
        Ok(Some(Row::of(&self.line)))
    }

    /// Passes over what stands between documents; `false` if more has to come.
    fn come_to_document(&mut self, text: &mut Text) -> Result<bool, Malformed> {
        loop {
            if self.place == Place::First {
                let unread = text.unread();
                // Behind a byte order mark.
                if b"\xef\xbb\xbf".starts_with(unread) && !text.is_ended() {
                    return Ok(false);
                }
                let mark = if unread.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
                text.take(mark);
                self.place = Place::Top;
            }
            let unread = text.unread();
            let spaces = unread.iter().take_while(|byte| is_space(**byte)).count();
            let Some(&next) = unread.get(spaces) else {
                text.take(spaces);
                let in_array = self.place != Place::Top;
                return match text.is_ended() && in_array {
                    true => Err(text.wrong(0, "the text ends inside an array: a ] is missing")),
                    false => Ok(false),
                };
            };
            if self.scan.at > 0 {
                return Ok(true);
            }
            text.take(spaces);
            self.place = match (self.place, next) {
                (Place::Top, b'[') => Place::Opened,
                (Place::Opened | Place::Behind, b']') => Place::Top,
                (Place::Behind, b',') => Place::Element,
                (Place::Behind, _) => return Err(text.wrong(0, "a comma or a ] has to follow an element")),
                (Place::Top, b']' | b',') | (Place::Element | Place::Opened, b',') | (Place::Element, b']') => {
                    return Err(text.wrong(0, format!("a document has to stand where {:?} is", char::from(next))));
                }
                (place, _) => {
                    self.place = if place == Place::Top { Place::Top } else { Place::Element };
                    return Ok(true);
                }
            };
            text.take(1);
        }
    }
}

impl Scan {
    /// How long the document is that `unread` begins with. One that is neither in brackets nor a string ends where something
    /// else begins, or the text ends.
    fn end_of_document(&mut self, unread: &[u8], is_ended: bool) -> Option<usize> {
        while let Some(&byte) = unread.get(self.at) {
            if self.in_string {
                let rest = &unread[self.at..];
                match memchr::memchr2(b'"', b'\\', rest) {
                    Some(found) if rest[found] == b'"' => {
                        self.at += found + 1;
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(self.at);
                        }
                    }
                    // The byte behind a backslash is no end; if it is not there yet, the backslash is looked at again.
                    Some(found) if found + 1 < rest.len() => self.at += found + 2,
                    Some(found) => {
                        self.at += found;
                        return None;
                    }
                    None => self.at = unread.len(),
                }
                continue;
            }
            match byte {
                b'"' if self.depth > 0 || self.at == 0 => self.in_string = true,
                b'{' | b'[' if self.depth > 0 || self.at == 0 => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(self.at + 1);
                    }
                }
                // A number or a word ends where something else begins.
                byte if self.depth == 0 && (is_space(byte) || b",[]{}\"".contains(&byte)) => {
                    return Some(self.at.max(1));
                }
                _ => {}
            }
            self.at += 1;
        }
        (is_ended && self.depth == 0 && !self.in_string && self.at > 0).then_some(self.at)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Where line `number` (from 1) begins.
fn line_start(text: &[u8], number: usize) -> usize {
    match number.checked_sub(2) {
        Some(breaks) => memchr::memchr_iter(b'\n', text).nth(breaks).map_or(text.len(), |at| at + 1),
        None => 0,
    }
}

/// Appends a document without the spaces outside its strings.
fn compact(document: &[u8], out: &mut Vec<u8>) {
    let mut rest = document;
    while !rest.is_empty() {
        let run = rest.iter().position(|&byte| byte == b'"' || is_space(byte)).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(run);
        out.extend_from_slice(plain);
        let len = match tail.first() {
            Some(b'"') => string_len(tail),
            Some(_) => {
                rest = &tail[tail.iter().take_while(|byte| is_space(**byte)).count()..];
                continue;
            }
            None => 0,
        };
        out.extend_from_slice(&tail[..len]);
        rest = &tail[len..];
    }
}

/// The length of the string that stands first, its quotation marks included.
fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::text::in_blocks;

    fn read(text: &[u8], step: usize) -> Result<Vec<String>, Malformed> {
        let mut documents = Documents::new();
        in_blocks(text, step, |text| {
            let row = documents.next(text)?;
            Ok(row.map(|row| String::from_utf8(row.value.unwrap().to_vec()).unwrap()))
        })
    }

    /// The same at every size of blocks.
    fn documents(text: &str) -> Vec<String> {
        let whole = read(text.as_bytes(), text.len()).unwrap();
        for step in 1..text.len() {
            assert_eq!(read(text.as_bytes(), step).unwrap(), whole, "{step}");
        }
        whole
    }

    fn error(text: &[u8]) -> String {
        let whole = read(text, text.len()).unwrap_err().to_string();
        for step in 1..text.len() {
            assert_eq!(read(text, step).unwrap_err().to_string(), whole, "{step}");
        }
        whole
    }

    #[test]
    fn the_elements_of_an_array_are_records_on_one_line() {
        assert_eq!(documents("[]"), [""; 0]);
        assert_eq!(
            documents(" \n[ {\"a\" : [ 1 , 2.50 ] },\n 17 , \"x \\\" ]\" , null,[ ] ] \n"),
            [r#"{"a":[1,2.50]}"#, "17", r#""x \" ]""#, "null", "[]"]
        );
        assert_eq!(documents("[1][ 2,3 ]\n[]4"), ["1", "2", "3", "4"]);
        assert_eq!(documents("\u{feff}[1]"), ["1"]);
    }

    #[test]
    fn documents_behind_each_other_are_records_however_they_are_laid_out() {
        let pretty = "{\n  \"a\": \"b  c\\n\",\n  \"d\": {\"e\": [\n 1]}\n}\n{\"f\":\"}\"}\n17 true\n\"s\"{}\n";
        assert_eq!(
            documents(pretty),
            [r#"{"a":"b  c\n","d":{"e":[1]}}"#, r#"{"f":"}"}"#, "17", "true", r#""s""#, "{}"]
        );
        assert_eq!(documents(""), [""; 0]);
        assert_eq!(documents("17"), ["17"]);
    }

    #[test]
    fn nesting_costs_no_stack() {
        for depth in [10_000, 400_000] {
            let deep = "[".repeat(depth) + &"]".repeat(depth);
            // The outermost is the array that is taken apart.
            assert_eq!(read(deep.as_bytes(), 1000).unwrap(), [&deep[1..deep.len() - 1]]);
            let object = "{\"a\":".repeat(depth / 8) + "1" + &"}".repeat(depth / 8);
            assert_eq!(read(object.as_bytes(), 999).unwrap(), [object]);
            let error = read("[".repeat(depth).as_bytes(), 1000).unwrap_err().to_string();
            assert!(error.contains("does not end"), "{error}");
        }
    }

    #[test]
    fn what_is_broken_is_told_with_its_line() {
        for (text, said) in [
            (&b"[1,\n2"[..], "line 2: the text ends inside an array"),
            (b"[1,\n2\n3]", "line 3: a comma or a ]"),
            (b"[1,\n]", "line 2: a document has to stand where ']' is"),
            (b"[,1]", "line 1: a document has to stand where ',' is"),
            (b"1\n]", "line 2: a document has to stand where ']' is"),
            (b"{\"a\":\n", "line 1: the document that begins here does not end"),
            (b"{}\n{\"a\":\n tru}", "line 3: expected"),
            (b"{}\nhello\n", "line 2: expected"),
            (b"{}\n{]\n", "line 2: key must be a string"),
            (b"{}\n\"a\nb\"", "line 2: control character"),
            (b"{}\n{\"a\":\n\"\xff\"}", "line 3: no UTF-8"),
            (b"}", "line 1: expected value"),
        ] {
            let error = error(text);
            assert!(error.starts_with(said), "{error} is not {said}");
        }
    }
}
