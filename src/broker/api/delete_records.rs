//! DeleteRecords: the log start moves up.
//!
//! - Versions: all that `wire` speaks.
//! - -1 stands for the high watermark; an offset above it is OFFSET_OUT_OF_RANGE; one below the log start changes nothing
//!   and the start is told, as in Kafka.
//! - A topic whose `cleanup.policy` lacks `delete` refuses (POLICY_VIOLATION).
//! - Memory comes back for batches that lie wholly below the new start.

use super::{Call, Role, hosted};
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

/// What the low watermark is where there is an error.
const NO_OFFSET: i64 = -1;
const HIGH_WATERMARK: i64 = -1;

pub(super) fn partitions(request: &DeleteRecordsRequest) -> Vec<TopicPartition> {
    let of = |topic: &crate::wire::delete_records::DeleteRecordsTopic| {
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        topic.partitions.iter().map(|p| TopicPartition::new(name.clone(), p.partition_index)).collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of).collect()
}

pub(super) fn handle(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let outcome = trim(call, &topic.name, wanted.partition_index, wanted.offset);
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: outcome.unwrap_or(NO_OFFSET),
                error_code: outcome.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

fn trim(call: &Call<'_>, name: &str, index: i32, offset: i64) -> Result<i64, ErrorCode> {
    if let Some(error) = call.forced(Some((name, index))) {
        return Err(error);
    }
    let topic = call.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !topic.config().may_delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let mut state = hosted(call, &partition, -1, Role::Leader)?;
    let end = state.log.high_watermark();
    let offset = if offset == HIGH_WATERMARK { end } else { offset };
    if !(0..=end).contains(&offset) {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    state.log.trim(offset);
    let start = state.log.start();
    drop(state);
    partition.changed.notify_waiters();
    Ok(start)
}
