//! The client on Apache Kafka. Runs where `KMERGE_TEST_BROKERS` names a cluster; elsewhere each test says "skipped".
//!
//! Produce and transactions are not the client's yet, so the tests write with what they need of them (`Producer`).

use super::super::cluster::{Ask, Cluster};
use super::super::deadline::Deadline;
use super::super::*;
use super::fake::LONG;
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use crate::ports::Source as _;
use crate::wire::delete_records::{DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest, key_type};
use crate::wire::init_producer_id::{InitProducerId, InitProducerIdRequest};
use crate::wire::produce::{PartitionProduceData, Produce, ProduceRequest, TopicProduceData};
use crate::wire::{Api, ApiKey, ErrorCode, Message, Reader, WireError, Writer};
use std::io::Write as _;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

/// A cluster to test on, and the name of a topic nobody else uses; `None` where no cluster is given.
async fn kafka(name: &str) -> Option<(Cluster, String)> {
    let Ok(brokers) = std::env::var("KMERGE_TEST_BROKERS") else {
        let _ = writeln!(std::io::stderr(), "skipped: {name} (KMERGE_TEST_BROKERS is not set)");
        return None;
    };
    let brokers: Vec<String> = brokers.split(',').map(str::to_owned).collect();
    let cluster = Cluster::connect(&brokers, LONG).await.unwrap();
    Some((cluster, format!("client-{name}-{:08x}", rand::random::<u32>())))
}

/// One call that must succeed.
async fn call<A: Api>(cluster: &Cluster, ask: Ask, request: &A::Request<'_>) -> super::super::call::Answer<A> {
    cluster.call::<A>(ask, request, Deadline::after(LONG)).await.unwrap()
}

/// Writes batches, also as a transactional producer.
struct Producer {
    cluster: Cluster,
    partition: TopicPartition,
    transactional_id: Option<String>,
    id: i64,
    epoch: i16,
    sequence: i32,
}

impl Producer {
    fn plain(cluster: &Cluster, topic: &str) -> Self {
        let partition = TopicPartition::new(topic, 0);
        Self { cluster: cluster.clone(), partition, transactional_id: None, id: -1, epoch: -1, sequence: -1 }
    }

    /// Starts a producer of that transactional id, which aborts what an earlier one has left open.
    async fn transactional(cluster: &Cluster, topic: &str, id: &str) -> Self {
        let mut this = Self { transactional_id: Some(id.to_owned()), ..Self::plain(cluster, topic) };
        let request = InitProducerIdRequest {
            transactional_id: Some(id.to_owned()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        // The coordinator may be loading, or busy with ending the transaction that it has just aborted.
        loop {
            if let Some(node) = this.coordinator().await {
                let answer = call::<InitProducerId>(cluster, Ask::Node(node), &request).await;
                let response = answer.read().unwrap();
                match ErrorCode::from_code(response.error_code) {
                    ErrorCode::None => {
                        (this.id, this.epoch, this.sequence) = (response.producer_id, response.producer_epoch, 0);
                        return this;
                    }
                    ErrorCode::ConcurrentTransactions
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::NotCoordinator => {}
                    code => panic!("{code}"),
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn coordinator(&self) -> Option<i32> {
        let request = FindCoordinatorRequest {
            key_type: key_type::TRANSACTION,
            coordinator_keys: self.transactional_id.iter().cloned().collect(),
            ..Default::default()
        };
        let answer = call::<FindCoordinator>(&self.cluster, Ask::Any, &request).await;
        let response = answer.read().unwrap();
        let found = &response.coordinators[0];
        (found.error_code == 0).then_some(found.node_id)
    }

    /// Writes the numbers as one batch and gives its base offset.
    async fn write(&mut self, numbers: Range<i64>, codec: Codec) -> i64 {
        let mut writer = BatchWriter::new(codec);
        writer.producer(self.id, self.epoch, self.sequence).transactional(self.transactional_id.is_some());
        for number in numbers.clone() {
            writer.push(1_000_000 + number, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
        }
        let records = writer.finish().unwrap();
        let deadline = Deadline::after(LONG);
        loop {
            let leader = self.cluster.leader(&self.partition, deadline).await.unwrap();
            let request = ProduceRequest {
                transactional_id: self.transactional_id.clone(),
                acks: -1,
                timeout_ms: 10_000,
                topic_data: vec![TopicProduceData {
                    name: self.partition.topic.to_string(),
                    topic_id: leader.topic_id,
                    partition_data: vec![PartitionProduceData { index: 0, records: Some(records) }],
                }],
            };
            let answer = call::<Produce>(&self.cluster, Ask::Node(leader.node), &request).await;
            let written = answer.read().unwrap().responses.remove(0).partition_responses.remove(0);
            match ErrorCode::from_code(written.error_code) {
                ErrorCode::None => {
                    if self.sequence >= 0 {
                        self.sequence += (numbers.end - numbers.start) as i32;
                    }
                    return written.base_offset;
                }
                // The transaction before is still being ended.
                ErrorCode::ConcurrentTransactions if !deadline.passed() => {}
                // A leader that was just chosen may not know it yet.
                ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId
                    if !deadline.passed() =>
                {
                    self.cluster.forget(&self.partition.topic);
                }
                code => panic!("{code}"),
            }
            // A pause between two looks, inside the deadline above.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(&mut self, committed: bool) {
        let transactional_id = self.transactional_id.clone().unwrap();
        let request = EndTxnRequest { transactional_id, id: self.id, epoch: self.epoch, committed };
        let node = self.coordinator().await.unwrap();
        let answer = call::<EndTxn>(&self.cluster, Ask::Node(node), &request).await;
        let response = answer.read().unwrap();
        assert_eq!(response.error_code, 0);
        (self.id, self.epoch, self.sequence) = (response.id, response.epoch, 0);
    }
}

/// Ends a transaction, as much of it as a test needs.
struct EndTxn;

#[derive(Debug, Default, PartialEq)]
struct EndTxnRequest {
    transactional_id: String,
    id: i64,
    epoch: i16,
    committed: bool,
}

#[derive(Debug, Default, PartialEq)]
struct EndTxnResponse {
    error_code: i16,
    id: i64,
    epoch: i16,
}

impl Api for EndTxn {
    const KEY: ApiKey = ApiKey::EndTxn;
    /// The version whose answer has the epoch of the next transaction.
    const VERSIONS: RangeInclusive<i16> = 5..=5;
    type Request<'a> = EndTxnRequest;
    type Response<'a> = EndTxnResponse;
}

impl Message<'_> for EndTxnRequest {
    fn read(_: &mut Reader<'_>, _: i16) -> Result<Self, WireError> {
        Ok(Self::default())
    }

    fn write(&self, writer: &mut Writer, _: i16) -> Result<(), WireError> {
        writer.nullable_str(Some(&self.transactional_id))?;
        writer.i64(self.id);
        writer.i16(self.epoch);
        writer.bool(self.committed);
        writer.uvarint(0);
        Ok(())
    }
}

impl Message<'_> for EndTxnResponse {
    fn read(reader: &mut Reader<'_>, _: i16) -> Result<Self, WireError> {
        reader.i32()?;
        let this = Self { error_code: reader.i16()?, id: reader.i64()?, epoch: reader.i16()? };
        reader.tagged_fields(|_, _| Ok(false))?;
        Ok(this)
    }

    fn write(&self, _: &mut Writer, _: i16) -> Result<(), WireError> {
        Ok(())
    }
}

/// The numbers in the values of all records that a reader gives.
async fn read_all(reader: &mut PartitionReader) -> Result<Vec<i64>, ClientError> {
    let (mut window, mut numbers) = (Vec::new(), Vec::new());
    let mut records = RecordReader::new(1 << 20);
    while reader.next(&mut window).await?.is_some() {
        for batch in Batches::new(&window) {
            let batch = batch.unwrap();
            records.start(&batch).unwrap();
            while let Some(record) = records.next(&batch).unwrap() {
                numbers.push(std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap());
            }
        }
    }
    Ok(numbers)
}

fn first(topic: &str) -> [TopicPartition; 1] {
    [TopicPartition::new(topic, 0)]
}

#[tokio::test]
async fn on_kafka_a_topic_is_made_grown_described_and_removed() {
    let Some((cluster, topic)) = kafka("topic").await else { return };
    let new = NewTopic { replication_factor: 2, ..NewTopic::new(&topic, 3).config("retention.ms", "12345000") };
    let info = cluster.create_topic(&new).await.unwrap();
    assert_eq!((info.partitions.len(), info.replication_factor(), info.topic_id.is_zero()), (3, 2, false));
    assert!(info.partitions.iter().all(|partition| partition.leader >= 0 && !partition.isr.is_empty()));

    let error = cluster.create_topic(&new).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists), "{error}");
    let error = cluster.create_topic(&NewTopic::new("no spaces", 1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(ErrorCode::InvalidTopicException), Kind::Failed), "{error}");

    let configs = cluster.topic_configs(&topic).await.unwrap();
    assert_eq!(configs["retention.ms"], "12345000");
    assert!(configs["max.message.bytes"].parse::<u32>().unwrap() > 1_000_000);
    assert_eq!(cluster.topic_configs_own(&topic).await.unwrap().get("retention.ms").unwrap(), "12345000");

    assert_eq!(cluster.create_partitions(&topic, 5).await.unwrap().partitions.len(), 5);
    let partitions: Vec<_> = (0..5).map(|index| TopicPartition::new(topic.as_str(), index)).collect();
    assert_eq!(cluster.offsets(&partitions, OffsetAt::Latest).await.unwrap(), [0; 5]);
    assert!(cluster.topics().await.unwrap().iter().any(|found| found.name == topic));

    let slip = topic.replace("topic", "topci");
    let text = cluster.topic(&slip).await.unwrap_err().to_string();
    assert!(text.contains(&format!("did you mean {topic}?")), "{text}");

    cluster.delete_topic(&topic).await.unwrap();
    for error in [
        cluster.topic(&topic).await.unwrap_err(),
        cluster.delete_topic(&topic).await.unwrap_err(),
        cluster.topic_configs(&topic).await.unwrap_err(),
        cluster.offsets(&partitions, OffsetAt::Earliest).await.unwrap_err(),
    ] {
        assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn on_kafka_what_was_written_is_read_in_every_codec_and_window() {
    let Some((cluster, topic)) = kafka("read").await else { return };
    cluster.create_topic(&NewTopic::new(&topic, 1).config("retention.ms", "-1")).await.unwrap();
    let mut producer = Producer::plain(&cluster, &topic);
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    for (i, codec) in (0..).zip(codecs) {
        assert_eq!(producer.write(i * 1000..(i + 1) * 1000, codec).await, i * 1000);
    }
    let [partition] = first(&topic);
    assert_eq!(cluster.offsets(&first(&topic), OffsetAt::Latest).await.unwrap(), [5000]);
    assert_eq!(cluster.offsets(&first(&topic), OffsetAt::LastStable).await.unwrap(), [5000]);
    assert_eq!(cluster.offsets(&first(&topic), OffsetAt::Timestamp(1_002_500)).await.unwrap(), [2500]);
    assert_eq!(cluster.offsets(&first(&topic), OffsetAt::Timestamp(9_000_000)).await.unwrap(), [5000]);
    for fetch_bytes_max in [1, 3000, 1 << 20] {
        let options = ReadOptions { fetch_bytes_max, ..ReadOptions::default() };
        let mut reader = cluster.reader(partition.clone(), 0..5000, options);
        assert_eq!(read_all(&mut reader).await.unwrap(), (0..5000).collect::<Vec<_>>());
        // Whole batches: the one that holds the start and the one that holds the end.
        let mut reader = cluster.reader(partition.clone(), 1500..2500, options);
        assert_eq!(read_all(&mut reader).await.unwrap(), (1000..3000).collect::<Vec<_>>());
    }
    let mut reader = cluster.reader(partition, 0..9000, ReadOptions::default());
    let mut window = Vec::new();
    reader.next(&mut window).await.unwrap().unwrap();
    assert!(reader.position() > 0);
    cluster.delete_topic(&topic).await.unwrap();
}

#[tokio::test]
async fn on_kafka_aborted_and_open_transactions_are_not_read() {
    let Some((cluster, topic)) = kafka("transactions").await else { return };
    cluster.create_topic(&NewTopic::new(&topic, 1).config("retention.ms", "-1")).await.unwrap();
    let [partition] = first(&topic);
    let mut one = Producer::transactional(&cluster, &topic, &format!("{topic}-1")).await;
    let mut two = Producer::transactional(&cluster, &topic, &format!("{topic}-2")).await;
    // Interleaved: two's first transaction commits around one's, which aborts.
    two.write(0..10, Codec::None).await;
    one.write(100..110, Codec::Gzip).await;
    two.write(10..20, Codec::Lz4).await;
    one.write(110..120, Codec::None).await;
    one.end(false).await;
    two.end(true).await;
    one.write(20..30, Codec::None).await;
    one.end(true).await;
    // Left open.
    let open = two.write(200..210, Codec::None).await;
    Producer::plain(&cluster, &topic).write(30..40, Codec::None).await;

    let [end] = cluster.offsets(&first(&topic), OffsetAt::Latest).await.unwrap()[..] else { panic!() };
    assert_eq!(cluster.offsets(&first(&topic), OffsetAt::LastStable).await.unwrap(), [open]);
    assert_eq!(end, 20 + 20 + 2 + 10 + 1 + 10 + 10);

    // As far as the open one everything can be read; beyond it the reader says who holds it up.
    let mut reader = cluster.reader(partition.clone(), 0..open, ReadOptions::default());
    assert_eq!(read_all(&mut reader).await.unwrap(), (0..30).collect::<Vec<_>>());
    let brokers: Vec<_> =
        cluster.brokers().into_iter().filter_map(|broker| Some(broker.address?.to_string())).collect();
    let hasty = Cluster::connect(&brokers, Duration::from_secs(2)).await.unwrap();
    let error = read_all(&mut hasty.reader(partition.clone(), open..end, ReadOptions::default())).await.unwrap_err();
    assert!(error.to_string().contains(&format!("a transaction has been open since offset {open}")), "{error}");

    // A reader that waits goes on as soon as the transaction is aborted, here by a successor of its producer.
    let mut reader = cluster.reader(partition.clone(), open..end, ReadOptions::default());
    let waiting = tokio::spawn(async move { read_all(&mut reader).await });
    Producer::transactional(&cluster, &topic, &format!("{topic}-2")).await;
    assert_eq!(waiting.await.unwrap().unwrap(), (30..40).collect::<Vec<_>>());

    // The range may end in markers and aborted data.
    let [end] = cluster.offsets(&first(&topic), OffsetAt::LastStable).await.unwrap()[..] else { panic!() };
    let mut reader =
        cluster.reader(partition.clone(), 0..end, ReadOptions { fetch_bytes_max: 1, ..Default::default() });
    assert_eq!(read_all(&mut reader).await.unwrap(), (0..40).collect::<Vec<_>>());
    cluster.delete_topic(&topic).await.unwrap();
}

#[tokio::test]
async fn on_kafka_a_start_that_was_deleted_is_an_error_that_names_the_lost_offsets() {
    let Some((cluster, topic)) = kafka("lost").await else { return };
    cluster.create_topic(&NewTopic::new(&topic, 1).config("retention.ms", "-1")).await.unwrap();
    let [partition] = first(&topic);
    let mut producer = Producer::plain(&cluster, &topic);
    producer.write(0..100, Codec::None).await;
    let leader = cluster.leader(&partition, Deadline::after(LONG)).await.unwrap();
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.clone(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 60 }],
        }],
        timeout_ms: 10_000,
    };
    let answer = call::<DeleteRecords>(&cluster, Ask::Node(leader.node), &request).await;
    assert_eq!(answer.read().unwrap().topics[0].partitions[0].error_code, 0);
    let error = read_all(&mut cluster.reader(partition, 10..100, ReadOptions::default())).await.unwrap_err();
    assert!(
        matches!(error, ClientError::OutOfRange { wanted: 10, end: 100, earliest: 60, latest: 100, .. }),
        "{error:?}"
    );
    cluster.delete_topic(&topic).await.unwrap();
}
