//! The rows of a folder that `clean --parquet` has written, by the partition, offset and time of the records that they were.
//!
//! Non-obvious:
//! - Rows say where they come from, so it is known of each on which side of the log's start, or of a bound, it stands.
//! - A file that is not whole, or does not hold what its name says, counts for nothing and is named: nobody knows what became of
//!   its rows, so nothing is equal then. Files that are none of the topic's are passed over.
//! - One file is open at a time, of which three columns are read, a few thousand rows at once.

use super::sheet::{Column, Count, Sheet};
use super::{End, Stretch};
use crate::base::shutdown::Shutdown;
use crate::base::text::visible;
use crate::formats::parquet::{Origin, Unread, origins};
use crate::jobs::clean::{file_of, group_of_folder};
use crate::jobs::error::JobError;
use crate::jobs::minutes::Minute;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

/// So many files are named that cannot be read, or are none of these.
const NAMED: usize = 10;
/// A footer is unfolded into several times as much.
const FOOTER_SHARE: usize = 32;

/// What the folder has told beside what is on the sheet.
#[derive(Debug, Default)]
pub(super) struct InFolder {
    /// Files of the topic that were counted, and their rows.
    pub(super) files: u64,
    pub(super) rows: u64,
    /// Files that cannot be read, or do not hold what their names say; the first ones, with what is wrong.
    pub(super) broken: Vec<(String, String)>,
    pub(super) broken_files: u64,
    /// Files that are of no topic at all; the first ones.
    foreign: Vec<String>,
    foreign_files: u64,
}

impl InFolder {
    pub(super) fn notes(&self, folder: &Path) -> Vec<String> {
        let folder = visible(&folder.to_string_lossy());
        let mut notes = Vec::new();
        if self.files == 0 {
            notes.push(format!("no file in {folder} is of the topic"));
        }
        if self.foreign_files > 0 {
            let more = self.foreign_files - self.foreign.len() as u64;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            notes
                .push(format!("passed over, since clean gives no file such a name: {}{more}", self.foreign.join(", ")));
        }
        notes
    }

    fn break_off(&mut self, name: String, why: String) {
        self.broken_files += 1;
        if self.broken.len() < NAMED {
            self.broken.push((name, why));
        }
    }
}

/// The group that writes the folder.
pub(super) fn group(folder: &Path) -> Result<String, JobError> {
    group_of_folder(folder)?.ok_or_else(|| {
        JobError::Refused(format!(
            "{}: there is no _schema.json: is it a folder that kmerge clean --parquet has written?",
            folder.display()
        ))
    })
}

/// What is counted.
pub(super) struct Counting {
    pub(super) folder: PathBuf,
    pub(super) topic: String,
    /// By partition; where one is missing the topic has no such partition, or it was not asked for.
    pub(super) stretches: HashMap<i32, Stretch>,
    pub(super) all_partitions: bool,
    pub(super) memory_bytes: usize,
    pub(super) shutdown: Shutdown,
}

impl Counting {
    /// Counts all files of the topic, and adds them to the sheet.
    pub(super) fn count(&self, mut sheet: Sheet) -> Result<(Sheet, InFolder), JobError> {
        let mut told = InFolder::default();
        let unreadable = |source: io::Error| JobError::Input { name: visible(&self.folder.to_string_lossy()), source };
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let Some(name) = name.to_str() else { continue };
            match file_of(name, &self.topic) {
                Some((partition, offsets)) if self.all_partitions || self.stretches.contains_key(&partition) => {
                    sheet = self.count_file(name, partition, offsets, sheet, &mut told)?;
                }
                Some(_) => {}
                None if name.starts_with(['.', '_']) || is_of_another(name) => {}
                None => {
                    told.foreign_files += 1;
                    if told.foreign.len() < NAMED {
                        told.foreign.push(visible(name));
                    }
                }
            }
        }
        Ok((sheet, told))
    }

    fn count_file(
        &self,
        name: &str,
        partition: i32,
        offsets: RangeInclusive<i64>,
        mut sheet: Sheet,
        told: &mut InFolder,
    ) -> Result<Sheet, JobError> {
        let file = match File::open(self.folder.join(name)) {
            Ok(file) => file,
            Err(error) => {
                let gone = error.kind() == io::ErrorKind::NotFound;
                let hint = if gone { " (removed just now: is a cleaner at work?)" } else { "" };
                told.break_off(visible(name), format!("{error}{hint}"));
                return Ok(sheet);
            }
        };
        let mut rows = Rows {
            partition,
            offsets: offsets.clone(),
            stretch: self.stretches.get(&partition),
            column: sheet.column(),
            last: None,
            rows: 0,
        };
        let footer_bytes_max = (self.memory_bytes / FOOTER_SHARE) as u64;
        let read = origins(file, footer_bytes_max, |origin| match self.shutdown.requested() {
            Some(signal) => ControlFlow::Break(Wrong::Job(JobError::Interrupted(signal))),
            None => rows.take(origin),
        });
        let wrong = match read {
            Ok(()) if rows.last == Some(*offsets.end()) => {
                told.files += 1;
                told.rows += rows.rows;
                sheet.take_back(partition, rows.column)?;
                return Ok(sheet);
            }
            Ok(()) => "it lacks rows that its name says it has".to_owned(),
            Err(Unread::Stopped(Wrong::Job(error))) => return Err(error),
            Err(Unread::Stopped(Wrong::Row(why)) | Unread::Broken(why)) => why,
        };
        sheet.give_up(rows.column);
        told.break_off(visible(name), wrong);
        Ok(sheet)
    }
}

/// Why a file is not read on.
enum Wrong {
    /// A row is none of its file.
    Row(String),
    /// The job ends.
    Job(JobError),
}

/// The rows of a file, one after the other.
struct Rows<'a> {
    partition: i32,
    offsets: RangeInclusive<i64>,
    stretch: Option<&'a Stretch>,
    column: Column,
    last: Option<i64>,
    rows: u64,
}

impl Rows<'_> {
    fn take(&mut self, origin: Origin) -> ControlFlow<Wrong> {
        let Origin { partition, offset, timestamp_ms } = origin;
        let follows = self.last.map_or(offset == *self.offsets.start(), |last| offset > last);
        if partition != self.partition || !follows || !self.offsets.contains(&offset) {
            return ControlFlow::Break(Wrong::Row(format!(
                "it holds a row of partition {partition} offset {offset}, which its name does not say, or twice"
            )));
        }
        self.last = Some(offset);
        self.rows += 1;
        let Some(found) = judge(offset, timestamp_ms, self.stretch) else { return ControlFlow::Continue(()) };
        let cell = match self.column.cell(Minute::of(timestamp_ms)) {
            Ok(cell) => cell,
            Err(error) => return ControlFlow::Break(Wrong::Job(error)),
        };
        match found {
            Found::There => {
                cell.found.add(Count { records: 1, bytes: 0 });
                cell.without_bytes = true;
            }
            Found::Expired => cell.expired = cell.expired.saturating_add(1),
        }
        ControlFlow::Continue(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    There,
    /// The log has lost it, so nobody can tell whether it was there.
    Expired,
}

/// What a row is; `None` if it lies outside of what was asked for.
fn judge(offset: i64, timestamp_ms: i64, stretch: Option<&Stretch>) -> Option<Found> {
    let Some(Stretch { range, is_worn, end, .. }) = stretch else { return Some(Found::There) };
    if offset < range.start {
        return is_worn.then_some(Found::Expired);
    }
    let is_behind = offset >= range.end;
    match end {
        End::Offset if is_behind => None,
        End::OfLogBefore(ms) if is_behind && timestamp_ms >= *ms => None,
        _ => Some(Found::There),
    }
}

/// Whether it is the name of a file of some other topic.
fn is_of_another(name: &str) -> bool {
    let mut parts = name.strip_suffix(".parquet").unwrap_or_default().rsplitn(4, '-');
    let numbers =
        parts.by_ref().take(3).filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.count() == 3 && parts.next().is_some_and(|topic| !topic.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::TopicPartition;

    #[test]
    fn a_row_is_there_expired_or_left_out_by_its_offset() {
        let judged = |offset, is_worn, end| {
            judge(
                offset,
                60_000,
                Some(&Stretch { partition: TopicPartition::new("t", 0), range: 10..20, is_worn, end }),
            )
        };
        for end in [End::OfLog, End::Offset, End::OfLogBefore(60_000)] {
            assert_eq!(judged(9, true, end), Some(Found::Expired));
            assert_eq!(judged(9, false, end), None);
            assert_eq!(judged(10, true, end), Some(Found::There));
            assert_eq!(judged(19, false, end), Some(Found::There));
        }
        assert_eq!(judged(20, false, End::OfLog), Some(Found::There), "more than the log holds");
        assert_eq!(judged(20, false, End::Offset), None);
        assert_eq!(judged(20, false, End::OfLogBefore(60_000)), None);
        assert_eq!(judged(20, false, End::OfLogBefore(60_001)), Some(Found::There));
        assert_eq!(judge(5, 0, None), Some(Found::There));
    }

    #[test]
    fn names_of_other_topics_are_told_from_names_of_nothing() {
        for (name, is) in [
            ("t-0-0-9.parquet", true),
            ("a-b-1-20-29.parquet", true),
            ("t-0-0.parquet", false),
            ("-0-0-9.parquet", false),
            ("t-0-x-9.parquet", false),
            ("part-0001.parquet", false),
            ("t-0-0-9.csv", false),
        ] {
            assert_eq!(is_of_another(name), is, "{name}");
        }
    }
}
