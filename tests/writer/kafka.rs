//! The writer on Apache Kafka. `KMERGE_TEST_BROKERS` names a cluster that is left running; `KMERGE_TEST_KILL` names the
//! folder of a cluster of two brokers, started by `compose/local-kafka up`, whose brokers may be killed.

use crate::story::{LONG, Numbers, encode, numbers};
use kmerge::base::place::TopicPartition;
use kmerge::client::{Cluster, Delivery, NewTopic, OffsetAt, ReadOptions, WriteOptions};
use kmerge::ports::Source as _;
use kmerge::wire::ErrorCode;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn variable(name: &str, variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        // Not eprintln: that is swallowed when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {name} ({variable} is not set)");
    }
    value
}

async fn connect(brokers: &str) -> Cluster {
    let list: Vec<String> = brokers.split(',').map(str::to_owned).collect();
    Cluster::connect(&list, LONG / 2).await.unwrap()
}

async fn topic(cluster: &Cluster, name: &str, configs: &[(&str, &str)]) -> TopicPartition {
    let name = format!("produce-{name}-{:08x}", rand::random::<u32>());
    let new = NewTopic { replication_factor: 2, ..NewTopic::new(&name, 1) }.config("retention.ms", "-1");
    let new = configs.iter().fold(new, |new, (key, value)| new.config(*key, *value));
    cluster.create_topic(&new).await.unwrap();
    TopicPartition::new(name, 0)
}

/// All numbers in a partition.
async fn read_all(cluster: &Cluster, partition: &TopicPartition) -> Vec<u64> {
    let end = cluster.offsets(std::slice::from_ref(partition), OffsetAt::Latest).await.unwrap()[0];
    let mut reader = cluster.reader(partition.clone(), 0..end, ReadOptions::default());
    let (mut window, mut all) = (Vec::new(), Vec::new());
    while reader.next(&mut window).await.unwrap().is_some() {
        all.extend(numbers(&window));
    }
    all
}

fn is_whole(log: &[u64], written: u64) {
    let first_odd = log.iter().zip(0..).find(|(got, expected)| *got != expected);
    assert!(
        log.len() as u64 == written && first_odd.is_none(),
        "{written} written, {} there, {first_odd:?}",
        log.len()
    );
}

#[tokio::test]
async fn on_kafka_each_number_is_stored_once_and_in_order() {
    let Some(brokers) = variable("on_kafka_each_number_is_stored_once_and_in_order", "KMERGE_TEST_BROKERS") else {
        return;
    };
    let cluster = connect(&brokers).await;
    for delivery in [Delivery::Idempotent, Delivery::AtLeastOnce] {
        let partition = topic(&cluster, "plain", &[]).await;
        let options = WriteOptions { delivery, ..WriteOptions::default() };
        let writer = cluster.writer(partition.clone(), 0, options).await.unwrap();
        let written = Numbers::new(writer).write(300).await.unwrap();
        is_whole(&read_all(&cluster, &partition).await, written);
        cluster.delete_topic(&partition.topic).await.unwrap();
    }
}

#[tokio::test]
async fn on_kafka_two_writers_notice_each_other() {
    let Some(brokers) = variable("on_kafka_two_writers_notice_each_other", "KMERGE_TEST_BROKERS") else { return };
    let cluster = connect(&brokers).await;
    let partition = topic(&cluster, "rivals", &[]).await;
    let writer = |end| cluster.writer(partition.clone(), end, WriteOptions::default());
    let mut first = Numbers::new(writer(0).await.unwrap());
    first.append(1).await.unwrap();
    first.writer.flush().await.unwrap();
    let end = 1;
    Numbers::new(writer(end).await.unwrap()).write(1).await.unwrap();
    let error = first.write(5).await.unwrap_err();
    assert!(matches!(error, kmerge::client::ClientError::NotAdjacent(_)), "{error}");
    cluster.delete_topic(&partition.topic).await.unwrap();
}

#[tokio::test]
async fn fault_14_on_kafka_a_batch_above_the_limit_is_refused_by_name() {
    let name = "fault_14_on_kafka_a_batch_above_the_limit_is_refused_by_name";
    let Some(brokers) = variable(name, "KMERGE_TEST_BROKERS") else { return };
    let cluster = connect(&brokers).await;
    let partition = topic(&cluster, "limit", &[("max.message.bytes", "200")]).await;
    let mut writer = cluster.writer(partition.clone(), 0, WriteOptions::default()).await.unwrap();
    let batch = encode(0, 100, Vec::new());
    writer.append(batch).await.unwrap();
    let (appended, result) = writer.finish().await;
    assert_eq!((result.unwrap_err().code(), appended.records()), (Some(ErrorCode::MessageTooLarge), 0));
    cluster.delete_topic(&partition.topic).await.unwrap();
}

#[tokio::test]
async fn fault_15_on_kafka_a_record_without_a_key_is_refused_in_the_brokers_words() {
    let name = "fault_15_on_kafka_a_record_without_a_key_is_refused_in_the_brokers_words";
    let Some(brokers) = variable(name, "KMERGE_TEST_BROKERS") else { return };
    let cluster = connect(&brokers).await;
    let partition = topic(&cluster, "keyless", &[("cleanup.policy", "compact")]).await;
    let writer = cluster.writer(partition.clone(), 0, WriteOptions::default()).await.unwrap();
    let error = Numbers::new(writer).write(1).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidRecord), "{error}");
    assert!(error.to_string().contains("record 0 of the batch"), "{error}");
    cluster.delete_topic(&partition.topic).await.unwrap();
}

/// The brokers of a cluster that `compose/local-kafka` has started: name, node id, address.
fn local_brokers(folder: &Path) -> Vec<(String, i32, String)> {
    let mut found = Vec::new();
    for number in 1.. {
        let name = format!("broker-{number}");
        let Ok(properties) = std::fs::read_to_string(folder.join(format!("{name}.properties"))) else { break };
        let value = |key: &str| {
            let line = properties.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
            line.to_owned()
        };
        let listener = value("listeners");
        let address = listener.rsplit('/').next().unwrap().to_owned();
        found.push((name, value("node.id").parse().unwrap(), address));
    }
    found
}

async fn local_kafka(folder: &Path, words: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/local-kafka");
    let mut command = tokio::process::Command::new(script);
    command.arg(words[0]).arg(folder).args(&words[1..]).stdin(Stdio::null());
    let status = command.status().await.unwrap();
    assert!(status.success(), "local-kafka {words:?}: {status}");
}

#[tokio::test]
async fn fault_05_a_leader_killed_on_kafka_and_started_again_under_load_loses_repeats_and_reorders_nothing() {
    let name = "fault_05_a_leader_killed_on_kafka_and_started_again_under_load_loses_repeats_and_reorders_nothing";
    let Some(folder) = variable(name, "KMERGE_TEST_KILL") else { return };
    let folder = Path::new(&folder);
    let nodes = local_brokers(folder);
    let addresses: Vec<&str> = nodes.iter().map(|(_, _, address)| address.as_str()).collect();
    let cluster = connect(&addresses.join(",")).await;
    // The records are old, so that retention would take them, and so that a broker that restarts has forgotten the producer.
    let partition = topic(&cluster, "killed", &[("retention.ms", "-1")]).await;
    let writer = cluster.writer(partition.clone(), 0, WriteOptions::default()).await.unwrap();
    let mut numbers = Numbers::new(writer);
    for signal in ["KILL", "TERM", "KILL"] {
        numbers.append(200).await.unwrap();
        let leader = cluster.topic(&partition.topic).await.unwrap().partitions[0].leader;
        let node = &nodes.iter().find(|(_, id, _)| *id == leader).unwrap().0;
        let killing = async {
            local_kafka(folder, &["stop", node, signal]).await;
            local_kafka(folder, &["start", node]).await;
        };
        tokio::pin!(killing);
        let mut longest = Duration::ZERO;
        loop {
            let began = Instant::now();
            tokio::select! {
                biased;
                () = &mut killing => break,
                // The loser of the race would lose its batch, so each is driven to its end.
                () = async {} => numbers.append(1).await.unwrap(),
            }
            longest = longest.max(began.elapsed());
        }
        let _ = writeln!(std::io::stderr(), "{signal}: the longest wait for room was {longest:?}");
    }
    let written = numbers.finish().await.unwrap();
    let log = read_all(&cluster, &partition).await;
    is_whole(&log, written);
    let _ = writeln!(std::io::stderr(), "{written} numbers, each once");
    cluster.delete_topic(&partition.topic).await.unwrap();
}
