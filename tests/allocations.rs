//! Nothing is allocated for a record: what a merge, a consumer and a producer allocate grows with batches.
//!
//! Broker and job share this process, and all their threads are counted together; so the bound is one that neither of them
//! could keep with a single allocation for each record.

#![allow(missing_docs, reason = "a test")]

mod counting;

use counting::allocations;
use kmerge::base::from_to::FromTo;
use kmerge::base::shutdown::Shutdown;
use kmerge::batch::{BatchMut, BatchWriter, Codec};
use kmerge::broker::{Broker, BrokerConfig};
use kmerge::client::{Cluster, NewTopic};
use kmerge::formats::template::Template;
use kmerge::jobs::JobContext;
use kmerge::jobs::consume::{self, ConsumeSettings};
use kmerge::jobs::merge::{self, Allow, Client, Delivery, MergeSettings, OutputCodec, Progressing, Strategy};
use kmerge::jobs::minutes::LedgerTo;
use kmerge::jobs::pace::Pace;
use kmerge::jobs::pour::PourSettings;
use kmerge::jobs::produce::{self, Format, Input, KeyFrom, Mode, ProduceSettings};
use kmerge::keys::{Filter, KeyPlan, Order};
use kmerge::observe::progress::Progress;
use std::time::Duration;

const PARTITIONS: i32 = 4;
const BATCHES: i64 = 20;

/// A broker with `BATCHES` batches of so many records in each partition of a topic.
async fn filled(name: &str, codec: Codec, records: i64) -> (Broker, JobContext) {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let brokers = vec![broker.bootstrap()];
    let timeout = Duration::from_secs(60);
    let cluster = Cluster::connect(&brokers, timeout).await.unwrap();
    for (topic, partitions) in [(name, PARTITIONS), ("out", 1)] {
        // The records are as old as time itself.
        let topic = NewTopic::new(topic, partitions).config("retention.ms", "-1");
        cluster.create_topic(&topic).await.unwrap();
    }
    for partition in 0..PARTITIONS {
        for batch in 0..BATCHES {
            let mut writer = BatchWriter::new(codec);
            for record in 0..records {
                let number = batch * records + record;
                let value = format!("{number:>020}");
                let headers: [(&[u8], Option<&[u8]>); 1] = [(b"h", Some(value.as_bytes()))];
                writer.push_pairs(number, Some(value.as_bytes()), Some(value.as_bytes()), &headers).unwrap();
            }
            let mut bytes = writer.finish().unwrap().to_vec();
            BatchMut::new(&mut bytes).unwrap().set_base_offset(batch * records);
            broker.append_raw(name, partition, &bytes).unwrap();
        }
    }
    let cx = JobContext {
        brokers,
        brokers_in_environment: false,
        timeout,
        shutdown: Shutdown::default(),
        progress: Progress::default(),
        phases: Default::default(),
        gives_way: false,
    };
    (broker, cx)
}

/// Merges such a topic; gives how often was allocated meanwhile.
async fn merged(name: &str, key: &str, codec: Codec, records: i64) -> u64 {
    let (_broker, cx) = filled(name, codec, records).await;
    let settings = MergeSettings {
        from: vec![name.to_owned()],
        to: "out".to_owned(),
        keys: KeyPlan::parse(&[key.to_owned()], Order::Asc).unwrap(),
        memory_bytes: 64 << 20,
        threads: Some(1),
        strategy: Strategy::Merge,
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
    let before = allocations();
    let report = merge::run(&settings, &cx).await.unwrap();
    assert_eq!(report.records, (i64::from(PARTITIONS) * BATCHES * records) as u64);
    allocations() - before
}

/// Shows such a topic; gives how often was allocated meanwhile.
async fn consumed(name: &str, format: consume::Format, conditions: &[&str], codec: Codec, records: i64) -> u64 {
    let (_broker, cx) = filled(name, codec, records).await;
    let conditions: Vec<String> = conditions.iter().map(|text| (*text).to_owned()).collect();
    let settings = ConsumeSettings {
        topics: vec![name.to_owned()],
        partitions: Vec::new(),
        reach: FromTo::default(),
        exit: true,
        count: None,
        filter: Filter::parse(&conditions, 0).unwrap(),
        format,
        ordered: None,
        group: None,
        memory_bytes: 64 << 20,
        now_ms: 0,
    };
    let (blocks, out) = consume::blocks();
    let writer = std::thread::spawn(move || out.write_to(&mut std::io::sink()));
    let before = allocations();
    let (report, ended) = consume::run(&settings, blocks, &cx).await;
    ended.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(report.counts.shown, (i64::from(PARTITIONS) * BATCHES * records) as u64);
    allocations() - before
}

/// All threads are counted together, so one test runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allocations_grow_with_batches_and_not_with_records() {
    let _alone = ALONE.lock().await;
    for key in ["timestamp", "value:int", "key:string", "header:h:bytes"] {
        for codec in [Codec::None, Codec::Lz4] {
            let few = merged("few", key, codec, 100).await;
            let many = merged("many", key, codec, 2_000).await;
            let records_more = (i64::from(PARTITIONS) * BATCHES * 1_900) as u64;
            let more = many.saturating_sub(few);
            assert!(
                more < records_more / 20,
                "{key} {codec:?}: {more} allocations more for {records_more} records more"
            );
        }
    }
}

/// Writes so many rows of a CSV; gives how often was allocated meanwhile.
async fn produced(format: Format, key: Option<&str>, rows: u64) -> u64 {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    broker.create_topic("in", PARTITIONS, &[]).unwrap();
    let text: String = (0..rows).map(|row| format!("{row},\"a \"\"field\"\"\",plain {row}\n")).collect();
    let path = std::env::temp_dir().join(format!("kmerge-allocations-{}-{rows}", std::process::id()));
    std::fs::write(&path, format!("id,quoted,plain\n{text}")).unwrap();
    let settings = ProduceSettings {
        topic: "in".to_owned(),
        create: None,
        inputs: vec![Input::File(path.clone())],
        format: Some(format),
        csv_delimiter: None,
        key: key.map(|key| KeyFrom::Column(key.to_owned())),
        time: None,
        partition: None,
        keep_partitions: false,
        headers: vec![("h".to_owned(), Some("x".to_owned()))],
        repeat_to: None,
        records: None,
        pace: Pace::FREE,
        mode: Mode::Async,
        compare_records: None,
        batch_records: None,
        // Counting by minute costs none either.
        ledger: key.map(|_| LedgerTo::File(path.with_extension("ledger"))),
        memory_bytes: 64 << 20,
        pour: PourSettings::default(),
    };
    let cx = JobContext {
        brokers: vec![broker.bootstrap()],
        brokers_in_environment: false,
        timeout: Duration::from_secs(60),
        shutdown: Shutdown::default(),
        progress: Progress::default(),
        phases: Default::default(),
        gives_way: false,
    };
    let before = allocations();
    let report = produce::run(&settings, &cx, &mut |_| ()).await.unwrap();
    let made = allocations() - before;
    if let Some(LedgerTo::File(ledger)) = &settings.ledger {
        std::fs::remove_file(ledger).unwrap();
    }
    std::fs::remove_file(path).unwrap();
    let header = u64::from(format == Format::Lines);
    assert_eq!(report.to_json()["acknowledged"], rows + header);
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_produce_allocates_does_not_grow_with_records() {
    let _alone = ALONE.lock().await;
    for (format, key) in [(Format::Lines, None), (Format::Csv, None), (Format::Csv, Some("id"))] {
        let (few, many) = (produced(format, key, 1_000).await, produced(format, key, 101_000).await);
        let more = many.saturating_sub(few);
        assert!(more < 100_000 / 20, "{format:?} {key:?}: {more} allocations more for 100,000 records more");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_consume_allocates_does_not_grow_with_records() {
    let _alone = ALONE.lock().await;
    let template = |text: &str| consume::Format::Template(Template::parse(text).unwrap());
    for (format, conditions) in [
        (template("%s\n"), &[][..]),
        (template("%t %p %o %T %k %h %{ts:rfc3339} %{value:hex} %{key:json} %{header:h:base64}\n"), &["value:int>=0"]),
        (consume::Format::Json { visible: false }, &["header:h", "key*=0", "timestamp>=0"]),
    ] {
        for codec in [Codec::None, Codec::Lz4] {
            let few = consumed("few", format.clone(), conditions, codec, 100).await;
            let many = consumed("many", format.clone(), conditions, codec, 2_000).await;
            let records_more = (i64::from(PARTITIONS) * BATCHES * 1_900) as u64;
            let more = many.saturating_sub(few);
            assert!(
                more < records_more / 20,
                "{format:?} {codec:?}: {more} allocations more for {records_more} records more"
            );
        }
    }
}
