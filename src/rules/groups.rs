//! Open groups of an input partition, until event time closes their windows.
//!
//! A record is offered to every `group_by`. It is a member of its group in its window; or it is late, where that window is closed.
//! Windows close as soon as the partition's event time has passed them, in their order, and their groups go out by key. So what
//! comes out is a function of the partition's log alone.
//!
//! Non-obvious: a window that is open now was open always, so no record of it was ever late. That is why open groups are had
//! again by reading on from their first member with nothing but where the event time is now: what belongs to an open window is a
//! member, all else has gone out or was late, and is passed over.

use super::aggregate::Aggregate;
use super::closed::Closed;
use super::event_time::{EventTime, window_of};
use super::group_by::{Collects, GroupBy, Grouped, Offer};
use super::{Counts, Rules};
use crate::base::text::excerpt;
use crate::base::time::show_epoch_ms;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a group costs beside its key and what it has collected, while the table around it grows.
const GROUP_BYTES: usize = 320;
/// What an open window costs.
const WINDOW_BYTES: usize = 160;

/// No more can be collected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupsFull {
    /// More than there is memory for.
    #[error(
        "{rule}: the groups of its open windows take more than {bytes_max} bytes: make the window or the lateness shorter, \
         ask for aggregates in place of members, or give more memory (--memory)"
    )]
    Memory {
        /// The rule's name.
        rule: String,
        /// What open groups may take.
        bytes_max: usize,
    },
    /// More members than the rule allows.
    #[error(
        "{rule}: the group {key} has more than {most} members in the window that begins at {window_start}: raise members_max, \
         make the window shorter, or ask for aggregates in place of members"
    )]
    Members {
        /// The rule's name.
        rule: String,
        /// The group's key, shortened.
        key: String,
        /// RFC 3339.
        window_start: String,
        /// What the rule allows.
        most: u64,
    },
}

/// What has to be noted of a `group_by` to have its open groups again from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStand {
    /// Tells it from others.
    pub mark: u32,
    /// The offset of the first member of an open group.
    pub first: Option<i64>,
    /// The largest time that was seen.
    pub latest_ms: Option<i64>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Groups {
    rules: Arc<Rules>,
    /// By `group_by`.
    open: Vec<Open>,
    bytes: usize,
    bytes_max: usize,
}

/// What is open of one `group_by`.
#[derive(Debug)]
struct Open {
    time: EventTime,
    windows: BTreeMap<i64, Window>,
    /// The groups of a window that is being closed, the last one first.
    closing: Vec<Closed>,
    /// Where its groups are had again: what is before is no member.
    first: i64,
    late: u64,
    /// By aggregate: values that were of no use to it, in groups that were closed.
    unfit: Vec<u64>,
}

#[derive(Debug)]
struct Window {
    /// The offset of its first member.
    first: i64,
    /// From where the log has to be read to come to the same members.
    needed: i64,
    groups: HashMap<Box<[u8]>, Group>,
}

/// What a group has collected.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) count: u64,
    pub(super) collected: Collected,
}

#[derive(Debug)]
pub(super) enum Collected {
    /// JSON objects with commas between them.
    Members(Vec<u8>),
    Aggregates(Box<[Aggregate]>),
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupedAt {
    /// Its offset. Offsets only rise.
    pub offset: i64,
    /// From where the log has to be read for it to be judged as it was.
    pub needed: i64,
}

impl Groups {
    /// Nothing is open yet, and never more than so many bytes; time stands where it was noted.
    pub fn new(rules: &Arc<Rules>, bytes_max: usize, stands: &[GroupStand]) -> Self {
        let mut stands = stands.to_vec();
        let open = |by: &GroupBy| {
            let noted = stands.iter().position(|stand| stand.mark == by.mark).map(|at| stands.remove(at));
            Open {
                time: EventTime::at(noted.and_then(|stand| stand.latest_ms), by.lateness_ms),
                windows: BTreeMap::new(),
                closing: Vec::new(),
                first: noted.and_then(|stand| stand.first).unwrap_or(i64::MAX),
                late: 0,
                unfit: Vec::new(),
            }
        };
        Self { open: rules.group_bys.iter().map(open).collect(), rules: Arc::clone(rules), bytes: 0, bytes_max }
    }

    /// Puts a record that goes on into its groups, `cleaned` as it is; gives in how many it is late. Afterwards closed groups
    /// have to be taken.
    pub fn offer(&mut self, grouped: Grouped<'_>, cleaned: &[u8], at: GroupedAt) -> Result<u64, GroupsFull> {
        let mut late = 0;
        for ((by, open), offer) in self.rules.group_bys.iter().zip(&mut self.open).zip(grouped.each()) {
            let start = window_of(offer.time_ms, by.window_ms);
            if open.time.is_past(start.saturating_add(by.window_ms)) {
                open.late += 1;
                late += 1;
            } else {
                let put = open.put(by, start, offer, cleaned, at);
                self.bytes += put.map_err(|most| members(&self.rules, by, start, offer, most))?;
            }
            open.time.see(offer.time_ms);
        }
        self.check()?;
        Ok(late)
    }

    /// Puts a record back into the groups that are still open, after a restart. Nothing is late, and no time moves.
    pub fn restore(&mut self, grouped: Grouped<'_>, cleaned: &[u8], at: GroupedAt) -> Result<(), GroupsFull> {
        for ((by, open), offer) in self.rules.group_bys.iter().zip(&mut self.open).zip(grouped.each()) {
            let start = window_of(offer.time_ms, by.window_ms);
            if at.offset >= open.first && !open.time.is_past(start.saturating_add(by.window_ms)) {
                let put = open.put(by, start, offer, cleaned, at);
                self.bytes += put.map_err(|most| members(&self.rules, by, start, offer, most))?;
            }
        }
        self.check()
    }

    /// The next group of a window that is closed. All are to be taken before anything is noted.
    #[inline]
    pub fn take_closed(&mut self) -> Option<Closed> {
        self.take(EventTime::is_past)
    }

    /// The next group of whatever window is open, which is closed so. What comes for it later is late.
    pub fn close(&mut self) -> Option<Closed> {
        self.take(|_, _| true)
    }

    fn take(&mut self, closes: impl Fn(&EventTime, i64) -> bool) -> Option<Closed> {
        for (index, (by, open)) in self.rules.group_bys.iter().zip(&mut self.open).enumerate() {
            if open.closing.is_empty() {
                let Some(first) = open.windows.first_entry() else { continue };
                let end_ms = first.key().saturating_add(by.window_ms);
                if !closes(&open.time, end_ms) {
                    continue;
                }
                // Where it is closed before its time, so that its time has come.
                open.time.see(end_ms.saturating_add(by.lateness_ms));
                let (start_ms, window) = first.remove_entry();
                self.bytes = self.bytes.saturating_sub(WINDOW_BYTES);
                let closed = |(key, group)| Closed { by: index, start_ms, end_ms, key, group };
                open.closing = window.groups.into_iter().map(closed).collect();
                open.closing.sort_unstable_by(|one, other| other.key.cmp(&one.key));
            }
            let Some(closed) = open.closing.pop() else { continue };
            self.bytes = self.bytes.saturating_sub(closed.group.bytes(&closed.key));
            if let Collected::Aggregates(aggregates) = &closed.group.collected {
                open.unfit.resize(aggregates.len(), 0);
                for (sum, aggregate) in open.unfit.iter_mut().zip(aggregates) {
                    *sum += aggregate.unfit();
                }
            }
            return Some(closed);
        }
        None
    }

    /// What is to be noted, so that this is had again by reading on from [`Groups::oldest_needed`].
    pub fn stands(&self) -> Vec<GroupStand> {
        let stand = |(by, open): (&GroupBy, &Open)| GroupStand {
            mark: by.mark,
            first: open.windows.values().map(|window| window.first).min(),
            latest_ms: open.time.latest_ms(),
        };
        self.rules.group_bys.iter().zip(&self.open).map(stand).collect()
    }

    /// From which offset on the log has to be read to have the open groups again; `None` where none is open.
    pub fn oldest_needed(&self) -> Option<i64> {
        self.open.iter().flat_map(|open| open.windows.values()).map(|window| window.needed).min()
    }

    /// How many `group_by` there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the window of a `group_by` that begins then is closed.
    pub fn is_closed(&self, by: usize, start_ms: i64) -> bool {
        let known = self.open.get(by).zip(self.rules.group_bys.get(by));
        known.is_some_and(|(open, by)| open.time.is_past(start_ms.saturating_add(by.window_ms)))
    }

    /// How many members open groups have.
    pub fn members(&self) -> u64 {
        let windows = self.open.iter().flat_map(|open| open.windows.values());
        windows.flat_map(|window| window.groups.values()).map(|group| group.count).sum()
    }

    /// How many bytes it takes, by a cautious estimate.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what was late, and unfit for aggregates, since this was last asked.
    pub fn count_into(&mut self, counts: &mut Counts) {
        for (by, open) in self.rules.group_bys.iter().zip(&mut self.open) {
            let name = self.rules.name(by.rule);
            if open.late > 0 {
                *counts.late_for_group.entry(name.to_owned()).or_default() += std::mem::take(&mut open.late);
            }
            if let Collects::Aggregates(specs) = &by.collects {
                for (spec, unfit) in specs.iter().zip(std::mem::take(&mut open.unfit)).filter(|(_, unfit)| *unfit > 0) {
                    *counts.unfit.entry(format!("{name}: {}", spec.name())).or_default() += unfit;
                }
            }
        }
    }

    fn check(&self) -> Result<(), GroupsFull> {
        if self.bytes <= self.bytes_max {
            return Ok(());
        }
        let of_one = |open: &Open| -> usize {
            let windows = open.windows.values().flat_map(|window| &window.groups);
            windows.map(|(key, group)| group.bytes(key)).sum()
        };
        let largest = self.open.iter().zip(&self.rules.group_bys).max_by_key(|(open, _)| of_one(open));
        let rule = largest.map_or("", |(_, by)| self.rules.name(by.rule)).to_owned();
        Err(GroupsFull::Memory { rule, bytes_max: self.bytes_max })
    }
}

#[cold]
fn members(rules: &Rules, by: &GroupBy, start_ms: i64, offer: Offer<'_>, most: u64) -> GroupsFull {
    let rule = rules.name(by.rule).to_owned();
    GroupsFull::Members { rule, key: excerpt(offer.key), window_start: show_epoch_ms(start_ms).to_string(), most }
}

impl Open {
    /// Gives how many bytes more it takes; or how many members are the most.
    fn put(&mut self, by: &GroupBy, start: i64, offer: Offer<'_>, cleaned: &[u8], at: GroupedAt) -> Result<usize, u64> {
        let mut more = 0;
        let window = self.windows.entry(start).or_insert_with(|| {
            more += WINDOW_BYTES;
            Window { first: at.offset, needed: at.needed.min(at.offset), groups: HashMap::new() }
        });
        match window.groups.get_mut(offer.key) {
            Some(group) => more += group.put(&by.collects, offer, cleaned)?,
            None => {
                let mut group = Group::new(&by.collects);
                more += group.bytes(offer.key) + group.put(&by.collects, offer, cleaned)?;
                window.groups.insert(offer.key.into(), group);
            }
        }
        Ok(more)
    }
}

impl Group {
    fn new(collects: &Collects) -> Self {
        let collected = match collects {
            Collects::Members { .. } => Collected::Members(Vec::new()),
            Collects::Aggregates(specs) => {
                Collected::Aggregates(specs.iter().map(|spec| Aggregate::new(spec.kind())).collect())
            }
        };
        Self { count: 0, collected }
    }

    /// Gives how many bytes more it takes; or how many members are the most.
    #[inline]
    fn put(&mut self, collects: &Collects, offer: Offer<'_>, cleaned: &[u8]) -> Result<usize, u64> {
        let before = self.collected.bytes();
        match (&mut self.collected, collects) {
            (Collected::Members(_), Collects::Members { most }) if self.count >= *most => return Err(*most),
            (Collected::Members(members), _) => {
                if !members.is_empty() {
                    members.push(b',');
                }
                members.extend_from_slice(cleaned);
            }
            (Collected::Aggregates(aggregates), _) => {
                for (aggregate, value) in aggregates.iter_mut().zip(offer.values()) {
                    aggregate.add(value);
                }
            }
        }
        self.count += 1;
        Ok(self.collected.bytes() - before)
    }

    fn bytes(&self, key: &[u8]) -> usize {
        GROUP_BYTES + key.len() + self.collected.bytes()
    }
}

impl Collected {
    fn bytes(&self) -> usize {
        match self {
            Self::Members(members) => members.capacity(),
            Self::Aggregates(aggregates) => aggregates.iter().map(Aggregate::bytes).sum(),
        }
    }
}
