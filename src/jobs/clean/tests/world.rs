//! A small job on an embedded broker, and what its output has to be. Each run has a runtime of its own, and killing it drops
//! everything that runs there, as the end of a process does.

use super::super::outbox::slot;
use super::super::tally::Note;
use super::super::{CleanReport, CleanSettings, Rejects, Tally, run};
use super::grouped;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::broker::{ApiLevel, Broker, BrokerConfig, RuleHandle};
use crate::client::group::{GroupOptions, Reset};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::observe::progress::Progress;
use crate::rules::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub(super) const PARTITIONS: i32 = 3;
pub(super) const OUTPUTS: usize = 4;
const DEAD: usize = 2;
pub(super) const RECORDS: i32 = 40;
pub(super) const GROUP: &str = "cleaners";
/// Long enough for a loaded machine.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) const RULES: &str = r#"
[[rule]]
default = { field = "device", value = "unknown" }

[[rule]]
required = { field = "user" }

[[rule]]
filter = { drop = { field = "kind", equals = "test" } }
"#;

/// Within twenty milliseconds.
const DEDUPLICATE: &str = "[[rule]]\ndeduplicate = { key = \"id\", window = \"20ms\" }\n";

/// What a reader of committed records sees: by topic and partition, key, value and origin of each.
pub(super) type Seen = BTreeMap<(String, i32), Vec<String>>;

pub(super) struct World {
    pub(super) broker: Broker,
    pub(super) settings: CleanSettings,
    pub(super) oracle: Seen,
    /// What goes out of each partition and offset, members in the order of their names.
    pub(super) kept: BTreeMap<(i64, i64), String>,
    /// What becomes of the records of each input partition.
    pub(super) tally: Tally,
    /// Whether partitions are added to a transaction by requests of their own.
    pub(super) is_explicit: bool,
    /// How long the job waits for answers.
    pub(super) timeout: Duration,
    /// Records of each input partition so far.
    records: [i32; PARTITIONS as usize],
    /// Within which a record with the id of one before is a duplicate, if duplicates are told.
    window_ms: Option<i64>,
    /// When an id came last, by partition.
    ids: BTreeMap<(i32, i32), i64>,
    /// What went on, by partition; and whether it is grouped.
    pub(super) went: BTreeMap<i32, Vec<grouped::Went>>,
    groups: bool,
}

/// What can be done to a run from outside.
enum Order {
    Kill,
    /// It stops on the spot, says so, and stands still until it is told to go on.
    Freeze(oneshot::Sender<()>, std::sync::mpsc::Receiver<()>),
}

/// A run that stands still, as a process that was suspended; it goes on when this is dropped.
pub(super) struct Frozen(#[expect(dead_code, reason = "held until it is dropped")] std::sync::mpsc::Sender<()>);

/// A run of the job on a thread of its own.
pub(super) struct Run {
    orders: mpsc::UnboundedSender<Order>,
    pub(super) shutdown: Shutdown,
    thread: std::thread::JoinHandle<Option<(CleanReport, Result<(), JobError>)>>,
}

impl Run {
    /// Drops everything it does, and waits until it is gone.
    pub(super) async fn kill(self) {
        let _ = self.orders.send(Order::Kill);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
    }

    /// Stops everything it does, its heartbeats as well, and waits until it stands still.
    pub(super) async fn freeze(&self) -> Frozen {
        let ((stands, stood), (thaw, until)) = (oneshot::channel(), std::sync::mpsc::channel());
        assert!(self.orders.send(Order::Freeze(stands, until)).is_ok(), "it runs");
        stood.await.expect("it stops");
        Frozen(thaw)
    }

    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has ended by itself.
    pub(super) async fn ended(self) -> (CleanReport, Result<(), JobError>) {
        let Self { orders, thread, .. } = self;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
        drop(orders);
        ended.expect("nobody has killed it")
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::on(BrokerConfig::default()).await
    }

    /// One for each way that transactions are spoken.
    pub(super) async fn both() -> [Self; 2] {
        let explicit = BrokerConfig { transaction_version: 1, api_versions: ApiLevel::V3_9, ..BrokerConfig::default() };
        [Self::new().await, Self::on(explicit).await]
    }

    /// The same where duplicates are told within twenty milliseconds.
    pub(super) async fn deduplicating() -> [Self; 2] {
        let explicit = BrokerConfig { transaction_version: 1, api_versions: ApiLevel::V3_9, ..BrokerConfig::default() };
        [Self::of(BrokerConfig::default(), Some(20)).await, Self::of(explicit, Some(20)).await]
    }

    /// The same where what is no duplicate is grouped as well.
    pub(super) async fn grouping() -> [Self; 2] {
        let mut worlds = Self::deduplicating().await;
        for world in &mut worlds {
            world.broker.create_topic(grouped::TOPIC, OUTPUTS as i32, &[("retention.ms", "-1")]).unwrap();
            let rules = format!("{RULES}\n{DEDUPLICATE}\n{}", grouped::RULES);
            world.settings.rules = Arc::new(Rules::parse(&rules).unwrap());
            world.groups = true;
        }
        worlds
    }

    pub(super) async fn on(config: BrokerConfig) -> Self {
        Self::of(config, None).await
    }

    async fn of(config: BrokerConfig, window_ms: Option<i64>) -> Self {
        let is_explicit = config.transaction_version < 2;
        let broker = Broker::start(BrokerConfig { nodes: 2, ..config }).await.unwrap();
        for (topic, partitions) in [("in", PARTITIONS), ("out", OUTPUTS as i32), ("dead", DEAD as i32)] {
            broker.create_topic(topic, partitions, &[("retention.ms", "-1")]).unwrap();
        }
        let mut group = GroupOptions::new(GROUP, &["in".to_owned()]);
        group.reset = Reset::EarliestIfNew;
        group.instance = Some("one".to_owned());
        group.session_timeout = Duration::from_secs(6);
        group.heartbeat_interval = Duration::from_millis(100);
        let rules = format!("{RULES}\n{}", window_ms.map_or("", |_| DEDUPLICATE));
        let settings = CleanSettings {
            from: vec!["in".to_owned()],
            to: Some("out".to_owned()),
            parquet: None,
            rules: Arc::new(Rules::parse(&rules).unwrap()),
            rejects: Rejects::Letters("dead".to_owned()),
            insights_to: None,
            insights_state: "out-insights-state".to_owned(),
            group,
            exit: true,
            close_windows: false,
            codec: Codec::None,
            ledger: None,
            batch_bytes: 256,
            memory_bytes: 16 << 20,
            // Each window is a transaction.
            commit_interval: Duration::from_millis(1),
            transaction_timeout: Duration::from_secs(20),
            report_interval: Duration::from_secs(10),
        };
        let (oracle, tally) = (Seen::new(), Tally::default());
        let (records, ids) = ([0; PARTITIONS as usize], BTreeMap::new());
        let (went, kept, groups, timeout) = (BTreeMap::new(), BTreeMap::new(), false, Duration::from_secs(20));
        let mut world =
            Self { broker, settings, oracle, kept, tally, is_explicit, timeout, records, window_ms, ids, went, groups };
        world.more(RECORDS);
        world
    }

    /// So many more records in each partition, in several batches, and what is to become of them.
    pub(super) fn more(&mut self, records: i32) {
        for partition in 0..PARTITIONS {
            let first = self.records[partition as usize];
            let numbers: Vec<i32> = (first..first + records).collect();
            for numbers in numbers.chunks(8) {
                let mut writer = BatchWriter::new(Codec::None);
                for number in numbers {
                    let (key, value) = self.made(partition, *number);
                    let time = 1_000 + i64::from(*number);
                    writer.push(time, key.as_deref(), Some(value.as_bytes()), Headers::EMPTY).unwrap();
                }
                self.broker.append_raw("in", partition, writer.finish().unwrap()).unwrap();
            }
            self.records[partition as usize] += records;
        }
    }

    /// What came so far is told no duplicate by.
    pub(super) fn forget_ids(&mut self) {
        self.ids.clear();
    }

    /// What came to a partition before this record is told no duplicate by.
    pub(super) fn forget_ids_before(&mut self, partition: i32, number: i64) {
        self.ids.retain(|(of, _), at| *of != partition || *at >= number);
    }

    /// A record, noted in the oracle.
    fn made(&mut self, partition: i32, number: i32) -> (Option<Vec<u8>>, String) {
        let key = (number % 5 != 0).then(|| format!("user-{}", number % 7).into_bytes());
        let time_ms = grouped::time_of(number);
        let id = format!(r#""at":"{partition}:{number}","id":{},"t":{time_ms}"#, number % 13);
        self.tally.read += 1;
        let (to, value, becomes) = match number % 10 {
            3 => ("out", format!(r#"{{"user":1,{id}}}"#), format!(r#"{{"user":1,{id},"device":"unknown"}}"#)),
            4 => (
                "out",
                format!(r#"{{"user":1,{id},"device":null}}"#),
                format!(r#"{{"user":1,{id},"device":"unknown"}}"#),
            ),
            5 => ("dead", format!(r#"{{"user":1,{id},"dev"#), String::new()),
            6 => ("dead", format!(r#"{{{id},"device":"web"}}"#), String::new()),
            7 => ("", format!(r#"{{"user":1,{id},"device":"web","kind":"test"}}"#), String::new()),
            _ => {
                let value = format!(r#"{{"user":1,{id},"device":"web"}}"#);
                ("out", value.clone(), value)
            }
        };
        let (count, seen) = match to {
            "out" => (OUTPUTS, canonical(&becomes)),
            _ => (DEAD, format!("{value} in {partition} {number}")),
        };
        if to == "out"
            && let Some(window) = self.window_ms
        {
            let now = i64::from(number);
            let before = self.ids.insert((partition, number % 13), now);
            if before.is_some_and(|before| now - before < window) {
                self.tally.deduplicated += 1;
                return (key, value);
            }
        }
        match to {
            "out" => {
                self.tally.out += 1;
                self.kept.insert((partition.into(), number.into()), seen.clone());
                let went = grouped::Went { time_ms, number, value: becomes };
                self.went.entry(partition).or_default().push(went);
            }
            "dead" => self.tally.rejected += 1,
            _ => self.tally.filtered += 1,
        }
        if !to.is_empty() {
            let at = slot(key.as_deref(), partition, count);
            let shown = format!("{} {seen}", show(key.as_deref()));
            self.oracle.entry((to.to_owned(), at as i32)).or_default().push(shown);
        }
        (key, value)
    }

    pub(super) fn context(&self) -> JobContext {
        JobContext {
            brokers: self.broker.addresses(),
            brokers_in_environment: false,
            timeout: self.timeout,
            shutdown: Shutdown::default(),
            progress: Progress::default(),
            phases: Default::default(),
            gives_way: false,
        }
    }

    /// Starts the job.
    pub(super) fn start(&self) -> Run {
        self.start_as(&self.settings)
    }

    pub(super) fn start_as(&self, settings: &CleanSettings) -> Run {
        let (settings, cx) = (settings.clone(), self.context());
        let (orders, mut ordered) = mpsc::unbounded_channel();
        let shutdown = cx.shutdown.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut running = std::pin::pin!(run(&settings, &cx));
                loop {
                    tokio::select! {
                        biased;
                        order = ordered.recv() => match order {
                            Some(Order::Freeze(stands, until)) => {
                                let _ = stands.send(());
                                // Nothing else runs on this thread meanwhile.
                                let _ = until.recv();
                            }
                            Some(Order::Kill) | None => return None,
                        },
                        ended = &mut running => return Some(ended),
                    }
                }
            })
        });
        Run { orders, shutdown, thread }
    }

    /// Starts the job and waits until a rule has struck, or it is over.
    pub(super) async fn start_until(&self, rule: &RuleHandle) -> Run {
        let run = self.start();
        while rule.hits() == 0 && !run.is_over() {
            // The run is on a thread of its own, so there is nothing to wait for that both know.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        run
    }

    /// What readers of committed records see, once nothing is open.
    pub(super) async fn seen(&self) -> Seen {
        let cluster = Cluster::connect(&self.broker.addresses(), LONG).await.unwrap();
        let mut seen = Seen::new();
        let mut topics = vec![("out", OUTPUTS), ("dead", DEAD)];
        topics.extend(self.groups.then_some((grouped::TOPIC, OUTPUTS)));
        topics.retain(|(topic, _)| *topic != "out" || self.settings.to.is_some());
        for (topic, partitions) in topics {
            for partition in 0..partitions as i32 {
                let at = TopicPartition::new(topic, partition);
                let end = cluster.offsets(std::slice::from_ref(&at), OffsetAt::Latest).await.unwrap()[0];
                cluster.wait_for_transactions(&[(at.clone(), end)], LONG).await.unwrap();
                let reader = cluster.reader(at, 0..end, ReadOptions::default());
                let mut records = RecordCursor::new(reader, 1 << 20, Shutdown::default(), Progress::default());
                let show = |record: &crate::batch::Record<'_>| {
                    let value = show(record.value);
                    let value = if topic == "out" { canonical(&value) } else { value };
                    let header = |name: &str| record.headers.last(name.as_bytes()).map(|value| show(value));
                    let origin = ["kmerge.topic", "kmerge.partition", "kmerge.offset"].map(header);
                    let origin: Vec<String> = origin.into_iter().flatten().collect();
                    format!("{} {value} {}", show(record.key), origin.join(" ")).trim_end().to_owned()
                };
                let mut values = Vec::new();
                while let Some(value) = records.next_with(show).await.unwrap() {
                    values.push(value);
                }
                if !values.is_empty() {
                    seen.insert((topic.to_owned(), partition), values);
                }
            }
        }
        seen
    }

    /// Panics unless everything is there, once, the order within each input partition kept; and counted so.
    pub(super) async fn is_whole(&self, when: &str) {
        let (mut oracle, mut tally) = (self.oracle.clone(), self.tally);
        if self.groups {
            let (groups, grouped) = grouped::slowly(&self.went);
            oracle.extend(groups);
            tally.grouped = grouped;
        }
        let seen = self.seen().await;
        assert_eq!(seen.keys().collect::<Vec<_>>(), oracle.keys().collect::<Vec<_>>(), "{when}");
        for (at, expected) in &oracle {
            // Which input partition is first is left open.
            assert_eq!(by_origin(&seen[at]), by_origin(expected), "{when}: {at:?}");
        }
        assert_eq!(self.counted(when).await, tally, "{when}");
    }

    /// What the notes beside the group's offsets say, once they stand at the ends.
    pub(super) async fn counted(&self, when: &str) -> Tally {
        self.counted_once(when, |_| true).await
    }

    /// The same, once it is so. An offset that has not moved tells nothing of its note.
    pub(super) async fn counted_once(&self, when: &str, is_so: impl Fn(&Tally) -> bool) -> Tally {
        let cluster = Cluster::connect(&self.broker.addresses(), LONG).await.unwrap();
        let began = Instant::now();
        loop {
            let offsets = cluster.group_offsets(GROUP).await.unwrap();
            let at = |partition: i32| offsets.get(&TopicPartition::new("in", partition)).map(|one| one.offset);
            let ends = |partition: i32| Some(i64::from(self.records[partition as usize]));
            let tallies = offsets.values().map(|one| Note::read(&one.metadata, one.offset).tally);
            let tally = tallies.fold(Tally::default(), Tally::plus);
            if (0..PARTITIONS).all(|partition| at(partition) == ends(partition)) && is_so(&tally) {
                return tally;
            }
            // A commit is decided a moment before it is seen.
            assert!(began.elapsed() < LONG, "{when}: {offsets:?}");
            tokio::task::yield_now().await;
        }
    }
}

/// The lines of each input partition, in order.
fn by_origin(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let origin = line.split("\"at\":\"").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or_default();
        sorted.entry(origin.to_owned()).or_default().push(line.clone());
    }
    sorted
}

/// Members in the order of their names: where a default is put is not the question here.
fn canonical(value: &str) -> String {
    let members: BTreeMap<String, serde_json::Value> = serde_json::from_str(value).unwrap();
    serde_json::to_string(&members).unwrap()
}

fn show(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}
