//! What is done to a merge, in which order: drawn from a seed, every phase as often as the others.

use crate::jobs::generate::random::SplitMix64;
use crate::observe::phase::Phase;
use std::collections::VecDeque;

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is killed.
    Kill(Moment),
    /// A second instance takes over from one that runs, and is killed later.
    TakeOver,
    /// A second instance takes over from one that stands still, and is killed later; then the first is woken.
    Wake,
    /// It is left alone until it is done.
    Finish,
    /// An instance stands still while a second one does all that is left; then it is woken.
    FinishAndWake,
}

/// When a merge is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At any time.
    Random,
    /// Just there.
    At(Phase),
}

impl Moment {
    /// In the order in which they are shown.
    pub(super) const ALL: [Self; 6] = [
        Self::Random,
        Self::At(Phase::Fetch),
        Self::At(Phase::Produce),
        Self::At(Phase::JobRecord),
        Self::At(Phase::EndTxn),
        Self::At(Phase::AfterCommit),
    ];

    /// As it is reported.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::At(phase) => phase.name(),
        }
    }

    /// As people read it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Random => "at a random moment",
            Self::At(Phase::Fetch) => "while fetching",
            Self::At(Phase::Produce) => "while producing",
            Self::At(Phase::JobRecord) => "before the job record",
            Self::At(Phase::EndTxn) => "between job record and EndTxn",
            Self::At(Phase::AfterCommit) => "just after EndTxn",
        }
    }
}

/// So many kills, of which `pairs` come with a second instance, and an end.
pub(super) fn steps(kills: u32, pairs: u32, random: &mut SplitMix64) -> VecDeque<Step> {
    let pairs = pairs.min(kills);
    let mut steps: Vec<Step> = Moment::ALL.into_iter().cycle().take((kills - pairs) as usize).map(Step::Kill).collect();
    for last in (1..steps.len()).rev() {
        steps.swap(last, below(random, last as u64 + 1) as usize);
    }
    for pair in 0..pairs {
        // Spread over the whole, behind the first kills.
        let at = (u64::from(kills) * (u64::from(pair) + 1) / (u64::from(pairs) + 1)) as usize;
        let step = if pair % 2 == 0 { Step::Wake } else { Step::TakeOver };
        steps.insert(at.min(steps.len()), step);
    }
    steps.push(if pairs > 0 { Step::FinishAndWake } else { Step::Finish });
    steps.into()
}

/// A number below `end`, which is above 0.
pub(super) fn below(random: &mut SplitMix64, end: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(end.max(1))) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_comes_as_often_as_the_others() {
        for (kills, pairs) in [(0, 0), (0, 2), (1, 2), (5, 1), (20, 2), (20, 0)] {
            let steps = steps(kills, pairs, &mut SplitMix64::new(7, 0));
            assert_eq!(steps.len() as u32, kills + 1);
            let count = |step| steps.iter().filter(|one| **one == step).count();
            let each: Vec<_> = Moment::ALL.map(|moment| count(Step::Kill(moment))).into();
            assert!(each.iter().max().unwrap() - each.iter().min().unwrap() <= 1, "{each:?}");
            assert_eq!((count(Step::Wake) + count(Step::TakeOver)) as u32, pairs.min(kills));
            let last = if pairs.min(kills) > 0 { Step::FinishAndWake } else { Step::Finish };
            assert_eq!(steps.back(), Some(&last));
        }
    }

    #[test]
    fn a_seed_gives_the_same_steps_again() {
        let of = |seed| steps(20, 2, &mut SplitMix64::new(seed, 0));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
