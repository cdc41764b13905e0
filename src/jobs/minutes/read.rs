//! Reads a ledger, line by line, whatever stands in it.

use super::Line;
use crate::base::text::{excerpt, visible};
use crate::jobs::error::JobError;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

/// No line of a ledger is longer.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// What a ledger holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A line.
    Line(Line),
    /// Something else: a line that was torn, most likely.
    Unreadable(Unreadable),
}

/// Where a line of a ledger stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// In a file; counted from 1.
    Line(u64),
    /// In a topic.
    Offset {
        /// The partition's index.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
}

/// A line of a ledger that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The ledger.
    pub name: String,
    /// Where in it.
    pub at: At,
    /// How it begins.
    pub begins: String,
}

/// A ledger that is open for reading.
#[derive(Debug)]
pub struct LedgerReader<R = BufReader<File>> {
    name: String,
    reader: R,
    line: u64,
    buffer: Vec<u8>,
}

impl LedgerReader {
    /// Opens a file, or what can be opened like one.
    pub fn open(path: &Path) -> Result<Self, JobError> {
        let name = format!("ledger {}", visible(&path.to_string_lossy()));
        match File::open(path) {
            Ok(file) => Ok(Self::of(name, BufReader::with_capacity(64 << 10, file))),
            Err(source) => Err(JobError::Input { name, source }),
        }
    }
}

impl<R: BufRead> LedgerReader<R> {
    pub(super) fn of(name: String, reader: R) -> Self {
        Self { name, reader, line: 0, buffer: Vec::new() }
    }

    /// The next line that is not empty; `None` at the end.
    pub fn next_line(&mut self) -> Result<Option<Found>, JobError> {
        loop {
            self.buffer.clear();
            let read = self.read_line().map_err(|source| JobError::Input { name: self.name.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let text = self.buffer.trim_ascii();
            if text.is_empty() {
                continue;
            }
            return Ok(Some(match Line::read(text) {
                Some(line) => Found::Line(line),
                None => {
                    let at = At::Line(self.line);
                    Found::Unreadable(Unreadable { name: self.name.clone(), at, begins: excerpt(text) })
                }
            }));
        }
    }

    /// A line as far as lines go; what is longer is passed over.
    fn read_line(&mut self) -> std::io::Result<usize> {
        let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer)?;
        if read as u64 == LINE_BYTES_MAX && !self.buffer.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
        }
        Ok(read)
    }
}
