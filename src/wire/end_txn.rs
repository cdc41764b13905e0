//! EndTxn 0 to 5: commits or aborts a transaction.
//!
//! Up to version 4 the producer goes on with its id and epoch. From 5 on each transaction has an epoch of its own: the
//! answer says which id and epoch are the next one's.

use super::define::{api, structs};

api! {
    /// Ends a transaction.
    EndTxn, 0 to 5, EndTxnRequest => EndTxnResponse
}

structs! {
    /// Which transaction, and how it ends.
    pub struct EndTxnRequest {
        transactional_id: String = from(0);
        producer_id: i64 = from(0);
        producer_epoch: i16 = from(0);
        /// False aborts it.
        committed: bool = from(0);
    }

    /// What became of it.
    pub struct EndTxnResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(0);
        producer_id: i64 = from(5).ignorable(), default -1;
        producer_epoch: i16 = from(5).ignorable(), default -1;
    }
}
