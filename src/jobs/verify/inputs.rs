//! The order the output should have: the inputs merged by (key, source, offset).
//!
//! A binary heap of its own, with keys owned and pushed and popped one by one: the simplest thing that is right, and nothing
//! of what `merge` runs on, because it is the second opinion on that.

use super::buckets::{Buckets, hash};
use crate::jobs::cursor::{HeldRecord, RecordCursor};
use crate::jobs::error::JobError;
use crate::keys::{Key, KeyPlan};
use crate::ports::Source;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The inputs, each with its next record in hand.
pub(super) struct Inputs<'a, S> {
    cursors: Vec<RecordCursor<S>>,
    keys: &'a KeyPlan,
    with_timestamp: bool,
    /// The record of each source whose key is in the heap or was taken last.
    heads: Vec<HeldRecord>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    /// The key and the source that were taken last; that source is to be read before the next is taken.
    taken: Option<(Key, usize)>,
    /// Room for the record before the head, to name both if they run backwards.
    spare: HeldRecord,
    /// How many records were read.
    pub(super) records: u64,
}

impl<'a, S: Source> Inputs<'a, S>
where
    JobError: From<S::Error>,
{
    /// Reads the first record of each source.
    pub(super) async fn start(
        cursors: Vec<RecordCursor<S>>,
        keys: &'a KeyPlan,
        with_timestamp: bool,
        buckets: &mut Buckets,
    ) -> Result<Self, JobError> {
        let sources = cursors.len();
        let mut inputs = Self {
            cursors,
            keys,
            with_timestamp,
            heads: vec![HeldRecord::default(); sources],
            heap: BinaryHeap::with_capacity(sources),
            taken: None,
            spare: HeldRecord::default(),
            records: 0,
        };
        for source in 0..sources {
            inputs.refill(source, None, buckets).await?;
        }
        Ok(inputs)
    }

    /// Takes the next record of the order: the source whose head it is.
    pub(super) async fn next(&mut self, buckets: &mut Buckets) -> Result<Option<usize>, JobError> {
        if let Some((key, source)) = self.taken.take() {
            self.refill(source, Some(&key), buckets).await?;
        }
        self.taken = self.heap.pop().map(|Reverse(next)| next);
        Ok(self.taken.as_ref().map(|(_, source)| *source))
    }

    /// The record that was taken last, by the source that [`Self::next`] gave.
    pub(super) fn head(&self, source: usize) -> &HeldRecord {
        &self.heads[source]
    }

    /// Where the cursors of the sources are.
    pub(super) fn cursor(&self, source: usize) -> &RecordCursor<S> {
        &self.cursors[source]
    }

    /// Reads and counts what is left, once the output is known to be wrong. Gives what is wrong with the inputs themselves,
    /// if anything is.
    pub(super) async fn drain(&mut self, buckets: &mut Buckets) -> Result<Option<JobError>, JobError> {
        let mut last: Vec<Option<Key>> = vec![None; self.cursors.len()];
        let heads = self.heap.drain().map(|Reverse(head)| head).chain(self.taken.take());
        heads.for_each(|(key, source)| last[source] = Some(key));
        let mut flaw = None;
        for (source, last) in last.iter_mut().enumerate() {
            while let Some(key) = self.read(source, last.as_ref(), buckets).await? {
                *last = key.map_err(|error| flaw.get_or_insert(error)).ok();
            }
        }
        Ok(flaw)
    }

    /// Reads the next record of `source` into its head: its key, or what is wrong with it.
    async fn read(
        &mut self,
        source: usize,
        previous: Option<&Key>,
        buckets: &mut Buckets,
    ) -> Result<Option<Result<Key, JobError>>, JobError> {
        std::mem::swap(&mut self.spare, &mut self.heads[source]);
        let (cursor, head) = (&mut self.cursors[source], &mut self.heads[source]);
        let next = cursor
            .next_with(|record| {
                head.hold(record);
                (hash(record, self.with_timestamp), self.keys.extract(record))
            })
            .await?;
        let Some((hash, key)) = next else { return Ok(None) };
        buckets.input(hash);
        self.records += 1;
        let at = || cursor.partition().at(head.offset());
        Ok(Some(match key {
            Err(error) => Err(JobError::Key { at: at(), error }),
            Ok(key) if previous.is_some_and(|previous| key < *previous) => Err(JobError::Unsorted {
                at: at(),
                key: self.keys.show(head),
                previous_offset: self.spare.offset(),
                previous_key: self.keys.show(&self.spare),
            }),
            Ok(key) => Ok(key),
        }))
    }

    /// The same for the heap, where what is wrong is an error.
    async fn refill(&mut self, source: usize, previous: Option<&Key>, buckets: &mut Buckets) -> Result<(), JobError> {
        if let Some(key) = self.read(source, previous, buckets).await? {
            self.heap.push(Reverse((key?, source)));
        }
        Ok(())
    }
}
