//! A reader whose leader is killed -9 and started again, on Apache Kafka. `KMERGE_TEST_KILL` names the folder of a cluster of
//! two brokers, started by `compose/local-kafka up`, whose brokers may be killed.

use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use kmerge::client::{Cluster, Delivery, NewTopic, ReadOptions, WriteOptions};
use kmerge::ports::{Outgoing, Source as _};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(60);
const BATCHES: i64 = 300;
const RECORDS_PER_BATCH: i64 = 10;

/// A broker's name, node id and address, from the files of `local-kafka`.
fn nodes(folder: &Path) -> Vec<(String, i32, String)> {
    let mut found = Vec::new();
    for number in 1.. {
        let name = format!("broker-{number}");
        let Ok(properties) = std::fs::read_to_string(folder.join(format!("{name}.properties"))) else { break };
        let value = |key: &str| properties.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
        let address = value("listeners").rsplit('/').next().unwrap().to_owned();
        found.push((name, value("node.id").parse().unwrap(), address));
    }
    found
}

async fn local_kafka(folder: &Path, words: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/local-kafka");
    let mut command = tokio::process::Command::new(script);
    command.arg(words[0]).arg(folder).args(&words[1..]).stdin(Stdio::null());
    assert!(command.status().await.unwrap().success(), "local-kafka {words:?}");
}

/// The leader, once every broker says, again and again, that both are in sync: then the cluster may elect the other one. A
/// broker that has just started tells of the time before.
async fn settled(addresses: &[String], topic: &str) -> i32 {
    let (mut last, mut agreed) = (None, 0);
    let began = Instant::now();
    while agreed < 5 {
        assert!(began.elapsed() < 2 * TIMEOUT, "the brokers do not agree on the leader of {topic}");
        // A pause between two looks, inside the deadline of this wait.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut leaders = Vec::new();
        for address in addresses {
            let cluster = Cluster::connect(std::slice::from_ref(address), TIMEOUT).await.unwrap();
            let found = cluster.topic(topic).await.unwrap().partitions.remove(0);
            leaders.push((found.isr.len() == 2 && found.leader >= 0).then_some(found.leader));
        }
        let same = leaders.iter().all(|leader| leader.is_some() && *leader == leaders[0]);
        agreed = if same && (agreed == 0 || last == leaders[0]) { agreed + 1 } else { 0 };
        last = leaders[0];
    }
    last.unwrap()
}

async fn write(cluster: &Cluster, partition: &TopicPartition) {
    let options = WriteOptions { delivery: Delivery::AtLeastOnce, ..WriteOptions::default() };
    let mut writer = cluster.writer(partition.clone(), 0, options).await.unwrap();
    for first in (0..BATCHES * RECORDS_PER_BATCH).step_by(RECORDS_PER_BATCH as usize) {
        let mut batch = BatchWriter::new(Codec::None);
        for number in first..first + RECORDS_PER_BATCH {
            batch.push(1_700_000_000_000, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
        }
        let bytes = batch.finish().unwrap().to_vec();
        writer.append(Outgoing { len: bytes.len(), bytes, records: RECORDS_PER_BATCH as u32 }).await.unwrap();
    }
    writer.finish().await.1.unwrap();
}

fn numbers(window: &[u8]) -> Vec<i64> {
    let (mut records, mut numbers) = (RecordReader::new(1 << 20), Vec::new());
    for batch in Batches::new(window) {
        let batch = batch.unwrap();
        records.start(&batch).unwrap();
        while let Some(record) = records.next(&batch).unwrap() {
            numbers.push(std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap());
        }
    }
    numbers
}

#[tokio::test]
async fn fault_42_on_kafka_a_leader_killed_and_started_again_under_a_reader_costs_it_nothing() {
    let Ok(folder) = std::env::var("KMERGE_TEST_KILL") else {
        let _ = writeln!(std::io::stderr(), "skipped: a leader killed under a reader (KMERGE_TEST_KILL is not set)");
        return;
    };
    let folder = Path::new(&folder);
    let nodes = nodes(folder);
    let addresses: Vec<String> = nodes.iter().map(|(_, _, address)| address.clone()).collect();
    let cluster = Cluster::connect(&addresses, TIMEOUT).await.unwrap();
    let name = format!("client-killed-{:08x}", rand::random::<u32>());
    let mut topic = NewTopic { replication_factor: 2, ..NewTopic::new(&name, 1) };
    // The records are old: retention would take them while they are read.
    topic.configs.push(("retention.ms".to_owned(), "-1".to_owned()));
    cluster.create_topic(&topic).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    write(&cluster, &partition).await;

    let options = ReadOptions { fetch_bytes_max: 1, ..ReadOptions::default() };
    let mut reader = cluster.reader(partition.clone(), 0..BATCHES * RECORDS_PER_BATCH, options);
    let (mut window, mut read) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let leader = settled(&addresses, &name).await;
        for _ in 0..20 {
            reader.next(&mut window).await.unwrap().unwrap();
            read.extend(numbers(&window));
        }
        let node = &nodes.iter().find(|(_, id, _)| *id == leader).unwrap().0;
        local_kafka(folder, &["stop", node, "KILL"]).await;
        let started = Instant::now();
        for _ in 0..20 {
            reader.next(&mut window).await.unwrap().unwrap();
            read.extend(numbers(&window));
        }
        let _ = writeln!(std::io::stderr(), "20 batches after the leader was killed took {:?}", started.elapsed());
        local_kafka(folder, &["start", node]).await;
    }
    while reader.next(&mut window).await.unwrap().is_some() {
        read.extend(numbers(&window));
    }
    assert_eq!(read, (0..BATCHES * RECORDS_PER_BATCH).collect::<Vec<_>>());
    cluster.delete_topic(&name).await.unwrap();
}
