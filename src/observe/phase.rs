//! Where a merge that is delivered exactly once is, for who wants to stop it just there.
//!
//! ```text
//!  fetch ──▶ produce … ──▶ job record ──▶ EndTxn ──▶ after the commit ──▶ fetch …
//! ```
//!
//! The job tells when it reaches a phase; what happens then is up to whoever made the [`Phases`]. By default that is nothing.

use std::sync::Arc;

/// What a merge is just about to do, or has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waits for records of an input.
    Fetch,
    /// It is about to write a batch of the output.
    Produce,
    /// The output's records of this transaction are stored, the job record is not.
    JobRecord,
    /// The job record is written as well; the transaction is still open.
    EndTxn,
    /// The transaction was committed.
    AfterCommit,
}

impl Phase {
    /// In the order in which they come.
    pub const ALL: [Self; 5] = [Self::Fetch, Self::Produce, Self::JobRecord, Self::EndTxn, Self::AfterCommit];

    /// As it is reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Produce => "produce",
            Self::JobRecord => "job_record",
            Self::EndTxn => "end_txn",
            Self::AfterCommit => "after_commit",
        }
    }

    /// The phase of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

type Hook = Arc<dyn Fn(Phase) + Send + Sync>;

/// Hears of each phase that is reached. Clones share what hears.
#[derive(Clone, Default)]
pub struct Phases(Option<Hook>);

impl Phases {
    /// Calls `hook` at each phase, on the task that reaches it.
    pub fn heard_by(hook: impl Fn(Phase) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// The job is there.
    #[inline]
    pub fn reached(&self, phase: Phase) {
        if let Some(hook) = &self.0 {
            hook(phase);
        }
    }
}

impl std::fmt::Debug for Phases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Phases").field(&self.0.is_some()).finish()
    }
}
