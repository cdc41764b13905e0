//! A merge that ends, or stops, itself: exactly when it reaches a phase for the n-th time, which nobody outside could hit.
//!
//! The torturer writes it into the environment of the merge that it starts ([`VARIABLE`]): `HOW:PHASE:N:JOB`, for example
//! `kill:end_txn:2:kmerge-torture-1f0c`.
//!
//! Non-obvious: this must not happen by accident. So the job is named in it and must be the one that was typed, and jobs of
//! that kind have a [prefix](PREFIX) that nobody types. Everything else in the variable is passed over without a word.

use super::signals;
use crate::observe::phase::{Phase, Phases};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The environment variable that `merge` looks at, and nothing else does.
pub const VARIABLE: &str = "KMERGE_TORTURE";

/// How the names of everything begin that a torture makes: topics, jobs.
pub const PREFIX: &str = "kmerge-torture-";

/// How a merge halts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is gone, as by a power cut.
    Kill,
    /// It stands still until somebody wakes it.
    Stop,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
        }
    }
}

/// When and how a merge halts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// What becomes of it.
    pub how: How,
    /// Where.
    pub phase: Phase,
    /// At which time that it gets there; the first is 1.
    pub nth: u64,
    /// Only if this is the job.
    pub job: String,
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}:{}", self.how.name(), self.phase.name(), self.nth, self.job)
    }
}

impl Halt {
    /// What the variable says to who runs `job`; `None` where it is meant for somebody else, or for nobody.
    pub fn meant_for(job: &str, text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ':');
        let how = words.next()?;
        let how = [How::Kill, How::Stop].into_iter().find(|one| one.name() == how)?;
        let phase = Phase::of_name(words.next()?)?;
        let nth = words.next()?.parse().ok().filter(|nth| *nth > 0)?;
        let named = words.next()?;
        (named == job && job.starts_with(PREFIX)).then(|| Self { how, phase, nth, job: job.to_owned() })
    }

    /// What halts this process there.
    pub fn phases(self) -> Phases {
        let seen = AtomicU64::new(0);
        Phases::heard_by(move |phase| {
            if phase == self.phase && seen.fetch_add(1, Relaxed) + 1 == self.nth {
                signals::halt_myself(self.how);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "kmerge-torture-1f:2";

    #[test]
    fn what_is_written_is_read_again() {
        for phase in Phase::ALL {
            for how in [How::Kill, How::Stop] {
                let halt = Halt { how, phase, nth: 3, job: JOB.to_owned() };
                assert_eq!(Halt::meant_for(JOB, &halt.to_string()), Some(halt));
            }
        }
    }

    #[test]
    fn nothing_but_the_whole_of_it_for_just_this_job_halts_a_merge() {
        let said = format!("kill:fetch:1:{JOB}");
        assert!(Halt::meant_for(JOB, &said).is_some());
        assert_eq!(Halt::meant_for("kmerge-torture-1f", &said), None);
        assert_eq!(Halt::meant_for("nightly", "kill:fetch:1:nightly"), None, "no job of a torture");
        for wrong in ["", "1", "kill", "kill:fetch", "kill:fetch:1", "kill:fetch:0:", "kill:sleep:1:", "end:fetch:1:"] {
            assert_eq!(Halt::meant_for(JOB, &format!("{wrong}{JOB}")), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_the_nth_time_of_its_phase_counts() {
        // Had it counted otherwise, this process would be gone.
        let phases = Halt { how: How::Kill, phase: Phase::Fetch, nth: 3, job: JOB.to_owned() }.phases();
        for phase in [Phase::Fetch, Phase::Produce, Phase::Fetch, Phase::EndTxn, Phase::AfterCommit] {
            phases.reached(phase);
        }
    }
}
