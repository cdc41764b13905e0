//! A merge that is delivered exactly once as a job: the plan that the ledger keeps of it, and where it begins.
//!
//! Whoever writes looks at the settings and the topics first ([`preflight::look`]), then fences
//! every other instance, and only then asks where to begin ([`begin`]): what is found by then stays as it is.

use super::floor::{Floor, floor};
use super::plan::Source;
use super::preflight::{self, Looked, Prepared};
use super::{MergeSettings, Strategy};
use crate::base::ends::Bound;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::ledger::facts::output_facts;
use crate::jobs::ledger::name::default_name;
use crate::jobs::ledger::record::{PlannedInput, PlannedOutput};
use crate::jobs::ledger::start::{Asked, Start, decide, same_job};
use crate::jobs::ledger::{JobPlan, JobProgress, Ledger};
use std::ops::Range;

/// Where a job begins.
pub(super) struct Begun {
    pub(super) start: Start,
    /// What is left to do, by a plan that reads on from where the job is; `None` where it is complete.
    pub(super) prepared: Option<Prepared>,
}

/// The job's name, which is its transactional id as well.
pub(super) fn name(settings: &MergeSettings) -> String {
    settings.progressing.job.clone().unwrap_or_else(|| default_name(&settings.from, &settings.to))
}

/// The plan as this command line makes it now.
pub(super) fn planned(looked: &Looked, settings: &MergeSettings) -> JobPlan {
    let inputs = looked.sources.iter().zip(&looked.topic_ids).map(|(source, topic_id)| PlannedInput {
        partition: source.partition.clone(),
        topic_id: *topic_id,
        range: source.range.clone(),
    });
    JobPlan {
        job: name(settings),
        inputs: inputs.collect(),
        keys: settings.keys.clone(),
        strategy: settings.strategy,
        output: PlannedOutput {
            partition: looked.output.clone(),
            topic_id: looked.output_topic.topic_id,
            // Known once the output was looked at.
            start: 0,
        },
        planned_at_ms: looked.planned_at_ms,
    }
}

/// Refuses what needs no look at the output, before another instance of the job is shut out for it.
pub(super) async fn refuse_early(looked: &Looked, settings: &MergeSettings, ledger: &Ledger) -> Result<(), JobError> {
    preflight::check_memory(settings, &looked.sources)?;
    if settings.progressing.restart {
        return Ok(());
    }
    // What is wrong with the record itself is told by who reads it in earnest.
    let Ok(Some((stored, _))) = ledger.glance().await else { return Ok(()) };
    let plan = planned(looked, settings);
    same_job(asked(&plan, settings, false), &stored)
}

fn asked<'a>(plan: &'a JobPlan, settings: &MergeSettings, restart: bool) -> Asked<'a> {
    Asked {
        plan,
        // These are what a bound is when nothing is typed.
        start_typed: settings.start.as_ref().is_some_and(|bound| *bound != Bound::Earliest),
        end_typed: settings.end.as_ref().is_some_and(|bound| *bound != Bound::Latest),
        restart,
        append: settings.append,
        retention_loss: settings.allow.retention_loss,
    }
}

/// Decides where the job begins, and makes sure that it can go on from there. To be asked once nobody else can write for it;
/// `again` by a run that has begun it before.
pub(super) async fn begin(
    mut looked: Looked,
    settings: &MergeSettings,
    ledger: &Ledger,
    again: bool,
    cx: &JobContext,
) -> Result<Begun, JobError> {
    let record = match ledger.read().await {
        // It is forgotten in any case.
        Err(JobError::Refused(flaw)) if settings.progressing.restart && !again => {
            tracing::warn!("{flaw}");
            None
        }
        read => read?,
    };
    looked.look_again().await?;
    let (start, output) = decided(&looked, settings, record, again, cx).await?;
    if let Start::Fresh(plan) = &start {
        ledger.check_fits(plan)?;
    }
    let prepared = match left(&start) {
        Some(sources) => Some(ready(looked, settings, &start, sources, output, cx).await?),
        None => None,
    };
    Ok(Begun { start, prepared })
}

/// How the job starts, and what the output holds.
async fn decided(
    looked: &Looked,
    settings: &MergeSettings,
    record: Option<(JobPlan, Option<JobProgress>)>,
    again: bool,
    cx: &JobContext,
) -> Result<(Start, Range<i64>), JobError> {
    let facts = output_facts(&looked.cluster, &looked.output, record.as_ref(), cx.timeout).await?;
    #[cfg(test)]
    let facts = super::exactly_once::sabotage::Sabotage::blind(facts);
    let plan = planned(looked, settings);
    // Once it has begun anew it goes on; but as long as nothing of that stands, the old record is still the last one.
    let restart = settings.progressing.restart && (!again || facts.first_record.is_none());
    let asked = asked(&plan, settings, restart);
    Ok((decide(asked, record, &facts, &looked.logs)?, facts.log))
}

async fn ready(
    looked: Looked,
    settings: &MergeSettings,
    start: &Start,
    sources: Vec<Source>,
    output: Range<i64>,
    cx: &JobContext,
) -> Result<Prepared, JobError> {
    let lowest = match (start, settings.append) {
        // What stands there is of before the job; one that was stopped before its first record has written none either.
        (Start::Fresh(_), true) | (Start::Continue { progress: JobProgress { tail: None, .. }, .. }, _) => {
            floor(&looked.cluster, &looked.output, output.clone(), &settings.keys).await?
        }
        // An input that runs backwards just where the job was stopped shows nowhere else.
        (Start::Continue { progress: JobProgress { tail: Some(tail), .. }, .. }, _) => {
            let last = floor(&looked.cluster, &looked.output, tail.start..tail.end, &settings.keys).await?;
            last.map(Floor::resumed)
        }
        _ => None,
    };
    looked.ready(settings, cx, sources, output.end, lowest).await
}

/// What is left to read; `None` where nothing is to be done.
fn left(start: &Start) -> Option<Vec<Source>> {
    let (plan, positions) = match start {
        Start::Complete { .. } => return None,
        Start::Fresh(plan) => (plan, None),
        // Counting reads everything again and goes on by rank.
        Start::Continue { plan, .. } if plan.strategy == Strategy::Count => (plan, None),
        Start::Continue { plan, progress } => (plan, Some(&progress.positions)),
    };
    let sources = plan.inputs.iter().enumerate().map(|(index, input)| {
        let position = positions.and_then(|positions| positions.get(index)).copied().unwrap_or(input.range.start);
        Source { partition: input.partition.clone(), range: position..input.range.end }
    });
    Some(sources.collect())
}

/// What would be done now, for who does not write: nobody is fenced, so a job that runs moves on meanwhile.
pub(super) async fn foresee(
    mut looked: Looked,
    settings: &MergeSettings,
    cx: &JobContext,
) -> Result<Prepared, JobError> {
    let topic = &settings.progressing.jobs_topic;
    let record = match Ledger::look(&looked.cluster, topic, &name(settings), cx.timeout).await? {
        Some(ledger) => ledger.read().await?,
        None => None,
    };
    looked.look_again().await?;
    let (start, output) = decided(&looked, settings, record, false, cx).await?;
    if let Some(said) = start.sentence() {
        tracing::info!("{said}");
    }
    match left(&start) {
        Some(sources) => ready(looked, settings, &start, sources, output, cx).await,
        None => Ok(looked.with_nothing_left(settings, output.end)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Allow, Client, Delivery, OutputCodec, Progressing, preflight};
    use super::*;
    use crate::batch::{BatchWriter, Codec, Headers};
    use crate::broker::{Broker, BrokerConfig};
    use crate::jobs::ledger::{JobState, Tail};
    use crate::jobs::testing::{block_on, context};
    use crate::keys::{KeyPlan, Order};

    fn batch(numbers: std::ops::Range<i64>) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        for number in numbers {
            writer.push(-1, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
        }
        writer.finish().unwrap().to_vec()
    }

    fn settings() -> MergeSettings {
        MergeSettings {
            from: vec!["in".to_owned()],
            to: "out".to_owned(),
            keys: KeyPlan::parse(&[], Order::Asc).unwrap(),
            memory_bytes: 64 << 20,
            threads: None,
            strategy: Strategy::Merge,
            client: Client::Kmerge,
            delivery: Delivery::ExactlyOnce,
            progressing: Progressing::default(),
            allow: Allow::default(),
            compression: OutputCodec::None,
            batch_bytes: 500_000,
            start: None,
            end: None,
            append: false,
        }
    }

    /// Two instances look at once; the one that looked later is first to begin, and pins more than the other saw.
    #[test]
    fn who_takes_over_looks_at_the_inputs_after_it_has_read_what_was_planned() {
        block_on(async {
            let broker = Broker::start(BrokerConfig::default()).await.unwrap();
            broker.create_topic("in", 1, &[]).unwrap();
            broker.create_topic("out", 1, &[]).unwrap();
            broker.append_raw("in", 0, &batch(0..3)).unwrap();
            let (settings, cx) = (settings(), JobContext { brokers: broker.addresses(), ..context() });
            let early = preflight::look(&settings, &cx).await.unwrap();

            broker.append_raw("in", 0, &batch(3..7)).unwrap();
            let plan = planned(&preflight::look(&settings, &cx).await.unwrap(), &settings);
            let written = batch(0..2);
            let progress = JobProgress {
                positions: vec![2],
                rank: 2,
                tail: Some(Tail::of_batch(0, &written).unwrap()),
                state: JobState::Running,
                updated_at_ms: 0,
            };
            let jobs = settings.progressing.jobs_topic.clone();
            let ledger = Ledger::open(&early.cluster, &jobs, &name(&settings), 1, cx.timeout).await.unwrap();
            let record = ledger.first_batch(&plan, &progress).unwrap();
            broker.append_raw(&jobs, 0, &record.bytes[..record.len]).unwrap();
            broker.append_raw("out", 0, &written).unwrap();

            let begun = begin(early, &settings, &ledger, false, &cx).await.unwrap();
            assert_eq!(begun.start, Start::Continue { plan, progress });
            let left = begun.prepared.unwrap().plan;
            assert_eq!((left.sources[0].range.clone(), left.output_end), (2..7, 2));
        });
    }
}
