//! The two ports between an engine and Kafka, as narrow as they can be.
//!
//! A [`Source`] gives the bytes of one partition in offset order within a range that was pinned at the start. What stands
//! behind it (our client, memory in tests) decides how they are fetched; what stands before it decides how they are read.
//!
//! A [`Sink`] takes finished batches in order and appends them to one partition. What stands behind it decides how many are
//! on their way at once, as whose they go out and what is done about a lost answer; what stands before it decides which
//! records are in a batch.

#[cfg(test)]
mod memory;

#[cfg(test)]
pub(crate) use memory::MemorySink;

use crate::base::appended::Appended;
use crate::base::place::TopicPartition;
use std::ops::Range;

/// One partition's data batches, in offset order, within a pinned range.
pub trait Source: Send {
    /// What went wrong; carries its own coordinates.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The partition that is read.
    fn partition(&self) -> &TopicPartition;

    /// The offsets that were asked for.
    fn range(&self) -> Range<i64>;

    /// The next stretch of whole data batches, checksums verified, control and aborted batches already left out; `None`
    /// once the range is exhausted. The first batch may begin before the range and the last may end after it: records
    /// outside are the reader's to skip. `into` is cleared and reused.
    fn next(&mut self, into: &mut Vec<u8>) -> impl Future<Output = Result<Option<()>, Self::Error>> + Send;
}

/// One partition that batches are appended to, in the order they are given.
pub trait Sink: Send {
    /// What went wrong; carries its own coordinates.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The partition that is written.
    fn partition(&self) -> &TopicPartition;

    /// Sends a batch after those before it, waiting while too many are on their way. That it was taken says nothing yet of
    /// its being stored. After an error nothing more is taken.
    fn append(&mut self, batch: Outgoing) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Whether what is taken stands only once it is committed.
    fn commits(&self) -> bool {
        false
    }

    /// Whether it is time to commit; only asked where something was appended since the last time.
    fn is_due(&self) -> bool {
        false
    }

    /// Waits until it is time to commit.
    fn due(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Appends `batch`, if there is one, and commits everything since the last time together with how far the job is. That
    /// it was taken says nothing yet of its being done; batches may follow at once.
    fn commit(
        &mut self,
        batch: Option<Outgoing>,
        reached: Reached,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async move {
            drop(reached);
            match batch {
                Some(batch) => self.append(batch).await,
                None => Ok(()),
            }
        }
    }

    /// The buffer of a batch that is stored, to be filled again; `None` if there is none right now.
    fn spare(&mut self) -> Option<Vec<u8>>;

    /// What is stored for certain.
    fn appended(&self) -> Appended;

    /// Waits until everything taken is stored, or why it cannot be; either way with what is stored for certain.
    fn finish(self) -> impl Future<Output = (Appended, Result<(), Self::Error>)> + Send;

    /// Sends nothing more, waits a bounded time for what is on its way, and tells what is stored for certain. An error is
    /// one that this waiting has found.
    fn close(self) -> impl Future<Output = (Appended, Result<(), Self::Error>)> + Send;
}

/// How far a job is, once everything that it gave to a sink stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The next offset to read of each input, in the order of the plan.
    pub positions: Vec<i64>,
    /// Records given to the sink.
    pub records: u64,
    /// There is nothing more to do.
    pub complete: bool,
}

/// One finished batch on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// The buffer, which comes back by [`Sink::spare`].
    pub bytes: Vec<u8>,
    /// How much of it is the batch: one of format 2, base offset 0, no producer. As whose it goes out is up to the sink.
    pub len: usize,
    /// How many records it holds.
    pub records: u32,
}
