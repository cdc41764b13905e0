//! DescribeTransactions: how transactional ids stand.
//!
//! - Versions: all that `wire` speaks. An id that nobody has asked for is TRANSACTIONAL_ID_NOT_FOUND.
//! - Groups whose offsets are to be committed show as partitions of `__consumer_offsets`, which is no topic here.
//! - An id that is named again is INVALID_REQUEST the second time, so that a small request cannot ask for a long list many
//!   times over.

use super::{Call, coordinates};
use crate::broker::coordinator::{Part, Sort, internal_partition};
use crate::wire::ErrorCode;
use crate::wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

const OFFSETS_TOPIC: &str = "__consumer_offsets";

pub(super) fn handle(call: &Call<'_>, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut named = HashSet::new();
    let answer = |id: String| {
        let described = if named.insert(id.clone()) { describe(call, &id) } else { Err(ErrorCode::InvalidRequest) };
        let state =
            described.unwrap_or_else(|error| TransactionState { error_code: error.code(), ..Default::default() });
        TransactionState { transactional_id: id, ..state }
    };
    let transaction_states = request.transactional_ids.into_iter().map(answer).collect();
    DescribeTransactionsResponse { transaction_states, ..Default::default() }
}

fn describe(call: &Call<'_>, id: &str) -> Result<TransactionState, ErrorCode> {
    if let Some(error) = call.forced(None) {
        return Err(error);
    }
    coordinates(call, Sort::Transaction, id)?;
    let found = call.cluster.coordinator.look(id).ok_or(ErrorCode::TransactionalIdNotFound)?;
    let mut topics: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for part in &found.parts {
        let (topic, partition) = match part {
            Part::Partition(at) => (at.topic.to_string(), at.partition),
            Part::Group(group) => (OFFSETS_TOPIC.to_owned(), internal_partition(group)),
        };
        topics.entry(topic).or_default().insert(partition);
    }
    let tell = |(topic, partitions): (String, BTreeSet<i32>)| TopicData {
        topic,
        partitions: partitions.into_iter().collect(),
    };
    Ok(TransactionState {
        transaction_state: found.phase.name().to_owned(),
        transaction_timeout_ms: found.timeout_ms,
        transaction_start_time_ms: found.started_ms,
        producer_id: found.producer.id,
        producer_epoch: found.producer.epoch,
        topics: topics.into_iter().map(tell).collect(),
        ..Default::default()
    })
}
