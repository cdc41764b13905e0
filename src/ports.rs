//! The two ports between an engine and Kafka, as narrow as they can be.
//!
//! A [`Source`] gives the bytes of one partition in offset order within a range that was pinned at the start. What stands
//! behind it (our client, memory in tests) decides how they are fetched; what stands before it decides how they are read.

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
