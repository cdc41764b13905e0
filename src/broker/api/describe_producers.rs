//! DescribeProducers: what this node knows of the idempotent producers of partitions, after the expiry of old ones.
//!
//! - Versions: all that `wire` speaks. As in Kafka every replica answers, a follower with what it knows itself.
//! - A partition that is named again is INVALID_REQUEST the second time (Kafka answers it again), so that a small request
//!   cannot ask for a list many times over.

use super::{Call, Role, hosted};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::broker::producers::Described;
use crate::broker::topic::check_name;
use crate::wire::ErrorCode;
use crate::wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest, TopicResponse,
};
use std::collections::HashSet;
use std::sync::Arc;

pub(super) fn partitions(request: &DescribeProducersRequest) -> Vec<TopicPartition> {
    let of = |topic: &TopicRequest| {
        let name: Arc<str> = topic.name.as_str().into();
        topic.partition_indexes.iter().map(|p| TopicPartition::new(name.clone(), *p)).collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of).collect()
}

pub(super) fn handle(call: &Call<'_>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut named = HashSet::new();
    for topic in request.topics {
        let name: Arc<str> = topic.name.as_str().into();
        let answer = |&index: &i32| {
            let is_first = named.insert((name.clone(), index));
            let described = if is_first { describe(call, &topic.name, index) } else { Err(ErrorCode::InvalidRequest) };
            let mut answer = PartitionResponse { partition_index: index, ..Default::default() };
            match described {
                Ok(described) => answer.active_producers = described.into_iter().map(tell).collect(),
                Err(error) => answer.error_code = error.code(),
            }
            answer
        };
        let partitions = topic.partition_indexes.iter().map(answer).collect();
        topics.push(TopicResponse { name: topic.name, partitions });
    }
    DescribeProducersResponse { topics, ..Default::default() }
}

fn describe(call: &Call<'_>, name: &str, index: i32) -> Result<Vec<Described>, ErrorCode> {
    if let Some(error) = call.forced(Some((name, index))) {
        return Err(error);
    }
    check_name(name).map_err(|_| ErrorCode::InvalidTopicException)?;
    let topic = call.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let mut state = hosted(call, &partition, -1, Role::Replica)?;
    state.sweep(call.cluster.expiry(), now_ms());
    Ok(state.producers.describe(state.lens(call.node)))
}

fn tell(described: Described) -> ProducerState {
    ProducerState {
        producer_id: described.producer_id,
        producer_epoch: described.epoch.into(),
        last_sequence: described.last_sequence,
        last_timestamp: described.last_timestamp,
        coordinator_epoch: described.coordinator_epoch,
        current_txn_start_offset: described.transaction_start,
    }
}
