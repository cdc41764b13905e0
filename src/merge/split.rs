//! Four merges at once: a stretch is cut by value into four pieces, whose trees take turns within one loop.
//!
//! ```text
//!  lane 0 ───────┊────────┊──────────┊──────┤ bound         each piece holds all keys between two values, of every lane,
//!  lane 1 ──┊───────┊─────────┊─────────┊───┤ = the lane    so what comes of it is one part of the order, whose place is
//!  lane 2 ─────┊─────────┊────────┊─────────┤ that ends     known beforehand: the sum of the pieces before it
//!           piece 0  piece 1   piece 2  piece 3  first
//! ```
//!
//! One tree waits for itself: where the next head comes from is known only once the one before has reached the top. Four trees
//! that do not depend on each other fill that time. It pays where the sources take turns almost record by record; where they
//! have runs, a tree that takes a whole run at once ([`super::tournament`]) is faster, and it chooses by what it has seen last.
//!
//! It is chosen for 2 to 32 sources with runs shorter than 14 records. In stretches of 4096 keys a source, ten dense sources took 4.1 ns
//! a record instead of 8.6, keys at random from all 64 bits 4.4 instead of 18; beyond 32 sources it was no faster than the one tree.
//!
//! Non-obvious:
//! - The merge may go as far as the source whose last key at hand is the smallest: behind that its next one may belong.
//! - Where the cuts fall changes nothing about the order, only how evenly the pieces are filled; so they are taken from a sample,
//!   and may be a few records off. A tree counts what it gives, so that it may see keys behind its piece, but never takes one.
//! - The last piece may be ended anywhere: its tree knows how far each lane was taken.
//! - Keys are laid out anew, as distance from the smallest with the source in the low bits. A stretch whose keys lie too far
//!   apart for that, with tails, with few records, with too many sources, is declined: the one tree merges it.

use super::lane::Lane;

/// The most sources that have keys at once: with 64 of them it took as long as the one tree.
pub(super) const WAYS_MAX: usize = 32;

/// Fewer records are not worth cutting.
const RECORDS_MIN: usize = 512;

/// Pieces, and so trees in one loop.
const PIECES: usize = 4;

/// Keys that cuts are chosen from.
const SAMPLES_MAX: usize = 128;

/// Records that a sample stands for, at least.
const RECORDS_A_SAMPLE: usize = 16;

/// After every key.
const NOTHING: u64 = u64::MAX;

/// How far a stretch was merged.
pub(super) struct Merged {
    /// The source of which nothing is left, if it came to that.
    pub(super) ran_out: Option<usize>,
    /// How often the next record was another source's than the one before.
    pub(super) turns: usize,
    pub(super) records: usize,
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declined {
    /// Too few records are at hand; the next stretch may well have more.
    Short,
    /// Four trees are no good for such keys, or for so many sources.
    Unfit,
}

/// What is used again from stretch to stretch.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The keys of the stretch, lane by lane, each with [`NOTHING`] behind it.
    packed: Vec<u64>,
    samples: Vec<u64>,
}

/// The lanes that have keys, in the order of their sources.
struct Ways<'a> {
    count: usize,
    sources: [u16; WAYS_MAX],
    words: [&'a [u64]; WAYS_MAX],
}

type Ends = [usize; WAYS_MAX];

impl Split {
    /// Merges as far as the lanes allow, and `most` records at most, or does nothing. No lane may have tails.
    pub(super) fn run(&mut self, lanes: &mut [Lane], order: &mut Vec<u16>, most: usize) -> Result<Merged, Declined> {
        let ways = Ways::of(lanes).ok_or(Declined::Unfit)?;
        match ways.count {
            0 | 1 => Err(Declined::Unfit),
            2 => self.merge::<2>(&ways, order, most),
            3..=4 => self.merge::<4>(&ways, order, most),
            5..=8 => self.merge::<8>(&ways, order, most),
            9..=16 => self.merge::<16>(&ways, order, most),
            _ => self.merge::<32>(&ways, order, most),
        }
        .map(|(merged, taken)| {
            let (count, sources) = (ways.count, ways.sources);
            for (source, taken) in sources.iter().zip(taken).take(count) {
                lanes[usize::from(*source)].advance(taken);
            }
            merged
        })
    }

    fn merge<const WAYS: usize>(
        &mut self,
        ways: &Ways,
        order: &mut Vec<u16>,
        most: usize,
    ) -> Result<(Merged, Ends), Declined> {
        let room = most.saturating_sub(order.len());
        let (bound, last) = ways.bound().ok_or(Declined::Unfit)?;
        // Mostly right, and at once: the others have about as many as the one that ends first.
        if ways.words[last].len() * ways.count < RECORDS_MIN / 2 {
            return Err(Declined::Short);
        }
        let mut ends = ways.ends(|way, word| word < bound || (word == bound && way <= last));
        let mut held: usize = ends.iter().sum();
        if held.min(room) < RECORDS_MIN {
            return Err(Declined::Short);
        }
        let mut whole = held <= room;
        self.sample(ways, &ends, held);
        if held / 2 > room {
            // Far more than there is room for: what lies behind a value a little beyond is left alone.
            let beyond = self.sampled(room + room / 4, held);
            let nearer = ways.ends(|_, word| word <= beyond);
            for (end, nearer) in ends.iter_mut().zip(nearer) {
                *end = nearer.min(*end);
            }
            held = ends.iter().sum();
            whole = false;
            self.sample(ways, &ends, held);
        }
        let records = held.min(room);
        if records < RECORDS_MIN {
            return Err(Declined::Short);
        }
        self.pack::<WAYS>(ways, &ends).ok_or(Declined::Unfit)?;

        let (mut cuts, mut lens) = ([[0; WAYS]; PIECES], [0; PIECES]);
        for piece in 1..PIECES {
            let cut = self.sampled(records * piece / PIECES, held);
            for way in 0..ways.count.min(WAYS) {
                let (from, words) = (cuts[piece - 1][way], &ways.words[way][..ends[way]]);
                let keys = words[from..].partition_point(|word| *word <= cut);
                cuts[piece][way] = from + keys;
                lens[piece - 1] += keys;
            }
        }
        lens[PIECES - 1] = held - lens.iter().sum::<usize>();
        let mut left = records;
        for len in &mut lens {
            *len = left.min(*len);
            left -= *len;
        }
        // Equal keys are not cut. Where nearly all are, there is nothing to take turns for.
        if lens.iter().any(|len| *len > records / 2) {
            return Err(Declined::Unfit);
        }

        let starts: [usize; WAYS] = {
            let mut next = 0;
            std::array::from_fn(|way| {
                let start = next;
                next += if way < ways.count { ends[way] + 1 } else { 0 };
                start
            })
        };
        let mut trees = cuts
            .map(|cut| Tree::<WAYS>::new(&self.packed, std::array::from_fn(|way| starts[way] + cut[way]), ways.count));
        let before = order.len();
        order.resize(before + records, 0);
        let out = &mut order[before..];
        take_turns(&mut trees, &self.packed, &ways.sources, out, lens);

        let ended = lens.iter().rposition(|len| *len > 0).unwrap_or(0);
        let mut taken = [0; WAYS_MAX];
        for way in 0..ways.count.min(WAYS) {
            taken[way] = trees[ended].at[way] - starts[way];
        }
        let turns = turns(&order[before..]);
        let ran_out = (whole && records == held).then(|| usize::from(ways.sources[last]));
        Ok((Merged { ran_out, turns, records }, taken))
    }

    /// Draws keys that stand for about as many records each.
    fn sample(&mut self, ways: &Ways, ends: &Ends, held: usize) {
        let each = (held / SAMPLES_MAX).max(RECORDS_A_SAMPLE);
        self.samples.clear();
        for (words, end) in ways.words.iter().zip(ends).take(ways.count) {
            self.samples.extend(words[..*end].iter().skip(each / 2).step_by(each));
        }
        self.samples.sort_unstable();
    }

    /// A key with about so many of the `held` ones below it.
    fn sampled(&self, rank: usize, held: usize) -> u64 {
        let place = self.samples.len() * rank / held.max(1);
        self.samples[place.min(self.samples.len() - 1)]
    }

    /// Lays the keys out for trees of so many ways; `None` if they lie too far apart.
    fn pack<const WAYS: usize>(&mut self, ways: &Ways, ends: &Ends) -> Option<()> {
        let lanes = || ways.words.iter().zip(ends).take(ways.count).map(|(words, end)| &words[..*end]);
        let base = ways.words[..ways.count].iter().filter_map(|words| words.first()).min().copied()?;
        let largest = lanes().filter_map(<[u64]>::last).max().copied()?;
        if largest - base >= NOTHING >> WAYS.ilog2() {
            return None;
        }
        self.packed.clear();
        for (way, words) in lanes().enumerate() {
            self.packed.extend(words.iter().map(|word| ((word - base) << WAYS.ilog2()) | way as u64));
            self.packed.push(NOTHING);
        }
        Some(())
    }
}

impl<'a> Ways<'a> {
    fn of(lanes: &'a [Lane]) -> Option<Self> {
        let mut ways = Self { count: 0, sources: [0; WAYS_MAX], words: [&[]; WAYS_MAX] };
        for (source, lane) in lanes.iter().enumerate() {
            let words = lane.words_left();
            if !words.is_empty() {
                *ways.words.get_mut(ways.count)? = words;
                ways.sources[ways.count] = source as u16;
                ways.count += 1;
            }
        }
        Some(ways)
    }

    /// The last key up to which everything is at hand, and whose it is.
    fn bound(&self) -> Option<(u64, usize)> {
        self.words.iter().take(self.count).enumerate().filter_map(|(way, words)| Some((*words.last()?, way))).min()
    }

    /// Up to where each lane goes `before`, which holds for the first keys of a lane only.
    fn ends(&self, before: impl Fn(usize, u64) -> bool) -> Ends {
        let mut ends = [0; WAYS_MAX];
        for (way, (end, words)) in ends.iter_mut().zip(self.words).take(self.count).enumerate() {
            *end = words.partition_point(|word| before(way, *word));
        }
        ends
    }
}

/// How often the next record is another source's than the one before.
pub(super) fn turns(order: &[u16]) -> usize {
    order.iter().zip(order.iter().skip(1)).filter(|(a, b)| a != b).count()
}

/// A tree of losers over packed keys. Node 1 is the top, the ways' leaves would be behind the last node.
#[derive(Clone, Copy)]
struct Tree<const WAYS: usize> {
    losers: [u64; WAYS],
    /// Where the head of each way stands.
    at: [usize; WAYS],
    winner: u64,
}

impl<const WAYS: usize> Tree<WAYS> {
    fn new(packed: &[u64], at: [usize; WAYS], count: usize) -> Self {
        let mut winners: [u64; WAYS] = std::array::from_fn(|way| if way < count { packed[at[way]] } else { NOTHING });
        let mut losers = [NOTHING; WAYS];
        // Level by level; the winners of a level move to the front.
        let mut nodes = WAYS / 2;
        while nodes >= 1 {
            for node in 0..nodes {
                let (a, b) = (winners[2 * node], winners[2 * node + 1]);
                (winners[node], losers[nodes + node]) = (a.min(b), a.max(b));
            }
            nodes /= 2;
        }
        Self { losers, at, winner: winners[0] }
    }

    /// The way whose key is the next one. Its head walks to the top.
    #[inline(always)]
    fn next(&mut self, packed: &[u64]) -> usize {
        let way = self.winner as usize % WAYS;
        let at = &mut self.at[way];
        *at += 1;
        // Each way has a key behind its last one, so there always is one.
        let mut winner = packed.get(*at).copied().unwrap_or(NOTHING);
        let mut node = (WAYS + way) / 2;
        for _ in 0..WAYS.ilog2() {
            let loser = &mut self.losers[node % WAYS];
            (winner, *loser) = (winner.min(*loser), winner.max(*loser));
            node /= 2;
        }
        self.winner = winner;
        way
    }
}

/// Each tree gives as many records as its piece has, all of them by turns as long as all have any left.
#[inline(never)]
fn take_turns<const WAYS: usize>(
    trees: &mut [Tree<WAYS>; PIECES],
    packed: &[u64],
    sources: &[u16; WAYS_MAX],
    out: &mut [u16],
    lens: [usize; PIECES],
) {
    let (out_a, rest) = out.split_at_mut(lens[0]);
    let (out_b, rest) = rest.split_at_mut(lens[1]);
    let (out_c, out_d) = rest.split_at_mut(lens[2]);
    let [a, b, c, d] = trees;
    let together = lens.into_iter().min().unwrap_or(0);
    let (both_a, rest_a) = out_a.split_at_mut(together);
    let (both_b, rest_b) = out_b.split_at_mut(together);
    let (both_c, rest_c) = out_c.split_at_mut(together);
    let (both_d, rest_d) = out_d.split_at_mut(together);
    for (((to_a, to_b), to_c), to_d) in both_a.iter_mut().zip(both_b).zip(both_c).zip(both_d) {
        *to_a = sources[a.next(packed)];
        *to_b = sources[b.next(packed)];
        *to_c = sources[c.next(packed)];
        *to_d = sources[d.next(packed)];
    }
    for (tree, rest) in [(a, rest_a), (b, rest_b), (c, rest_c), (d, rest_d)] {
        for to in rest {
            *to = sources[tree.next(packed)];
        }
    }
}

#[cfg(test)]
mod tests;
