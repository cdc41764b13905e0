//! What stops a job: every error names what it is about, and its kind decides the exit status.

use crate::base::kind::Kind;
use crate::base::place::Place;
use crate::base::shutdown::Signal;
use crate::batch::BatchError;
use crate::client::ClientError;
use crate::keys::KeyError;

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
    /// The cluster cannot be reached, refuses, or does not give what it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A record's key cannot be read.
    #[error("{at}: {error}")]
    Key {
        /// The record.
        at: Place,
        /// What is wrong with its key.
        #[source]
        error: KeyError,
    },
    /// A batch that was fetched cannot be read.
    #[error("{at}: {error}")]
    Batch {
        /// The first offset of the batch, or the record before which it broke.
        at: Place,
        /// What is wrong with it.
        #[source]
        error: BatchError,
    },
    /// A source gave a record that it had already passed.
    #[error("{at} came again: the next offset had to be {expected} or later")]
    Order {
        /// The record.
        at: Place,
        /// The least offset that could come.
        expected: i64,
    },
    /// The report says that the data is not what was promised.
    #[error("{0}")]
    Difference(String),
    /// A signal asked us to stop.
    #[error("interrupted")]
    Interrupted(Signal),
}

impl JobError {
    /// The sort of failure, for the exit status.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) | Self::Batch { .. } | Self::Order { .. } => Kind::Failed,
            Self::Usage(_) => Kind::Usage,
            Self::Client(error) => error.kind(),
            Self::Unsorted { .. } | Self::Key { .. } | Self::Difference(_) => Kind::Data,
            Self::Interrupted(signal) => Kind::Interrupted(*signal),
        }
    }
}
