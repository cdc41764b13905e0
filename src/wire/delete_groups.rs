//! DeleteGroups 0 to 2: groups without members go, with their offsets.

use super::define::{api, structs};

api! {
    /// Deletes groups.
    DeleteGroups, 0 to 2, DeleteGroupsRequest => DeleteGroupsResponse
}

structs! {
    /// Which groups.
    pub struct DeleteGroupsRequest {
        groups_names: Vec<String> = from(0);
    }

    /// What became of each.
    pub struct DeleteGroupsResponse {
        throttle_time_ms: i32 = from(0);
        results: Vec<DeletableGroupResult> = from(0);
    }

    /// One group.
    pub struct DeletableGroupResult {
        group_id: String = from(0);
        error_code: i16 = from(0);
    }
}
