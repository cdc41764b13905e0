//! SyncGroup 0 to 5: the leader says who does what, everybody is told.

use super::define::{api, structs};

api! {
    /// Hands out the assignments of a generation.
    SyncGroup, 0 to 5, SyncGroupRequest<'a> => SyncGroupResponse<'a>
}

structs! {
    /// Who asks; from the leader, what everybody gets.
    pub struct SyncGroupRequest<'a> {
        group_id: String = from(0);
        generation_id: i32 = from(0);
        member_id: String = from(0);
        group_instance_id: Option<String> = from(3);
        protocol_type: Option<String> = from(5).ignorable();
        protocol_name: Option<String> = from(5).ignorable();
        /// Empty from all but the leader.
        assignments: Vec<SyncGroupRequestAssignment<'a>> = from(0);
    }

    /// One member's share.
    pub struct SyncGroupRequestAssignment<'a> {
        member_id: String = from(0);
        assignment: &'a [u8] = from(0);
    }

    /// The share of whoever asked.
    pub struct SyncGroupResponse<'a> {
        throttle_time_ms: i32 = from(1).ignorable();
        error_code: i16 = from(0);
        protocol_type: Option<String> = from(5).ignorable();
        protocol_name: Option<String> = from(5).ignorable();
        assignment: &'a [u8] = from(0);
    }
}
