//! OffsetCommit: how far a group has read.
//!
//! - Versions: all that `wire` speaks.
//! - A member commits in its generation; while the group has no members anybody may who claims no generation. A generation
//!   of a group that is not there is ILLEGAL_GENERATION, from v9 on GROUP_ID_NOT_FOUND. A commit counts as a heartbeat.
//! - Left out: expiry.

use super::{Call, coordinates};
use crate::base::place::TopicPartition;
use crate::broker::coordinator::{Committed, Committer, Groups, Sort};
use crate::wire::ErrorCode;
use crate::wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

/// The version from which a group that is not there is told as such.
const NOT_FOUND_FROM_VERSION: i16 = 9;

pub(super) fn handle(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let coordinator = &call.cluster.coordinator;
    let refused = call.forced(None).or_else(|| coordinates(call, Sort::Group, &request.group_id).err());
    // Held to the end: who is admitted is not out before its offsets are in.
    let mut groups = coordinator.groups();
    let refused = refused.or_else(|| {
        let known = |topic: &OffsetCommitRequestTopic| {
            let mut partitions = topic.partitions.iter();
            partitions
                .any(|p| call.cluster.partition(&TopicPartition::new(topic.name.as_str(), p.partition_index)).is_some())
        };
        // With nothing to commit nobody is asked.
        request.topics.iter().any(known).then(|| admit(call, &mut groups, &request).err()).flatten()
    });
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
                    None => groups.commit(&request.group_id, at, committed, None, &call.cluster.memory),
                };
                let error = kept.err().or(call.forced_after(None)).unwrap_or(ErrorCode::None);
                OffsetCommitResponsePartition { partition_index: partition.partition_index, error_code: error.code() }
            })
            .collect(),
        name: topic.name,
    };
    OffsetCommitResponse { topics: request.topics.into_iter().map(of_topic).collect(), ..Default::default() }
}

fn admit(call: &Call<'_>, groups: &mut Groups, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    let not_found = call.version >= NOT_FOUND_FROM_VERSION;
    let unknown = if not_found { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
    let committer = Committer {
        generation: request.generation_id_or_member_epoch,
        member: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        is_transactional: false,
    };
    groups.admit(&call.cluster.coordinator.env(call.cluster), &request.group_id, &committer, unknown)
}
