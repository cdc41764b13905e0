//! ConsumerGroupDescribe 0 and 1: the members of groups of the newer protocol (KIP-848).

use super::Uuid;
use super::define::{api, structs};
pub use super::metadata::OPERATIONS_UNKNOWN;

api! {
    /// Describes groups of the newer protocol.
    ConsumerGroupDescribe, 0 to 1, ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse
}

/// The sorts of members, for `member_type`.
pub mod member_type {
    /// Not told, as before version 1.
    pub const UNKNOWN: i8 = -1;
    /// A member that speaks the classic protocol, in a group that is being upgraded.
    pub const CLASSIC: i8 = 0;
    /// A member that speaks the newer one.
    pub const CONSUMER: i8 = 1;
}

structs! {
    /// Which groups.
    pub struct ConsumerGroupDescribeRequest {
        group_ids: Vec<String> = from(0);
        include_authorized_operations: bool = from(0);
    }

    /// The groups.
    pub struct ConsumerGroupDescribeResponse {
        throttle_time_ms: i32 = from(0);
        groups: Vec<DescribedGroup> = from(0);
    }

    /// One group.
    pub struct DescribedGroup {
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        group_id: String = from(0);
        /// `Empty`, `Assigning`, `Reconciling`, `Stable`, `Dead`.
        group_state: String = from(0);
        group_epoch: i32 = from(0);
        /// The epoch that the target assignments belong to.
        assignment_epoch: i32 = from(0);
        assignor_name: String = from(0);
        members: Vec<Member> = from(0);
        authorized_operations: i32 = from(0), default OPERATIONS_UNKNOWN;
    }

    /// One member.
    pub struct Member {
        member_id: String = from(0);
        instance_id: Option<String> = from(0);
        rack_id: Option<String> = from(0);
        member_epoch: i32 = from(0);
        client_id: String = from(0);
        client_host: String = from(0);
        subscribed_topic_names: Vec<String> = from(0);
        subscribed_topic_regex: Option<String> = from(0);
        assignment: Assignment = from(0);
        target_assignment: Assignment = from(0);
        /// One of [`member_type`].
        member_type: i8 = from(1).ignorable(), default member_type::UNKNOWN;
    }

    /// What a member has, or is to have.
    pub struct Assignment {
        topic_partitions: Vec<TopicPartitions> = from(0);
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        topic_id: Uuid = from(0);
        topic_name: String = from(0);
        partitions: Vec<i32> = from(0);
    }
}
