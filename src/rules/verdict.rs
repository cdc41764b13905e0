//! What goes into the rules of a record, and what comes out.

use super::{Reason, RuleId};

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
