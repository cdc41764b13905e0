//! What a member of a group sends, one request a function: against our broker, and against Apache Kafka.

use super::transactional::{coordinator_of, until};
use super::*;
use crate::wire::describe_groups::{DescribeGroups, DescribeGroupsRequest};
use crate::wire::heartbeat::{Heartbeat, HeartbeatRequest};
use crate::wire::join_group::{JoinGroup, JoinGroupRequest, JoinGroupRequestProtocol};
use crate::wire::leave_group::{LeaveGroup, LeaveGroupRequest, MemberIdentity};
use crate::wire::offset_commit::{
    OffsetCommit, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::sync_group::{SyncGroup, SyncGroupRequest, SyncGroupRequestAssignment};

/// What a consumer says that reads `t`: version 0, one topic, no data of its own.
pub(super) const READS_T: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0];

/// A connection to the coordinator of a group, once that is ready.
pub(super) async fn group_at(bootstrap: &mut Client, group: &str) -> Client {
    until("a group's coordinator", async || {
        let address = coordinator_of(bootstrap, group, 0).await?;
        let mut at = Client::connect_at(&address).await;
        // NOT_COORDINATOR and its like pass; that there is no such member is an answer.
        let code = Member::nobody(group).heartbeat_at(&mut at, 4).await;
        (![14, 15, 16].contains(&code)).then_some(at)
    })
    .await
}

/// What a JoinGroup was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) code: i16,
    pub(super) generation: i32,
    pub(super) protocol: (Option<String>, Option<String>),
    pub(super) leader: String,
    pub(super) skips: bool,
    pub(super) member: String,
    pub(super) members: Vec<(String, Option<String>, Vec<u8>)>,
}

/// One member, as it sees itself.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) generation: i32,
    pub(super) session_ms: i32,
    pub(super) rebalance_ms: i32,
    pub(super) protocol_type: String,
    pub(super) protocols: Vec<(String, Vec<u8>)>,
}

impl Member {
    /// Somebody who has no id yet.
    pub(super) fn nobody(group: &str) -> Self {
        Self {
            group: group.into(),
            id: String::new(),
            instance: None,
            generation: -1,
            session_ms: 10_000,
            rebalance_ms: 10_000,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), READS_T.to_vec())],
        }
    }

    /// The same with a name that outlives it.
    pub(super) fn named(group: &str, instance: &str) -> Self {
        Self { instance: Some(instance.into()), ..Self::nobody(group) }
    }

    /// Asks to join; the answer may take its time, see [`Self::joined`].
    pub(super) async fn ask_to_join(&self, at: &mut Client, version: i16) {
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.session_ms,
            rebalance_timeout_ms: self.rebalance_ms,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 5),
            protocol_type: self.protocol_type.clone(),
            protocols: self
                .protocols
                .iter()
                .map(|(name, metadata)| JoinGroupRequestProtocol { name: name.clone(), metadata })
                .collect(),
            reason: None,
        };
        at.send::<JoinGroup>(version, &request).await;
    }

    /// The answer to [`Self::ask_to_join`]; where it is one, the member has an id and a generation from now on.
    pub(super) async fn joined(&mut self, at: &mut Client, version: i16) -> Joined {
        let joined = at
            .answer::<JoinGroup, _>(version, |r| Joined {
                code: r.error_code,
                generation: r.generation_id,
                protocol: (r.protocol_type.clone(), r.protocol_name.clone()),
                leader: r.leader.clone(),
                skips: r.skip_assignment,
                member: r.member_id.clone(),
                members: r
                    .members
                    .iter()
                    .map(|m| (m.member_id.clone(), m.group_instance_id.clone(), m.metadata.to_vec()))
                    .collect(),
            })
            .await;
        if [0, 79].contains(&joined.code) {
            self.id.clone_from(&joined.member);
        }
        if joined.code == 0 {
            self.generation = joined.generation;
        }
        joined
    }

    /// Asks and waits.
    pub(super) async fn join_once(&mut self, at: &mut Client, version: i16) -> Joined {
        self.ask_to_join(at, version).await;
        self.joined(at, version).await
    }

    /// The same, and once more where it was only told its id.
    pub(super) async fn join(&mut self, at: &mut Client, version: i16) -> Joined {
        let joined = self.join_once(at, version).await;
        if joined.code == 79 { self.join_once(at, version).await } else { joined }
    }

    /// Asks for its share, and as the leader says whose is what; the answer may take its time.
    pub(super) async fn ask_to_sync(&self, at: &mut Client, version: i16, shares: &[(&str, &[u8])]) {
        let protocol = self.protocols.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 3),
            protocol_type: (version >= 5).then(|| self.protocol_type.clone()),
            protocol_name: (version >= 5).then_some(protocol),
            assignments: shares
                .iter()
                .map(|(id, assignment)| SyncGroupRequestAssignment { member_id: (*id).to_owned(), assignment })
                .collect(),
        };
        at.send::<SyncGroup>(version, &request).await;
    }

    /// The answer to [`Self::ask_to_sync`]: code, protocol, share.
    pub(super) async fn synced(
        &self,
        at: &mut Client,
        version: i16,
    ) -> (i16, (Option<String>, Option<String>), Vec<u8>) {
        at.answer::<SyncGroup, _>(version, |r| {
            (r.error_code, (r.protocol_type.clone(), r.protocol_name.clone()), r.assignment.to_vec())
        })
        .await
    }

    pub(super) async fn sync(
        &self,
        at: &mut Client,
        version: i16,
        shares: &[(&str, &[u8])],
    ) -> (i16, (Option<String>, Option<String>), Vec<u8>) {
        self.ask_to_sync(at, version, shares).await;
        self.synced(at, version).await
    }

    pub(super) async fn heartbeat_at(&self, at: &mut Client, version: i16) -> i16 {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 3),
        };
        at.call::<Heartbeat, _>(version, &request, |r| r.error_code).await
    }

    pub(super) async fn heartbeat(&self, at: &mut Client) -> i16 {
        self.heartbeat_at(at, 4).await
    }

    /// Leaves: the error of the whole, and its own.
    pub(super) async fn leave(&self, at: &mut Client, version: i16) -> (i16, Vec<i16>) {
        leave(at, version, &self.group, &[(&self.id, self.instance.as_deref())]).await
    }

    /// Commits an offset of partition 0.
    pub(super) async fn commit(&self, at: &mut Client, version: i16, topic: &str, offset: i64) -> i16 {
        let partitions = vec![OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() }];
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 7),
            topics: vec![OffsetCommitRequestTopic { name: topic.into(), partitions }],
            ..Default::default()
        };
        at.call::<OffsetCommit, _>(version, &request, |r| r.topics[0].partitions[0].error_code).await
    }
}

/// Members leave: the error of the whole, and that of each.
pub(super) async fn leave(
    at: &mut Client,
    version: i16,
    group: &str,
    members: &[(&str, Option<&str>)],
) -> (i16, Vec<i16>) {
    let identity = |(id, instance): &(&str, Option<&str>)| MemberIdentity {
        member_id: (*id).to_owned(),
        group_instance_id: instance.map(str::to_owned),
        reason: None,
    };
    let several = version >= 3;
    let request = LeaveGroupRequest {
        group_id: group.into(),
        member_id: if several { String::new() } else { members[0].0.to_owned() },
        members: if several { members.iter().map(identity).collect() } else { Vec::new() },
    };
    let read = |r: &crate::wire::leave_group::LeaveGroupResponse| {
        (r.error_code, r.members.iter().map(|member| member.error_code).collect())
    };
    at.call::<LeaveGroup, _>(version, &request, read).await
}

/// What is told of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) error: (i16, Option<String>),
    pub(super) state: String,
    pub(super) protocol: (String, String),
    /// In the order of their ids.
    pub(super) members: Vec<DescribedMember>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DescribedMember {
    pub(super) id: String,
    instance: Option<String>,
    client: String,
    host: String,
    metadata: Vec<u8>,
    share: Vec<u8>,
}

pub(super) async fn describe(at: &mut Client, version: i16, group: &str) -> Described {
    let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
    at.call::<DescribeGroups, _>(version, &request, |r| {
        let group = &r.groups[0];
        let member = |m: &crate::wire::describe_groups::DescribedGroupMember<'_>| DescribedMember {
            id: m.member_id.clone(),
            instance: m.group_instance_id.clone(),
            client: m.client_id.clone(),
            host: m.client_host.clone(),
            metadata: m.member_metadata.to_vec(),
            share: m.member_assignment.to_vec(),
        };
        let mut members: Vec<_> = group.members.iter().map(member).collect();
        members.sort();
        Described {
            error: (group.error_code, group.error_message.clone()),
            state: group.group_state.clone(),
            protocol: (group.protocol_type.clone(), group.protocol_data.clone()),
            members,
        }
    })
    .await
}

/// Waits until a group is in a state.
pub(super) async fn until_state(at: &mut Client, group: &str, state: &str) -> Described {
    until(&format!("{group} to be {state}"), async || {
        let described = describe(at, 5, group).await;
        (described.state == state).then_some(described)
    })
    .await
}

/// Waits until so many members of a group are known.
pub(super) async fn until_members(at: &mut Client, group: &str, count: usize) {
    until(&format!("{group} to have {count} members"), async || {
        (describe(at, 5, group).await.members.len() == count).then_some(())
    })
    .await;
}
