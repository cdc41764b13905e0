//! What is in the output now, as far as it decides how a job starts.

use super::record::{JobPlan, JobProgress};
use super::tail::{TailFound, tail_is_there};
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::observe::progress::Progress;
use std::ops::Range;
use std::time::Duration;

/// What may be unfolded at once to see whether there is a record.
const LOOK_BYTES: usize = 64 << 20;

/// What the output holds. Only committed records count: neither aborted batches nor markers are something that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputFacts {
    /// From the first offset there is to the last stable one, which is the end: nothing is open.
    pub(crate) log: Range<i64>,
    /// The first committed record.
    pub(crate) first_record: Option<i64>,
    /// Whether the records that the job wrote last are there; `None` if it knows of none.
    pub(crate) tail: Option<TailFound>,
    /// The first committed record behind what the job wrote.
    pub(crate) behind: Option<i64>,
}

/// Looks at the output. Whoever starts a job asks after having fenced every other instance of it; transactions of other
/// writers are waited for, for `patience` at most.
pub(crate) async fn output_facts(
    cluster: &Cluster,
    output: &TopicPartition,
    record: Option<&(JobPlan, Option<JobProgress>)>,
    patience: Duration,
) -> Result<OutputFacts, JobError> {
    let asked = std::slice::from_ref(output);
    let end = cluster.offsets(asked, OffsetAt::Latest).await?.first().copied().unwrap_or(0);
    cluster.wait_for_transactions(&[(output.clone(), end)], patience).await?;
    let end = cluster.offsets(asked, OffsetAt::LastStable).await?.first().copied().unwrap_or(0);
    let start = cluster.offsets(asked, OffsetAt::Earliest).await?.first().copied().unwrap_or(0);
    let log = start..end.max(start);
    let tail = record.and_then(|(_, progress)| progress.as_ref()?.tail);
    let found = match &tail {
        Some(tail) => Some(tail_is_there(cluster, output, tail).await?),
        None => None,
    };
    let behind = match (record, &tail, &found) {
        // What lies behind something that is not there is nobody's affair.
        (None, ..) | (_, _, Some(TailFound::Differs(_))) => None,
        (Some((plan, _)), tail, _) => {
            let from = tail.map_or(plan.output.start, |tail| tail.end);
            first_record(cluster, output, from.clamp(log.start, log.end)..log.end).await?
        }
    };
    Ok(OutputFacts { first_record: first_record(cluster, output, log.clone()).await?, log, tail: found, behind })
}

/// The offset of the first committed record of a range.
pub(crate) async fn first_record(
    cluster: &Cluster,
    partition: &TopicPartition,
    range: Range<i64>,
) -> Result<Option<i64>, JobError> {
    let reader = cluster.reader(partition.clone(), range, ReadOptions::default());
    // Who waits for us listens to the wish to stop.
    let mut records = RecordCursor::new(reader, LOOK_BYTES, Shutdown::default(), Progress::default());
    records.next_with(|record| record.offset).await
}
