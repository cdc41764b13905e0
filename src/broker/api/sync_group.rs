//! SyncGroup: a member asks for its share, and waits until the leader has sent it.
//!
//! - Versions: all that `wire` speaks. From v5 on protocol type and name must be told (INCONSISTENT_GROUP_PROTOCOL).
//! - A member that hangs up while it waits is let go, and stays in the group until its session ends.

use super::{Call, coordinates};
use crate::broker::coordinator::{Sort, Synced, Syncing};
use crate::wire::ErrorCode;
use crate::wire::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// The version from which the protocol must be told.
const PROTOCOL_FROM_VERSION: i16 = 5;

/// Nothing where the client has hung up, or was overtaken by itself.
pub(super) async fn handle(call: &Call<'_>, request: SyncGroupRequest<'_>) -> Option<Synced> {
    if let Err(error) = refuse(call, &request) {
        return Some(Synced::refused(error));
    }
    let assignments = request.assignments.iter().map(|share| (share.member_id.as_str(), share.assignment));
    let syncing = Syncing {
        generation: request.generation_id,
        member: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        protocol_type: request.protocol_type.as_deref(),
        protocol: request.protocol_name.as_deref(),
        assignments: assignments.collect(),
    };
    let synced = tokio::select! {
        synced = call.cluster.coordinator.sync(call.cluster, call.node, &request.group_id, &syncing) => synced?,
        () = call.hung_up() => return None,
    };
    Some(call.forced_after(None).map_or(synced, Synced::refused))
}

fn refuse(call: &Call<'_>, request: &SyncGroupRequest<'_>) -> Result<(), ErrorCode> {
    if let Some(error) = call.forced(None) {
        return Err(error);
    }
    let is_silent = request.protocol_type.is_none() || request.protocol_name.is_none();
    if call.version >= PROTOCOL_FROM_VERSION && is_silent {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    coordinates(call, Sort::Group, &request.group_id)
}

pub(super) fn response<'s>(call: &Call<'_>, synced: &'s Synced) -> SyncGroupResponse<'s> {
    SyncGroupResponse {
        throttle_time_ms: call.throttle_ms(),
        error_code: synced.error.code(),
        protocol_type: synced.protocol_type.as_ref().map(|name| name.to_string()),
        protocol_name: synced.protocol.as_ref().map(|name| name.to_string()),
        assignment: &synced.assignment,
    }
}
