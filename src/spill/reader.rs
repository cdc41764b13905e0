//! Reads a run again, through a buffer that only an entry larger than it makes larger.

use super::run::Run;
use super::scratch::Scratch;
use super::{Entries, SpillError, varint};
use std::io::Read as _;

/// The entries of a run.
#[derive(Debug)]
pub(super) struct RunReader {
    run: Run,
    scratch: Scratch,
    buffer: Vec<u8>,
    /// What of the buffer was read.
    at: usize,
    /// How much of the run is behind the buffer.
    behind: u64,
    entries_left: u64,
    key: Vec<u8>,
    /// Where in the buffer the value is.
    value: std::ops::Range<usize>,
    buffer_bytes: usize,
}

impl RunReader {
    pub(super) fn new(run: Run, scratch: &Scratch, buffer_bytes: usize) -> Self {
        Self {
            behind: run.bytes,
            entries_left: run.entries,
            run,
            scratch: scratch.clone(),
            buffer: Vec::new(),
            at: 0,
            key: Vec::new(),
            value: 0..0,
            buffer_bytes,
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn left(&self) -> u64 {
        self.unread().len() as u64 + self.behind
    }

    fn torn(&self) -> SpillError {
        self.scratch.torn(self.run.bytes - self.left(), self.run.bytes)
    }

    /// Reads until so many bytes are at hand. There must be as many.
    fn need(&mut self, bytes: usize) -> Result<(), SpillError> {
        if self.unread().len() >= bytes {
            return Ok(());
        }
        if bytes as u64 > self.left() {
            return Err(self.torn());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let full = self.buffer_bytes.max(bytes);
        let more = (full - self.buffer.len()).min(usize::try_from(self.behind).unwrap_or(usize::MAX));
        let old = self.buffer.len();
        // To the byte: growth by doubling would not be paid for.
        self.buffer.reserve_exact(more);
        self.buffer.resize(old + more, 0);
        let read = self.run.file.file.read_exact(self.buffer.get_mut(old..).unwrap_or_default());
        read.map_err(|error| self.scratch.failed("read", error))?;
        self.behind -= more as u64;
        Ok(())
    }

    fn length(&mut self) -> Result<usize, SpillError> {
        if self.unread().len() < varint::BYTES_MAX {
            let there = usize::try_from(self.left()).unwrap_or(usize::MAX);
            self.need(varint::BYTES_MAX.min(there))?;
        }
        let (number, len) = varint::read(self.unread()).ok_or_else(|| self.torn())?;
        self.at += len;
        usize::try_from(number).map_err(|_| self.torn())
    }
}

impl Entries for RunReader {
    fn advance(&mut self) -> Result<bool, SpillError> {
        if self.entries_left == 0 {
            return if self.left() == 0 { Ok(false) } else { Err(self.torn()) };
        }
        let (shared, own, value) = (self.length()?, self.length()?, self.length()?);
        let both = own.checked_add(value).ok_or_else(|| self.torn())?;
        self.need(both)?;
        let start = self.at;
        let new = self.buffer.get(start..start + own).unwrap_or_default();
        let before = self.key.get(shared..);
        // In order, as they were written: the same key again has nothing of its own.
        if before.is_none_or(|before| new < before) {
            return Err(self.torn());
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(new);
        self.value = start + own..start + both;
        self.at += both;
        self.entries_left -= 1;
        Ok(true)
    }

    fn key(&self) -> &[u8] {
        &self.key
    }

    fn value(&self) -> &[u8] {
        self.buffer.get(self.value.clone()).unwrap_or_default()
    }
}
