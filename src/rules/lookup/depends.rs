//! What of a record depends on what was looked up, and so on when it is cleaned.
//!
//! What duplicates are told by, open groups and what insights have counted is made again by cleaning records again, at another
//! time. It comes out as it did only if nothing that it asks of them depends on what was looked up: not which of them are kept,
//! nor the fields that it uses. Where a field depends on it is followed from rule to rule; in doubt it does.

use super::super::change::Change;
use super::super::condition::Condition;
use super::super::group_by::{Collects, GroupBy};
use super::super::paths::{PathId, Paths, ROOT};
use super::super::step::{Action, Fallback, Piece, Step};
use super::super::{RuleId, Rules};
use super::Lookup;

/// Something that is held of records, and what of it depends on what was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Conflict {
    pub(in crate::rules) holder: Holder,
    /// Under which name of its section.
    pub(in crate::rules) name: &'static str,
    pub(in crate::rules) cause: Cause,
}

/// Which of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Holder {
    Deduplicate(RuleId),
    GroupBy(usize),
    Insight(usize),
}

/// What of it depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Cause {
    /// This field.
    Field(PathId),
    /// Which records are kept, by this rule.
    Fate(RuleId),
    /// Members hold whole records.
    Members,
}

/// What depends so far.
struct Drift<'a> {
    paths: &'a Paths,
    fields: Vec<PathId>,
    /// The first rule by which it depends whether a record is kept.
    fate: Option<RuleId>,
}

/// Everything that is held of records and would not come out as it did.
pub(in crate::rules) fn conflicts(rules: &Rules) -> Vec<Conflict> {
    let mut found = Vec::new();
    if rules.lookups.is_empty() {
        return found;
    }
    let mut drift = Drift { paths: &rules.paths, fields: Vec::new(), fate: None };
    for step in &rules.steps {
        drift.pass(step);
        if let Action::Deduplicate { key, time } = &step.action {
            let holder = Holder::Deduplicate(step.rule);
            let fields = key.iter().map(|path| ("key", *path)).chain(time.iter().map(|(path, _)| ("time", *path)));
            found.extend(drift.used_by(holder, fields));
        }
    }
    for (index, by) in rules.group_bys.iter().enumerate() {
        let holder = Holder::GroupBy(index);
        found.extend(drift.used_by(holder, fields_of(by)));
        if let Collects::Members { .. } = by.collects {
            found.push(Conflict { holder, name: "members", cause: Cause::Members });
        }
    }
    for (index, insight) in rules.insights.iter().enumerate() {
        let fields = insight.paths.iter().map(|path| ("field", *path));
        let fields = fields.chain(insight.time.iter().map(|(path, _)| ("time", *path)));
        found.extend(drift.used_by(Holder::Insight(index), fields));
    }
    // What a rule does not let through is not there for any of them, wherever they stand.
    if let Some(rule) = drift.fate {
        let windows = rules.windows.iter().map(|window| Holder::Deduplicate(window.rule));
        let holders = windows.chain((0..rules.group_bys.len()).map(Holder::GroupBy));
        let holders = holders.chain((0..rules.insights.len()).map(Holder::Insight));
        found.extend(holders.map(|holder| Conflict { holder, name: "", cause: Cause::Fate(rule) }));
    }
    found
}

fn fields_of(by: &GroupBy) -> impl Iterator<Item = (&'static str, PathId)> {
    let aggregates = match &by.collects {
        Collects::Members { .. } => &[],
        Collects::Aggregates(specs) => specs.as_slice(),
    };
    let key = by.key.iter().map(|path| ("key", *path));
    let time = by.time.iter().map(|(path, _)| ("time", *path));
    key.chain(time).chain(aggregates.iter().map(|spec| ("aggregates", spec.path)))
}

impl Drift<'_> {
    fn used_by(
        &self,
        holder: Holder,
        fields: impl Iterator<Item = (&'static str, PathId)>,
    ) -> impl Iterator<Item = Conflict> {
        let depends = fields.filter(|(_, path)| self.depends(*path));
        depends.map(move |(name, path)| Conflict { holder, name, cause: Cause::Field(path) })
    }

    /// Whether the field depends on what was looked up, or something in it, or what it is in.
    fn depends(&self, path: PathId) -> bool {
        let meets = |other: &PathId| self.paths.is_within(path, *other) || self.paths.is_within(*other, path);
        // Of the whole document nothing is asked but whether it is there, by who counts records.
        path != ROOT && self.fields.iter().any(meets)
    }

    fn is_nested(&self, path: PathId) -> bool {
        self.paths.parent(path) != ROOT
    }

    fn add(&mut self, path: PathId) {
        if !self.fields.contains(&path) {
            self.fields.push(path);
        }
    }

    fn decides(&mut self, rule: RuleId) {
        self.fate.get_or_insert(rule);
    }

    fn pass(&mut self, step: &Step) {
        match &step.action {
            Action::Lookup(lookup) => self.look_up(step.rule, lookup),
            // It may find something that is no object where one has to be.
            Action::Default { path, .. } => {
                if self.depends(*path) {
                    self.add(*path);
                    self.decides_if(self.is_nested(*path), step.rule);
                }
            }
            Action::Rename { from, to } => {
                if self.depends(*from) || self.depends(*to) {
                    self.add(*from);
                    self.add(*to);
                    self.decides(step.rule);
                }
            }
            // Now it is missing for certain. What it was in may be there because of it.
            Action::Drop { path } if !self.is_nested(*path) => {
                let paths = self.paths;
                self.fields.retain(|field| !paths.is_within(*field, *path));
            }
            Action::Drop { .. } | Action::Deduplicate { .. } => {}
            Action::Change { path, change, fallback } => {
                let never_fails = matches!(**change, Change::Trim | Change::Case(_));
                if self.depends(*path) {
                    self.add(*path);
                    self.decides_if(*fallback == Fallback::Reject && !never_fails, step.rule);
                }
            }
            Action::Required { path } => self.decides_if(self.depends(*path), step.rule),
            Action::DerivePart { path, from, fallback, .. } => {
                let (reads, writes) = (self.depends(*from), self.depends(*path));
                self.decides_if(reads && *fallback == Fallback::Reject, step.rule);
                self.derives(step.rule, *path, reads, writes);
            }
            Action::DeriveText { path, pieces, .. } => {
                let reads = pieces.iter().any(|piece| matches!(piece, Piece::Field(from) if self.depends(*from)));
                let writes = self.depends(*path);
                // Even where a failure is mended, what becomes too large is refused.
                self.decides_if(reads, step.rule);
                self.derives(step.rule, *path, reads, writes);
            }
            Action::Filter { condition, .. } => self.decides_if(self.is_asked(condition), step.rule),
        }
    }

    fn look_up(&mut self, rule: RuleId, lookup: &Lookup) {
        self.decides_if(lookup.fallback == Fallback::Reject, rule);
        for take in &lookup.takes {
            // What is found may have no place, or more in it than is followed; what is not found needs neither.
            self.decides_if(self.is_nested(take.to) || self.paths.is_entered(take.to), rule);
            self.add(take.to);
        }
    }

    fn derives(&mut self, rule: RuleId, path: PathId, reads: bool, writes: bool) {
        self.decides_if(self.is_nested(path) && (reads || writes), rule);
        if reads || writes {
            self.add(path);
        }
    }

    fn decides_if(&mut self, it_does: bool, rule: RuleId) {
        if it_does {
            self.decides(rule);
        }
    }

    fn is_asked(&self, condition: &Condition) -> bool {
        match condition {
            Condition::All(all) | Condition::Any(all) => all.iter().any(|one| self.is_asked(one)),
            Condition::Not(one) => self.is_asked(one),
            Condition::Field { path, .. } => self.depends(*path),
        }
    }
}
