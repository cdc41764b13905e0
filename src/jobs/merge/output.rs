//! The way out: records are collected into batches, and a task of its own writes one batch after the other.
//!
//! ```text
//!  push ──▶ batch being filled ──▶ (one waits) ──▶ produce, one in flight ──▶ offsets checked, counted
//! ```
//!
//! One in flight, because two could land out of order after a retry. While it travels the next one is filled and the one
//! after that waits, so merging and writing overlap.
//!
//! Non-obvious: a batch is cut by its size on the wire **and** by what its records take in memory; of tiny records the
//! second comes first. The size on the wire is exact, so a record that the broker would refuse is named before it is sent.

use crate::base::appended::Appended;
use crate::base::place::Place;
use crate::client::rskafka::{Compression, PlainError, PlainPartition, Record};
use crate::jobs::error::JobError;
use crate::jobs::merge::record::{BATCH_HEADER_BYTES, encoded_bytes, held_bytes, payload_bytes};
use crate::keys::Fields as _;
use crate::observe::progress::Progress;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Batches whose records are in memory at once: filled, waiting, in flight, and what the client makes of it to send it.
const BATCHES_ALIVE: usize = 4;
/// A batch may take so little memory at least, whatever the budget says.
const BATCH_HELD_BYTES_MIN: usize = 128 << 10;

/// How batches are cut and sent.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// The size on the wire that a batch of several records stays below.
    pub(crate) batch_bytes: usize,
    /// The largest batch the output topic takes.
    pub(crate) bytes_max: usize,
    /// What the batches may take in memory, all together.
    pub(crate) memory_bytes: usize,
    /// How batches are compressed.
    pub(crate) compression: Compression,
}

/// The least memory the output needs.
pub(crate) const fn least_bytes() -> usize {
    BATCHES_ALIVE * BATCH_HELD_BYTES_MIN
}

/// What is sent, and to whom a refusal for its size would have to be told.
#[derive(Debug)]
struct Batch {
    records: Vec<Record>,
    payload_bytes: usize,
    /// Where a record comes from that is larger than `bytes_max` before it is compressed; it travels alone.
    oversized: Option<(Place, usize)>,
}

/// The output partition, open for appending.
#[derive(Debug)]
pub(crate) struct Output {
    cut: Cut,
    batch: Vec<Record>,
    wire_bytes: usize,
    held_bytes: usize,
    payload_bytes: usize,
    first_timestamp: i64,
    oversized: Option<(Place, usize)>,
    batches: Option<mpsc::Sender<Batch>>,
    writer: JoinHandle<(Appended, Result<(), JobError>)>,
}

/// What became of the output.
pub(crate) type Closed = (Appended, Result<(), JobError>);

impl Output {
    /// Begins to append to `to`, whose end is now `end`.
    pub(crate) fn start(to: PlainPartition, end: i64, cut: Cut, progress: Progress) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let appended = Appended::at_end(to.partition().clone(), end);
        let writer = tokio::spawn(write(to, appended, receiver, cut.compression, cut.bytes_max, progress));
        Self {
            cut,
            batch: Vec::new(),
            wire_bytes: BATCH_HEADER_BYTES,
            held_bytes: 0,
            payload_bytes: 0,
            first_timestamp: 0,
            oversized: None,
            batches: Some(sender),
            writer,
        }
    }

    /// Takes the next record in order; `at` says where it came from. Waits while the batches before it are on their way.
    ///
    /// Gives `true` when a batch was sent off: a good moment to look whether somebody wants us to stop. An error means that
    /// the writer has stopped; [`Output::close_because`] tells why.
    pub(crate) async fn push(&mut self, record: Record, at: impl Fn() -> Place) -> Result<bool, JobError> {
        let mut sent = false;
        let mut bytes = encoded_bytes(&record, self.batch.len(), self.first_timestamp);
        let held = size_of::<Record>() + held_bytes(&record);
        let held_max = (self.cut.memory_bytes / BATCHES_ALIVE).max(BATCH_HELD_BYTES_MIN);
        if !self.batch.is_empty()
            && (self.wire_bytes + bytes > self.cut.batch_bytes.min(self.bytes_max_safe())
                || self.held_bytes + held > held_max)
        {
            self.send().await?;
            sent = true;
        }
        if self.batch.is_empty() {
            self.first_timestamp = record.timestamp();
            bytes = encoded_bytes(&record, 0, self.first_timestamp);
            let alone = BATCH_HEADER_BYTES + bytes;
            if alone > self.cut.bytes_max && self.cut.compression == Compression::NoCompression {
                return Err(JobError::RecordTooLarge { at: at(), bytes: alone, bytes_max: self.cut.bytes_max });
            }
            // Compression decides whether it fits.
            if alone > self.bytes_max_safe() {
                self.oversized = Some((at(), alone));
            }
        }
        self.wire_bytes += bytes;
        self.held_bytes += held;
        self.payload_bytes += payload_bytes(&record);
        self.batch.push(record);
        Ok(sent)
    }

    /// What does not shrink grows a little when it is compressed.
    fn bytes_max_safe(&self) -> usize {
        match self.cut.compression {
            Compression::NoCompression => self.cut.bytes_max,
            _ => self.cut.bytes_max - self.cut.bytes_max / 16,
        }
    }

    async fn send(&mut self) -> Result<(), JobError> {
        let room = self.batch.len() + self.batch.len() / 8;
        let batch = Batch {
            records: std::mem::replace(&mut self.batch, Vec::with_capacity(room)),
            payload_bytes: std::mem::take(&mut self.payload_bytes),
            oversized: self.oversized.take(),
        };
        (self.wire_bytes, self.held_bytes) = (BATCH_HEADER_BYTES, 0);
        match &self.batches {
            Some(batches) => batches.send(batch).await.map_err(|_| JobError::OutputClosed),
            None => Err(JobError::OutputClosed),
        }
    }

    /// Sends what is left and waits until everything is written.
    pub(crate) async fn finish(mut self) -> Closed {
        // If the writer has stopped, it says why.
        if !self.batch.is_empty() {
            let _ = self.send().await;
        }
        self.close().await
    }

    /// Sends no more after `error`. If that was only that the writer had stopped, the writer says why.
    pub(crate) async fn close_because(self, error: JobError) -> Closed {
        let (appended, written) = self.close().await;
        match (error, written) {
            // A gap in the output outweighs whatever made us stop.
            (JobError::OutputClosed, Err(why)) | (_, Err(why @ JobError::NotAdjacent(_))) => (appended, Err(why)),
            (error, _) => (appended, Err(error)),
        }
    }

    /// Sends no more, waits for what is on its way, and tells what became of everything.
    async fn close(mut self) -> Closed {
        self.batches = None;
        match self.writer.await {
            Ok(closed) => closed,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        }
    }
}

/// Writes batch after batch until there are no more or one fails.
async fn write(
    to: PlainPartition,
    mut appended: Appended,
    mut batches: mpsc::Receiver<Batch>,
    compression: Compression,
    bytes_max: usize,
    progress: Progress,
) -> Closed {
    while let Some(batch) = batches.recv().await {
        let records = batch.records.len() as u64;
        let base = match to.produce(batch.records, compression).await {
            Ok(base) => base,
            Err(error) => return (appended, Err(why(error, batch.oversized, bytes_max))),
        };
        if let Err(error) = appended.take(base, records as i64) {
            return (appended, Err(error.into()));
        }
        progress.add(records, batch.payload_bytes as u64);
    }
    (appended, Ok(()))
}

/// A refusal for its size is about the one record that was too large, where there is one.
fn why(error: PlainError, oversized: Option<(Place, usize)>, bytes_max: usize) -> JobError {
    match (error, oversized) {
        (PlainError::TooLarge { .. }, Some((at, bytes))) => JobError::RecordTooLarge { at, bytes, bytes_max },
        (error, _) => error.into(),
    }
}
