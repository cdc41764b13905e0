//! FindCoordinator: the node that keeps a group or a transactional id.
//!
//! - Versions: all that `wire` speaks; several keys from v4 on.
//! - Each key has a node by its hash; while that one is dead another one. No node alive: COORDINATOR_NOT_AVAILABLE.
//! - Left out: share groups (INVALID_REQUEST).

use super::Call;
use crate::broker::coordinator::Sort;
use crate::wire::ErrorCode;
use crate::wire::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse, key_type};

/// The version from which several keys are asked for.
const KEYS_FROM_VERSION: i16 = 4;

const NO_NODE: i32 = -1;

pub(super) fn handle(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if call.version >= KEYS_FROM_VERSION {
        let coordinators = request.coordinator_keys.into_iter().map(|key| find(call, key, request.key_type)).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = find(call, request.key, request.key_type);
    FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
}

fn find(call: &Call<'_>, key: String, sort: i8) -> Coordinator {
    let cluster = call.cluster;
    let sort = match sort {
        key_type::GROUP => Ok(Sort::Group),
        key_type::TRANSACTION => Ok(Sort::Transaction),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let found = call.forced(None).map_or(sort, Err).and_then(|sort| {
        let node = cluster.coordinator.seats.node(sort, &key, cluster).and_then(|id| cluster.node(id));
        node.ok_or(ErrorCode::CoordinatorNotAvailable)
    });
    match found {
        Ok(node) => {
            Coordinator { key, node_id: node.id, host: node.host.clone(), port: node.port.into(), ..Default::default() }
        }
        Err(error) => Coordinator {
            key,
            node_id: NO_NODE,
            port: NO_NODE,
            error_code: error.code(),
            error_message: Some(error.name().to_owned()),
            ..Default::default()
        },
    }
}
