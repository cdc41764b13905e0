//! Which offsets of each input are merged: taken once, at the start, and refused where the log does not hold them.

use super::plan::Source;
use super::{Client, MergeSettings};
use crate::base::ends::{Bound, Ends};
use crate::base::place::TopicPartition;
use crate::client::{Cluster, OffsetAt};
use crate::jobs::error::JobError;
use std::ops::Range;
use std::time::Duration;

/// What each input holds now, and what of it was asked for.
#[derive(Debug)]
pub(super) struct Ranges {
    /// What was asked for; whether it is there is not looked at.
    pub(super) sources: Vec<Source>,
    /// From the first offset there is to the high watermark.
    pub(super) logs: Vec<Range<i64>>,
}

/// From the first offset there is to the high watermark.
pub(super) async fn logs(cluster: &Cluster, inputs: &[TopicPartition]) -> Result<Vec<Range<i64>>, JobError> {
    let earliest = cluster.offsets(inputs, OffsetAt::Earliest).await?;
    let latest = cluster.offsets(inputs, OffsetAt::Latest).await?;
    Ok(earliest.into_iter().zip(latest).map(|(start, end)| start..end.max(start)).collect())
}

/// Pins the range of each input.
pub(super) async fn pin(
    settings: &MergeSettings,
    cluster: &Cluster,
    inputs: &[TopicPartition],
) -> Result<Ranges, JobError> {
    let earliest = cluster.offsets(inputs, OffsetAt::Earliest).await?;
    let latest = cluster.offsets(inputs, OffsetAt::Latest).await?;
    if settings.client == Client::Rskafka {
        refuse_open_transactions(cluster, inputs, &latest).await?;
    }
    let log = Log { partitions: inputs, earliest: &earliest, latest: &latest };
    let starts = match &settings.start {
        None => earliest.clone(),
        Some(bound) => resolve("--start", bound, &log, cluster).await?,
    };
    let ends = match &settings.end {
        None => latest.clone(),
        Some(bound) => resolve("--end", bound, &log, cluster).await?,
    };
    let ranges = starts.into_iter().zip(ends).map(|(start, end)| start..end);
    let sources = inputs.iter().zip(ranges).map(|(partition, range)| Source { partition: partition.clone(), range });
    let logs = earliest.into_iter().zip(latest).map(|(earliest, latest)| earliest..latest);
    Ok(Ranges { sources: sources.collect(), logs: logs.collect() })
}

/// Refuses what is not there, and waits until what is committed below the ends is known. Records behind them do not matter.
pub(super) async fn check(
    sources: &[Source],
    logs: &[Range<i64>],
    cluster: &Cluster,
    patience: Duration,
) -> Result<(), JobError> {
    // Of what is read to its end the log may have let go.
    for (source, log) in sources.iter().zip(logs).filter(|(source, _)| source.range.start != source.range.end) {
        check_range(source, log.clone())?;
    }
    let ends: Vec<_> =
        sources.iter().filter(|one| one.offsets() > 0).map(|one| (one.partition.clone(), one.range.end)).collect();
    Ok(cluster.wait_for_transactions(&ends, patience).await?)
}

/// The foreign client cannot tell committed records from others.
async fn refuse_open_transactions(
    cluster: &Cluster,
    inputs: &[TopicPartition],
    latest: &[i64],
) -> Result<(), JobError> {
    let stable = cluster.offsets(inputs, OffsetAt::LastStable).await?;
    for (partition, (stable, latest)) in inputs.iter().zip(stable.iter().zip(latest)) {
        // Asked last: an input that grows meanwhile is stable beyond the end we took.
        if stable < latest {
            return Err(JobError::Refused(format!(
                "{partition} has an open transaction: it is stable up to offset {stable}, and goes on to {latest}. rskafka \
                 cannot tell committed records from others: leave --client out, or merge when the transaction has ended"
            )));
        }
    }
    Ok(())
}

/// The input partitions and what each holds.
struct Log<'a> {
    partitions: &'a [TopicPartition],
    earliest: &'a [i64],
    latest: &'a [i64],
}

/// The offset that a bound means in each partition.
async fn resolve(flag: &str, bound: &Bound, log: &Log<'_>, cluster: &Cluster) -> Result<Vec<i64>, JobError> {
    match bound {
        Bound::Earliest => Ok(log.earliest.to_vec()),
        Bound::Latest => Ok(log.latest.to_vec()),
        Bound::Offset(offset) => Ok(vec![*offset; log.partitions.len()]),
        Bound::Time(ms) => {
            let found = cluster.offsets(log.partitions, OffsetAt::Timestamp(*ms)).await?;
            // Where nothing is that young, the answer is the end, which may have moved since we took it.
            Ok(found.into_iter().zip(log.latest).map(|(at, latest)| at.min(*latest)).collect())
        }
        Bound::Offsets(listed) => of_list(flag, listed, log.partitions),
    }
}

/// A list must name every partition and no other: what it leaves out would be guessed.
fn of_list(flag: &str, listed: &Ends, partitions: &[TopicPartition]) -> Result<Vec<i64>, JobError> {
    if let Some(stranger) = listed.stranger_to(partitions) {
        return Err(JobError::Usage(format!("{flag} names {stranger}, which is no input")));
    }
    let of = |partition: &TopicPartition| {
        listed.get(partition).ok_or_else(|| JobError::Usage(format!("{flag} does not say where in {partition}")))
    };
    partitions.iter().map(of).collect()
}

/// What is asked for must be there.
fn check_range(source: &Source, log: Range<i64>) -> Result<(), JobError> {
    let Source { partition, range } = source;
    let refused = |message: String| Err(JobError::Refused(format!("{partition}: {message}")));
    if range.start < log.start {
        return refused(format!(
            "offset {} is gone, the log begins at {} (retention or deleted records). Start there, with --start earliest",
            range.start, log.start
        ));
    }
    if range.end > log.end {
        return refused(format!("the log ends at offset {}, before the end asked for, {}", log.end, range.end));
    }
    if range.start > range.end {
        return refused(format!("the start, offset {}, lies behind the end, offset {}", range.start, range.end));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_error(asked: Range<i64>, log: Range<i64>) -> String {
        let source = Source { partition: TopicPartition::new("in", 2), range: asked };
        check_range(&source, log).unwrap_err().to_string()
    }

    #[test]
    fn a_range_that_is_not_there_is_refused_with_both_numbers() {
        let backwards = Range { start: 8, end: 7 };
        for (asked, log, said) in [
            (3..8, 5..10, "in partition 2: offset 3 is gone, the log begins at 5"),
            (5..11, 5..10, "the log ends at offset 10, before the end asked for, 11"),
            (backwards, 5..10, "the start, offset 8, lies behind the end, offset 7"),
        ] {
            let shown = range_error(asked, log);
            assert!(shown.contains(said), "{shown}");
        }
        let empty = Source { partition: TopicPartition::new("in", 2), range: 5..5 };
        assert!(check_range(&empty, 5..10).is_ok());
    }

    #[test]
    fn a_list_of_offsets_must_name_every_input_and_no_other() {
        let inputs = [TopicPartition::new("a", 0), TopicPartition::new("a", 1)];
        assert_eq!(of_list("--end", &"a:0=3,1=4".parse().unwrap(), &inputs).unwrap(), [3, 4]);
        let missing = of_list("--end", &"a:0=3".parse().unwrap(), &inputs).unwrap_err();
        assert_eq!(missing.to_string(), "--end does not say where in a partition 1");
        let stranger = of_list("--end", &"a:0=3,1=4,2=5".parse().unwrap(), &inputs).unwrap_err();
        assert_eq!(stranger.to_string(), "--end names a partition 2, which is no input");
    }
}
