//! OffsetFetch: how far groups have read.
//!
//! - Versions: all that `wire` speaks; several groups from v8 on. No topics at all means all of the group's.
//! - Asked for stable offsets (v7), those that an undecided transaction may change are UNSTABLE_OFFSET_COMMIT.
//! - A partition without an offset, also one that is not there, has offset -1 and no error.
//! - A group, or a partition of one, that is named again is INVALID_REQUEST the second time (Kafka answers it again), so
//!   that a small request cannot ask for long metadata many times over.
//! - Left out: member ids and epochs, which are not looked at.

use super::{Call, coordinates};
use crate::base::place::TopicPartition;
use crate::broker::coordinator::{Groups, Sort};
use crate::wire::ErrorCode;
use crate::wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use std::collections::HashSet;
use std::sync::Arc;

/// The version from which several groups are asked for.
const GROUPS_FROM_VERSION: i16 = 8;

/// The version from which a group's error has a place of its own.
const GROUP_ERROR_FROM_VERSION: i16 = 2;

const NO_OFFSET: i64 = -1;
const NO_EPOCH: i32 = -1;

pub(super) fn handle(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if call.version >= GROUPS_FROM_VERSION {
        let mut named = HashSet::new();
        let answer = |group: &OffsetFetchRequestGroup| {
            let is_first = named.insert(group.group_id.clone());
            if is_first { fetch(call, group, stable) } else { refused(group, ErrorCode::InvalidRequest) }
        };
        return OffsetFetchResponse { groups: request.groups.iter().map(answer).collect(), ..Default::default() };
    }
    let plural = |topics: Vec<_>| topics.into_iter().map(to_plural).collect::<Vec<_>>();
    let group = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: request.topics.map(plural),
        ..Default::default()
    };
    let answer = fetch(call, &group, stable);
    if call.version >= GROUP_ERROR_FROM_VERSION || answer.error_code == 0 {
        let topics = answer.topics.into_iter().map(to_singular).collect();
        return OffsetFetchResponse { topics, error_code: answer.error_code, ..Default::default() };
    }
    // No place for the group's error but beside each partition.
    let of_topic = |topic: OffsetFetchRequestTopics| OffsetFetchResponseTopics {
        partitions: topic.partition_indexes.iter().map(|index| nothing(*index, answer.error_code)).collect(),
        name: topic.name,
    };
    let topics = group.topics.unwrap_or_default().into_iter().map(of_topic).map(to_singular).collect();
    OffsetFetchResponse { topics, ..Default::default() }
}

fn fetch(call: &Call<'_>, group: &OffsetFetchRequestGroup, stable: bool) -> OffsetFetchResponseGroup {
    let name = &group.group_id;
    if let Err(error) = call.forced(None).map_or_else(|| coordinates(call, Sort::Group, name), Err) {
        return refused(group, error);
    }
    let groups = call.cluster.coordinator.groups();
    let mut named = HashSet::new();
    let of_topic = |topic: &OffsetFetchRequestTopics| {
        let shared: Arc<str> = topic.name.as_str().into();
        let answer = |index: &i32| {
            let at = TopicPartition::new(shared.clone(), *index);
            let is_first = named.insert(at.clone());
            let again = ErrorCode::InvalidRequest.code();
            if is_first { one(&groups, name, &at, stable) } else { nothing(*index, again) }
        };
        let partitions = topic.partition_indexes.iter().map(answer).collect();
        OffsetFetchResponseTopics { name: topic.name.clone(), partitions }
    };
    let topics = match &group.topics {
        Some(topics) => topics.iter().map(of_topic).collect(),
        None => all(&groups, name, stable),
    };
    OffsetFetchResponseGroup { group_id: name.clone(), topics, error_code: 0 }
}

fn all(groups: &Groups, group: &str, stable: bool) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    // In the order of their names.
    for at in groups.partitions(group) {
        let partition = one(groups, group, &at, stable);
        match topics.last_mut().filter(|last| last.name == *at.topic) {
            Some(last) => last.partitions.push(partition),
            None => {
                topics.push(OffsetFetchResponseTopics { name: at.topic.to_string(), partitions: vec![partition] });
            }
        }
    }
    topics
}

fn one(groups: &Groups, group: &str, at: &TopicPartition, stable: bool) -> OffsetFetchResponsePartitions {
    match groups.offset(group, at, stable) {
        Ok(Some(committed)) => OffsetFetchResponsePartitions {
            partition_index: at.partition,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            metadata: Some(committed.metadata.clone()),
            error_code: 0,
        },
        Ok(None) => nothing(at.partition, 0),
        Err(error) => nothing(at.partition, error.code()),
    }
}

fn nothing(partition_index: i32, error_code: i16) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: NO_EPOCH,
        metadata: Some(String::new()),
        error_code,
    }
}

fn refused(group: &OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup { group_id: group.group_id.clone(), topics: Vec::new(), error_code: error.code() }
}

fn to_plural(topic: crate::wire::offset_fetch::OffsetFetchRequestTopic) -> OffsetFetchRequestTopics {
    OffsetFetchRequestTopics { name: topic.name, partition_indexes: topic.partition_indexes }
}

fn to_singular(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let of = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    OffsetFetchResponseTopic { name: topic.name, partitions: topic.partitions.into_iter().map(of).collect() }
}
