//! A topic outgrows its cluster: a third broker joins, partitions are added and moved to it, and a reader reads on.

use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use kmerge::client::{
    Cluster as Client, Delivery, NewTopic, PartitionReader, PartitionWriter, ReadOptions, WriteOptions,
};
use kmerge::ports::{Outgoing, Source as _};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);
const RECORDS_PER_BATCH: i64 = 10;

async fn write(writer: &mut PartitionWriter, numbers: std::ops::Range<i64>) {
    for first in numbers.step_by(RECORDS_PER_BATCH as usize) {
        let mut batch = BatchWriter::new(Codec::None);
        for number in first..first + RECORDS_PER_BATCH {
            batch.push(1_700_000_000_000, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
        }
        let bytes = batch.finish().unwrap().to_vec();
        writer.append(Outgoing { len: bytes.len(), bytes, records: RECORDS_PER_BATCH as u32 }).await.unwrap();
    }
}

/// Reads until `upto` numbers are there in all.
async fn read(reader: &mut PartitionReader, read: &mut Vec<i64>, upto: usize) {
    let (mut window, mut records) = (Vec::new(), RecordReader::new(1 << 20));
    while read.len() < upto {
        reader.next(&mut window).await.unwrap().expect("the range is not at its end");
        for batch in Batches::new(&window) {
            let batch = batch.unwrap();
            records.start(&batch).unwrap();
            while let Some(record) = records.next(&batch).unwrap() {
                read.push(std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap());
            }
        }
    }
}

fn ids(client: &Client) -> BTreeSet<i32> {
    client.brokers().iter().map(|broker| broker.node).collect()
}

/// Who leads each partition, and who holds it, as a user is shown it.
async fn placed(brokers: &str, topic: &str) -> (Vec<i64>, Vec<Vec<i64>>) {
    let told = run(command(brokers, &["topic", "describe", topic, "--output", "json"])).await.ok().json();
    let partitions = told["partitions"].as_array().unwrap().clone();
    let ids = |value: &serde_json::Value| value.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
    (
        partitions.iter().map(|p| p["leader"].as_i64().unwrap()).collect(),
        partitions.iter().map(|p| ids(&p["replicas"])).collect(),
    )
}

/// The story; `join` brings the third broker and gives its id. On the cluster at `brokers` there are two others.
async fn story(brokers: &str, topic: &str, join: impl AsyncFnOnce() -> i32) {
    let kmerge = async |args: &[&str]| run(command(brokers, args)).await;
    let list: Vec<String> = brokers.split(',').map(str::to_owned).collect();
    let client = Client::connect(&list, TIMEOUT).await.unwrap();
    let new = NewTopic { replication_factor: 1, ..NewTopic::new(topic, 1) }.config("retention.ms", "-1");
    client.create_topic(&new).await.unwrap();

    let partition = TopicPartition::new(topic, 0);
    let options = WriteOptions { delivery: Delivery::AtLeastOnce, ..WriteOptions::default() };
    let mut writer = client.writer(partition.clone(), 0, options).await.unwrap();
    // A batch a fetch, so that there is much to read on.
    let options = ReadOptions { fetch_bytes_max: 1, ..ReadOptions::default() };
    let mut reader = client.reader(partition, 0..3_000, options);
    let mut numbers = Vec::new();

    write(&mut writer, 0..2_000).await;
    read(&mut reader, &mut numbers, 200).await;

    let third = join().await;
    let third_id = third.to_string();
    read(&mut reader, &mut numbers, 400).await;

    kmerge(&["topic", "add-partitions", topic, "--partitions", "3"]).await.ok();
    read(&mut reader, &mut numbers, 600).await;

    // A dry run moves nothing, and its plan is one that is taken back in.
    let plan = kmerge(&["topic", "reassign", "--topics", topic, "--broker-list", &third_id]).await.ok();
    assert!(plan.stdout.starts_with(r#"{"version":1,"partitions":[{"topic":""#), "{plan:?}");
    let file = std::env::temp_dir().join(format!("{topic}-plan.json"));
    std::fs::write(&file, &plan.stdout).unwrap();
    let file = file.to_str().unwrap();
    let (_, before) = placed(brokers, topic).await;
    kmerge(&["topic", "reassign", "--reassignment-json-file", file]).await.ok();
    assert_eq!(placed(brokers, topic).await.1, before, "a dry run moves nothing");

    let moved =
        async { kmerge(&["topic", "reassign", "--reassignment-json-file", file, "--execute", "--wait"]).await.ok() };
    tokio::join!(moved, read(&mut reader, &mut numbers, 1_200), write(&mut writer, 2_000..2_500));
    assert_eq!(placed(brokers, topic).await, (vec![i64::from(third); 3], vec![vec![i64::from(third)]; 3]));
    kmerge(&["topic", "reassign", "--reassignment-json-file", file, "--verify"]).await.ok();
    let _ = std::fs::remove_file(file);

    // And out over all three: each leads one.
    let mut client_now = Client::connect(&list, TIMEOUT).await.unwrap();
    let all: Vec<String> = ids(&client_now).iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 3);
    let spread = async {
        let args =
            ["topic", "reassign", "--topics", topic, "--broker-list", &all.join(","), "--execute", "--wait", "--elect"];
        kmerge(&args).await.ok()
    };
    tokio::join!(spread, read(&mut reader, &mut numbers, 2_400), write(&mut writer, 2_500..3_000));
    let (leaders, _) = placed(brokers, topic).await;
    assert_eq!(leaders.iter().copied().collect::<BTreeSet<_>>().len(), 3, "{leaders:?}");

    read(&mut reader, &mut numbers, 3_000).await;
    assert!(reader.next(&mut Vec::new()).await.unwrap().is_none());
    assert_eq!(numbers, (0..3_000).collect::<Vec<_>>());
    writer.finish().await.1.unwrap();
    client_now = Client::connect(&list, TIMEOUT).await.unwrap();
    client_now.delete_topic(topic).await.unwrap();
}

#[test]
fn a_topic_grows_onto_a_broker_that_joins_while_a_reader_reads_on() {
    run_embedded("scale", async |cluster| {
        let join = async || {
            let told = cluster.run(&["broker", "add-node", "--output", "json"]).await.ok().json();
            told["node"].as_i64().unwrap() as i32
        };
        story(&cluster.brokers, &cluster.name("grows"), join).await;
    });
}

/// `KMERGE_TEST_SCALE` names the folder of a cluster that `compose/local-kafka up` has started with two brokers. The third stays:
/// run a second time, the story finds it there.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_grows_onto_a_broker_that_joins_on_kafka() {
    let Some(folder) = std::env::var_os("KMERGE_TEST_SCALE").filter(|folder| !folder.is_empty()) else {
        let _ = writeln!(std::io::stderr(), "skipped: a broker that joins real Kafka (KMERGE_TEST_SCALE is not set)");
        return;
    };
    let folder = Path::new(&folder);
    let port = |number: usize| {
        let properties = std::fs::read_to_string(folder.join(format!("broker-{number}.properties"))).ok()?;
        properties.lines().find_map(|line| line.strip_prefix("listeners=PLAINTEXT://").map(str::to_owned))
    };
    let brokers = format!("{},{}", port(1).unwrap(), port(2).unwrap());
    let join = async || {
        if port(3).is_none() {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/local-kafka");
            let mut add = std::process::Command::new(script);
            add.arg("add").arg(folder).stdin(std::process::Stdio::null());
            run(add).await.ok();
        }
        // Nodes are numbered after the controller.
        4
    };
    story(&brokers, &format!("kmerge-scale-{:08x}", rand::random::<u32>()), join).await;
}
