//! The reader alone: whatever becomes of a topic that is looked up in, the table has what is committed there, or it is said why not.

use super::TopicReader;
use super::held::HeldBack;
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::broker::{Broker, BrokerConfig, Fault, Rule};
use crate::client::{ClientError, Cluster, WriteOptions};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::observe::progress::Progress;
use crate::ports::Outgoing;
use crate::rules::lookup::Lookups;
use crate::rules::{Cleaner, Incoming, Rules, Verdict};
use crate::wire::ApiKey;
use std::sync::Arc;
use std::time::Duration;

/// Long enough for a loaded machine.
const LONG: Duration = Duration::from_secs(60);
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
const MEMORY: usize = 16 << 20;

struct Users {
    broker: Broker,
    cluster: Cluster,
    rules: Arc<Rules>,
    cx: JobContext,
}

type Record<'a> = (Option<&'a str>, Option<&'a str>);

fn batch(records: &[Record<'_>]) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::Lz4);
    for (key, value) in records {
        writer.push(0, key.map(str::as_bytes), value.map(str::as_bytes), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

impl Users {
    async fn new(partitions: i32) -> Self {
        let broker = Broker::start(BrokerConfig { nodes: 2, ..BrokerConfig::default() }).await.unwrap();
        broker.create_topic("users", partitions, &COMPACTED).unwrap();
        let rules = "[[rule]]\nlookup = { field = \"id\", topic = \"users\", take = [\"name\"] }\n";
        let cx = JobContext {
            brokers: broker.addresses(),
            brokers_in_environment: false,
            timeout: LONG,
            shutdown: Shutdown::default(),
            progress: Progress::default(),
            phases: Default::default(),
            gives_way: false,
        };
        let cluster = Cluster::connect(&cx.brokers, LONG).await.unwrap();
        Self { broker, cluster, rules: Arc::new(Rules::parse(rules).unwrap()), cx }
    }

    fn put(&self, partition: i32, records: &[Record<'_>]) {
        self.broker.append_raw("users", partition, &batch(records)).unwrap();
    }

    async fn found(&self, memory: usize) -> Result<TopicReader, JobError> {
        let found = TopicReader::find(&self.cluster, &self.rules, (memory, memory), &self.cx).await?;
        Ok(found.expect("a rule looks up"))
    }

    async fn loaded(&self) -> (Lookups, Box<TopicReader>) {
        self.found(MEMORY).await.unwrap().load(&self.rules).await.unwrap()
    }

    /// What is found under a key.
    fn name(&self, lookups: &Lookups, key: &str) -> String {
        let (mut cleaner, mut out) = (Cleaner::new(Arc::clone(&self.rules)), Vec::new());
        let value = format!("{{\"id\":\"{key}\"}}");
        let record = Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 };
        assert_eq!(cleaner.clean_with(&record, lookups.tables(), &mut out), Verdict::Kept);
        let made: serde_json::Value = serde_json::from_slice(&out).unwrap();
        made["name"].as_str().unwrap_or("-").to_owned()
    }
}

/// Takes news until a key has this name.
async fn until(
    users: &Users,
    lookups: &mut Lookups,
    mut reader: Box<TopicReader>,
    key: &str,
    name: &str,
) -> Box<TopicReader> {
    while users.name(lookups, key) != name {
        let (back, news) = tokio::time::timeout(LONG, reader.follow()).await.expect("news come");
        news.unwrap();
        reader = back;
        reader.pass(lookups).unwrap();
    }
    reader
}

/// What ends the following.
async fn ended(reader: Box<TopicReader>) -> JobError {
    let (_, news) = tokio::time::timeout(LONG, reader.follow()).await.expect("it ends");
    news.expect_err("nothing new is there")
}

#[tokio::test]
async fn every_partition_is_read_to_its_end_and_then_what_is_new_in_each_also_in_those_that_are_added() {
    let users = Users::new(150).await;
    for partition in 0..150 {
        let key = partition.to_string();
        if partition % 3 > 0 {
            users.put(partition, &[(Some(&key), Some(r#"{"name":"old"}"#)), (Some(&key), Some(r#"{"name":"new"}"#))]);
        }
    }
    users.put(1, &[(None, Some("{}")), (Some("x"), Some("no JSON")), (Some("1"), None)]);
    let (mut lookups, reader) = users.loaded().await;
    let table = &lookups.tables()[0];
    assert_eq!((table.len(), table.records(), table.unreadable(), table.without_key()), (99, 203, 1, 1));
    assert_eq!(["0", "1", "2", "149", "x"].map(|key| users.name(&lookups, key)), ["-", "-", "new", "new", "-"]);
    assert_eq!(users.cx.progress.snapshot().records_done, 203);
    users.put(0, &[(Some("0"), Some(r#"{"name":"here"}"#))]);
    users.put(2, &[(Some("2"), None)]);
    let reader = until(&users, &mut lookups, reader, "0", "here").await;
    let reader = until(&users, &mut lookups, reader, "2", "-").await;
    users.cluster.create_partitions("users", 152).await.unwrap();
    users.put(151, &[(Some("151"), Some(r#"{"name":"added"}"#))]);
    let _reader = until(&users, &mut lookups, reader, "151", "added").await;
    assert_eq!(users.cx.progress.snapshot().records_done, 203, "what is followed is no work of the job");
}

#[tokio::test]
async fn what_is_not_committed_is_not_there_and_nobody_waits_for_it() {
    let users = Users::new(1).await;
    users.put(0, &[(Some("a"), Some(r#"{"name":"first"}"#))]);
    let producer = users.cluster.transactional("writer", LONG).await.map_err(|trouble| trouble.into_error()).unwrap();
    let options = WriteOptions { beside_others: true, ..WriteOptions::default() };
    let (mut pen, at) = (producer.spread(options), TopicPartition::new("users", 0));
    let outgoing = |name: &str| {
        let bytes = batch(&[(Some("a"), Some(&format!("{{\"name\":\"{name}\"}}")))]);
        Outgoing { len: bytes.len(), bytes, records: 1 }
    };
    pen.append(&at, outgoing("void")).await.map_err(|trouble| trouble.into_error()).unwrap();
    pen.flush().await.map_err(|trouble| trouble.into_error()).unwrap();
    let (mut lookups, mut reader) = tokio::time::timeout(LONG, users.loaded()).await.expect("nobody waits");
    assert_eq!((users.name(&lookups, "a"), reader.held.told()), ("first".to_owned(), 0));
    // What takes longer than nothing is said.
    reader.held.long = Duration::ZERO;
    users.put(0, &[(Some("b"), None)]);
    let held = users.broker.faults().add(Rule::on(ApiKey::DescribeProducers).always(), Fault::Throttle(0));
    let follows = tokio::spawn(reader.follow());
    tokio::time::timeout(LONG, held.hit()).await.expect("it is asked whose it is");
    let mut producer = pen.into_producer().await;
    producer.resolve().await.map_err(|trouble| trouble.into_error()).unwrap();
    let mut pen = producer.spread(options);
    pen.append(&at, outgoing("second")).await.map_err(|trouble| trouble.into_error()).unwrap();
    pen.flush().await.map_err(|trouble| trouble.into_error()).unwrap();
    pen.commit().await.map_err(|trouble| trouble.into_error()).unwrap();
    let (mut reader, news) = tokio::time::timeout(LONG, follows).await.expect("news come").unwrap();
    news.unwrap();
    reader.pass(&mut lookups).unwrap();
    let _reader = until(&users, &mut lookups, reader, "a", "second").await;
    assert_eq!(lookups.tables()[0].records(), 3, "what was voided never came");
}

#[tokio::test]
async fn who_holds_news_back_for_long_is_told_once_and_who_does_not_is_not() {
    let users = Users::new(2).await;
    let producer = users.cluster.transactional("holder", LONG).await.map_err(|trouble| trouble.into_error()).unwrap();
    let mut pen = producer.spread(WriteOptions { beside_others: true, ..WriteOptions::default() });
    let bytes = batch(&[(Some("a"), Some("{}"))]);
    let batch = Outgoing { len: bytes.len(), bytes, records: 1 };
    let at = TopicPartition::new("users", 1);
    pen.append(&at, batch).await.map_err(|trouble| trouble.into_error()).unwrap();
    pen.flush().await.map_err(|trouble| trouble.into_error()).unwrap();
    users.put(1, &[(Some("b"), None); 3]);
    let stable = [(TopicPartition::new("users", 0), 0), (at.clone(), 0)];
    let mut held = HeldBack::new();
    assert!(held.look(&users.cluster, &stable).await.is_empty(), "not for long");
    held.long = Duration::ZERO;
    let told = held.look(&users.cluster, &stable).await;
    assert_eq!(told.iter().map(|one| (&one.partition, one.from, one.behind)).collect::<Vec<_>>(), [(&at, 0, 4)]);
    assert!(told[0].producer.as_ref().is_some_and(|producer| producer.since == 0), "{told:?}");
    assert!(held.look(&users.cluster, &stable).await.is_empty(), "not again");
    // The next transaction is another one.
    let next = [(at.clone(), 3)];
    assert_eq!(held.look(&users.cluster, &next).await.len(), 1);
    assert!(held.look(&users.cluster, &[(at, 4)]).await.is_empty() && held.told() == 0);
}

#[tokio::test]
async fn what_retention_takes_before_it_is_read_is_passed_over_and_what_it_took_before_is_no_matter() {
    let users = Users::new(1).await;
    for name in ["a", "b", "c"] {
        users.put(0, &[(Some(name), Some(r#"{"name":"there"}"#))]);
    }
    users.broker.set_log_start("users", 0, 1).unwrap();
    let (mut lookups, reader) = users.loaded().await;
    assert_eq!(["a", "b", "c"].map(|key| users.name(&lookups, key)), ["-", "there", "there"]);
    for name in ["d", "e", "f"] {
        users.put(0, &[(Some(name), Some(r#"{"name":"there"}"#))]);
    }
    users.broker.set_log_start("users", 0, 5).unwrap();
    let _reader = until(&users, &mut lookups, reader, "f", "there").await;
    assert_eq!(["b", "d", "e"].map(|key| users.name(&lookups, key)), ["there", "-", "-"]);
}

#[tokio::test]
async fn a_topic_that_is_deleted_or_made_anew_or_cut_ends_it_with_its_name() {
    let users = Users::new(1).await;
    users.put(0, &[(Some("a"), Some(r#"{"name":"there"}"#))]);
    let (_, reader) = users.loaded().await;
    users.cluster.delete_topic("users").await.unwrap();
    users.broker.create_topic("users", 1, &COMPACTED).unwrap();
    let error = ended(reader).await;
    assert!(error.kind() == Kind::Data && error.to_string().contains("users was deleted and created again"), "{error}");

    users.put(0, &[(Some("a"), Some(r#"{"name":"there"}"#))]);
    users.put(0, &[(Some("b"), None)]);
    let (_, mut reader) = users.loaded().await;
    users.broker.truncate("users", 0, 1).unwrap();
    reader.patience = Duration::ZERO;
    let error = ended(reader).await;
    let said = "users partition 0 ends at offset 1 and was read up to 2: its log was cut";
    assert!(error.kind() == Kind::Data && error.to_string().contains(said), "{error}");
    // It may have grown again before anybody looks.
    let (_, reader) = users.loaded().await;
    users.broker.truncate("users", 0, 0).unwrap();
    for key in ["c", "d", "e"] {
        users.put(0, &[(Some(key), Some(r#"{"name":"there"}"#))]);
    }
    let error = ended(reader).await;
    assert!(matches!(error, JobError::Client(ClientError::Truncated(_))), "{error}");

    let (_, mut reader) = users.loaded().await;
    users.cluster.delete_topic("users").await.unwrap();
    reader.patience = Duration::ZERO;
    let error = ended(reader).await;
    assert!(error.kind() == Kind::Data && error.to_string().contains("there is no topic users"), "{error}");
    assert!(error.to_string().contains("rules look up in it"), "{error}");

    let error = users.found(MEMORY).await.err().expect("it is not there").to_string();
    for part in
        ["there is no topic users", "lookup id in users", "kmerge topic create users --config cleanup.policy=compact"]
    {
        assert!(error.contains(part), "{error}\nwithout {part}");
    }
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused_with_the_memory_that_does() {
    let users = Users::new(2).await;
    let value = format!("{{\"name\":\"{}\"}}", "x".repeat(1_000));
    for key in 0..2_000_i32 {
        users.put(key % 2, &[(Some(&key.to_string()), Some(&value))]);
    }
    let too_little = 1 << 20;
    let error = users.found(too_little).await.unwrap().load(&users.rules).await.err().expect("it does not fit");
    let text = error.to_string();
    assert!(text.contains("what rules take of users needs more than") && text.contains("partition "), "{text}");
    let advised = text.split("--memory ").nth(1).and_then(|rest| rest.split("MiB").next()).unwrap();
    let advised: usize = advised.parse().unwrap();
    assert!((4..16).contains(&advised), "{text}");
    let (mut lookups, reader) = users.found(advised << 20).await.unwrap().load(&users.rules).await.unwrap();
    assert_eq!(lookups.tables()[0].len(), 2_000);
    // It may grow too large while it is followed, too.
    for key in 2_000..20_000_i32 {
        users.put(0, &[(Some(&key.to_string()), Some(&value))]);
    }
    let mut reader = reader;
    let error = loop {
        let (back, news) = tokio::time::timeout(LONG, reader.follow()).await.expect("news come");
        news.unwrap();
        reader = back;
        if let Err(error) = reader.pass(&mut lookups) {
            break error.to_string();
        }
    };
    assert!(error.starts_with("users partition 0 offset ") && error.contains("--memory "), "{error}");
}
