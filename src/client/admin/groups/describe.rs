//! Who is in a group, and what each member has been given to read. Groups of either protocol: a coordinator that does not know
//! a group as a classic one is asked whether it is one of the newer protocol (KIP-848).

use super::about;
use crate::base::place::TopicPartition;
use crate::client::cluster::{Ask, Cluster, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::{CallError, ClientError};
use crate::wire::ErrorCode;
use crate::wire::consumer_group_describe::{ConsumerGroupDescribe, ConsumerGroupDescribeRequest, Member};
use crate::wire::consumer_protocol::{Assignment, PartitionsOfTopic};
use crate::wire::describe_groups::{DescribeGroups, DescribeGroupsRequest, DescribedGroupMember};

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescribed {
    /// Its name.
    pub group: String,
    /// `classic` or `consumer`.
    pub group_type: &'static str,
    /// `Empty`, `Stable`, `PreparingRebalance`, ...
    pub state: String,
    /// How the work is shared out: `range`, ...
    pub assignor: String,
    /// The broker that keeps it.
    pub coordinator: i32,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub member: String,
    /// The name it keeps over restarts, if it has one.
    pub instance: Option<String>,
    /// How its client calls itself.
    pub client: String,
    /// Where it connects from.
    pub host: String,
    /// What it has been given to read; `None` where that is said in a way we do not read.
    pub partitions: Option<Vec<TopicPartition>>,
}

impl Cluster {
    /// A group and its members; `None` if there is none of that name.
    pub async fn group(&self, group: &str) -> Result<Option<GroupDescribed>, ClientError> {
        self.at_coordinator(group, async |node, deadline| self.group_at(node, group, deadline).await).await.outcome
    }

    pub(super) async fn group_at(
        &self,
        node: i32,
        group: &str,
        deadline: Deadline,
    ) -> Result<Option<GroupDescribed>, ClientError> {
        if let Some(found) = self.classic_group(node, group, deadline).await? {
            return Ok(Some(found));
        }
        match self.newer_group(node, group, deadline).await {
            // A broker without the newer protocol keeps no groups of it.
            Err(ClientError::Call { source, .. })
                if matches!(*source, CallError::MissingApi { .. } | CallError::NoCommonVersion { .. }) =>
            {
                Ok(None)
            }
            found => found,
        }
    }

    async fn classic_group(
        &self,
        node: i32,
        group: &str,
        deadline: Deadline,
    ) -> Result<Option<GroupDescribed>, ClientError> {
        let request = DescribeGroupsRequest { groups: vec![group.to_owned()], include_authorized_operations: false };
        let answer = self.call::<DescribeGroups>(Ask::Node(node), &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<DescribeGroups>(broker, error))?;
        let Some(found) = response.groups.into_iter().find(|one| one.group_id == group) else { return Ok(None) };
        match ErrorCode::from_code(found.error_code) {
            ErrorCode::None => {}
            ErrorCode::GroupIdNotFound => return Ok(None),
            code => return Err(refused(broker, "DescribeGroups", about(group), code)),
        }
        // So older versions say that there is none.
        if found.group_state == "Dead" {
            return Ok(None);
        }
        Ok(Some(GroupDescribed {
            group: found.group_id,
            group_type: "classic",
            state: found.group_state,
            assignor: found.protocol_data,
            coordinator: node,
            members: found.members.into_iter().map(classic_member).collect(),
        }))
    }

    async fn newer_group(
        &self,
        node: i32,
        group: &str,
        deadline: Deadline,
    ) -> Result<Option<GroupDescribed>, ClientError> {
        let request =
            ConsumerGroupDescribeRequest { group_ids: vec![group.to_owned()], include_authorized_operations: false };
        let answer = self.call::<ConsumerGroupDescribe>(Ask::Node(node), &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<ConsumerGroupDescribe>(broker, error))?;
        let Some(found) = response.groups.into_iter().find(|one| one.group_id == group) else { return Ok(None) };
        match ErrorCode::from_code(found.error_code) {
            ErrorCode::None => {}
            ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion => return Ok(None),
            code => return Err(refused(broker, "ConsumerGroupDescribe", about(group), code)),
        }
        Ok(Some(GroupDescribed {
            group: found.group_id,
            group_type: "consumer",
            state: found.group_state,
            assignor: found.assignor_name,
            coordinator: node,
            members: found.members.into_iter().map(newer_member).collect(),
        }))
    }
}

fn classic_member(member: DescribedGroupMember<'_>) -> GroupMember {
    // Other sorts of groups than those of consumers say other things here.
    let assigned = Assignment::read_any(member.member_assignment).ok();
    let partitions = assigned.map(|assigned| flat(&assigned.assigned_partitions));
    GroupMember {
        member: member.member_id,
        instance: member.group_instance_id,
        client: member.client_id,
        host: member.client_host,
        partitions,
    }
}

fn flat(topics: &[PartitionsOfTopic]) -> Vec<TopicPartition> {
    let of = |topic: &PartitionsOfTopic| {
        let name: std::sync::Arc<str> = topic.topic.as_str().into();
        topic.partitions.iter().map(|index| TopicPartition::new(name.clone(), *index)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

fn newer_member(member: Member) -> GroupMember {
    let topics = member.assignment.topic_partitions.into_iter();
    let topics: Vec<PartitionsOfTopic> =
        topics.map(|one| PartitionsOfTopic { topic: one.topic_name, partitions: one.partitions }).collect();
    GroupMember {
        member: member.member_id,
        instance: member.instance_id,
        client: member.client_id,
        host: member.client_host,
        partitions: Some(flat(&topics)),
    }
}
