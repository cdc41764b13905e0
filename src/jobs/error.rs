//! What stops a job: every error names what it is about, and its kind decides the exit status.

use crate::base::kind::Kind;
use crate::base::place::Place;
use crate::base::shutdown::Signal;

/// Why a job stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The plan cannot be carried out; nothing was written.
    #[error("{0}")]
    Refused(String),
    /// The settings contradict each other or what is there.
    #[error("{0}")]
    Usage(String),
    /// An input runs backwards.
    #[error("the input is not sorted: {at} has key {key}, below {previous_key} at offset {previous_offset}")]
    Unsorted {
        /// The record that is too small.
        at: Place,
        /// Its key, for people.
        key: String,
        /// The offset of the record before it.
        previous_offset: i64,
        /// That record's key, for people.
        previous_key: String,
    },
    /// A signal asked us to stop.
    #[error("interrupted")]
    Interrupted(Signal),
}

impl JobError {
    /// The sort of failure, for the exit status.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Failed,
            Self::Usage(_) => Kind::Usage,
            Self::Unsorted { .. } => Kind::Data,
            Self::Interrupted(signal) => Kind::Interrupted(*signal),
        }
    }
}
