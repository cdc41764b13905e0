//! Requests over a socket, with the messages of `wire` on the client's side.
//!
//! What Apache Kafka answers in the same case is known from a live 4.2; where a test states a code, that is Kafka's.

mod admin;
mod coordinator;
mod faults;
mod fetch;
mod grouped;
mod groups;
mod joining;
mod kafka;
mod large;
mod leaders;
mod nodes;
mod offsets;
mod produce;
mod protocol;
mod rskafka;
mod transactional;
mod transactions;

use super::{Broker, BrokerConfig};
use crate::batch::{BatchWriter, Codec, Headers};
use crate::wire::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic, PartitionData};
use crate::wire::produce::{PartitionProduceData, PartitionProduceResponse, Produce, ProduceRequest, TopicProduceData};
use crate::wire::{Api, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A time that every topic takes.
const NOW: i64 = 1_700_000_000_000;

/// A broker of one node with topic `t` of two partitions.
async fn broker() -> Broker {
    broker_with(BrokerConfig { topics: vec![("t".into(), 2)], ..Default::default() }).await
}

async fn broker_with(config: BrokerConfig) -> Broker {
    Broker::start(config).await.unwrap()
}

/// One connection.
struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    async fn connect(broker: &Broker) -> Self {
        Self::connect_to(broker, 1).await
    }

    async fn connect_to(broker: &Broker, node: usize) -> Self {
        let stream = TcpStream::connect(&broker.addresses()[node - 1]).await.unwrap();
        Self { stream, correlation_id: 0 }
    }

    async fn connect_at(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), correlation_id: 0 }
    }

    async fn send<A: Api>(&mut self, version: i16, request: &A::Request<'_>) {
        self.correlation_id += 1;
        let mut out = Vec::new();
        frame::write_request::<A>(&mut out, version, self.correlation_id, Some("test"), request).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next frame, or nothing where the broker has ended the connection.
    async fn receive(&mut self) -> Option<Vec<u8>> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).await.ok()?;
        let mut bytes = vec![0; frame::length(prefix, 1 << 30).unwrap()];
        self.stream.read_exact(&mut bytes).await.ok()?;
        Some(bytes)
    }

    /// Sends a request and reads the answer as `read` does.
    async fn call<A: Api, T>(
        &mut self,
        version: i16,
        request: &A::Request<'_>,
        read: impl FnOnce(&A::Response<'_>) -> T,
    ) -> T {
        self.send::<A>(version, request).await;
        self.answer::<A, T>(version, read).await
    }

    /// Reads the answer to the last request.
    async fn answer<A: Api, T>(&mut self, version: i16, read: impl FnOnce(&A::Response<'_>) -> T) -> T {
        let bytes = self.receive().await.expect("the broker ended the connection");
        let (correlation_id, response) = frame::read_response::<A>(&bytes, version).unwrap();
        assert_eq!(correlation_id, self.correlation_id);
        read(&response)
    }

    /// Produces to `t`; gives the partition's answer.
    async fn produce(&mut self, partition: i32, records: &[u8]) -> PartitionProduceResponse {
        self.produce_at(9, &produce_request("t", partition, Some(records))).await
    }

    async fn produce_at(&mut self, version: i16, request: &ProduceRequest<'_>) -> PartitionProduceResponse {
        self.call::<Produce, _>(version, request, |r| r.responses[0].partition_responses[0].clone()).await
    }

    /// The code of a produce.
    async fn produce_code(&mut self, partition: i32, records: &[u8]) -> i16 {
        self.produce(partition, records).await.error_code
    }

    /// Fetches from `t` without waiting.
    async fn fetch(&mut self, partition: i32, offset: i64) -> Fetched {
        self.fetch_at(12, &fetch_request("t", partition, offset)).await
    }

    async fn fetch_at(&mut self, version: i16, request: &FetchRequest) -> Fetched {
        self.call::<Fetch, _>(version, request, |r| Fetched::of(&r.responses[0].partitions[0])).await
    }
}

/// A partition's share of a Fetch answer, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fetched {
    error_code: i16,
    high_watermark: i64,
    last_stable: i64,
    log_start: i64,
    aborted: Option<Vec<(i64, i64)>>,
    records: Vec<u8>,
}

impl Fetched {
    fn of(data: &PartitionData<'_>) -> Self {
        Self {
            error_code: data.error_code,
            high_watermark: data.high_watermark,
            last_stable: data.last_stable_offset,
            log_start: data.log_start_offset,
            aborted: data
                .aborted_transactions
                .as_ref()
                .map(|a| a.iter().map(|a| (a.producer_id, a.first_offset)).collect()),
            records: data.records.unwrap_or_default().to_vec(),
        }
    }

    /// The base offsets of the batches that are there whole.
    fn bases(&self) -> Vec<i64> {
        crate::batch::Batches::new(&self.records).map(|batch| batch.unwrap().header.base_offset).collect()
    }
}

fn produce_request<'a>(topic: &str, partition: i32, records: Option<&'a [u8]>) -> ProduceRequest<'a> {
    ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData { index: partition, records }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A batch of so many small records.
fn batch(records: usize) -> Vec<u8> {
    batch_of(Codec::None, &vec![NOW; records])
}

/// A batch with one record for each timestamp.
fn batch_of(codec: Codec, timestamps: &[i64]) -> Vec<u8> {
    let mut writer = BatchWriter::new(codec);
    for timestamp in timestamps {
        writer.push(*timestamp, Some(b"k"), Some(b"value"), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

/// A batch of an idempotent producer.
fn batch_from(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    for _ in 0..records {
        writer.push(NOW, Some(b"k"), Some(b"value"), Headers::EMPTY).unwrap();
    }
    writer.producer(producer_id, epoch, sequence);
    writer.finish().unwrap().to_vec()
}

/// Changes a batch's bytes and puts the checksum right again.
fn forged(mut batch: Vec<u8>, forge: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    forge(&mut batch);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}
