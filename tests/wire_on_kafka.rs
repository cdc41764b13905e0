//! The wire against a real Kafka: every API but those of transactions and groups (the broker's own tests ask those there), at
//! every version that both sides speak, over a plain socket. Runs where
//! `KMERGE_TEST_BROKERS` names a cluster. Each answer must be read to its last byte and say what the request implies.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use kmerge::batch::{BatchWriter, Codec};
use kmerge::wire::alter_partition_reassignments::{
    AlterPartitionReassignments, ReassignablePartition, ReassignableTopic,
};
use kmerge::wire::api_versions::{ApiVersions, read_any};
use kmerge::wire::create_partitions::{CreatePartitions, CreatePartitionsTopic};
use kmerge::wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopics};
use kmerge::wire::delete_records::{DeleteRecords, DeleteRecordsPartition, DeleteRecordsTopic};
use kmerge::wire::delete_topics::{DeleteTopicState, DeleteTopics};
use kmerge::wire::describe_cluster::DescribeCluster;
use kmerge::wire::describe_configs::{DescribeConfigs, DescribeConfigsResource, resource_type};
use kmerge::wire::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirs};
use kmerge::wire::elect_leaders::{ElectLeaders, TopicPartitions};
use kmerge::wire::fetch::{Fetch, FetchPartition, FetchTopic};
use kmerge::wire::find_coordinator::FindCoordinator;
use kmerge::wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigs};
use kmerge::wire::init_producer_id::InitProducerId;
use kmerge::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsTopic, timestamp};
use kmerge::wire::list_partition_reassignments::{ListPartitionReassignments, ListPartitionReassignmentsTopics};
use kmerge::wire::metadata::{Metadata, MetadataRequestTopic, MetadataResponse};
use kmerge::wire::produce::{PartitionProduceData, Produce, TopicProduceData};
use kmerge::wire::{Api, ErrorCode, Uuid, frame};

const DEADLINE: Duration = Duration::from_secs(60);
const CLIENT_ID: &str = "kmerge-wire";

struct Connection {
    stream: TcpStream,
    correlation_id: i32,
    ranges: BTreeMap<i16, RangeInclusive<i16>>,
}

impl Connection {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        let mut this = Self { stream, correlation_id: 0, ranges: BTreeMap::new() };
        let frame = this.exchange::<ApiVersions>(0, &Default::default());
        let (_, response) = frame::read_response::<ApiVersions>(&frame, 0).expect("ApiVersions is read");
        this.ranges = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect();
        this
    }

    fn exchange<A: Api>(&mut self, version: i16, request: &A::Request<'_>) -> Vec<u8> {
        self.correlation_id += 1;
        let mut out = Vec::new();
        frame::write_request::<A>(&mut out, version, self.correlation_id, Some(CLIENT_ID), request)
            .unwrap_or_else(|error| panic!("{error}: {request:?}"));
        self.stream.write_all(&out).expect("the request is sent");
        let mut prefix = [0; frame::PREFIX_BYTES];
        self.stream.read_exact(&mut prefix).unwrap_or_else(|error| panic!("{} v{version}: {error}", A::KEY));
        let mut frame = vec![0; frame::length(prefix, 16 << 20).expect("a frame of fair size")];
        self.stream.read_exact(&mut frame).expect("the response is received");
        frame
    }

    /// Sends `request` and hands the answer, read at that version, to `then`.
    fn call<A: Api, T>(
        &mut self,
        version: i16,
        request: &A::Request<'_>,
        then: impl FnOnce(&A::Response<'_>) -> T,
    ) -> T {
        let frame = self.exchange::<A>(version, request);
        let (correlation_id, response) = frame::read_response::<A>(&frame, version).expect("the response is read");
        assert_eq!(correlation_id, self.correlation_id);
        then(&response)
    }

    /// The versions that both sides speak. Kafka offers exactly ours, but for Produce 0 to 2, which it lists for the
    /// sake of librdkafka and does not take.
    fn versions<A: Api>(&self) -> Vec<i16> {
        let theirs = self.ranges[&A::KEY.code()].clone();
        let both: Vec<i16> = A::VERSIONS.filter(|version| theirs.contains(version)).collect();
        assert!(!both.is_empty(), "{}: {theirs:?}", A::KEY);
        let _ = writeln!(std::io::stderr(), "{} {both:?} of {theirs:?}", A::KEY);
        both
    }

    fn topic(&mut self, name: &str) -> MetadataResponse {
        let topics = vec![MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() }];
        let request = kmerge::wire::metadata::MetadataRequest {
            topics: Some(topics),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.call::<Metadata, _>(10, &request, Clone::clone)
    }
}

fn brokers() -> Option<String> {
    let brokers = std::env::var("KMERGE_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty());
    if brokers.is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: KMERGE_TEST_BROKERS is not set");
    }
    brokers.map(|brokers| brokers.split(',').next().unwrap_or_default().to_owned())
}

/// A topic of its own for each test, deleted at the end of it however it ends.
struct Topic {
    connection: Connection,
    /// To the broker that leads its partition 0.
    leader: Connection,
    name: String,
    id: Uuid,
}

impl Topic {
    fn new(address: &str, test: &str) -> Self {
        let mut connection = Connection::to(address);
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let name = format!("wire-{test}-{nanos}");
        create(&mut connection, 7, &name, 1, false);
        let (id, leader) = settled(&mut connection, &name, 1);
        let mut leader = Connection::to(&leader);
        leads(&mut leader, &name);
        Self { leader, connection, name, id }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let topics = vec![DeleteTopicState { name: Some(self.name.clone()), topic_id: Uuid::ZERO }];
        let request =
            kmerge::wire::delete_topics::DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() };
        self.connection.call::<DeleteTopics, _>(6, &request, |_| ());
    }
}

fn create(connection: &mut Connection, version: i16, name: &str, partitions: i32, validate_only: bool) {
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        // Old records are written, by which a broker would delete.
        configs: vec![CreatableTopicConfig { name: "retention.ms".to_owned(), value: Some("-1".to_owned()) }],
        ..Default::default()
    };
    let request =
        kmerge::wire::create_topics::CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only };
    connection.call::<CreateTopics, _>(version, &request, |response| {
        assert_eq!(response.topics[0].error_code, 0, "v{version}: {response:?}");
        assert_eq!(response.topics[0].name, name);
        if version >= 5 {
            assert_eq!((response.topics[0].num_partitions, response.topics[0].replication_factor), (partitions, 1));
            assert!(response.topics[0].configs.as_ref().is_some_and(|configs| configs.len() > 10));
        }
        assert_eq!(version >= 7, !response.topics[0].topic_id.is_zero());
    });
}

/// Waits until the topic's partitions have leaders; its id, and where the leader of partition 0 listens.
fn settled(connection: &mut Connection, name: &str, partitions: usize) -> (Uuid, String) {
    let start = Instant::now();
    loop {
        let metadata = connection.topic(name);
        let topic = &metadata.topics[0];
        let led = topic.partitions.iter().filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
        if topic.error_code == 0 && led.count() == partitions {
            let first = topic.partitions.iter().find(|partition| partition.partition_index == 0).expect("partition 0");
            let broker = metadata.brokers.iter().find(|broker| broker.node_id == first.leader_id).expect("the leader");
            return (topic.topic_id, format!("{}:{}", broker.host, broker.port));
        }
        assert!(start.elapsed() < DEADLINE, "{name} does not settle: {metadata:?}");
        // A pause between two looks at the condition above, whose deadline stands there.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the leader of partition 0 knows that it leads: others may know before.
fn leads(leader: &mut Connection, name: &str) {
    let start = Instant::now();
    loop {
        let partitions = vec![ListOffsetsPartition { timestamp: timestamp::LATEST, ..Default::default() }];
        let topics = vec![ListOffsetsTopic { name: name.to_owned(), partitions }];
        let request = kmerge::wire::list_offsets::ListOffsetsRequest { topics, ..Default::default() };
        let code = leader.call::<ListOffsets, _>(6, &request, |response| response.topics[0].partitions[0].error_code);
        if code == 0 {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{name} has no leader that leads: error {code}");
        // A pause between two looks at the condition above, whose deadline stands there.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn api_versions_metadata_and_cluster_are_read_at_every_version() {
    let Some(address) = brokers() else { return };
    let mut topic = Topic::new(&address, "metadata");
    let (name, id) = (topic.name.clone(), topic.id);
    let connection = &mut topic.connection;
    for version in connection.versions::<ApiVersions>() {
        let request = kmerge::wire::api_versions::ApiVersionsRequest {
            client_software_name: "kmerge".to_owned(),
            client_software_version: "0.1".to_owned(),
        };
        let frame = connection.exchange::<ApiVersions>(version, &request);
        let (_, response) = read_any(&frame, version).expect("it is read");
        assert_eq!(response.error_code, 0);
        assert!(response.api_keys.len() > 30, "v{version}: {response:?}");
        assert_eq!(version >= 3, response.finalized_features.iter().any(|f| f.name == "metadata.version"));
    }
    for version in connection.versions::<Metadata>() {
        let by_id = version >= 12;
        let asked = MetadataRequestTopic {
            topic_id: if by_id { id } else { Uuid::ZERO },
            name: (!by_id).then(|| name.clone()),
        };
        let request = kmerge::wire::metadata::MetadataRequest {
            topics: Some(vec![asked]),
            allow_auto_topic_creation: version < 4,
            ..Default::default()
        };
        connection.call::<Metadata, _>(version, &request, |response| {
            assert!(!response.brokers.is_empty());
            let topic = &response.topics[0];
            assert_eq!((topic.error_code, topic.name.as_deref()), (0, Some(name.as_str())), "v{version}");
            assert_eq!(topic.topic_id, if version >= 10 { id } else { Uuid::ZERO });
            assert_eq!((topic.partitions.len(), topic.partitions[0].isr_nodes.len()), (1, 1));
        });
    }
    for version in connection.versions::<DescribeCluster>() {
        connection.call::<DescribeCluster, _>(version, &Default::default(), |response| {
            assert_eq!((response.error_code, response.cluster_id.len()), (0, 22), "v{version}: {response:?}");
            assert!(!response.brokers.is_empty());
        });
    }
    for version in connection.versions::<FindCoordinator>() {
        let request = kmerge::wire::find_coordinator::FindCoordinatorRequest {
            key: if version <= 3 { name.clone() } else { String::new() },
            coordinator_keys: if version <= 3 { vec![] } else { vec![name.clone()] },
            ..Default::default()
        };
        connection.call::<FindCoordinator, _>(version, &request, |response| {
            let code = response.coordinators.first().map_or(response.error_code, |found| found.error_code);
            // Not available: the offsets topic may be about to be made.
            assert!([0, ErrorCode::CoordinatorNotAvailable.code()].contains(&code), "v{version}: {response:?}");
            assert_eq!(response.coordinators.len(), usize::from(version >= 4));
        });
    }
}

#[test]
fn what_is_produced_at_any_version_is_fetched_at_every_version() {
    let Some(address) = brokers() else { return };
    let mut topic = Topic::new(&address, "records");
    let (name, id) = (topic.name.clone(), topic.id);
    let leader = &mut topic.leader;
    let mut written = BatchWriter::new(Codec::None);
    let produce = leader.versions::<Produce>();
    for (offset, version) in produce.iter().enumerate() {
        let value = format!("at version {version}");
        written
            .push(1_700_000_000_000, Some(b"key"), Some(value.as_bytes()), kmerge::batch::Headers::EMPTY)
            .expect("a record");
        let partition_data = vec![PartitionProduceData { index: 0, records: Some(written.finish().expect("a batch")) }];
        let named = TopicProduceData { name: name.clone(), topic_id: id, partition_data };
        let request = kmerge::wire::produce::ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![named],
            ..Default::default()
        };
        leader.call::<Produce, _>(*version, &request, |response| {
            let partition = &response.responses[0].partition_responses[0];
            let found = (partition.error_code, partition.base_offset, partition.log_append_time_ms);
            assert_eq!(found, (0, offset as i64, -1), "v{version}: {response:?}");
            assert_eq!(partition.log_start_offset, if *version >= 5 { 0 } else { -1 });
        });
    }
    let end = produce.len() as i64;

    for version in leader.versions::<ListOffsets>() {
        for (time, offset) in [(timestamp::EARLIEST, 0), (timestamp::LATEST, end), (1_700_000_000_000, 0)] {
            let partitions = vec![ListOffsetsPartition { partition_index: 0, timestamp: time, ..Default::default() }];
            let request = kmerge::wire::list_offsets::ListOffsetsRequest {
                topics: vec![ListOffsetsTopic { name: name.clone(), partitions }],
                timeout_ms: 30_000,
                ..Default::default()
            };
            leader.call::<ListOffsets, _>(version, &request, |response| {
                let partition = &response.topics[0].partitions[0];
                assert_eq!((partition.error_code, partition.offset), (0, offset), "v{version}: {response:?}");
            });
        }
    }
    let mut first: Option<Vec<u8>> = None;
    for version in leader.versions::<Fetch>() {
        let partitions = vec![FetchPartition { fetch_offset: 0, partition_max_bytes: 1 << 20, ..Default::default() }];
        let request = kmerge::wire::fetch::FetchRequest {
            max_wait_ms: 5_000,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level: i8::from(version % 2 == 0),
            topics: vec![FetchTopic { topic: name.clone(), topic_id: id, partitions }],
            ..Default::default()
        };
        leader.call::<Fetch, _>(version, &request, |response| {
            let topic = &response.responses[0];
            assert_eq!(topic.topic, if version <= 12 { name.as_str() } else { "" });
            assert_eq!(topic.topic_id, if version >= 13 { id } else { Uuid::ZERO });
            let partition = &topic.partitions[0];
            let found =
                (response.error_code, partition.error_code, partition.high_watermark, partition.last_stable_offset);
            assert_eq!(found, (0, 0, end, end), "v{version}: {response:?}");
            let records = partition.records.unwrap_or_default().to_vec();
            assert!(records.len() > 61 * produce.len(), "v{version}: {} bytes", records.len());
            assert_eq!(&records, first.get_or_insert(records.clone()), "v{version}");
        });
    }
    for version in leader.versions::<DeleteRecords>() {
        let start = i64::from(version) + 1;
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: start }];
        let request = kmerge::wire::delete_records::DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic { name: name.clone(), partitions }],
            timeout_ms: 30_000,
        };
        leader.call::<DeleteRecords, _>(version, &request, |response| {
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.low_watermark), (0, start), "v{version}: {response:?}");
        });
    }
    for version in leader.versions::<InitProducerId>() {
        let request = kmerge::wire::init_producer_id::InitProducerIdRequest {
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let start = Instant::now();
        while !leader.call::<InitProducerId, _>(version, &request, |response| {
            // A broker that has just begun fetches a block of ids first.
            let is_given = response.error_code != ErrorCode::CoordinatorLoadInProgress.code();
            if is_given {
                assert_eq!((response.error_code, response.producer_epoch), (0, 0), "v{version}: {response:?}");
                assert!(response.producer_id >= 0);
            }
            is_given
        }) {
            assert!(start.elapsed() < DEADLINE, "no producer id");
            // A pause between two looks at the condition above, whose deadline stands there.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn topics_and_configurations_are_managed_at_every_version() {
    let Some(address) = brokers() else { return };
    let mut topic = Topic::new(&address, "manage");
    let name = topic.name.clone();
    let connection = &mut topic.connection;
    for version in connection.versions::<CreateTopics>() {
        create(connection, version, &format!("{name}-{version}"), 2, true);
    }
    for version in connection.versions::<DeleteTopics>() {
        let doomed = format!("{name}-doomed-{version}");
        create(connection, 7, &doomed, 1, false);
        let (id, _) = settled(connection, &doomed, 1);
        let by_id = version >= 6;
        let request = kmerge::wire::delete_topics::DeleteTopicsRequest {
            topics: if by_id { vec![DeleteTopicState { name: None, topic_id: id }] } else { vec![] },
            topic_names: if by_id { vec![] } else { vec![doomed.clone()] },
            timeout_ms: 30_000,
        };
        connection.call::<DeleteTopics, _>(version, &request, |response| {
            let found = &response.responses[0];
            assert_eq!((found.error_code, found.name.as_deref()), (0, Some(doomed.as_str())), "v{version}");
        });
    }
    for version in connection.versions::<CreatePartitions>() {
        let count = i32::from(version) + 2;
        let request = kmerge::wire::create_partitions::CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: name.clone(), count, assignments: None }],
            timeout_ms: 30_000,
            validate_only: false,
        };
        connection.call::<CreatePartitions, _>(version, &request, |response| {
            assert_eq!(response.results[0].error_code, 0, "v{version}: {response:?}");
        });
        settled(connection, &name, count as usize);
    }
    for version in connection.versions::<IncrementalAlterConfigs>() {
        let value = Some(format!("{}", 100_000 + i32::from(version)));
        let config =
            AlterableConfig { name: "max.message.bytes".to_owned(), config_operation: 0, value: value.clone() };
        let request = kmerge::wire::incremental_alter_configs::IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource_type::TOPIC,
                resource_name: name.clone(),
                configs: vec![config],
            }],
            validate_only: false,
        };
        connection.call::<IncrementalAlterConfigs, _>(version, &request, |response| {
            assert_eq!(response.responses[0].error_code, 0, "v{version}: {response:?}");
        });
    }
    for version in connection.versions::<DescribeConfigs>() {
        let request = kmerge::wire::describe_configs::DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource_type::TOPIC,
                resource_name: name.clone(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: version >= 3,
        };
        connection.call::<DescribeConfigs, _>(version, &request, |response| {
            assert_eq!(response.results[0].error_code, 0, "v{version}: {response:?}");
            assert!(response.results[0].configs.len() > 10);
            let config = response.results[0].configs.iter().find(|config| config.name == "max.message.bytes");
            let config = config.expect("every topic has it");
            assert!(!config.synonyms.is_empty());
            assert_eq!(version >= 3, config.documentation.as_ref().is_some_and(|text| !text.is_empty()));
        });
    }
}

#[test]
fn places_of_partitions_are_asked_for_and_changed_at_every_version() {
    let Some(address) = brokers() else { return };
    let mut topic = Topic::new(&address, "places");
    let name = topic.name.clone();
    for version in topic.leader.versions::<DescribeLogDirs>() {
        let wanted = DescribableLogDirTopic { topic: name.clone(), partitions: vec![0] };
        let request = kmerge::wire::describe_log_dirs::DescribeLogDirsRequest { topics: Some(vec![wanted]) };
        let start = Instant::now();
        // Metadata may tell of a partition a moment before its leader has made a log for it.
        while !topic.leader.call::<DescribeLogDirs, _>(version, &request, |response| {
            let folder = &response.results[0];
            assert!(folder.error_code == 0 && folder.log_dir.starts_with('/'), "v{version}: {response:?}");
            assert_eq!(version >= 4, folder.total_bytes > 0, "v{version}: {response:?}");
            let held = response.results.iter().flat_map(|folder| &folder.topics).flat_map(|one| &one.partitions);
            let held: Vec<_> = held.map(|one| (one.partition_index, one.offset_lag)).collect();
            held == [(0, 0)]
        }) {
            assert!(start.elapsed() < DEADLINE, "v{version}: {name} is held by nobody");
            // A pause between two looks, inside the deadline above.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let connection = &mut topic.connection;
    let replicas = connection.topic(&name).topics[0].partitions[0].replica_nodes.clone();
    for version in connection.versions::<AlterPartitionReassignments>() {
        for (partition_index, code) in [(0, ErrorCode::None), (7, ErrorCode::UnknownTopicOrPartition)] {
            // Where it is already: nothing moves.
            let partition = ReassignablePartition { partition_index, replicas: Some(replicas.clone()) };
            let topics = vec![ReassignableTopic { name: name.clone(), partitions: vec![partition] }];
            let request = kmerge::wire::alter_partition_reassignments::AlterPartitionReassignmentsRequest {
                topics,
                ..Default::default()
            };
            connection.call::<AlterPartitionReassignments, _>(version, &request, |response| {
                let told = &response.responses[0].partitions[0];
                assert_eq!((told.partition_index, told.error_code), (partition_index, code.code()), "v{version}");
            });
        }
    }
    for version in connection.versions::<ListPartitionReassignments>() {
        let wanted = ListPartitionReassignmentsTopics { name: name.clone(), partition_indexes: vec![0] };
        let request = kmerge::wire::list_partition_reassignments::ListPartitionReassignmentsRequest {
            topics: Some(vec![wanted]),
            ..Default::default()
        };
        connection.call::<ListPartitionReassignments, _>(version, &request, |response| {
            assert_eq!((response.error_code, response.topics.len()), (0, 0), "v{version}: {response:?}");
        });
    }
    for version in connection.versions::<ElectLeaders>() {
        let wanted = TopicPartitions { topic: name.clone(), partitions: vec![0] };
        let request = kmerge::wire::elect_leaders::ElectLeadersRequest {
            topic_partitions: Some(vec![wanted]),
            ..Default::default()
        };
        connection.call::<ElectLeaders, _>(version, &request, |response| {
            let told = &response.replica_election_results[0].partition_result[0];
            assert_eq!(told.error_code, ErrorCode::ElectionNotNeeded.code(), "v{version}: {response:?}");
        });
    }
}
