//! TxnOffsetCommit: how far a group has read, in force once the transaction is committed.
//!
//! - Versions: all that `wire` speaks. From v5 on the group becomes part of the transaction by this; before, it must have
//!   been added by AddOffsetsToTxn (TRANSACTION_ABORTABLE, INVALID_TXN_STATE before v4).
//! - Members and generations are looked at as in `offset_commit`, but a commit that names neither is always taken, and a
//!   rebalance under way is no hindrance.

use super::enlist::{Asker, ask};
use super::{Call, coordinates};
use crate::base::place::TopicPartition;
use crate::broker::coordinator::{Committed, Committer, Part, Producer, Sort};
use crate::wire::ErrorCode;
use crate::wire::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};

/// The version from which the request itself adds the group, and the one from which TRANSACTION_ABORTABLE is told.
const ADDS_FROM_VERSION: i16 = 5;
const ABORTABLE_FROM_VERSION: i16 = 4;

pub(super) async fn handle(call: &Call<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let known = |topic: &str, index: i32| call.cluster.partition(&TopicPartition::new(topic, index)).is_some();
    let any_known =
        request.topics.iter().any(|topic| topic.partitions.iter().any(|p| known(&topic.name, p.partition_index)));
    let refused = match call.forced(None) {
        Some(error) => Some(error),
        // With nothing to commit nobody is asked.
        None if !any_known => None,
        None => refuse(call, &request).await.err(),
    };
    let coordinator = &call.cluster.coordinator;
    // Held to the end: who is admitted is not out before its offsets are in.
    let mut groups = coordinator.groups();
    let refused = refused.or_else(|| {
        let committer = Committer {
            generation: request.generation_id,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            is_transactional: true,
        };
        let unknown = ErrorCode::IllegalGeneration;
        any_known.then(|| groups.admit(&coordinator.env(call.cluster), &request.group_id, &committer, unknown).err())?
    });
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let of_topic = |topic: TxnOffsetCommitRequestTopic| TxnOffsetCommitResponseTopic {
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
                    _ if !known(&topic.name, partition.partition_index) => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(error) => Err(error),
                    None => groups.commit(&request.group_id, at, committed, Some(producer), &call.cluster.memory),
                };
                let error = kept.err().or(call.forced_after(None)).unwrap_or(ErrorCode::None);
                TxnOffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.code(),
                }
            })
            .collect(),
        name: topic.name,
    };
    TxnOffsetCommitResponse { topics: request.topics.into_iter().map(of_topic).collect(), ..Default::default() }
}

async fn refuse(call: &Call<'_>, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
    let group = &request.group_id;
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    coordinates(call, Sort::Group, group)?;
    let coordinator = &call.cluster.coordinator;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    if !coordinator.groups().has_open(group, producer) {
        let asker = Asker {
            id: &request.transactional_id,
            producer,
            adds: call.version >= ADDS_FROM_VERSION,
            knows_abortable: call.version >= ABORTABLE_FROM_VERSION,
            unavailable: ErrorCode::CoordinatorNotAvailable,
        };
        let part = Part::Group(group.as_str().into());
        let answers = ask(call.cluster, &asker, vec![part]).await;
        answers.into_iter().collect::<Result<Vec<()>, ErrorCode>>()?;
    }
    Ok(())
}
