//! What leaves only the story in a test: a broker with the topic `out`, a writer to it, numbers in and out.

use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use kmerge::broker::{Broker, BrokerConfig, Fault, Rule, RuleHandle};
use kmerge::client::{ClientError, Cluster, Delivery, PartitionWriter, WriteOptions};
use kmerge::ports::Outgoing;
use kmerge::wire::{ApiKey, ErrorCode};
use std::time::Duration;

/// Long enough for a loaded machine, for what must succeed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// So long a request may take where it is to fail for its time.
pub(crate) const SHORT: Duration = Duration::from_secs(1);

/// The time of all records: long ago, the harder case, since what a broker knows of a producer is as old as its records.
const LONG_AGO_MS: i64 = 1_700_000_000_000;

/// Numbers on their way into a partition.
pub(crate) struct Numbers {
    pub(crate) writer: PartitionWriter,
    next: u64,
    batches: u64,
}

impl Numbers {
    pub(crate) fn new(writer: PartitionWriter) -> Self {
        Self { writer, next: 0, batches: 0 }
    }

    /// The next batch: 1 to 40 numbers.
    pub(crate) fn batch(&mut self) -> Outgoing {
        let count = 1 + self.batches * 7 % 40;
        let buffer = self.writer.spare().unwrap_or_default();
        let batch = encode(self.next, count, buffer);
        self.next += count;
        self.batches += 1;
        batch
    }

    pub(crate) async fn append(&mut self, batches: u64) -> Result<(), ClientError> {
        for _ in 0..batches {
            let batch = self.batch();
            self.writer.append(batch).await?;
        }
        Ok(())
    }

    /// Appends so many batches, waits until they are stored, and gives how many numbers that were.
    pub(crate) async fn write(mut self, batches: u64) -> Result<u64, ClientError> {
        self.append(batches).await?;
        self.finish().await
    }

    pub(crate) async fn finish(self) -> Result<u64, ClientError> {
        let (appended, result) = self.writer.finish().await;
        result?;
        assert_eq!(appended.records(), self.next);
        Ok(self.next)
    }
}

/// A batch of the numbers from `first` on, in a buffer that is larger than it.
pub(crate) fn encode(first: u64, count: u64, mut buffer: Vec<u8>) -> Outgoing {
    let mut writer = BatchWriter::new(Codec::None);
    for number in first..first + count {
        writer.push(LONG_AGO_MS, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    let bytes = writer.finish().unwrap();
    buffer.clear();
    buffer.extend_from_slice(bytes);
    buffer.extend_from_slice(b"what an earlier batch has left behind");
    Outgoing { bytes: buffer, len: bytes.len(), records: count as u32 }
}

/// The numbers in a log.
pub(crate) fn numbers(log: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut records = RecordReader::new(1 << 20);
    for batch in Batches::new(log) {
        let batch = batch.unwrap();
        records.start(&batch).unwrap();
        while let Some(record) = records.next(&batch).unwrap() {
            let value = std::str::from_utf8(record.value.unwrap()).unwrap();
            numbers.push(value.parse().unwrap());
        }
    }
    numbers
}

/// An embedded cluster of two nodes with the topic `out`, which both hold.
pub(crate) struct Story {
    pub(crate) broker: Broker,
    pub(crate) cluster: Cluster,
    pub(crate) options: WriteOptions,
}

impl Story {
    pub(crate) async fn new() -> Self {
        Self::within(LONG).await
    }

    /// The same where a request may take `timeout` only; a batch may be tried for long all the same.
    pub(crate) async fn within(timeout: Duration) -> Self {
        let broker = Broker::start(BrokerConfig { nodes: 2, ..BrokerConfig::default() }).await.unwrap();
        broker.create_replicated_topic("out", 1, 2, &[]).unwrap();
        let cluster = Cluster::connect(&broker.addresses(), timeout).await.unwrap();
        let options = WriteOptions { delivery_timeout: Some(LONG), ..WriteOptions::default() };
        Self { broker, cluster, options }
    }

    /// Without numbers on the batches.
    pub(crate) fn at_least_once(mut self) -> Self {
        self.options.delivery = Delivery::AtLeastOnce;
        self
    }

    /// The writer may not read.
    pub(crate) fn unreadable(self) -> Self {
        let denied = Fault::Error(ErrorCode::TopicAuthorizationFailed);
        self.broker.faults().add(Rule::on(ApiKey::Fetch).always(), denied);
        self
    }

    /// A fault that befalls one produce after `requests` others.
    pub(crate) fn fault(&self, requests: u64, fault: Fault) -> RuleHandle {
        self.broker.faults().add(Rule::on(ApiKey::Produce).after(requests), fault)
    }

    pub(crate) async fn numbers(&self) -> Numbers {
        let end = self.broker.offsets("out", 0).unwrap().1;
        Numbers::new(self.cluster.writer(TopicPartition::new("out", 0), end, self.options).await.unwrap())
    }

    /// What the log holds now.
    pub(crate) fn log(&self) -> Vec<u64> {
        numbers(&self.broker.log("out", 0).unwrap())
    }

    pub(crate) fn produces(&self) -> u64 {
        self.broker.faults().count(ApiKey::Produce)
    }

    pub(crate) fn searches(&self) -> u64 {
        self.broker.faults().count(ApiKey::Fetch)
    }

    /// Writes `batches`, which must succeed; the log must hold each number once, in order, from one producer.
    pub(crate) async fn holds_each_once(&self, batches: u64) {
        let written = self.numbers().await.write(batches).await.unwrap();
        self.holds(written);
        let producers = u64::from(self.options.delivery == Delivery::Idempotent);
        assert_eq!(self.broker.faults().count(ApiKey::InitProducerId), producers);
    }

    /// The log holds the first `count` numbers, each once, in order.
    pub(crate) fn holds(&self, count: u64) {
        let log = self.log();
        assert!(log.iter().copied().eq(0..count), "expected 0 to {count}, the log holds {log:?}");
    }
}
