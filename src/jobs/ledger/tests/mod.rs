//! The ledger on the embedded broker: what is read back, what is waited for, what is refused.

// The parts that need no broker.
mod json;

mod start;

// Those that need one.
mod facts;

mod kafka;

use super::json::{plan_to_json, progress_to_json};
use super::tail::{TailFound, tail_is_there};
use super::testing::{NOON, plan, progress};
use super::*;
use crate::batch::control::{ControlType, marker};
use crate::batch::{Batch, RecordReader};
use crate::broker::{Broker, BrokerConfig};
use crate::client::{Delivery, WriteOptions};
use crate::jobs::testing::block_on;

const JOBS: &str = "kmerge-jobs";
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    broker: Broker,
    cluster: Cluster,
}

async fn world() -> World {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let cluster = Cluster::connect(&broker.addresses(), PATIENCE).await.unwrap();
    World { broker, cluster }
}

impl World {
    async fn open(&self, job: &str) -> Ledger {
        Ledger::open(&self.cluster, JOBS, job, 1, PATIENCE).await.unwrap()
    }

    async fn ours(&self) -> Ledger {
        self.open(&plan().job).await
    }

    /// Appends a batch as it stands, or as part of this producer's transaction.
    fn append(&self, mut batch: Outgoing, producer: Option<i64>) {
        batch.bytes.truncate(batch.len);
        if let Some(id) = producer {
            let mut writer = BatchWriter::new(Codec::None);
            writer.producer(id, 0, 0).transactional(true);
            let mut reader = RecordReader::new(1 << 20);
            let read = Batch::read(&batch.bytes).unwrap();
            reader.start(&read).unwrap();
            while let Some(record) = reader.next(&read).unwrap() {
                writer.push(record.timestamp, record.key, record.value, record.headers).unwrap();
            }
            batch.bytes = writer.finish().unwrap().to_vec();
        }
        self.broker.append_raw(JOBS, 0, &batch.bytes).unwrap();
    }

    fn put(&self, key: &str, value: Option<&[u8]>) {
        let mut writer = BatchWriter::new(Codec::None);
        writer.push(NOON, Some(key.as_bytes()), value, Headers::EMPTY).unwrap();
        let batch = writer.finish().unwrap().to_vec();
        self.broker.append_raw(JOBS, 0, &batch).unwrap();
    }

    fn end(&self, producer: i64, kind: ControlType) {
        self.broker.append_raw(JOBS, 0, &marker(0, kind, NOON, producer, 0, 0).unwrap()).unwrap();
    }
}

fn ahead(rank: u64) -> JobProgress {
    JobProgress { rank, ..progress() }
}

#[test]
fn a_topic_that_is_not_there_is_made_compacted_and_another_job_finds_it() {
    block_on(async {
        let world = world().await;
        assert!(Ledger::look(&world.cluster, JOBS, "x", PATIENCE).await.unwrap().is_none(), "looking makes nothing");
        let ledger = world.ours().await;
        assert_eq!(ledger.partition(), &TopicPartition::new(JOBS, 0));
        assert_eq!(ledger.read().await.unwrap(), None);
        let configs = world.cluster.topic_configs_own(JOBS).await.unwrap();
        assert_eq!(configs["cleanup.policy"], "compact");
        assert_eq!(configs["max.message.bytes"], "8388608");
        world.append(ledger.first_batch(&plan(), &progress()).unwrap(), None);
        assert_eq!(world.open("another").await.read().await.unwrap(), None);
        let looked = Ledger::look(&world.cluster, JOBS, &plan().job, PATIENCE).await.unwrap().unwrap();
        assert_eq!(looked.read().await.unwrap(), Some((plan(), Some(progress()))));
    });
}

#[test]
fn jobs_that_begin_at_once_make_the_topic_once() {
    block_on(async {
        let world = world().await;
        let (one, other) = tokio::join!(world.open("one"), world.open("other"));
        assert_eq!(one.partition(), other.partition());
        world.append(one.progress_batch(&progress()).unwrap(), None);
        assert!(one.read().await.unwrap_err().to_string().contains("no plan"), "it is there, and only there");
        assert_eq!(other.read().await.unwrap(), None);
    });
}

#[test]
fn the_newest_committed_record_counts_whatever_was_aborted_or_is_of_another_job() {
    block_on(async {
        let world = world().await;
        let (ledger, other) = (world.ours().await, world.open("merge:a,b:out/plan").await);
        world.append(ledger.first_batch(&plan(), &ahead(8)).unwrap(), Some(7));
        world.end(7, ControlType::Commit);
        world.append(other.first_batch(&JobPlan { job: other.job.clone(), ..plan() }, &ahead(9)).unwrap(), Some(8));
        world.append(ledger.progress_batch(&ahead(10)).unwrap(), Some(7));
        world.end(8, ControlType::Commit);
        world.end(7, ControlType::Commit);
        world.append(ledger.progress_batch(&ahead(11)).unwrap(), Some(7));
        world.end(7, ControlType::Abort);
        assert_eq!(ledger.read().await.unwrap(), Some((plan(), Some(ahead(10)))));
        let (theirs, progress) = other.read().await.unwrap().unwrap();
        assert_eq!((theirs.job, progress), (other.job, Some(ahead(9))));
    });
}

#[test]
fn a_transaction_of_another_job_is_waited_for_and_one_that_stays_open_is_named() {
    block_on(async {
        let world = world().await;
        let ledger = world.ours().await;
        let other = world.open("other").await;
        world.append(other.progress_batch(&progress()).unwrap(), Some(4711));
        world.append(ledger.first_batch(&plan(), &progress()).unwrap(), Some(7));
        world.end(7, ControlType::Commit);

        let hurried = Ledger { patience: Duration::from_millis(300), ..ledger.clone() };
        let error = hurried.read().await.unwrap_err().to_string();
        assert!(error.contains("4711") && error.contains("kmerge-jobs partition 0"), "{error}");

        let (read, ()) = tokio::join!(ledger.read(), async { world.end(4711, ControlType::Abort) });
        assert_eq!(read.unwrap(), Some((plan(), Some(progress()))));
    });
}

#[test]
fn a_record_that_was_taken_back_is_none() {
    block_on(async {
        let world = world().await;
        let ledger = world.ours().await;
        world.append(ledger.first_batch(&plan(), &progress()).unwrap(), None);
        world.put("merge:a,b:out/progress", None);
        assert_eq!(ledger.read().await.unwrap(), Some((plan(), None)));
        world.put("merge:a,b:out/plan", None);
        assert_eq!(ledger.read().await.unwrap(), None);
    });
}

#[test]
fn what_kmerge_did_not_write_is_refused_with_its_place_and_the_way_out() {
    let plan_json = plan_to_json(&plan()).to_string();
    let strange = plan_to_json(&JobPlan { job: "strange".into(), ..plan() }).to_string();
    let empty = plan_to_json(&JobPlan { inputs: vec![], ..plan() }).to_string();
    let misfit = progress_to_json(&ahead(31)).to_string();
    let fine = progress_to_json(&progress()).to_string();
    for (records, said) in [
        (vec![("plan", "{\"version\":2}")], vec!["offset 0", "format version 2", "newer", "--restart", "--job"]),
        (vec![("plan", "tea")], vec!["offset 0", "no JSON", "--restart", "--job"]),
        (vec![("plan", strange.as_str())], vec!["of a job strange"]),
        (vec![("plan", empty.as_str())], vec!["no inputs"]),
        (vec![("plan", plan_json.as_str()), ("progress", "[]")], vec!["offset 1", "progress of job merge:a,b:out"]),
        (vec![("plan", plan_json.as_str()), ("progress", misfit.as_str())], vec!["offset 1", "31 records"]),
        (vec![("progress", fine.as_str())], vec!["offset 0", "no plan"]),
        (vec![("progress", fine.as_str()), ("plan", plan_json.as_str())], vec!["offset 0", "offset 1, is newer"]),
    ] {
        block_on(async {
            let world = world().await;
            let ledger = world.ours().await;
            for (kind, value) in &records {
                world.put(&format!("merge:a,b:out/{kind}"), Some(value.as_bytes()));
            }
            let error = ledger.read().await.unwrap_err().to_string();
            for words in said {
                assert!(error.contains(words), "{words}: {error}");
            }
        });
    }
}

#[test]
fn a_plan_that_the_topic_does_not_take_is_refused_before_anything_is_written() {
    block_on(async {
        let world = world().await;
        let configs = [("cleanup.policy", "compact"), ("max.message.bytes", "2000")];
        world.broker.create_topic(JOBS, 1, &configs).unwrap();
        let ledger = world.ours().await;
        ledger.check_fits(&plan()).unwrap();
        let mut large = plan();
        for partition in 2..20 {
            let mut input = large.inputs[0].clone();
            input.partition.partition = partition;
            large.inputs.push(input);
        }
        let error = ledger.check_fits(&large).unwrap_err().to_string();
        assert!(error.contains("max.message.bytes") && error.contains("kmerge-jobs"), "{error}");
    });
}

#[test]
fn a_topic_that_does_not_keep_what_it_is_given_is_refused() {
    block_on(async {
        let world = world().await;
        world.broker.create_topic(JOBS, 1, &[]).unwrap();
        let error = Ledger::open(&world.cluster, JOBS, "x", 1, PATIENCE).await.unwrap_err().to_string();
        assert!(error.contains("cleanup.policy is delete"), "{error}");
    });
}

#[test]
fn a_tail_is_found_where_it_was_written_and_nowhere_else() {
    block_on(async {
        let world = world().await;
        world.broker.create_topic("out", 1, &[]).unwrap();
        let output = TopicPartition::new("out", 0);
        let batch = |numbers: std::ops::Range<i64>| {
            let mut writer = BatchWriter::new(Codec::None);
            for number in numbers {
                writer.push(NOON, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
            }
            writer.finish().unwrap().to_vec()
        };
        world.broker.append_raw("out", 0, &batch(0..5)).unwrap();
        world.broker.append_raw("out", 0, &batch(5..9)).unwrap();
        let tail = Tail::of_batch(5, &batch(5..9)).unwrap();
        let there = |tail: Tail| {
            let (cluster, output) = (world.cluster.clone(), output.clone());
            async move { tail_is_there(&cluster, &output, &tail).await.unwrap() }
        };
        assert_eq!(there(tail).await, TailFound::There);
        let TailFound::Differs(said) = there(Tail { start: 4, end: 8, ..tail }).await else { panic!("shifted") };
        assert_eq!(said, "the records from offset 4 to 7 are others");
        let TailFound::Differs(said) = there(Tail { start: 6, end: 10, ..tail }).await else { panic!("beyond") };
        assert_eq!(said, "the log ends at offset 9");
        let TailFound::Differs(said) = there(Tail { records: 3, ..tail }).await else { panic!("fewer") };
        assert_eq!(said, "offsets 5 to 8 hold 4 records");
        let TailFound::Differs(said) = there(Tail { stamps: 0, ..tail }).await else { panic!("stamps") };
        assert!(said.contains("other timestamps"), "{said}");
        world.broker.set_log_start("out", 0, 6).unwrap();
        let TailFound::Differs(said) = there(tail).await else { panic!("deleted") };
        assert_eq!(said, "the log begins at offset 6");
    });
}

#[test]
fn a_topic_that_stamps_records_itself_keeps_the_rest_of_the_tail() {
    block_on(async {
        let world = world().await;
        world.broker.create_topic("out", 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
        let output = TopicPartition::new("out", 0);
        let mut writer = BatchWriter::new(Codec::None);
        writer.push(NOON, None, Some(b"1"), Headers::EMPTY).unwrap();
        let bytes = writer.finish().unwrap().to_vec();
        let tail = Tail::of_batch(0, &bytes).unwrap();
        let options = WriteOptions { delivery: Delivery::AtLeastOnce, ..WriteOptions::default() };
        let mut sink = world.cluster.writer(output.clone(), 0, options).await.unwrap();
        let len = bytes.len();
        sink.append(Outgoing { bytes, len, records: 1 }).await.unwrap();
        sink.finish().await.1.unwrap();
        assert_eq!(tail_is_there(&world.cluster, &output, &tail).await.unwrap(), TailFound::There);
        let other = Tail { checksum: 1, ..tail };
        assert!(matches!(tail_is_there(&world.cluster, &output, &other).await.unwrap(), TailFound::Differs(_)));
    });
}
