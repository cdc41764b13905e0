//! A reader whose leader is killed -9 and started again, on Apache Kafka.

use crate::support::Killable;
use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use kmerge::client::{Cluster, Delivery, NewTopic, ReadOptions, WriteOptions};
use kmerge::ports::{Outgoing, Source as _};
use std::io::Write as _;
use std::time::Instant;

const BATCHES: i64 = 300;
const RECORDS_PER_BATCH: i64 = 10;

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
    let Some(kafka) = Killable::for_story("a leader killed under a reader").await else { return };
    let cluster = kafka.client().await;
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
        let leader = kafka.settled(&[&name]).await;
        for _ in 0..20 {
            reader.next(&mut window).await.unwrap().unwrap();
            read.extend(numbers(&window));
        }
        let node = kafka.name_of(leader);
        kafka.kill(node).await;
        let started = Instant::now();
        for _ in 0..20 {
            reader.next(&mut window).await.unwrap().unwrap();
            read.extend(numbers(&window));
        }
        let _ = writeln!(std::io::stderr(), "20 batches after the leader was killed took {:?}", started.elapsed());
        kafka.start(node).await;
    }
    while reader.next(&mut window).await.unwrap().is_some() {
        read.extend(numbers(&window));
    }
    assert_eq!(read, (0..BATCHES * RECORDS_PER_BATCH).collect::<Vec<_>>());
    cluster.delete_topic(&name).await.unwrap();
}
