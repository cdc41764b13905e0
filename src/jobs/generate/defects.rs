//! What is wrong with some of the records, on purpose: fields that are missing, JSON that is cut off.

use super::random::SplitMix64;
use crate::base::text::did_you_mean;
use crate::jobs::error::JobError;

/// How much of what is made is to be defective.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Defects {
    /// The share of records (0 to 1) from which a field is left out.
    pub missing: Vec<(String, f64)>,
    /// The share of records that are cut off somewhere, and so no JSON.
    pub broken: f64,
}

/// The same, decided record by record.
pub(super) struct Damage {
    missing: Vec<(usize, f64)>,
    broken: f64,
    random: SplitMix64,
    /// Which fields the record at hand is to lack.
    lacks: Vec<bool>,
}

impl Damage {
    /// `fields` are those there are. What is decided here comes from a stream of its own: the same seed with other defects
    /// gives the same records otherwise.
    pub(super) fn new(defects: &Defects, fields: &[&str], seed: u64) -> Result<Self, JobError> {
        let mut missing = Vec::new();
        for (name, share) in &defects.missing {
            let Some(field) = fields.iter().position(|field| field == name) else {
                let hint = did_you_mean(name, fields.iter().copied());
                return Err(JobError::Usage(format!(
                    "--missing {name}: there is no such field{hint}; the fields are {}",
                    fields.join(", ")
                )));
            };
            missing.push((field, *share));
        }
        let lacks = vec![false; fields.len()];
        Ok(Self { missing, broken: defects.broken, random: SplitMix64::new(seed, u64::MAX), lacks })
    }

    /// Decides what the next record is to lack.
    pub(super) fn decide(&mut self) {
        self.lacks.fill(false);
        for (field, share) in &self.missing {
            self.lacks[*field] |= self.random.happens(*share);
        }
    }

    /// Whether the record at hand is to lack a field.
    pub(super) fn lacks(&self, field: usize) -> bool {
        self.lacks.get(field).is_some_and(|lacks| *lacks)
    }

    /// Cuts a JSON object off, if it is this one's turn; never behind its last brace.
    pub(super) fn cut(&mut self, object: &mut Vec<u8>) {
        let (turn, at) = (self.random.happens(self.broken), self.random.below(object.len().saturating_sub(1) as u64));
        if turn {
            object.truncate(at as usize + 1);
            // What is left is text all the same.
            let whole = std::str::from_utf8(object).map_or_else(|error| error.valid_up_to(), |_| object.len());
            object.truncate(whole.max(1));
        }
    }
}
