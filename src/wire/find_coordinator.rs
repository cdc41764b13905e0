//! FindCoordinator 0 to 6: which broker keeps a group or a transactional id; one key up to version 3, several from 4 on.

use super::define::{api, structs};

api! {
    /// Finds the coordinator of a group, a transactional id or a share group.
    FindCoordinator, 0 to 6, FindCoordinatorRequest => FindCoordinatorResponse
}

/// The sorts of keys, for `key_type`.
pub mod key_type {
    /// A consumer group.
    pub const GROUP: i8 = 0;
    /// A transactional id.
    pub const TRANSACTION: i8 = 1;
    /// A share group (from version 6).
    pub const SHARE: i8 = 2;
}

structs! {
    /// Whose coordinator is wanted.
    pub struct FindCoordinatorRequest {
        key: String = within(0, 3);
        /// One of [`key_type`].
        key_type: i8 = from(1);
        coordinator_keys: Vec<String> = from(4);
    }

    /// The coordinator, or from version 4 on the `coordinators`.
    pub struct FindCoordinatorResponse {
        throttle_time_ms: i32 = from(1).ignorable();
        error_code: i16 = within(0, 3);
        error_message: Option<String> = within(1, 3).ignorable();
        node_id: i32 = within(0, 3);
        host: String = within(0, 3);
        port: i32 = within(0, 3);
        coordinators: Vec<Coordinator> = from(4);
    }

    /// One key's coordinator.
    pub struct Coordinator {
        key: String = from(4);
        node_id: i32 = from(4);
        host: String = from(4);
        port: i32 = from(4);
        error_code: i16 = from(4);
        error_message: Option<String> = from(4).ignorable();
    }
}
