//! What can be wrong with a batch, with what was claimed and what was there.

use super::Codec;

/// What can be wrong with a batch. Topic, partition and offset are added by whoever knows them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes are not those that were checksummed: damaged on the way or on a disk.
    #[error("checksum mismatch: the header says {stated:#010x}, the bytes give {computed:#010x}")]
    Checksum {
        /// What the header says.
        stated: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A format other than v2; brokers from 4.0 on keep no other.
    #[error("record format with magic byte {0}, only 2 is understood")]
    Magic(i8),
    /// A codec number without a meaning.
    #[error("unknown compression codec number {0}")]
    UnknownCodec(u8),
    /// Fewer bytes than the frame needs.
    #[error("{what} needs {needed} bytes, {got} are there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// A header field whose value cannot be.
    #[error("batch header: {field} is {value}")]
    Header {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// A record that contradicts itself or its batch.
    #[error("record {index} of the batch: {what} is {stated}, which does not fit (limit {limit})")]
    Record {
        /// Which record, counted from 0.
        index: i32,
        /// The claim that does not hold.
        what: &'static str,
        /// What is claimed.
        stated: i64,
        /// What would have been possible.
        limit: i64,
    },
    /// The record section ends before the header's record count is reached, or within a record.
    #[error("the header says {stated} records, the bytes end in record {index}")]
    Missing {
        /// Records by the header.
        stated: i32,
        /// The record that is cut off or absent, counted from 0.
        index: i32,
    },
    /// Bytes after the last record.
    #[error("{bytes} bytes or more follow the last of {records} records")]
    Trailing {
        /// Records by the header.
        records: i32,
        /// Bytes seen after them.
        bytes: usize,
    },
    /// The compressed bytes are not what their codec writes.
    #[error("{codec} data: {problem}")]
    Compressed {
        /// The codec.
        codec: Codec,
        /// What is wrong.
        problem: String,
    },
    /// Something in the batch has to be held in one piece and is larger than the reader may hold.
    #[error("{what} needs {needed} bytes, the budget is {budget}")]
    OverBudget {
        /// What has to be held.
        what: &'static str,
        /// Bytes it needs.
        needed: usize,
        /// Bytes the reader was given.
        budget: usize,
    },
    /// A zstd frame that asks for more history than is ever kept.
    #[error("zstd window of {window} bytes, at most {limit} are kept (write with a lower level or windowLog)")]
    ZstdWindow {
        /// Bytes the frame asks for.
        window: u64,
        /// Bytes kept at most.
        limit: u64,
    },
    /// A batch that cannot be written: the format's fields cannot hold it.
    #[error("{what} of {value} does not fit into a batch (limit {limit})")]
    Unwritable {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// How large it may be.
        limit: u64,
    },
}
