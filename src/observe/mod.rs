//! What a job tells while it runs and when it is done.

pub mod phase;
pub mod progress;
pub mod usage;
