//! How a job starts: anew, where it was, or not at all. A pure function of what the command line asks for, what the ledger
//! holds and what is there now.
//!
//! ```text
//!              --restart ──▶ output empty? ──▶ fresh
//!  no record ─────────────▶ output empty, or --append? ──▶ fresh
//!  record ──▶ same output, inputs, key, ends? ──▶ its tail there? ──▶ complete: nothing to do
//!                                                                └──▶ nothing behind it, inputs still there? ──▶ continue
//! ```
//!
//! The plan that is stored wins: its ends were pinned when the job began, and what was produced since then is no part of
//! it. Where anything else does not agree, the job stops and says what it found; it never starts again by itself.

use super::facts::OutputFacts;
use super::record::{JobPlan, JobProgress, JobState};
use super::tail::TailFound;
use crate::base::ends::Ends;
use crate::base::text::visible;
use crate::base::time::show_epoch_ms;
use crate::base::units::show_count;
use crate::jobs::error::JobError;
use crate::jobs::merge::Strategy;
use std::ops::Range;

/// So many differences are listed; the others are counted.
const LISTED_MAX: usize = 3;

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The plan it would make now.
    pub(crate) plan: &'a JobPlan,
    /// Whether the starts in it were asked for; otherwise they are only where the logs begin now.
    pub(crate) start_typed: bool,
    /// The same for the ends.
    pub(crate) end_typed: bool,
    /// Begin again, whatever the ledger says.
    pub(crate) restart: bool,
    /// The output may hold something already.
    pub(crate) append: bool,
    /// Records of the output may be lost to retention.
    pub(crate) retention_loss: bool,
}

/// How a job starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// By this plan, from its beginning.
    Fresh(JobPlan),
    /// Where it was.
    Continue {
        /// The plan it began with.
        plan: JobPlan,
        /// How far it is.
        progress: JobProgress,
    },
    /// There is nothing left to do.
    Complete {
        /// The plan it began with.
        plan: JobPlan,
        /// How it ended.
        progress: JobProgress,
        /// By how many records the inputs have grown since.
        grown: u64,
    },
}

impl Start {
    /// What there is to say about it; nothing where a job begins as any other.
    pub(crate) fn sentence(&self) -> Option<String> {
        match self {
            Self::Fresh(_) => None,
            Self::Continue { plan, progress } => {
                Some(format!("resumed at record {} of {}", show_count(progress.rank), show_count(plan.offsets())))
            }
            Self::Complete { plan, progress, grown } => Some(complete(plan, progress, *grown)),
        }
    }
}

fn complete(plan: &JobPlan, progress: &JobProgress, grown: u64) -> String {
    let place = match &progress.tail {
        Some(tail) => format!(" from offset {} to {}", plan.output.start, tail.end - 1),
        None => String::new(),
    };
    let mut said = format!(
        "already complete: job {} has written {} records to {}{place}, the last of them {}. Nothing was done",
        visible(&plan.job),
        show_count(progress.rank),
        plan.output.partition,
        show_epoch_ms(progress.updated_at_ms),
    );
    if grown > 0 {
        let ends: Ends = plan.inputs.iter().map(|input| (input.partition.clone(), input.range.end)).collect();
        said += &format!(
            ". The inputs have grown by {} record{} since; to add what came, as a job of its own: --append --job NAME --start \
             '{ends}'",
            show_count(grown),
            if grown == 1 { "" } else { "s" },
        );
    }
    said
}

/// Decides. `logs` is what each input of the asked plan holds now, from the first offset to the high watermark.
pub(crate) fn decide(
    asked: Asked<'_>,
    record: Option<(JobPlan, Option<JobProgress>)>,
    output: &OutputFacts,
    logs: &[Range<i64>],
) -> Result<Start, JobError> {
    if asked.restart {
        return match output.first_record {
            None => Ok(Start::Fresh(fresh(asked.plan, output))),
            Some(offset) => Err(restart_needs_an_empty_output(asked.plan, offset)),
        };
    }
    let Some((plan, progress)) = record else {
        return match output.first_record {
            Some(offset) if !asked.append => Err(not_ours(asked.plan, offset)),
            _ => Ok(Start::Fresh(fresh(asked.plan, output))),
        };
    };
    same_job(asked, &plan)?;
    let Some(progress) = progress else { return Err(no_progress(&plan)) };
    tail_holds(&plan, &progress, output)?;
    if progress.state == JobState::Complete {
        let grown = plan.inputs.iter().zip(logs).map(|(input, log)| log.end.saturating_sub(input.range.end).max(0));
        let grown = grown.fold(0, |sum: u64, records| sum.saturating_add(records as u64));
        return Ok(Start::Complete { plan, progress, grown });
    }
    alone(asked, &plan, &progress, output)?;
    inputs_still_hold(&plan, &progress, logs)?;
    Ok(Start::Continue { plan, progress })
}

/// The plan as it will be stored: the job's records begin where the output ends now.
fn fresh(plan: &JobPlan, output: &OutputFacts) -> JobPlan {
    let mut plan = plan.clone();
    plan.output.start = output.log.end;
    plan
}

fn restart_needs_an_empty_output(plan: &JobPlan, offset: i64) -> JobError {
    JobError::Refused(format!(
        "--restart: {} is not empty (its first record is at offset {offset}), and beginning again would write everything \
         twice. Delete and create the topic, or write to another one",
        plan.output.partition
    ))
}

fn not_ours(plan: &JobPlan, offset: i64) -> JobError {
    JobError::Refused(format!(
        "{} is not empty (its first record is at offset {offset}), and there is no record of a job {}: what is there is not \
         its. Write to an empty topic, or add behind what is there with --append; if the job had another name, give it with \
         --job",
        plan.output.partition,
        visible(&plan.job)
    ))
}

fn no_progress(plan: &JobPlan) -> JobError {
    JobError::Refused(format!(
        "the ledger holds the plan of job {} and not how far it came, though both are written at once: somebody has taken the \
         progress away. Begin again on an empty output with --restart, or give this job another name with --job",
        visible(&plan.job)
    ))
}

/// Refuses what is asked where it is not the job of that plan.
pub(crate) fn same_job(asked: Asked<'_>, stored: &JobPlan) -> Result<(), JobError> {
    same_output(asked.plan, stored)?;
    same_inputs(asked.plan, stored)?;
    same_rules(asked.plan, stored)?;
    same_bounds(asked, stored)
}

fn same_output(now: &JobPlan, stored: &JobPlan) -> Result<(), JobError> {
    let (now, then) = (&now.output, &stored.output);
    if now.partition != then.partition {
        return Err(JobError::Usage(format!(
            "job {} writes to {}, not to {}: give this merge another name with --job, or the output it began with",
            visible(&stored.job),
            then.partition,
            now.partition
        )));
    }
    if now.topic_id != then.topic_id {
        return Err(JobError::Unfit(format!(
            "{} was deleted and created anew since job {} began (its id was {}, now it is {}), so what the job wrote is gone. \
             Begin again with --restart while the topic is empty",
            visible(&now.partition.topic),
            visible(&stored.job),
            then.topic_id,
            now.topic_id
        )));
    }
    Ok(())
}

fn same_inputs(now: &JobPlan, stored: &JobPlan) -> Result<(), JobError> {
    let job = visible(&stored.job);
    let (topics_now, topics_then) = (now.topics(), stored.topics());
    let names = |topics: &[(&str, _)]| topics.iter().map(|(name, _)| visible(name)).collect::<Vec<_>>().join(",");
    if topics_now.iter().map(|(name, _)| name).ne(topics_then.iter().map(|(name, _)| name)) {
        return Err(JobError::Usage(format!(
            "job {job} merges --from {}, not --from {}: give this merge another name with --job, or the topics it began with",
            names(&topics_then),
            names(&topics_now)
        )));
    }
    for ((name, id_now), (_, id_then)) in topics_now.iter().zip(&topics_then) {
        if id_now != id_then {
            return Err(JobError::Unfit(format!(
                "{} was deleted and created anew since job {job} began (its id was {id_then}, now it is {id_now}), so what was \
                 left to read is gone. Begin again on an empty output with --restart",
                visible(name)
            )));
        }
        let partitions = |plan: &JobPlan| {
            plan.inputs
                .iter()
                .filter(|input| *input.partition.topic == **name)
                .map(|input| input.partition.partition)
                .collect::<Vec<_>>()
        };
        let (count_now, count_then) = (partitions(now), partitions(stored));
        if count_now != count_then {
            return Err(JobError::Unfit(format!(
                "{} has {} partitions, job {job} began with {}: records may have gone to partitions that it does not read. \
                 Begin again on an empty output with --restart",
                visible(name),
                count_now.len(),
                count_then.len()
            )));
        }
    }
    Ok(())
}

fn same_rules(now: &JobPlan, stored: &JobPlan) -> Result<(), JobError> {
    let mut differences = Vec::new();
    let mut differs = |what: &str, then: String, now: String| {
        if then != now {
            differences.push(format!("{what} was {then}, now it is {now}"));
        }
    };
    let key = |plan: &JobPlan| plan.keys.parts().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    differs("--key", key(stored), key(now));
    differs("--order", stored.keys.order().name().to_owned(), now.keys.order().name().to_owned());
    differs("--strategy", stored.strategy.name().to_owned(), now.strategy.name().to_owned());
    otherwise(stored, differences)
}

/// What was typed must be what was planned; what was not typed is not compared.
fn same_bounds(asked: Asked<'_>, stored: &JobPlan) -> Result<(), JobError> {
    let mut differences = Vec::new();
    for (flag, typed, of) in [
        ("--start", asked.start_typed, (|range| range.start) as fn(&Range<i64>) -> i64),
        ("--end", asked.end_typed, |range| range.end),
    ] {
        let pairs = asked.plan.inputs.iter().zip(&stored.inputs).filter(|_| typed);
        differences.extend(pairs.filter(|(now, then)| of(&now.range) != of(&then.range)).map(|(now, then)| {
            format!("{flag} of {} was {}, now it is {}", then.partition, of(&then.range), of(&now.range))
        }));
    }
    otherwise(stored, differences)
}

fn otherwise(stored: &JobPlan, mut differences: Vec<String>) -> Result<(), JobError> {
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(LISTED_MAX);
    differences.truncate(LISTED_MAX);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(JobError::Usage(format!(
        "job {} was planned otherwise: {}. Leave that as it was, or give this merge another name with --job (and an output of \
         its own)",
        visible(&stored.job),
        differences.join("; ")
    )))
}

fn tail_holds(plan: &JobPlan, progress: &JobProgress, output: &OutputFacts) -> Result<(), JobError> {
    let differs = match (&progress.tail, &output.tail) {
        (None, _) | (Some(_), Some(TailFound::There)) => return Ok(()),
        (Some(_), Some(TailFound::Differs(differs))) => differs,
        (Some(_), None) => "it was not looked for",
    };
    let (first, last) = progress.tail.map_or((0, 0), |tail| (tail.start, tail.end - 1));
    Err(JobError::Unfit(format!(
        "{}: what job {} wrote last, offsets {first} to {last}, is not there: {differs}. The output was truncated (records \
         deleted, retention, a broker that lost its log), so it is not what it should be. Begin again on an empty output with \
         --restart",
        plan.output.partition,
        visible(&plan.job)
    )))
}

/// Whoever continues must find the output as it was left.
fn alone(asked: Asked<'_>, plan: &JobPlan, progress: &JobProgress, output: &OutputFacts) -> Result<(), JobError> {
    let job = visible(&plan.job);
    if let Some(offset) = output.behind {
        let last = progress.tail.map_or(plan.output.start, |tail| tail.end);
        return Err(JobError::Unfit(format!(
            "{}: somebody else has written there: job {job} goes up to offset {last}, and there is a record at offset {offset}. \
             The order is broken: begin again on an empty output that nobody else writes to, with --restart",
            plan.output.partition
        )));
    }
    if progress.rank > 0 && output.log.start > plan.output.start && !asked.retention_loss {
        return Err(JobError::Unfit(format!(
            "{}: it begins at offset {}, job {job} began at offset {}: the first of its records are deleted already (retention \
             or a deletion). Begin again on an empty output with --restart, or go on without them with --allow-retention-loss",
            plan.output.partition, output.log.start, plan.output.start
        )));
    }
    Ok(())
}

fn inputs_still_hold(plan: &JobPlan, progress: &JobProgress, logs: &[Range<i64>]) -> Result<(), JobError> {
    for ((input, position), log) in plan.inputs.iter().zip(&progress.positions).zip(logs) {
        // What is counted is read again from its start.
        let position = if plan.strategy == Strategy::Count { &input.range.start } else { position };
        if *position >= input.range.end {
            continue;
        }
        let lost = |what: String| {
            Err(JobError::Unfit(format!(
                "{}: {what}, and job {} has them still to read. They cannot be merged any more: begin again on an empty \
                 output with --restart",
                input.partition,
                visible(&plan.job)
            )))
        };
        if *position < log.start {
            let last = log.start.min(input.range.end) - 1;
            return lost(format!("offsets {position} to {last} are gone (retention or deleted records)"));
        }
        if log.end < input.range.end {
            let (first, last) = (log.end, input.range.end - 1);
            return lost(format!("offsets {first} to {last} are gone (a broker has lost the end of its log)"));
        }
    }
    Ok(())
}
