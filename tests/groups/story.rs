//! What leaves only the story in a test: a cluster, a topic full of records, what was read of it and what was committed.

use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Codec, Headers};
use kmerge::broker::{Broker, BrokerConfig, GroupConfig};
use kmerge::client::group::{GroupMember, GroupOptions, Reset};
use kmerge::client::{Cluster, Delivery, NewTopic, WriteOptions};
use kmerge::ports::Outgoing;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// Long enough for a loaded machine, for what must succeed.
pub const LONG: Duration = Duration::from_secs(60);

/// The shortest session that brokers allow unless they are told otherwise.
pub const SESSION: Duration = Duration::from_secs(6);

/// Records in a batch; a member reads a batch at a time.
pub const BATCH: i64 = 5;

/// States tests that run on both brokers: `fn name(world) { .. }` becomes `name::embedded` and `name::kafka`.
macro_rules! on_both_brokers {
    ($($(#[doc = $doc:literal])* async fn $name:ident($world:ident: &World) $body:block)*) => {
        $(
            $(#[doc = $doc])*
            mod $name {
                use super::*;

                async fn story($world: &World) $body

                #[test]
                fn embedded() {
                    crate::story::embedded(stringify!($name), async |world| story(world).await);
                }

                #[test]
                fn kafka() {
                    crate::story::kafka(stringify!($name), async |world| story(world).await);
                }
            }
        )*
    };
}

/// States tests of what only real Kafka has.
macro_rules! on_kafka {
    ($($(#[doc = $doc:literal])* async fn $name:ident($world:ident: &World) $body:block)*) => {
        $(
            $(#[doc = $doc])*
            mod $name {
                use super::*;

                async fn story($world: &World) $body

                #[test]
                fn kafka() {
                    crate::story::kafka(stringify!($name), async |world| story(world).await);
                }
            }
        )*
    };
}

/// A cluster, and names that nobody else uses.
pub struct World {
    brokers: Vec<String>,
    name: String,
    embedded: Option<Broker>,
}

pub fn embedded(name: &str, story: impl AsyncFnOnce(&World)) {
    runtime().block_on(async {
        story(&World::embedded(name, GroupConfig::default()).await).await;
    });
}

/// Runs a story that has the embedded broker to itself, which takes shorter sessions than others do.
pub fn alone(name: &str, story: impl AsyncFnOnce(&World)) {
    runtime().block_on(async {
        story(&World::for_faults(name).await).await;
    });
}

pub fn kafka(name: &str, story: impl AsyncFnOnce(&World)) {
    let Ok(brokers) = std::env::var("KMERGE_TEST_BROKERS") else {
        // Not eprintln: that is swallowed when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {name} on real Kafka (KMERGE_TEST_BROKERS is not set)");
        return;
    };
    runtime().block_on(async {
        let name = format!("groups-{name}-{:08x}", rand::random::<u32>());
        let brokers = brokers.split(',').map(str::to_owned).collect();
        story(&World { brokers, name, embedded: None }).await;
    });
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

impl World {
    async fn embedded(name: &str, groups: GroupConfig) -> Self {
        let config = BrokerConfig { nodes: 2, groups, ..BrokerConfig::default() };
        let broker = Broker::start(config).await.expect("it starts");
        let brokers = broker.bootstrap().split(',').map(str::to_owned).collect();
        Self { brokers, name: name.to_owned(), embedded: Some(broker) }
    }

    /// On an embedded broker of its own, which takes shorter sessions than others do.
    pub async fn for_faults(name: &str) -> Self {
        let groups = GroupConfig { session_timeout_min: Duration::from_millis(100), ..GroupConfig::default() };
        Self::embedded(name, groups).await
    }

    /// On a cluster that is there.
    pub fn at(brokers: Vec<String>) -> Self {
        Self { brokers, name: format!("groups-{:08x}", rand::random::<u32>()), embedded: None }
    }

    /// The embedded broker.
    pub fn broker(&self) -> &Broker {
        self.embedded.as_ref().expect("a story on the embedded broker")
    }

    pub async fn client(&self) -> Cluster {
        self.client_within(LONG / 2).await
    }

    pub async fn client_within(&self, timeout: Duration) -> Cluster {
        Cluster::connect(&self.brokers, timeout).await.expect("the cluster answers")
    }

    /// A topic with so many records in each of its partitions.
    pub async fn topic(&self, name: &str, partitions: i32, records: i64) -> String {
        let name = format!("{}-{name}", self.name);
        let cluster = self.client().await;
        let topic = NewTopic::new(&name, partitions).config("retention.ms", "-1");
        cluster.create_topic(&topic).await.expect("the topic is created");
        for partition in 0..partitions {
            self.append(&name, partition, 0, records).await;
        }
        name
    }

    /// Appends so many records to a partition that ends at `end`.
    pub async fn append(&self, topic: &str, partition: i32, end: i64, records: i64) {
        let options = WriteOptions { delivery: Delivery::AtLeastOnce, ..WriteOptions::default() };
        let partition = TopicPartition::new(topic, partition);
        let mut writer = self.client().await.writer(partition, end, options).await.expect("a writer");
        for first in (0..records).step_by(BATCH as usize) {
            writer.append(batch(end + first, BATCH.min(records - first))).await.expect("it is taken");
        }
        let (_, result) = writer.finish().await;
        result.expect("it is stored");
    }

    /// Options of a member of this test's group.
    pub fn options(&self, topics: &[&str]) -> GroupOptions {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let mut options = GroupOptions::new(&format!("{}-group", self.name), &topics);
        options.session_timeout = SESSION;
        options.heartbeat_interval = Duration::from_millis(300);
        options.rebalance_timeout = LONG;
        options.look_interval = Duration::from_millis(500);
        options.reset = Reset::Earliest;
        options
    }

    pub async fn member(&self, options: &GroupOptions) -> GroupMember {
        self.client().await.join_group(options.clone()).await.expect("the topics are there")
    }
}

pub fn batch(first: i64, count: i64) -> Outgoing {
    let mut writer = BatchWriter::new(Codec::None);
    for number in first..first + count {
        writer.push(number, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    let bytes = writer.finish().unwrap().to_vec();
    Outgoing { len: bytes.len(), bytes, records: count as u32 }
}

/// What all members of a group have read and committed, by the order of things in this process.
pub struct Log {
    records: i64,
    seen: Mutex<BTreeMap<TopicPartition, Vec<Record>>>,
}

#[derive(Clone, Default)]
struct Record {
    read: u32,
    committed_by: Option<String>,
}

impl Log {
    /// Of a topic with so many records in each partition.
    pub fn of(topic: &str, partitions: i32, records: i64) -> Self {
        let partitions = (0..partitions).map(|partition| TopicPartition::new(topic, partition));
        let seen = partitions.map(|one| (one, vec![Record::default(); records as usize])).collect();
        Self { records, seen: Mutex::new(seen) }
    }

    pub fn records(&self) -> i64 {
        self.records
    }

    /// A member has read these offsets, of which nobody may have committed any.
    pub fn read(&self, who: &str, partition: &TopicPartition, offsets: std::ops::Range<i64>) {
        let mut seen = self.seen.lock().unwrap();
        let log = seen.get_mut(partition).expect("a partition of the topic");
        for offset in offsets {
            let record = &mut log[offset as usize];
            record.read += 1;
            if let Some(by) = &record.committed_by {
                panic!("{who} reads {partition} offset {offset} again, which {by} has committed");
            }
        }
    }

    /// A member was told that these are committed.
    pub fn committed(&self, who: &str, partition: &TopicPartition, offsets: std::ops::Range<i64>) {
        let mut seen = self.seen.lock().unwrap();
        let log = seen.get_mut(partition).expect("a partition of the topic");
        for offset in offsets {
            let record = &mut log[offset as usize];
            if let Some(by) = record.committed_by.replace(who.to_owned()) {
                panic!("{who} commits {partition} offset {offset}, which {by} has committed before");
            }
        }
    }

    /// How many records nobody has been told to be committed.
    pub fn left(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.values().flatten().filter(|record| record.committed_by.is_none()).count()
    }

    /// That every record was read.
    pub fn assert_whole(&self) {
        for (partition, log) in &*self.seen.lock().unwrap() {
            if let Some(offset) = log.iter().position(|record| record.read == 0) {
                panic!("nobody has read {partition} offset {offset}");
            }
        }
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < LONG, "{what}: not within {LONG:?}");
        // Between two looks at the condition.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

mod the_log_itself {
    use super::*;

    fn log() -> (Log, TopicPartition) {
        (Log::of("t", 1, 10), TopicPartition::new("t", 0))
    }

    #[test]
    #[should_panic(expected = "b reads t partition 0 offset 3 again, which a has committed")]
    fn notices_that_a_committed_record_is_read_again() {
        let (log, partition) = log();
        log.read("a", &partition, 0..5);
        log.read("b", &partition, 0..5);
        log.committed("a", &partition, 3..5);
        log.read("b", &partition, 1..5);
    }

    #[test]
    #[should_panic(expected = "b commits t partition 0 offset 4, which a has committed before")]
    fn notices_that_two_have_committed_a_record() {
        let (log, partition) = log();
        log.committed("a", &partition, 0..5);
        log.committed("b", &partition, 4..6);
    }

    #[test]
    #[should_panic(expected = "nobody has read t partition 0 offset 5")]
    fn notices_that_a_record_was_skipped() {
        let (log, partition) = log();
        log.read("a", &partition, 0..5);
        log.read("b", &partition, 6..10);
        log.assert_whole();
    }
}
