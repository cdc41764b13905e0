//! ListTransactions 0 to 2: the transactional ids that a coordinator keeps.

use super::define::{api, structs};

api! {
    /// Lists transactions.
    ListTransactions, 0 to 2, ListTransactionsRequest => ListTransactionsResponse
}

structs! {
    /// Which of them; an empty filter lets all through.
    pub struct ListTransactionsRequest {
        state_filters: Vec<String> = from(0);
        producer_id_filters: Vec<i64> = from(0);
        /// Only those open for longer than so many milliseconds; -1 for all.
        duration_filter: i64 = from(1), default -1;
        /// A regular expression that the whole id must match.
        transactional_id_pattern: Option<String> = from(2);
    }

    /// The transactions.
    pub struct ListTransactionsResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(0);
        /// The filters that name no state.
        unknown_state_filters: Vec<String> = from(0);
        transaction_states: Vec<TransactionState> = from(0);
    }

    /// One transactional id.
    pub struct TransactionState {
        transactional_id: String = from(0);
        producer_id: i64 = from(0);
        transaction_state: String = from(0);
    }
}
