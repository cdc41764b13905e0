//! How often something was found.

/// What came of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Outcome {
    /// All fields were there.
    Found,
    /// The key was there, and some field was not.
    Partly,
    /// The key was not there.
    NotFound,
    /// The record had no key.
    WithoutKey,
}

/// How often what came of a rule's lookups, in records that were kept: all four together are these records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookupCounts {
    /// All fields were there.
    pub found: u64,
    /// The key was there, and some field was missing or null.
    pub partly: u64,
    /// The key was not there.
    pub not_found: u64,
    /// The record had no key: its field was missing, null, an array or an object.
    pub without_key: u64,
}

impl LookupCounts {
    pub(in crate::rules) fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Found => &mut self.found,
            Outcome::Partly => &mut self.partly,
            Outcome::NotFound => &mut self.not_found,
            Outcome::WithoutKey => &mut self.without_key,
        } += 1;
    }

    /// Adds another worker's, or another time's.
    pub fn add(&mut self, other: Self) {
        self.found += other.found;
        self.partly += other.partly;
        self.not_found += other.not_found;
        self.without_key += other.without_key;
    }
}
