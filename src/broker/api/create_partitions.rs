//! CreatePartitions: a topic grows; records stay where they are.
//!
//! - Versions: all that `wire` speaks.
//! - The new number must be larger than the old one; an assignment, if given, must name as many replica lists as there
//!   are new partitions.

use super::Call;
use super::create_topics::{PARTITIONS_MAX, check_replicas};
use crate::broker::validate::Refusal;
use crate::wire::ErrorCode;
use crate::wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

pub(super) fn handle(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let grow = |topic: &CreatePartitionsTopic| {
        let mut result = CreatePartitionsTopicResult { name: topic.name.clone(), ..Default::default() };
        if let Err(refusal) = grow(call, topic, request.validate_only) {
            result.error_code = refusal.code.code();
            result.error_message = Some(refusal.message);
        }
        result
    };
    CreatePartitionsResponse { results: request.topics.iter().map(grow).collect(), ..Default::default() }
}

fn grow(call: &Call<'_>, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    call.refuse_if_forced()?;
    let Some(topic) = call.cluster.topic(&wanted.name) else {
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic."));
    };
    let now = topic.partition_count();
    let count = wanted.count;
    let added =
        usize::try_from(count).ok().filter(|_| count <= PARTITIONS_MAX).and_then(|count| count.checked_sub(now));
    let Some(added) = added.filter(|added| *added > 0) else {
        let why = format!("The topic has {now} partitions, {count} is not more, or more than {PARTITIONS_MAX}.");
        return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
    };
    let replicas = topic.replication_factor();
    let placement = match &wanted.assignments {
        None => (0..added).map(|_| call.cluster.place(replicas)).collect(),
        Some(lists) => {
            let wrong = |why: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, why);
            if lists.len() != added || lists.iter().any(|list| list.broker_ids.len() != replicas) {
                return Err(wrong(format!("{added} lists of {replicas} replicas are needed.")));
            }
            lists.iter().try_for_each(|list| check_replicas(call, &list.broker_ids)).map_err(wrong)?;
            lists.iter().map(|list| list.broker_ids.clone()).collect()
        }
    };
    if validate_only {
        return Ok(());
    }
    topic.add_partitions(placement, &call.cluster.memory).ok_or_else(|| {
        Refusal::new(ErrorCode::PolicyViolation, "the broker's memory is full: delete topics, or raise --memory")
    })
}
