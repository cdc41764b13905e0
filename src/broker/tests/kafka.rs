//! The same requests to Apache Kafka and to this broker get the same answers. Runs where `KMERGE_TEST_BROKERS` names a
//! cluster; what differs on purpose is listed in [`DIFFERENT`].

mod committed;
mod coordinator;
mod fencing;
mod groups;
mod leaders;
mod moves;
mod transactions;

use super::transactional::{records_of, until};
use super::*;
use crate::base::clock::now_ms;
use crate::broker::GroupConfig;
use crate::wire::api_versions::{ApiVersions, ApiVersionsRequest};
use crate::wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopics, CreateTopicsRequest};
use crate::wire::delete_records::{DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::delete_topics::{DeleteTopics, DeleteTopicsRequest};
use crate::wire::header::{RequestHeader, ResponseHeader};
use crate::wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigs, IncrementalAlterConfigsRequest,
};
use crate::wire::init_producer_id::{InitProducerId, InitProducerIdRequest};
use crate::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::metadata::{Metadata, MetadataRequest, MetadataRequestTopic, MetadataResponse};
use crate::wire::{ApiKey, Reader, Writer};
use std::io::Write as _;

/// What was asked, and what the answer was.
type Observed = Vec<(String, String)>;

/// A cluster under observation, with topics whose names nobody else uses.
struct Peer<'b> {
    /// Our own broker, whose hooks stand for what takes other requests on Apache Kafka.
    ours: Option<&'b Broker>,
    /// One of its nodes.
    address: String,
    /// What the cluster has settled on.
    transaction_version: i16,
    bootstrap: Client,
    prefix: String,
    topics: Vec<String>,
    seen: Observed,
}

impl Client {
    /// A request that `wire` does not state, since only tests send it; gives the answer's body to `read`.
    async fn raw<T>(
        &mut self,
        key: ApiKey,
        api_version: i16,
        write: impl FnOnce(&mut Writer),
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> T {
        self.correlation_id += 1;
        let header = RequestHeader {
            api_key: key.code(),
            api_version,
            correlation_id: self.correlation_id,
            client_id: Some("test".into()),
        };
        let mut writer = Writer::new(false);
        header.write(&mut writer).unwrap();
        write(&mut writer);
        let body = writer.into_bytes();
        self.stream.write_all(&(body.len() as i32).to_be_bytes()).await.unwrap();
        self.stream.write_all(&body).await.unwrap();
        let answer = self.receive().await.expect("the broker ended the connection");
        let mut reader = Reader::new(&answer, false);
        ResponseHeader::read(&mut reader, key, api_version).unwrap();
        read(&mut reader)
    }
}

impl<'b> Peer<'b> {
    async fn new(address: &str, ours: Option<&'b Broker>) -> Self {
        let random: u32 = rand::random();
        let mut bootstrap = Client::connect_at(address).await;
        let transaction_version = transaction_version(&mut bootstrap).await;
        Self {
            ours,
            address: address.into(),
            transaction_version,
            bootstrap,
            prefix: format!("broker-{random:08x}-"),
            topics: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// What is told of one topic.
    async fn metadata<T>(&mut self, name: &str, read: impl FnOnce(&MetadataResponse) -> T) -> T {
        let topics = vec![MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() }];
        let request = MetadataRequest { topics: Some(topics), ..Default::default() };
        self.bootstrap.call::<Metadata, _>(12, &request, read).await
    }

    /// A connection to the node of that id.
    async fn node(&mut self, id: i32) -> Client {
        let address = self.metadata("x", |r| {
            let broker = r.brokers.iter().find(|b| b.node_id == id).unwrap();
            format!("{}:{}", broker.host, broker.port)
        });
        Client::connect_at(&address.await).await
    }

    fn note(&mut self, what: impl Into<String>, answer: impl std::fmt::Debug) {
        let answer = format!("{answer:?}").replace(&self.prefix, "");
        self.seen.push((what.into(), answer));
    }

    fn wanted(&self, name: &str, partitions: i32, replicas: i16, configs: &[(&str, &str)]) -> CreatableTopic {
        let config =
            |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
        CreatableTopic {
            name: format!("{}{name}", self.prefix),
            num_partitions: partitions,
            replication_factor: replicas,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        }
    }

    async fn create(&mut self, topics: Vec<CreatableTopic>) -> Vec<i16> {
        self.topics.extend(topics.iter().map(|topic| topic.name.clone()));
        let request = CreateTopicsRequest { topics, timeout_ms: 20_000, validate_only: false };
        self.bootstrap
            .call::<CreateTopics, _>(7, &request, |r| r.topics.iter().map(|topic| topic.error_code).collect())
            .await
    }

    /// A topic of one partition and a connection to its leader, once it has one. What is written here is of long ago, and
    /// Apache Kafka may look for such records, and delete them, at any moment.
    async fn topic(&mut self, name: &str, configs: &[(&str, &str)]) -> (String, Client) {
        let wanted = self.wanted(name, 1, 1, &[configs, &[("retention.ms", "-1")]].concat());
        let name = wanted.name.clone();
        assert_eq!(self.create(vec![wanted]).await, [0]);
        let client = until("a leader that knows it leads", async || {
            let leader = self.metadata(&name, |r| {
                let leader = r.topics[0].partitions.first()?.leader_id;
                r.brokers.iter().find(|b| b.node_id == leader).map(|b| format!("{}:{}", b.host, b.port))
            });
            let mut client = Client::connect_at(&leader.await?).await;
            let fetched = client.fetch_at(12, &fetch_request(&name, 0, 0)).await;
            (fetched.error_code == 0).then_some(client)
        });
        let client = client.await;
        (name, client)
    }

    async fn clean(mut self) -> Observed {
        // A name that stands twice in a request is not deleted at all.
        self.topics.sort();
        self.topics.dedup();
        let request =
            DeleteTopicsRequest { topic_names: self.topics.clone(), timeout_ms: 20_000, ..Default::default() };
        self.bootstrap.call::<DeleteTopics, _>(5, &request, |_| ()).await;
        self.seen
    }
}

fn set_i32(at: usize, value: i32) -> impl FnOnce(&mut Vec<u8>) {
    move |batch| batch[at..at + 4].copy_from_slice(&value.to_be_bytes())
}

async fn produce(peer: &mut Peer<'_>) {
    let (name, mut client) = peer.topic("produce", &[]).await;
    let good = || batch(3);
    let late = now_ms() + 2 * 3_600_000;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("good", good()),
        ("base offset not 0", forged(good(), |b| b[7] = 1)),
        ("record count too high", forged(good(), set_i32(57, 4))),
        ("record count too low", forged(good(), set_i32(57, 2))),
        ("count and last delta agree on a lie", forged(forged(good(), set_i32(57, 4)), set_i32(23, 3))),
        ("last offset delta wrong", forged(good(), set_i32(23, 7))),
        ("no records", forged(forged(good(), set_i32(57, 0)), set_i32(23, -1))),
        (
            "trailing bytes in the body",
            forged(good(), |b| {
                b.push(0);
                let length = b.len() as i32 - 12;
                b[8..12].copy_from_slice(&length.to_be_bytes());
            }),
        ),
        ("a control batch", forged(good(), |b| b[22] |= 0x20)),
        ("two batches", [good(), good()].concat()),
        ("nothing", Vec::new()),
        ("half a batch", good()[..40].to_vec()),
        ("a sequence below zero", batch_from(5, 0, -1, 1)),
        ("magic 1", forged(good(), |b| b[16] = 1)),
        ("magic 3", forged(good(), |b| b[16] = 3)),
        ("a length below a header's", forged(good(), set_i32(8, 3))),
        ("a bad checksum", {
            let mut bad = good();
            bad[70] ^= 1;
            bad
        }),
        ("two hours ahead", batch_of(Codec::None, &[late])),
        ("two hours ahead, lz4", batch_of(Codec::Lz4, &[NOW, late])),
        ("append time claimed", forged(good(), |b| b[22] |= 0x08)),
        ("an unknown codec", forged(good(), |b| b[22] |= 0x07)),
        ("transactional", forged(batch_from(5, 0, 0, 1), |b| b[22] |= 0x10)),
        ("a garbage body", forged(good(), |b| b[61..].fill(0xff))),
        ("a garbage body, zstd", forged(batch_of(Codec::Zstd, &[NOW; 9]), |b| b[61..].fill(0xff))),
        ("a batch of a MiB too much", {
            let mut writer = BatchWriter::new(Codec::None);
            writer.push(NOW, None, Some(&vec![0; 1_048_588]), Headers::EMPTY).unwrap();
            writer.finish().unwrap().to_vec()
        }),
        ("gzip", batch_of(Codec::Gzip, &[NOW; 9])),
        ("snappy", batch_of(Codec::Snappy, &[NOW; 9])),
        ("lz4", batch_of(Codec::Lz4, &[NOW; 9])),
        ("zstd", batch_of(Codec::Zstd, &[NOW; 9])),
        ("odd times", batch_of(Codec::None, &[-1, 1])),
        ("a lie about the largest time", forged(batch_of(Codec::None, &[5, 9]), |b| b[35..43].fill(0))),
    ];
    for (what, records) in &cases {
        let answer = client.produce_at(9, &produce_request(&name, 0, Some(records))).await;
        let told = (answer.error_code, answer.base_offset, answer.log_append_time_ms, answer.log_start_offset);
        let indexes: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
        peer.note(format!("produce {what}"), (told, indexes));
    }
    for (what, acks) in [("acks 1", 1), ("acks 2", 2), ("acks -2", -2)] {
        let records = good();
        let request = ProduceRequest { acks, ..produce_request(&name, 0, Some(&records)) };
        let answer = client.produce_at(9, &request).await;
        peer.note(format!("produce {what}"), (answer.error_code, answer.base_offset));
    }
    // All that was stored, byte for byte.
    let mut request = fetch_request(&name, 0, 0);
    request.topics[0].partitions[0].partition_max_bytes = 1 << 24;
    let stored = client.fetch_at(12, &request).await;
    for batch in crate::batch::Batches::new(&stored.records) {
        let batch = batch.unwrap();
        peer.note(format!("stored at {}", batch.header.base_offset), (&batch.header, crc32c::crc32c(batch.bytes())));
    }
    peer.note("where it ends", (stored.high_watermark, stored.log_start, stored.last_stable));
    for (what, topic, partition) in [("unknown topic", "no-such", 0), ("unknown partition", &*name, 7)] {
        let records = good();
        let answer = client.produce_at(9, &produce_request(topic, partition, Some(&records))).await;
        peer.note(format!("produce to {what}"), (answer.error_code, answer.base_offset));
    }
}

async fn idempotence(peer: &mut Peer<'_>) {
    // Batches of one record unless it says otherwise: epoch, first sequence, records.
    let scripts: &[&[(i16, i32, usize)]] = &[
        &[(0, 0, 10), (0, 10, 10), (0, 10, 10), (0, 0, 10), (0, 5, 10), (0, 0, 5), (0, 10, 5), (0, 21, 1), (0, 20, 1)],
        &[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1), (0, 5, 1), (0, 1, 1), (0, 0, 1)],
        &[(0, 100, 1), (0, 101, 1), (0, 0, 1)],
        &[(7, 55, 1), (7, 56, 1), (6, 57, 1)],
        &[(0, i32::MAX, 3), (0, i32::MAX, 3), (0, 2, 1)],
        &[(0, i32::MAX - 1, 2), (0, 0, 1)],
        &[(0, 0, 1), (1, 10, 1), (1, 0, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1)],
    ];
    for (row, script) in scripts.iter().enumerate() {
        let (name, mut client) = peer.topic(&format!("idempotence-{row}"), &[]).await;
        for (epoch, sequence, records) in *script {
            // Of now: a producer whose last record is old is forgotten at any moment.
            let records = records_of((77_000, *epoch), *sequence, *records, false);
            let answer = client.produce_at(9, &produce_request(&name, 0, Some(&records))).await;
            // To a repeat a time is told, although the topic does not stamp records: the largest of what is stored.
            let told = (answer.error_code, answer.base_offset, answer.log_append_time_ms >= 0);
            peer.note(format!("row {row}: {epoch} {sequence}"), told);
        }
    }
    let (_, mut client) = peer.topic("ids", &[]).await;
    for (what, producer_id, producer_epoch) in [("half an identity", 5, -1), ("the other half", -1, 5)] {
        let request = InitProducerIdRequest { producer_id, producer_epoch, ..Default::default() };
        let code = client.call::<InitProducerId, _>(4, &request, |r| r.error_code).await;
        peer.note(format!("producer id with {what}"), code);
    }
    let request = InitProducerIdRequest { transactional_id: Some(String::new()), ..Default::default() };
    let code = client.call::<InitProducerId, _>(4, &request, |r| r.error_code).await;
    peer.note("producer id with an empty transactional id", code);
}

async fn offsets_and_fetch(peer: &mut Peer<'_>) {
    let (name, mut client) = peer.topic("offsets", &[]).await;
    let start = now_ms() - 100_000;
    for (codec, times) in
        [(Codec::None, [100, 300, 200]), (Codec::Zstd, [100, 300, 200]), (Codec::Gzip, [250, 900, 900])]
    {
        let records = batch_of(codec, &times.map(|time| start + time));
        assert_eq!(client.produce_at(9, &produce_request(&name, 0, Some(&records))).await.error_code, 0);
    }
    let size = batch(3).len() as i32;
    for isolation in [0, 1] {
        for time in [-1, -2, -3, -4, 0, 100, 101, 250, 301, 900, 901] {
            let timestamp = if time > 0 { start + time } else { time };
            let partition = ListOffsetsPartition { timestamp, ..Default::default() };
            let topics = vec![ListOffsetsTopic { name: name.clone(), partitions: vec![partition] }];
            let request =
                ListOffsetsRequest { isolation_level: isolation, topics, timeout_ms: 10_000, ..Default::default() };
            let found = client.call::<ListOffsets, _>(10, &request, |r| {
                let p = &r.topics[0].partitions[0];
                (p.error_code, if p.timestamp > 0 { p.timestamp - start } else { p.timestamp }, p.offset)
            });
            let found = found.await;
            peer.note(format!("offset at {time}, isolation {isolation}"), found);
        }
        for (offset, epoch, max) in [
            (0, -1, 1 << 20),
            (4, -1, 1 << 20),
            (9, -1, 1 << 20),
            (10, -1, 100),
            (-1, -1, 100),
            (0, 0, 100),
            (0, 5, 100),
            (0, -1, size),
            (0, -1, 1),
        ] {
            let mut request = fetch_request(&name, 0, offset);
            request.isolation_level = isolation;
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            request.topics[0].partitions[0].partition_max_bytes = max;
            let fetched = client.fetch_at(12, &request).await;
            let told =
                (fetched.error_code, fetched.high_watermark, fetched.log_start, fetched.last_stable, &fetched.aborted);
            peer.note(
                format!("fetch {offset} epoch {epoch} max {max}, isolation {isolation}"),
                (told, fetched.bases()),
            );
        }
    }
    for (id, epoch) in [(0, 1), (5, 1), (5, 0)] {
        let request = FetchRequest { session_id: id, session_epoch: epoch, ..fetch_request(&name, 0, 0) };
        let code = client.call::<Fetch, _>(12, &request, |r| r.error_code).await;
        peer.note(format!("fetch session {id} epoch {epoch}"), code);
    }
    for offset in [4, 2, 10, -2, -1] {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
        let topics = vec![DeleteRecordsTopic { name: name.clone(), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 10_000 };
        let told = client.call::<DeleteRecords, _>(2, &request, |r| {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.low_watermark)
        });
        let told = told.await;
        peer.note(format!("delete records up to {offset}"), told);
        let fetched = client.fetch_at(12, &fetch_request(&name, 0, 4)).await;
        peer.note(format!("fetch 4 then ({offset})"), (fetched.error_code, fetched.bases()));
    }
}

async fn topics(peer: &mut Peer<'_>) {
    let repeated = peer.wanted("twice", 1, 1, &[]);
    let wanted = vec![
        ("good", peer.wanted("a.b", 1, 1, &[])),
        ("again", peer.wanted("a.b", 1, 1, &[])),
        ("colliding", peer.wanted("a_b", 1, 1, &[])),
        ("illegal", peer.wanted("a b", 1, 1, &[])),
        ("no partitions", peer.wanted("p0", 0, 1, &[])),
        ("partitions -2", peer.wanted("p2", -2, 1, &[])),
        ("too many replicas", peer.wanted("r9", 1, 99, &[])),
        ("no replicas", peer.wanted("r0", 1, 0, &[])),
        ("unknown configuration", peer.wanted("c1", 1, 1, &[("no.such", "1")])),
        ("wrong configuration", peer.wanted("c2", 1, 1, &[("max.message.bytes", "many")])),
        ("wrong policy", peer.wanted("c3", 1, 1, &[("cleanup.policy", "shred")])),
    ];
    for (what, topic) in wanted {
        let codes = peer.create(vec![topic]).await;
        peer.note(format!("create {what}"), codes);
    }
    let codes = peer.create(vec![repeated.clone(), repeated]).await;
    peer.note("create twice in one request", codes);
    let (compacted, mut client) = peer.topic("compacted", &[("cleanup.policy", "compact")]).await;
    let mut writer = BatchWriter::new(Codec::None);
    for key in [Some(&b"k"[..]), None, None] {
        writer.push(NOW, key, Some(b"v"), Headers::EMPTY).unwrap();
    }
    let records = writer.finish().unwrap().to_vec();
    let answer = client.produce_at(9, &produce_request(&compacted, 0, Some(&records))).await;
    peer.note("no key on a compacted topic", (answer.error_code, answer.base_offset));
    let changes: &[(&str, i8, &str, Option<&str>)] = &[
        ("set", 0, "max.message.bytes", Some("100")),
        ("delete", 1, "max.message.bytes", None),
        ("append", 2, "cleanup.policy", Some("delete")),
        ("subtract", 3, "cleanup.policy", Some("delete")),
        ("set wrongly", 0, "max.message.bytes", Some("-5")),
        ("set to null", 0, "max.message.bytes", None),
        ("set unknown", 0, "no.such", Some("1")),
        ("append to a number", 2, "max.message.bytes", Some("1")),
    ];
    for (what, config_operation, name, value) in changes {
        let value = value.map(str::to_owned);
        let configs = vec![AlterableConfig { name: (*name).into(), config_operation: *config_operation, value }];
        let resources = vec![AlterConfigsResource { resource_type: 2, resource_name: compacted.clone(), configs }];
        let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
        let code = peer.bootstrap.call::<IncrementalAlterConfigs, _>(1, &request, |r| r.responses[0].error_code).await;
        peer.note(format!("alter: {what}"), code);
    }
}

async fn observe(address: &str, ours: Option<&Broker>) -> Observed {
    let mut peer = Peer::new(address, ours).await;
    produce(&mut peer).await;
    idempotence(&mut peer).await;
    offsets_and_fetch(&mut peer).await;
    topics(&mut peer).await;
    leaders::leaders(&mut peer).await;
    leaders::ids(&mut peer).await;
    transactions::transactions(&mut peer).await;
    // At level 0 Apache Kafka 4.2 takes what newer clients send and is then stuck: writes are CONCURRENT_TRANSACTIONS, and
    // time does not end a transaction. No client sends it there.
    if peer.transaction_version > 0 {
        coordinator::coordinator(&mut peer).await;
        fencing::fencing(&mut peer).await;
        committed::committed_offsets(&mut peer).await;
    }
    groups::groups(&mut peer).await;
    peer.clean().await
}

/// What the cluster has settled on, so that ours does the same.
async fn transaction_version(client: &mut Client) -> i16 {
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    client
        .call::<ApiVersions, _>(3, &request, |r| {
            let found = r.finalized_features.iter().find(|feature| feature.name == "transaction.version");
            found.map_or(0, |feature| feature.max_version_level)
        })
        .await
}

/// Where our answer differs on purpose. The first three are clearer than Kafka's -1 (UNKNOWN_SERVER_ERROR), which tells a
/// producer nothing; the next has the same code but not the log's start, as such a header is refused before the log is
/// looked at. Of groups: Kafka fails (-1) where we know of no such static member, and describes a group as often as it is
/// named, however long that gets. Two more cannot be asked: Kafka leaves a member without an answer that is taken out while
/// it waits for its share, and one that joins again while it waits without the first one.
const DIFFERENT: [&str; 6] = [
    "produce an unknown codec",
    "produce a garbage body",
    "produce a garbage body, zstd",
    "produce no records",
    "join of a dynamic member's id with a name",
    "describe a group twice",
];

#[tokio::test]
async fn kafka_answers_the_same() {
    let Some(brokers) = std::env::var("KMERGE_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty()) else {
        let _ = writeln!(std::io::stderr(), "skipped: KMERGE_TEST_BROKERS names no cluster");
        return;
    };
    let address = brokers.split(',').next().unwrap();
    let transaction_version = transaction_version(&mut Client::connect_at(address).await).await;
    // As `compose/local-kafka` has it.
    let groups = GroupConfig { initial_rebalance_delay: std::time::Duration::ZERO, ..Default::default() };
    let broker = broker_with(BrokerConfig { nodes: 2, transaction_version, groups, ..Default::default() }).await;
    let kafka = observe(address, None).await;
    let ours = observe(&broker.addresses()[0], Some(&broker)).await;
    assert_eq!(kafka.len(), ours.len());
    let different: Vec<String> = kafka
        .iter()
        .zip(&ours)
        .filter(|(kafka, ours)| kafka != ours && !DIFFERENT.contains(&kafka.0.as_str()))
        .map(|(kafka, ours)| format!("{}: Kafka {}, ours {}", kafka.0, kafka.1, ours.1))
        .collect();
    assert!(different.is_empty(), "{} of {} answers differ:\n{}", different.len(), kafka.len(), different.join("\n"));
}
