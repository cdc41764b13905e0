//! How far consumer groups are, and where they are set to read on.

pub mod reset;

use crate::base::place::TopicPartition;
use crate::client::{ClientError, Cluster, GroupDescribed, GroupMember, OffsetAt};
use std::collections::{BTreeMap, BTreeSet};

/// A group with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The group and its members.
    pub group: GroupDescribed,
    /// Every partition that it has an offset of or that a member has been given.
    pub partitions: Vec<Row>,
}

/// A partition and how far a group is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset the group will read; `None` where it has committed none.
    pub committed: Option<i64>,
    /// Where the log ends; `None` where the topic is gone or nobody leads the partition.
    pub end: Option<i64>,
    /// The member that reads it, by its place among the group's.
    pub member: Option<usize>,
}

impl Row {
    /// How many offsets lie between the two; an offset beyond the end is no lead.
    pub fn lag(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.committed?).max(0))
    }
}

impl Standing {
    /// The member that reads a partition.
    pub fn member(&self, row: &Row) -> Option<&GroupMember> {
        self.group.members.get(row.member?)
    }

    /// The lag of all partitions together, of those of which it is known.
    pub fn lag(&self) -> i64 {
        self.partitions.iter().filter_map(Row::lag).fold(0, i64::saturating_add)
    }

    /// The largest lag of a partition.
    pub fn lag_max(&self) -> Option<i64> {
        self.partitions.iter().filter_map(Row::lag).max()
    }
}

/// How a group stands; `None` if there is none of that name.
pub async fn standing(cluster: &Cluster, name: &str) -> Result<Option<Standing>, ClientError> {
    let Some(group) = cluster.group(name).await? else { return Ok(None) };
    let committed = cluster.group_offsets(name).await?;
    let mut readers: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
    for (place, member) in group.members.iter().enumerate() {
        readers.extend(member.partitions.iter().flatten().map(|at| (at, place)));
    }
    let all: BTreeSet<&TopicPartition> = committed.keys().chain(readers.keys().copied()).collect();
    let ends = ends(cluster, &all).await?;
    let partitions = all.into_iter().map(|at| Row {
        partition: at.clone(),
        committed: committed.get(at).map(|one| one.offset),
        end: ends.get(at).copied(),
        member: readers.get(at).copied(),
    });
    Ok(Some(Standing { partitions: partitions.collect(), group: group.clone() }))
}

/// Where these partitions end; those whose topic is gone or that nobody leads are left out.
async fn ends(
    cluster: &Cluster,
    partitions: &BTreeSet<&TopicPartition>,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    let topics: BTreeSet<&str> = partitions.iter().map(|at| &*at.topic).collect();
    let mut led = Vec::new();
    for topic in topics {
        let info = match cluster.topic(topic).await {
            Err(ClientError::UnknownTopic { .. }) => continue,
            info => info?,
        };
        let known = info.partitions.iter().filter(|one| one.leader >= 0);
        let known = known.map(|one| TopicPartition::new(info.name.as_str(), one.index));
        led.extend(known.filter(|at| partitions.contains(at)));
    }
    let ends = cluster.offsets(&led, OffsetAt::Latest).await?;
    Ok(led.into_iter().zip(ends).collect())
}
