//! JoinGroup: a member enters a group, or says that it still wants to be in it, and waits for the others.
//!
//! - Versions: all that `wire` speaks. A member that hangs up while it waits is let go, and stays in the group until its
//!   session ends; one that joins again meanwhile is answered the second time only (the first connection ends).
//! - A protocol named twice counts once; more than 256 are INCONSISTENT_GROUP_PROTOCOL (Kafka takes any number). What does
//!   not fit into the broker's memory is COORDINATOR_NOT_AVAILABLE.
//! - A static member that comes with an id that was given to a dynamic one is UNKNOWN_MEMBER_ID (Kafka fails there).
//! - Left out: the reason, which is not kept.

use super::{Call, coordinates};
use crate::broker::coordinator::{Joined, Joining, Protocol, Sort};
use crate::wire::ErrorCode;
use crate::wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember};
use std::collections::HashSet;
use std::time::Duration;

/// The versions from which a new member is first told its id, a protocol's name may be null, and a leader may be told that
/// there is nothing to assign. Before version 1 the session's timeout stands for the rebalance's.
const TOLD_ID_FROM_VERSION: i16 = 4;
const NULL_PROTOCOL_FROM_VERSION: i16 = 7;
const SKIP_FROM_VERSION: i16 = 9;
const REBALANCE_TIMEOUT_FROM_VERSION: i16 = 1;

/// How many protocols a member may know: clients have a handful.
const PROTOCOLS_MAX: usize = 256;

/// Nothing where the client has hung up, or was overtaken by itself.
pub(super) async fn handle(call: &Call<'_>, request: JoinGroupRequest<'_>) -> Option<Joined> {
    if let Err((member, error)) = refuse(call, &request) {
        return Some(Joined::refused(member, error));
    }
    let (group, joining) = read(call, request);
    let joined = tokio::select! {
        joined = call.cluster.coordinator.join(call.cluster, call.node, &group, &joining) => joined?,
        () = call.hung_up() => return None,
    };
    Some(call.forced_after(None).map_or(joined, |error| Joined::refused("", error)))
}

fn refuse(call: &Call<'_>, request: &JoinGroupRequest<'_>) -> Result<(), (String, ErrorCode)> {
    if let Some(error) = call.forced(None) {
        return Err((String::new(), error));
    }
    if request.group_id.is_empty() {
        return Err((request.member_id.clone(), ErrorCode::InvalidGroupId));
    }
    let config = &call.cluster.coordinator.group_config;
    let allowed = config.session_timeout_min..=config.session_timeout_max;
    let timeout = u64::try_from(request.session_timeout_ms).ok().map(Duration::from_millis);
    if !timeout.is_some_and(|timeout| allowed.contains(&timeout)) {
        return Err((request.member_id.clone(), ErrorCode::InvalidSessionTimeout));
    }
    coordinates(call, Sort::Group, &request.group_id).map_err(|error| (String::new(), error))?;
    if request.protocols.len() > PROTOCOLS_MAX {
        return Err((request.member_id.clone(), ErrorCode::InconsistentGroupProtocol));
    }
    Ok(())
}

fn read(call: &Call<'_>, request: JoinGroupRequest<'_>) -> (String, Joining) {
    let ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let has_timeout = call.version >= REBALANCE_TIMEOUT_FROM_VERSION;
    let mut named = HashSet::new();
    let is_first = |protocol: &JoinGroupRequestProtocol<'_>| named.insert(protocol.name.clone());
    let protocols = request.protocols.into_iter().filter(is_first);
    let joining = Joining {
        member: request.member_id,
        instance: request.group_instance_id,
        client_id: call.client_id.to_owned(),
        client_host: call.client_host(),
        session_timeout: ms(request.session_timeout_ms),
        rebalance_timeout: ms(if has_timeout { request.rebalance_timeout_ms } else { request.session_timeout_ms }),
        protocol_type: request.protocol_type,
        protocols: protocols.map(|p| Protocol { name: p.name.into(), metadata: p.metadata.into() }).collect(),
        is_told_its_id: call.version >= TOLD_ID_FROM_VERSION,
        can_skip_assignment: call.version >= SKIP_FROM_VERSION,
        unique: unique(),
    };
    (request.group_id, joining)
}

/// A random UUID, as Kafka puts it behind a member's name.
fn unique() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

pub(super) fn response<'j>(call: &Call<'_>, joined: &'j Joined) -> JoinGroupResponse<'j> {
    let protocol_name = joined.protocol.as_ref().map(|name| name.to_string());
    let or_empty = (call.version < NULL_PROTOCOL_FROM_VERSION).then(String::new);
    let members = joined.members.iter().map(|told| JoinGroupResponseMember {
        member_id: told.member.to_string(),
        group_instance_id: told.instance.as_ref().map(|instance| instance.to_string()),
        metadata: &told.metadata,
    });
    JoinGroupResponse {
        throttle_time_ms: call.throttle_ms(),
        error_code: joined.error.code(),
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_ref().map(|name| name.to_string()),
        protocol_name: protocol_name.or(or_empty),
        leader: joined.leader.to_string(),
        skip_assignment: joined.skips_assignment && call.version >= SKIP_FROM_VERSION,
        member_id: joined.member.to_string(),
        members: members.collect(),
    }
}
