//! Fetch 4 to 18: record batches from partitions. By topic name up to version 12, by topic id from 13 on.
//!
//! What comes back starts at a batch boundary at or before the offset asked for, and may end amid a batch.

use super::Uuid;
use super::define::{api, structs};
pub use super::produce::{LeaderIdAndEpoch, NodeEndpoint};

api! {
    /// Reads record batches from partitions.
    Fetch, 4 to 18, FetchRequest => FetchResponse<'a>
}

structs! {
    /// Where to read on, partition by partition, and how long to wait.
    pub struct FetchRequest {
        cluster_id: Option<String> = from(12).tagged(0).ignorable();
        /// -1 for a consumer.
        replica_id: i32 = within(0, 14), default -1;
        replica_state: ReplicaState = from(15).tagged(1);
        max_wait_ms: i32 = from(0);
        min_bytes: i32 = from(0);
        max_bytes: i32 = from(3).ignorable(), default i32::MAX;
        /// 0: read uncommitted, 1: read committed.
        isolation_level: i8 = from(4).ignorable();
        session_id: i32 = from(7).ignorable();
        /// -1 for a fetch outside any session.
        session_epoch: i32 = from(7).ignorable(), default -1;
        topics: Vec<FetchTopic> = from(0);
        forgotten_topics_data: Vec<ForgottenTopic> = from(7);
        rack_id: String = from(11).ignorable();
    }

    /// Which follower this is, for brokers.
    pub struct ReplicaState {
        replica_id: i32 = from(15), default -1;
        replica_epoch: i64 = from(15), default -1;
    }

    /// One topic to read.
    pub struct FetchTopic {
        topic: String = within(0, 12).ignorable();
        topic_id: Uuid = from(13).ignorable();
        partitions: Vec<FetchPartition> = from(0);
    }

    /// One partition to read.
    pub struct FetchPartition {
        partition: i32 = from(0);
        /// The epoch the client takes for the leader's; -1 unless it wants to be told when it is wrong.
        current_leader_epoch: i32 = from(9).ignorable(), default -1;
        fetch_offset: i64 = from(0);
        last_fetched_epoch: i32 = from(12), default -1;
        /// For followers; -1 otherwise.
        log_start_offset: i64 = from(5).ignorable(), default -1;
        partition_max_bytes: i32 = from(0);
        replica_directory_id: Uuid = from(17).tagged(0).ignorable();
        /// For followers: the high watermark they know of.
        high_watermark: i64 = from(18).tagged(1).ignorable(), default i64::MAX;
    }

    /// Partitions to take out of the session.
    pub struct ForgottenTopic {
        topic: String = within(7, 12).ignorable();
        topic_id: Uuid = from(13).ignorable();
        partitions: Vec<i32> = from(7);
    }

    /// What was there.
    pub struct FetchResponse<'a> {
        throttle_time_ms: i32 = from(1).ignorable();
        error_code: i16 = from(7).ignorable();
        session_id: i32 = from(7);
        responses: Vec<FetchableTopicResponse<'a>> = from(0);
        node_endpoints: Vec<NodeEndpoint> = from(16).tagged(0).ignorable();
    }

    /// One topic's data.
    pub struct FetchableTopicResponse<'a> {
        topic: String = within(0, 12).ignorable();
        topic_id: Uuid = from(13).ignorable();
        partitions: Vec<PartitionData<'a>> = from(0);
    }

    /// One partition's data.
    pub struct PartitionData<'a> {
        partition_index: i32 = from(0);
        error_code: i16 = from(0);
        high_watermark: i64 = from(0);
        last_stable_offset: i64 = from(4).ignorable(), default -1;
        log_start_offset: i64 = from(5).ignorable(), default -1;
        diverging_epoch: EpochEndOffset = from(12).tagged(0);
        current_leader: LeaderIdAndEpoch = from(12).tagged(1).ignorable();
        snapshot_id: SnapshotId = from(12).tagged(2);
        /// Null unless read committed was asked for.
        aborted_transactions: Option<Vec<AbortedTransaction>> = from(4).ignorable();
        /// A nearer replica to read from instead; -1 where there is none.
        preferred_read_replica: i32 = from(11), default -1;
        records: Option<&'a [u8]> = from(0);
    }

    /// Where the log of a follower parts from the leader's.
    pub struct EpochEndOffset {
        epoch: i32 = from(12), default -1;
        end_offset: i64 = from(12), default -1;
    }

    /// The snapshot to fetch instead of records.
    pub struct SnapshotId {
        end_offset: i64 = from(0), default -1;
        epoch: i32 = from(0), default -1;
    }

    /// A transaction that was aborted within the bytes returned.
    pub struct AbortedTransaction {
        producer_id: i64 = from(4);
        first_offset: i64 = from(4);
    }
}
