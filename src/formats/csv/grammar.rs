//! The grammar: what a byte means behind another, and where a row ends.

/// How far the end of the row has been looked for.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: usize,
    pub(super) state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
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

impl State {
    #[inline(always)]
    pub(super) fn after(self, byte: u8, delimiter: u8) -> Self {
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
    pub(super) fn end_of_row(&mut self, unread: &[u8], delimiter: u8) -> Option<usize> {
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

/// How long a row is without the `\r` of its end.
pub(super) fn without_return(row: &[u8]) -> usize {
    row.len() - usize::from(row.last() == Some(&b'\r'))
}

/// Nothing in it is a quotation mark or has to be escaped, and it is ASCII.
#[inline]
pub(super) fn is_plain(line: &[u8]) -> bool {
    line.iter().fold(true, |plain, &byte| plain & (byte.wrapping_sub(b' ') < 0x5f) & (byte != b'"') & (byte != b'\\'))
}
