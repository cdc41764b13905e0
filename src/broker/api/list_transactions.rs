//! ListTransactions: the transactional ids that this node coordinates.
//!
//! - Versions: 0 and 1. Version 2 filters by a regular expression, for which nothing else here has a use.
//! - An empty filter lets everything through; names of states that do not exist are told.

use super::Call;
use crate::base::clock::now_ms;
use crate::broker::coordinator::{Phase, Sort, Transaction};
use crate::wire::list_transactions::{ListTransactionsRequest, ListTransactionsResponse, TransactionState};

pub(super) fn handle(call: &Call<'_>, request: ListTransactionsRequest) -> ListTransactionsResponse {
    if let Some(error) = call.forced(None) {
        return ListTransactionsResponse { error_code: error.code(), ..Default::default() };
    }
    let cluster = call.cluster;
    let (known, unknown): (Vec<String>, Vec<String>) =
        request.state_filters.into_iter().partition(|name| Phase::ALL.iter().any(|phase| phase.name() == name));
    let any_state = known.is_empty() && unknown.is_empty();
    let in_state = |found: &Transaction| any_state || known.iter().any(|name| name == found.phase.name());
    let of_producer = |found: &Transaction| {
        request.producer_id_filters.is_empty() || request.producer_id_filters.contains(&found.producer.id)
    };
    let (now_ms, longer_than_ms) = (now_ms(), request.duration_filter);
    let is_long = |found: &Transaction| longer_than_ms < 0 || now_ms.saturating_sub(found.started_ms) > longer_than_ms;
    let here = |id: &str| cluster.coordinator.seats.node(Sort::Transaction, id, cluster) == Some(call.node);
    let found = cluster.coordinator.look_at_all();
    let transaction_states = found
        .into_iter()
        .filter(|(id, found)| here(id) && in_state(found) && of_producer(found) && is_long(found))
        .map(|(id, found)| TransactionState {
            transactional_id: id.to_string(),
            producer_id: found.producer.id,
            transaction_state: found.phase.name().to_owned(),
        })
        .collect();
    ListTransactionsResponse { unknown_state_filters: unknown, transaction_states, ..Default::default() }
}
