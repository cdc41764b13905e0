//! ListPartitionReassignments: the moves of partitions that are under way.
//!
//! - Versions: all that `wire` speaks.
//! - What does not move is not told, whether it was asked for by name or not, or is there at all.

use super::Call;
use crate::broker::topic::{Partition, Topic};
use crate::wire::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};
use std::sync::Arc;

pub(super) fn handle(
    call: &Call<'_>,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    if let Some(error) = call.forced(None) {
        return ListPartitionReassignmentsResponse { error_code: error.code(), ..Default::default() };
    }
    let topics: Vec<OngoingTopicReassignment> = match request.topics {
        None => call.cluster.topics().iter().map(|topic| tell(topic, topic.partitions())).collect(),
        Some(wanted) => wanted
            .iter()
            .filter_map(|wanted| {
                let topic = call.cluster.topic(&wanted.name)?;
                let partitions = wanted.partition_indexes.iter().filter_map(|index| topic.partition(*index));
                Some(tell(&topic, partitions.collect()))
            })
            .collect(),
    };
    let topics = topics.into_iter().filter(|topic| !topic.partitions.is_empty()).collect();
    ListPartitionReassignmentsResponse { topics, ..Default::default() }
}

fn tell(topic: &Topic, partitions: Vec<Arc<Partition>>) -> OngoingTopicReassignment {
    let tell_one = |partition: Arc<Partition>| {
        let state = partition.state();
        state.moving.is_under_way().then(|| OngoingPartitionReassignment {
            partition_index: partition.at.partition,
            replicas: state.replicas.clone(),
            adding_replicas: state.moving.adding.clone(),
            removing_replicas: state.moving.removing.clone(),
        })
    };
    OngoingTopicReassignment {
        name: topic.name.to_string(),
        partitions: partitions.into_iter().filter_map(tell_one).collect(),
    }
}
