//! AddOffsetsToTxn 0 to 4: the group whose offsets a transaction is to commit, before it commits them.
//!
//! From TxnOffsetCommit 5 on that request says it itself.

use super::define::{api, structs};

api! {
    /// Adds a group's offsets to a transaction.
    AddOffsetsToTxn, 0 to 4, AddOffsetsToTxnRequest => AddOffsetsToTxnResponse
}

structs! {
    /// Whose offsets, in which transaction.
    pub struct AddOffsetsToTxnRequest {
        transactional_id: String = from(0);
        producer_id: i64 = from(0);
        producer_epoch: i16 = from(0);
        group_id: String = from(0);
    }

    /// What became of it.
    pub struct AddOffsetsToTxnResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(0);
    }
}
