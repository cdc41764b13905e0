//! JSON objects as the rows of a parquet file. Pure: rows in, bytes out; where the bytes go is the caller's affair.
//!
//! ```text
//!  objects ──▶ rows: as they are ──┬─▶ infer: what columns there are, once
//!                                  └─▶ fill: columns, and what fits none ──▶ write: row groups, to any Write
//! ```
//!
//! | type | in the file | takes |
//! | --- | --- | --- |
//! | `int` | INT64 | whole numbers within 64 bits, written without fraction and exponent |
//! | `float` | DOUBLE | numbers within a double's range, as the nearest double; whole ones up to 2^53, where each is exact |
//! | `bool` | BOOLEAN | `true` and `false` |
//! | `string` | BYTE_ARRAY (STRING) | texts |
//! | `time` | INT64 (TIMESTAMP, UTC, milliseconds) | RFC 3339 texts that are no finer |
//! | `time_us` | INT64 (TIMESTAMP, UTC, microseconds) | RFC 3339 texts that are no finer |
//! | `json` | BYTE_ARRAY (JSON) | anything, as it is written |
//!
//! Non-obvious:
//! - Nothing vanishes: a member that has no column, or does not fit its column, stands in `_rest`, a JSON object; only null and
//!   missing are the same, as everywhere in tables. So a schema may be kept while the data drifts, and drift can be seen.
//! - A column is filled and encoded for a whole row group at once, so a row group has to fit into memory about three times: as
//!   it came, as columns, and one column encoded.

// What came.
mod rows;

mod members;

// What it becomes.
mod columns;

mod infer;

mod fill;

mod write;

// Looked at.
mod read;

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;

pub use columns::{Column, Kind, Schema, SchemaError};
pub use fill::add_name;
pub use infer::infer;
pub use read::{Origin, Unread, origins};
pub use rows::Rows;
pub use write::{Codec, Fault, ParquetFile, Totals};
