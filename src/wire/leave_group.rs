//! LeaveGroup 0 to 5: members leave a group; one up to version 2, several from 3 on, also on behalf of others.

use super::define::{api, structs};

api! {
    /// Takes members out of a group.
    LeaveGroup, 0 to 5, LeaveGroupRequest => LeaveGroupResponse
}

structs! {
    /// Who leaves.
    pub struct LeaveGroupRequest {
        group_id: String = from(0);
        member_id: String = within(0, 2);
        members: Vec<MemberIdentity> = from(3);
    }

    /// One member, by its id, or by its instance id with an empty one.
    pub struct MemberIdentity {
        member_id: String = from(3);
        group_instance_id: Option<String> = from(3);
        reason: Option<String> = from(5).ignorable();
    }

    /// What became of it.
    pub struct LeaveGroupResponse {
        throttle_time_ms: i32 = from(1).ignorable();
        error_code: i16 = from(0);
        members: Vec<MemberResponse> = from(3);
    }

    /// One member.
    pub struct MemberResponse {
        member_id: String = from(3);
        group_instance_id: Option<String> = from(3);
        error_code: i16 = from(3);
    }
}
