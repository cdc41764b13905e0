//! Produce 3 to 13: record batches for partitions. By topic name up to version 12, by topic id from 13 on.
//!
//! With `acks` 0 the broker sends no response at all.

use super::Uuid;
use super::define::{api, structs};

api! {
    /// Appends record batches to partitions.
    Produce, 3 to 13, ProduceRequest<'a> => ProduceResponse
}

structs! {
    /// Batches for any number of partitions.
    pub struct ProduceRequest<'a> {
        transactional_id: Option<String> = from(3);
        /// -1: all in-sync replicas, 1: the leader, 0: nobody answers.
        acks: i16 = from(0);
        timeout_ms: i32 = from(0);
        topic_data: Vec<TopicProduceData<'a>> = from(0);
    }

    /// One topic's batches.
    pub struct TopicProduceData<'a> {
        name: String = within(0, 12).ignorable();
        topic_id: Uuid = from(13).ignorable();
        partition_data: Vec<PartitionProduceData<'a>> = from(0);
    }

    /// One partition's batch.
    pub struct PartitionProduceData<'a> {
        index: i32 = from(0);
        records: Option<&'a [u8]> = from(0);
    }

    /// What became of each partition's batch.
    pub struct ProduceResponse {
        responses: Vec<TopicProduceResponse> = from(0);
        throttle_time_ms: i32 = from(1).ignorable();
        node_endpoints: Vec<NodeEndpoint> = from(10).tagged(0).ignorable();
    }

    /// One topic's answers.
    pub struct TopicProduceResponse {
        name: String = within(0, 12).ignorable();
        topic_id: Uuid = from(13).ignorable();
        partition_responses: Vec<PartitionProduceResponse> = from(0);
    }

    /// One partition's answer.
    pub struct PartitionProduceResponse {
        index: i32 = from(0);
        error_code: i16 = from(0);
        base_offset: i64 = from(0);
        /// -1 unless the topic stamps records itself.
        log_append_time_ms: i64 = from(2).ignorable(), default -1;
        log_start_offset: i64 = from(5).ignorable(), default -1;
        record_errors: Vec<BatchIndexAndErrorMessage> = from(8).ignorable();
        error_message: Option<String> = from(8).ignorable();
        current_leader: LeaderIdAndEpoch = from(10).tagged(0).ignorable();
    }

    /// The record that made the broker refuse the batch.
    pub struct BatchIndexAndErrorMessage {
        batch_index: i32 = from(8);
        batch_index_error_message: Option<String> = from(8);
    }

    /// Who leads instead, where the broker asked does not.
    pub struct LeaderIdAndEpoch {
        leader_id: i32 = from(0), default -1;
        leader_epoch: i32 = from(0), default -1;
    }

    /// Where the leaders named above listen.
    pub struct NodeEndpoint {
        node_id: i32 = from(0);
        host: String = from(0);
        port: i32 = from(0);
        rack: Option<String> = from(0);
    }
}
