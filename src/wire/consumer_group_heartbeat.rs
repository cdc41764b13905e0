//! ConsumerGroupHeartbeat 0 and 1: all that a member of a group of the newer protocol (KIP-848) says, and all it is told.
//!
//! From version 1 on the member makes up its own id; at 0 it may leave that to the broker.

use super::Uuid;
use super::define::{api, structs};

api! {
    /// Joins a group, stays in it, leaves it.
    ConsumerGroupHeartbeat, 0 to 1, ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse
}

/// What `member_epoch` says of a member that is in no epoch of its group.
pub mod epoch {
    /// It joins.
    pub const JOIN: i32 = 0;
    /// It leaves.
    pub const LEAVE: i32 = -1;
    /// It leaves, and as a static member will be back.
    pub const LEAVE_FOR_NOW: i32 = -2;
}

structs! {
    /// What has changed since the last one, and that the member is alive.
    pub struct ConsumerGroupHeartbeatRequest {
        group_id: String = from(0);
        member_id: String = from(0);
        /// The epoch it is in, or one of [`epoch`].
        member_epoch: i32 = from(0);
        /// Null where it has none, or unchanged; so are the others below.
        instance_id: Option<String> = from(0);
        rack_id: Option<String> = from(0);
        /// -1 where it is unchanged.
        rebalance_timeout_ms: i32 = from(0), default -1;
        subscribed_topic_names: Option<Vec<String>> = from(0);
        /// In the syntax of RE2.
        subscribed_topic_regex: Option<String> = from(1);
        server_assignor: Option<String> = from(0);
        /// What it has: as long as a partition that was taken from it stands here, nobody else gets that.
        topic_partitions: Option<Vec<TopicPartitions>> = from(0);
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        topic_id: Uuid = from(0);
        partitions: Vec<i32> = from(0);
    }

    /// The member's epoch and, where it is to change, what it shall have.
    pub struct ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        member_id: Option<String> = from(0);
        member_epoch: i32 = from(0);
        heartbeat_interval_ms: i32 = from(0);
        /// Null: as before.
        assignment: Option<Assignment> = from(0);
    }

    /// All that a member shall have.
    pub struct Assignment {
        topic_partitions: Vec<TopicPartitions> = from(0);
    }
}
