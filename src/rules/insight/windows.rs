//! The windows of an insight in one partition: panes as long as the slide, and which windows over them are closed.
//!
//! ```text
//!  panes        |  a  |  b  |  c  |  d  |      a window of three slides is the sum of three panes
//!  windows      [    1st   )                   closed once event time has come to its end; pane a is not needed any more
//!                     [    2nd   )
//!  event time ──────────▶ the largest time seen, less the lateness
//! ```

use super::table::Table;
use super::{TIMES_MS, WindowsOf};
use crate::rules::event_time::{EventTime, window_of};
use std::collections::BTreeMap;

/// See the module's head.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    of: WindowsOf,
    time: EventTime,
    /// While windows close: no window that ends here or before is closed once more.
    closed_to: i64,
    /// By where they start; only such as something was counted in.
    panes: BTreeMap<i64, Table>,
    /// What the panes take.
    bytes: usize,
}

/// Where a record's time lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timely {
    InTime,
    /// One of its windows is closed, or all.
    Late,
}

impl Windows {
    pub(super) fn new(of: WindowsOf) -> Self {
        Self { of, time: EventTime::new(of.lateness_ms), closed_to: i64::MIN, panes: BTreeMap::new(), bytes: 0 }
    }

    /// The largest time seen.
    pub(super) fn latest_ms(&self) -> Option<i64> {
        self.time.latest_ms()
    }

    /// A time is seen; `true` where windows may close by it. They are to be taken before the next time is seen.
    #[inline]
    pub(super) fn see(&mut self, time_ms: i64) -> bool {
        let before_ms = self.time.latest_ms();
        if !self.time.see(time_ms) {
            return false;
        }
        let may_close =
            self.panes.first_key_value().is_some_and(|(first, _)| self.time.is_past(first + self.of.slide_ms));
        if may_close && let Some(before_ms) = before_ms {
            self.closed_to = window_of(before_ms.saturating_sub(self.of.lateness_ms), self.of.slide_ms);
        }
        may_close
    }

    /// The next window that is closed, by their ends: where it starts, and what `look` makes of what is in it.
    pub(super) fn next_closed<T>(&mut self, look: impl FnOnce(&Table) -> T) -> Option<(i64, T)> {
        let WindowsOf { size_ms, slide_ms, .. } = self.of;
        let (&first, _) = self.panes.first_key_value()?;
        let end = first.max(self.closed_to) + slide_ms;
        if !self.time.is_past(end) {
            return None;
        }
        let start = end - size_ms;
        let mut panes = self.panes.range(start..end).map(|(_, pane)| pane);
        let seen = match (panes.next(), panes.next()) {
            (Some(pane), None) => look(pane),
            (one, other) => {
                let mut sum = Table::default();
                one.into_iter().chain(other).chain(panes).for_each(|pane| sum.add_all(pane));
                look(&sum)
            }
        };
        self.closed_to = end;
        // No window that begins later has the pane that this one begins with.
        self.drop_pane(start);
        Some((start, seen))
    }

    fn drop_pane(&mut self, start: i64) {
        if let Some(pane) = self.panes.remove(&start) {
            self.bytes -= self.cost(&pane);
        }
    }

    /// Counts a value at a time that was seen.
    #[inline]
    pub(super) fn add(&mut self, time_ms: i64, value: &[u8], hash: u64, values_max: usize) -> Timely {
        let WindowsOf { size_ms, slide_ms, .. } = self.of;
        let start = window_of(time_ms, slide_ms);
        let timely = if self.time.is_past(start + slide_ms) { Timely::Late } else { Timely::InTime };
        if self.time.is_past(start + size_ms) {
            return timely;
        }
        let pane = self.panes.entry(start).or_default();
        let before = if pane.records == 0 { 0 } else { pane.bytes() };
        pane.add(value, hash, values_max);
        let grown = pane.bytes() - before;
        self.bytes += grown * self.share();
        timely
    }

    /// A window that is put together from panes takes as much again while that is done.
    fn share(&self) -> usize {
        if self.of.size_ms > self.of.slide_ms { 2 } else { 1 }
    }

    fn cost(&self, pane: &Table) -> usize {
        pane.bytes() * self.share()
    }

    /// What it takes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The panes, by where they start.
    pub(super) fn panes(&self) -> impl Iterator<Item = (i64, &Table)> {
        self.panes.iter().map(|(start, pane)| (*start, pane))
    }

    /// As it was before: the largest time seen, without panes so far.
    pub(super) fn restore(&mut self, latest_ms: Option<i64>) {
        *self = Self { time: EventTime::at(latest_ms, self.of.lateness_ms), ..Self::new(self.of) };
    }

    /// A pane as it was before; `false` if no window that is open has it.
    pub(super) fn restore_pane(&mut self, start: i64, pane: Table) -> bool {
        let WindowsOf { size_ms, slide_ms, .. } = self.of;
        // No time that was seen lies behind the largest one, and none where nobody can tell a time.
        let is_pane = start.rem_euclid(slide_ms) == 0 && self.latest_ms().is_some_and(|latest| start <= latest);
        let is_open = start >= TIMES_MS.start() - slide_ms && !self.time.is_past(start.saturating_add(size_ms));
        if !is_pane || !is_open || pane.records == 0 || self.panes.contains_key(&start) {
            return false;
        }
        self.bytes += self.cost(&pane);
        self.panes.insert(start, pane);
        true
    }
}
