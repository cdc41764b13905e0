//! OffsetCommit: how far a group has read.
//!
//! - Versions: all that `wire` speaks.
//! - Groups are only names: who commits names no member. A generation of 0 or above is UNKNOWN_MEMBER_ID where the group
//!   is there; where it is not ILLEGAL_GENERATION, from v9 on GROUP_ID_NOT_FOUND.
//! - Left out: membership, static members, expiry.

use super::{Call, coordinates};
use crate::base::place::TopicPartition;
use crate::broker::coordinator::{Committed, Sort};
use crate::wire::ErrorCode;
use crate::wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

/// The version from which a group that is not there is told as such.
const NOT_FOUND_FROM_VERSION: i16 = 9;

pub(super) fn handle(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let refused = call.forced(None).or_else(|| refuse(call, &request).err());
    let of_topic = |topic: OffsetCommitRequestTopic| OffsetCommitResponseTopic {
        partitions: topic
            .partitions
            .iter()
            .map(|partition| {
                let committed = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.clone().unwrap_or_default(),
                };
                let at = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                let kept = match refused {
                    _ if call.cluster.partition(&at).is_none() => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(error) => Err(error),
                    None => {
                        let mut groups = call.cluster.coordinator.groups();
                        groups.commit(&request.group_id, at, committed, None, &call.cluster.memory)
                    }
                };
                let error = kept.err().or(call.forced_after(None)).unwrap_or(ErrorCode::None);
                OffsetCommitResponsePartition { partition_index: partition.partition_index, error_code: error.code() }
            })
            .collect(),
        name: topic.name,
    };
    OffsetCommitResponse { topics: request.topics.into_iter().map(of_topic).collect(), ..Default::default() }
}

fn refuse(call: &Call<'_>, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    coordinates(call, Sort::Group, &request.group_id)?;
    let not_found = call.version >= NOT_FOUND_FROM_VERSION;
    let unknown = if not_found { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
    call.cluster.coordinator.groups().admit(&request.group_id, request.generation_id_or_member_epoch, unknown)
}
