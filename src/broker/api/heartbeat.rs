//! Heartbeat: a member is alive, and hears whether it must join again.
//!
//! - Versions: all that `wire` speaks.

use super::{Call, coordinates};
use crate::broker::coordinator::Sort;
use crate::wire::ErrorCode;
use crate::wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn handle(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let told = call.forced(None).map_or_else(|| beat(call, &request), Err);
    let error = told.err().or(call.forced_after(None)).unwrap_or(ErrorCode::None);
    HeartbeatResponse { error_code: error.code(), ..Default::default() }
}

fn beat(call: &Call<'_>, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    let group = request.group_id.as_str();
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    coordinates(call, Sort::Group, group)?;
    let (generation, instance) = (request.generation_id, request.group_instance_id.as_deref());
    let told = call.cluster.coordinator.at_group(call.cluster, call.node, group, |membership, env| {
        membership.heartbeat(env, generation, &request.member_id, instance)
    });
    told.unwrap_or(Err(ErrorCode::UnknownMemberId))
}
