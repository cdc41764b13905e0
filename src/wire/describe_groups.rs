//! DescribeGroups 0 to 6: the members of classic groups.
//!
//! A group that is not there is described as `Dead`; from version 6 on with GROUP_ID_NOT_FOUND.

use super::define::{api, structs};
pub use super::metadata::OPERATIONS_UNKNOWN;

api! {
    /// Describes groups.
    DescribeGroups, 0 to 6, DescribeGroupsRequest => DescribeGroupsResponse<'a>
}

structs! {
    /// Which groups.
    pub struct DescribeGroupsRequest {
        groups: Vec<String> = from(0);
        include_authorized_operations: bool = from(3);
    }

    /// The groups.
    pub struct DescribeGroupsResponse<'a> {
        throttle_time_ms: i32 = from(1).ignorable();
        groups: Vec<DescribedGroup<'a>> = from(0);
    }

    /// One group.
    pub struct DescribedGroup<'a> {
        error_code: i16 = from(0);
        error_message: Option<String> = from(6);
        group_id: String = from(0);
        /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead`.
        group_state: String = from(0);
        protocol_type: String = from(0);
        /// The way of sharing the work that was chosen.
        protocol_data: String = from(0);
        members: Vec<DescribedGroupMember<'a>> = from(0);
        authorized_operations: i32 = from(3), default OPERATIONS_UNKNOWN;
    }

    /// One member.
    pub struct DescribedGroupMember<'a> {
        member_id: String = from(0);
        group_instance_id: Option<String> = from(4).ignorable();
        client_id: String = from(0);
        client_host: String = from(0);
        /// Empty unless the group is stable.
        member_metadata: &'a [u8] = from(0);
        /// Empty unless the group is stable.
        member_assignment: &'a [u8] = from(0);
    }
}
