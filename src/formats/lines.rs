//! Lines: each is a value, or a key, a delimiter and a value.
//!
//! A line ends in `\n` or `\r\n`; the last one may lack its end. An empty line is an empty value.

use super::text::Text;
use super::{Malformed, Row};
use crate::base::text::excerpt;
use memchr::memmem::Finder;
use std::ops::Range;

/// Reads lines, one after the other.
#[derive(Debug, Default)]
pub struct Lines {
    /// So much of what is unread has no end of a line in it.
    searched: usize,
    /// What stands between key and value.
    delimiter: Option<Finder<'static>>,
}

impl Lines {
    /// Lines that are values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lines that are a key, `delimiter`, and a value.
    pub fn keyed(delimiter: &str) -> Self {
        Self { searched: 0, delimiter: Some(Finder::new(delimiter.as_bytes()).into_owned()) }
    }

    /// The next line; `None` if it is not all there.
    #[inline]
    pub fn next<'a>(&mut self, text: &'a mut Text) -> Result<Option<Row<'a>>, Malformed> {
        let Some(line) = self.take(text)? else { return Ok(None) };
        let Some(delimiter) = &self.delimiter else { return Ok(Some(Row::of(text.slice(line)))) };
        match delimiter.find(text.slice(line.clone())) {
            Some(at) => {
                let line = text.slice(line);
                Ok(Some(Row { key: Some(&line[..at]), ..Row::of(&line[at + delimiter.needle().len()..]) }))
            }
            None => {
                let delimiter = excerpt(delimiter.needle());
                Err(text.wrong_last(format!("no {delimiter} in it to part the key from the value")))
            }
        }
    }

    /// Takes the next line, and says where it is without its end.
    #[inline]
    pub(super) fn take(&mut self, text: &mut Text) -> Result<Option<Range<usize>>, Malformed> {
        let unread = text.unread();
        let (len, used) = match memchr::memchr(b'\n', &unread[self.searched..]) {
            Some(at) => (self.searched + at, self.searched + at + 1),
            None if text.is_ended() && !unread.is_empty() => (unread.len(), unread.len()),
            None => {
                self.searched = unread.len();
                text.check_length()?;
                return Ok(None);
            }
        };
        self.searched = 0;
        let len = len - usize::from(len > 0 && unread[len - 1] == b'\r');
        let taken = text.take(used);
        Ok(Some(taken.start..taken.start + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::text::in_blocks;

    type Pair = (Option<Vec<u8>>, Vec<u8>);

    fn read(mut lines: Lines, text: &[u8], step: usize) -> Result<Vec<Pair>, Malformed> {
        in_blocks(text, step, |text| {
            let row = lines.next(text)?;
            Ok(row.map(|row| (row.key.map(<[u8]>::to_vec), row.value.unwrap().to_vec())))
        })
    }

    fn values(text: &[u8], step: usize) -> Vec<Vec<u8>> {
        read(Lines::new(), text, step).unwrap().into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn lines_are_found_wherever_blocks_end() {
        let text = b"one\ntwo\r\n\n\xff\xfe\nlast";
        for step in 1..=text.len() {
            assert_eq!(values(text, step), [&b"one"[..], b"two", b"", b"\xff\xfe", b"last"], "{step}");
        }
        assert_eq!(values(b"one\n", 2), [b"one"], "an end is no beginning");
        assert_eq!(values(b"", 1), [b""; 0]);
        assert_eq!(values(b"\r\r\n", 1), [b"\r"], "only what belongs to the end goes");
    }

    #[test]
    fn a_key_is_what_stands_before_the_first_delimiter() {
        for step in 1..8 {
            let found = read(Lines::keyed("=>"), b"a=>b=>c\n=>\n", step).unwrap();
            assert_eq!(found, [(Some(b"a".to_vec()), b"b=>c".to_vec()), (Some(vec![]), vec![])]);
            let error = read(Lines::keyed("=>"), b"a=>b\n\nx=y\n", step).unwrap_err();
            assert_eq!((error.line, error.problem.contains("=>")), (2, true), "{error}");
            assert_eq!(read(Lines::keyed("\t"), b"a\tb\nc", step).unwrap_err().line, 2);
        }
    }
}
