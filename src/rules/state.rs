//! Deduplication: what an input partition remembers of its records.
//!
//! Of a key its largest time is remembered, and no other. A record is a duplicate where that time is less than the window from
//! its own. It does not matter whether the one with that time was a duplicate itself: a key that never falls silent for a window
//! is let through once.
//!
//! A key is forgotten once the partition's time, which is the largest that it has seen, is the window and the lateness beyond
//! the key's own largest. What cannot be compared with all that came before is let through, and counted as late: a record
//! that is as late as that, and one that is a window or more before its key's largest time, whose like may have come before
//! that one. A record that is later than the lateness, but not by a window, may be let through uncounted where its key is
//! forgotten. One time far in the future makes all others late, so a `range` before is of use.
//!
//! Non-obvious:
//! - By these rules, what is remembered follows from the records offered since [`State::oldest_needed`] alone: a key's largest
//!   time and the offset that it came at, and whoever gave the partition its largest time is remembered. So a state is had
//!   again by reading on from there, and needs no place of its own.
//! - What a rule rejected or filtered is never offered, wherever `deduplicate` stands among the rules: it takes nobody's place.

use super::step::Window;
use super::{RuleId, Rules};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a key costs beside its own bytes, measured while the tables around it grow
/// (`tests/allocations_of_rules.rs` holds it to that).
const KEY_BYTES: usize = 320;

/// What is asked about: the keys and times of a record that was kept.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// The keys of all windows, one behind the other.
    pub(super) keys: &'a [u8],
    /// Where each key ends, and its time in milliseconds.
    pub(super) ends: &'a [(usize, i64)],
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

/// What was counted beside the duplicates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Records that came too late to be compared with all that came before.
    pub late: u64,
}

/// What an input partition remembers.
#[derive(Debug)]
pub struct State {
    rules: Arc<Rules>,
    memories: Vec<Memory>,
    bytes_max: usize,
    counts: StateCounts,
}

/// What one rule remembers.
#[derive(Debug)]
struct Memory {
    window: Window,
    keys: HashMap<Arc<[u8]>, Last>,
    /// Keys by their time, and by their offset.
    by_time: BTreeSet<(i64, Arc<[u8]>)>,
    by_offset: BTreeSet<(i64, Arc<[u8]>)>,
    latest_ms: i64,
    bytes: usize,
}

/// A key's largest time, and the last offset that it came at.
#[derive(Debug, Clone, Copy)]
struct Last {
    time_ms: i64,
    offset: i64,
}

impl State {
    /// Remembers nothing yet, and never more than so many bytes.
    pub fn new(rules: &Arc<Rules>, bytes_max: usize) -> Self {
        let memories = rules.windows.iter().map(|window| Memory::new(*window)).collect();
        Self { rules: Arc::clone(rules), memories, bytes_max, counts: StateCounts::default() }
    }

    /// Asks about the record that the cleaner has kept, which is at this offset, and remembers it. Offsets only rise.
    pub fn offer(&mut self, offered: Offered<'_>, offset: i64) -> Result<Offer, StateFull> {
        let mut start = 0;
        let mut offer = Offer::New;
        let mut late = false;
        for (memory, &(end, time_ms)) in self.memories.iter_mut().zip(offered.ends) {
            let key = offered.keys.get(start..end).unwrap_or_default();
            start = end;
            // Every rule remembers the record, whatever another one says of it.
            let seen = memory.offer(key, time_ms, offset);
            late |= seen == Seen::Late;
            if seen == Seen::Before && offer == Offer::New {
                offer = Offer::Duplicate { rule: memory.window.rule };
            }
        }
        self.counts.late += u64::from(late);
        if self.bytes() > self.bytes_max {
            let largest = self.memories.iter().max_by_key(|memory| memory.bytes);
            let rule = largest.map_or("", |memory| self.rules.name(memory.window.rule)).to_owned();
            return Err(StateFull { rule, bytes_max: self.bytes_max });
        }
        Ok(offer)
    }

    /// From which offset on the log has to be read, and what is kept of it offered, to have this state again; `None` where
    /// nothing is remembered.
    pub fn oldest_needed(&self) -> Option<i64> {
        self.memories.iter().filter_map(|memory| memory.by_offset.first()).map(|(offset, _)| *offset).min()
    }

    /// How many bytes it takes, by a cautious estimate.
    pub fn bytes(&self) -> usize {
        self.memories.iter().map(|memory| memory.bytes).sum()
    }

    /// What was counted since this was last asked.
    pub fn take_counts(&mut self) -> StateCounts {
        std::mem::take(&mut self.counts)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    Before,
    Late,
}

impl Memory {
    fn new(window: Window) -> Self {
        Self {
            window,
            keys: HashMap::new(),
            by_time: BTreeSet::new(),
            by_offset: BTreeSet::new(),
            latest_ms: i64::MIN,
            bytes: 0,
        }
    }

    fn offer(&mut self, key: &[u8], time_ms: i64, offset: i64) -> Seen {
        if time_ms > self.latest_ms {
            self.latest_ms = time_ms;
            self.forget();
        }
        let last = self.keys.get_key_value(key).map(|(key, last)| (Arc::clone(key), *last));
        let near = |last: &Last| time_ms.abs_diff(last.time_ms) < self.window.window_ms.unsigned_abs();
        let seen = match &last {
            Some((_, last)) if near(last) => Seen::Before,
            // One that was near may have come before the largest, which has taken its place.
            Some((_, last)) if last.time_ms > time_ms => Seen::Late,
            _ if self.is_forgotten(time_ms) => Seen::Late,
            _ => Seen::Never,
        };
        match last {
            Some((_, last)) if last.time_ms > time_ms => {}
            Some((key, last)) => {
                self.take_out(&key, last);
                self.put(key, time_ms, offset);
            }
            None if seen == Seen::Late => {}
            None => self.put(key.into(), time_ms, offset),
        }
        seen
    }

    /// Whether a time is so long ago that its key is not remembered.
    fn is_forgotten(&self, time_ms: i64) -> bool {
        let kept_ms = self.window.window_ms.saturating_add(self.window.lateness_ms);
        time_ms.saturating_add(kept_ms) <= self.latest_ms
    }

    fn forget(&mut self) {
        while let Some((time_ms, key)) = self.by_time.first().cloned() {
            if !self.is_forgotten(time_ms) {
                return;
            }
            if let Some(last) = self.keys.get(&key).copied() {
                self.take_out(&key, last);
            }
            self.keys.remove(&key);
        }
    }

    fn take_out(&mut self, key: &Arc<[u8]>, last: Last) {
        self.by_time.remove(&(last.time_ms, Arc::clone(key)));
        self.by_offset.remove(&(last.offset, Arc::clone(key)));
        self.bytes -= KEY_BYTES + key.len();
    }

    fn put(&mut self, key: Arc<[u8]>, time_ms: i64, offset: i64) {
        self.bytes += KEY_BYTES + key.len();
        self.by_time.insert((time_ms, Arc::clone(&key)));
        self.by_offset.insert((offset, Arc::clone(&key)));
        self.keys.insert(key, Last { time_ms, offset });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn state(rules: &str) -> State {
        State::new(&Arc::new(Rules::parse(rules).unwrap()), 1 << 20)
    }

    fn one(state: &mut State, key: &str, time_ms: i64, offset: i64) -> Offer {
        state.offer(Offered { keys: key.as_bytes(), ends: &[(key.len(), time_ms)] }, offset).unwrap()
    }

    const TEN_MINUTES: &str = "[[rule]]\ndeduplicate = { key = \"id\", window = \"10m\", lateness = \"2m\" }\n";
    const DUPLICATE: Offer = Offer::Duplicate { rule: RuleId(0) };

    #[test]
    fn a_key_is_a_duplicate_within_the_window_of_the_last_one() {
        let mut state = state(TEN_MINUTES);
        assert_eq!(one(&mut state, "a", 0, 0), Offer::New);
        assert_eq!(one(&mut state, "b", MINUTE, 1), Offer::New);
        assert_eq!(one(&mut state, "a", 10 * MINUTE - 1, 2), DUPLICATE);
        assert_eq!(one(&mut state, "a", 15 * MINUTE, 3), DUPLICATE, "the duplicate counts too");
        assert_eq!(one(&mut state, "b", 11 * MINUTE, 4), Offer::New, "a whole window apart");
        assert_eq!(one(&mut state, "a", 25 * MINUTE, 5), Offer::New);
        assert_eq!(state.take_counts(), StateCounts { late: 0 });
    }

    #[test]
    fn what_comes_out_of_order_is_compared_and_what_is_too_late_is_let_through_and_counted() {
        let mut state = state(TEN_MINUTES);
        assert_eq!(one(&mut state, "a", 20 * MINUTE, 0), Offer::New);
        assert_eq!(one(&mut state, "a", 11 * MINUTE, 1), DUPLICATE, "before, and near");
        assert_eq!(one(&mut state, "b", 9 * MINUTE, 2), Offer::New);
        assert_eq!(one(&mut state, "b", 9 * MINUTE, 3), DUPLICATE);
        assert_eq!(state.take_counts(), StateCounts { late: 0 });
        assert_eq!(one(&mut state, "c", 8 * MINUTE, 4), Offer::New);
        assert_eq!(one(&mut state, "c", 8 * MINUTE, 5), Offer::New, "12 minutes late: nothing of it is remembered");
        assert_eq!(state.take_counts(), StateCounts { late: 2 });
    }

    #[test]
    fn a_record_a_window_before_the_largest_time_of_its_key_is_let_through_and_counted() {
        let mut state = state(TEN_MINUTES);
        assert_eq!(one(&mut state, "a", 0, 0), Offer::New);
        assert_eq!(one(&mut state, "a", 11 * MINUTE, 1), Offer::New);
        assert_eq!(state.take_counts(), StateCounts { late: 0 });
        assert_eq!(one(&mut state, "a", MINUTE, 2), Offer::New, "that it was there at 0 is not remembered");
        assert_eq!(state.take_counts(), StateCounts { late: 1 });
    }

    #[test]
    fn two_rules_remember_each_for_itself() {
        let mut state = state(
            "[[rule]]\ndeduplicate = { key = \"a\", window = \"10m\" }\n[[rule]]\ndeduplicate = { key = \"b\", window = \"1h\" }\n",
        );
        let mut offer = |a: &str, b: &str, time_ms: i64, offset: i64| {
            let keys = format!("{a}{b}");
            let ends = [(a.len(), time_ms), (a.len() + b.len(), time_ms)];
            state.offer(Offered { keys: keys.as_bytes(), ends: &ends }, offset).unwrap()
        };
        assert_eq!(offer("x", "y", 0, 0), Offer::New);
        assert_eq!(offer("x", "z", 0, 1), Offer::Duplicate { rule: RuleId(0) });
        assert_eq!(offer("w", "z", 0, 2), Offer::Duplicate { rule: RuleId(1) }, "z was there, in a duplicate");
        assert_eq!(offer("x", "q", 10 * MINUTE, 3), Offer::New);
        assert_eq!(offer("v", "y", 30 * MINUTE, 4), Offer::Duplicate { rule: RuleId(1) });
        assert_eq!(state.oldest_needed(), Some(2), "of y, z, q and v, z is the one whose last record is first");
    }

    #[test]
    fn what_is_remembered_is_bounded_by_the_window_and_by_the_memory() {
        let mut state = state(TEN_MINUTES);
        for minute in 0..10_000 {
            assert_eq!(one(&mut state, &format!("key {minute}"), minute * MINUTE, minute), Offer::New);
            assert!(state.oldest_needed().unwrap() >= minute - 12);
            assert!(state.bytes() <= 12 * (KEY_BYTES + 8));
        }
        let rules = Arc::new(Rules::parse(TEN_MINUTES).unwrap());
        let mut small = State::new(&rules, 1000);
        let full = (0..10).find_map(|key: i64| {
            let key_text = key.to_string();
            small.offer(Offered { keys: key_text.as_bytes(), ends: &[(1, 0)] }, key).err()
        });
        let error = full.unwrap().to_string();
        assert!(error.starts_with("deduplicate id: ") && error.contains("1000 bytes"), "{error}");
    }
}
