//! LeaveGroup: members leave a group, by themselves or because somebody says so.
//!
//! - Versions: all that `wire` speaks; several members from v3 on, static ones by their names alone.
//! - Left out: the reason, which is not kept.

use super::{Call, coordinates};
use crate::broker::coordinator::{Leaving, Sort};
use crate::wire::ErrorCode;
use crate::wire::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};

/// The version from which several may leave at once, each with an error of its own.
const MEMBERS_FROM_VERSION: i16 = 3;

pub(super) fn handle(call: &Call<'_>, mut request: LeaveGroupRequest) -> LeaveGroupResponse {
    if call.version < MEMBERS_FROM_VERSION {
        request.members = vec![MemberIdentity { member_id: request.member_id.clone(), ..Default::default() }];
    }
    let left = call.forced(None).map_or_else(|| leave(call, &request), Err);
    let left = left.and_then(|left| call.forced_after(None).map_or(Ok(left), Err));
    let errors = match left {
        Ok(errors) => errors,
        Err(error) => return LeaveGroupResponse { error_code: error.code(), ..Default::default() },
    };
    if call.version < MEMBERS_FROM_VERSION {
        let error = errors.first().copied().unwrap_or(ErrorCode::None);
        return LeaveGroupResponse { error_code: error.code(), ..Default::default() };
    }
    let tell = |(member, error): (MemberIdentity, ErrorCode)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: error.code(),
    };
    LeaveGroupResponse { members: request.members.into_iter().zip(errors).map(tell).collect(), ..Default::default() }
}

/// What became of each member.
fn leave(call: &Call<'_>, request: &LeaveGroupRequest) -> Result<Vec<ErrorCode>, ErrorCode> {
    let group = request.group_id.as_str();
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    coordinates(call, Sort::Group, group)?;
    let leaving: Vec<Leaving<'_>> = request.members.iter().map(leaving_of).collect();
    let left = call
        .cluster
        .coordinator
        .at_group(call.cluster, call.node, group, |membership, env| membership.leave(env, &leaving));
    Ok(match left {
        Some(left) => left.into_iter().map(|left| left.err().unwrap_or(ErrorCode::None)).collect(),
        None => vec![ErrorCode::UnknownMemberId; leaving.len()],
    })
}

fn leaving_of(member: &MemberIdentity) -> Leaving<'_> {
    Leaving { member: &member.member_id, instance: member.group_instance_id.as_deref() }
}
