//! ListGroups 0 to 5: the groups that a broker coordinates.

use super::define::{api, structs};

api! {
    /// Lists groups.
    ListGroups, 0 to 5, ListGroupsRequest => ListGroupsResponse
}

structs! {
    /// Which of them; an empty filter lets all through.
    pub struct ListGroupsRequest {
        states_filter: Vec<String> = from(4);
        types_filter: Vec<String> = from(5);
    }

    /// The groups.
    pub struct ListGroupsResponse {
        throttle_time_ms: i32 = from(1).ignorable();
        error_code: i16 = from(0);
        groups: Vec<ListedGroup> = from(0);
    }

    /// One group.
    pub struct ListedGroup {
        group_id: String = from(0);
        /// Empty where it has offsets but never had members.
        protocol_type: String = from(0);
        group_state: String = from(4).ignorable();
        /// `classic`, `consumer`, `share`, `streams`.
        group_type: String = from(5).ignorable();
    }
}
