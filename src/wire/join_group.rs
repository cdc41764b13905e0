//! JoinGroup 0 to 9: a member enters a group, or says that it still wants to be in it, and waits until all others have.
//!
//! From version 4 on a new member without an instance id is first refused with the id that it is to come back with
//! (MEMBER_ID_REQUIRED), so that nobody is left behind who did not hear the answer.

use super::define::{api, structs};

api! {
    /// Joins a group.
    JoinGroup, 0 to 9, JoinGroupRequest<'a> => JoinGroupResponse<'a>
}

structs! {
    /// Who wants to join, and which ways of sharing the work it knows.
    pub struct JoinGroupRequest<'a> {
        group_id: String = from(0);
        /// Without a heartbeat for so long a member is taken for dead.
        session_timeout_ms: i32 = from(0);
        /// How long the others wait for this member in a rebalance; at version 0 the session's timeout says it.
        rebalance_timeout_ms: i32 = from(1).ignorable(), default -1;
        /// Empty for a new member.
        member_id: String = from(0);
        /// A name that outlives the process: of a static member.
        group_instance_id: Option<String> = from(5);
        /// `consumer`, for consumers.
        protocol_type: String = from(0);
        protocols: Vec<JoinGroupRequestProtocol<'a>> = from(0);
        reason: Option<String> = from(8).ignorable();
    }

    /// One way of sharing the work.
    pub struct JoinGroupRequestProtocol<'a> {
        name: String = from(0);
        /// What the leader is to know of the member: for consumers, the topics it wants.
        metadata: &'a [u8] = from(0);
    }

    /// The generation that begins, and for its leader who is in it.
    pub struct JoinGroupResponse<'a> {
        throttle_time_ms: i32 = from(2).ignorable();
        error_code: i16 = from(0);
        generation_id: i32 = from(0), default -1;
        protocol_type: Option<String> = from(7).ignorable();
        protocol_name: Option<String> = from(0).nullable_from(7), default Some(String::new());
        leader: String = from(0);
        /// The leader is to send no assignment: what stands is kept.
        skip_assignment: bool = from(9);
        member_id: String = from(0);
        /// Empty for all but the leader.
        members: Vec<JoinGroupResponseMember<'a>> = from(0);
    }

    /// One member.
    pub struct JoinGroupResponseMember<'a> {
        member_id: String = from(0);
        group_instance_id: Option<String> = from(5).ignorable();
        metadata: &'a [u8] = from(0);
    }
}
