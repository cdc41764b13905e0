//! What is clean, as parquet files: one for each input partition and transaction.
//!
//! ```text
//!  hand.rs ──row──▶ open.rs: rows ──row group──▶ .TOPIC-PARTITION-FIRST-….tmp          whole and on the disk
//!                                                        │  the group's offsets are in the transaction
//!                                                        ▼
//!                                    TOPIC-PARTITION-FIRST-LAST.parquet                renamed, the folder on the disk
//!                                                        │
//!                                                        ▼  the transaction is committed
//! ```
//!
//! Non-obvious:
//! - A file has its name before the commit, so a crash or a doubt between the two leaves a file whose records are not committed.
//!   Whoever takes its partition removes it, and the records are written again. There is one such file at most, because nobody
//!   begins the next transaction before the last one is decided: where there are more, the group was set back, or its offsets
//!   were forgotten, and nothing is removed.
//! - A file is renamed only once its group's coordinator has taken the offsets from us, as member and generation. From then on
//!   nobody is told where the partition stands until the transaction is decided. Whoever then takes the partition removes our
//!   temporary names first: should we wake up so late that the transaction was voided under us, there is nothing left to rename.
//! - Who removes files asks where the group stands right before that, and removes only while its membership stands and the
//!   coordinator has heard of it within the session: a process that was stopped for a while may believe that it has what others
//!   have gone on with. What remains is a moment: to lose a file, a member would have to be stopped between that answer and the
//!   removal, by something that stops its clock as well (a paused virtual machine), or be put out for holding up a rebalance, and
//!   an heir to clean and commit before the next sign of life is refused. A file goes only if its records are beyond what was
//!   committed when that was asked.
//! - Offsets say nothing of a topic that was deleted and created anew: beside its files stands its id (`topic_ids.rs`), which is
//!   compared before anything is removed.
//! - What needs a disk or much time runs beside the task that cleans, which meanwhile waits for it.

// Names, and the folder under them.
mod names;

mod folder;

mod kept;

mod topic_ids;

// A file from its first row to its name.
mod open;

mod work;

#[cfg(test)]
pub(super) mod tests;

pub(in crate::jobs) use kept::said_by_folder;
pub(in crate::jobs) use names::{file_of, whole as name_of_file};
pub(super) use open::OpenFile;
pub(super) use work::{beside, ids_of};

use crate::formats::parquet::{Codec, Column, Rows, Schema, Totals, add_name, infer};
use crate::jobs::error::JobError;
use crate::rules::Rules;
use crate::wire::Uuid;
use folder::Unpublished;
use kept::Kept;
use open::Finished;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A row group takes no more than this of what came, however much memory there is: readers have to hold it, too.
const GROUP_BYTES_MAX: usize = 256 << 20;

/// Where files go, and when they end.
#[derive(Debug, Clone)]
pub struct ParquetSettings {
    /// The folder; made if it is missing.
    pub folder: PathBuf,
    /// How pages are compressed.
    pub codec: Codec,
    /// A transaction ends after so long, and its files with it.
    pub interval: Duration,
    /// And where one of its files has about so many bytes.
    pub bytes_max: u64,
}

impl ParquetSettings {
    /// What of `memory` is for files, and of that for rows that are not written yet: they take three times as much while they
    /// are.
    pub(super) fn memory(memory: usize) -> (usize, usize) {
        (memory / 2, (memory / 6).min(GROUP_BYTES_MAX))
    }
}

/// What was written to files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) files: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// By member: values that stand in `_rest`.
    pub(super) in_rest: BTreeMap<String, u64>,
}

impl Written {
    pub(super) fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
        for (name, count) in &other.in_rest {
            add_name(&mut self.in_rest, name, *count);
        }
    }

    fn of_file(totals: &Totals) -> Self {
        Self { files: 1, rows: totals.rows, bytes: totals.bytes, in_rest: totals.in_rest.clone() }
    }
}

/// The folder, and the columns of all its files once they are known.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    codec: Codec,
    group: String,
    known: Vec<Column>,
    metadata: bool,
    schema: OnceLock<Arc<Schema>>,
    /// The topics' ids, as they were compared last.
    topics: Mutex<BTreeMap<String, Uuid>>,
    /// What rows are noted as in the ledger, where one is kept: files of the group.
    noted_as: OnceLock<Arc<str>>,
}

impl Shelf {
    /// Makes the folder, if need be, and looks whether it can be ours.
    pub(super) fn open(
        settings: &ParquetSettings,
        rules: &Rules,
        group: &str,
        topics: &[String],
    ) -> Result<Arc<Self>, JobError> {
        if let Some(error) = topics.iter().find_map(|topic| names::too_long(topic)) {
            return Err(JobError::Refused(error));
        }
        let folder = &settings.folder;
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        let (table, schema) = (rules.table(), OnceLock::new());
        let given = match &table.columns {
            None => None,
            // The file was checked, so nothing is wrong with them.
            Some(columns) => {
                Some(Schema::new(columns.clone(), table.metadata).map_err(|error| JobError::Usage(error.to_string()))?)
            }
        };
        let kept = match (kept::read(folder)?, &given) {
            (Some(kept), _) => Some(kept),
            (None, Some(given)) => Some(kept::keep(folder, &Kept { group: group.to_owned(), schema: given.clone() })?),
            (None, None) => None,
        };
        if let Some(kept) = kept {
            kept.is_of(folder, group)?;
            kept::remove_unmade(folder)?;
            let differs = match &given {
                Some(given) => kept.schema.difference(given),
                None if kept.schema.has_metadata() != table.metadata => {
                    Some("one has metadata and the other has not".to_owned())
                }
                None => None,
            };
            if let Some(differs) = differs {
                return Err(JobError::Refused(format!(
                    "{}: its files have other columns than the rule file says: {differs}. Give another folder, or the rules the \
                     columns of {}",
                    folder.display(),
                    kept::NAME
                )));
            }
            let _ = schema.set(Arc::new(kept.schema));
        }
        let (known, metadata, group) = (rules.known_columns(), table.metadata, group.to_owned());
        Ok(Arc::new(Self {
            folder: folder.clone(),
            codec: settings.codec,
            group,
            known,
            metadata,
            schema,
            topics: Mutex::default(),
            noted_as: OnceLock::new(),
        }))
    }

    /// Refuses topics that are others than those whose files are there.
    pub(super) fn is_of_topics(&self, topics: &[(String, Uuid)]) -> Result<(), JobError> {
        topic_ids::check(&self.folder, topics)?;
        let mut known = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(topics.iter().cloned());
        Ok(())
    }

    /// Keeps the ids of the topics that are about to have files, and gives these their names.
    fn publish(&self, finished: Vec<Finished>) -> Result<Written, Unpublished> {
        let topics: BTreeSet<&Arc<str>> = finished.iter().map(|one| &one.topic).collect();
        for topic in topics {
            let known = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(&**topic).copied();
            topic_ids::keep(&self.folder, topic, known.unwrap_or(Uuid::ZERO)).map_err(Unpublished::Job)?;
        }
        folder::publish(&self.folder, finished)
    }

    /// The columns. Where nobody has said them, these rows do, unless another instance was faster: then what that one has kept
    /// counts.
    fn schema(&self, rows: &Rows) -> Result<Arc<Schema>, JobError> {
        if let Some(schema) = self.schema.get() {
            return Ok(schema.clone());
        }
        let mine = Kept { group: self.group.clone(), schema: infer(rows, &self.known, self.metadata) };
        let kept = kept::keep(&self.folder, &mine)?;
        kept.is_of(&self.folder, &self.group)?;
        Ok(self.schema.get_or_init(|| Arc::new(kept.schema)).clone())
    }

    /// Rows are counted by minute from now on, for the ledger.
    pub(super) fn count_minutes(&self) {
        let _ = self.noted_as.set(self.group.as_str().into());
    }

    /// How many columns there are, as far as is known.
    fn width(&self) -> usize {
        self.schema.get().map_or(0, |schema| schema.width())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> JobError {
    JobError::Refused(format!(
        "{}: {error}; nothing of the transaction is committed, and the same command goes on once it can be written",
        path.display()
    ))
}
