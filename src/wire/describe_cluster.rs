//! DescribeCluster 0 to 2: the brokers, the controller, the cluster's id.

use super::define::{api, structs};
pub use super::metadata::OPERATIONS_UNKNOWN;

api! {
    /// Describes the cluster.
    DescribeCluster, 0 to 2, DescribeClusterRequest => DescribeClusterResponse
}

structs! {
    /// What to tell.
    pub struct DescribeClusterRequest {
        include_cluster_authorized_operations: bool = from(0);
        /// 1: brokers, 2: controllers.
        endpoint_type: i8 = from(1), default 1;
        include_fenced_brokers: bool = from(2);
    }

    /// The cluster.
    pub struct DescribeClusterResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(0);
        error_message: Option<String> = from(0);
        endpoint_type: i8 = from(1), default 1;
        cluster_id: String = from(0);
        /// A broker names any that is alive: clients do not reach the controller itself.
        controller_id: i32 = from(0), default -1;
        brokers: Vec<DescribeClusterBroker> = from(0);
        cluster_authorized_operations: i32 = from(0), default OPERATIONS_UNKNOWN;
    }

    /// One broker.
    pub struct DescribeClusterBroker {
        broker_id: i32 = from(0);
        host: String = from(0);
        port: i32 = from(0);
        rack: Option<String> = from(0);
        is_fenced: bool = from(2);
    }
}
