//! The way out of a job: records are copied into the batch being filled, full batches go to a sink.
//!
//! A batch is cut by its size before compression, which is known exactly; so a record that the broker would refuse is named
//! before it is sent. Offset deltas count up by one from 0 because [`BatchWriter`] numbers records itself: the broker would
//! store a gap without a word. Progress counts what is acknowledged, not what was sent.

use super::error::JobError;
use super::merge::Retention;
use crate::base::appended::Appended;
use crate::batch::{BatchError, BatchWriter, Block, Codec, Headers, Pieces, RECORD_OVERHEAD_MAX};
use crate::observe::progress::Progress;
use crate::ports::{Outgoing, Reached, Sink};

/// How batches are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The size that a batch of several records stays below, before compression.
    pub(crate) batch_bytes: usize,
    /// The largest batch the topic takes.
    pub(crate) bytes_max: usize,
    /// How batches are compressed.
    pub(crate) codec: Codec,
}

/// Whether a record can be added to the batch being filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Yes.
    Yes,
    /// Once the batch is sent.
    NextBatch,
    /// No batch that the topic takes can hold it: so many bytes would be needed.
    Never(usize),
}

/// One sink, and the batch being filled for it.
pub(crate) struct Outlet<S> {
    sink: S,
    writer: BatchWriter,
    cut: Cut,
    /// The size that a batch of several records stays below, also where it grows by being compressed.
    batch_bytes: usize,
    /// Records in the batches that were sent.
    sent: u64,
    /// Keys, values and headers of records that progress does not know of.
    uncounted_bytes: u64,
    /// Records that progress knows of.
    counted: u64,
    progress: Progress,
    retention: Retention,
}

impl<S> Outlet<S>
where
    S: Sink,
    JobError: From<S::Error>,
{
    /// An outlet into `sink`.
    pub(crate) fn new(sink: S, cut: Cut, progress: Progress) -> Self {
        Self {
            sink,
            writer: BatchWriter::new(cut.codec),
            batch_bytes: cut.batch_bytes.min(cut.bytes_max - cut.bytes_max / 16),
            cut,
            sent: 0,
            uncounted_bytes: 0,
            counted: 0,
            progress,
            retention: Retention::default(),
        }
    }

    /// Holds each batch against what the topic does to records of some age.
    pub(crate) fn guarded_by(self, retention: &Retention) -> Self {
        Self { retention: retention.clone(), ..self }
    }

    /// Whether a record whose key, value and headers take `bytes` can be added now.
    #[inline(always)]
    pub(crate) fn room(&self, bytes: usize) -> Room {
        if self.writer.bytes() + bytes + RECORD_OVERHEAD_MAX <= self.batch_bytes {
            Room::Yes
        } else {
            self.tight(bytes)
        }
    }

    #[cold]
    fn tight(&self, bytes: usize) -> Room {
        let alone = BatchWriter::bytes_alone(bytes);
        if !self.writer.is_empty() {
            Room::NextBatch
        } else if alone > self.cut.bytes_max && self.writer.codec() == Codec::None {
            Room::Never(alone)
        } else {
            // It travels alone, and compression decides whether it fits.
            Room::Yes
        }
    }

    /// The largest batch the topic takes.
    pub(crate) fn bytes_max(&self) -> usize {
        self.cut.bytes_max
    }

    /// No record is in the batch being filled.
    pub(crate) fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Compresses the batch being filled with another codec; only before its first record.
    pub(crate) fn set_codec(&mut self, codec: Codec) {
        self.writer.set_codec(codec);
    }

    /// Lets progress count so many bytes of keys, values and headers along with the next batch that is acknowledged.
    pub(crate) fn will_count(&mut self, bytes: u64) {
        self.uncounted_bytes += bytes;
    }

    /// Adds a record whose key, value and headers are `raw`; there must be [room](Self::room).
    #[inline(always)]
    pub(crate) fn push_raw(&mut self, timestamp: i64, raw: &[u8]) -> Result<(), BatchError> {
        self.writer.push_raw(timestamp, raw)
    }

    /// Adds many such records while there is room for them. It may leave over one for which there is.
    #[inline(always)]
    pub(crate) fn push_moved(&mut self, pieces: &mut impl Pieces) {
        self.writer.push_moved(self.batch_bytes.saturating_sub(RECORD_OVERHEAD_MAX), pieces)
    }

    /// Whether a record with these distances in another batch would have the same ones here, as [`BatchWriter`] has it.
    #[inline]
    pub(crate) fn is_same_distance(&self, (delta, base_timestamp): (i32, i64)) -> bool {
        self.writer.is_same_distance(delta, base_timestamp)
    }

    /// How many bytes of records the batch being filled has room for.
    pub(crate) fn room_bytes(&self) -> usize {
        self.batch_bytes.saturating_sub(self.writer.bytes())
    }

    /// Adds records that lie one behind the other, for all of which there is room; `false` if none could be added.
    pub(crate) fn push_block(&mut self, block: &Block<'_>) -> bool {
        self.writer.push_block(block)
    }

    /// Whether the batch being filled has no room for a record that is nothing but a value of so many bytes.
    pub(crate) fn is_full_for_value(&self, bytes: usize) -> bool {
        self.room(bytes + VALUE_OVERHEAD_MAX) != Room::Yes && !self.is_empty()
    }

    /// Adds a record that is nothing but a value, sending the batch before it if it is full; `true` if it was sent.
    pub(crate) async fn push_value(&mut self, timestamp: i64, value: &[u8]) -> Result<bool, JobError> {
        let full = self.is_full_for_value(value.len());
        if full {
            self.send().await?;
        }
        self.uncounted_bytes += value.len() as u64;
        let pushed = self.writer.push(timestamp, None, Some(value), Headers::EMPTY);
        pushed.map_err(|error| self.unwritable(&error))?;
        Ok(full)
    }

    fn unwritable(&self, error: &BatchError) -> JobError {
        JobError::Refused(format!("{}: a batch for it cannot be put together: {error}", self.sink.partition()))
    }

    /// Whether what is sent stands only once it is committed.
    pub(crate) fn commits(&self) -> bool {
        self.sink.commits()
    }

    /// Waits until it is time to commit; for ever where nothing was added since the last time. What was sent is always
    /// followed by a batch being filled, because a batch is sent when the next record does not fit.
    pub(crate) async fn due(&self) {
        match self.is_empty() {
            true => std::future::pending().await,
            false => self.sink.due().await,
        }
    }

    /// Sends the batch being filled.
    pub(crate) async fn send(&mut self) -> Result<(), JobError> {
        let batch = self.finish_batch()?;
        self.sink.append(batch).await?;
        self.count();
        Ok(())
    }

    /// Sends the batch being filled, and commits if it is time to: the job has reached `positions`.
    pub(crate) async fn send_or_commit(&mut self, positions: impl FnOnce() -> Vec<i64>) -> Result<(), JobError> {
        match self.commits() && self.sink.is_due() {
            true => self.commit(positions(), false).await,
            false => self.send().await,
        }
    }

    /// Sends the batch being filled, if there is one, and commits everything: the job has reached `positions`.
    pub(crate) async fn commit(&mut self, positions: Vec<i64>, complete: bool) -> Result<(), JobError> {
        let batch = if self.is_empty() { None } else { Some(self.finish_batch()?) };
        self.sink.commit(batch, Reached { positions, records: self.sent, complete }).await?;
        self.count();
        Ok(())
    }

    fn finish_batch(&mut self) -> Result<Outgoing, JobError> {
        self.retention.check(self.writer.max_timestamp())?;
        let records = self.writer.record_count() as u32;
        let mut bytes = self.sink.spare().unwrap_or_default();
        let len = self.writer.finish_into(&mut bytes).map_err(|error| self.unwritable(&error))?;
        self.sent += u64::from(records);
        Ok(Outgoing { bytes, len, records })
    }

    fn count(&mut self) {
        let acknowledged = self.sink.appended().records();
        self.progress.add(acknowledged - self.counted, std::mem::take(&mut self.uncounted_bytes));
        self.counted = acknowledged;
    }

    /// Ends the job with `outcome`, having reached `positions`. Who was asked to stop is not to do this part again; what a
    /// defect has stopped, is.
    pub(crate) async fn end(mut self, outcome: Result<(), JobError>, positions: impl FnOnce() -> Vec<i64>) -> Closed {
        if !self.commits() {
            return match outcome {
                Ok(()) => self.finish().await,
                Err(error) => self.close_because(error).await,
            };
        }
        let complete = outcome.is_ok();
        let stopped = match outcome {
            Ok(()) | Err(JobError::Interrupted(_)) => self.commit(positions(), complete).await.err(),
            Err(error) => return self.close_because(error).await,
        };
        let (appended, closed) = match stopped {
            Some(error) => self.close_because(error).await,
            None => self.finish().await,
        };
        (appended, closed.and(outcome))
    }

    /// Sends what is left and waits until everything is written. Tells what was appended, however it ended.
    pub(crate) async fn finish(mut self) -> Closed {
        if !self.is_empty()
            && let Err(error) = self.send().await
        {
            return self.close_because(error).await;
        }
        let bytes = self.uncounted_bytes;
        let (appended, finished) = self.sink.finish().await;
        self.progress.add(appended.records() - self.counted, bytes);
        (appended, finished.map_err(JobError::from))
    }

    /// Sends no more after `error`, waits for what is on its way, and tells what was appended.
    pub(crate) async fn close_because(self, error: JobError) -> Closed {
        let bytes = self.uncounted_bytes;
        let (appended, closed) = self.sink.close().await;
        self.progress.add(appended.records() - self.counted, bytes);
        // What is wrong with the output outweighs whatever made us stop.
        (appended, Err(closed.err().map_or(error, JobError::from)))
    }
}

/// The lengths of a value and of no key, and no headers.
const VALUE_OVERHEAD_MAX: usize = 1 + 5 + 1;

/// What became of the output.
pub(crate) type Closed = (Appended, Result<(), JobError>);
