//! DescribeCluster: the nodes again, for admin clients.
//!
//! - Versions: all that `wire` speaks.
//! - There are brokers to describe, no controllers: an endpoint type other than 1 is refused as Kafka refuses it.
//! - Left out: authorized operations, fenced brokers, racks.

use super::Call;
use crate::broker::membership::Node;
use crate::wire::ErrorCode;
use crate::wire::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(call: &Call<'_>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let cluster = call.cluster;
    let error = match request.endpoint_type {
        BROKERS => call.forced(None),
        CONTROLLERS => Some(ErrorCode::MismatchedEndpointType),
        _ => Some(ErrorCode::UnsupportedEndpointType),
    };
    if let Some(error) = error {
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(error.name().to_owned()),
            ..Default::default()
        };
    }
    let tell = |node: Node| DescribeClusterBroker {
        broker_id: node.id,
        host: node.host,
        port: node.port.into(),
        ..Default::default()
    };
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: cluster.id.clone(),
        controller_id: cluster.controller(),
        brokers: cluster.alive().into_iter().map(tell).collect(),
        ..Default::default()
    }
}
