//! The torture itself: one step of the script after the other, on one merge, until it is complete; then on the next one.
//!
//! A merge may be complete before all steps are done. Then it is verified, and the rest of the script is done to another
//! one, into an output of its own. A step that finds nothing to do is tried again there, sooner.

use super::halt::{Halt, How};
use super::life::{BATCH_BYTES, End, Life, Merge};
use super::report::Tally;
use super::script::{Moment, Step, below, steps};
use super::topics::{Topics, ends};
use super::{Stop, TortureSettings, key};
use crate::base::units::show_count;
use crate::client::Cluster;
use crate::jobs::JobContext;
use crate::jobs::generate::random::SplitMix64;
use crate::jobs::ledger::Ledger;
use crate::jobs::verify::{self, JobTyped, VerifyReport, VerifySettings};
use crate::observe::phase::Phase;
use std::time::Duration;

/// So often a step is tried that finds the merge complete already.
const TRIES: u32 = 4;
/// What a generated integer takes in a batch, about.
const RECORD_BYTES: u64 = 17;
/// What is fetched at once, about, by the memory that a life has.
const WINDOW_BYTES: u64 = 70_000;
/// A commit is reached after one of so many.
const COMMITS: u64 = 3;
/// How old a life gets, before it is known here.
const AGE_FIRST: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_secs(10);
/// Nobody lives longer than this, and as much as so slow a merge would take.
const DEADLINE: Duration = Duration::from_secs(90);
const RECORDS_PER_SECOND_MIN: u64 = 10_000;
const VERIFY_BYTES: usize = 64 << 20;

/// See the module's head.
pub(super) struct Rounds<'a> {
    settings: &'a TortureSettings,
    cx: &'a JobContext,
    cluster: &'a Cluster,
    topics: &'a Topics,
    random: SplitMix64,
    tally: Tally,
    /// The merge that is tortured; `None` before its first life.
    merge: Option<Merge>,
    /// How far it was at the start of its last life.
    rank: u64,
    /// How old lives get that are killed at a phase, lately.
    age: Duration,
}

/// What came of a step.
#[derive(Default)]
struct Outcome {
    /// It was done as it is meant.
    done: bool,
    /// Nothing is left of this merge.
    complete: bool,
}

impl<'a> Rounds<'a> {
    /// Nothing is done yet.
    pub(super) fn new(
        settings: &'a TortureSettings,
        cx: &'a JobContext,
        cluster: &'a Cluster,
        topics: &'a Topics,
        random: SplitMix64,
    ) -> Self {
        let (tally, merge, rank, age) = (Tally::default(), None, 0, AGE_FIRST);
        Self { settings, cx, cluster, topics, random, tally, merge, rank, age }
    }

    /// What was counted.
    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Does the whole script. What is tallied until then counts also where it is stopped.
    pub(super) async fn run(&mut self) -> Result<(), Stop> {
        let mut script = steps(self.settings.kills, self.settings.pairs, &mut self.random);
        let mut tries = 0;
        while let Some(step) = script.front().copied() {
            if self.merge.is_none() {
                self.begin().await?;
            }
            let Outcome { done, complete } = self.step(step, tries).await?;
            tries += 1;
            if done || tries == TRIES {
                script.pop_front();
                tries = 0;
            }
            if complete && let Some(merge) = self.merge.take() {
                let report = self.verify(&merge).await?;
                let bad = !report.ok();
                self.tally.verified.push(report);
                if bad {
                    return Ok(());
                }
                if !script.is_empty() {
                    self.topics.delete(self.cluster, &merge.output).await;
                }
            }
        }
        Ok(())
    }

    /// Makes another output, and a job for it.
    async fn begin(&mut self) -> Result<(), Stop> {
        self.tally.rounds += 1;
        let round = self.tally.rounds;
        let (input, output, jobs_topic) = (self.topics.input(), self.topics.output(round), self.topics.jobs());
        self.topics.make(self.cluster, &output, 1).await?;
        let job = match round {
            1 => self.topics.name().to_owned(),
            round => format!("{}-{round}", self.topics.name()),
        };
        if round == 1 {
            self.topics.claim(self.cluster, &jobs_topic).await?;
            let replicas = self.settings.replication_factor.unwrap_or(-1);
            Ledger::open(self.cluster, &jobs_topic, &job, replicas, self.cx.timeout).await?;
        }
        self.rank = 0;
        self.merge = Some(Merge { input, output, job, jobs_topic });
        Ok(())
    }

    async fn step(&mut self, step: Step, tries: u32) -> Result<Outcome, Stop> {
        match step {
            Step::Kill(moment) => self.kill(moment, tries).await,
            Step::TakeOver => self.take_over().await,
            Step::Wake => self.wake(true, tries).await,
            Step::FinishAndWake => self.wake(false, tries).await,
            Step::Finish => {
                let mut life = self.start(None)?;
                let end = life.ended(self.deadline()).await?;
                self.went_on(&[&life])?;
                match end {
                    End::Complete => Ok(Outcome { done: true, complete: true }),
                    end => Err(unexpected(end, "nobody has touched")),
                }
            }
        }
    }

    async fn kill(&mut self, moment: Moment, tries: u32) -> Result<Outcome, Stop> {
        let (mut life, end) = match moment {
            Moment::Random => {
                let when = Duration::from_millis(below(&mut self.random, self.age.as_millis() as u64 >> tries));
                let mut life = self.start(None)?;
                let end = life.killed_after(when, self.deadline()).await?;
                (life, end)
            }
            Moment::At(phase) => {
                let halt = self.halt(How::Kill, phase, tries);
                let mut life = self.start(Some(halt))?;
                let end = life.ended(self.deadline()).await?;
                (life, end)
            }
        };
        self.went_on(&[&life])?;
        match end {
            End::Killed => {
                self.killed(moment, &mut life);
                Ok(Outcome { done: true, complete: false })
            }
            End::Complete => Ok(Outcome { done: false, complete: true }),
            End::TakenOver => Err(unexpected(end, "was alone")),
        }
    }

    /// Two run at once: one of them must give way, once.
    async fn take_over(&mut self) -> Result<Outcome, Stop> {
        let mut first = self.start(None)?;
        first.has_begun(self.age).await;
        let halt = self.halt(How::Kill, Phase::AfterCommit, 0);
        let mut second = self.start(Some(halt))?;
        let (first_end, second_end) = (first.ended(self.deadline()).await?, second.ended(self.deadline()).await?);
        self.went_on(&[&first, &second])?;
        let gave_way = [first_end, second_end].iter().filter(|end| **end == End::TakenOver).count();
        self.tally.taken_over += gave_way as u32;
        if second_end == End::Killed {
            self.killed(Moment::At(Phase::AfterCommit), &mut second);
        }
        let complete = first_end == End::Complete || second_end == End::Complete;
        match (first_end, gave_way) {
            (End::Killed, _) => Err(unexpected(first_end, "nobody has touched")),
            (_, 2) => Err(Stop::Fault("two merges of one job have both given way to the other".to_owned())),
            _ => Ok(Outcome { done: gave_way == 1 && second_end == End::Killed, complete }),
        }
    }

    /// One stands still while a second one takes over; then it is woken, and must find out and leave everything as it is.
    async fn wake(&mut self, kill: bool, tries: u32) -> Result<Outcome, Stop> {
        let phase = Phase::ALL[below(&mut self.random, Phase::ALL.len() as u64) as usize];
        let halt = self.halt(How::Stop, phase, tries);
        let mut first = self.start(Some(halt))?;
        if !first.has_stopped(self.deadline()).await? {
            let end = first.ended(self.deadline()).await?;
            self.went_on(&[&first])?;
            return match end {
                // Left alone, it has finished: that is all there was to do.
                End::Complete => Ok(Outcome { done: false, complete: true }),
                end => Err(unexpected(end, "was alone")),
            };
        }
        let halt = kill.then(|| self.halt(How::Kill, Phase::AfterCommit, tries));
        let mut second = self.start(halt)?;
        let second_end = second.ended(self.deadline()).await?;
        self.went_on(&[&first, &second])?;
        match second_end {
            End::Killed if kill => self.killed(Moment::At(Phase::AfterCommit), &mut second),
            End::Complete => {}
            end => return Err(unexpected(end, "has taken over from one that stood still")),
        }
        let before = self.ends().await?;
        first.wake();
        let first_end = first.ended(self.deadline()).await?;
        let after = self.ends().await?;
        if before != after {
            return Err(Stop::Fault(format!(
                "a merge that was woken when another had taken over has written: output and job records ended at offsets \
                 {before:?}, now at {after:?}"
            )));
        }
        match first_end {
            End::TakenOver => {}
            // It had committed everything before it was stopped, and has only that to say.
            End::Complete if second.found_it_complete() => return Ok(Outcome { done: false, complete: true }),
            end => return Err(unexpected(end, "was woken when another had taken over")),
        }
        self.tally.taken_over += 1;
        self.tally.woken += 1;
        tracing::info!("stopped {}, woken when another had taken over: it ended with status 5", at(phase));
        Ok(Outcome { done: !kill || second_end == End::Killed, complete: second_end == End::Complete })
    }

    fn start(&mut self, halt: Option<Halt>) -> Result<Life, Stop> {
        let merge = self.merge.as_ref().ok_or_else(|| Stop::Fault("there is no merge".to_owned()))?;
        let life = merge.start(self.settings, self.cx, halt.as_ref())?;
        self.tally.lives += 1;
        Ok(life)
    }

    fn halt(&mut self, how: How, phase: Phase, tries: u32) -> Halt {
        let job = self.merge.as_ref().map(|merge| merge.job.clone()).unwrap_or_default();
        let nth = 1 + below(&mut self.random, most(phase, self.settings.records, self.settings.kills) >> (2 * tries));
        Halt { how, phase, nth, job }
    }

    fn killed(&mut self, moment: Moment, life: &mut Life) {
        let kills = self.tally.killed(moment);
        let how_far = match life.resumed_at() {
            Some(rank) => format!("it had resumed at record {}", show_count(rank)),
            None => "it had not resumed behind a commit".to_owned(),
        };
        tracing::info!("kill {kills} of {}: {}; {how_far}", self.settings.kills, moment.words());
        if moment != Moment::Random {
            // The usual age, and soon the one of now: the first lives of a cluster are slow.
            self.age = ((self.age + life.age()) / 2).min(AGE_MAX);
        }
    }

    /// Takes note of where these have gone on: never before where one of them could have been that came earlier.
    fn went_on(&mut self, lives: &[&Life]) -> Result<(), Stop> {
        let ranks: Vec<u64> = lives.iter().filter_map(|life| life.resumed_at()).collect();
        if let Some(back) = ranks.iter().find(|rank| **rank < self.rank) {
            return Err(Stop::Fault(format!(
                "a merge went on at record {}, one before it at {} already",
                show_count(*back),
                show_count(self.rank)
            )));
        }
        self.rank = ranks.iter().copied().max().unwrap_or(self.rank);
        self.tally.resumed_at.extend(ranks);
        Ok(())
    }

    async fn ends(&self) -> Result<Vec<i64>, Stop> {
        let output = self.merge.as_ref().map(|merge| merge.output.clone()).unwrap_or_default();
        Ok(ends(self.cluster, [&output, &self.topics.jobs()], self.cx.timeout).await?)
    }

    async fn verify(&self, merge: &Merge) -> Result<VerifyReport, Stop> {
        let typed = JobTyped { name: merge.job.clone(), keys: None, order: None };
        let settings = VerifySettings {
            from: vec![merge.input.clone()],
            to: merge.output.clone(),
            keys: key()?,
            ignore_timestamp: false,
            start: None,
            end: None,
            output_start: None,
            output_end: None,
            memory_bytes: VERIFY_BYTES,
        };
        let recorded = verify::of_job(settings, &typed, &merge.jobs_topic, self.cx).await?;
        // Nobody else writes here, so there must be nothing else: not before it, not behind it.
        let settings = VerifySettings { output_start: None, output_end: None, ..recorded };
        let report = verify::run(&settings, self.cx).await?;
        if report.ok() {
            tracing::info!("verified {}: {} records, each once", merge.output, show_count(report.output_records()));
        }
        match report.input_records() == self.settings.records {
            true => Ok(report),
            false => Err(Stop::Fault(format!(
                "{} records were generated, the job's record speaks of {}",
                show_count(self.settings.records),
                show_count(report.input_records())
            ))),
        }
    }

    /// How old a life may get at most.
    fn deadline(&self) -> Duration {
        DEADLINE + self.cx.timeout + Duration::from_secs(self.settings.records / RECORDS_PER_SECOND_MIN)
    }
}

/// How often a phase is reached at most before the halt, so that there is as much left for those that come after.
fn most(phase: Phase, records: u64, kills: u32) -> u64 {
    let share = records.saturating_mul(RECORD_BYTES) * 2 / (u64::from(kills) + 4);
    match phase {
        Phase::Fetch => share / WINDOW_BYTES,
        Phase::Produce => share / BATCH_BYTES,
        Phase::JobRecord | Phase::EndTxn | Phase::AfterCommit => COMMITS,
    }
}

fn at(phase: Phase) -> &'static str {
    Moment::At(phase).words()
}

fn unexpected(end: End, who: &str) -> Stop {
    Stop::Fault(match end {
        End::Complete => format!("a merge that {who} says that it is complete"),
        End::Killed => format!("a merge that {who} was killed, and not by us: is there memory enough?"),
        End::TakenOver => format!("a merge that {who} says that another instance has taken over"),
    })
}
