//! Sorted runs on disk: what does not fit into memory is put aside in order, and merged in the end.
//!
//! ```text
//!  entries in order ──▶ run.rs    ┌───────────────────────┐
//!                                 │ a file without a name │──┐
//!                                 └───────────────────────┘  ├──▶ merge.rs ──▶ entries in order
//!  entries in order ──▶ run.rs    ┌───────────────────────┐  │
//!                                 │ a file without a name │──┘    runs.rs: never more files than can be merged at once
//!                                 └───────────────────────┘
//! ```
//!
//! An entry is a key and a value, bytes both; entries of one key may stand in several runs, and come out one behind the other.
//!
//! Non-obvious:
//! - A file loses its name as soon as it is open, so nothing is left behind, however the process ends; and nobody else can open
//!   it. Still a length that is read from it is a claim, like any other.
//! - Nothing is synced: what is in these files is of use to this process only.

mod entries;
mod merge;
mod reader;
mod run;
mod runs;
mod scratch;
mod spool;
mod varint;

#[cfg(test)]
mod tests;

pub use entries::Entries;
pub use merge::Merge;
pub use runs::Runs;
pub use scratch::Scratch;
pub use spool::Spool;

use std::io;
use std::path::PathBuf;

/// Why something could not be put aside, or not be had again.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The disk is full, the folder is not there, …
    #[error(
        "{}: {doing}: {source}. What does not fit into memory is put aside there: name another folder with --temp-dir, or give \
         more --memory", .folder.display()
    )]
    Disk {
        /// Where the files are.
        folder: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A run does not hold what was written to it.
    #[error("{}: what was put aside is not what was written, at byte {at} of {bytes}: is the disk sound?", .folder.display())]
    Torn {
        /// Where the files are.
        folder: PathBuf,
        /// Behind this byte it makes no sense.
        at: u64,
        /// How long the run is.
        bytes: u64,
    },
    /// Somebody wished it to stop.
    #[error("stopped while entries were put in order")]
    Stopped,
}
