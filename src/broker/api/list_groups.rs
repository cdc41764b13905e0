//! ListGroups: the groups that this node coordinates.
//!
//! - Versions: all that `wire` speaks; states and types are told, and filtered by, from v4 and v5 on, in any case.
//! - All groups are classic ones. A group that is only a name with offsets is Empty and has no protocol type.

use super::Call;
use crate::broker::coordinator::Sort;
use crate::wire::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

/// The one type of groups there is here.
const CLASSIC: &str = "classic";

pub(super) fn handle(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    if let Some(error) = call.forced(None) {
        return ListGroupsResponse { error_code: error.code(), ..Default::default() };
    }
    let cluster = call.cluster;
    let lower = |filter: &[String]| filter.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    let (states, types) = (lower(&request.states_filter), lower(&request.types_filter));
    let is_wanted =
        |state: &str| states.is_empty() || states.iter().any(|wanted| wanted.trim() == state.to_lowercase());
    let is_here = |group: &str| cluster.coordinator.seats.node(Sort::Group, group, cluster) == Some(call.node);
    if !types.is_empty() && !types.iter().any(|wanted| wanted == CLASSIC) {
        return ListGroupsResponse::default();
    }
    let groups = cluster.coordinator.groups();
    let mut listed: Vec<ListedGroup> = groups
        .all()
        .filter(|(name, membership)| is_wanted(membership.phase().name()) && is_here(name))
        .map(|(name, membership)| ListedGroup {
            group_id: name.to_string(),
            protocol_type: membership.protocol_type().to_owned(),
            group_state: membership.phase().name().to_owned(),
            group_type: CLASSIC.to_owned(),
        })
        .collect();
    drop(groups);
    listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    ListGroupsResponse { groups: listed, ..Default::default() }
}
