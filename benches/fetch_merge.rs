//! The whole merge, socket to socket: the embedded broker's ten input partitions into one output partition, both strategies.
//!
//! Broker and merge share this process, so the figure is what both cost together on the machine at hand. Each output is held
//! against its inputs by `verify`, outside the timer; a bench that merged wrongly fails.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "shapes/mod.rs"]
mod shapes;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kmerge::batch::{BatchMut, BatchWriter, Codec, Headers};
use kmerge::broker::{Broker, BrokerConfig};
use kmerge::client::{Cluster, NewTopic};
use kmerge::jobs::JobContext;
use kmerge::jobs::merge::{self, Allow, Client, Delivery, MergeSettings, OutputCodec, Progressing, Strategy};
use kmerge::jobs::verify::{self, VerifySettings};
use kmerge::keys::{KeyPlan, Order};
use shapes::{PARTITIONS, Shape};
use std::time::{Duration, Instant};

const RECORDS: usize = 200_000;
const BATCH_RECORDS_MAX: usize = 4_000;
const BATCH_BYTES: usize = 250_000;
const BROKER_BYTES: usize = 4 << 30;
const MEMORY_BYTES: usize = 64 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);
const TIMESTAMP: i64 = 1_700_000_000_000;

struct Bench {
    runtime: tokio::runtime::Runtime,
    broker: Broker,
    cx: JobContext,
    outputs: std::cell::Cell<u64>,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let config = BrokerConfig { memory_bytes: BROKER_BYTES, ..BrokerConfig::default() };
        let broker = runtime.block_on(Broker::start(config)).expect("the broker starts");
        let cx = JobContext {
            brokers_in_environment: false,
            brokers: vec![broker.bootstrap()],
            timeout: TIMEOUT,
            shutdown: kmerge::base::shutdown::Shutdown::default(),
            progress: kmerge::observe::progress::Progress::default(),
            phases: Default::default(),
            gives_way: false,
        };
        Self { runtime, broker, cx, outputs: std::cell::Cell::new(0) }
    }

    fn create(&self, name: &str, partitions: usize) {
        self.runtime.block_on(async {
            let cluster = Cluster::connect(&self.cx.brokers, TIMEOUT).await.expect("the broker answers");
            let mut topic = NewTopic::new(name, partitions as i32);
            // The records are old, and a topic that would not keep them is refused.
            topic.configs.push(("retention.ms".into(), "-1".into()));
            cluster.create_topic(&topic).await.expect("the topic is created");
        });
    }

    fn delete(&self, name: &str) {
        self.runtime.block_on(async {
            let cluster = Cluster::connect(&self.cx.brokers, TIMEOUT).await.expect("the broker answers");
            cluster.delete_topic(name).await.expect("the topic is deleted");
        });
    }

    /// An input topic of this shape; gives how many records it has.
    fn fill(&self, shape: Shape) -> u64 {
        self.create(shape.name(), PARTITIONS);
        let payload = vec![b'x'; shape.payload_bytes()];
        let batch_records = (BATCH_BYTES / (20 + payload.len())).min(BATCH_RECORDS_MAX);
        let mut records = 0;
        for (partition, keys) in shapes::keys(shape, RECORDS).iter().enumerate() {
            for (batch, keys) in keys.chunks(batch_records).enumerate() {
                let mut writer = BatchWriter::new(Codec::None);
                for key in keys {
                    let text = key.to_string();
                    let (key, value) = if payload.is_empty() {
                        (None, text.as_bytes())
                    } else {
                        (Some(text.as_bytes()), &payload[..])
                    };
                    writer.push(TIMESTAMP, key, Some(value), Headers::EMPTY).expect("a record fits");
                }
                let mut bytes = writer.finish().expect("a batch is written").to_vec();
                BatchMut::new(&mut bytes).expect("it is a batch").set_base_offset((batch * batch_records) as i64);
                self.broker.append_raw(shape.name(), partition as i32, &bytes).expect("the broker takes it");
                records += keys.len() as u64;
            }
        }
        records
    }

    /// One merge into a topic of its own: the time it took.
    fn merge(&self, shape: Shape, strategy: Strategy) -> Duration {
        let output = format!("{}-{}", shape.name(), self.outputs.replace(self.outputs.get() + 1));
        self.create(&output, 1);
        let source = if shape.payload_bytes() == 0 { "value:int" } else { "key:int" };
        let keys = KeyPlan::parse(&[source.to_owned()], Order::Asc).expect("it is a key");
        let settings = MergeSettings {
            from: vec![shape.name().to_owned()],
            to: output.clone(),
            keys: keys.clone(),
            memory_bytes: MEMORY_BYTES,
            threads: Some(1),
            strategy,
            client: Client::Kmerge,
            delivery: Delivery::Idempotent,
            progressing: Progressing::default(),
            allow: Allow::default(),
            compression: OutputCodec::None,
            batch_bytes: 500_000,
            start: None,
            end: None,
            append: false,
        };
        let began = Instant::now();
        self.runtime.block_on(merge::run(&settings, &self.cx)).expect("it merges");
        let took = began.elapsed();

        let proof = VerifySettings {
            from: vec![shape.name().to_owned()],
            to: output.clone(),
            keys,
            // Counting writes the time of the plan.
            ignore_timestamp: strategy == Strategy::Count,
            start: None,
            end: None,
            output_start: None,
            output_end: None,
            memory_bytes: MEMORY_BYTES,
        };
        let report = self.runtime.block_on(verify::run(&proof, &self.cx)).expect("it can be verified");
        assert!(report.ok(), "{} came out wrong: {}", shape.name(), report.summary());
        self.delete(&output);
        took
    }
}

fn fetch_merge(c: &mut Criterion) {
    let bench = Bench::start();
    let mut group = c.benchmark_group("fetch_merge");
    group.sample_size(10);
    for shape in Shape::ALL {
        group.throughput(Throughput::Elements(bench.fill(shape)));
        let strategies: &[Strategy] =
            if shape.payload_bytes() == 0 { &[Strategy::Merge, Strategy::Count] } else { &[Strategy::Merge] };
        for &strategy in strategies {
            group.bench_function(BenchmarkId::new(strategy.name(), shape.name()), |b| {
                b.iter_custom(|rounds| (0..rounds).map(|_| bench.merge(shape, strategy)).sum());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, fetch_merge);
criterion_main!(benches);
