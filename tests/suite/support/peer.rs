//! A connection of the tests' own: so that what the tests put in and read back does not share the client's faults.

use kmerge::wire::delete_records::{DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use kmerge::wire::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic};
use kmerge::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest, key_type};
use kmerge::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kmerge::wire::metadata::{Metadata, MetadataRequest, MetadataRequestTopic};
use kmerge::wire::produce::{PartitionProduceData, Produce, ProduceRequest, TopicProduceData};
use kmerge::wire::{Api, ErrorCode, frame};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Versions old enough to name topics by name, so that a request is plain to state.
const METADATA: i16 = 9;
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const DELETE_RECORDS: i16 = 2;
const FIND_COORDINATOR: i16 = 3;

/// How long a new partition may take until its leader serves it.
const SETTLE: Duration = Duration::from_secs(20);

/// The node id of the broker that keeps this transactional id.
pub async fn coordinator(address: &str, transactional_id: &str) -> i32 {
    let mut peer = Peer::connect(address).await;
    let (key, key_type) = (transactional_id.to_owned(), key_type::TRANSACTION);
    let request = FindCoordinatorRequest { key, key_type, ..Default::default() };
    let answer = peer.call::<FindCoordinator>(FIND_COORDINATOR, &request).await;
    assert_eq!(answer.error_code, 0, "{answer:?}");
    answer.node_id
}

fn is_unready(code: i16) -> bool {
    matches!(ErrorCode::from_code(code), ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition)
}

pub struct Peer {
    stream: TcpStream,
    frame: Vec<u8>,
}

impl Peer {
    async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        stream.set_nodelay(true).unwrap();
        Self { stream, frame: Vec::new() }
    }

    /// A connection to the leader of a partition, once there is one.
    pub async fn of_leader(brokers: &str, topic: &str, partition: i32) -> Self {
        let mut peer = Self::connect(brokers.split(',').next().unwrap()).await;
        let topics = vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }];
        let request = MetadataRequest { topics: Some(topics), allow_auto_topic_creation: false, ..Default::default() };
        let cluster = peer.call::<Metadata>(METADATA, &request).await;
        let found = cluster.topics.iter().flat_map(|t| &t.partitions).find(|p| p.partition_index == partition);
        let leader = found.unwrap_or_else(|| panic!("no {topic}-{partition}")).leader_id;
        let node = cluster
            .brokers
            .iter()
            .find(|b| b.node_id == leader)
            .unwrap_or_else(|| panic!("{topic}-{partition} has no leader"));
        Self::connect(&format!("{}:{}", node.host, node.port)).await
    }

    async fn call<A: Api>(&mut self, version: i16, request: &A::Request<'_>) -> A::Response<'_> {
        let mut out = Vec::new();
        frame::write_request::<A>(&mut out, version, 1, Some("kmerge-test"), request).unwrap();
        self.stream.write_all(&out).await.unwrap();
        let length = self.stream.read_i32().await.unwrap() as usize;
        self.frame.resize(length, 0);
        self.stream.read_exact(&mut self.frame).await.unwrap();
        let (correlation_id, response) = frame::read_response::<A>(&self.frame, version).unwrap();
        assert_eq!(correlation_id, 1);
        response
    }

    /// Appends one batch, acknowledged by all replicas. A leader that was just chosen may not know it yet.
    pub async fn produce(&mut self, topic: &str, partition: i32, batch: &[u8]) {
        let start = Instant::now();
        loop {
            let data = PartitionProduceData { index: partition, records: Some(batch) };
            let topic_data =
                vec![TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() }];
            let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data, ..Default::default() };
            let answer = self.call::<Produce>(PRODUCE, &request).await;
            let code = answer.responses[0].partition_responses[0].error_code;
            if !is_unready(code) || start.elapsed() > SETTLE {
                assert_eq!(code, 0, "{answer:?}");
                return;
            }
            // A pause between two looks, inside the deadline above.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The log's start and its high watermark.
    pub async fn bounds(&mut self, topic: &str, partition: i32) -> (i64, i64) {
        (self.offset(topic, partition, -2).await, self.offset(topic, partition, -1).await)
    }

    /// A leader that was just chosen may not know it yet.
    async fn offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> i64 {
        let start = Instant::now();
        loop {
            let partitions = vec![ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() }];
            let topics = vec![ListOffsetsTopic { name: topic.into(), partitions }];
            let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
            let answer = self.call::<ListOffsets>(LIST_OFFSETS, &request).await;
            let answer = &answer.topics[0].partitions[0];
            if !is_unready(answer.error_code) || start.elapsed() > SETTLE {
                assert_eq!(answer.error_code, 0, "{answer:?}");
                return answer.offset;
            }
            // A pause between two looks, inside the deadline above.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The batches from `offset` on, as many as come at once.
    pub async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<u8> {
        let partitions = vec![FetchPartition {
            partition,
            fetch_offset: offset,
            partition_max_bytes: 8 << 20,
            ..Default::default()
        }];
        let topics = vec![FetchTopic { topic: topic.into(), partitions, ..Default::default() }];
        let request =
            FetchRequest { max_wait_ms: 10_000, min_bytes: 1, max_bytes: 8 << 20, topics, ..Default::default() };
        let answer = self.call::<Fetch>(FETCH, &request).await;
        let answer = &answer.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.records.unwrap_or_default().to_vec()
    }

    /// Moves the start of the log.
    pub async fn delete_before(&mut self, topic: &str, partition: i32, offset: i64) {
        let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset }];
        let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 30_000 };
        let answer = self.call::<DeleteRecords>(DELETE_RECORDS, &request).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{answer:?}");
    }
}
