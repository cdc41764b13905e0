//! Puts rules to records, one after the other.
//!
//! Non-obvious: nothing is allocated for a record that is kept, but for texts beyond ASCII whose case is changed. A refusal is
//! put into words only where it ends the record's way; most are mended.

mod looking;

use super::cast::moment_of;
use super::change::{Change, Json};
use super::group_by::{GroupBy, Grouped, Offers};
use super::insight::{Noted, Notes};
use super::lookup::{LookupCounts, LookupTable, Outcome};
use super::moment::Unit;
use super::paths::{PathId, Paths, ROOT};
use super::refusal::Refusal;
use super::scan::{BYTES_MAX, Fault, Scanner};
use super::seen::Seen;
use super::step::{Action, Fallback, Piece, Step};
use super::tree::{Kind, PutError, Tree};
use super::verdict::{Incoming, Verdict};
use super::{Class, Counts, Offered, Reason, RuleId, Rules};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Buffers that have become larger than this are let go, whatever made them so: a record, or what rules made of a small one.
const BUFFER_BYTES_MAX: usize = 4 << 20;
/// The most that a template makes. As JSON it may take six times that.
const TEMPLATE_BYTES_MAX: usize = BYTES_MAX / 8;

/// Puts rules to records. Its buffers are used again for each record.
#[derive(Debug)]
pub struct Cleaner {
    rules: Arc<Rules>,
    work: Work,
    /// By step: how often it put a default, or mended.
    applied: Vec<u64>,
    /// By step: what came of lookups.
    looked: Vec<LookupCounts>,
    filtered: Vec<u64>,
    rejected: BTreeMap<(RuleId, Class), u64>,
    undecodable: BTreeMap<Class, u64>,
    records: u64,
    kept: u64,
}

/// A record on its way, and the buffers for it.
#[derive(Debug, Default)]
struct Work {
    tree: Tree,
    scanner: Scanner,
    /// A value that is being made, as JSON.
    made: Vec<u8>,
    buffer: Vec<u8>,
    text: Vec<u8>,
    /// The steps that put a default or mended.
    applied: Vec<usize>,
    /// The steps that have looked something up, and what came of it.
    looked: Vec<(usize, Outcome)>,
    /// Keys for the state, one behind the other; where each ends, and its time.
    keys: Vec<u8>,
    key_ends: Vec<(usize, i64)>,
    /// What it is to its groups.
    offers: Offers,
    /// What insights count of it.
    notes: Notes,
}

/// Why a record's way ends.
enum Stop {
    Filtered,
    Rejected(Reason),
}

impl Cleaner {
    /// One for each worker.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            work: Work::default(),
            applied: vec![0; rules.steps.len()],
            looked: vec![LookupCounts::default(); rules.steps.len()],
            filtered: vec![0; rules.names.len()],
            rejected: BTreeMap::new(),
            undecodable: BTreeMap::new(),
            records: 0,
            kept: 0,
            rules,
        }
    }

    /// Puts the rules to a record. `out` is cleared, and holds the cleaned JSON where the verdict is `Kept`.
    /// Where rules look something up, they find nothing.
    pub fn clean(&mut self, record: &Incoming<'_>, out: &mut Vec<u8>) -> Verdict {
        self.clean_with(record, &[], out)
    }

    /// The same, with what rules look up in ([`super::lookup::Lookups::tables`]).
    pub fn clean_with(&mut self, record: &Incoming<'_>, tables: &[LookupTable], out: &mut Vec<u8>) -> Verdict {
        out.clear();
        self.records += 1;
        let verdict = self.verdict(record, tables, Some(out));
        self.work.shrink();
        verdict
    }

    /// Puts the rules to a record, and lends what is kept to `look`, instead of writing it.
    pub(super) fn lend<T>(
        &mut self,
        record: &Incoming<'_>,
        look: impl FnOnce(&Tree, &Paths, &mut Vec<u8>) -> T,
    ) -> Result<T, Verdict> {
        self.records += 1;
        let looked = match self.verdict(record, &[], None) {
            Verdict::Kept => Ok(look(&self.work.tree, &self.rules.paths, &mut self.work.buffer)),
            verdict => Err(verdict),
        };
        self.work.shrink();
        looked
    }

    #[inline]
    fn verdict(&mut self, record: &Incoming<'_>, tables: &[LookupTable], out: Option<&mut Vec<u8>>) -> Verdict {
        let Self { rules, work, .. } = self;
        if let Err(reason) = work.begin(record, rules) {
            *self.undecodable.entry(reason.class).or_default() += 1;
            return Verdict::Undecodable { reason };
        }
        match work.all(rules, tables, record.timestamp_ms) {
            Ok(()) => {}
            Err((rule, Stop::Filtered)) => {
                self.filtered[rule.0] += 1;
                return Verdict::Filtered { rule };
            }
            Err((rule, Stop::Rejected(reason))) => {
                *self.rejected.entry((rule, reason.class)).or_default() += 1;
                return Verdict::Rejected { rule, reason };
            }
        }
        for insight in &rules.insights {
            work.notes.take(insight, record.timestamp_ms, &work.tree, &mut work.buffer);
        }
        self.kept += 1;
        for &index in &work.applied {
            self.applied[index] += 1;
        }
        for &(index, outcome) in &work.looked {
            self.looked[index].count(outcome);
        }
        let Some(out) = out else { return Verdict::Kept };
        if work.tree.is_changed() {
            work.tree.write(out);
        } else {
            out.extend_from_slice(record.value.unwrap_or_default());
        }
        Verdict::Kept
    }

    /// The rules.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What a [`super::State`] has to know of the record that was kept last.
    pub fn offered(&self) -> Offered<'_> {
        Offered { keys: &self.work.keys, ends: &self.work.key_ends }
    }

    /// What the record that was kept last is to its groups, for [`super::Groups`].
    pub fn grouped(&self) -> Grouped<'_> {
        Grouped { offers: &self.work.offers }
    }

    /// What [`super::insight::Insights`] have to know of the record that was kept last.
    pub fn noted(&self) -> Noted<'_> {
        self.work.notes.noted()
    }

    /// The counts since they were last taken.
    pub fn take_counts(&mut self) -> Counts {
        let rules = Arc::clone(&self.rules);
        let name = |rule: RuleId| rules.name(rule).to_owned();
        let mut counts =
            Counts { records: self.records, kept: self.kept, lookups: self.take_lookups(), ..Counts::default() };
        (self.records, self.kept) = (0, 0);
        for (step, count) in rules.steps.iter().zip(&mut self.applied).filter(|(_, count)| **count > 0) {
            let (into, key) = match &step.action {
                Action::Default { path, .. } => (&mut counts.defaulted, rules.paths.shown(*path).to_owned()),
                _ => (&mut counts.mended, name(step.rule)),
            };
            *into.entry(key).or_default() += std::mem::take(count);
        }
        for (rule, count) in self.filtered.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            counts.filtered.insert(name(RuleId(rule)), std::mem::take(count));
        }
        let rejected = std::mem::take(&mut self.rejected).into_iter();
        counts.rejected = rejected.map(|((rule, class), count)| ((name(rule), class), count)).collect();
        counts.undecodable = std::mem::take(&mut self.undecodable);
        counts
    }
}

impl Work {
    #[inline]
    fn begin(&mut self, record: &Incoming<'_>, rules: &Rules) -> Result<(), Reason> {
        self.applied.clear();
        self.looked.clear();
        // Until now somebody may have asked for them.
        self.keys.clear();
        self.keys.shrink_to(BUFFER_BYTES_MAX);
        self.key_ends.clear();
        self.offers.clear(BUFFER_BYTES_MAX);
        self.notes.clear(BUFFER_BYTES_MAX);
        let value = record.value.ok_or_else(|| {
            let text = "the record has no value (it is a tombstone)".to_owned();
            Reason { class: Class::NoValue, text }
        })?;
        let read = self.tree.read(value, &rules.paths, &mut self.scanner);
        read.map_err(|Fault { class, text }| Reason { class, text })
    }

    /// Costs nothing where there is nothing to let go.
    #[inline]
    fn shrink(&mut self) {
        self.tree.shrink(BUFFER_BYTES_MAX);
        self.scanner.shrink(BUFFER_BYTES_MAX);
        for buffer in [&mut self.made, &mut self.buffer, &mut self.text] {
            buffer.clear();
            buffer.shrink_to(BUFFER_BYTES_MAX);
        }
    }

    /// Every step, and what the groups ask for; or whose doing it is that the record's way ends.
    #[inline]
    fn all(&mut self, rules: &Rules, tables: &[LookupTable], timestamp_ms: i64) -> Result<(), (RuleId, Stop)> {
        for (index, step) in rules.steps.iter().enumerate() {
            self.step(index, step, rules, tables, timestamp_ms).map_err(|stop| (step.rule, stop))?;
        }
        for by in &rules.group_bys {
            self.offer(by, rules, timestamp_ms).map_err(|stop| (by.rule, stop))?;
        }
        Ok(())
    }

    fn offer(&mut self, by: &GroupBy, rules: &Rules, timestamp_ms: i64) -> Result<(), Stop> {
        let time_ms = self.time(by.time, timestamp_ms, rules)?;
        if !by.has_window_at(time_ms) {
            let text = "the record's window is not within the years 0000 to 9999".to_owned();
            return Err(Stop::Rejected(Reason { class: Class::OutOfRange, text }));
        }
        let taken = self.offers.take(by, time_ms, &self.tree, &rules.paths, &mut self.buffer);
        taken.map_err(|(path, refusal)| self.reject(path, refusal, rules))
    }

    /// The moment in a field, or that of the record itself, in milliseconds.
    fn time(&mut self, time: Option<(PathId, Unit)>, timestamp_ms: i64, rules: &Rules) -> Result<i64, Stop> {
        match time {
            Some((path, unit)) => {
                let seen = self.tree.something(path).ok_or(Refusal::MISSING);
                let seen = seen.map(|member| Seen::of(member, &self.tree, &mut self.buffer));
                let moment = seen.and_then(|seen| moment_of(seen, unit));
                Ok(moment.map_err(|refusal| self.reject(path, refusal, rules))?.epoch_ms)
            }
            None if timestamp_ms >= 0 => Ok(timestamp_ms),
            None => {
                let text = "the record has no timestamp".to_owned();
                Err(Stop::Rejected(Reason { class: Class::Missing, text }))
            }
        }
    }

    fn step(
        &mut self,
        index: usize,
        step: &Step,
        rules: &Rules,
        tables: &[LookupTable],
        timestamp_ms: i64,
    ) -> Result<(), Stop> {
        match &step.action {
            Action::Default { path, value } => {
                if self.tree.something(*path).is_none() {
                    self.put_json(*path, value, rules)?;
                    self.applied.push(index);
                }
                Ok(())
            }
            Action::Rename { from, to } => self.rename(*from, *to, rules),
            Action::Drop { path } => {
                self.tree.remove(*path, &rules.paths);
                Ok(())
            }
            Action::Change { path, change, fallback } => self.change(index, *path, change, fallback, rules),
            Action::Required { path } => match self.tree.something(*path) {
                Some(_) => Ok(()),
                None => Err(self.reject(*path, Refusal::MISSING, rules)),
            },
            Action::DerivePart { path, from, unit, part, fallback } => {
                self.made.clear();
                let moment = match self.tree.something(*from) {
                    Some(member) => moment_of(Seen::of(member, &self.tree, &mut self.buffer), *unit),
                    None => Err(Refusal::MISSING),
                };
                match moment {
                    Ok(time) => {
                        part.write(time, &mut self.made);
                        let kind = match self.made.first() {
                            Some(b'"') => Kind::Text { escaped: false },
                            _ => Kind::Number { whole: true },
                        };
                        self.put_made(*path, kind, rules)
                    }
                    Err(refusal) => self.fall_back(index, *path, (*from, refusal), fallback, rules),
                }
            }
            Action::DeriveText { path, pieces, fallback } => match self.template(pieces) {
                Ok(()) => {
                    self.made.clear();
                    let kind = super::cast::put_string(&self.text, &mut self.made);
                    self.put_made(*path, kind, rules)
                }
                // No field is to blame, and nothing is mended: the record cannot be what the rule wants.
                Err((_, refusal)) if refusal.class == Class::TooLarge => {
                    Err(self.not_put(*path, PutError::Fault(Fault::LARGE), rules))
                }
                Err(refused) => self.fall_back(index, *path, refused, fallback, rules),
            },
            Action::Lookup(lookup) => self.look_up(index, lookup, tables, rules),
            Action::Filter { keep, condition } => match condition.holds(&self.tree, &mut self.buffer) {
                Ok(holds) if holds == *keep => Ok(()),
                Ok(_) => Err(Stop::Filtered),
                Err((path, refusal)) => Err(self.reject(path, refusal, rules)),
            },
            Action::Deduplicate { key, time } => {
                for &path in key {
                    self.add_to_key(path).map_err(|refusal| self.reject(path, refusal, rules))?;
                }
                let time_ms = self.time(*time, timestamp_ms, rules)?;
                self.key_ends.push((self.keys.len(), time_ms));
                Ok(())
            }
        }
    }

    #[inline]
    fn change(
        &mut self,
        index: usize,
        path: PathId,
        change: &Change,
        fallback: &Fallback,
        rules: &Rules,
    ) -> Result<(), Stop> {
        let Some(member) = self.tree.something(path) else { return Ok(()) };
        self.made.clear();
        match change.apply(Seen::of(member, &self.tree, &mut self.buffer), &mut self.made) {
            Ok(None) => Ok(()),
            Ok(Some(kind)) => self.put_made(path, kind, rules),
            Err(refusal) => self.fall_back(index, path, (path, refusal), fallback, rules),
        }
    }

    /// What a rule does where it fails, because of a field that is refused.
    fn fall_back(
        &mut self,
        index: usize,
        path: PathId,
        (refused, refusal): (PathId, Refusal),
        fallback: &Fallback,
        rules: &Rules,
    ) -> Result<(), Stop> {
        match fallback {
            Fallback::Reject => return Err(self.reject(refused, refusal, rules)),
            Fallback::Keep => {}
            Fallback::Value(json) => self.put_json(path, json, rules)?,
        }
        self.applied.push(index);
        Ok(())
    }

    fn rename(&mut self, from: PathId, to: PathId, rules: &Rules) -> Result<(), Stop> {
        if self.tree.get(from).is_none() {
            return Ok(());
        }
        let is_null = self.tree.something(from).is_none();
        if self.tree.something(to).is_some() {
            // Null covers nothing.
            if is_null {
                return Ok(());
            }
            let refusal = Refusal::of(Class::Occupied, "it is there already, and nothing is renamed over it");
            return Err(self.reject(to, refusal, rules));
        }
        self.tree.remove(to, &rules.paths);
        let renamed = self.tree.rename(from, to, &rules.paths, &mut self.scanner);
        match renamed {
            Err(PutError::InTheWay(_)) if is_null => Ok(()),
            renamed => renamed.map_err(|error| self.not_put(to, error, rules)),
        }
    }

    /// Puts the pieces' texts together in `text`.
    fn template(&mut self, pieces: &[Piece]) -> Result<(), (PathId, Refusal)> {
        self.text.clear();
        for piece in pieces {
            let (path, more) = match piece {
                Piece::Text(text) => (ROOT, &**text),
                Piece::Field(path) => {
                    let member = self.tree.something(*path).ok_or((*path, Refusal::MISSING))?;
                    (*path, Seen::of(member, &self.tree, &mut self.buffer).text)
                }
            };
            // Before anything is taken for it.
            if self.text.len().saturating_add(more.len()) > TEMPLATE_BYTES_MAX {
                return Err((path, Refusal::of(Class::TooLarge, "")));
            }
            self.text.extend_from_slice(more);
        }
        Ok(())
    }

    /// Adds a field to a key, so that no two keys are alike that are not of the same types and texts.
    fn add_to_key(&mut self, path: PathId) -> Result<(), Refusal> {
        let member = self.tree.something(path).ok_or(Refusal::MISSING)?;
        let seen = Seen::of(member, &self.tree, &mut self.buffer);
        self.keys.push(match seen.kind {
            Kind::Text { .. } => b's',
            Kind::Number { .. } => b'n',
            Kind::Bool => b'b',
            _ => b'j',
        });
        self.keys.extend_from_slice(&(seen.text.len() as u64).to_be_bytes());
        self.keys.extend_from_slice(seen.text);
        Ok(())
    }

    #[inline]
    fn put_made(&mut self, path: PathId, kind: Kind, rules: &Rules) -> Result<(), Stop> {
        let put = self.tree.put(path, &self.made, kind, &rules.paths, &mut self.scanner);
        put.map_err(|error| self.not_put(path, error, rules))
    }

    fn put_json(&mut self, path: PathId, json: &Json, rules: &Rules) -> Result<(), Stop> {
        let put = self.tree.put(path, &json.text, json.kind, &rules.paths, &mut self.scanner);
        put.map_err(|error| self.not_put(path, error, rules))
    }

    fn not_put(&self, path: PathId, error: PutError, rules: &Rules) -> Stop {
        match error {
            PutError::InTheWay(parent) => {
                self.reject(parent, Refusal::of(Class::Occupied, "no object, so nothing can be put into it"), rules)
            }
            PutError::Fault(fault) => {
                let field = if path == ROOT { "the record" } else { rules.paths.shown(path) };
                let text = format!("{field} has made the record too large");
                Stop::Rejected(Reason { class: fault.class, text })
            }
        }
    }

    #[cold]
    fn reject(&self, path: PathId, refusal: Refusal, rules: &Rules) -> Stop {
        Stop::Rejected(refusal.reason(path, &rules.paths, &self.tree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaner(rule: &str) -> Cleaner {
        Cleaner::new(Arc::new(Rules::parse(&format!("[[rule]]\n{rule}\n")).unwrap()))
    }

    #[test]
    fn a_template_that_multiplies_a_record_is_refused_before_the_memory_is_taken_and_what_was_taken_is_let_go() {
        let value = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20));
        let record = Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 };
        let template = "{a}".repeat(TEMPLATE_BYTES_MAX / (1 << 20) + 1);
        let mut cleaner = cleaner(&format!("derive = {{ field = \"b\", template = \"{template}\", default = 1 }}"));
        let verdict = cleaner.clean(&record, &mut Vec::new());
        let Verdict::Rejected { reason, .. } = verdict else { panic!("kept") };
        assert_eq!((reason.class, reason.text.as_str()), (Class::TooLarge, "b has made the record too large"));
        assert!(cleaner.work.text.capacity() <= BUFFER_BYTES_MAX);
    }

    #[test]
    fn what_rules_made_of_a_small_record_is_let_go_and_keys_once_they_were_asked_for() {
        let mut cleaner = cleaner(r#"deduplicate = { key = "a", window = "1m" }"#);
        let value = format!(r#"{{"a":"{}"}}"#, "x".repeat(2 * BUFFER_BYTES_MAX));
        let mut clean = |value: &str| {
            let record = Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 };
            assert_eq!(cleaner.clean(&record, &mut Vec::new()), Verdict::Kept);
            (cleaner.offered().keys.len(), cleaner.work.keys.capacity())
        };
        assert!(clean(&value).0 > 2 * BUFFER_BYTES_MAX);
        assert!(clean(r#"{"a":"x"}"#).1 <= BUFFER_BYTES_MAX);
    }
}
