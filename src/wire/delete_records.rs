//! DeleteRecords 0 to 2: moves the start of partitions.

use super::define::{api, structs};

api! {
    /// Deletes the records before an offset.
    DeleteRecords, 0 to 2, DeleteRecordsRequest => DeleteRecordsResponse
}

structs! {
    /// Where partitions shall start.
    pub struct DeleteRecordsRequest {
        topics: Vec<DeleteRecordsTopic> = from(0);
        timeout_ms: i32 = from(0);
    }

    /// One topic.
    pub struct DeleteRecordsTopic {
        name: String = from(0);
        partitions: Vec<DeleteRecordsPartition> = from(0);
    }

    /// One partition and its new first offset, -1 for the high watermark.
    pub struct DeleteRecordsPartition {
        partition_index: i32 = from(0);
        offset: i64 = from(0);
    }

    /// What became of each.
    pub struct DeleteRecordsResponse {
        throttle_time_ms: i32 = from(0);
        topics: Vec<DeleteRecordsTopicResult> = from(0);
    }

    /// One topic.
    pub struct DeleteRecordsTopicResult {
        name: String = from(0);
        partitions: Vec<DeleteRecordsPartitionResult> = from(0);
    }

    /// One partition and where it starts now.
    pub struct DeleteRecordsPartitionResult {
        partition_index: i32 = from(0);
        low_watermark: i64 = from(0);
        error_code: i16 = from(0);
    }
}
