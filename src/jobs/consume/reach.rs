//! From where to where each partition is read, found out once at the start.
//!
//! Only committed records are shown, so the end as it is now is the *last stable offset*: the first offset of the oldest
//! transaction that is still open, or the high watermark where none is. What lies between the two is told.
//!
//! Non-obvious:
//! - A start that the log does not hold any more is refused, never moved. One behind the end is not reached yet: reading begins
//!   at the end, and nothing is shown before the start.
//! - Whether a partition is read to an end that is there already, or followed until its end comes (or for ever), is decided
//!   here as well.

use super::ConsumeSettings;
use crate::base::from_to::Spot;
use crate::base::place::TopicPartition;
use crate::client::{Cluster, OffsetAt};
use crate::jobs::error::JobError;

/// The way through one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) partition: TopicPartition,
    /// Where reading begins; the log reaches that far.
    pub(super) start: i64,
    /// The first offset that is shown.
    pub(super) first: i64,
    /// The first offset that is not, if there is one.
    pub(super) end: Option<i64>,
    /// Whether to wait where the log ends.
    pub(super) follows: bool,
    /// How many offsets at the end were in transactions that were open.
    pub(super) held_back: i64,
}

/// What a log holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Log {
    start: i64,
    committed: i64,
    end: i64,
}

/// The way through each of `partitions`.
pub(super) async fn legs(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    settings: &ConsumeSettings,
) -> Result<Vec<Leg>, JobError> {
    let starts = cluster.offsets(partitions, OffsetAt::Earliest).await?;
    // In this order: what is committed at the first look is there at the second.
    let committed = cluster.offsets(partitions, OffsetAt::LastStable).await?;
    let ends = cluster.offsets(partitions, OffsetAt::Latest).await?;
    let logs = starts.into_iter().zip(committed).zip(ends);
    let logs: Vec<Log> =
        logs.map(|((start, committed), end)| Log { start, committed: committed.min(end), end }).collect();
    let from = settings.reach.from.as_ref();
    let to = settings.reach.to.as_ref();
    let from_times = times(cluster, partitions, &logs, from, settings.now_ms).await?;
    let to_times = times(cluster, partitions, &logs, to, settings.now_ms).await?;
    let mut legs = Vec::with_capacity(partitions.len());
    for (i, (partition, log)) in partitions.iter().zip(logs).enumerate() {
        let time = |times: &[i64]| times.get(i).copied().unwrap_or(log.committed);
        let first = first_of(partition, log, from, time(&from_times))?;
        let end = end_of(partition, log, to, first, time(&to_times))?;
        legs.push(leg(partition, log, first, end, settings.exit));
    }
    Ok(legs)
}

fn leg(partition: &TopicPartition, log: Log, first: i64, end: Option<i64>, exit: bool) -> Leg {
    let end = match (end, exit) {
        (end, true) => Some(end.unwrap_or(i64::MAX).min(log.committed)),
        (end, false) => end,
    };
    Leg {
        partition: partition.clone(),
        start: first.min(log.end),
        first,
        end,
        follows: end.is_none_or(|end| end > log.committed),
        held_back: if end == Some(log.committed) { log.end - log.committed } else { 0 },
    }
}

/// Where each partition stood at the time that `spot` says, if it says one.
async fn times(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    logs: &[Log],
    spot: Option<&Spot>,
    now_ms: i64,
) -> Result<Vec<i64>, JobError> {
    let Some(Spot::At(moment)) = spot else { return Ok(Vec::new()) };
    let found = cluster.offsets(partitions, OffsetAt::Timestamp(moment.epoch_ms(now_ms))).await?;
    // Where nothing is that young the answer is the end, of which only what is committed counts.
    Ok(found.into_iter().zip(logs).map(|(at, log)| if at >= log.end { log.committed } else { at }).collect())
}

fn first_of(partition: &TopicPartition, log: Log, spot: Option<&Spot>, time: i64) -> Result<i64, JobError> {
    let first = match spot {
        None | Some(Spot::Earliest) => log.start,
        Some(Spot::Latest) => log.committed,
        Some(Spot::Offset(offset)) => *offset,
        Some(Spot::BeforeEnd(offsets)) => log.committed.saturating_sub(*offsets).max(log.start),
        Some(Spot::AfterStart(offsets)) => log.start.saturating_add(*offsets),
        Some(Spot::At(_)) => time,
        Some(Spot::Offsets(listed)) => {
            listed.get(partition).ok_or_else(|| JobError::Usage(format!("--start says nothing of {partition}")))?
        }
    };
    if first < log.start {
        return Err(JobError::Refused(format!(
            "{partition}: offsets {first} to {} are gone, the log begins at {} (retention or deleted records): start there, \
             with --start earliest",
            log.start - 1,
            log.start
        )));
    }
    Ok(first)
}

fn end_of(
    partition: &TopicPartition,
    log: Log,
    spot: Option<&Spot>,
    first: i64,
    time: i64,
) -> Result<Option<i64>, JobError> {
    Ok(Some(match spot {
        None => return Ok(None),
        Some(Spot::Earliest) => log.start,
        Some(Spot::Latest) => log.committed,
        Some(Spot::Offset(offset)) => *offset,
        Some(Spot::BeforeEnd(offsets)) => log.committed.saturating_sub(*offsets).max(log.start),
        Some(Spot::AfterStart(offsets)) => first.saturating_add(*offsets),
        Some(Spot::At(_)) => time,
        Some(Spot::Offsets(listed)) => {
            listed.get(partition).ok_or_else(|| JobError::Usage(format!("--end says nothing of {partition}")))?
        }
    }))
}

impl Leg {
    /// Whether there is anything to read.
    pub(super) fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.first)
    }

    /// How many offsets there are to read, where that is known.
    pub(super) fn offsets(&self) -> u64 {
        self.end.map_or(0, |end| end.saturating_sub(self.first).max(0) as u64)
    }

    /// All of a partition that is new.
    pub(super) fn of_new(partition: TopicPartition) -> Self {
        Self { partition, start: 0, first: 0, end: None, follows: true, held_back: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Log = Log { start: 10, committed: 40, end: 50 };

    fn t() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn first(text: &str) -> Result<i64, String> {
        let spot: Spot = text.parse().unwrap();
        first_of(&t(), LOG, Some(&spot), 25).map_err(|error| error.to_string())
    }

    fn end(text: &str, first: i64) -> Option<i64> {
        let spot: Spot = text.parse().unwrap();
        end_of(&t(), LOG, Some(&spot), first, 25).unwrap()
    }

    #[test]
    fn starts_are_found_in_the_log() {
        assert_eq!(first_of(&t(), LOG, None, 0).unwrap(), 10);
        for (text, offset) in [
            ("earliest", 10),
            ("latest", 40),
            ("17", 17),
            ("99", 99),
            ("-5", 35),
            ("-99", 10),
            ("+5", 15),
            ("@1000", 25),
        ] {
            assert_eq!(first(text), Ok(offset), "{text}");
        }
        assert!(first("9").unwrap_err().contains("offsets 9 to 9 are gone, the log begins at 10"));
        assert!(first("t:1=5").unwrap_err().contains("--start says nothing of t partition 0"));
        assert_eq!(first("t:0=20"), Ok(20));
    }

    #[test]
    fn ends_are_found_in_the_log_and_may_lie_behind_it() {
        assert_eq!(end_of(&t(), LOG, None, 12, 0).unwrap(), None);
        for (text, offset) in [
            ("earliest", 10),
            ("latest", 40),
            ("17", 17),
            ("99", 99),
            ("-5", 35),
            ("-99", 10),
            ("+5", 17),
            ("@1000", 25),
        ] {
            assert_eq!(end(text, 12), Some(offset), "{text}");
        }
    }

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_waited_for() {
        let of = |first, end, exit| {
            let leg = leg(&t(), LOG, first, end, exit);
            (leg.start, leg.end, leg.follows, leg.held_back, leg.is_empty())
        };
        assert_eq!(of(10, None, false), (10, None, true, 0, false), "follows for ever");
        assert_eq!(of(10, None, true), (10, Some(40), false, 10, false), "up to what is committed, the rest is told");
        assert_eq!(of(10, Some(30), true), (10, Some(30), false, 0, false));
        assert_eq!(of(10, Some(60), true), (10, Some(40), false, 10, false));
        assert_eq!(of(10, Some(60), false), (10, Some(60), true, 0, false), "waits for the end");
        assert_eq!(of(70, None, false), (50, None, true, 0, false), "reading begins where the log ends");
        assert_eq!(of(70, None, true), (50, Some(40), false, 10, true));
    }
}
