//! Which offsets of which partitions a job reads, pinned once at its start, and how much memory each reader gets.

use super::JobContext;
use super::cursor::RecordCursor;
use super::error::JobError;
use super::windows::Windows;
use crate::base::ends::{Bound, Ends};
use crate::base::place::TopicPartition;
use crate::base::units::show_size;
use crate::client::{Cluster, OffsetAt, ReadOptions};
use std::ops::Range;
use std::sync::Arc;

/// A partition and the offsets to read of it.
pub(super) type Pinned = (TopicPartition, Range<i64>);

/// Where to start and to end, with the options that said so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) start: (&'static str, Option<&'a Bound>),
    pub(super) end: (&'static str, Option<&'a Bound>),
}

/// The partitions of `topics`, in the order given; only those of `only`, if it is not empty.
pub(super) async fn partitions_of(
    cluster: &Cluster,
    topics: &[String],
    only: &[i32],
) -> Result<Vec<TopicPartition>, JobError> {
    let mut partitions = Vec::new();
    for (i, topic) in topics.iter().enumerate() {
        if topics[..i].contains(topic) {
            return Err(JobError::Usage(format!("{topic} is listed twice")));
        }
        let count = cluster.topic(topic).await?.partitions.len();
        let name: Arc<str> = topic.as_str().into();
        if let Some(missing) = only.iter().find(|index| usize::try_from(**index).map_or(true, |index| index >= count)) {
            return Err(JobError::Usage(format!(
                "{topic} has no partition {missing}: it has {count} partitions, counted from 0"
            )));
        }
        let indexes = 0..i32::try_from(count).unwrap_or(i32::MAX);
        partitions.extend(
            indexes
                .filter(|index| only.is_empty() || only.contains(index))
                .map(|index| TopicPartition::new(name.clone(), index)),
        );
    }
    Ok(partitions)
}

/// Pins the range of each partition. Without bounds it is all there is now.
pub(super) async fn pin(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    bounds: Bounds<'_>,
) -> Result<Vec<Pinned>, JobError> {
    let log_starts = cluster.offsets(partitions, OffsetAt::Earliest).await?;
    let log_ends = cluster.offsets(partitions, OffsetAt::Latest).await?;
    let logs: Vec<Pinned> = partitions
        .iter()
        .zip(log_starts.iter().zip(&log_ends))
        .map(|(partition, (start, end))| (partition.clone(), *start..*end))
        .collect();
    let starts = of_bound(cluster, &logs, partitions, bounds.start, &log_starts).await?;
    let ends = of_bound(cluster, &logs, partitions, bounds.end, &log_ends).await?;
    let pinned = starts.into_iter().zip(ends).zip(logs).map(|((start, end), (partition, log))| {
        within(&partition, start..end, log, bounds)?;
        Ok((partition, start..end))
    });
    pinned.collect()
}

async fn of_bound(
    cluster: &Cluster,
    logs: &[Pinned],
    partitions: &[TopicPartition],
    (flag, bound): (&'static str, Option<&Bound>),
    without: &[i64],
) -> Result<Vec<i64>, JobError> {
    Ok(match bound {
        None => without.to_vec(),
        Some(Bound::Earliest) => logs.iter().map(|(_, log)| log.start).collect(),
        Some(Bound::Latest) => logs.iter().map(|(_, log)| log.end).collect(),
        Some(Bound::Offset(offset)) => vec![*offset; logs.len()],
        Some(Bound::Time(ms)) => {
            let found = cluster.offsets(partitions, OffsetAt::Timestamp(*ms)).await?;
            // Where nothing is that young, the answer is the end, which may have moved since the log was looked at.
            found.into_iter().zip(logs).map(|(at, (_, log))| at.min(log.end)).collect()
        }
        Some(Bound::Offsets(listed)) => of_list(flag, listed, partitions)?,
    })
}

/// A list must name every partition and no other: what it leaves out would be guessed.
fn of_list(flag: &str, listed: &Ends, partitions: &[TopicPartition]) -> Result<Vec<i64>, JobError> {
    if let Some(stranger) = listed.stranger_to(partitions) {
        return Err(JobError::Usage(format!("{flag} names {stranger}, which is not read here")));
    }
    let of = |partition: &TopicPartition| {
        listed.get(partition).ok_or_else(|| JobError::Usage(format!("{flag} says nothing of {partition}")))
    };
    partitions.iter().map(of).collect()
}

/// What is asked for must be there, or nothing that is said about it would be true.
fn within(partition: &TopicPartition, range: Range<i64>, log: Range<i64>, bounds: Bounds<'_>) -> Result<(), JobError> {
    let Range { start, end } = range;
    let refused = |message: String| Err(JobError::Refused(format!("{partition}: {message}")));
    if start > end {
        return refused(format!(
            "the start ({}), offset {start}, lies behind the end ({}), offset {end}",
            bounds.start.0, bounds.end.0
        ));
    }
    if end > log.end {
        return refused(format!(
            "the log ends at offset {}, before the end asked for, {end} ({})",
            log.end, bounds.end.0
        ));
    }
    if start < log.start {
        return refused(format!(
            "offsets {start} to {} are gone, the log begins at {} (retention or deleted records): start there, with {} \
             earliest",
            log.start - 1,
            log.start,
            bounds.start.0
        ));
    }
    Ok(())
}

/// How many offsets there are to read.
pub(super) fn offsets_in(ranges: &[Pinned]) -> u64 {
    ranges.iter().map(|(_, range)| range.end.saturating_sub(range.start).max(0) as u64).sum()
}

/// What one of several readers may take. All of it together is one window that is read, one that is fetched ahead (beside
/// a batch larger than a window there is none of those), a compressed batch unfolding, and two blocks of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadShare {
    /// Bytes of a fetch, the window.
    pub(super) fetch_bytes: usize,
    /// The largest batch that is taken.
    pub(super) batch_bytes_max: usize,
    /// What a compressed batch may take unfolded at a time.
    pub(super) window_bytes: usize,
    /// What records that are copied out of their window may take, for whoever does so; there are two such blocks.
    pub(super) block_bytes: usize,
}

impl ReadShare {
    /// Fetches larger than this gain nothing.
    const FETCH_BYTES_MAX: usize = 1 << 20;
    /// With less than this for a reader, ordinary batches would not fit.
    pub(super) const LEAST_BYTES: usize = 256 << 10;

    /// The share of each of `readers` that read at once, when `fixed_bytes` of the memory are taken otherwise.
    pub(super) fn of(what: &str, memory_bytes: usize, fixed_bytes: usize, readers: usize) -> Result<Self, JobError> {
        let readers = readers.max(1);
        let share = memory_bytes.saturating_sub(fixed_bytes) / readers;
        if share < Self::LEAST_BYTES {
            let least = fixed_bytes.saturating_add(readers.saturating_mul(Self::LEAST_BYTES));
            return Err(JobError::Refused(format!(
                "{what} reads {readers} partitions at once and cannot do that in {}: give --memory {}KiB or more",
                show_size(memory_bytes as u64),
                least.div_ceil(1 << 10)
            )));
        }
        Ok(Self {
            fetch_bytes: (share / 8).min(Self::FETCH_BYTES_MAX),
            batch_bytes_max: share / 4,
            window_bytes: share / 2,
            block_bytes: share / 16,
        })
    }

    /// A cursor over windows of this share.
    pub(super) fn cursor(self, windows: Windows, cx: &JobContext) -> RecordCursor<Windows> {
        RecordCursor::new(windows, self.window_bytes, cx.shutdown.clone(), cx.progress.clone())
    }

    pub(super) fn read_options(self) -> ReadOptions {
        ReadOptions { fetch_bytes_max: self.fetch_bytes, batch_bytes_max: self.batch_bytes_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(index: i32) -> TopicPartition {
        TopicPartition::new("t", index)
    }

    #[test]
    fn a_list_must_name_every_partition_and_no_other() {
        let listed: Ends = "t:0=5,1=6".parse().unwrap();
        assert_eq!(of_list("--end", &listed, &[t(1), t(0)]).unwrap(), [6, 5]);
        let error = of_list("--end", &listed, &[t(0)]).unwrap_err().to_string();
        assert_eq!(error, "--end names t partition 1, which is not read here");
        let error = of_list("--end", &listed, &[t(0), t(1), t(2)]).unwrap_err().to_string();
        assert_eq!(error, "--end says nothing of t partition 2");
    }

    #[test]
    fn what_is_not_in_the_log_is_refused_with_its_offsets() {
        let bounds = Bounds { start: ("--start", None), end: ("--end", None) };
        let refused = |range: Range<i64>, log: Range<i64>| within(&t(0), range, log, bounds).unwrap_err().to_string();
        assert!(refused(5..20, 10..30).contains("offsets 5 to 9 are gone, the log begins at 10"));
        assert!(refused(10..31, 10..30).contains("the log ends at offset 30, before the end asked for, 31 (--end)"));
        #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
        let backwards = refused(20..10, 0..30);
        assert!(backwards.contains("the start (--start), offset 20, lies behind the end (--end), offset 10"));
        for fine in [10..30, 10..10, 30..30, 11..12] {
            assert!(within(&t(0), fine, 10..30, bounds).is_ok());
        }
    }

    #[test]
    fn shares_stay_within_the_memory_and_too_little_of_it_is_refused_with_what_is_needed() {
        for readers in [0, 1, 11, 100, 240] {
            let share = ReadShare::of("verify", 64 << 20, 3 << 20, readers).unwrap();
            let windows = share.fetch_bytes + share.batch_bytes_max.max(share.fetch_bytes);
            let taken = windows + share.window_bytes + 2 * share.block_bytes;
            assert!(taken * readers + (3 << 20) <= 64 << 20, "{readers}");
        }
        let error = ReadShare::of("verify", 4 << 20, 3 << 20, 11).unwrap_err().to_string();
        assert!(error.contains("--memory 5888KiB or more"), "{error}");
        assert!(ReadShare::of("verify", 5888 << 10, 3 << 20, 11).is_ok());
    }
}
