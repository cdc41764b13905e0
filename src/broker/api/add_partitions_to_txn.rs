//! AddPartitionsToTxn: which partitions a transaction is to write to.
//!
//! - Versions: all that `wire` speaks. One transaction up to v3; from v4 on several, as brokers ask each other, also only
//!   to see whether partitions were added (TRANSACTION_ABORTABLE where not).
//! - All or nothing: where one partition is not there (UNKNOWN_TOPIC_OR_PARTITION), the others are not added
//!   (OPERATION_NOT_ATTEMPTED).

use super::{Call, coordinates, older};
use crate::base::place::TopicPartition;
use crate::broker::coordinator::{Part, Producer, Sort};
use crate::wire::ErrorCode;
use crate::wire::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};
use std::sync::Arc;

/// The version from which several transactions stand in a request.
const SEVERAL_FROM_VERSION: i16 = 4;

/// The versions from which these errors are told as such.
pub(super) const FENCED_FROM_VERSION: i16 = 2;
const ABORTABLE_FROM_VERSION: i16 = 5;

pub(super) fn handle(call: &Call<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if call.version < SEVERAL_FROM_VERSION {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        let results_by_topic_v3_and_below = one(call, &transaction);
        return AddPartitionsToTxnResponse { results_by_topic_v3_and_below, ..Default::default() };
    }
    let answer = |transaction: AddPartitionsToTxnTransaction| {
        let topic_results = one(call, &transaction);
        AddPartitionsToTxnResult { transactional_id: transaction.transactional_id, topic_results }
    };
    let results_by_transaction = request.transactions.into_iter().map(answer).collect();
    AddPartitionsToTxnResponse { results_by_transaction, ..Default::default() }
}

fn one(call: &Call<'_>, transaction: &AddPartitionsToTxnTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
    let known = |topic: &AddPartitionsToTxnTopic, index: i32| {
        call.cluster.topic(&topic.name).is_some_and(|found| found.partition(index).is_some())
    };
    let all_known = transaction.topics.iter().all(|topic| topic.partitions.iter().all(|index| known(topic, *index)));
    let forced = call.forced(None);
    let refused = match forced.map_or_else(|| coordinates(call, Sort::Transaction, &transaction.transactional_id), Err)
    {
        Ok(()) if all_known && !transaction.verify_only => added(call, transaction).err(),
        Ok(()) => None,
        Err(error) => Some(error),
    };
    let refused = refused.or(call.forced_after(None));
    let code = |topic: &AddPartitionsToTxnTopic, index: i32| match refused {
        Some(error) => older(call, error, FENCED_FROM_VERSION),
        None if !known(topic, index) => ErrorCode::UnknownTopicOrPartition,
        None if !all_known => ErrorCode::OperationNotAttempted,
        None if transaction.verify_only => match verified(call, transaction, &topic.name, index) {
            Err(ErrorCode::TransactionAbortable) if call.version < ABORTABLE_FROM_VERSION => ErrorCode::InvalidTxnState,
            Err(error) => error,
            Ok(()) => ErrorCode::None,
        },
        None => ErrorCode::None,
    };
    let of_topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|&partition_index| AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: code(topic, partition_index).code(),
            })
            .collect(),
    };
    transaction.topics.iter().map(of_topic).collect()
}

fn producer(transaction: &AddPartitionsToTxnTransaction) -> Producer {
    Producer { id: transaction.producer_id, epoch: transaction.producer_epoch }
}

fn added(call: &Call<'_>, transaction: &AddPartitionsToTxnTransaction) -> Result<(), ErrorCode> {
    let mut parts = Vec::new();
    for topic in &transaction.topics {
        let name: Arc<str> = topic.name.as_str().into();
        let at = |index: &i32| Part::Partition(TopicPartition::new(name.clone(), *index));
        parts.extend(topic.partitions.iter().map(at));
    }
    call.cluster.coordinator.add(call.cluster, &transaction.transactional_id, producer(transaction), parts)
}

fn verified(
    call: &Call<'_>,
    transaction: &AddPartitionsToTxnTransaction,
    topic: &str,
    index: i32,
) -> Result<(), ErrorCode> {
    let part = Part::Partition(TopicPartition::new(topic, index));
    call.cluster.coordinator.verify(&transaction.transactional_id, producer(transaction), &part)
}
