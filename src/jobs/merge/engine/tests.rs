//! The whole engine between sources and a sink in memory, held against "collect, sort by (key, source, offset)".

mod blocks;
mod threads;

use super::*;
use crate::base::appended::Appended;
use crate::base::appended::NotAdjacent;
use crate::base::place::TopicPartition;
use crate::base::shutdown::{Shutdown, Signal};
use crate::batch::Codec;
use crate::batch::{Batch, RecordReader};
use crate::jobs::merge::{Allow, Client, Delivery, OutputCodec, Progressing, Strategy};
use crate::jobs::testing::{Made, MemorySource};
use crate::keys::{Fields, KeyPlan, Order};
use crate::observe::progress::Progress;
use crate::ports::{MemorySink, Outgoing, Reached};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One merge to be tried.
struct Trial {
    sources: Vec<MemorySource>,
    keys: Vec<String>,
    order: Order,
    memory_bytes: usize,
    batch_bytes: usize,
    bytes_max: usize,
    compression: OutputCodec,
    sink: MemorySink,
    /// If every batch is to be committed: what was said of each commit.
    commits: Option<Arc<Mutex<Vec<Reached>>>>,
    /// After how long a commit is due also while a source is waited for.
    due_after: Option<Duration>,
    threads: Option<usize>,
    cx: JobContext,
}

impl Trial {
    fn new(inputs: &[Vec<Made>]) -> Self {
        let sources =
            inputs.iter().enumerate().map(|(p, records)| MemorySource::new("in", p as i32, records).cut(7, 3));
        Self {
            sources: sources.collect(),
            keys: Vec::new(),
            order: Order::Asc,
            memory_bytes: 4 << 20,
            batch_bytes: 400,
            bytes_max: 1_000_000,
            compression: OutputCodec::None,
            sink: MemorySink::new("out", 5),
            commits: None,
            due_after: None,
            threads: Some(1),
            cx: JobContext {
                brokers: Vec::new(),
                brokers_in_environment: false,
                timeout: Duration::from_secs(5),
                shutdown: Shutdown::default(),
                progress: Progress::default(),
                phases: Default::default(),
                gives_way: false,
            },
        }
    }

    fn each(mut self, change: impl Fn(MemorySource) -> MemorySource) -> Self {
        self.sources = self.sources.into_iter().map(change).collect();
        self
    }

    fn run(self) -> (Vec<Vec<u8>>, Appended, Result<(), JobError>) {
        let (batches, appended, outcome, _) = self.run_and_count();
        (batches, appended, outcome)
    }

    /// Tells as well how many records were copied in blocks.
    fn run_and_count(self) -> (Vec<Vec<u8>>, Appended, Result<(), JobError>, u64) {
        let sources = self
            .sources
            .iter()
            .map(|source| crate::jobs::merge::Source { partition: source.partition().clone(), range: source.range() });
        let plan = Plan {
            sources: sources.collect(),
            output: TopicPartition::new("out", 0),
            output_end: 5,
            output_bytes_max: self.bytes_max,
            planned_at_ms: 0,
            memory_bytes: self.memory_bytes,
            memory_bytes_least: 0,
            retention: Retention::default(),
        };
        let settings = MergeSettings {
            from: vec!["in".into()],
            to: "out".into(),
            keys: KeyPlan::parse(&self.keys, self.order).unwrap(),
            memory_bytes: self.memory_bytes,
            threads: self.threads,
            strategy: Strategy::Merge,
            client: Client::Kmerge,
            delivery: Delivery::Idempotent,
            progressing: Progressing::default(),
            allow: Allow::default(),
            compression: self.compression,
            batch_bytes: self.batch_bytes,
            start: None,
            end: None,
            append: false,
        };
        let merge = async {
            let mut engine = Engine::start(&plan, &settings, &self.cx, |source, _| {
                let found = self.sources.iter().find(|one| *one.partition() == source.partition);
                found.expect("a source of the plan").clone()
            });
            let kept =
                Kept { batches: Arc::default(), sink: self.sink, commits: self.commits, due_after: self.due_after };
            let batches = kept.batches.clone();
            let (appended, outcome) = engine.move_all(None, kept).await;
            let batches = std::mem::take(&mut *batches.lock().unwrap());
            (batches, appended, outcome, engine.in_blocks)
        };
        // By several threads, really.
        let runtime = match self.threads {
            Some(1) => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            _ => tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build(),
        };
        runtime.unwrap().block_on(merge)
    }
}

/// A sink whose batches are still there when it is closed.
struct Kept {
    batches: Arc<Mutex<Vec<Vec<u8>>>>,
    sink: MemorySink,
    commits: Option<Arc<Mutex<Vec<Reached>>>>,
    due_after: Option<Duration>,
}

impl Sink for Kept {
    type Error = NotAdjacent;

    fn partition(&self) -> &TopicPartition {
        self.sink.partition()
    }
    async fn append(&mut self, batch: Outgoing) -> Result<(), NotAdjacent> {
        let bytes = batch.bytes[..batch.len].to_vec();
        self.sink.append(batch).await?;
        self.batches.lock().unwrap().push(bytes);
        Ok(())
    }
    fn commits(&self) -> bool {
        self.commits.is_some()
    }
    fn is_due(&self) -> bool {
        true
    }
    async fn due(&self) {
        match self.due_after {
            // What is timed.
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    }
    async fn commit(&mut self, batch: Option<Outgoing>, reached: Reached) -> Result<(), NotAdjacent> {
        if let Some(commits) = &self.commits {
            commits.lock().unwrap().push(reached);
        }
        match batch {
            Some(batch) => self.append(batch).await,
            None => Ok(()),
        }
    }
    fn spare(&mut self) -> Option<Vec<u8>> {
        self.sink.spare()
    }
    fn appended(&self) -> Appended {
        self.sink.appended()
    }
    async fn finish(self) -> (Appended, Result<(), NotAdjacent>) {
        self.sink.finish().await
    }
    async fn close(self) -> (Appended, Result<(), NotAdjacent>) {
        self.sink.close().await
    }
}

/// The records of finished batches, which must be as a broker wants them.
fn records(batches: &[Vec<u8>]) -> Vec<Made> {
    let mut reader = RecordReader::new(1 << 20);
    let mut out = Vec::new();
    for bytes in batches {
        let batch = Batch::read(bytes).unwrap();
        batch.verify_checksum().unwrap();
        assert_eq!((batch.header.base_offset, batch.bytes().len()), (0, bytes.len()));
        reader.start(&batch).unwrap();
        let mut delta = 0;
        while let Some(record) = reader.next(&batch).unwrap() {
            assert_eq!(record.offset, delta, "deltas count up by one from zero");
            delta += 1;
            out.push(Made {
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp,
                headers: record
                    .headers
                    .iter()
                    .map(|h| (String::from_utf8(h.key.to_vec()).unwrap(), h.value.map(<[u8]>::to_vec)))
                    .collect(),
            });
        }
        assert_eq!(batch.header.last_offset_delta, delta as i32 - 1);
    }
    out
}

/// What should come out: everything, sorted by (key, source, offset).
fn oracle(inputs: &[Vec<Made>], keys: &KeyPlan) -> Vec<Made> {
    let mut all: Vec<_> = Vec::new();
    for (source, records) in inputs.iter().enumerate() {
        for (offset, record) in records.iter().enumerate() {
            all.push((keys.extract(record).unwrap(), source, offset, record));
        }
    }
    all.sort_by(|a, b| (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
    all.into_iter().map(|(_, _, _, record)| record.clone()).collect()
}

impl Fields for Made {
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
    fn timestamp(&self) -> i64 {
        self.timestamp
    }
    fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        self.headers.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_deref())
    }
}

fn ints(numbers: impl IntoIterator<Item = i64>) -> Vec<Made> {
    numbers.into_iter().map(|number| Made::value(number.to_string())).collect()
}

#[test]
fn fault_45_what_comes_out_is_what_a_sort_would_give_with_everything_a_record_has() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..120 {
        let key = ["value:int", "key:string", "timestamp", "header:h:bytes"][round % 4];
        let order = if round % 5 == 0 { Order::Desc } else { Order::Asc };
        let plan = KeyPlan::parse(&[key.to_owned()], order).unwrap();
        let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][round / 4 % 5];
        let inputs: Vec<Vec<Made>> = (0..random.random_range(1..12))
            .map(|_| {
                let mut records: Vec<Made> = (0..random.random_range(0..150))
                    .map(|_| {
                        let number = random.random_range(-50..1_000i64);
                        Made {
                            key: Some(format!("key-with-a-long-prefix-{}", number / 7).into_bytes()),
                            value: Some(number.to_string().into_bytes()),
                            timestamp: random.random_range(-5..1 << 40),
                            headers: vec![
                                ("h".into(), Some(vec![b'x'; random.random_range(0..20)])),
                                ("n".into(), None),
                                ("h".into(), Some(vec![random.random_range(0..4); random.random_range(0..12)])),
                            ],
                        }
                    })
                    .collect();
                records.sort_by_cached_key(|record| plan.extract(record).unwrap());
                records
            })
            .collect();
        let (batch, stretch) = (random.random_range(1..40), random.random_range(1..6));
        let mut trial = Trial::new(&inputs).each(|source| source.cut(batch, stretch).codec(codec));
        trial.keys = vec![key.to_owned()];
        trial.order = order;
        trial.compression = [OutputCodec::None, OutputCodec::Lz4, OutputCodec::Keep][round % 3];
        trial.batch_bytes = random.random_range(100..20_000);
        // The least memory makes windows and stretches small; what unfolds needs more.
        trial.memory_bytes = least_bytes(inputs.len()) + if codec == Codec::None { 0 } else { 8 << 20 };
        let (batches, appended, outcome) = trial.run();
        outcome.unwrap();
        let expected = oracle(&inputs, &plan);
        assert!(records(&batches) == expected, "seed {seed}, round {round}");
        assert_eq!((appended.start(), appended.records()), (5, expected.len() as u64));
    }
}

#[test]
fn only_what_lies_in_the_range_is_merged() {
    let inputs = [ints(0..50), ints(0..50)];
    for (start, end) in [(0, 50), (3, 17), (20, 21), (49, 50), (7, 7)] {
        let (batches, _, outcome) = Trial::new(&inputs).each(|source| source.range(start..end)).run();
        outcome.unwrap();
        let expected = ints((start..end).flat_map(|number| [number, number]));
        assert_eq!(records(&batches), expected, "{start}..{end}");
    }
}

#[test]
fn an_input_that_runs_backwards_is_shown_with_both_records_and_nothing_follows_it() {
    // Within a batch, at the border of two batches, of two windows.
    for at in [5, 7, 21, 30] {
        let mut numbers: Vec<i64> = (100..160).collect();
        numbers[at] = 3;
        let (batches, _, outcome) = Trial::new(&[ints(numbers.clone()), ints([1, 2, 500])]).run();
        let JobError::Unsorted { at: place, key, previous_offset, previous_key } = outcome.unwrap_err() else {
            panic!("{at}: another error")
        };
        let said = (place.offset, key.as_str(), previous_offset, previous_key.parse().unwrap());
        assert_eq!(said, (at as i64, "3", at as i64 - 1, numbers[at - 1]));
        let written = records(&batches);
        assert!(written.is_sorted_by_key(|r| r.value.as_ref().map(|v| (v.len(), v.clone()))), "{written:?}");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_named_with_its_place() {
    let mut input = ints(0..30);
    input[23].value = Some(b"x17".to_vec());
    let (_, _, outcome) = Trial::new(&[ints(0..5), input]).run();
    let error = outcome.unwrap_err().to_string();
    assert!(error.starts_with("in partition 1 offset 23: ") && error.contains("x17"), "{error}");
}

#[test]
fn a_record_that_no_batch_of_the_output_can_hold_is_named_before_it_is_sent() {
    let mut input = ints(0..30);
    input[12].key = Some(vec![b'k'; 2_000]);
    let mut trial = Trial::new(&[input.clone(), ints(0..5)]);
    trial.bytes_max = 1_500;
    let (batches, appended, outcome) = trial.run();
    let JobError::RecordTooLarge { at, bytes, bytes_max: 1_500 } = outcome.unwrap_err() else {
        panic!("another error")
    };
    // Header 61, length 2, attributes 1, time 1, offset 1; key 2 + 2,000, value 1 + 2, no headers 1.
    assert_eq!((at.offset, bytes), (12, 61 + 2 + 3 + 2_002 + 3 + 1));
    assert_eq!(records(&batches).len() as u64, appended.records());
    // What fits exactly is sent.
    let mut trial = Trial::new(&[input.clone(), ints(0..5)]);
    trial.bytes_max = bytes;
    let (batches, _, outcome) = trial.run();
    outcome.unwrap();
    assert_eq!(batches.iter().map(Vec::len).max(), Some(bytes));
    // Below the limit of the topic it travels alone, though it is larger than a batch should be.
    let mut trial = Trial::new(&[input, ints(0..5)]);
    trial.batch_bytes = 500;
    let (batches, _, outcome) = trial.run();
    outcome.unwrap();
    assert!(batches.iter().all(|batch| batch.len() <= 500 || batch.len() > 2_000));
}

#[test]
fn what_the_output_refuses_stops_the_merge_and_what_was_written_is_told() {
    let mut trial = Trial::new(&[ints(0..1000)]);
    trial.sink = MemorySink::new("out", 5).failing_after(2);
    let (batches, appended, outcome) = trial.run();
    assert!(matches!(outcome, Err(JobError::NotAdjacent(_))));
    assert_eq!((batches.len(), records(&batches).len() as u64), (2, appended.records()));
}

#[test]
fn a_wish_to_stop_ends_the_merge() {
    let trial = Trial::new(&[ints(0..1000)]);
    trial.cx.shutdown.request(Signal::Terminate);
    let (_, appended, outcome) = trial.run();
    assert!(matches!(outcome, Err(JobError::Interrupted(Signal::Terminate))));
    assert!(appended.records() < 1000);
}

#[test]
fn a_batch_larger_than_its_share_borrows_and_where_nothing_is_left_the_memory_that_would_do_is_named() {
    let big: Vec<Made> =
        (0..200).map(|i| Made { key: Some(vec![b'k'; 4_000]), ..Made::value(i.to_string()) }).collect();
    let inputs = vec![big; 8];
    let run = |memory_bytes: usize| {
        let mut trial = Trial::new(&inputs).each(|source| source.cut(100, 1));
        trial.memory_bytes = memory_bytes;
        trial.run()
    };
    let (_, _, outcome) = run(least_bytes(8));
    let error = outcome.unwrap_err().to_string();
    let named = error.split("--memory ").nth(1).and_then(|rest| rest.split("MiB").next()).unwrap();
    let (batches, _, outcome) = run(named.parse::<usize>().unwrap() << 20);
    outcome.unwrap_or_else(|again| panic!("{error}, and then {again}"));
    assert_eq!(records(&batches).len(), 1600);
}

#[test]
fn large_records_in_compressed_batches_are_merged_with_the_memory_that_is_named() {
    let mut random = StdRng::seed_from_u64(7);
    let mut large = || {
        let mut key = vec![0; 100_000];
        random.fill(key.as_mut_slice());
        key
    };
    let inputs: Vec<Vec<Made>> =
        (0..6).map(|_| (0..3).map(|i| Made { key: Some(large()), ..Made::value(i.to_string()) }).collect()).collect();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let run = |memory_bytes: usize| {
            let mut trial = Trial::new(&inputs).each(|source| source.cut(1, 1).codec(codec));
            trial.memory_bytes = memory_bytes;
            trial.run().2
        };
        let mut refused = 0;
        for memory in [least_bytes(6), 2 << 20, 4 << 20] {
            let Err(error) = run(memory) else { continue };
            refused += 1;
            let error = error.to_string();
            let named = error.split("--memory ").nth(1).and_then(|rest| rest.split("MiB").next()).unwrap();
            let named = named.parse::<usize>().unwrap() << 20;
            assert!(named > memory, "{codec:?}, {memory}: {error}");
            run(named).unwrap_or_else(|again| panic!("{codec:?}, {memory}: {error}, and then {again}"));
        }
        assert!(refused > 0, "{codec:?}");
    }
}

#[test]
fn what_unfolds_a_thousandfold_is_merged_in_little_memory() {
    let zeros: Vec<Made> =
        (0..20).map(|i| Made { key: Some(vec![0; 100_000]), ..Made::value(i.to_string()) }).collect();
    let mut trial = Trial::new(&[zeros.clone(), zeros.clone()]).each(|source| source.cut(20, 1).codec(Codec::Gzip));
    trial.batch_bytes = 150_000;
    trial.memory_bytes = 2 << 20;
    let (batches, _, outcome) = trial.run();
    outcome.unwrap();
    assert_eq!(records(&batches).len(), 40);
}

#[test]
fn fault_49_no_partition_one_ten_thousand_empty_ones_and_extreme_skew_are_merged() {
    let none: [Vec<Made>; 0] = [];
    for inputs in [
        none.to_vec(),
        vec![vec![]],
        vec![ints(0..3)],
        (0..10_000).map(|source| ints((0..source % 3).map(|i| i * 7 + source % 5))).collect(),
        [vec![ints(0..20_000)], (0..99).map(|source| ints([source * 200])).collect()].concat(),
    ] {
        let mut trial = Trial::new(&inputs).each(|source| source.cut(500, 2));
        trial.memory_bytes = least_bytes(inputs.len());
        trial.batch_bytes = 100_000;
        let (batches, _, outcome) = trial.run();
        outcome.unwrap();
        let expected = oracle(&inputs, &KeyPlan::parse(&[], Order::Asc).unwrap());
        assert!(records(&batches) == expected, "{} partitions", inputs.len());
    }
}
