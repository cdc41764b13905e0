//! jobs
pub mod error;
