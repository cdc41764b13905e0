//! DescribeTransactions 0: what a coordinator knows of transactional ids.

use super::define::{api, structs};

api! {
    /// Describes transactions.
    DescribeTransactions, 0 to 0, DescribeTransactionsRequest => DescribeTransactionsResponse
}

structs! {
    /// Whose transactions.
    pub struct DescribeTransactionsRequest {
        transactional_ids: Vec<String> = from(0);
    }

    /// The transactions.
    pub struct DescribeTransactionsResponse {
        throttle_time_ms: i32 = from(0);
        transaction_states: Vec<TransactionState> = from(0);
    }

    /// One transactional id.
    pub struct TransactionState {
        error_code: i16 = from(0);
        transactional_id: String = from(0);
        /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort`.
        transaction_state: String = from(0);
        transaction_timeout_ms: i32 = from(0);
        /// -1 where none is open.
        transaction_start_time_ms: i64 = from(0);
        producer_id: i64 = from(0);
        producer_epoch: i16 = from(0);
        /// What it has written to and not yet marked.
        topics: Vec<TopicData> = from(0);
    }

    /// One topic.
    pub struct TopicData {
        topic: String = from(0);
        partitions: Vec<i32> = from(0);
    }
}
