//! The file of a ledger, to be appended to beside others.

use super::counts::Counts;
use super::ledger::{Lack, aside};
use crate::base::text::visible;
use crate::jobs::error::JobError;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What is put together before it is written.
const PIECE_BYTES: usize = 64 << 10;

/// A ledger that is open for appending.
#[derive(Debug)]
pub struct LedgerFile {
    name: String,
    file: Mutex<File>,
    /// What is no regular file has no end to look at, and need not be brought to a disk.
    is_regular: bool,
}

impl LedgerFile {
    /// Opens it, or makes it.
    pub fn open(path: &Path) -> Result<Self, JobError> {
        let name = format!("ledger {}", visible(&path.to_string_lossy()));
        let opened = || {
            refuse_pipe(path)?;
            let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            let is_regular = file.metadata()?.is_file();
            Ok((file, is_regular))
        };
        let (file, is_regular) = opened().map_err(|source| JobError::Input { name: name.clone(), source })?;
        Ok(Self { name, file: Mutex::new(file), is_regular })
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes these, a line each. Takes its time.
    pub fn write(&self, mut counts: Counts) -> Result<(), Lack> {
        let (mut text, mut pieces) = (String::new(), Pieces::default());
        while let Some((place, counted)) = counts.pop() {
            let _ = writeln!(text, "{}", counted.line(&place).show());
            pieces.lines.push((text.len(), counted.records));
            if text.len() >= PIECE_BYTES {
                pieces.write(&mut text, self);
            }
        }
        pieces.write(&mut text, self);
        match pieces.error {
            None => Ok(()),
            Some(error) => Err(Lack { records: pieces.unwritten, error }),
        }
    }

    /// The same for who must not stand still.
    pub async fn write_aside(self: &Arc<Self>, counts: Counts) -> Result<(), Lack> {
        let file = self.clone();
        aside(move || file.write(counts)).await
    }

    /// Waits until the disk has it, without standing still.
    pub async fn sync_aside(self: &Arc<Self>) -> Result<(), Lack> {
        let file = self.clone();
        aside(move || file.sync()).await.map_err(|error| Lack { records: 0, error })
    }

    /// Appends whole lines in as few writes as it takes; after an error, with how many of the bytes are there in whole lines.
    pub(super) fn append(&self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_regular {
            return append(lines, &mut *file, |_| Ok(true));
        }
        locked(&mut file, |file| append(lines, file, ends_in_a_line))
    }

    /// Waits until the disk has it.
    pub fn sync(&self) -> io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_regular { file.sync_all() } else { Ok(()) }
    }
}

/// A pipe that nobody reads takes nothing at some time, and then holds up whoever writes for good: what was opened for reading as
/// well never learns that nobody does.
fn refuse_pipe(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if std::fs::metadata(path).is_ok_and(|one| std::os::unix::fs::FileTypeExt::is_fifo(&one.file_type())) {
        let why = "it is a pipe, which may keep a writer waiting for ever: a ledger is a file, or give --ledger-topic";
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Keeps out other processes that append, so that none can leave a torn line between the look at the end and the write. Where
/// files cannot be locked, the look has to do.
pub(super) fn locked<T>(file: &mut File, work: impl FnOnce(&mut File) -> T) -> T {
    let is_locked = loop {
        match file.lock() {
            Ok(()) => break true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
    };
    let done = work(file);
    if is_locked {
        // It ends with the file at the latest.
        let _ = file.unlock();
    }
    done
}

/// Whether what stands last is a whole line: a crash, ours or another process's, may have cut it off.
fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    let mut last = [0];
    // Written is at the end, wherever it was read last.
    file.seek(SeekFrom::End(-1))?;
    match file.read(&mut last)? {
        // Somebody has made it shorter meanwhile.
        0 => Ok(true),
        _ => Ok(last == *b"\n"),
    }
}

pub(super) fn append<W: Write>(
    lines: &[u8],
    to: &mut W,
    ends_in_a_line: impl Fn(&mut W) -> io::Result<bool>,
) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while done < lines.len() {
        let rest = &lines[done..];
        let whole = ends_in_a_line(to).map_err(|error| (done, error))?;
        // One write, so that nobody else's lines come between.
        let piece: Cow<'_, [u8]> = if whole { rest.into() } else { [b"\n", rest].concat().into() };
        let written = match to.write(&piece) {
            Ok(0) => return Err((done, ErrorKind::WriteZero.into())),
            Ok(written) => written - usize::from(!whole),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err((done, error)),
        };
        done += whole_lines(rest, written);
    }
    Ok(())
}

/// How many of the first `written` bytes make whole lines. A line that lacks its end only is whole: it can be read, and must
/// not be written again.
fn whole_lines(lines: &[u8], written: usize) -> usize {
    if lines.get(written) == Some(&b'\n') {
        return written + 1;
    }
    lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// Writing, up to the first error.
#[derive(Default)]
struct Pieces {
    /// Where each line of the piece ends, and its records.
    lines: Vec<(usize, u64)>,
    error: Option<io::Error>,
    unwritten: u64,
}

impl Pieces {
    fn write(&mut self, text: &mut String, file: &LedgerFile) {
        let written = match self.error {
            Some(_) => 0,
            None => match file.append(text.as_bytes()) {
                Ok(()) => text.len(),
                Err((written, error)) => {
                    self.error = Some(error);
                    written
                }
            },
        };
        self.unwritten += self.lines.iter().filter(|(end, _)| *end > written).map(|(_, records)| records).sum::<u64>();
        self.lines.clear();
        text.clear();
    }
}
