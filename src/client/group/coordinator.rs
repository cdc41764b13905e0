//! Questions to the broker that keeps a group, each asked once. What the answers mean is up to the machine.
//!
//! Joining and syncing are answered when the other members have joined and the leader has synced. A broker works on one
//! connection's requests in order, so a member asks them on a connection of its own: two members of one process on a
//! shared one would wait for each other.

use super::assign::Counts;
use super::kip848::Beaten;
use super::options::GroupOptions;
use crate::client::call::{ANSWER_BYTES_MAX, Answer, Connection};
use crate::client::cluster::{Cluster, Lane, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::link::Expect;
use crate::client::need::Need;
use crate::wire::consumer_group_heartbeat::{ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest};
use crate::wire::find_coordinator::key_type;
use crate::wire::heartbeat::{Heartbeat, HeartbeatRequest};
use crate::wire::join_group::{JoinGroup, JoinGroupRequest, JoinGroupRequestProtocol};
use crate::wire::leave_group::{LeaveGroup, LeaveGroupRequest, MemberIdentity};
use crate::wire::sync_group::{SyncGroup, SyncGroupRequest, SyncGroupRequestAssignment};
use crate::wire::{Api, ErrorCode};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How members of consumer groups call what they do.
const PROTOCOL_TYPE: &str = "consumer";

/// What an answer to a JoinGroup may come later than the rebalance timeout: the coordinator gives up waiting first.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// A group's coordinator, as one member sees it.
#[derive(Debug)]
pub(super) struct Coordinator {
    pub(super) cluster: Cluster,
    pub(super) options: GroupOptions,
    /// How many partitions the topics had when this member came.
    pub(super) at_first: Counts,
    node: Mutex<Option<i32>>,
    /// When the last sign of life was sent that it has taken.
    heard: watch::Sender<Option<Instant>>,
    own: tokio::sync::Mutex<Option<(i32, Connection)>>,
}

/// What a JoinGroup gave.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) generation: i32,
    pub(super) protocol: String,
    pub(super) is_leader: bool,
    pub(super) member: String,
    /// Id, name, subscription; the leader gets them.
    pub(super) members: Vec<(String, Option<String>, Vec<u8>)>,
    /// The leader is back under its name and the shares stay: it makes none.
    pub(super) shares_stay: bool,
}

/// What an answer holds beside its code.
#[derive(Debug)]
pub(super) enum Content {
    Joined(Joined),
    Share {
        share: Vec<u8>,
        /// What the leader has made the shares of: the topics that somebody wants, and how many partitions they have.
        led: Option<(BTreeSet<Arc<str>>, Counts)>,
    },
    Nothing,
}

pub(super) type Told = Result<(ErrorCode, Content), ClientError>;

impl Coordinator {
    pub(super) fn new(cluster: Cluster, options: GroupOptions, at_first: Counts) -> Arc<Self> {
        let (node, heard, own) = (Mutex::default(), watch::Sender::new(None), tokio::sync::Mutex::default());
        Arc::new(Self { cluster, options, at_first, node, heard, own })
    }

    /// It has taken a sign of life that was sent then: until a session later it puts nobody out for silence.
    pub(super) fn took_a_sign(&self, sent: Instant) {
        self.heard.send_modify(|heard| *heard = (*heard).max(Some(sent)));
    }

    /// When the last one was sent that it has taken.
    pub(super) fn hears(&self) -> watch::Receiver<Option<Instant>> {
        self.heard.subscribe()
    }

    /// The broker, looked for if it is not known.
    pub(super) async fn node(&self, deadline: Deadline) -> Result<i32, ClientError> {
        let known = *self.node.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = known {
            return Ok(node);
        }
        let node = self.cluster.coordinator(&self.options.group, key_type::GROUP, deadline).await?;
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
        Ok(node)
    }

    /// It is not that one, or not there: the next question looks for it.
    pub(super) fn moved(&self) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The connection that this member alone uses.
    async fn own(&self, deadline: Deadline) -> Result<Connection, ClientError> {
        let deadline = deadline.within(self.cluster.timeout() / 2);
        let node = self.node(deadline).await?;
        let mut own = self.own.lock().await;
        if let Some((_, connection)) = own.as_ref().filter(|(at, connection)| *at == node && connection.is_usable()) {
            return Ok(connection.clone());
        }
        *own = None;
        let connection = self.cluster.own_connection(node, deadline).await?;
        *own = Some((node, connection.clone()));
        Ok(connection)
    }

    /// Asks to join, with the subscription that goes with each assignor. Answered when all others have joined as well.
    pub(super) async fn join(self: Arc<Self>, member: Arc<str>, protocols: Vec<(&'static str, Vec<u8>)>) -> Told {
        let options = &self.options;
        let deadline = Deadline::after(options.rebalance_timeout + JOIN_GRACE + self.cluster.timeout());
        let connection = self.own(deadline).await?;
        let protocols = protocols.iter().map(|(name, metadata)| JoinGroupRequestProtocol {
            name: (*name).to_owned(),
            metadata: metadata.as_slice(),
        });
        let request = JoinGroupRequest {
            group_id: options.group.to_string(),
            session_timeout_ms: millis(options.session_timeout),
            rebalance_timeout_ms: millis(options.rebalance_timeout),
            member_id: member.to_string(),
            group_instance_id: self.instance(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: protocols.collect(),
            reason: None,
        };
        let answer = ask::<JoinGroup>(&connection, &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<JoinGroup>(answer.broker(), error))?;
        let code = ErrorCode::from_code(response.error_code);
        if code == ErrorCode::None && (response.generation_id < 0 || response.member_id.is_empty()) {
            let got = format!("generation {}, member {:?}", response.generation_id, response.member_id);
            return Err(self.nonsense(&connection, "JoinGroup", "a generation and a member id", got));
        }
        let members = response.members.into_iter().map(|one| {
            let metadata = one.metadata.to_vec();
            (one.member_id, one.group_instance_id, metadata)
        });
        let joined = Joined {
            generation: response.generation_id,
            protocol: response.protocol_name.unwrap_or_default(),
            is_leader: response.leader == response.member_id,
            members: members.collect(),
            member: response.member_id,
            shares_stay: response.skip_assignment,
        };
        Ok((code, Content::Joined(joined)))
    }

    /// Asks for the share; the leader brings all of them.
    pub(super) async fn sync(
        self: Arc<Self>,
        member: Arc<str>,
        generation: i32,
        protocol: &'static str,
        shares: Vec<(String, Vec<u8>)>,
    ) -> Told {
        let deadline = Deadline::after(self.options.rebalance_timeout + JOIN_GRACE + self.cluster.timeout());
        let connection = self.own(deadline).await?;
        let assignments = shares.iter().map(|(member, assignment)| SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: assignment.as_slice(),
        });
        let request = SyncGroupRequest {
            group_id: self.options.group.to_string(),
            generation_id: generation,
            member_id: member.to_string(),
            group_instance_id: self.instance(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(protocol.to_owned()),
            assignments: assignments.collect(),
        };
        let answer = ask::<SyncGroup>(&connection, &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<SyncGroup>(answer.broker(), error))?;
        Ok((
            ErrorCode::from_code(response.error_code),
            Content::Share { share: response.assignment.to_vec(), led: None },
        ))
    }

    /// Says that the member is there.
    pub(super) async fn heartbeat(
        &self,
        member: &str,
        generation: i32,
        deadline: Deadline,
    ) -> Result<ErrorCode, ClientError> {
        let node = self.node(deadline).await?;
        let connection = self.cluster.connection(node, Lane::Heart, deadline).await?;
        let request = HeartbeatRequest {
            group_id: self.options.group.to_string(),
            generation_id: generation,
            member_id: member.to_owned(),
            group_instance_id: self.instance(),
        };
        let answer = ask::<Heartbeat>(&connection, &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<Heartbeat>(answer.broker(), error))?;
        Ok(ErrorCode::from_code(response.error_code))
    }

    /// Says that the member goes. On a connection that is not its own, where a JoinGroup may still be waiting.
    pub(super) async fn leave(self: Arc<Self>, member: Arc<str>) -> Told {
        let deadline = self.cluster.deadline();
        let node = self.node(deadline).await?;
        let connection = self.cluster.connection(node, Lane::Heart, deadline).await?;
        let need = Need::of::<LeaveGroup>();
        let version = connection.pick(need).map_err(|error| call_error::<LeaveGroup>(connection.broker(), error))?;
        let group_id = self.options.group.to_string();
        let request = match version {
            // Several at once came with version 3.
            3.. => LeaveGroupRequest {
                group_id,
                members: vec![MemberIdentity { member_id: member.to_string(), ..Default::default() }],
                ..Default::default()
            },
            _ => LeaveGroupRequest { group_id, member_id: member.to_string(), ..Default::default() },
        };
        let answer = ask::<LeaveGroup>(&connection, &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<LeaveGroup>(answer.broker(), error))?;
        let code = response.members.first().map_or(response.error_code, |one| one.error_code);
        Ok((ErrorCode::from_code(code), Content::Nothing))
    }

    /// A heartbeat of the newer protocol.
    pub(super) async fn beat(self: Arc<Self>, request: ConsumerGroupHeartbeatRequest) -> Result<Beaten, ClientError> {
        let deadline = Deadline::after(self.options.session_timeout / 3);
        let node = self.node(deadline).await?;
        let connection = self.cluster.connection(node, Lane::Heart, deadline).await?;
        let answer = ask::<ConsumerGroupHeartbeat>(&connection, &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<ConsumerGroupHeartbeat>(answer.broker(), error))?;
        let share = response.assignment.map(|share| {
            let topics = share.topic_partitions.into_iter();
            topics.map(|topic| (topic.topic_id, topic.partitions)).collect()
        });
        Ok(Beaten {
            code: ErrorCode::from_code(response.error_code),
            message: response.error_message,
            epoch: response.member_epoch,
            interval: Duration::from_millis(response.heartbeat_interval_ms.clamp(100, 600_000) as u64),
            share,
        })
    }

    pub(super) fn instance(&self) -> Option<String> {
        self.options.instance.clone()
    }

    /// A code about the group as an error.
    pub(super) fn refusal(&self, api: &'static str, code: ErrorCode) -> ClientError {
        let options = &self.options;
        let message = match code {
            ErrorCode::FencedInstanceId => {
                let instance = options.instance.clone().unwrap_or_default();
                return ClientError::InstanceFenced { group: options.group.clone(), instance };
            }
            ErrorCode::InconsistentGroupProtocol => {
                let names: Vec<_> = options.assignors.iter().map(|one| one.name()).collect();
                let names = names.join(", ");
                Some(format!(
                    "its members share none of the assignors offered here ({names}), or it is no group of consumers; --assignor \
                     names others"
                ))
            }
            ErrorCode::InvalidSessionTimeout => {
                Some("the session timeout is outside the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms".to_owned())
            }
            ErrorCode::GroupMaxSizeReached => Some("the brokers' group.max.size members are in it".to_owned()),
            ErrorCode::GroupAuthorizationFailed => Some("joining it needs the right READ on the group".to_owned()),
            _ => None,
        };
        let what = format!("group {}", options.group);
        match refused(&self.cluster.said_by(), api, what, code) {
            ClientError::Refused { broker, api, what, code, .. } => {
                ClientError::Refused { broker, api, what, code, message }
            }
            other => other,
        }
    }

    pub(super) fn nonsense(
        &self,
        connection: &Connection,
        api: &'static str,
        expected: &str,
        got: String,
    ) -> ClientError {
        ClientError::Protocol { broker: connection.broker().clone(), api, expected: expected.to_owned(), got }
    }
}

/// One question on one connection.
pub(super) async fn ask<A: Api>(
    connection: &Connection,
    request: &A::Request<'_>,
    deadline: Deadline,
) -> Result<Answer<A>, ClientError> {
    let expect = Expect { buffer: Vec::new(), answer_bytes_max: ANSWER_BYTES_MAX, deadline, find: None };
    let failed = |error| call_error::<A>(connection.broker(), error);
    connection.submit_as::<A>(Need::of::<A>(), request, expect).map_err(failed)?.await.map_err(failed)
}

pub(super) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
