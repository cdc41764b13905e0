//! A merge under which nodes of the cluster are killed -9 and started again, on Apache Kafka: the output is what an
//! uninterrupted run would have written.
//!
//! The records of the input are two days old, and between its transactions lie aborted ones that would stop a merge which
//! looked at them. Half the input is led by either broker, so that a merge comes to nothing while one of them is gone and the
//! other one not yet chosen: that it runs on is seen.

use crate::support::{Killable, Outcome, command, coordinator};
use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use kmerge::client::{Cluster as Client, NewTopic, OffsetAt, ReadOptions, WriteOptions};
use kmerge::ports::{Outgoing, Source as _};
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(120);
const PARTITIONS: i32 = 10;
/// Numbers from 0 on: the output holds them in order.
const RECORDS: i64 = 200_000;
const RECORDS_PER_TRANSACTION: usize = 5_000;
const RECORDS_PER_BATCH: usize = 100;
/// Makes a record weigh something.
const KEY: &[u8] = &[b'k'; 80];
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3600);
/// Behind a node's death there may still come to light what was committed before; not so much.
const GOES_ON: i64 = 5_000;

/// When the node that was killed is started again.
enum Again {
    AtOnce,
    /// When the merge goes on without it.
    Later,
}

/// An input, and a job that merges it. The broker that leads the output is not the one that keeps the transactional id.
struct Story {
    kafka: Killable,
    client: Client,
    input: String,
    output: TopicPartition,
    leader: i32,
    coordinator: i32,
}

/// A merge that runs.
struct Running(JoinHandle<std::io::Result<std::process::Output>>);

impl Story {
    async fn begin(story: &str) -> Option<Self> {
        let kafka = Killable::for_story(story).await?;
        let client = kafka.client().await;
        let input = format!("merging-killed-{:08x}", rand::random::<u32>());
        client.create_topic(&topic(&input, PARTITIONS)).await.unwrap();
        futures::future::join_all((0..PARTITIONS).map(|partition| fill(&client, &input, partition))).await;
        for attempt in 0..50 {
            let output = format!("{input}-out-{attempt}");
            let leader = client.create_topic(&topic(&output, 1)).await.unwrap().partitions[0].leader;
            let coordinator = coordinator(&kafka.addresses()[0], &format!("merge:{input}:{output}")).await;
            // Brokers may hand over to the preferred leader meanwhile: then again.
            if leader != coordinator && kafka.settled(&[&output, &input, "__transaction_state"]).await == leader {
                let output = TopicPartition::new(output, 0);
                return Some(Self { kafka, client, input, output, leader, coordinator });
            }
            client.delete_topic(&output).await.unwrap();
        }
        panic!("one broker leads every output and keeps every transactional id");
    }

    fn job(&self) -> String {
        format!("merge:{}:{}", self.input, self.output.topic)
    }

    fn jobs_topic(&self) -> String {
        format!("{}-jobs", self.input)
    }

    /// In small steps, so that it takes a while.
    fn merge(&self, more: &[&str]) -> Running {
        let jobs = self.jobs_topic();
        let args = ["merge", "--from", &self.input, "--to", &self.output.topic, "--jobs-topic", &jobs];
        let slow =
            ["--batch-bytes", "2KiB", "--memory", "2MiB", "--commit-interval", "100ms", "--output", "json", "-v"];
        let args = [&args[..], &slow, more].concat();
        let mut merge = tokio::process::Command::from(command(&self.kafka.addresses().join(","), &args));
        merge.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let merge = merge.spawn().expect("the binary starts");
        Running(tokio::spawn(merge.wait_with_output()))
    }

    /// Waits until so many more offsets of the output are committed; gives how far it is then.
    async fn moves_on_by(&self, more: i64, merge: &mut Running) -> i64 {
        let began = Instant::now();
        let output = std::slice::from_ref(&self.output);
        let mut first = None;
        loop {
            let stable = self.client.offsets(output, OffsetAt::LastStable).await.unwrap()[0];
            if stable - *first.get_or_insert(stable) >= more {
                return stable;
            }
            merge.runs("it is to move on").await;
            assert!(began.elapsed() < PATIENCE, "the output does not grow beyond {stable}");
            // A pause between two looks, inside the deadline above.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every record of the input is there, once and in order: says our proof, and says who reads them.
    async fn is_whole(&self) {
        let (job, jobs) = (self.job(), self.jobs_topic());
        let args = ["verify", "--job", &job, "--jobs-topic", &jobs, "--output", "json"];
        let verified = crate::support::run(command(&self.kafka.addresses().join(","), &args)).await.ok();
        let report = verified.json();
        assert_eq!((&report["ok"], &report["exact"]), (&true.into(), &true.into()), "{verified:?}");
        assert_eq!(report["output_records"], RECORDS, "{verified:?}");
        let read = read(&self.client, &self.output).await;
        assert!(read.iter().copied().eq(0..RECORDS), "{} records are there", read.len());
        for topic in [&self.input, &*self.output.topic, &jobs] {
            self.client.delete_topic(topic).await.unwrap();
        }
    }

    /// Kills this node in the middle of a merge and starts it again: the merge ends well by itself.
    async fn survives_without(&self, node: &str, again: Again) {
        let mut merge = self.merge(&[]);
        self.moves_on_by(GOES_ON, &mut merge).await;
        let killed = Instant::now();
        self.kafka.kill(node).await;
        merge.runs("when a node was killed").await;
        if matches!(again, Again::AtOnce) {
            self.kafka.start(node).await;
        }
        self.moves_on_by(GOES_ON, &mut merge).await;
        let goes_on = killed.elapsed();
        if matches!(again, Again::Later) {
            self.kafka.start(node).await;
        }
        let ended = merge.ended().await.ok();
        let _ =
            writeln!(std::io::stderr(), "{node} killed: on after {goes_on:.1?}, done after {:.1?}", killed.elapsed());
        assert_eq!((&ended.json()["records"], &ended.json()["resumed_at"]), (&RECORDS.into(), &0.into()), "{ended:?}");
        self.is_whole().await;
    }
}

impl Running {
    /// It has not ended yet.
    async fn runs(&mut self, when: &str) {
        if self.0.is_finished() {
            let ended = Outcome::from((&mut self.0).await.unwrap().unwrap());
            panic!("the merge has ended {when}: {ended:?}");
        }
    }

    async fn ended(self) -> Outcome {
        let ended = tokio::time::timeout(PATIENCE, self.0).await.expect("the merge comes to an end");
        Outcome::from(ended.unwrap().unwrap())
    }
}

/// On both brokers, for records of any age.
fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { replication_factor: 2, ..NewTopic::new(name, partitions) }.config("retention.ms", "-1")
}

/// Every tenth number, in transactions; behind each of them one is aborted.
async fn fill(client: &Client, topic: &str, partition: i32) {
    let this = TopicPartition::new(topic, partition);
    // Nothing goes there: no record comes with these commits.
    let beside = TopicPartition::new(topic, (partition + 1) % PARTITIONS);
    let mut producer = client.transactional(&format!("{this}"), PATIENCE).await.unwrap();
    let numbers: Vec<i64> = (i64::from(partition)..RECORDS).step_by(PARTITIONS as usize).collect();
    for transaction in numbers.chunks(RECORDS_PER_TRANSACTION) {
        let end = client.offsets(std::slice::from_ref(&this), OffsetAt::Latest).await.unwrap()[0];
        let mut writer = producer.writer(this.clone(), end, beside.clone(), WriteOptions::default());
        for numbers in transaction.chunks(RECORDS_PER_BATCH) {
            writer.append(encode(numbers)).await.unwrap();
        }
        writer.flush().await.unwrap();
        writer.commit().await.unwrap();
        writer.append(encode(&[-1; RECORDS_PER_BATCH])).await.unwrap();
        writer.flush().await.unwrap();
        producer = writer.into_producer().await;
        producer.resolve().await.unwrap();
    }
    // What was aborted lies there as well, and the marker of each end.
    let transactions = numbers.len().div_ceil(RECORDS_PER_TRANSACTION);
    let all = numbers.len() + transactions * (RECORDS_PER_BATCH + 2);
    let end = client.offsets(&[this], OffsetAt::Latest).await.unwrap()[0];
    assert_eq!(end, all as i64);
}

fn encode(numbers: &[i64]) -> Outgoing {
    let long_ago = (SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - TWO_DAYS).as_millis() as i64;
    let mut batch = BatchWriter::new(Codec::None);
    for number in numbers {
        batch.push(long_ago, Some(KEY), Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    let bytes = batch.finish().unwrap().to_vec();
    Outgoing { len: bytes.len(), bytes, records: numbers.len() as u32 }
}

/// The numbers that are committed there.
async fn read(client: &Client, partition: &TopicPartition) -> Vec<i64> {
    let end = client.offsets(std::slice::from_ref(partition), OffsetAt::LastStable).await.unwrap()[0];
    let mut reader = client.reader(partition.clone(), 0..end, ReadOptions::default());
    let (mut window, mut records, mut numbers) = (Vec::new(), RecordReader::new(1 << 20), Vec::new());
    while reader.next(&mut window).await.unwrap().is_some() {
        for batch in Batches::new(&window) {
            let batch = batch.unwrap();
            records.start(&batch).unwrap();
            while let Some(record) = records.next(&batch).unwrap() {
                numbers.push(std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap());
            }
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_05_on_kafka_the_leader_of_the_output_killed_and_started_again_costs_a_merge_nothing() {
    let Some(story) = Story::begin("the leader of the output killed under a merge").await else { return };
    story.survives_without(story.kafka.name_of(story.leader), Again::AtOnce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_05_on_kafka_the_leader_of_the_output_killed_and_replaced_costs_a_merge_nothing() {
    let Some(story) = Story::begin("the leader of the output killed and replaced under a merge").await else { return };
    story.survives_without(story.kafka.name_of(story.leader), Again::Later).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_26_on_kafka_the_keeper_of_the_transactional_id_killed_and_replaced_costs_a_merge_nothing() {
    let Some(story) = Story::begin("the transaction coordinator killed under a merge").await else { return };
    story.survives_without(story.kafka.name_of(story.coordinator), Again::Later).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_56_on_kafka_the_controller_killed_and_started_again_costs_a_merge_nothing() {
    let Some(story) = Story::begin("the controller killed under a merge").await else { return };
    story.survives_without("controller", Again::AtOnce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_29_on_kafka_transaction_version_switched_down_and_up_again_under_a_merge_costs_it_nothing() {
    let Some(story) = Story::begin("transaction.version switched under a merge").await else { return };
    let mut merge = story.merge(&[]);
    for (way, version) in [("downgrade", 1), ("upgrade", 2)] {
        story.moves_on_by(GOES_ON, &mut merge).await;
        story.kafka.switch_transaction_version(way, version).await;
        merge.runs("when transaction.version was switched").await;
    }
    story.moves_on_by(GOES_ON, &mut merge).await;
    let ended = merge.ended().await.ok();
    assert_eq!((&ended.json()["records"], &ended.json()["resumed_at"]), (&RECORDS.into(), &0.into()), "{ended:?}");
    story.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kafka_a_cluster_killed_for_longer_than_its_deadline_stops_a_merge_that_the_same_command_goes_on_with() {
    let Some(story) = Story::begin("all brokers killed under a merge").await else { return };
    let hasty = ["--timeout", "2s"];
    let mut merge = story.merge(&hasty);
    story.moves_on_by(GOES_ON, &mut merge).await;
    for node in story.kafka.names() {
        story.kafka.kill(node).await;
    }
    let killed = Instant::now();
    let stopped = merge.ended().await;
    let _ = writeln!(std::io::stderr(), "all brokers killed: stopped after {:.1?}", killed.elapsed());
    let stopped = stopped.fails(3, &["the same command goes on there"]);
    for node in story.kafka.names() {
        story.kafka.start(node).await;
    }
    story.kafka.settled(&[&story.output.topic, &story.input, "__transaction_state"]).await;
    let ended = story.merge(&hasty).ended().await.ok();
    let report = ended.json();
    let (records, resumed_at) = (report["records"].as_i64().unwrap(), report["resumed_at"].as_i64().unwrap());
    assert!(resumed_at > 0 && records + resumed_at == RECORDS, "{stopped:?}, then {ended:?}");
    story.is_whole().await;
}
