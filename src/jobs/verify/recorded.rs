//! What is verified where a job is named: what its record says, and nothing that contradicts it.

use super::VerifySettings;
use crate::base::ends::{Bound, Ends};
use crate::base::text::visible;
use crate::base::units::show_count;
use crate::client::{ClientError, Cluster};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::ledger::{JobPlan, JobProgress, JobState, Ledger};
use crate::keys::{KeyPart, Order};

/// The job that was named, and what of key and order was typed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTyped {
    /// The job's name.
    pub name: String,
    /// The parts of the key, if any were typed.
    pub keys: Option<Vec<KeyPart>>,
    /// The order, if it was typed.
    pub order: Option<Order>,
}

/// Completes `settings`, of which only what was typed counts, by the record of a job.
pub async fn of_job(
    settings: VerifySettings,
    typed: &JobTyped,
    jobs_topic: &str,
    cx: &JobContext,
) -> Result<VerifySettings, JobError> {
    let work = async {
        let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
        let record = match Ledger::look(&cluster, jobs_topic, &typed.name, cx.timeout).await? {
            Some(ledger) => ledger.read().await?,
            None => None,
        };
        let Some((plan, progress)) = record else { return Err(unknown(&typed.name, jobs_topic)) };
        let settings = completed(settings, typed, &plan, progress.as_ref())?;
        check_topics(&cluster, &plan).await?;
        Ok(settings)
    };
    tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        done = work => done,
    }
}

fn unknown(job: &str, jobs_topic: &str) -> JobError {
    JobError::Refused(format!(
        "{} holds no record of a job {}: only a merge with --delivery exactly-once leaves one, under its --job or \
         merge:FROM:TO (another topic: --jobs-topic)",
        visible(jobs_topic),
        visible(job)
    ))
}

/// The settings by the record alone, once nothing that was typed contradicts it.
fn completed(
    typed: VerifySettings,
    job: &JobTyped,
    plan: &JobPlan,
    progress: Option<&JobProgress>,
) -> Result<VerifySettings, JobError> {
    let from: Vec<String> = plan.topics().into_iter().map(|(name, _)| name.to_owned()).collect();
    let to = plan.output.partition.topic.to_string();
    let of = |at: fn(&std::ops::Range<i64>) -> i64| -> Ends {
        plan.inputs.iter().map(|input| (input.partition.clone(), at(&input.range))).collect()
    };
    let (starts, ends) = (Bound::Offsets(of(|range| range.start)), Bound::Offsets(of(|range| range.end)));
    agrees("--from", !typed.from.is_empty() && typed.from != from, &from.join(","), &typed.from.join(","))?;
    agrees("--to", !typed.to.is_empty() && typed.to != to, &to, &typed.to)?;
    let keys = |parts: &[KeyPart]| parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (then, now) = (plan.keys.parts(), job.keys.as_deref().unwrap_or_default());
    agrees("--key", job.keys.is_some() && now != then, &keys(then), &keys(now))?;
    let now = job.order.unwrap_or(plan.keys.order());
    agrees("--order", now != plan.keys.order(), plan.keys.order().name(), now.name())?;
    for (flag, bound, stored) in [("--start", &typed.start, &starts), ("--end", &typed.end, &ends)] {
        if let Some(bound) = bound {
            agrees(flag, bound != stored, &stored.to_string(), &bound.to_string())?;
        }
    }
    if let Some(start) = typed.output_start {
        agrees("--output-start", start != plan.output.start, &plan.output.start.to_string(), &start.to_string())?;
    }
    let end = written_to(plan, progress)?;
    if let Some(typed) = typed.output_end {
        agrees("--output-end", typed != end, &end.to_string(), &typed.to_string())?;
    }
    Ok(VerifySettings {
        from,
        to,
        keys: plan.keys.clone(),
        start: Some(starts),
        end: Some(ends),
        output_start: Some(plan.output.start),
        output_end: Some(end),
        ..typed
    })
}

fn agrees(flag: &str, differs: bool, recorded: &str, typed: &str) -> Result<(), JobError> {
    if !differs {
        return Ok(());
    }
    Err(JobError::Usage(format!(
        "{flag} {} contradicts the job's record, which says {}: leave {flag} out, or leave --job out",
        visible(typed),
        visible(recorded)
    )))
}

/// The offset after the last record of a job that is complete; what others have added behind it is not its.
fn written_to(plan: &JobPlan, progress: Option<&JobProgress>) -> Result<i64, JobError> {
    match progress {
        Some(JobProgress { state: JobState::Complete, tail, .. }) => {
            Ok(tail.map_or(plan.output.start, |tail| tail.end))
        }
        _ => Err(JobError::Unfit(format!(
            "job {} is not complete: {} of {} records are written. Start the same merge again, it goes on there",
            visible(&plan.job),
            show_count(progress.map_or(0, |progress| progress.rank)),
            show_count(plan.offsets())
        ))),
    }
}

/// The topics must be those that the job knew: others of the same names prove nothing.
async fn check_topics(cluster: &Cluster, plan: &JobPlan) -> Result<(), JobError> {
    let output = (&*plan.output.partition.topic, plan.output.topic_id);
    for (name, then) in plan.topics().into_iter().chain([output]) {
        let topic = match cluster.topic(name).await {
            Ok(topic) => topic,
            Err(error @ ClientError::UnknownTopic { .. }) => {
                return Err(JobError::Unfit(format!("{error}, which job {} knew", visible(&plan.job))));
            }
            Err(error) => return Err(error.into()),
        };
        let now = topic.topic_id;
        if now != then {
            return Err(JobError::Unfit(format!(
                "{} was deleted and created anew since job {} began (its id was {then}, now it is {now}): what is there now is \
                 not what was merged",
                visible(name),
                visible(&plan.job)
            )));
        }
        let planned = plan.inputs.iter().filter(|input| *input.partition.topic == *name).count();
        if planned > 0 && topic.partitions.len() != planned {
            return Err(JobError::Unfit(format!(
                "{} has {} partitions, job {} merged {planned}: give --from, --to, --start and --end in place of --job",
                visible(name),
                topic.partitions.len(),
                visible(&plan.job)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::kind::Kind;
    use crate::jobs::ledger::testing::{plan, progress};
    use crate::keys::KeyPlan;

    fn nothing_typed() -> (VerifySettings, JobTyped) {
        let settings = VerifySettings {
            from: Vec::new(),
            to: String::new(),
            keys: KeyPlan::parse(&[], Order::Asc).unwrap(),
            ignore_timestamp: true,
            start: None,
            end: None,
            output_start: None,
            output_end: None,
            memory_bytes: 7,
        };
        (settings, JobTyped { name: plan().job, keys: None, order: None })
    }

    fn complete() -> JobProgress {
        JobProgress { state: JobState::Complete, ..progress() }
    }

    #[test]
    fn a_job_that_is_complete_says_everything_itself() {
        let (settings, typed) = nothing_typed();
        let settings = completed(settings, &typed, &plan(), Some(&complete())).unwrap();
        assert_eq!((settings.from, settings.to), (vec!["a".to_owned(), "b".to_owned()], "out".to_owned()));
        assert_eq!(settings.keys, plan().keys);
        assert_eq!(settings.start, Some("a:0=0,1=5;b:0=7".parse().unwrap()));
        assert_eq!(settings.end, Some("a:0=10,1=20;b:0=12".parse().unwrap()));
        assert_eq!((settings.output_start, settings.output_end), (Some(3), Some(17)));
        assert_eq!((settings.ignore_timestamp, settings.memory_bytes), (true, 7), "what the record does not know");
        let empty = JobProgress { rank: 0, tail: None, ..complete() };
        let (settings, typed) = nothing_typed();
        assert_eq!(completed(settings, &typed, &plan(), Some(&empty)).unwrap().output_end, Some(3));
    }

    #[test]
    fn what_is_typed_may_repeat_the_record_and_not_contradict_it() {
        let (base, job) = nothing_typed();
        let same = VerifySettings {
            from: vec!["a".to_owned(), "b".to_owned()],
            to: "out".to_owned(),
            start: Some("a:1=5,0=0;b:0=7".parse().unwrap()),
            end: Some("a:0=10,1=20;b:0=12".parse().unwrap()),
            output_start: Some(3),
            output_end: Some(17),
            ..base.clone()
        };
        let typed =
            JobTyped { keys: Some(plan().keys.parts().to_vec()), order: Some(Order::Desc), name: job.name.clone() };
        assert!(completed(same, &typed, &plan(), Some(&complete())).is_ok());

        let wrong = |settings: VerifySettings, job: &JobTyped, said: &str| {
            let error = completed(settings, job, &plan(), Some(&complete())).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{error}");
            assert!(error.to_string().contains(said), "{said}: {error}");
        };
        let other = "b,a".split(',').map(str::to_owned).collect();
        wrong(VerifySettings { from: other, ..base.clone() }, &job, "--from b,a contradicts");
        wrong(VerifySettings { to: "o".to_owned(), ..base.clone() }, &job, "which says out");
        wrong(VerifySettings { start: Some(Bound::Earliest), ..base.clone() }, &job, "--start earliest");
        wrong(VerifySettings { end: Some("a:0=9,1=20;b:0=12".parse().unwrap()), ..base.clone() }, &job, "--end a:0=9");
        wrong(VerifySettings { output_start: Some(0), ..base.clone() }, &job, "--output-start 0");
        wrong(VerifySettings { output_end: Some(18), ..base.clone() }, &job, "--output-end 18");
        wrong(base.clone(), &JobTyped { keys: Some(vec![KeyPart::default()]), ..job.clone() }, "--key value:int");
        wrong(
            base,
            &JobTyped { order: Some(Order::Asc), ..job },
            "--order asc contradicts the job's record, which says desc",
        );
    }

    #[test]
    fn a_job_that_is_not_complete_proves_nothing() {
        for (progress, said) in [(Some(progress()), "12 of 30"), (None, "0 of 30")] {
            let (settings, typed) = nothing_typed();
            let error = completed(settings, &typed, &plan(), progress.as_ref()).unwrap_err();
            assert_eq!(error.kind(), Kind::Data);
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
