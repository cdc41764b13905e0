//! Nothing is allocated for a record: what a merge, a consumer and a producer allocate grows with batches.
//!
//! Broker and job share this process, and all their threads are counted together; so the bound is one that neither of them
//! could keep with a single allocation for each record.

#![allow(missing_docs, reason = "a test")]

mod counting;

use counting::{allocations, allocations_here, peak};
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
use kmerge::rules::insight::{Insights, Noted};
use kmerge::rules::lookup::Lookups;
use kmerge::rules::measure::{Looked, Measurer, Measures, TableFull};
use kmerge::rules::{Cleaner, GroupedAt, Groups, Incoming, Offer, Rules, State, Verdict};
use std::io::Write as _;
use std::sync::Arc;
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

const RULES: &str = r#"
[[rule]]
default = { field = ["device", "/meta/source"], value = "unknown" }
[[rule]]
rename = { field = "ts", to = "at" }
[[rule]]
rename = { field = "app", to = "/meta/app" }
[[rule]]
drop = { field = "debug" }
[[rule]]
derive = { field = "hour", from = "at", part = "hour", unit = "s" }
[[rule]]
cast = { field = "at", to = "time", unit = "s" }
[[rule]]
cast = { field = "age", to = "int", on_failure = "null" }
[[rule]]
trim = { field = "user" }
[[rule]]
case = { field = "device", to = "upper" }
[[rule]]
map = { field = "device", values = { IOS = "iOS" } }
[[rule]]
range = { field = "hour", min = 0, max = 23 }
[[rule]]
pattern = { field = "user", matches = '^[a-z" ]+\d+$' }
[[rule]]
derive = { field = "who", template = "{user}@{device}" }
[[rule]]
filter = { drop = { any = [{ field = "user", equals = "x" }, { field = "device", matches = "^$" }] } }
[[rule]]
deduplicate = { key = ["user", "device"], window = "1m", time = "at" }
[[insight]]
field = ["user", "device", "age", "meta"]
window = "1m"
time = "at"
"#;

#[test]
fn rules_allocate_nothing_for_a_record_that_they_keep() {
    let _alone = ALONE.blocking_lock();
    let records: Vec<String> = (0..10_000)
        .map(|n| {
            let device = if n % 3 == 0 { "" } else { r#""device":"ios","# };
            format!(
                r#"{{"user":" a\u0022b {n}  ",{device}"age":"{n}x","ts":{n}.5,"debug":[{{"a":{n}}}],"app":{{"v":[1, 2]}},"meta":{{"k":{n}}}}}"#
            )
        })
        .collect();
    let mut cleaner = Cleaner::new(Arc::new(Rules::parse(RULES).unwrap()));
    let mut out = Vec::new();
    let mut clean = |records: &[String]| {
        for record in records {
            let verdict = cleaner.clean(&Incoming { value: Some(record.as_bytes()), timestamp_ms: 0 }, &mut out);
            assert_eq!(verdict, Verdict::Kept, "{record}");
        }
    };
    // The buffers grow at first.
    clean(&records);
    let before = allocations_here();
    clean(&records);
    let made = allocations_here() - before;
    assert!(made < records.len() as u64 / 100, "{made} allocations for {} records", records.len());
}

const LOOKUP: &str = r#"
[[rule]]
lookup = { field = "user", topic = "users", take = { name = "name", "/at/country" = "/address/country" }, on_failure = "null" }
[[rule]]
lookup = { field = "/at/country", topic = "countries", take = ["currency"], default = "EUR" }
"#;

/// What a topic has of so many users.
fn users(rules: &Arc<Rules>, users: u64) -> Lookups {
    let mut lookups = Lookups::new(rules, 1 << 30);
    let (mut key, mut value) = (Vec::with_capacity(64), Vec::with_capacity(256));
    for user in 0..users {
        key.clear();
        value.clear();
        write!(key, "{user:>012}").unwrap();
        write!(value, r#"{{"name":"the name of {user:>08}","address":{{"country":"IT","city":"{user}"}}}}"#).unwrap();
        lookups.take(0, Some(&key), Some(&value)).unwrap();
    }
    lookups
}

#[test]
fn a_lookup_allocates_nothing_for_a_record_nor_a_value_that_says_what_was_known_and_tables_take_what_they_say() {
    let _alone = ALONE.blocking_lock();
    let rules = Arc::new(Rules::parse(LOOKUP).unwrap());
    let records: Vec<String> =
        (0..10_000).map(|n| format!(r#"{{"user":"{:>011}\u0030","n":{n}}}"#, n % 700 / 10)).collect();
    let mut cleaner = Cleaner::new(Arc::clone(&rules));
    let mut out = Vec::new();
    let lookups = users(&rules, 500);
    let mut clean = |records: &[String]| {
        for record in records {
            let incoming = Incoming { value: Some(record.as_bytes()), timestamp_ms: 0 };
            assert_eq!(cleaner.clean_with(&incoming, lookups.tables(), &mut out), Verdict::Kept, "{record}");
        }
    };
    // The buffers grow at first.
    clean(&records);
    let before = allocations_here();
    clean(&records);
    let made = allocations_here() - before;
    assert!(made < records.len() as u64 / 100, "{made} allocations for {} records", records.len());
    let counts = cleaner.take_counts().lookups;
    assert_eq!(counts["lookup user in users"].found, 2 * 7_200, "{counts:?}");

    // The second one is a few keys behind a step in which the table grows.
    for keys in [1_000, 14_400, 100_000] {
        let (mut lookups, held) = peak(|| users(&rules, keys));
        let says = lookups.bytes();
        // While it grows there is the smaller one beside the larger one.
        assert!((says * 2 / 3..says + says / 2).contains(&held), "{keys} keys took {held} bytes, and {says} are said");
        let before = allocations_here();
        let value = br#"{"name":"the name of 00000007","more":[1],"address":{"country":"IT"}}"#;
        for _ in 0..1_000 {
            lookups.take(0, Some(b"000000000007"), Some(value)).unwrap();
        }
        let made = allocations_here() - before;
        assert!(made < 10, "{made} allocations for what was known");
    }
}

#[test]
fn what_deduplication_remembers_takes_no_more_than_it_says() {
    let _alone = ALONE.blocking_lock();
    let text = "[[rule]]\ndeduplicate = { key = \"user\", window = \"1d\" }\n";
    let rules = Arc::new(Rules::parse(text).unwrap());
    let mut cleaner = Cleaner::new(Arc::clone(&rules));
    let mut out = Vec::with_capacity(1024);
    let mut record = Vec::with_capacity(1024);
    // The second one is a few keys behind a step in which the table of keys grows.
    for keys in [1_000, 14_400, 100_000] {
        let (state, held) = peak(|| {
            let mut state = State::new(&rules, 1 << 30);
            for key in 0..keys {
                record.clear();
                write!(record, "{{\"user\":\"{key:>030}\"}}").unwrap();
                cleaner.clean(&Incoming { value: Some(&record), timestamp_ms: key % 1000 }, &mut out);
                assert_eq!(state.offer(cleaner.offered(), key), Ok(Offer::New));
            }
            state
        });
        let says = state.bytes();
        assert!((says / 3..=says).contains(&held), "{keys} keys took {held} bytes, and {says} were said");
    }
}

const MEASURES: &str = r#"
[[rule]]
default = { field = "device", value = "unknown" }

[measure]
by = ["device", "/geo/country"]
window = "1h"
time = "at"
aggregates = { n = "count", mean = { mean = "ms" }, most = { max = "ms" }, users = { distinct = "user" }, p95 = { p95 = "ms" } }
"#;

#[test]
fn measures_allocate_nothing_for_a_record_of_a_group_and_with_values_that_are_known() {
    let _alone = ALONE.blocking_lock();
    let records: Vec<String> = (0..10_000)
        .map(|n| {
            let device = if n % 3 == 0 { "" } else { r#""device":"ios","# };
            format!(
                r#"{{{device}"geo":{{"country":"DE\u0020"}},"at":{},"ms":{}.5,"user":"u{}"}}"#,
                n * 1000,
                n % 500,
                n % 700
            )
        })
        .collect();
    let mut measurer = Measurer::new(&Measures::parse(MEASURES).unwrap(), 16 << 20, 100_000);
    let mut measure = |records: &[String]| {
        for record in records {
            let looked = measurer.look(&Incoming { value: Some(record.as_bytes()), timestamp_ms: 0 });
            assert_eq!((looked, measurer.add()), (Looked::Rows, Ok(())), "{record}");
        }
    };
    // Groups and values come to be at first.
    measure(&records);
    let before = allocations_here();
    measure(&records);
    let made = allocations_here() - before;
    assert!(made < records.len() as u64 / 100, "{made} allocations for {} records", records.len());
}

#[test]
fn groups_and_values_take_no_more_than_the_table_may_also_while_they_are_put_in_order() {
    let _alone = ALONE.blocking_lock();
    let measures = Measures::parse(MEASURES).unwrap();
    for table_bytes in [1 << 20, 3_000_000, 10 << 20] {
        let mut record = Vec::with_capacity(1024);
        let mut rows = 0;
        let (entries, held) = peak(|| {
            let mut measurer = Measurer::new(&measures, table_bytes, 100_000);
            loop {
                record.clear();
                // Each fifth row is a group of its own.
                let (device, user) = (rows / 5, rows * 7919 % 100_003);
                write!(record, r#"{{"device":"d{device}","at":0,"ms":{}.25,"user":"user {user}"}}"#, rows % 1013)
                    .unwrap();
                assert_eq!(measurer.look(&Incoming { value: Some(&record), timestamp_ms: 0 }), Looked::Rows);
                match measurer.add() {
                    Ok(()) => rows += 1,
                    Err(error) => break assert_eq!(error, TableFull::Take),
                }
            }
            measurer.take().sorted()
        });
        assert!(entries.len() > rows, "{rows} rows");
        assert!(
            (table_bytes / 3..table_bytes + 50_000).contains(&held),
            "{held} bytes of {table_bytes} with {rows} rows"
        );
    }
}

#[test]
fn an_open_group_takes_no_more_than_it_says_and_not_much_less() {
    let _alone = ALONE.blocking_lock();
    for (collects, least) in
        [("members = true", 3), ("aggregates = { n = \"count\", mean = { mean = \"n\" }, p50 = { p50 = \"n\" } }", 3)]
    {
        let text = format!("[[group_by]]\nkey = \"user\"\nwindow = \"1h\"\nto = \"g\"\n{collects}\n");
        let rules = Arc::new(Rules::parse(&text).unwrap());
        let mut cleaner = Cleaner::new(Arc::clone(&rules));
        let mut out = Vec::with_capacity(1024);
        let mut record = Vec::with_capacity(1024);
        // The second one is a few groups behind a step in which the table of groups grows.
        for (groups, members) in [(1_000, 1), (14_400, 1), (50_000, 1), (100, 500)] {
            let (open, held) = peak(|| {
                let mut open = Groups::new(&rules, 1 << 30, &[]);
                for number in 0..groups * members {
                    record.clear();
                    write!(record, "{{\"user\":\"{:>030}\",\"n\":{number}}}", number % groups).unwrap();
                    cleaner.clean(&Incoming { value: Some(&record), timestamp_ms: number % 1000 }, &mut out);
                    let at = GroupedAt { offset: number, needed: number };
                    assert_eq!(open.offer(cleaner.grouped(), &out, at), Ok(0));
                }
                open
            });
            let says = open.bytes();
            let what = format!("{groups} groups of {members}, {collects}");
            assert!((says / least..=says).contains(&held), "{what} took {held} bytes, and {says} were said");
        }
    }
}

#[test]
fn insights_allocate_nothing_for_a_value_that_was_there_and_take_no_more_than_they_say() {
    let _alone = ALONE.blocking_lock();
    let file = "[[insight]]\nfield = \"a\"\nvalues_max = 1000000\nwindow = \"1m\"\nslide = \"30s\"\n";
    let rules = Arc::new(Rules::parse(file).unwrap());
    let mut text = Vec::with_capacity(64);
    let mut count = |insights: &mut Insights, values: u64| {
        for value in 0..values {
            text.clear();
            write!(text, "\"{value:>030}\"").unwrap();
            let value = &text;
            insights.count(Noted::of(value, &[(value.len(), Some(value.len() as i64))])).unwrap();
        }
    };
    for values in [10, 1_000, 14_400, 100_000] {
        let (mut insights, held) = peak(|| {
            let mut insights = Insights::new(&rules, 0, 1 << 30);
            count(&mut insights, values);
            insights
        });
        let says = insights.bytes();
        assert!(held <= says, "{values} values took {held} bytes, and {says} were said");
        let before = allocations_here();
        count(&mut insights, values);
        let made = allocations_here() - before;
        assert!(made < 10, "{made} allocations for {values} values");
    }
}
