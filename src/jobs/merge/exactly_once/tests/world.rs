//! A small job on an embedded broker, killed and started again: each run has a runtime of its own, and killing it drops
//! everything that runs there, as the end of a process does.

use super::super::super::{
    Allow, Client, Delivery, MergeReport, MergeSettings, OutputCodec, Progressing, Strategy, run,
};
use super::super::sabotage::Sabotage;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::broker::{Broker, BrokerConfig, RuleHandle};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::keys::{KeyPlan, Order};
use crate::observe::progress::Progress;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) const PARTITIONS: i32 = 3;
const RECORDS: i32 = 24;

pub(super) struct World {
    pub(super) broker: Broker,
    pub(super) settings: MergeSettings,
    pub(super) oracle: Vec<String>,
    /// What is taken away, for the controls.
    pub(super) sabotage: Option<Sabotage>,
    /// How long a run waits for others.
    pub(super) patience: Duration,
}

/// A run of the job on a thread of its own.
pub(super) struct Run {
    kill: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Option<Result<MergeReport, JobError>>>,
}

impl Run {
    /// Drops everything it does, and waits until it is gone.
    pub(super) async fn kill(self) {
        let _ = self.kill.send(());
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
    }

    /// Whether it has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has ended by itself.
    pub(super) async fn ended(self) -> Result<MergeReport, JobError> {
        let Self { kill, thread } = self;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
        drop(kill);
        ended.expect("nobody has killed it")
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::on(BrokerConfig::default()).await
    }

    /// Bare numbers, counted instead of merged.
    pub(super) async fn counting() -> Self {
        let mut world = Self::of(0, BrokerConfig::default()).await;
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let mut writer = BatchWriter::new(Codec::None);
            for number in 0..400 {
                let value = (number * (partition + 7)) % 23;
                writer.push(1_000, None, Some(value.to_string().as_bytes()), Headers::EMPTY).unwrap();
                all.push(value);
            }
            world.broker.append_raw("in", partition, writer.finish().unwrap()).unwrap();
        }
        all.sort_unstable();
        world.oracle = all.iter().map(ToString::to_string).collect();
        world.settings.strategy = Strategy::Count;
        world.settings.keys = KeyPlan::parse(&[], Order::Asc).unwrap();
        world
    }

    /// The same where no run has a certain safety.
    pub(super) async fn without(sabotage: Sabotage) -> Self {
        Self { sabotage: Some(sabotage), ..Self::new().await }
    }

    pub(super) async fn on(config: BrokerConfig) -> Self {
        Self::of(RECORDS, config).await
    }

    /// So many records in each partition.
    pub(super) async fn of(records: i32, config: BrokerConfig) -> Self {
        let broker = Broker::start(BrokerConfig { nodes: 2, ..config }).await.unwrap();
        broker.create_topic("in", PARTITIONS, &[("retention.ms", "-1")]).unwrap();
        broker.create_topic("out", 1, &[("retention.ms", "-1")]).unwrap();
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let mut writer = BatchWriter::new(Codec::None);
            for number in 0..records {
                // A few distinct keys: what goes on must go on in the middle of equal ones.
                let key = number / 9;
                // Some are equal to others, here and in the other partitions, and all of them count.
                let place = if number % 4 == 0 { String::new() } else { format!(r#","p":{partition},"n":{number}"#) };
                let value = format!(r#"{{"k":{key}{place},"x":"{}"}}"#, "x".repeat(60));
                writer.push(1_000 + i64::from(number), None, Some(value.as_bytes()), Headers::EMPTY).unwrap();
                all.push((key, partition, number, value));
            }
            if records > 0 {
                broker.append_raw("in", partition, writer.finish().unwrap()).unwrap();
            }
        }
        all.sort();
        let settings = MergeSettings {
            from: vec!["in".to_owned()],
            to: "out".to_owned(),
            keys: KeyPlan::parse(&["value:json:/k:int".to_owned()], Order::Asc).unwrap(),
            memory_bytes: 8 << 20,
            threads: None,
            strategy: Strategy::Merge,
            client: Client::Kmerge,
            delivery: Delivery::ExactlyOnce,
            // Each batch is a transaction.
            progressing: Progressing { commit_interval: Duration::ZERO, ..Progressing::default() },
            allow: Allow::default(),
            compression: OutputCodec::None,
            batch_bytes: 2 << 10,
            start: None,
            end: None,
            append: false,
        };
        Self {
            broker,
            settings,
            oracle: all.into_iter().map(|(.., value)| value).collect(),
            sabotage: None,
            patience: Duration::from_secs(20),
        }
    }

    /// Starts the job.
    pub(super) fn start(&self) -> Run {
        self.start_there(|| {})
    }

    /// The same on a thread that `prepare` has prepared.
    pub(super) fn start_there(&self, prepare: impl FnOnce() + Send + 'static) -> Run {
        let (settings, sabotage) = (self.settings.clone(), self.sabotage);
        let cx = self.context();
        let (kill, killed) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            prepare();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = killed => None,
                    ended = Sabotage::during(sabotage, run(&settings, &cx)) => Some(ended),
                }
            })
        });
        Run { kill, thread }
    }

    pub(super) fn context(&self) -> JobContext {
        JobContext {
            brokers: self.broker.addresses(),
            brokers_in_environment: false,
            timeout: self.patience,
            shutdown: Shutdown::default(),
            progress: Progress::default(),
            phases: Default::default(),
            gives_way: false,
        }
    }

    /// Starts the job and waits until a rule has struck, or it is over.
    pub(super) async fn start_until(&self, rule: &RuleHandle) -> Run {
        self.until(rule, self.start()).await
    }

    /// Waits until a rule has struck, or the run is over.
    pub(super) async fn until(&self, rule: &RuleHandle, run: Run) -> Run {
        while rule.hits() == 0 && !run.is_over() {
            // The run is on a thread of its own, so there is nothing to wait for that both know.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        run
    }

    /// The values of the output that readers of committed records see now.
    pub(super) async fn committed(&self) -> Vec<String> {
        let cluster = Cluster::connect(&self.broker.addresses(), Duration::from_secs(20)).await.unwrap();
        let output = TopicPartition::new("out", 0);
        let end = cluster.offsets(std::slice::from_ref(&output), OffsetAt::LastStable).await.unwrap()[0];
        let reader = cluster.reader(output, 0..end, ReadOptions::default());
        let mut records = RecordCursor::new(reader, 1 << 20, Shutdown::default(), Progress::default());
        let mut values = Vec::new();
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
        while let Some(value) = records.next_with(|record| text(record.value)).await.unwrap() {
            values.push(value);
        }
        values
    }

    /// Panics unless what readers see is how the oracle begins.
    pub(super) async fn check_prefix(&self, when: &str) -> usize {
        let committed = self.committed().await;
        assert!(
            self.oracle.starts_with(&committed),
            "{when}: {} records are no beginning of the merge",
            committed.len()
        );
        committed.len()
    }

    /// The same as a verdict, for the controls.
    pub(super) async fn is_whole(&self) -> bool {
        self.committed().await == self.oracle
    }
}
