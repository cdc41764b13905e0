//! A file that is there whole or not at all: written under another name beside it, then given its own.

use super::exit::UsageError;
use anyhow::Context as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The file, until it is whole.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<File>,
}

impl WholeFile {
    /// Says whether it could be written, before anything else is done; nothing of it stays.
    pub fn check(flag: &str, path: &Path) -> anyhow::Result<()> {
        Self::begin(flag, path).map(drop)
    }

    /// Begins to write it; `flag` is who asked for it.
    pub fn begin(flag: &str, path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() || fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(UsageError::new(format!("{flag} {}: that is no regular file", path.display())).into());
        }
        let Some(name) = path.file_name() else {
            return Err(UsageError::new(format!("{flag} {}: that names no file", path.display())).into());
        };
        // Beside it, since only within a folder a file can change its name without being copied.
        let mut unfinished = std::ffi::OsString::from(".");
        unfinished.push(name);
        // Several may write the same file, each in a container where it has the same number.
        unfinished.push(format!(".{:016x}.unfinished", rand::random::<u64>()));
        let unfinished = path.with_file_name(unfinished);
        let file = OpenOptions::new().write(true).create_new(true).open(&unfinished);
        let file = file.with_context(|| format!("{flag} {}: make a file beside it", path.display()))?;
        Ok(Self { path: path.to_owned(), unfinished, file: BufWriter::with_capacity(64 << 10, file) })
    }

    /// Adds to it.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(bytes);
        written.with_context(|| format!("write {}, which stays as it was", self.path.display()))
    }

    /// Puts it there, so that it is there whatever becomes of the machine.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        written
            .and_then(|()| fs::rename(&self.unfinished, &self.path))
            .and_then(|()| sync_folder(&self.path))
            .with_context(|| format!("write {}", self.path.display()))
    }
}

/// Its new name has to be on disk as well.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Elsewhere folders cannot be opened.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// What was not finished goes; after a change of name there is nothing.
impl Drop for WholeFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}
