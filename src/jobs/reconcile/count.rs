//! What topics hold, minute by minute: each partition is read once, several at a time as far as the memory goes.

use super::sheet::{Column, Count, Sheet};
use crate::batch::Record;
use crate::jobs::JobContext;
use crate::jobs::cursor::{RecordCursor, size};
use crate::jobs::error::JobError;
use crate::jobs::minutes::Minute;
use crate::jobs::range::ReadShare;
use crate::jobs::windows::Windows;
use crate::ports::Source;
use std::ops::ControlFlow;
use tokio::task::JoinSet;

/// On which side the records of a partition are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Expected,
    Found,
    /// All are expected, and those below an offset are found.
    Both {
        below: i64,
    },
}

/// A partition that is to be counted.
pub(super) struct Counting<S> {
    pub(super) source: S,
    pub(super) side: Side,
    /// Its log has lost its beginning.
    pub(super) is_worn: bool,
}

/// Counts every partition, `at_once` at a time, and adds them to the sheet.
pub(super) async fn count_all<S>(
    mut waiting: impl Iterator<Item = Counting<S>>,
    mut sheet: Sheet,
    share: ReadShare,
    at_once: usize,
    cx: &JobContext,
) -> Result<Sheet, JobError>
where
    S: Source + 'static,
    JobError: From<S::Error>,
{
    // Dropping the set ends the tasks in it, so an error here leaves nothing running.
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < at_once.max(1)
            && let Some(Counting { source, side, is_worn }) = waiting.next()
        {
            let cursor = share.cursor(Windows::start(source, share.fetch_bytes, None), cx);
            let partition = cursor.partition().partition;
            let seen = Seen::new(side, sheet.lend(partition));
            tasks.spawn(async move {
                let counted = count_one(cursor, seen).await?;
                Ok::<_, JobError>((partition, is_worn, counted))
            });
        }
        let Some(ended) = tasks.join_next().await else { break };
        let (partition, is_worn, counted) = match ended {
            Ok(ended) => ended?,
            Err(panicked) => match panicked.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(JobError::Refused("a reader was stopped".to_owned())),
            },
        };
        sheet.take_back(partition, counted.column)?;
        if is_worn {
            sheet.wear(partition, counted.first);
        }
    }
    sheet.finish();
    Ok(sheet)
}

async fn count_one(mut cursor: RecordCursor<Windows>, mut seen: Seen) -> Result<Counted, JobError> {
    loop {
        let stopped = cursor.pass_here(|found| match seen.pass(&found.record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        })?;
        if let Some(error) = stopped {
            return Err(error);
        }
        if !cursor.more().await? {
            return seen.end();
        }
    }
}

/// A partition by minutes.
struct Counted {
    column: Column,
    /// The minute of the first record.
    first: Option<Minute>,
}

/// What was seen of one partition so far. Most records are of the same minute as the one before.
struct Seen {
    counted: Counted,
    side: Side,
    run: Option<(Minute, Count)>,
    /// From this offset on it is another side.
    turns_at: i64,
}

impl Seen {
    fn new(side: Side, column: Column) -> Self {
        let turns_at = match side {
            Side::Both { below } => below,
            Side::Expected | Side::Found => i64::MAX,
        };
        Self { counted: Counted { column, first: None }, side, run: None, turns_at }
    }

    #[inline(always)]
    fn pass(&mut self, record: &Record<'_>) -> Result<(), JobError> {
        let minute = Minute::of(record.timestamp);
        match &mut self.run {
            Some((run, count)) if *run == minute && record.offset < self.turns_at => {
                count.records += 1;
                count.bytes += size(record);
                Ok(())
            }
            _ => self.turn(record, minute),
        }
    }

    fn turn(&mut self, record: &Record<'_>, minute: Minute) -> Result<(), JobError> {
        self.put()?;
        if record.offset >= self.turns_at {
            (self.side, self.turns_at) = (Side::Expected, i64::MAX);
        }
        self.counted.first.get_or_insert(minute);
        self.run = Some((minute, Count { records: 1, bytes: size(record) }));
        Ok(())
    }

    fn put(&mut self) -> Result<(), JobError> {
        let Some((minute, count)) = self.run.take() else { return Ok(()) };
        let cell = self.counted.column.cell(minute)?;
        if self.side != Side::Found {
            cell.expected.add(count);
        }
        if self.side != Side::Expected {
            cell.found.add(count);
        }
        Ok(())
    }

    fn end(mut self) -> Result<Counted, JobError> {
        self.put()?;
        Ok(self.counted)
    }
}
