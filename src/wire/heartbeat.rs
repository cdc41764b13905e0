//! Heartbeat 0 to 4: a member of a group is alive, and hears whether it must join again.

use super::define::{api, structs};

api! {
    /// Keeps a member in its group.
    Heartbeat, 0 to 4, HeartbeatRequest => HeartbeatResponse
}

structs! {
    /// Who is alive.
    pub struct HeartbeatRequest {
        group_id: String = from(0);
        generation_id: i32 = from(0);
        member_id: String = from(0);
        group_instance_id: Option<String> = from(3);
    }

    /// REBALANCE_IN_PROGRESS: join again.
    pub struct HeartbeatResponse {
        throttle_time_ms: i32 = from(1).ignorable();
        error_code: i16 = from(0);
    }
}
