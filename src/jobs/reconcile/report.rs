//! What was found: the minutes that differ, and all of them together.

use super::folder::InFolder;
use super::sheet::{Border, Cell, Sheet};
use super::{Ledgers, Told};
use crate::base::text::visible;
use crate::base::units::show_count;
use crate::jobs::error::JobError;
use crate::jobs::minutes::{At, Minute};
use crate::observe::usage::Usage;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The columns of [`ReconcileReport::rows`].
pub const COLUMNS: [&str; 8] =
    ["PARTITION", "MINUTE", "EXPECTED", "FOUND", "MISSING", "EXTRA", "BYTES-EXPECTED", "BYTES-FOUND"];

/// What the topic was compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// These ledgers.
    Ledgers(Ledgers),
    /// These files, of what the topic holds, or ledgers say.
    Files {
        /// Their folder.
        folder: PathBuf,
        /// The group that writes them.
        group: String,
        /// The ledgers; the topic itself, if absent.
        ledgers: Option<Ledgers>,
        /// Only what the group has committed.
        committed_only: bool,
    },
    /// Another topic.
    Topic(String),
    /// What a group has read.
    Group(String),
}

/// What was found.
#[derive(Debug)]
pub struct ReconcileReport {
    pub(super) topic: String,
    pub(super) against: Against,
    pub(super) sheet: Sheet,
    /// What is to be known beside the counts.
    pub(super) notes: Vec<String>,
    pub(super) told: Told,
    pub(super) in_folder: InFolder,
    /// Partitions in which the group is at an offset below the first that is compared.
    pub(super) below_start: u64,
    /// Of files that a group has written only what it has committed is compared. Partitions in which that is nothing, though there
    /// are records.
    pub(super) uncommitted: u64,
    pub(super) seconds: f64,
}

/// All minutes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Minutes that were compared, counted by partition.
    pub minutes: u64,
    /// Those of them that differ.
    pub differing: u64,
    /// Records that should be there.
    pub expected: u64,
    /// Records that are there.
    pub found: u64,
    /// Records that should be there and are not, minute by minute.
    pub missing: u64,
    /// Records that are there and should not be, minute by minute.
    pub extra: u64,
    /// Minutes that lie below the log's start, wholly or partly.
    pub expired_minutes: u64,
    /// Records that were expected in them, as far as is known.
    pub expired: u64,
    /// Minutes through which the start or the end runs that was asked for.
    pub cut_minutes: u64,
}

impl ReconcileReport {
    /// All minutes together.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, _, cell) in self.sheet.cells() {
            let (expected, found) = (cell.expected.records, cell.found.records);
            totals.expired = totals.expired.saturating_add(cell.expired);
            totals.expired_minutes += u64::from(cell.expired > 0 || cell.border == Some(Border::LogStart));
            match cell.border {
                Some(Border::LogStart) => totals.expired = totals.expired.saturating_add(expected),
                Some(Border::AskedFor) => totals.cut_minutes += 1,
                // All of it has expired.
                None if cell.expired > 0 && expected == 0 && found == 0 => {}
                None => {
                    totals.minutes += 1;
                    totals.differing += u64::from(cell.differs());
                    totals.expected = totals.expected.saturating_add(expected);
                    totals.found += found;
                    totals.missing = totals.missing.saturating_add(expected.saturating_sub(found));
                    totals.extra += found.saturating_sub(expected);
                }
            }
        }
        totals
    }

    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        self.objection(&self.totals()).map_or(Ok(()), |objection| Err(JobError::Difference(objection)))
    }

    /// Why it cannot be said that both sides are equal. Where nothing was compared, nothing is known.
    fn objection(&self, totals: &Totals) -> Option<String> {
        if totals.differing > 0 {
            return Some(format!("{} of {} minutes differ", show_count(totals.differing), show_count(totals.minutes)));
        }
        if self.in_folder.broken_files > 0 {
            return Some(format!(
                "{} cannot be read: what their rows are nobody knows",
                files(self.in_folder.broken_files)
            ));
        }
        if self.below_start > 0 {
            return Some(format!(
                "the group is below the first offset that is compared, in {}: what lies between was not read",
                partitions(self.below_start)
            ));
        }
        if self.uncommitted > 0 {
            return Some(if totals.minutes == 0 {
                "nothing was compared: the group has committed nothing of what is there".to_owned()
            } else {
                let partitions = partitions(self.uncommitted);
                format!("not all was compared: the group has committed nothing of what is there in {partitions}")
            });
        }
        (totals.minutes == 0 && totals.expired_minutes + totals.cut_minutes > 0)
            .then(|| "nothing was compared: every minute is expired, or at --start or --end".to_owned())
    }

    fn differing(&self) -> impl Iterator<Item = (Option<i32>, Minute, &Cell)> {
        self.sheet.cells().filter(|(_, _, cell)| cell.differs())
    }

    /// Whether what was found are rows of files, of which no bytes are compared.
    fn has_rows(&self) -> bool {
        matches!(self.against, Against::Files { .. })
    }

    /// The minutes that differ, as text; without bytes where they are not known.
    pub fn rows(&self) -> impl Iterator<Item = Vec<String>> {
        self.differing().map(|(partition, minute, cell)| {
            let (expected, found) = (cell.expected.records, cell.found.records);
            vec![
                partition.map_or_else(|| "all".to_owned(), |partition| partition.to_string()),
                minute.to_string(),
                expected.to_string(),
                found.to_string(),
                expected.saturating_sub(found).to_string(),
                found.saturating_sub(expected).to_string(),
                if cell.without_bytes || self.has_rows() { String::new() } else { cell.expected.bytes.to_string() },
                if self.has_rows() { String::new() } else { cell.found.bytes.to_string() },
            ]
        })
    }

    /// The last row, of all minutes together.
    pub fn total_row(&self) -> Vec<String> {
        let totals = self.totals();
        let numbers = [totals.expected, totals.found, totals.missing, totals.extra].map(|number| number.to_string());
        ["total".to_owned(), format!("{} differ", show_count(totals.differing))].into_iter().chain(numbers).collect()
    }

    /// The report as one JSON object, without the minutes that differ.
    pub fn to_json(&self) -> Value {
        let (totals, usage) = (self.totals(), Usage::now());
        let against = match &self.against {
            Against::Ledgers(ledgers) => show_ledgers(ledgers),
            Against::Files { folder, group, ledgers, committed_only } => {
                let mut against = ledgers.as_ref().map_or_else(|| json!({}), show_ledgers);
                against["parquet"] = folder.to_string_lossy().into();
                against["files_of"] = group.as_str().into();
                against["committed_only"] = (*committed_only).into();
                against["files"] = self.in_folder.files.into();
                against["rows"] = self.in_folder.rows.into();
                let broken = self.in_folder.broken.iter();
                against["unreadable"] = broken.map(|(name, why)| json!({ "file": name, "why": why })).collect();
                against["unreadable_files"] = self.in_folder.broken_files.into();
                against["files_outside"] = self.in_folder.outside_files.into();
                against["files_gone"] = self.in_folder.gone_files.into();
                against["uncommitted_partitions"] = self.uncommitted.into();
                against
            }
            Against::Topic(name) => json!({ "topic": name }),
            Against::Group(name) => json!({ "group": name }),
        };
        let unreadable = self.told.unreadable.iter();
        let unreadable = unreadable.map(|one| match one.at {
            At::Line(line) => json!({ "ledger": one.name, "line": line, "begins": one.begins }),
            At::Offset { partition, offset } => {
                json!({ "ledger": one.name, "partition": partition, "offset": offset, "begins": one.begins })
            }
        });
        json!({
            "equal": self.objection(&totals).is_none(),
            "topic": self.topic,
            "against": against,
            "minutes": totals.minutes,
            "minutes_differing": totals.differing,
            "records_expected": totals.expected,
            "records_found": totals.found,
            "missing": totals.missing,
            "extra": totals.extra,
            "expired_minutes": totals.expired_minutes,
            "expired_records": totals.expired,
            "cut_minutes": totals.cut_minutes,
            "notes": self.notes,
            "unreadable_lines": self.told.unreadable_lines,
            "unreadable": unreadable.collect::<Vec<_>>(),
            "seconds": self.seconds,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "cpu_seconds": usage.cpu_seconds,
        })
    }

    /// The minutes that differ, each as one JSON object.
    pub fn differences_json(&self) -> impl Iterator<Item = Value> {
        let has_rows = self.has_rows();
        self.differing().map(move |(partition, minute, cell)| {
            let Cell { expected, found, .. } = cell;
            json!({
                "partition": partition,
                "minute": minute.to_json(),
                "expected": expected.records,
                "found": found.records,
                "bytes_expected": (!cell.without_bytes && !has_rows).then_some(expected.bytes),
                "bytes_found": (!has_rows).then_some(found.bytes),
            })
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for one in &self.told.unreadable {
            let at = match one.at {
                At::Line(line) => format!("line {line}"),
                At::Offset { partition, offset } => format!("partition {partition} offset {offset}"),
            };
            let _ = writeln!(out, "{} {at} is torn, or no line of a ledger: {}", one.name, one.begins);
        }
        for (name, why) in &self.in_folder.broken {
            let _ = writeln!(out, "{name} does not count: {why}");
        }
        if self.told.unreadable_lines > self.told.unreadable.len() as u64 {
            let _ =
                writeln!(out, "{} lines of the ledger cannot be read in all", show_count(self.told.unreadable_lines));
        }
        for note in &self.notes {
            let _ = writeln!(out, "{note}");
        }
        let totals = self.totals();
        let _ = write!(out, "{}", self.say(&totals));
        if totals.expired_minutes > 0 {
            let _ = write!(
                out,
                "; {} of {} records are expired: below the log's start, wholly or partly",
                minutes(totals.expired_minutes),
                show_count(totals.expired)
            );
        }
        if totals.cut_minutes > 0 {
            let _ = write!(out, "; {} at --start or --end not compared", minutes(totals.cut_minutes));
        }
        out
    }

    fn say(&self, totals: &Totals) -> String {
        let topic = visible(&self.topic);
        let (expected, found) = (show_count(totals.expected), show_count(totals.found));
        let sides = match &self.against {
            Against::Ledgers(_) => format!("{topic} holds {found} records, the ledger says {expected}"),
            Against::Files { folder, ledgers, .. } => {
                let folder = visible(&folder.to_string_lossy());
                let expected = match ledgers {
                    None => format!("{topic} {expected} records"),
                    Some(_) => format!("the ledger says {expected}"),
                };
                format!("{folder} holds {found} rows of {topic}, {expected}")
            }
            Against::Topic(other) => format!("{topic} holds {found} records, {} {expected}", visible(other)),
            Against::Group(group) => {
                format!("group {} has read {found} of {expected} records in {topic}", visible(group))
            }
        };
        match (totals.differing, self.objection(totals)) {
            (0, None) => format!("equal: {sides}, the same in each of {}", minutes(totals.minutes)),
            (0, Some(objection)) => format!("not known to be equal: {sides}; {objection}"),
            (differing, _) => format!(
                "not equal: {sides}; {} missing, {} extra, in {} of {}",
                show_count(totals.missing),
                show_count(totals.extra),
                show_count(differing),
                minutes(totals.minutes)
            ),
        }
    }
}

fn show_ledgers(ledgers: &Ledgers) -> Value {
    let files: Vec<_> = ledgers.files.iter().map(|path| path.to_string_lossy()).collect();
    json!({ "ledgers": files, "ledger_topics": ledgers.topics })
}

fn files(count: u64) -> String {
    format!("{} file{}", show_count(count), if count == 1 { "" } else { "s" })
}

fn partitions(count: u64) -> String {
    format!("{} partition{}", show_count(count), if count == 1 { "" } else { "s" })
}

fn minutes(count: u64) -> String {
    format!("{} minute{}", show_count(count), if count == 1 { "" } else { "s" })
}
