//! `reconcile`: is what is there what was written, what another topic holds, or what a group has read? By partition and minute.
//!
//! ```text
//!  ledgers ────────── expected.rs ─┐         (of topics: newest.rs)
//!  topics ─▶ windows ─ count.rs  ──┼─▶ sheet.rs: partition, minute: expected, found ─▶ report.rs
//!  files ──────────── folder.rs  ──┘
//! ```
//!
//! Non-obvious:
//! - Records are counted, never offsets: markers, aborted records and holes left by compaction take offsets and are no data.
//! - What the log does not hold any more can be compared with nothing. Lines of a ledger tell the offsets of their records, so
//!   it is known which lie below the log's start, wholly or partly; those are *expired*. Where only the topic tells (another
//!   topic, lines without offsets) a minute has expired up to that of the first record that is still there.
//! - Ledgers are read before the ends are asked for, so what they tell must be there: what they say lies behind the end is
//!   missing. With an end that was asked for, what lies behind it is left out. Where that is a time and nothing in a partition
//!   is as young, its range ends with the log, and that end tells nothing: records may be gone from there. So lines are left
//!   out by their minutes, and the others must be there.
//! - Files are looked at before the ends are asked for as well, and after a ledger: rows that it knows of must be there.
//! - Memory is shared out before anything is read: half for reading, half for minutes, and one minute too many is refused.

mod count;
mod expected;
mod folder;
mod newest;
mod report;
mod sheet;

#[cfg(test)]
mod tests;

pub use report::{Against, COLUMNS, ReconcileReport};

use super::JobContext;
use super::error::JobError;
use super::minutes::Unreadable;
use super::range::{Bounds, Pinned, ReadShare, offsets_in, partitions_of, pin};
use crate::base::ends::Bound;
use crate::base::place::TopicPartition;
use crate::client::{Cluster, OffsetAt};
use count::{Counting, Side};
use folder::InFolder;
use sheet::{Room, Sheet, Wear};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What one partition should have at least: a batch may take a quarter of it, and by default a broker takes batches of 1 MiB.
const PARTITION_BYTES: usize = 5 << 20;
const MEMORY_MIN: usize = 1 << 20;

/// With what a topic is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// What these ledgers say was written.
    Ledgers(Ledgers),
    /// What a folder holds that `clean --parquet` has written: rows of what the topic holds, or of what ledgers say of them.
    Files {
        /// The folder.
        folder: PathBuf,
        /// The ledgers; the topic itself, if absent.
        ledgers: Option<Ledgers>,
        /// Only what this group, which writes the files, has committed.
        committed_by: Option<String>,
    },
    /// What this topic holds.
    Topic {
        /// Its name.
        name: String,
        /// Records may be in other partitions there: minutes are compared over all of them.
        ignore_partitions: bool,
    },
    /// What this group has read of it.
    Group(String),
}

/// Where ledgers are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledgers {
    /// In these files.
    pub files: Vec<PathBuf>,
    /// In these topics.
    pub topics: Vec<String>,
}

/// What is compared.
#[derive(Debug, Clone)]
pub struct ReconcileSettings {
    /// The topic.
    pub topic: String,
    /// With what.
    pub with: With,
    /// These partitions only; all where it is empty.
    pub partitions: Vec<i32>,
    /// Where to start; without it, at the first offset there is.
    pub start: Option<Bound>,
    /// Where to end; without it, at the high watermarks now.
    pub end: Option<Bound>,
    /// The most memory that reading and the minutes may take.
    pub memory_bytes: usize,
}

/// A partition with the offsets that are compared.
#[derive(Debug, Clone)]
struct Stretch {
    partition: TopicPartition,
    range: Range<i64>,
    /// It begins where the log does, and that is not where the log once began.
    is_worn: bool,
    end: End,
}

impl Stretch {
    /// What lies behind the offset that is committed plays no part. Where the log was to be forgotten that comes first, or the
    /// offsets between would count.
    fn end_at_committed(&mut self, read: &[(TopicPartition, i64)]) {
        let committed = read.iter().find(|(partition, _)| *partition == self.partition).map_or(0, |(_, to)| *to);
        self.range.end = self.range.end.min(committed).max(self.range.start);
        self.end = End::Offset;
    }

    /// Nothing bounds it but what was asked for.
    fn forget_log(&mut self, settings: &ReconcileSettings) {
        self.is_worn = false;
        if matches!(settings.start, None | Some(Bound::Earliest)) {
            self.range.start = 0;
        }
        if let End::OfLogBefore(ms) = self.end {
            self.end = End::Before(ms);
        }
    }
}

/// What ends a stretch, and so what lines about later records mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The log does: what lies behind it is missing.
    OfLog,
    /// An offset that was asked for: what lies behind it plays no part.
    Offset,
    /// The log does, because nothing in it is as young as the time that was asked for: what is as young plays no part.
    OfLogBefore(i64),
    /// This time, wherever the log ends: what is as young plays no part.
    Before(i64),
}

/// Counts both sides and compares them.
pub async fn run(settings: &ReconcileSettings, cx: &JobContext) -> Result<ReconcileReport, JobError> {
    let began = Instant::now();
    if settings.memory_bytes < MEMORY_MIN {
        return Err(JobError::Usage("--memory must be 1MiB or more".to_owned()));
    }
    refuse_times(settings)?;
    cx.progress.begin("look", 0);
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let (topics, ignore_partitions) = match &settings.with {
        With::Topic { name, ignore_partitions } => (vec![settings.topic.clone(), name.clone()], *ignore_partitions),
        With::Ledgers(_) | With::Group(_) | With::Files { .. } => (vec![settings.topic.clone()], false),
    };
    let partitions = partitions_of(&cluster, &topics, &settings.partitions).await?;
    refuse_other_counts(settings, &partitions, ignore_partitions)?;
    let mut stretches = stretches(settings, &cluster, &partitions).await?;
    let which = if matches!(settings.with, With::Topic { .. }) { Wear::All } else { Wear::WithoutOffsets };
    let mut sheet = Sheet::new(Room::of(settings.memory_bytes / 2), which, ignore_partitions);
    let mut notes = Vec::new();
    let (mut told, mut in_folder) = (Told::default(), InFolder::default());
    let (mut committed, mut below_start, mut uncommitted) = (None, 0, 0);
    let against = match &settings.with {
        With::Ledgers(ledgers) => {
            cx.progress.begin("read the ledger", 0);
            (sheet, told) = expected::read(ledgers, None, &cluster, settings, &stretches, sheet, cx).await?;
            notes.extend(told.notes(&settings.topic));
            extend(&mut stretches, settings, &cluster, &partitions).await?;
            Against::Ledgers(ledgers.clone())
        }
        With::Files { folder, ledgers, committed_by } => {
            let group = folder::group(folder)?;
            let is_something_there: Vec<bool> = stretches.iter().map(|one| !one.range.is_empty()).collect();
            if ledgers.is_some() {
                // Files outlive the log: what it has lost is there all the same.
                stretches.iter_mut().for_each(|stretch| stretch.forget_log(settings));
            }
            if let Some(name) = committed_by {
                refuse_other_group(folder, &group, name)?;
                // Before the files: those that the group has committed have had their names before.
                let read = read_by(&cluster, name, &stretches, &mut notes).await?;
                below_start = stretches.iter().filter(|one| is_below(one, &read)).count() as u64;
                stretches.iter_mut().for_each(|stretch| stretch.end_at_committed(&read));
                let is_left_out = |(there, one): &(bool, &Stretch)| *there && one.range.is_empty();
                uncommitted = is_something_there.into_iter().zip(&stretches).filter(is_left_out).count() as u64;
            }
            if let Some(ledgers) = ledgers {
                cx.progress.begin("read the ledger", 0);
                let of_files = Some(group.clone());
                (sheet, told) = expected::read(ledgers, of_files, &cluster, settings, &stretches, sheet, cx).await?;
                notes.extend(told.notes(&settings.topic));
            }
            cx.progress.begin("read the files", 0);
            (sheet, in_folder) = look_into(folder, settings, &stretches, sheet, cx).await?;
            notes.extend(in_folder.notes(folder));
            match ledgers {
                // The topic plays no part.
                Some(_) => stretches.clear(),
                None => extend(&mut stretches, settings, &cluster, &partitions).await?,
            }
            Against::Files {
                folder: folder.clone(),
                group,
                ledgers: ledgers.clone(),
                committed_only: committed_by.is_some(),
            }
        }
        With::Topic { name, .. } => Against::Topic(name.clone()),
        With::Group(name) => {
            let read = read_by(&cluster, name, &stretches, &mut notes).await?;
            below_start = stretches.iter().filter(|one| is_below(one, &read)).count() as u64;
            committed = Some(read);
            Against::Group(name.clone())
        }
    };
    let ranges: Vec<Pinned> = stretches.iter().map(|one| (one.partition.clone(), one.range.clone())).collect();
    cx.progress.begin("count", offsets_in(&ranges));
    let at_once = (settings.memory_bytes / 2 / PARTITION_BYTES).clamp(1, ranges.len().max(1));
    let share = ReadShare::of("reconcile", settings.memory_bytes / 2, 0, at_once)?;
    let counting = stretches.into_iter().map(|stretch| {
        let source = cluster.reader(stretch.partition.clone(), stretch.range.clone(), share.read_options());
        let read_to = |at| committed.iter().flatten().find(|(one, _)| one == at).map_or(0, |(_, to)| *to);
        let side = match settings.with {
            With::Group(_) => Side::Both { below: read_to(&stretch.partition) },
            With::Topic { .. } if *stretch.partition.topic != *settings.topic => Side::Expected,
            With::Files { .. } => Side::Expected,
            With::Topic { .. } | With::Ledgers(_) => Side::Found,
        };
        Counting { source, side, is_worn: stretch.is_worn }
    });
    let sheet = count::count_all(counting, sheet, share, at_once, cx).await?;
    Ok(ReconcileReport {
        topic: settings.topic.clone(),
        against,
        sheet,
        notes,
        told,
        in_folder,
        below_start,
        uncommitted,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Moves the ends to where they are by now: what was written while something else was read may be in there.
async fn extend(
    stretches: &mut [Stretch],
    settings: &ReconcileSettings,
    cluster: &Cluster,
    partitions: &[TopicPartition],
) -> Result<(), JobError> {
    let at = match settings.end {
        None => OffsetAt::Latest,
        Some(Bound::Time(ms)) => OffsetAt::Timestamp(ms),
        Some(_) => return Ok(()),
    };
    let ends = cluster.offsets(partitions, at).await?;
    let open = stretches.iter_mut().zip(ends).filter(|(stretch, _)| stretch.end != End::Offset);
    open.for_each(|(stretch, end)| stretch.range.end = end.max(stretch.range.end));
    Ok(())
}

fn refuse_other_group(folder: &Path, group: &str, name: &str) -> Result<(), JobError> {
    if group == name {
        return Ok(());
    }
    Err(JobError::Usage(format!("--group {name}: the files in {} are those of the group {group}", folder.display())))
}

/// Counts the rows of a folder, where no task has to wait for the disk.
async fn look_into(
    folder: &Path,
    settings: &ReconcileSettings,
    stretches: &[Stretch],
    sheet: Sheet,
    cx: &JobContext,
) -> Result<(Sheet, InFolder), JobError> {
    let counting = folder::Counting {
        folder: folder.to_owned(),
        topic: settings.topic.clone(),
        stretches: stretches.iter().map(|one| (one.partition.partition, one.clone())).collect(),
        all_partitions: settings.partitions.is_empty(),
        memory_bytes: settings.memory_bytes,
        shutdown: cx.shutdown.clone(),
    };
    let counted = tokio::task::spawn_blocking(move || counting.count(sheet)).await;
    counted.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// A time is where the first record as young stands, and behind that may stand older ones: in one topic more than in the other,
/// so that both would differ in minutes in which they hold the same.
fn refuse_times(settings: &ReconcileSettings) -> Result<(), JobError> {
    if !matches!(settings.with, With::Topic { .. }) {
        return Ok(());
    }
    let bounds = [("--start", &settings.start), ("--end", &settings.end)];
    match bounds.into_iter().find(|(_, bound)| matches!(bound, Some(Bound::Time(_)))) {
        None => Ok(()),
        Some((flag, _)) => Err(JobError::Usage(format!(
            "{flag} @TIME does not go with --against: a time is an offset of each topic, around which records of the same minutes \
             may stand on either side, here and there differently; give {flag} offsets, or leave it out"
        ))),
    }
}

/// Partitions are compared one by one, so both topics must have the same.
fn refuse_other_counts(
    settings: &ReconcileSettings,
    partitions: &[TopicPartition],
    ignore_partitions: bool,
) -> Result<(), JobError> {
    let With::Topic { name, .. } = &settings.with else { return Ok(()) };
    let here = partitions.iter().filter(|one| *one.topic == *settings.topic).count();
    let there = partitions.len() - here;
    if ignore_partitions || here == there {
        return Ok(());
    }
    Err(JobError::Usage(format!(
        "{} has {here} partitions and {name} has {there}: --ignore-partitions compares minutes over all of them",
        settings.topic
    )))
}

async fn stretches(
    settings: &ReconcileSettings,
    cluster: &Cluster,
    partitions: &[TopicPartition],
) -> Result<Vec<Stretch>, JobError> {
    let bounds = Bounds { start: ("--start", settings.start.as_ref()), end: ("--end", settings.end.as_ref()) };
    // Asked for first: where a time is found before one of these, something there is that young.
    let log_ends = match settings.end {
        Some(Bound::Time(_)) => cluster.offsets(partitions, OffsetAt::Latest).await?,
        _ => vec![0; partitions.len()],
    };
    let ranges = pin(cluster, partitions, bounds).await?;
    // Asked for afterwards: where the start is that of the log, the log does not begin before it.
    let log_starts = cluster.offsets(partitions, OffsetAt::Earliest).await?;
    let asked_for = !matches!(settings.start, None | Some(Bound::Earliest));
    let of = |((partition, range), (log_start, log_end)): (Pinned, (i64, i64))| Stretch {
        is_worn: range.start > 0 && (!asked_for || range.start <= log_start),
        end: match settings.end {
            None | Some(Bound::Latest) => End::OfLog,
            Some(Bound::Time(ms)) if range.end >= log_end => End::OfLogBefore(ms),
            Some(_) => End::Offset,
        },
        partition,
        range,
    };
    Ok(ranges.into_iter().zip(log_starts.into_iter().zip(log_ends)).map(of).collect())
}

/// Up to where a group has read each partition.
async fn read_by(
    cluster: &Cluster,
    group: &str,
    stretches: &[Stretch],
    notes: &mut Vec<String>,
) -> Result<Vec<(TopicPartition, i64)>, JobError> {
    let committed = cluster.group_offsets(group).await?;
    if committed.is_empty() && cluster.group(group).await?.is_none() {
        return Err(JobError::Refused(format!(
            "there is no group {}, or it has committed nothing: kmerge group list shows those there are",
            crate::base::text::visible(group)
        )));
    }
    let mut offsets = Vec::new();
    for Stretch { partition, range, .. } in stretches {
        match committed.get(partition).map(|one| one.offset) {
            None => notes.push(format!("{partition}: the group has committed nothing")),
            Some(offset) => {
                if offset < range.start {
                    notes.push(format!(
                        "{partition}: the group is at offset {offset}, offsets {offset} to {} are not compared, or are gone \
                         unread",
                        range.start - 1
                    ));
                }
                offsets.push((partition.clone(), offset));
            }
        }
    }
    Ok(offsets)
}

/// Whether the group has left out, or lost, what lies before a stretch.
fn is_below(stretch: &Stretch, read: &[(TopicPartition, i64)]) -> bool {
    read.iter().any(|(partition, offset)| *partition == stretch.partition && *offset < stretch.range.start)
}

/// What reading ledgers has told beside what is on the sheet.
#[derive(Debug, Default)]
struct Told {
    /// Lines about the topic.
    lines: u64,
    /// Lines about others.
    lines_of_others: u64,
    /// The first lines that cannot be read, and how many there are.
    unreadable: Vec<Unreadable>,
    unreadable_lines: u64,
    /// What else is to be known.
    notes: Vec<String>,
}

impl Told {
    fn notes(&self, topic: &str) -> Vec<String> {
        let others = self.lines_of_others;
        let none = (self.lines == 0)
            .then(|| format!("no line of the ledger is about {topic} ({others} are about other topics, or files)"));
        self.notes.iter().cloned().chain(none).collect()
    }
}
