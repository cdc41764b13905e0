//! The two ports between an engine and Kafka, as narrow as they can be.
//!
//! A [`Source`] gives the bytes of one partition in offset order within a range that was pinned at the start. What stands
//! behind it (our client, memory in tests) decides how they are fetched; what stands before it decides how they are read.
//!
//! A [`Sink`] takes finished batches in order and appends them to one partition. What stands behind it decides how many are
//! on their way at once and what is done about a lost answer; what stands before it decides what is in a batch. The two
//! agree on one thing: where the sink has an [`Identity`], the batches carry it, with sequences that count up.

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

    /// What the batches must carry; `None` where they carry no producer.
    fn identity(&self) -> Option<Identity>;

    /// Sends a batch after those before it, waiting while too many are on their way. That it was taken says nothing yet of
    /// its being stored. After an error nothing more is taken.
    fn append(&mut self, batch: Outgoing) -> impl Future<Output = Result<(), Self::Error>> + Send;

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

/// One finished batch on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// The buffer, which comes back by [`Sink::spare`].
    pub bytes: Vec<u8>,
    /// How much of it is the batch: one of format 2, base offset 0.
    pub len: usize,
    /// How many records it holds.
    pub records: u32,
}

/// An idempotent producer, by which the broker tells a repeated batch from a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl Identity {
    /// The sequence of a record before which the producer has written `records_before` to the partition. After 2^31 - 1
    /// comes 0.
    pub fn sequence(records_before: u64) -> i32 {
        // Cannot cut: the mask leaves 31 bits.
        (records_before & i32::MAX as u64) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn sequences_count_records_and_go_round_at_two_to_the_thirty_first() {
        let last = i32::MAX as u64;
        let sequences = [0, 1, last - 1, last, last + 1, last + 2, 3 * (last + 1) + 7].map(Identity::sequence);
        assert_eq!(sequences, [0, 1, i32::MAX - 1, i32::MAX, 0, 1, 7]);
    }
}
