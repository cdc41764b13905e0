//! OffsetForLeaderEpoch: where the records of an earlier leader end, so that a reader learns what was truncated.
//!
//! - Versions: all that `wire` speaks. Only the leader answers; the client's idea of its epoch is checked first.
//! - The newest epoch ends at the end of the log, also above the high watermark. An epoch newer than that is answered by
//!   -1 and -1 without error, one that wrote nothing by the one before it.
//! - Left out: followers (a replica id is not looked at).

use super::{Call, Role, hosted};
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic, OffsetForLeaderTopicResult,
};

pub(super) fn partitions(request: &OffsetForLeaderEpochRequest) -> Vec<TopicPartition> {
    let of = |topic: &OffsetForLeaderTopic| {
        let name: std::sync::Arc<str> = topic.topic.as_str().into();
        topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.partition)).collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of).collect()
}

pub(super) fn handle(call: &Call<'_>, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let answer = |wanted| find(call, &topic.topic, wanted);
        let partitions = topic.partitions.iter().map(answer).collect();
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    OffsetForLeaderEpochResponse { topics, ..Default::default() }
}

fn find(call: &Call<'_>, name: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset { partition: wanted.partition, ..Default::default() };
    let find = || {
        if let Some(error) = call.forced(Some((name, wanted.partition))) {
            return Err(error);
        }
        let topic = call.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let partition = topic.partition(wanted.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let state = hosted(call, &partition, wanted.current_leader_epoch, Role::Leader)?;
        Ok(state.log.end_of_epoch(wanted.leader_epoch))
    };
    match find() {
        Ok(Some(found)) => EpochEndOffset { leader_epoch: found.epoch, end_offset: found.end, ..answer },
        Ok(None) => answer,
        Err(error) => EpochEndOffset { error_code: error.code(), ..answer },
    }
}
