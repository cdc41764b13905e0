//! How far a group is, for who administers it: all its offsets, and changes to them while nobody is in it.

use super::about;
use crate::base::place::TopicPartition;
use crate::client::cluster::{Ask, Cluster, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::need::Need;
use crate::wire::ErrorCode;
use crate::wire::offset_commit::{
    OffsetCommit, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::offset_delete::{
    OffsetDelete, OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::wire::offset_fetch::{OffsetFetch, OffsetFetchRequest, OffsetFetchRequestGroup};
use std::collections::BTreeMap;

/// The first version that gives all of a group's offsets.
const ALL: Need = Need::of::<OffsetFetch>().from(2);

/// The first version for several groups, which states the one in another place.
const SEVERAL_FROM_VERSION: i16 = 8;

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// The next offset to read.
    pub offset: i64,
    /// What the committer noted beside it.
    pub metadata: String,
}

impl Cluster {
    /// All offsets that a group has committed.
    pub async fn group_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, GroupOffset>, ClientError> {
        let ask = async |node, deadline| self.group_offsets_at(node, group, deadline).await;
        self.at_coordinator(group, ask).await.outcome
    }

    pub(super) async fn group_offsets_at(
        &self,
        node: i32,
        group: &str,
        deadline: Deadline,
    ) -> Result<BTreeMap<TopicPartition, GroupOffset>, ClientError> {
        let several = self.version::<OffsetFetch>(Ask::Node(node), deadline).await? >= SEVERAL_FROM_VERSION;
        let one = OffsetFetchRequestGroup { group_id: group.to_owned(), topics: None, ..Default::default() };
        let request = OffsetFetchRequest {
            group_id: if several { String::new() } else { group.to_owned() },
            topics: if several { Some(Vec::new()) } else { None },
            groups: if several { vec![one] } else { Vec::new() },
            require_stable: false,
        };
        let answer = self.call_as::<OffsetFetch>(Ask::Node(node), ALL, &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<OffsetFetch>(broker, error))?;
        let mut found = BTreeMap::new();
        let mut take = |topic: &str, index: i32, offset: i64, metadata: Option<String>, code: i16| {
            let at = TopicPartition::new(topic, index);
            ErrorCode::check(code)
                .map_err(|code| refused(broker, "OffsetFetch", format!("{}, {at}", about(group)), code))?;
            // -1 says that there is none.
            if offset >= 0 {
                found.insert(at, GroupOffset { offset, metadata: metadata.unwrap_or_default() });
            }
            Ok::<(), ClientError>(())
        };
        let whole = |code| ErrorCode::check(code).map_err(|code| refused(broker, "OffsetFetch", about(group), code));
        whole(response.error_code)?;
        for topic in response.topics {
            for one in topic.partitions {
                take(&topic.name, one.partition_index, one.committed_offset, one.metadata, one.error_code)?;
            }
        }
        for one in response.groups.into_iter().filter(|one| one.group_id == group) {
            whole(one.error_code)?;
            for topic in one.topics {
                for one in topic.partitions {
                    take(&topic.name, one.partition_index, one.committed_offset, one.metadata, one.error_code)?;
                }
            }
        }
        Ok(found)
    }

    /// Sets offsets of a group that nobody is in. Its coordinator refuses while it has members.
    pub async fn set_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (at, offset) in offsets {
            topics.entry(&at.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: at.partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(String::new()),
            });
        }
        let topics = topics.into_iter();
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            topics: topics
                .map(|(name, partitions)| OffsetCommitRequestTopic { name: name.to_owned(), partitions })
                .collect(),
            ..Default::default()
        };
        // Twice the same offsets are the same offsets.
        let asked = self.at_coordinator(group, async |node, deadline| {
            let answer = self.call::<OffsetCommit>(Ask::Node(node), &request, deadline).await?;
            let broker = answer.broker();
            let response = answer.read().map_err(|error| call_error::<OffsetCommit>(broker, error))?;
            for topic in response.topics {
                for one in topic.partitions {
                    let at = TopicPartition::new(topic.name.as_str(), one.partition_index);
                    ErrorCode::check(one.error_code)
                        .map_err(|code| refused(broker, "OffsetCommit", format!("{}, {at}", about(group)), code))?;
                }
            }
            Ok(())
        });
        asked.await.outcome
    }

    /// Deletes offsets of a group. Its coordinator refuses those of topics that a member reads.
    pub async fn delete_group_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for at in partitions {
            let one = OffsetDeleteRequestPartition { partition_index: at.partition };
            topics.entry(&at.topic).or_default().push(one);
        }
        let topics = topics.into_iter();
        let request = OffsetDeleteRequest {
            group_id: group.to_owned(),
            topics: topics
                .map(|(name, partitions)| OffsetDeleteRequestTopic { name: name.to_owned(), partitions })
                .collect(),
        };
        let asked = self.at_coordinator(group, async |node, deadline| {
            let answer = self.call::<OffsetDelete>(Ask::Node(node), &request, deadline).await?;
            let broker = answer.broker();
            let response = answer.read().map_err(|error| call_error::<OffsetDelete>(broker, error))?;
            let whole = ErrorCode::check(response.error_code);
            whole.map_err(|code| refused(broker, "OffsetDelete", about(group), code))?;
            for topic in response.topics {
                for one in topic.partitions {
                    let at = TopicPartition::new(topic.name.as_str(), one.partition_index);
                    ErrorCode::check(one.error_code)
                        .map_err(|code| refused(broker, "OffsetDelete", format!("{}, {at}", about(group)), code))?;
                }
            }
            Ok(())
        });
        asked.await.outcome
    }
}
