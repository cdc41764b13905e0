//! A partition's file in the open transaction: rows that are held, and the file they go to, once they are too many to hold.

use super::folder::Temporary;
use super::{Shelf, names, unwritable};
use crate::base::place::TopicPartition;
use crate::formats::parquet::{Fault, ParquetFile, Rows, Totals};
use crate::jobs::error::JobError;
use crate::jobs::minutes::{About, Counts};
use std::fs::File;
use std::sync::Arc;

/// What the rows before have taken is kept for those to come up to this.
const KEPT_BYTES: usize = 1 << 20;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct OpenFile {
    of: TopicPartition,
    shelf: Arc<Shelf>,
    rows: Rows,
    /// The first record's offset, and the last one's.
    offsets: Option<(i64, i64)>,
    begun: Option<Begun>,
    /// The rows that were written, by minute, where a ledger is kept.
    noted: Counts,
}

/// The file; the descriptor is closed before its name is gone.
#[derive(Debug)]
struct Begun {
    file: ParquetFile<File>,
    temporary: Temporary,
}

/// A file that is whole and on the disk, and lacks its name only.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(super) temporary: Temporary,
    /// The topic that it is of.
    pub(super) topic: Arc<str>,
    pub(super) name: String,
    pub(super) totals: Totals,
    /// Its rows by minute, where a ledger is kept.
    pub(super) noted: Counts,
}

impl OpenFile {
    pub(in crate::jobs::clean) fn new(of: &TopicPartition, shelf: &Arc<Shelf>) -> Self {
        Self {
            of: of.clone(),
            shelf: shelf.clone(),
            rows: Rows::default(),
            offsets: None,
            begun: None,
            noted: Counts::default(),
        }
    }

    /// The file of the next transaction.
    pub(super) fn following(&self) -> Self {
        Self::new(&self.of, &self.shelf)
    }

    /// Takes a record; gives what it takes until it is written.
    #[inline]
    pub(in crate::jobs::clean) fn push(&mut self, json: &[u8], offset: i64, timestamp_ms: i64) -> usize {
        self.rows.push(json, offset, timestamp_ms);
        let first = self.offsets.map_or(offset, |(first, _)| first);
        self.offsets = Some((first, offset));
        json.len() + Rows::overhead(self.shelf.width())
    }

    /// What the rows take that are not written.
    pub(super) fn held_bytes(&self) -> usize {
        self.rows.bytes(self.shelf.width())
    }

    /// About how large the file is: what is written as it was written, and the rest as it came.
    #[inline]
    pub(in crate::jobs::clean) fn bytes(&self) -> u64 {
        self.begun.as_ref().map_or(0, |begun| begun.file.bytes()) + self.rows.bytes(0) as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_none()
    }

    /// How many minutes of written rows are to be noted.
    pub(super) fn minutes(&self) -> usize {
        self.noted.len()
    }

    /// Writes the rows as a row group. Takes its time.
    pub(super) fn write(&mut self) -> Result<(), JobError> {
        let Some((first, _)) = self.offsets.filter(|_| !self.rows.is_empty()) else { return Ok(()) };
        let schema = self.shelf.schema(&self.rows)?;
        if self.begun.is_none() {
            let created = Temporary::create(&self.shelf.folder, &self.of, first);
            let (temporary, file) = created.map_err(|error| unwritable(&self.shelf.folder, &error))?;
            let file = ParquetFile::begin(file, &schema, self.shelf.codec, &self.of);
            self.begun = Some(Begun { file, temporary });
        }
        let Some(begun) = &mut self.begun else { return Ok(()) };
        let written = begun.file.write(&self.rows);
        if let Some(group) = self.shelf.noted_as.get() {
            let about = About { topic: self.of.topic.clone(), files_of: Some(group.clone()) };
            // In a file there is no time before 1970.
            let times = self.rows.timestamps().iter().map(|time| (*time).max(-1));
            let rows = self.rows.offsets().iter().copied().zip(times);
            self.noted.add_rows(&about, self.of.partition, rows);
        }
        self.rows.clear(KEPT_BYTES);
        match (written, &self.begun) {
            (Err(fault), Some(begun)) => Err(self.fault(&begun.temporary, fault)),
            _ => Ok(()),
        }
    }

    /// Writes what is left, and waits until the disk has it all.
    pub(super) fn finish(mut self) -> Result<Option<Finished>, JobError> {
        self.write()?;
        let (Some(Begun { file, temporary }), Some((first, last))) = (self.begun.take(), self.offsets) else {
            return Ok(None);
        };
        match file.finish(|file| file.sync_all()) {
            Ok(totals) => {
                let (name, noted) = (names::whole(&self.of, &(first..=last)), std::mem::take(&mut self.noted));
                Ok(Some(Finished { temporary, topic: self.of.topic.clone(), name, totals, noted }))
            }
            Err(fault) => Err(self.fault(&temporary, fault)),
        }
    }

    fn fault(&self, temporary: &Temporary, fault: Fault) -> JobError {
        match fault {
            Fault::Io(error) => unwritable(temporary.path(), &error),
            fault => JobError::Refused(format!(
                "{}: no row can be made of a clean record, which is a defect of this program: {fault}; nothing of the \
                 transaction is committed",
                self.of
            )),
        }
    }
}
