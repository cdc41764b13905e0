//! AddPartitionsToTxn 0 to 5: which partitions a transaction is to write to, before it writes to them.
//!
//! Clients speak versions 0 to 3, one transaction a request; 4 and 5 are what a broker asks another one, several at a
//! time, to add their partitions or only to see whether they were added. What the older versions hold stands under the
//! names `v3_and_below_*`, as in Kafka's definition.

use super::define::{api, structs};

api! {
    /// Adds partitions to transactions.
    AddPartitionsToTxn, 0 to 5, AddPartitionsToTxnRequest => AddPartitionsToTxnResponse
}

structs! {
    /// The partitions, of one transaction or, from version 4 on, of several.
    pub struct AddPartitionsToTxnRequest {
        transactions: Vec<AddPartitionsToTxnTransaction> = from(4);
        v3_and_below_transactional_id: String = within(0, 3);
        v3_and_below_producer_id: i64 = within(0, 3);
        v3_and_below_producer_epoch: i16 = within(0, 3);
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> = within(0, 3);
    }

    /// One transaction.
    pub struct AddPartitionsToTxnTransaction {
        transactional_id: String = from(4);
        producer_id: i64 = from(4);
        producer_epoch: i16 = from(4);
        /// Nothing is added, the answer says whether it was.
        verify_only: bool = from(4);
        topics: Vec<AddPartitionsToTxnTopic> = from(4);
    }

    /// One topic.
    pub struct AddPartitionsToTxnTopic {
        name: String = from(0);
        partitions: Vec<i32> = from(0);
    }

    /// What became of it.
    pub struct AddPartitionsToTxnResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(4).ignorable();
        results_by_transaction: Vec<AddPartitionsToTxnResult> = from(4);
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> = within(0, 3);
    }

    /// One transaction.
    pub struct AddPartitionsToTxnResult {
        transactional_id: String = from(4);
        topic_results: Vec<AddPartitionsToTxnTopicResult> = from(4);
    }

    /// One topic.
    pub struct AddPartitionsToTxnTopicResult {
        name: String = from(0);
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> = from(0);
    }

    /// One partition.
    pub struct AddPartitionsToTxnPartitionResult {
        partition_index: i32 = from(0);
        partition_error_code: i16 = from(0);
    }
}
