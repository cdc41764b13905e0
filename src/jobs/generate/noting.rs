//! A partition that is written with a ledger: each batch's records by minute, until it is stored; then they are in the book.
//!
//! The batches are read again for that, so that without a ledger nobody pays for it.

use crate::base::appended::Appended;
use crate::base::place::TopicPartition;
use crate::batch::{Batch, RecordReader};
use crate::client::PartitionWriter;
use crate::jobs::cursor::size;
use crate::jobs::error::JobError;
use crate::jobs::minutes::{Acknowledged, Book, INTERVAL, Runs};
use crate::ports::{Outgoing, Sink};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// What a compressed batch may take unfolded at a time; ours are far smaller.
const WINDOW_BYTES: usize = 4 << 20;

/// See the module's head.
pub(super) struct Noting {
    writer: PartitionWriter,
    noted: Option<Noted>,
}

struct Noted {
    book: Arc<Book>,
    reader: RecordReader,
    /// Of the batches that are on their way, the oldest first.
    sent: VecDeque<Runs>,
    /// When the book is to be written out.
    due: Instant,
}

impl Noting {
    pub(super) fn new(writer: PartitionWriter, book: Option<Arc<Book>>) -> Self {
        let (sent, due) = (VecDeque::new(), Instant::now() + INTERVAL);
        let noted = book.map(|book| Noted { book, reader: RecordReader::new(WINDOW_BYTES), sent, due });
        Self { writer, noted }
    }

    /// The buffer of the next batch that is stored.
    fn landed(&mut self) -> Option<Vec<u8>> {
        let landed = self.writer.landed()?;
        if let Some(noted) = &mut self.noted {
            let batch = Acknowledged {
                base_offset: landed.base_offset,
                append_time_ms: landed.append_time_ms,
                max_timestamp: landed.max_timestamp,
            };
            // Batches land in the order in which they were sent.
            let runs = noted.sent.pop_front().unwrap_or_default();
            // Minutes are few here: all records have the time at which it began, or that of their append.
            noted.book.take(self.writer.partition().partition, batch, &runs);
        }
        Some(landed.bytes)
    }

    fn drain(&mut self) {
        while self.landed().is_some() {}
    }
}

impl Noted {
    fn send(&mut self, batch: &Outgoing) -> Result<(), JobError> {
        let mut runs = Runs::default();
        let wrong = |error| JobError::Refused(format!("a batch that was just made cannot be read: {error}"));
        let batch = Batch::read(batch.bytes.get(..batch.len).unwrap_or_default()).map_err(wrong)?;
        self.reader.start(&batch).map_err(wrong)?;
        while let Some(record) = self.reader.next(&batch).map_err(wrong)? {
            runs.push(record.timestamp, size(&record));
        }
        self.sent.push_back(runs);
        Ok(())
    }
}

impl Sink for Noting {
    type Error = JobError;

    fn partition(&self) -> &TopicPartition {
        self.writer.partition()
    }

    async fn append(&mut self, batch: Outgoing) -> Result<(), JobError> {
        let Some(noted) = &mut self.noted else { return Ok(self.writer.append(batch).await?) };
        noted.send(&batch)?;
        if Instant::now() >= noted.due {
            noted.due = Instant::now() + INTERVAL;
            // Why it cannot be written, and what it lacks, its end tells.
            if !noted.book.write_out().await {
                return Err(JobError::OutputClosed);
            }
        }
        Ok(self.writer.append(batch).await?)
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        self.landed()
    }

    fn appended(&self) -> Appended {
        self.writer.appended()
    }

    async fn finish(mut self) -> (Appended, Result<(), JobError>) {
        let result = self.writer.flush().await;
        if result.is_err() {
            // What it still finds is what is known already.
            let _ = self.writer.fall_silent().await;
        }
        self.drain();
        (self.writer.appended(), result.map_err(JobError::from))
    }

    async fn close(mut self) -> (Appended, Result<(), JobError>) {
        let result = self.writer.fall_silent().await;
        self.drain();
        (self.writer.appended(), result.map_err(JobError::from))
    }
}

/// Writes out what is left; what the ledger lacks stands before what else went wrong.
pub(super) async fn close(book: &Arc<Book>, written: Result<u64, JobError>) -> Result<u64, JobError> {
    match (book.close().await, written) {
        (None, written) => written,
        (Some(lack), written) => Err(match (lack.into_error(book.name()), written) {
            (JobError::Ledger { name, lacking, source, .. }, Err(error)) => {
                JobError::Ledger { name, lacking, source, beside: Some(Box::new(error)) }
            }
            (error, _) => error,
        }),
    }
}
