//! One partition of those that are read in one order: its next record is offered to the merge, and held until it is printed.

use crate::batch::TimestampType;
use crate::client::Tail;
use crate::jobs::cursor::{HeldRaw, RecordCursor};
use crate::jobs::error::JobError;
use crate::jobs::windows::Windows;
use crate::keys::{Key, KeyPlan};
use crate::merge::StreamingMerge;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

/// One partition.
pub(super) struct Source {
    /// Its place among the partitions of the report.
    pub(super) index: usize,
    pub(super) first: i64,
    pub(super) cursor: RecordCursor<Windows>,
    /// The record whose key the merge has, or that is late; between two, the one before.
    pub(super) held: HeldRaw,
    pub(super) timestamp_type: TimestampType,
    pub(super) read_from: Arc<AtomicI32>,
    /// Whether it is followed, and quiet.
    pub(super) tail: Option<Arc<Tail>>,
    pub(super) standing: Standing,
}

/// What is known of a source's next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is held or wanted, and is not late.
    In,
    /// It is wanted; the partition was added, and nothing of it was seen yet.
    Added,
    /// It is not waited for.
    PassedOver,
    /// It is wanted; the record before was late.
    Late,
    /// There is none.
    Finished,
}

/// What a source has.
pub(super) enum Has {
    /// A record, whose key the merge has now.
    Record,
    /// A record whose place lies before what was printed. It is held, and the merge knows nothing of it.
    Late,
    /// Nothing at hand.
    Nothing,
}

/// A record that ends it.
enum Bad {
    NoKey(i64, crate::keys::KeyError),
    /// It lies below the one before it.
    Backwards(i64, String),
}

impl Source {
    /// Whether its next record may have its place before what was printed.
    pub(super) fn may_be_late(&self) -> bool {
        matches!(self.standing, Standing::Added | Standing::PassedOver | Standing::Late)
    }

    /// Notes that there is more at hand, or that there never will be.
    pub(super) fn came(&mut self, number: usize, more: bool, merge: &mut StreamingMerge<Key>) {
        if !more {
            self.standing = Standing::Finished;
            merge.finish(number);
        }
    }

    /// Offers the next record at hand to the merge, in which this source has that number, and holds it.
    pub(super) fn offer(
        &mut self,
        number: usize,
        merge: &mut StreamingMerge<Key>,
        keys: &KeyPlan,
    ) -> Result<Has, JobError> {
        let may_be_late = self.may_be_late();
        // The merge knows it of those that it waits for all the time.
        let before = if may_be_late { self.held.record().and_then(|record| keys.extract(&record).ok()) } else { None };
        let (held, first) = (&mut self.held, self.first);
        let offered = self.cursor.pass_here(|found| {
            let record = &found.record;
            if record.offset < first {
                return ControlFlow::Continue(());
            }
            let key = match keys.extract(record) {
                Ok(key) => key,
                Err(error) => return ControlFlow::Break(Err(Bad::NoKey(record.offset, error))),
            };
            let runs_backwards = before.as_ref().is_some_and(|before| key < *before);
            let is_late = !runs_backwards && merge.offer(number, key).is_err();
            if runs_backwards || is_late && !may_be_late {
                return ControlFlow::Break(Err(Bad::Backwards(record.offset, keys.show(record))));
            }
            held.hold(record.offset, record.timestamp, found.raw);
            ControlFlow::Break(Ok(is_late))
        })?;
        match offered {
            None => Ok(Has::Nothing),
            Some(Ok(is_late)) => {
                self.timestamp_type = self.cursor.timestamp_type();
                if is_late {
                    self.is_late(keys);
                    // It is not quiet.
                    merge.want(number);
                    return Ok(Has::Late);
                }
                self.standing = Standing::In;
                Ok(Has::Record)
            }
            Some(Err(Bad::NoKey(offset, error))) => {
                Err(JobError::Key { at: self.cursor.partition().at(offset), error })
            }
            Some(Err(Bad::Backwards(offset, key))) => Err(self.backwards(offset, key, keys)),
        }
    }

    /// The record that is held is late, which is said of the first one.
    fn is_late(&mut self, keys: &KeyPlan) {
        let why = match self.standing {
            Standing::PassedOver => "its partition was quiet, and had been passed over",
            Standing::Added => "its partition was added underway",
            _ => return,
        };
        self.standing = Standing::Late;
        if let Some(record) = self.held.record() {
            tracing::warn!(
                record = %self.cursor.partition().at(record.offset),
                key = keys.show(&record),
                "comes after larger ones: {why}"
            );
        }
    }

    #[cold]
    fn backwards(&self, offset: i64, key: String, keys: &KeyPlan) -> JobError {
        let at = self.cursor.partition().at(offset);
        match self.held.record() {
            Some(previous) => {
                JobError::Unsorted { at, key, previous_offset: previous.offset, previous_key: keys.show(&previous) }
            }
            None => JobError::Unsorted { at, key, previous_offset: offset, previous_key: "(unknown)".to_owned() },
        }
    }
}
