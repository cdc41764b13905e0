//! `lookup`, put to a record.

use super::{Cleaner, Refusal, Seen, Stop, Work};
use crate::rules::lookup::{Lookup, LookupCounts, LookupTable, Outcome};
use crate::rules::step::Fallback;
use crate::rules::tree::Kind;
use crate::rules::{Class, Reason, Rules};
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Cleaner {
    /// What came of lookups since this was last asked, by rule.
    pub(super) fn take_lookups(&mut self) -> BTreeMap<String, LookupCounts> {
        let each = self.rules.steps.iter().zip(&mut self.looked);
        let any = each.filter(|(_, looked)| **looked != LookupCounts::default());
        any.map(|(step, looked)| (self.rules.name(step.rule).to_owned(), std::mem::take(looked))).collect()
    }
}

impl Work {
    /// Takes what the topic has under the record's key. Nothing is allocated but for a refusal.
    pub(super) fn look_up(
        &mut self,
        index: usize,
        lookup: &Lookup,
        tables: &[LookupTable],
        rules: &Rules,
    ) -> Result<(), Stop> {
        let key = match self.tree.something(lookup.field) {
            None => Err(Refusal::MISSING),
            Some(member) => {
                let seen = Seen::of(member, &self.tree, &mut self.buffer);
                match seen.kind {
                    Kind::Array | Kind::Object | Kind::Opened => {
                        Err(Refusal::of(Class::WrongType, "arrays and objects are no keys"))
                    }
                    _ => Ok(seen.text),
                }
            }
        };
        let found = key.map(|key| tables.get(lookup.topic).and_then(|table| table.get(key)));
        let mut outcome = match found {
            Ok(Some(_)) => Outcome::Found,
            Ok(None) => Outcome::NotFound,
            Err(_) => Outcome::WithoutKey,
        };
        let of = found.ok().flatten();
        let taken = |from| of.and_then(|found| found.field(from));
        // Before the first one is put in, which may be the key itself.
        if matches!(lookup.fallback, Fallback::Reject)
            && let Some(lacking) = lookup.takes.iter().find(|take| taken(take.from).is_none())
        {
            return Err(match found {
                Err(refusal) => self.reject(lookup.field, refusal, rules),
                Ok(found) => Stop::Rejected(self.not_found(lookup, lacking.from, found.is_some(), rules)),
            });
        }
        for take in &lookup.takes {
            match (taken(take.from), &lookup.fallback) {
                (Some((json, kind)), _) => {
                    let put = self.tree.put(take.to, json, kind, &rules.paths, &mut self.scanner);
                    put.map_err(|error| self.not_put(take.to, error, rules))?;
                    continue;
                }
                (None, Fallback::Keep | Fallback::Reject) => {}
                (None, Fallback::Value(json)) => self.put_json(take.to, json, rules)?,
            }
            if outcome == Outcome::Found {
                outcome = Outcome::Partly;
            }
        }
        self.looked.push((index, outcome));
        Ok(())
    }

    #[cold]
    fn not_found(&self, lookup: &Lookup, from: usize, is_there: bool, rules: &Rules) -> Reason {
        let mut reason = Refusal::of(Class::NotFound, "").reason(lookup.field, &rules.paths, &self.tree);
        let _ = match rules.lookups.get(lookup.topic).and_then(|of| Some((of, *of.fields.get(from)?))) {
            Some((of, path)) if is_there => {
                write!(reason.text, "what {} has under it lacks {}", lookup.name, of.paths.shown(path))
            }
            _ => write!(reason.text, "{} has no such key", lookup.name),
        };
        reason
    }
}
