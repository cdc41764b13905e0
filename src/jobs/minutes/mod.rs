//! What was written, minute by minute: a ledger, kept by who writes and read by who compares.
//!
//! ```text
//!  a batch being filled     its answer            a file, shared by all who write
//!  Runs: minute, records ──▶ Counts: partition, ──▶ {"topic","partition","minute","records","bytes",
//!        bytes, places       minute, offsets        "first_offset","last_offset"}, a line each
//!                                             └──▶ or a compacted topic: such a line is what a key has come to (totals.rs)
//! ```
//!
//! Non-obvious:
//! - A minute is that of the record's time as it is stored, in UTC. A topic that stamps records itself
//!   (`message.timestamp.type=LogAppendTime`) gives a whole batch one time, which the answer tells.
//! - Only what was acknowledged is counted. A line says what is there for certain; lines of the same minute add up.
//! - Lines are appended whole, each write a number of whole lines, so that several processes may share a file. Where a
//!   crash or a full disk has cut a line off, the next writer begins a new one, and readers tell which is torn and go on.
//! - A process that is killed lacks what was acknowledged since it wrote last, which is [`INTERVAL`] ago at most. Who writes in
//!   transactions notes in a topic within them, and so lacks nothing.

// Counted.
mod minute;

mod runs;

mod counts;

mod line;

// Written.
mod ledger;

mod file;

mod topic;

mod totals;

mod book;

// Read.
mod read;

#[cfg(test)]
mod tests;

pub use book::{Book, COUNTED_MAX, INTERVAL};
pub use counts::{About, Acknowledged, Counts};
pub use file::LedgerFile;
pub use ledger::{Lack, Ledger, LedgerTo};
pub use line::Line;
pub use minute::Minute;
pub use read::{At, Found, LedgerReader, Unreadable};
pub use runs::Runs;
pub use topic::{LedgerTopic, keeps_not};
pub use totals::Totals;
