//! Writes a run: what a key shares with the one before it is not written again.
//!
//! ```text
//!  shared  own  value   own bytes of the key   value        the first three are lengths (varint.rs)
//! ```

use super::scratch::{Scratch, ScratchFile};
use super::{Entries, SpillError, varint};
use std::io::{Seek as _, SeekFrom, Write as _};

/// After how many entries somebody may stop it.
const LOOK_EVERY: u64 = 4096;

/// A run that is written.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) file: ScratchFile,
    pub(super) bytes: u64,
    pub(super) entries: u64,
    /// How often what is in it was merged.
    pub(super) level: u32,
}

/// Writes all entries to a run. `stop` is asked now and then.
pub(super) fn write(
    scratch: &Scratch,
    buffer_bytes: usize,
    level: u32,
    entries: &mut dyn Entries,
    stop: &dyn Fn() -> bool,
) -> Result<Run, SpillError> {
    let mut run = Run { file: scratch.file()?, bytes: 0, entries: 0, level };
    let mut buffer = Vec::with_capacity(buffer_bytes);
    let mut last = Vec::new();
    while entries.advance()? {
        if run.entries.is_multiple_of(LOOK_EVERY) && stop() {
            return Err(SpillError::Stopped);
        }
        let (key, value) = (entries.key(), entries.value());
        let shared = shared(&last, key);
        let own = key.get(shared..).unwrap_or_default();
        let lengths = 3 * varint::BYTES_MAX;
        if buffer.len() + lengths + own.len() + value.len() > buffer_bytes {
            flush(&mut run, &mut buffer, scratch)?;
        }
        varint::put(&mut buffer, shared as u64);
        varint::put(&mut buffer, own.len() as u64);
        varint::put(&mut buffer, value.len() as u64);
        buffer.extend_from_slice(own);
        buffer.extend_from_slice(value);
        last.truncate(shared);
        last.extend_from_slice(own);
        run.entries += 1;
    }
    flush(&mut run, &mut buffer, scratch)?;
    run.file.file.seek(SeekFrom::Start(0)).map_err(|error| scratch.failed("go to its beginning", error))?;
    Ok(run)
}

fn flush(run: &mut Run, buffer: &mut Vec<u8>, scratch: &Scratch) -> Result<(), SpillError> {
    run.file.file.write_all(buffer).map_err(|error| scratch.failed("write", error))?;
    run.bytes += buffer.len() as u64;
    scratch.count(buffer.len());
    buffer.clear();
    Ok(())
}

fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
