//! The rows of a folder that `clean --parquet` has written, by the partition, offset and time of the records that they were.
//!
//! Non-obvious:
//! - Rows say where they come from, so it is known of each on which side of the log's start, or of a bound, it stands.
//! - A file that is not whole, or does not hold what its name says, counts for nothing and is named: nobody knows what became of
//!   its rows, so nothing is equal then. Files that are none of the topic's are passed over.
//! - A file of which the name says that it lies outside of what is compared is not opened. One that is gone by then is none: a
//!   cleaner removes what is not committed. What its rows were is missing, if it was to be there.
//! - A record is in one file. Where two say that they hold the same offsets nothing can be counted, and both are named.
//! - What a file says of itself is believed by the library that unfolds it, within what the footer may take: one that somebody
//!   has made to do harm may ask for more memory than there is, so only folders that are trusted are to be read.
//! - One file is open at a time, of which three columns are read, a few thousand rows at once.

use super::sheet::{Column, Count, Sheet};
use super::{End, Stretch};
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::base::text::visible;
use crate::base::units::show_count;
use crate::formats::parquet::{Origin, Unread, origins};
use crate::jobs::clean::{file_of, name_of_file, said_by_folder};
use crate::jobs::error::JobError;
use crate::jobs::minutes::Minute;
use std::collections::{BTreeMap, HashMap};
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
    /// Files that lie outside of what was asked for, by their names, and were not opened.
    pub(super) outside_files: u64,
    /// Files that were gone when they were to be opened.
    pub(super) gone_files: u64,
}

/// Files that hold the topic's offsets, by partition and the first one, with the last one.
type Held = BTreeMap<(i32, i64), i64>;

impl InFolder {
    pub(super) fn notes(&self, folder: &Path) -> Vec<String> {
        let folder = visible(&folder.to_string_lossy());
        let mut notes = Vec::new();
        if self.files + self.outside_files + self.gone_files == 0 {
            notes.push(format!("no file in {folder} is of the topic"));
        }
        if self.outside_files > 0 {
            notes.push(format!(
                "{} in {folder} not read: by name outside of what is compared",
                show_files(self.outside_files)
            ));
        }
        if self.gone_files > 0 {
            notes.push(format!(
                "{} in {folder} gone before being read: cleaners at work remove what is not committed, and with --group only \
                 what is committed is compared",
                show_files(self.gone_files)
            ));
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

fn show_files(count: u64) -> String {
    format!("{} file{}", show_count(count), if count == 1 { "" } else { "s" })
}

/// The group that writes the folder, whose rows have to say where they come from.
pub(super) fn group(folder: &Path) -> Result<String, JobError> {
    match said_by_folder(folder)? {
        Some(says) if says.has_metadata => Ok(says.group),
        Some(_) => Err(JobError::Refused(format!(
            "{}: no row says which record it was, since its rules have metadata = false under [parquet]: such files cannot be \
             compared with anything. Without that line kmerge clean --parquet writes another folder that can, in another --group",
            folder.display()
        ))),
        None => Err(JobError::Refused(format!(
            "{}: there is no _schema.json: is it a folder that kmerge clean --parquet has written?",
            folder.display()
        ))),
    }
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
        let (mut told, mut held) = (InFolder::default(), Held::new());
        let unreadable = |source: io::Error| JobError::Input { name: visible(&self.folder.to_string_lossy()), source };
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let Some(name) = name.to_str() else { continue };
            match file_of(name, &self.topic) {
                Some((partition, _)) if !self.all_partitions && !self.stretches.contains_key(&partition) => {}
                Some((partition, offsets)) if self.is_outside(partition, &offsets) => told.outside_files += 1,
                Some((partition, offsets)) => match File::open(self.folder.join(name)) {
                    Ok(file) => {
                        sheet.room().take(1)?;
                        self.hold(&mut held, name, partition, &offsets)?;
                        sheet = self.count_file(name, file, (partition, offsets), sheet, &mut told)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => told.gone_files += 1,
                    Err(error) => told.break_off(visible(name), error.to_string()),
                },
                None if name.starts_with(['.', '_']) || is_of_another(name) => {}
                None => {
                    told.foreign_files += 1;
                    if told.foreign.len() < NAMED {
                        told.foreign.push(visible(name));
                    }
                }
            }
        }
        sheet.room().give_back(held.len());
        Ok((sheet, told))
    }

    /// Whether none of these offsets was asked for, whatever the rows are.
    fn is_outside(&self, partition: i32, offsets: &RangeInclusive<i64>) -> bool {
        let Some(Stretch { range, is_worn, end, .. }) = self.stretches.get(&partition) else { return false };
        let is_before = *offsets.end() < range.start && !is_worn;
        is_before || (*end == End::Offset && *offsets.start() >= range.end)
    }

    /// Remembers what a file says it holds; an error, if another one says so as well.
    fn hold(&self, held: &mut Held, name: &str, partition: i32, offsets: &RangeInclusive<i64>) -> Result<(), JobError> {
        // Those that are held do not overlap, so it is enough to look at the one that begins last.
        let before = held.range((partition, i64::MIN)..=(partition, *offsets.end())).next_back();
        match before {
            Some(((_, first), last)) if last >= offsets.start() => {
                let other = name_of_file(&TopicPartition::new(self.topic.as_str(), partition), &(*first..=*last));
                Err(JobError::Refused(format!(
                    "{}: {} and {} both say that they hold offset {} of partition {partition}, but a record is in one file: is one \
                     of them a copy, are these the files of two runs, or is a cleaner at work?",
                    self.folder.display(),
                    visible(&other),
                    visible(name),
                    first.max(offsets.start())
                )))
            }
            _ => {
                held.insert((partition, *offsets.start()), *offsets.end());
                Ok(())
            }
        }
    }

    fn count_file(
        &self,
        name: &str,
        file: File,
        (partition, offsets): (i32, RangeInclusive<i64>),
        mut sheet: Sheet,
        told: &mut InFolder,
    ) -> Result<Sheet, JobError> {
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
        End::Before(ms) if timestamp_ms >= *ms => None,
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
        for offset in [10, 19, 20] {
            assert_eq!(judged(offset, false, End::Before(60_000)), None);
            assert_eq!(judged(offset, false, End::Before(60_001)), Some(Found::There));
        }
    }

    fn counting(range: std::ops::Range<i64>, is_worn: bool, end: End) -> Counting {
        let stretch = Stretch { partition: TopicPartition::new("t", 0), range, is_worn, end };
        Counting {
            folder: PathBuf::from("folder"),
            topic: "t".into(),
            stretches: HashMap::from([(0, stretch)]),
            all_partitions: true,
            memory_bytes: 1 << 20,
            shutdown: Shutdown::default(),
        }
    }

    #[test]
    fn a_file_is_not_read_where_its_name_says_that_none_of_its_rows_was_asked_for() {
        let outside = |is_worn, end, offsets| counting(10..20, is_worn, end).is_outside(0, &offsets);
        for end in [End::OfLog, End::Offset, End::OfLogBefore(0), End::Before(0)] {
            assert!(outside(false, end, 0..=9) && !outside(true, end, 0..=9), "{end:?}");
            assert!(!outside(false, end, 0..=10) && !outside(false, end, 19..=30), "{end:?}");
            assert_eq!(outside(false, end, 20..=30), end == End::Offset, "{end:?}");
            assert!(!counting(10..20, false, end).is_outside(1, &(0..=9)), "a partition that is not there");
        }
    }

    #[test]
    fn two_files_that_hold_the_same_offset_are_both_named() {
        let counting = counting(0..100, false, End::OfLog);
        let held = || Held::from([((0, 10), 19), ((0, 30), 39), ((1, 0), 99)]);
        for offsets in [0..=9, 20..=29, 40..=40] {
            counting.hold(&mut held(), "new", 0, &offsets).unwrap();
        }
        for (offsets, other, at) in [
            (0..=10, "t-0-10-19", 10),
            (15..=16, "t-0-10-19", 15),
            (39..=50, "t-0-30-39", 39),
            (0..=99, "t-0-30-39", 30),
        ] {
            let said = counting.hold(&mut held(), "new", 0, &offsets).unwrap_err().to_string();
            assert!(
                said.contains(&format!("{other}.parquet and new both")) && said.contains(&format!("offset {at} ")),
                "{said}"
            );
        }
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
