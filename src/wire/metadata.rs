//! Metadata 0 to 13: brokers, topics, who leads which partition.
//!
//! Topics by id work from version 12 on: 10 and 11 have the field, but no broker ever took it.

use super::Uuid;
use super::define::{api, structs};

api! {
    /// Brokers, topics and leaders.
    Metadata, 0 to 13, MetadataRequest => MetadataResponse
}

/// A set of authorized operations that was not asked for.
pub const OPERATIONS_UNKNOWN: i32 = i32::MIN;

structs! {
    /// Which topics a client wants to know of.
    pub struct MetadataRequest {
        /// Null means all topics; at version 0, which has no null, an empty list does, and means none later.
        topics: Option<Vec<MetadataRequestTopic>> = from(0).nullable_from(1);
        allow_auto_topic_creation: bool = from(4), default true;
        include_cluster_authorized_operations: bool = within(8, 10);
        include_topic_authorized_operations: bool = from(8);
    }

    /// A topic, by name or (from 12 on, with a null name) by id.
    pub struct MetadataRequestTopic {
        topic_id: Uuid = from(10).ignorable();
        name: Option<String> = from(0).nullable_from(10);
    }

    /// The cluster as one broker sees it.
    pub struct MetadataResponse {
        throttle_time_ms: i32 = from(3).ignorable();
        brokers: Vec<MetadataResponseBroker> = from(0);
        cluster_id: Option<String> = from(2).ignorable();
        controller_id: i32 = from(1).ignorable(), default -1;
        topics: Vec<MetadataResponseTopic> = from(0);
        cluster_authorized_operations: i32 = within(8, 10), default OPERATIONS_UNKNOWN;
        error_code: i16 = from(13).ignorable();
    }

    /// A broker that is alive.
    pub struct MetadataResponseBroker {
        node_id: i32 = from(0);
        host: String = from(0);
        port: i32 = from(0);
        rack: Option<String> = from(1).ignorable();
    }

    /// A topic, or why there is none.
    pub struct MetadataResponseTopic {
        error_code: i16 = from(0);
        /// Null only for a topic asked for by an id that nobody knows.
        name: Option<String> = from(0).nullable_from(12);
        topic_id: Uuid = from(10).ignorable();
        is_internal: bool = from(1).ignorable();
        partitions: Vec<MetadataResponsePartition> = from(0);
        topic_authorized_operations: i32 = from(8), default OPERATIONS_UNKNOWN;
    }

    /// A partition: where it is, who leads it.
    pub struct MetadataResponsePartition {
        error_code: i16 = from(0);
        partition_index: i32 = from(0);
        /// -1 where there is none.
        leader_id: i32 = from(0);
        leader_epoch: i32 = from(7).ignorable(), default -1;
        replica_nodes: Vec<i32> = from(0);
        isr_nodes: Vec<i32> = from(0);
        offline_replicas: Vec<i32> = from(5).ignorable();
    }
}
