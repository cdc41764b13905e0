//! The rules of `clean`: what is made of a record, in the order in which a file has them. Pure: no I/O and no clock.
//!
//! ```text
//!  rule file ──parse──▶ Rules ──shared──▶ Cleaner (one a worker) ──▶ Verdict, cleaned JSON, Counts
//!                                            │ keys and times of what is kept
//!                                            ▼
//!                                         State (one an input partition) ──▶ New or Duplicate
//! ```

mod cleaner;
mod counts;
mod error;
mod reason;
mod state;

pub use cleaner::{Cleaner, Incoming, Verdict};
pub use counts::Counts;
pub use error::RuleError;
pub use reason::{Class, Reason};
pub use state::{Offer, Offered, State, StateFull};

/// Which rule of a file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub usize);

/// A rule file, checked.
#[derive(Debug)]
pub struct Rules {
    names: Vec<String>,
    stateful: bool,
}

impl Rules {
    /// Reads a rule file. What is wrong with it is told all at once, in the order of the lines.
    pub fn parse(text: &str) -> Result<Self, Vec<RuleError>> {
        let _ = text;
        Ok(Self { names: Vec::new(), stateful: false })
    }

    /// What a rule is called in reports and dead letters.
    pub fn name(&self, rule: RuleId) -> &str {
        self.names.get(rule.0).map_or("", String::as_str)
    }

    /// Whether a [`State`] has to be asked about what is kept.
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }
}
