//! The merge, pure: it orders, and answers "source i needs data". It does no I/O and never waits; waiting is the job's part.
//!
//! The order is (key, source), and within a source the order of its offsets, so that the same inputs always give the same
//! output, however their data arrives.

mod lane;

mod split;

mod tournament;

mod streaming;

pub use lane::{Backwards, Lane};
pub use tournament::{LaneMerge, SOURCES_MAX, Stop};

pub use streaming::{Step, StreamingMerge};
