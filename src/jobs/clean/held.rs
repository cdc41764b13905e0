//! What is held of an input partition from record to record: what duplicates are told by, and groups that are open.
//!
//! It belongs to the partition and moves with it. Nothing of it is stored: the note beside the group's offset says from where on
//! the log has to be read to have it again, and how far event time was.
//!
//! Non-obvious: whether a record became a member depends on whether it was a duplicate. So with an open window goes the offset from
//! which on duplicates were told when it was opened, and reading begins there; members count from the first one on.

use super::tally::Note;
use crate::rules::{
    Cleaner, Closed, Counts, GroupStand, GroupedAt, Groups, GroupsFull, Offer, RuleId, Rules, State, StateFull,
};
use std::sync::Arc;

/// See the module's head.
pub(super) struct Held {
    seen: Option<State>,
    groups: Option<Groups>,
}

/// More would have to be held than there is room for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Full {
    #[error(transparent)]
    Keys(#[from] StateFull),
    #[error(transparent)]
    Groups(#[from] GroupsFull),
}

/// What becomes of a record that the rules have kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// It was there before, by this rule.
    Duplicate(RuleId),
    /// It goes on, and was offered to so many groups, of which so many were closed.
    On { offered: u64, late: u64 },
}

impl Held {
    /// Holds nothing yet, and never more than so many bytes.
    pub(super) fn new(rules: &Arc<Rules>, bytes_max: usize, note: &Note) -> Self {
        let (tells, groups) = (rules.is_stateful(), !rules.group_bys().is_empty());
        let each = bytes_max / (usize::from(tells) + usize::from(groups)).max(1);
        Self {
            seen: tells.then(|| State::new(rules, each)),
            groups: groups.then(|| Groups::new(rules, each, &note.groups)),
        }
    }

    /// Takes the record that the cleaner has kept last, which is `cleaned` by now. Afterwards closed groups have to be taken.
    #[inline]
    pub(super) fn offer(&mut self, cleaner: &Cleaner, cleaned: &[u8], offset: i64) -> Result<Went, Full> {
        let at = self.at(offset);
        if let Some(seen) = &mut self.seen
            && let Offer::Duplicate { rule } = seen.offer(cleaner.offered(), offset)?
        {
            return Ok(Went::Duplicate(rule));
        }
        let Some(groups) = &mut self.groups else { return Ok(Went::On { offered: 0, late: 0 }) };
        let late = groups.offer(cleaner.grouped(), cleaned, at)?;
        Ok(Went::On { offered: groups.len() as u64, late })
    }

    /// Takes it again, as it was taken then. It was counted then, too; `false` if it was a duplicate.
    pub(super) fn remember(&mut self, cleaner: &Cleaner, cleaned: &[u8], offset: i64) -> Result<bool, Full> {
        let at = self.at(offset);
        if let Some(seen) = &mut self.seen {
            let offered = seen.offer(cleaner.offered(), offset);
            seen.take_counts();
            if let Offer::Duplicate { .. } = offered? {
                return Ok(false);
            }
        }
        if let Some(groups) = &mut self.groups {
            groups.restore(cleaner.grouped(), cleaned, at)?;
        }
        Ok(true)
    }

    fn at(&self, offset: i64) -> GroupedAt {
        let seen = self.seen.as_ref().filter(|_| self.groups.is_some());
        GroupedAt { offset, needed: seen.and_then(State::oldest_needed).unwrap_or(offset) }
    }

    /// The next group that is closed, by its time.
    #[inline]
    pub(super) fn take_closed(&mut self) -> Option<Closed> {
        self.groups.as_mut().and_then(Groups::take_closed)
    }

    /// The next group of whatever window is open, which is closed so.
    pub(super) fn close(&mut self) -> Option<Closed> {
        self.groups.as_mut().and_then(Groups::close)
    }

    /// Whether a record of the window that begins then would be late, by `group_by`.
    pub(super) fn is_late(&self, by: usize, start_ms: i64) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.is_closed(by, start_ms))
    }

    /// From where on the log has to be read to have all this again; `None` where nothing is held.
    pub(super) fn oldest_needed(&self) -> Option<i64> {
        let seen = self.seen.as_ref().and_then(State::oldest_needed);
        let groups = self.groups.as_ref().and_then(Groups::oldest_needed);
        seen.into_iter().chain(groups).min()
    }

    /// What is to be noted of groups.
    pub(super) fn stands(&self) -> Vec<GroupStand> {
        self.groups.as_ref().map(Groups::stands).unwrap_or_default()
    }

    /// How many members open groups have.
    pub(super) fn members(&self) -> u64 {
        self.groups.as_ref().map_or(0, Groups::members)
    }

    /// Records since this was last asked that came too late to be told duplicates for certain.
    pub(super) fn take_late(&mut self) -> u64 {
        self.seen.as_mut().map_or(0, |seen| seen.take_counts().late)
    }

    /// Adds what groups have counted since this was last asked.
    pub(super) fn count_into(&mut self, counts: &mut Counts) {
        if let Some(groups) = &mut self.groups {
            groups.count_into(counts);
        }
    }
}
