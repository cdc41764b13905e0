//! Where a group is to read on: looked up, shown, and set, while nobody is in the group.
//!
//! What is asked for is held against what the log has: an offset below its start becomes the start, one above its end the end,
//! and whoever asked is told so. A group that is not there yet is made by setting its offsets.

use super::super::error::JobError;
use crate::base::place::TopicPartition;
use crate::client::{ClientError, Cluster, OffsetAt};
use std::collections::{BTreeMap, BTreeSet};

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The first offset that is still there.
    Earliest,
    /// The end of the log.
    Latest,
    /// This offset.
    Offset(i64),
    /// So many offsets on, or back, from the committed one.
    Shift(i64),
    /// That of the first record at or after this time, in milliseconds since the epoch; the end if there is none.
    Time(i64),
    /// The committed one; the end where none is committed.
    Current,
}

/// Which partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that the group has offsets of.
    Committed,
    /// These topics, with all their partitions where none are given.
    Topics(Vec<(String, Vec<i32>)>),
}

/// A partition and where it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed offset, if there is one.
    pub from: Option<i64>,
    /// The new one.
    pub to: i64,
    /// What was asked for, where the log does not have it.
    pub asked: Option<i64>,
}

/// Refuses a group that somebody is in: what a reset sets they would overwrite.
pub async fn check_idle(cluster: &Cluster, group: &str) -> Result<(), JobError> {
    let found = cluster.group(group).await?;
    match found.filter(|found| !found.members.is_empty() || found.state != "Empty") {
        None => Ok(()),
        Some(found) => Err(JobError::Refused(format!(
            "group {} is {} with {} member(s): its offsets can be set only while nobody is in it. Stop its members first. \
             Nothing was changed",
            crate::base::text::visible(group),
            found.state,
            found.members.len()
        ))),
    }
}

/// What a reset would change.
pub async fn plan(cluster: &Cluster, group: &str, scope: &Scope, target: Target) -> Result<Vec<Change>, JobError> {
    let committed = cluster.group_offsets(group).await?;
    let partitions = match scope {
        Scope::Committed => committed.keys().cloned().collect(),
        Scope::Topics(topics) => named(cluster, topics).await?,
    };
    if partitions.is_empty() {
        return Err(JobError::Refused(format!(
            "group {} has no offsets: name the topics it shall have some of with --topic",
            crate::base::text::visible(group)
        )));
    }
    let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
    let earliest = cluster.offsets(&partitions, OffsetAt::Earliest).await?;
    let latest = cluster.offsets(&partitions, OffsetAt::Latest).await?;
    let at_time = match target {
        Target::Time(time) => cluster.offsets(&partitions, OffsetAt::Timestamp(time)).await?,
        _ => latest.clone(),
    };
    let mut changes = Vec::with_capacity(partitions.len());
    for (place, partition) in partitions.into_iter().enumerate() {
        let from = committed.get(&partition).map(|one| one.offset);
        let log = Log { earliest: earliest[place], latest: latest[place], at_time: at_time[place] };
        let asked = asked(target, from, log).ok_or_else(|| {
            JobError::Refused(format!(
                "{partition}: the group has committed no offset to shift from; choose another target. Nothing was changed"
            ))
        })?;
        let to = asked.clamp(log.earliest, log.latest.max(log.earliest));
        changes.push(Change { partition, from, to, asked: (asked != to).then_some(asked) });
    }
    Ok(changes)
}

/// What a partition's log has.
#[derive(Debug, Clone, Copy)]
struct Log {
    earliest: i64,
    latest: i64,
    at_time: i64,
}

fn asked(target: Target, from: Option<i64>, log: Log) -> Option<i64> {
    match target {
        Target::Earliest => Some(log.earliest),
        Target::Latest => Some(log.latest),
        Target::Offset(offset) => Some(offset),
        Target::Shift(by) => from.map(|from| from.saturating_add(by)),
        Target::Time(_) => Some(log.at_time),
        Target::Current => Some(from.unwrap_or(log.latest)),
    }
}

/// The partitions of topics that are named; each must be there.
async fn named(cluster: &Cluster, topics: &[(String, Vec<i32>)]) -> Result<BTreeSet<TopicPartition>, ClientError> {
    let mut partitions = BTreeSet::new();
    for (topic, wanted) in topics {
        let info = cluster.topic(topic).await?;
        if let Some(index) = wanted.iter().find(|index| !info.partitions.iter().any(|one| one.index == **index)) {
            let partition = TopicPartition::new(topic.as_str(), *index);
            return Err(ClientError::UnknownPartition { partition, count: info.partitions.len() });
        }
        let all = info.partitions.iter().map(|one| one.index);
        let chosen = all.filter(|index| wanted.is_empty() || wanted.contains(index));
        partitions.extend(chosen.map(|index| TopicPartition::new(topic.as_str(), index)));
    }
    Ok(partitions)
}

/// Sets what was planned. The coordinator refuses if somebody has joined meanwhile.
pub async fn carry_out(cluster: &Cluster, group: &str, changes: &[Change]) -> Result<(), JobError> {
    let offsets: BTreeMap<_, _> = changes.iter().map(|one| (one.partition.clone(), one.to)).collect();
    Ok(cluster.set_group_offsets(group, &offsets).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_an_offset_of_the_log_and_a_shift_needs_one_to_shift_from() {
        let log = Log { earliest: 10, latest: 50, at_time: 30 };
        for (target, from, expected) in [
            (Target::Earliest, None, Some(10)),
            (Target::Latest, Some(20), Some(50)),
            (Target::Offset(7), Some(20), Some(7)),
            (Target::Shift(-5), Some(20), Some(15)),
            (Target::Shift(i64::MAX), Some(20), Some(i64::MAX)),
            (Target::Shift(1), None, None),
            (Target::Time(0), None, Some(30)),
            (Target::Current, Some(20), Some(20)),
            (Target::Current, None, Some(50)),
        ] {
            assert_eq!(asked(target, from, log), expected, "{target:?}");
        }
    }
}
