//! What ledgers say was written.

use super::newest::{self, Newest};
use super::sheet::{Border, Cell, Count, Sheet};
use super::{End, Ledgers, ReconcileSettings, Stretch, Told};
use crate::client::Cluster;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::minutes::{Found, LedgerReader, Line, Minute};
use crate::jobs::range::ReadShare;
use std::collections::HashMap;
use std::sync::Arc;

/// So many lines that cannot be read are named.
const UNREADABLE_NAMED: usize = 10;

/// Adds what these ledgers say of the topic to the sheet; or, where a group is named, of the rows of its files.
pub(super) async fn read(
    ledgers: &Ledgers,
    files_of: Option<String>,
    cluster: &Cluster,
    settings: &ReconcileSettings,
    stretches: &[Stretch],
    sheet: Sheet,
    cx: &JobContext,
) -> Result<(Sheet, Told), JobError> {
    let stretches: HashMap<i32, Stretch> = stretches.iter().map(|one| (one.partition.partition, one.clone())).collect();
    let asked = Arc::new(AskedFor {
        topic: settings.topic.clone(),
        files_of,
        all_partitions: settings.partitions.is_empty(),
        places_matter: stretches.values().any(|one| one.end != End::OfLog || (one.range.start > 0 && !one.is_worn)),
        stretches,
    });
    let mut newest = Newest::new(asked.clone(), sheet.room());
    let mut reading = Reading { asked, sheet, told: Told::default() };
    let share = ReadShare::of("reconcile", settings.memory_bytes / 2, 0, 1)?;
    for topic in &ledgers.topics {
        reading.told.notes.extend(newest::note_of(topic, cluster).await?);
        tokio::select! {
            biased;
            signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
            read = newest.read(topic, cluster, share, cx, |found| reading.take(found)) => read?,
        }
    }
    newest.drain(|line| reading.take(Found::Line(line)))?;
    let (paths, shutdown) = (ledgers.files.clone(), cx.shutdown.clone());
    // A pipe can only be waited for by standing still, which no task may do.
    let read = tokio::task::spawn_blocking(move || {
        for path in &paths {
            let mut lines = LedgerReader::open(path)?;
            while let Some(found) = lines.next_line()? {
                if let Some(signal) = shutdown.requested() {
                    return Err(JobError::Interrupted(signal));
                }
                reading.take(found)?;
            }
        }
        Ok((reading.sheet, reading.told))
    });
    let read = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
        read = read => read,
    };
    read.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// What lines are wanted.
#[derive(Debug)]
pub(super) struct AskedFor {
    pub(super) topic: String,
    /// What is told of the rows of this group's files is wanted, and not what of the topic's records.
    pub(super) files_of: Option<String>,
    pub(super) stretches: HashMap<i32, Stretch>,
    pub(super) all_partitions: bool,
    /// Only a part of the topic is looked at, which a line without offsets may belong to or not.
    pub(super) places_matter: bool,
}

impl AskedFor {
    /// Whether a line is about what was asked for, be it about a part that was not.
    fn is_about(&self, line: &Line) -> bool {
        line.topic == self.topic && line.files_of == self.files_of
    }

    /// Whether a line adds anything, or cannot be placed.
    pub(super) fn wants(&self, line: &Line) -> bool {
        self.is_about(line) && self.judge(line).is_some()
    }

    /// What a line adds to its minute; `None` if it lies outside of what was asked for.
    fn judge(&self, line: &Line) -> Option<Cell> {
        // A partition that the topic does not have holds nothing of what was written there.
        match self.stretches.get(&line.partition) {
            None if !self.all_partitions => None,
            stretch => judge(line, stretch),
        }
    }
}

struct Reading {
    asked: Arc<AskedFor>,
    sheet: Sheet,
    told: Told,
}

impl Reading {
    fn take(&mut self, found: Found) -> Result<(), JobError> {
        match found {
            Found::Line(line) if self.asked.is_about(&line) => {
                self.told.lines += 1;
                self.take_line(&line)
            }
            Found::Line(_) => {
                self.told.lines_of_others += 1;
                Ok(())
            }
            Found::Unreadable(line) => {
                self.told.unreadable_lines += 1;
                if self.told.unreadable.len() < UNREADABLE_NAMED {
                    self.told.unreadable.push(line);
                }
                Ok(())
            }
        }
    }

    fn take_line(&mut self, line: &Line) -> Result<(), JobError> {
        let Some(more) = self.asked.judge(line) else { return Ok(()) };
        if line.offsets.is_none() && self.asked.places_matter {
            return Err(JobError::Usage(format!(
                "the ledger says of {} {} and {} without offsets, so it is not known on which side of --start or --end that \
                 is: leave these out",
                line.topic, line.partition, line.minute
            )));
        }
        self.sheet.cell(line.partition, line.minute)?.add(&more);
        Ok(())
    }
}

/// What a line adds to its minute; `None` if it lies outside of what was asked for.
fn judge(line: &Line, stretch: Option<&Stretch>) -> Option<Cell> {
    let expected = Cell {
        expected: Count { records: line.records, bytes: line.bytes.unwrap_or(0) },
        without_bytes: line.bytes.is_none(),
        without_offsets: line.offsets.is_none(),
        ..Cell::default()
    };
    let (Some(offsets), Some(stretch)) = (&line.offsets, stretch) else { return Some(expected) };
    let (start, end) = (stretch.range.start, stretch.range.end);
    let is_before = *offsets.start() < start;
    let (is_behind, runs_behind) = match stretch.end {
        End::OfLog => (false, false),
        End::Offset => (*offsets.start() >= end, *offsets.end() >= end),
        End::OfLogBefore(ms) => {
            // Of the minute that the time is in, what has no place in the log may have been as young, or not.
            let minute_of_end = line.minute == Minute::of(ms);
            (line.minute.start_ms() >= ms, minute_of_end && *offsets.end() >= end)
        }
        End::Before(ms) => (line.minute.start_ms() >= ms, line.minute == Minute::of(ms)),
    };
    if is_behind {
        return None;
    }
    if is_before && stretch.is_worn {
        // Nothing of it is there any more, or a part.
        let border = (*offsets.end() >= start).then_some(Border::LogStart);
        return Some(Cell { expired: line.records, border, ..Cell::default() });
    }
    if is_before && *offsets.end() < start {
        return None;
    }
    let is_cut = is_before || runs_behind;
    Some(Cell { border: is_cut.then_some(Border::AskedFor), ..expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::TopicPartition;
    use std::ops::RangeInclusive;

    fn judged(offsets: Option<RangeInclusive<i64>>, is_worn: bool, end: End) -> Option<(u64, u64, Option<Border>)> {
        let minute = Minute::of(0);
        let line = Line { topic: "t".into(), files_of: None, partition: 0, minute, records: 5, bytes: None, offsets };
        let stretch = Stretch { partition: TopicPartition::new("t", 0), range: 10..20, is_worn, end };
        judge(&line, Some(&stretch)).map(|cell| (cell.expected.records, cell.expired, cell.border))
    }

    #[test]
    fn a_line_is_expected_expired_cut_or_left_out_by_its_offsets() {
        for end in [End::OfLog, End::Offset, End::OfLogBefore(60_000)] {
            assert_eq!(judged(Some(5..=9), true, end), Some((0, 5, None)));
            assert_eq!(judged(Some(5..=10), true, end), Some((0, 5, Some(Border::LogStart))));
            assert_eq!(judged(Some(10..=19), true, end), Some((5, 0, None)));
            assert_eq!(judged(Some(5..=9), false, end), None);
            assert_eq!(judged(Some(9..=10), false, end), Some((5, 0, Some(Border::AskedFor))));
            assert_eq!(judged(None, true, end), Some((5, 0, None)));
        }
        assert_eq!(judged(Some(19..=20), false, End::Offset), Some((5, 0, Some(Border::AskedFor))));
        assert_eq!(judged(Some(20..=30), false, End::Offset), None);
        // What was written must be there.
        assert_eq!(judged(Some(20..=30), false, End::OfLog), Some((5, 0, None)));
    }

    #[test]
    fn where_nothing_is_as_young_as_the_end_lines_are_left_out_by_their_minutes() {
        // The log ends at 20, and once went further.
        let whole = Some((5, 0, None));
        assert_eq!(judged(Some(20..=30), false, End::OfLogBefore(60_000)), whole);
        assert_eq!(judged(Some(15..=30), false, End::OfLogBefore(60_000)), whole);
        assert_eq!(judged(Some(20..=30), false, End::OfLogBefore(0)), None);
        // Through the minute itself.
        assert_eq!(judged(Some(10..=19), false, End::OfLogBefore(30_000)), whole);
        assert_eq!(judged(Some(15..=30), false, End::OfLogBefore(30_000)), Some((5, 0, Some(Border::AskedFor))));
    }

    #[test]
    fn where_the_log_plays_no_part_the_time_alone_ends_a_line() {
        for offsets in [10..=19, 15..=30, 20..=30] {
            assert_eq!(judged(Some(offsets.clone()), false, End::Before(60_000)), Some((5, 0, None)));
            assert_eq!(judged(Some(offsets.clone()), false, End::Before(0)), None);
            let cut = Some((5, 0, Some(Border::AskedFor)));
            assert_eq!(judged(Some(offsets), false, End::Before(30_000)), cut);
        }
    }
}
