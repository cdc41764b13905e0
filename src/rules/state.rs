//! Deduplication: what an input partition remembers of its records.
//!
//! A record is a duplicate where another one with its key came before it in the partition and their times are less than the
//! window apart. It does not matter whether that one was a duplicate itself: so what is remembered is a function of a stretch
//! of the log, and can be had again by reading from [`State::oldest_needed`] on.

use super::{RuleId, Rules};

/// What is asked about: the keys and times of a record that was kept.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    pub(super) rules: &'a Rules,
}

/// What the state says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// The record goes on.
    New,
    /// A record with this key was there before.
    Duplicate {
        /// By which rule.
        rule: RuleId,
    },
}

/// More would have to be remembered than there is memory for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{rule}: the keys of its window take more than {bytes_max} bytes: make the window shorter, or give more memory"
)]
pub struct StateFull {
    /// The rule's name.
    pub rule: String,
    /// What the state may take.
    pub bytes_max: usize,
}

/// What an input partition remembers.
#[derive(Debug)]
pub struct State {
    bytes_max: usize,
}

impl State {
    /// Remembers nothing yet, and never more than so many bytes.
    pub fn new(_rules: &Rules, bytes_max: usize) -> Self {
        Self { bytes_max }
    }

    /// Asks about the record that the cleaner has kept, which is at this offset, and remembers it. Offsets only rise.
    pub fn offer(&mut self, offered: Offered<'_>, offset: i64) -> Result<Offer, StateFull> {
        let _ = (offered.rules, offset, self.bytes_max);
        Ok(Offer::New)
    }

    /// From which offset on the log has to be read, and what is kept of it offered, to have this state again; `None` where
    /// nothing is remembered.
    pub fn oldest_needed(&self) -> Option<i64> {
        None
    }
}
