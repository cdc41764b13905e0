//! Files for a while: they have no name once they are open, and are gone with whoever has them.

use super::SpillError;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tells the files of one process apart, for as long as they have names.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Others may have files of these names, from before a crash.
const NAMES_TRIED_MAX: usize = 1000;

/// Where files are made, and how much was written to them. Clones share it.
#[derive(Debug, Clone)]
pub struct Scratch {
    folder: Arc<Path>,
    written: Arc<AtomicU64>,
    files: Arc<AtomicU64>,
    #[cfg(test)]
    open: Open,
}

/// For tests: how many files are open now, and how many were at most.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
struct Open(Arc<std::sync::Mutex<(usize, usize)>>);

impl Scratch {
    /// Files will be made in this folder; nothing is done before that.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            written: Arc::default(),
            files: Arc::default(),
            #[cfg(test)]
            open: Open::default(),
        }
    }

    /// How many files were open at once.
    #[cfg(test)]
    pub(super) fn most_open(&self) -> usize {
        self.open.0.lock().unwrap().1
    }

    /// How many bytes were written in all.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// How many files were made.
    pub fn files(&self) -> u64 {
        self.files.load(Relaxed)
    }

    pub(super) fn count(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn failed(&self, doing: &'static str, source: io::Error) -> SpillError {
        SpillError::Disk { folder: self.folder.to_path_buf(), doing, source }
    }

    pub(super) fn torn(&self, at: u64, bytes: u64) -> SpillError {
        SpillError::Torn { folder: self.folder.to_path_buf(), at, bytes }
    }

    pub(super) fn file(&self) -> Result<ScratchFile, SpillError> {
        let mut tried = 0;
        loop {
            let name = format!(".kmerge-{}-{}.spill", std::process::id(), NEXT.fetch_add(1, Relaxed));
            let path = self.folder.join(name);
            match options().open(&path) {
                Ok(file) => {
                    self.files.fetch_add(1, Relaxed);
                    // Where open files keep their names, the name goes with the file.
                    let named = std::fs::remove_file(&path).is_err().then_some(path);
                    #[cfg(test)]
                    {
                        let mut open = self.open.0.lock().unwrap();
                        *open = (open.0 + 1, open.1.max(open.0 + 1));
                    }
                    return Ok(ScratchFile {
                        file,
                        named,
                        #[cfg(test)]
                        open: self.open.clone(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < NAMES_TRIED_MAX => tried += 1,
                Err(error) => return Err(self.failed("make a file", error)),
            }
        }
    }
}

/// Never a file that is there, nor one behind a link; and nobody else's to read.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Such a file.
#[derive(Debug)]
pub(super) struct ScratchFile {
    pub(super) file: File,
    named: Option<PathBuf>,
    #[cfg(test)]
    open: Open,
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        #[cfg(test)]
        {
            self.open.0.lock().unwrap().0 -= 1;
        }
        if let Some(path) = &self.named {
            let _ = std::fs::remove_file(path);
        }
    }
}
