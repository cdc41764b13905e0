//! The RecordBatch v2 format: batches read in place from a borrowed buffer, written into a reused one.
//!
//! Everything here is synchronous and knows nothing of sockets or topics. The way of the data:
//!
//! ```text
//! bytes of a fetch ── Batches ──> Batch ── RecordReader ──> Record      (no allocation per record)
//!                                   │           └ codec/: decompression through a window inside a byte budget
//!                                   └ verify_checksum
//! records ── BatchWriter ──> bytes of a produce                         (one copy per record)
//! ```
//!
//! Invariants worth knowing:
//! - Every length in the bytes is a claim. It is compared with the bytes that are left before it is used, and nothing is
//!   allocated on its word alone. No input panics; [`BatchError`] says what was claimed and what was there.
//! - The checksum is checked only when asked for, because a batch is read more than once and checked once.
//! - Offsets inside a batch may have gaps (compaction), but they only go up and stay within the header's last offset.
//!   Apache's broker stores worse than that if a producer sends it; here it is an error, since every stage after this
//!   one relies on ascending offsets.
//! - A batch may hold no records at all and still cover offsets: whoever walks a log continues after
//!   [`BatchHeader::last_offset`], never after the last record seen.

// Where a record is: the frame of a batch, then what is in it.
mod header;

mod batches;

mod record;

mod lengths;

mod passing;

mod rows;

mod reader;

// The way back.
mod writer;

mod headers;

mod out;

mod patch;

mod shift;

pub mod control;

// What both ways need.
mod codec;

mod varint;

mod counter;

mod error;

pub use batches::{Batch, Batches};
pub use codec::Codec;
pub use error::BatchError;
pub use header::{BatchHeader, HEADER_BYTES, TimestampType};
pub use headers::HeadersBuf;
pub use passing::{Passed, Unseen};
pub use patch::BatchMut;
pub use reader::RecordReader;
pub use record::{Header, Headers, RawRecord, Record};
pub use rows::{Row, TakeRows};

pub(crate) use writer::RECORD_OVERHEAD_MAX;
pub use writer::{BatchWriter, Block, Moving, Piece, Pieces};

#[cfg(test)]
mod tests;
