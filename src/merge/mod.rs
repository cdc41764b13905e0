//! The merge, pure: it orders, and answers "source i needs data"; it does no I/O and never waits.
mod streaming;
pub use streaming::{Step, StreamingMerge};
