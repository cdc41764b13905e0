//! Puts rules to records, one after the other.

use super::{Counts, Offered, Reason, RuleId, Rules};
use std::sync::Arc;

/// What the rules look at of a record.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its value, which is JSON.
    pub value: Option<&'a [u8]>,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, as it was written to `out`. Where the rules have a state, that is to be asked next.
    Kept,
    /// A rule does not want it.
    Filtered {
        /// Which.
        rule: RuleId,
    },
    /// A rule refuses it.
    Rejected {
        /// Which.
        rule: RuleId,
        /// Why.
        reason: Reason,
    },
    /// No rule could look at it.
    Undecodable {
        /// Why.
        reason: Reason,
    },
}

/// Puts rules to records. Its buffers are used again for each record.
#[derive(Debug)]
pub struct Cleaner {
    rules: Arc<Rules>,
    counts: Counts,
}

impl Cleaner {
    /// One for each worker.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, counts: Counts::default() }
    }

    /// Puts the rules to a record. `out` is cleared, and holds the cleaned JSON where the verdict is `Kept`.
    pub fn clean(&mut self, record: &Incoming<'_>, out: &mut Vec<u8>) -> Verdict {
        out.clear();
        out.extend_from_slice(record.value.unwrap_or_default());
        Verdict::Kept
    }

    /// What a [`super::State`] has to know of the record that was kept last.
    pub fn offered(&self) -> Offered<'_> {
        Offered { rules: &self.rules }
    }

    /// The counts since they were last taken.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}
