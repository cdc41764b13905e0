//! The merge of lanes: a tree of losers over the heads of all sources, and whole runs where a source has them.
//!
//! ```text
//!             winner: the smallest (key, source)            after a source's head is taken, its next one walks from its
//!            ┌──── loser ────┐                              leaf to the top: at each node the smaller of the two goes on,
//!        ┌─ loser ─┐     ┌─ loser ─┐                        the other stays. Four steps for up to sixteen sources,
//!   source 0   source 1  2         3                        without a branch that could be mispredicted.
//! ```
//!
//! Non-obvious:
//! - Key and source are packed into one 64-bit number, so that one comparison decides and ties go to the lower source by
//!   themselves. For that keys count from a base, and those 2^48 and more above it are all called *far*. When a far one wins,
//!   everything nearer is out and the base moves up to the smallest head: at most 2^16 times in a merge.
//! - A source that wins several times in a row is asked how far its keys stay before the runner-up's; that stretch is taken
//!   at once. Keys in runs (few distinct values, ranges that hardly overlap) then cost next to nothing.
//! - Where sources take turns instead, four trees over pieces of the stretch ([`super::split`]) are faster; which way is chosen
//!   changes nothing about the order. The one tree is *stale* then, and built anew when it is needed.
//! - What comes out are source numbers only: where the records are is the business of whoever has them.
//! - Where two keys share their first eight bytes the tails of the lanes decide; only then are they looked at.

use super::lane::Lane;
use super::split::{Declined, Split};
use std::mem::swap;

/// The most sources that can be merged: one number is left for "nothing".
pub const SOURCES_MAX: usize = u16::MAX as usize;

/// After how many wins in a row it is worth looking for a run.
const WINS_BEFORE_RUN: usize = 4;

/// Runs of so many records on average are taken faster whole than record by record in four trees.
const RUN_WORTH_TAKING: usize = 14;

/// What the one tree takes for such a run: a step for each win before it looks, and one for the rest.
const STEPS_OF_A_RUN: usize = WINS_BEFORE_RUN + 1;

/// Fewer steps say nothing about how long runs are.
const STEPS_THAT_TELL: usize = 64;

/// After how many steps of the one tree it is asked which way is the better one.
const STEPS_BETWEEN_LOOKS: usize = 1024;

/// For how many runs four trees are not thought of, at most: keys that are unfit for them often will be so again, and looking
/// costs as much as hundreds of steps.
const RUNS_PASSED_MAX: u32 = 16;

const SOURCE_BITS: u32 = 16;
const SOURCE_MASK: u64 = u16::MAX as u64;
/// The distance from the base from which on keys are not told apart.
const FAR: u64 = u64::MAX >> SOURCE_BITS;
/// After every key of every source.
const NOTHING: u64 = u64::MAX;

/// Why the merge stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As many as were asked for.
    Full,
    /// Cannot go on before this source has a new stretch of keys, or is finished.
    Needs(usize),
    /// Everything was given.
    Done,
}

/// Merges the lanes of up to [`SOURCES_MAX`] sources.
#[derive(Debug)]
pub struct LaneMerge {
    lanes: Vec<Lane>,
    /// `losers[i]` lost at node i; node 1 is the top, the leaves are behind the last node.
    losers: Vec<u64>,
    winner: u64,
    /// What keys count from.
    base: u64,
    leaves: usize,
    /// The source whose next stretch is missing.
    wanted: Option<usize>,
    /// Before the start: sources below this one have keys or are finished.
    started: usize,
    finished: Vec<bool>,
    /// Whether any lane ever had a tail; until then nothing looks for one.
    tails: bool,
    /// Whether the sources took turns lately, rather than have runs.
    by_turns: bool,
    /// Whether lanes have moved on without the tree.
    stale: bool,
    split: Split,
    /// How often to run before four trees are thought of again, and how often that was the last time keys were unfit for them.
    passing: u32,
    passed: u32,
}

impl LaneMerge {
    /// A merge of `sources` sources, each of which is asked for a first stretch.
    ///
    /// # Panics
    /// With more than [`SOURCES_MAX`] sources.
    pub fn new(sources: usize) -> Self {
        assert!(sources <= SOURCES_MAX, "{sources} sources are more than {SOURCES_MAX}");
        let leaves = sources.next_power_of_two();
        Self {
            lanes: (0..sources).map(|_| Lane::default()).collect(),
            losers: vec![NOTHING; leaves],
            winner: NOTHING,
            base: 0,
            leaves,
            wanted: None,
            started: 0,
            finished: vec![false; sources],
            tails: false,
            by_turns: false,
            stale: true,
            split: Split::default(),
            passing: 0,
            passed: 0,
        }
    }

    /// The keys of `source` that are at hand.
    pub fn lane(&self, source: usize) -> &Lane {
        &self.lanes[source]
    }

    /// The lane of a wanted source, emptied, to be filled with its next stretch. [`Self::run`] goes on once there is a key in
    /// it, or the source is [finished](Self::finish).
    ///
    /// # Panics
    /// If the source is not wanted: its keys would be lost. That is a mistake in the job, whatever the data.
    pub fn refill(&mut self, source: usize) -> &mut Lane {
        let wanted = self.wanted == Some(source) || source >= self.started;
        assert!(wanted, "source {source} still has keys");
        let lane = &mut self.lanes[source];
        lane.begin();
        lane
    }

    /// Says that a wanted source has no more keys.
    pub fn finish(&mut self, source: usize) {
        self.refill(source);
        self.finished[source] = true;
    }

    /// Appends to `order` the sources of the next records, one number each, until there are `most` of them or a source has
    /// to be refilled.
    pub fn run(&mut self, order: &mut Vec<u16>, most: usize) -> Stop {
        if let Some(stop) = self.prepare() {
            return stop;
        }
        self.passing = self.passing.saturating_sub(1);
        let mut split = self.passing == 0 && !self.tails;
        while order.len() < most {
            if split && self.by_turns {
                match self.split.run(&mut self.lanes, order, most) {
                    Ok(merged) => {
                        self.stale = true;
                        self.passed = 0;
                        self.by_turns = merged.records < merged.turns * RUN_WORTH_TAKING;
                        if let Some(source) = merged.ran_out {
                            self.wanted = Some(source);
                            return Stop::Needs(source);
                        }
                    }
                    Err(Declined::Short) => split = false,
                    Err(Declined::Unfit) => {
                        split = false;
                        self.passed = (2 * self.passed).clamp(1, RUNS_PASSED_MAX);
                        self.passing = self.passed;
                    }
                }
            } else if let Some(stop) = self.run_one_tree(order, most) {
                return stop;
            }
        }
        Stop::Full
    }

    /// Goes on with the one tree for a while, and looks which way is the better one then.
    fn run_one_tree(&mut self, order: &mut Vec<u16>, most: usize) -> Option<Stop> {
        if self.stale && !self.rebase() {
            return Some(Stop::Done);
        }
        let before = order.len();
        let (steps, stop) = self.climb(order, most);
        if steps >= STEPS_THAT_TELL {
            self.by_turns = (order.len() - before) * STEPS_OF_A_RUN < steps * RUN_WORTH_TAKING;
        }
        stop
    }

    /// Lets one head after the other walk to the top; gives how many did.
    #[inline(always)]
    fn climb(&mut self, order: &mut Vec<u16>, most: usize) -> (usize, Option<Stop>) {
        let (mut last, mut wins) = (NOTHING, 0);
        for step in 0..STEPS_BETWEEN_LOOKS {
            if order.len() >= most {
                return (step, None);
            }
            if self.winner >= FAR << SOURCE_BITS && !self.rebase() {
                return (step, Some(Stop::Done));
            }
            let source = source_of(self.winner);
            let mut taken = 1;
            if self.winner & SOURCE_MASK == last {
                wins += 1;
                if wins >= WINS_BEFORE_RUN {
                    taken = self.run_of(source, most - order.len());
                    // A short run is no reason to look for the next one at once.
                    wins = if taken >= WINS_BEFORE_RUN { WINS_BEFORE_RUN } else { 0 };
                }
            } else {
                (last, wins) = (self.winner & SOURCE_MASK, 0);
            }
            if taken == 1 {
                order.push(source as u16);
            } else {
                order.resize(order.len() + taken, source as u16);
            }
            let lane = &mut self.lanes[source];
            lane.advance(taken);
            match lane.head() {
                Some(word) => self.replay(source, pack(word - self.base, source)),
                None => {
                    self.wanted = Some(source);
                    return (step + 1, Some(Stop::Needs(source)));
                }
            }
        }
        (STEPS_BETWEEN_LOOKS, None)
    }

    /// Only far heads are left: counts from the smallest of them on. `false` if there are none.
    #[cold]
    fn rebase(&mut self) -> bool {
        // A head that is not there is one of a finished source: a wanted one ends the run before it comes to this.
        let Some(base) = self.lanes.iter().filter_map(Lane::head).min() else { return false };
        self.base = base;
        self.stale = false;
        self.build();
        true
    }

    /// Puts the heads of refilled sources into the tree; says what is missing.
    fn prepare(&mut self) -> Option<Stop> {
        if let Some(source) = self.wanted {
            if self.lanes[source].left() == 0 && !self.finished[source] {
                return Some(Stop::Needs(source));
            }
            self.wanted = None;
            self.tails |= self.lanes[source].has_tails();
            if !self.stale {
                self.replay(source, self.head(source));
            }
        }
        if self.started < self.lanes.len() {
            while self.started < self.lanes.len() {
                if self.lanes[self.started].is_empty() && !self.finished[self.started] {
                    return Some(Stop::Needs(self.started));
                }
                self.tails |= self.lanes[self.started].has_tails();
                self.started += 1;
            }
            self.stale = true;
        }
        None
    }

    /// A source's head as it stands in the tree. No key lies below the base: it is the smallest head that there was.
    fn head(&self, source: usize) -> u64 {
        self.lanes[source].head().map_or(NOTHING, |word| pack(word - self.base, source))
    }

    /// The tree anew, from the leaves up.
    fn build(&mut self) {
        let mut winners = vec![NOTHING; 2 * self.leaves];
        for source in 0..self.lanes.len() {
            winners[self.leaves + source] = self.head(source);
        }
        for node in (1..self.leaves).rev() {
            let (mut winner, mut loser) = (winners[2 * node], winners[2 * node + 1]);
            if self.goes_before(loser, winner) {
                swap(&mut winner, &mut loser);
            }
            (winners[node], self.losers[node]) = (winner, loser);
        }
        self.winner = winners[1];
    }

    /// The new head of `source` walks from its leaf to the top.
    #[inline(always)]
    fn replay(&mut self, source: usize, head: u64) {
        if self.tails {
            return self.replay_with_tails(source, head);
        }
        let mut winner = head;
        let mut node = (self.leaves + source) / 2;
        while node >= 1 {
            let loser = &mut self.losers[node];
            // Both are written whatever the comparison says: two conditional moves instead of a branch.
            let (low, high) = if *loser < winner { (*loser, winner) } else { (winner, *loser) };
            (winner, *loser) = (low, high);
            node /= 2;
        }
        self.winner = winner;
    }

    fn replay_with_tails(&mut self, source: usize, head: u64) {
        let mut winner = head;
        let mut node = (self.leaves + source) / 2;
        while node >= 1 {
            if self.goes_before(self.losers[node], winner) {
                swap(&mut winner, &mut self.losers[node]);
            }
            node /= 2;
        }
        self.winner = winner;
    }

    /// Compares two heads, by their tails where the words are equal.
    #[inline]
    fn goes_before(&self, a: u64, b: u64) -> bool {
        if !self.tails || a >> SOURCE_BITS != b >> SOURCE_BITS || a >> SOURCE_BITS == FAR {
            return a < b;
        }
        let (left, right) = (source_of(a), source_of(b));
        (self.lanes[left].head_tail(), left) < (self.lanes[right].head_tail(), right)
    }

    /// How many keys of the winner go before the head of every other source: at least the one that won.
    #[cold]
    fn run_of(&self, source: usize, most: usize) -> usize {
        // The runner-up has lost against the winner and nobody else, so it stands on the winner's way.
        let mut second = NOTHING;
        let mut node = (self.leaves + source) / 2;
        while node >= 1 {
            if self.goes_before(self.losers[node], second) {
                second = self.losers[node];
            }
            node /= 2;
        }
        let lane = &self.lanes[source];
        if second == NOTHING {
            return lane.left().min(most);
        }
        let other = source_of(second);
        // Of far heads it is not known which is the first; none stands before the distance where they begin.
        let (distance, far) = (second >> SOURCE_BITS, second >> SOURCE_BITS == FAR);
        let tail = if self.tails && !far { self.lanes[other].head_tail() } else { &[] };
        lane.run((self.base.saturating_add(distance), tail), source < other && !far, most).max(1)
    }
}

#[inline(always)]
fn pack(distance: u64, source: usize) -> u64 {
    distance.min(FAR) << SOURCE_BITS | source as u64
}

#[inline(always)]
fn source_of(head: u64) -> usize {
    (head & SOURCE_MASK) as usize
}

#[cfg(test)]
mod tests;
