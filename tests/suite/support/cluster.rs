//! A cluster to test on, with topics of the test's own that are gone afterwards.

use super::binary::{self, Outcome};
use super::peer::Peer;
use super::records::{Rec, decode, encode};
use kmerge::batch::Codec;
use kmerge::broker::{Broker, BrokerConfig};
use kmerge::client::{Cluster as Client, NewTopic};
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Tells tests of one process apart, also where they share a real cluster.
static NEXT_TEST: AtomicU64 = AtomicU64::new(0);

pub struct Cluster {
    /// `host:port,host:port`.
    pub brokers: String,
    /// The broker in this process, where it is that.
    pub embedded: Option<Broker>,
    prefix: String,
    created: Mutex<Vec<String>>,
    groups: Mutex<Vec<String>>,
}

/// Runs a story on an embedded cluster of two nodes.
pub fn run_embedded(name: &str, story: impl AsyncFnOnce(&Cluster)) {
    runtime().block_on(async {
        let cluster = Cluster::embedded(name).await;
        story(&cluster).await;
    });
}

/// Runs a story on the cluster that `KMERGE_TEST_BROKERS` names; says so aloud where there is none.
pub fn run_on_kafka(name: &str, story: impl AsyncFnOnce(&Cluster)) {
    let Ok(brokers) = std::env::var("KMERGE_TEST_BROKERS") else {
        // Not eprintln: that is swallowed when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {name} on real Kafka (KMERGE_TEST_BROKERS is not set)");
        return;
    };
    runtime().block_on(async {
        let cluster = Cluster::new(name, brokers, None);
        let ended = futures::FutureExt::catch_unwind(AssertUnwindSafe(story(&cluster))).await;
        cluster.clean_up().await;
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

impl Cluster {
    fn new(name: &str, brokers: String, embedded: Option<Broker>) -> Self {
        // Topic names take 249 characters, test names do not come near that.
        let prefix = format!("kmerge-test-{}-{}-{name}", std::process::id(), NEXT_TEST.fetch_add(1, Relaxed));
        Self { brokers, embedded, prefix, created: Mutex::default(), groups: Mutex::default() }
    }

    /// An embedded cluster of two nodes, for tests that need its faults.
    pub async fn embedded(name: &str) -> Self {
        let config = BrokerConfig { nodes: 2, ..BrokerConfig::default() };
        let broker = Broker::start(config).await.expect("the embedded broker starts");
        Self::new(name, broker.bootstrap(), Some(broker))
    }

    pub async fn client(&self) -> Client {
        let list: Vec<String> = self.brokers.split(',').map(str::to_owned).collect();
        Client::connect(&list, TIMEOUT).await.expect("the cluster answers")
    }

    /// A topic of this test's own; gives its name.
    pub async fn topic(&self, name: &str, partitions: i32) -> String {
        self.topic_with(name, partitions, &[]).await
    }

    pub async fn topic_with(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        let name = format!("{}-{name}", self.prefix);
        let mut topic = NewTopic::new(&name, partitions);
        // Tests write old timestamps, by which a broker would delete.
        topic.configs.push(("retention.ms".into(), "-1".into()));
        topic.configs.extend(configs.iter().map(|(k, v)| ((*k).into(), (*v).into())));
        self.client().await.create_topic(&topic).await.expect("the topic is created");
        self.created.lock().unwrap().push(name.clone());
        name
    }

    /// Lets a topic that a command creates be cleaned up as well.
    pub fn name(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.prefix);
        self.created.lock().unwrap().push(name.clone());
        name
    }

    /// The name of a group of this test's own, gone with the test.
    pub fn group(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.prefix);
        self.groups.lock().unwrap().push(name.clone());
        name
    }

    /// Appends the records as one uncompressed batch.
    pub async fn put(&self, topic: &str, partition: i32, records: &[Rec]) {
        self.put_with(topic, partition, Codec::None, records).await;
    }

    pub async fn put_with(&self, topic: &str, partition: i32, codec: Codec, records: &[Rec]) {
        if !records.is_empty() {
            self.peer(topic, partition).await.produce(topic, partition, &encode(codec, records)).await;
        }
    }

    /// Everything in a partition.
    pub async fn read(&self, topic: &str, partition: i32) -> Vec<Rec> {
        self.read_with_codecs(topic, partition).await.0
    }

    /// The codecs of its batches, each once.
    pub async fn codecs(&self, topic: &str, partition: i32) -> Vec<&'static str> {
        let mut codecs: Vec<_> = self.read_with_codecs(topic, partition).await.1.into_iter().map(Codec::name).collect();
        codecs.sort_unstable();
        codecs.dedup();
        codecs
    }

    async fn read_with_codecs(&self, topic: &str, partition: i32) -> (Vec<Rec>, Vec<Codec>) {
        let mut peer = self.peer(topic, partition).await;
        let (mut offset, end) = peer.bounds(topic, partition).await;
        let (mut records, mut codecs) = (Vec::new(), Vec::new());
        while offset < end {
            let bytes = peer.fetch(topic, partition, offset).await;
            let next = decode(&bytes, offset, &mut records, &mut codecs);
            assert!(next > offset, "{topic}-{partition} gives nothing at {offset}, below its end {end}");
            offset = next;
        }
        (records, codecs)
    }

    /// Moves the start of a partition's log, as retention does.
    pub async fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        self.peer(topic, partition).await.delete_before(topic, partition, offset).await;
    }

    /// Runs the binary against this cluster.
    pub async fn run(&self, args: &[&str]) -> Outcome {
        binary::run(binary::command(&self.brokers, args)).await
    }

    /// `kmerge verify` of an output against its input.
    pub async fn verify(&self, from: &str, to: &str, more: &[&str]) -> Outcome {
        self.run(&[&["verify", "--from", from, "--to", to][..], more].concat()).await
    }

    async fn peer(&self, topic: &str, partition: i32) -> Peer {
        Peer::of_leader(&self.brokers, topic, partition).await
    }

    async fn clean_up(&self) {
        let client = self.client().await;
        let created = std::mem::take(&mut *self.created.lock().unwrap());
        for topic in created {
            let _ = client.delete_topic(&topic).await;
        }
        let groups = std::mem::take(&mut *self.groups.lock().unwrap());
        for group in groups {
            let _ = client.delete_group(&group).await;
        }
    }
}
