//! OffsetDelete: some of a group's offsets go.
//!
//! - Versions: 0, the only one.
//! - Offsets of a topic that a member reads are GROUP_SUBSCRIBED_TO_TOPIC; a group whose members do not say what they read
//!   is NON_EMPTY_GROUP as a whole. What is not there is deleted without complaint, if the partition is.

use super::{Call, coordinates};
use crate::base::place::TopicPartition;
use crate::broker::coordinator::{Groups, Sort};
use crate::wire::ErrorCode;
use crate::wire::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

pub(super) fn handle(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let refused = |error: ErrorCode| OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
    if let Err(error) = call.forced(None).map_or_else(|| look(call, &request), Err) {
        return refused(error);
    }
    let mut groups = call.cluster.coordinator.groups();
    if let Err(error) = admit(&groups, &request.group_id) {
        return refused(error);
    }
    let group = request.group_id.as_str();
    let topics = request.topics.into_iter().map(|topic| delete(call, &mut groups, group, topic)).collect();
    drop(groups);
    call.forced_after(None).map_or(OffsetDeleteResponse { topics, ..Default::default() }, refused)
}

fn look(call: &Call<'_>, request: &OffsetDeleteRequest) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    coordinates(call, Sort::Group, &request.group_id)
}

fn admit(groups: &Groups, group: &str) -> Result<(), ErrorCode> {
    groups.membership(group).ok_or(ErrorCode::GroupIdNotFound)?.admit_offset_delete()
}

fn delete(
    call: &Call<'_>,
    groups: &mut Groups,
    group: &str,
    topic: OffsetDeleteRequestTopic,
) -> OffsetDeleteResponseTopic {
    let is_read = groups.membership(group).is_some_and(|membership| membership.reads(&topic.name));
    let name: std::sync::Arc<str> = topic.name.as_str().into();
    let mut delete_one = |partition: i32| {
        let at = TopicPartition::new(name.clone(), partition);
        if call.cluster.partition(&at).is_none() {
            return ErrorCode::UnknownTopicOrPartition;
        }
        if is_read {
            return ErrorCode::GroupSubscribedToTopic;
        }
        groups.delete_offset(group, &at);
        ErrorCode::None
    };
    let partitions = topic.partitions.iter().map(|partition| OffsetDeleteResponsePartition {
        partition_index: partition.partition_index,
        error_code: delete_one(partition.partition_index).code(),
    });
    OffsetDeleteResponseTopic { partitions: partitions.collect(), name: topic.name }
}
