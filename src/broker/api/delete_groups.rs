//! DeleteGroups: groups without members go, with their offsets.
//!
//! - Versions: all that `wire` speaks. A group with members is NON_EMPTY_GROUP; one that is named twice is answered once.

use super::{Call, coordinates};
use crate::broker::coordinator::Sort;
use crate::wire::ErrorCode;
use crate::wire::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use std::collections::HashSet;

pub(super) fn handle(call: &Call<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut named = HashSet::new();
    let groups = request.groups_names.into_iter().filter(|group| named.insert(group.clone()));
    let delete = |group: String| {
        let deleted = call.forced(None).map_or_else(|| delete(call, &group), Err);
        let error = deleted.err().or(call.forced_after(None)).unwrap_or(ErrorCode::None);
        DeletableGroupResult { group_id: group, error_code: error.code() }
    };
    DeleteGroupsResponse { results: groups.map(delete).collect(), ..Default::default() }
}

fn delete(call: &Call<'_>, group: &str) -> Result<(), ErrorCode> {
    coordinates(call, Sort::Group, group)?;
    call.cluster.coordinator.groups().delete(group)
}
