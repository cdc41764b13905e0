//! The RecordBatch v2 format.
mod codec;
mod error;
mod header;
mod read;
mod write;
pub use codec::Codec;
pub use error::BatchError;
pub use header::{BatchHeader, HEADER_BYTES, TimestampType};
pub use read::{Batch, Batches, Header, Headers, Record, RecordReader};
pub use write::BatchWriter;
