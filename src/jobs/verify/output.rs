//! The output, held against what should come.
//!
//! A record of the output that is byte for byte the one expected is passed without being read: key, value and headers are
//! compared as they stand in the two batches, and those of the input's record were read. Whatever else comes (the bytes
//! differ, the batch ends or is compressed, a number is written in an unusual way) is read, and then compared by what it
//! says: lengths may have been written in more bytes than needed. So nothing is copied, and nothing is hashed.

use super::compare::How;
use super::difference::differing;
use super::inputs::{Inputs, Next};
use crate::base::place::TopicPartition;
use crate::batch::{RawRecord, Record};
use crate::jobs::JobContext;
use crate::jobs::cursor::{HeldRaw, RecordCursor};
use crate::jobs::error::JobError;
use crate::jobs::windows::Windows;
use crate::keys::{Key, KeyPlan, KeySource};
use crate::ports::Source;
use std::ops::{ControlFlow, Range};

/// The output.
pub(super) struct Output<'a> {
    cursor: RecordCursor<Windows>,
    with_timestamp: bool,
    /// Whether records that agree may run backwards all the same.
    watched: bool,
    watch: Watch<'a>,
    /// The record that is not what was expected, once there was one.
    held: Option<HeldRaw>,
    records: u64,
}

impl<'a> Output<'a> {
    pub(super) fn start<S>(source: S, how: How<'a>, cx: &JobContext) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let by_timestamp = how.keys.parts().iter().any(|part| part.source == KeySource::Timestamp);
        Self {
            cursor: how.share.cursor(Windows::start(source, how.share.fetch_bytes, None), cx),
            with_timestamp: how.with_timestamp,
            // Otherwise what agrees has the inputs' key, and these are in order.
            watched: by_timestamp && !how.with_timestamp,
            watch: Watch { keys: how.keys, last: None, out_of_order: 0 },
            held: None,
            records: 0,
        }
    }

    pub(super) fn partition(&self) -> &TopicPartition {
        self.cursor.partition()
    }

    pub(super) fn range(&self) -> Range<i64> {
        self.cursor.range()
    }

    /// How many records came so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// How many records have a key below that of the one before them, as far as that is known.
    pub(super) fn out_of_order(&self) -> u64 {
        self.watch.out_of_order
    }

    /// Whether the next record is known not to be the one expected.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// That record.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        self.held.as_ref().and_then(HeldRaw::record)
    }

    /// Goes along the inputs' stretch, from its record `at` on, as far as the records at hand agree with it; gives how many do.
    /// A record that does not, or that comes where none is expected, is held. Nothing in here waits.
    pub(super) fn follow(&mut self, inputs: &Inputs, at: usize) -> Result<usize, JobError> {
        let Self { cursor, with_timestamp, watched, watch, held, records } = self;
        let (with_timestamp, watched) = (*with_timestamp, *watched);
        let expected = &inputs.order()[at..];
        let mut agreed = 0;
        loop {
            if !watched {
                let mut rest = expected[agreed..].iter();
                agreed += cursor.pass_known(|timestamp, raw| {
                    let Some(next) = rest.next() else { return false };
                    let (expected, expected_raw) = inputs.raw(*next);
                    (timestamp == expected || !with_timestamp) && raw == expected_raw
                });
            }
            if agreed > 0 && agreed == expected.len() {
                break;
            }
            let stopped = cursor.pass_here(|found| {
                if !expected.get(agreed).is_some_and(|next| agree(inputs, *next, found, with_timestamp)) {
                    held.get_or_insert_default().hold(found.record.offset, found.record.timestamp, found.raw);
                    return ControlFlow::Break(());
                }
                agreed += 1;
                if watched {
                    watch.pass(&found.record);
                }
                // Where nothing is compressed the quick way goes on.
                let quick = !watched && found.end.is_some();
                if quick || agreed == expected.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if stopped.is_none() || held.is_some() || agreed == expected.len() {
                break;
            }
        }
        *records += agreed as u64;
        Ok(agreed)
    }

    /// The first `records` of the inputs' stretch were followed: what comes then may not run backwards against the last.
    pub(super) fn followed(&mut self, inputs: &Inputs, records: usize) {
        if !self.watched
            && let Some(last) = inputs.order()[..records].last()
            && let Some((_, record)) = inputs.record(*last)
        {
            self.watch.pass(&record);
        }
    }

    /// Makes sure that records are at hand; `false` at the end.
    pub(super) async fn more(&mut self) -> Result<bool, JobError> {
        self.cursor.more().await
    }

    /// Lends everything from the record that is held on to `each`, once it is known to be wrong.
    pub(super) async fn drain(&mut self, mut each: impl FnMut(&Record<'_>)) -> Result<(), JobError> {
        let Self { cursor, watch, held, records, .. } = self;
        let mut pass = |record: &Record<'_>| {
            watch.pass(record);
            each(record);
            *records += 1;
        };
        if let Some(record) = held.as_ref().and_then(HeldRaw::record) {
            pass(&record);
        }
        loop {
            cursor.pass_here(|found| {
                pass(&found.record);
                ControlFlow::<()>::Continue(())
            })?;
            if !cursor.more().await? {
                return Ok(());
            }
        }
    }
}

/// Whether a record that was read is the one expected.
fn agree(inputs: &Inputs, next: Next, found: &RawRecord<'_>, with_timestamp: bool) -> bool {
    let (timestamp, raw) = inputs.raw(next);
    (timestamp == found.record.timestamp || !with_timestamp)
        && (raw == found.raw
            || inputs.record(next).is_some_and(|(_, expected)| differing(&found.record, &expected, false).is_empty()))
}

/// Watches for keys that run backwards.
struct Watch<'a> {
    keys: &'a KeyPlan,
    /// The last key that could be read.
    last: Option<Key>,
    out_of_order: u64,
}

impl Watch<'_> {
    fn pass(&mut self, record: &Record<'_>) {
        // A key that cannot be read has no place in the order; the record is found as one that should not be there.
        if let Ok(key) = self.keys.extract(record) {
            self.out_of_order += u64::from(self.last.as_ref().is_some_and(|last| key < *last));
            self.last = Some(key);
        }
    }
}
