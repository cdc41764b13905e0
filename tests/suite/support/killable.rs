//! A cluster of Apache Kafka whose nodes may be killed. `KMERGE_TEST_KILL` names its folder; `compose/local-kafka up` has
//! started it, with two brokers.

use kmerge::client::Cluster as Client;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Two stories that kill nodes of one cluster at the same time would leave it without any.
static ALONE: Mutex<()> = Mutex::const_new(());

pub struct Killable {
    folder: PathBuf,
    brokers: Vec<Node>,
    _alone: MutexGuard<'static, ()>,
}

struct Node {
    name: String,
    id: i32,
    address: String,
}

/// The brokers, from the files of `local-kafka`.
fn brokers(folder: &Path) -> Vec<Node> {
    let mut found = Vec::new();
    for number in 1.. {
        let name = format!("broker-{number}");
        let Ok(properties) = std::fs::read_to_string(folder.join(format!("{name}.properties"))) else { break };
        let value = |key: &str| properties.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
        let address = value("listeners").rsplit('/').next().unwrap().to_owned();
        found.push(Node { name, id: value("node.id").parse().unwrap(), address });
    }
    found
}

impl Killable {
    /// The cluster, for this story alone and whole; where there is none, that is said aloud.
    pub async fn for_story(story: &str) -> Option<Self> {
        // The harness names a test's thread after it, unless there is one thread for all of them.
        let test = std::thread::current().name().unwrap_or("main").to_owned();
        assert!(
            test == "main" || test.contains("killed_on_kafka"),
            "{test} is run by nobody: it has no killed_on_kafka in its name"
        );
        let Ok(folder) = std::env::var("KMERGE_TEST_KILL") else {
            // Not eprintln: that is swallowed when a test passes.
            let _ = writeln!(std::io::stderr(), "skipped: {story} (KMERGE_TEST_KILL is not set)");
            return None;
        };
        let folder = PathBuf::from(folder);
        let this = Self { brokers: brokers(&folder), folder, _alone: ALONE.lock().await };
        // A story that failed may have left a node dead.
        let status = this.local_kafka("status", &[]).stdout(Stdio::piped()).output().await.unwrap();
        for line in String::from_utf8_lossy(&status.stdout).lines().filter(|line| line.ends_with("stopped")) {
            this.start(line.split(' ').next().unwrap()).await;
        }
        Some(this)
    }

    /// Where `local-kafka` has it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn addresses(&self) -> Vec<String> {
        self.brokers.iter().map(|broker| broker.address.clone()).collect()
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.addresses(), TIMEOUT).await.unwrap()
    }

    /// All brokers by name.
    pub fn names(&self) -> Vec<&str> {
        self.brokers.iter().map(|broker| broker.name.as_str()).collect()
    }

    /// The name of the broker with this node id.
    pub fn name_of(&self, id: i32) -> &str {
        &self.brokers.iter().find(|broker| broker.id == id).unwrap().name
    }

    /// kill -9.
    pub async fn kill(&self, node: &str) {
        assert!(self.local_kafka("stop", &[node, "KILL"]).status().await.unwrap().success(), "stop {node}");
    }

    /// Starts it again on its old data, and waits until it serves.
    pub async fn start(&self, node: &str) {
        assert!(self.local_kafka("start", &[node]).status().await.unwrap().success(), "start {node}");
    }

    /// Switches the cluster's `transaction.version` by Kafka's own tool.
    pub async fn switch_transaction_version(&self, way: &str, version: i16) {
        let feature = format!("transaction.version={version}");
        let words = ["FeatureCommand", "--bootstrap-server", &self.addresses()[0], way, "--feature", &feature];
        let switched = self.local_kafka("tool", &words).output().await.unwrap();
        assert!(switched.status.success(), "{way} to {feature}: {switched:?}");
    }

    fn local_kafka(&self, verb: &str, words: &[&str]) -> tokio::process::Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/local-kafka");
        let mut command = tokio::process::Command::new(script);
        command.arg(verb).arg(&self.folder).args(words).stdin(Stdio::null());
        command
    }

    /// Waits until every broker says, again and again, that both are in sync everywhere in these topics: then the cluster may
    /// elect the other one. A broker that has just started tells of the time before. Gives the leader of the first partition
    /// of the first one.
    pub async fn settled(&self, topics: &[&str]) -> i32 {
        let (mut last, mut agreed) = (None, 0);
        let began = Instant::now();
        while agreed < 5 {
            assert!(began.elapsed() < 2 * TIMEOUT, "the brokers do not agree on the leaders of {topics:?}");
            // A pause between two looks, inside the deadline of this wait.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut told = Vec::new();
            for address in self.addresses() {
                let client = Client::connect(&[address], TIMEOUT).await.unwrap();
                told.push(leaders(&client, topics).await);
            }
            let same = told.iter().all(|leaders| leaders.is_some() && *leaders == told[0]);
            agreed = if same && (agreed == 0 || last == told[0]) { agreed + 1 } else { 0 };
            last = told.swap_remove(0);
        }
        last.unwrap()[0]
    }
}

/// The leaders of all partitions, if each has one and both brokers are in sync.
async fn leaders(client: &Client, topics: &[&str]) -> Option<Vec<i32>> {
    let mut leaders = Vec::new();
    for topic in topics {
        for partition in client.topic(topic).await.unwrap().partitions {
            leaders.push((partition.isr.len() == 2 && partition.leader >= 0).then_some(partition.leader)?);
        }
    }
    Some(leaders)
}
