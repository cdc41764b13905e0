//! Pieces of bytes in the order in which they came: in memory as long as they are few, in a file beyond that.

use super::scratch::{Scratch, ScratchFile};
use super::{SpillError, varint};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

/// What is read and written at once.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces, each with its length before it.
#[derive(Debug)]
pub struct Spool {
    scratch: Scratch,
    memory_bytes: usize,
    /// What is not in the file.
    memory: Vec<u8>,
    file: Option<(ScratchFile, u64)>,
}

impl Spool {
    /// Empty; it keeps so many bytes in memory.
    pub fn new(scratch: Scratch, memory_bytes: usize) -> Self {
        Self { scratch, memory_bytes: memory_bytes.max(PIECE_BYTES), memory: Vec::new(), file: None }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), SpillError> {
        let full = if self.file.is_some() { PIECE_BYTES } else { self.memory_bytes };
        if self.memory.len() + varint::BYTES_MAX + piece.len() > full {
            self.flush()?;
            self.memory = Vec::with_capacity(PIECE_BYTES);
        }
        varint::put(&mut self.memory, piece.len() as u64);
        self.memory.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SpillError> {
        let (file, bytes) = match &mut self.file {
            Some(file) => file,
            None => self.file.insert((self.scratch.file()?, 0)),
        };
        file.file.write_all(&self.memory).map_err(|error| self.scratch.failed("write", error))?;
        *bytes += self.memory.len() as u64;
        self.scratch.count(self.memory.len());
        Ok(())
    }

    /// Lends all pieces to `take`, one after the other, as long as it takes them.
    pub fn each<E: From<SpillError>>(mut self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Some((mut file, mut behind)) = self.file.take() else {
            let (at, whole) = pieces(&self.memory, &mut take)?;
            return if whole { Ok(()) } else { Err(self.scratch.torn(at as u64, self.memory.len() as u64).into()) };
        };
        file.file.seek(SeekFrom::Start(0)).map_err(|error| self.scratch.failed("go to its beginning", error))?;
        let all = behind;
        let mut buffer = Vec::new();
        let mut want = PIECE_BYTES;
        while behind > 0 {
            let old = buffer.len();
            let more = usize::try_from(behind).unwrap_or(usize::MAX).min(want);
            buffer.resize(old + more, 0);
            let read = file.file.read_exact(buffer.get_mut(old..).unwrap_or_default());
            read.map_err(|error| self.scratch.failed("read", error))?;
            behind -= more as u64;
            let (at, whole) = pieces(&buffer, &mut take)?;
            buffer.drain(..at);
            if behind == 0 && !whole {
                return Err(self.scratch.torn(all - buffer.len() as u64, all).into());
            }
            // A piece that is longer than what is read at once is read to its end in steps that grow with it.
            want = if at == 0 { buffer.len().max(PIECE_BYTES) } else { PIECE_BYTES };
        }
        // What came last never was in the file.
        let (_, whole) = pieces(&self.memory, &mut take)?;
        if whole { Ok(()) } else { Err(self.scratch.torn(all, all).into()) }
    }
}

/// Takes the pieces that are there whole; gives where the next one begins, and whether nothing is left.
fn pieces<E>(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(usize, bool), E> {
    let mut at = 0;
    while let Some((len, head)) = varint::read(bytes.get(at..).unwrap_or_default()) {
        let start = at + head;
        let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len));
        let Some(piece) = end.and_then(|end| bytes.get(start..end)) else { break };
        take(piece)?;
        at = start + piece.len();
    }
    Ok((at, at == bytes.len()))
}
