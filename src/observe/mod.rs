//! What a job tells while it runs and when it is done.

pub mod exposition;
pub mod histogram;
pub mod http;
pub mod latencies;
pub mod metrics;
pub mod phase;
pub mod plot;
pub mod progress;
pub mod stages;
pub mod usage;
