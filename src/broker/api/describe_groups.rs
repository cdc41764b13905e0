//! DescribeGroups: who is in a group, and with which share of the work.
//!
//! - Versions: all that `wire` speaks. A group that is not there is Dead; from v6 on also GROUP_ID_NOT_FOUND.
//! - Protocol and metadata are told of stable groups only, assignments always.
//! - A group that is named again is INVALID_REQUEST the second time (Kafka describes it again), so that a small request
//!   cannot ask for long metadata many times over.
//! - Left out: authorized operations (there is no authorizer; the "not asked for" value is told).

use super::{Call, coordinates};
use crate::broker::coordinator::{GroupPhase, Sort};
use crate::wire::ErrorCode;
use crate::wire::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use std::collections::HashSet;
use std::sync::Arc;

/// The version from which a group that is not there is told as such.
const NOT_FOUND_FROM_VERSION: i16 = 6;

const DEAD: &str = "Dead";

/// A group before it is written: it shares its members' bytes.
pub(super) struct Described {
    error: ErrorCode,
    message: Option<String>,
    group: String,
    state: &'static str,
    protocol_type: String,
    protocol: String,
    members: Vec<DescribedMember>,
}

struct DescribedMember {
    id: Arc<str>,
    instance: Option<Arc<str>>,
    client_id: Arc<str>,
    client_host: Arc<str>,
    metadata: Arc<[u8]>,
    assignment: Arc<[u8]>,
}

pub(super) fn handle(call: &Call<'_>, request: DescribeGroupsRequest) -> Vec<Described> {
    let mut named = HashSet::new();
    let describe = |group: String| {
        let is_first = named.insert(group.clone());
        let refused = if is_first { call.forced(None) } else { Some(ErrorCode::InvalidRequest) };
        match refused.map_or_else(|| coordinates(call, Sort::Group, &group), Err) {
            Ok(()) => describe(call, group),
            Err(error) => Described { error, ..nothing(group, "") },
        }
    };
    request.groups.into_iter().map(describe).collect()
}

fn describe(call: &Call<'_>, group: String) -> Described {
    let groups = call.cluster.coordinator.groups();
    let Some(membership) = groups.membership(&group) else {
        let dead = nothing(group, DEAD);
        if call.version < NOT_FOUND_FROM_VERSION {
            return dead;
        }
        let message = Some(format!("Group {} not found.", dead.group));
        return Described { error: ErrorCode::GroupIdNotFound, message, ..dead };
    };
    let protocol = membership.protocol().filter(|_| membership.phase() == GroupPhase::Stable);
    let members = membership.members().map(|member| DescribedMember {
        id: member.id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(protocol),
        assignment: member.assignment.clone(),
    });
    Described {
        protocol_type: membership.protocol_type().to_owned(),
        protocol: protocol.map(|name| name.to_string()).unwrap_or_default(),
        members: members.collect(),
        ..nothing(group, membership.phase().name())
    }
}

fn nothing(group: String, state: &'static str) -> Described {
    let (protocol_type, protocol) = (String::new(), String::new());
    Described { error: ErrorCode::None, message: None, group, state, protocol_type, protocol, members: Vec::new() }
}

pub(super) fn response<'d>(call: &Call<'_>, described: &'d [Described]) -> DescribeGroupsResponse<'d> {
    let tell_member = |member: &'d DescribedMember| DescribedGroupMember {
        member_id: member.id.to_string(),
        group_instance_id: member.instance.as_ref().map(|instance| instance.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        member_metadata: &member.metadata,
        member_assignment: &member.assignment,
    };
    let tell = |group: &'d Described| DescribedGroup {
        error_code: group.error.code(),
        error_message: group.message.clone().filter(|_| call.version >= NOT_FOUND_FROM_VERSION),
        group_id: group.group.clone(),
        group_state: group.state.to_owned(),
        protocol_type: group.protocol_type.clone(),
        protocol_data: group.protocol.clone(),
        members: group.members.iter().map(tell_member).collect(),
        ..Default::default()
    };
    DescribeGroupsResponse { throttle_time_ms: call.throttle_ms(), groups: described.iter().map(tell).collect() }
}
