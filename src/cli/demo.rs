//! `kmerge demo`: the tour. Everything that a merge needs, in this process, without any set-up.

use super::context::Context;
use anyhow::Context as _;
use clap::Args;
use kmerge::base::place::TopicPartition;
use kmerge::base::shutdown::Signal;
use kmerge::base::units::parse_size;
use kmerge::batch::Codec;
use kmerge::broker::{Broker, BrokerConfig};
use kmerge::client::{Cluster, NewTopic};
use kmerge::jobs::generate::{self, IntsSettings};
use kmerge::jobs::merge::{
    self, Allow, Client, Delivery, MergeReport, MergeSettings, OutputCodec, Progressing, Strategy,
};
use kmerge::jobs::peek;
use kmerge::jobs::verify::{self, VerifyReport, VerifySettings};
use kmerge::keys::{KeyPlan, Order};

const INPUT: &str = "data-input";
const OUTPUT: &str = "data-output";
const PARTITIONS: u32 = 10;
const NODES: u16 = 2;
/// How many records are shown from each end of the output.
const SHOWN: i64 = 5;
/// The merge's own default.
const BATCH_BYTES: usize = 500_000;
/// What a generated integer takes in the broker, twice, with room to spare.
const BROKER_BYTES_PER_RECORD: u64 = 64;
const BROKER_BYTES_MIN: u64 = 256 << 20;

/// Take the tour: an embedded cluster, sample data, the merge, the proof. Needs nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
It starts a two-node broker inside this process (loopback, in memory), makes the topics data-input with 10 partitions and \
data-output with 1, fills the first with sorted integers, merges, and verifies the result record by record. With --keep the \
broker stays up afterwards, and any Kafka client can look at it.")]
pub struct DemoArgs {
    /// How many records to generate and merge.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    records: u64,

    /// The same seed, the same records.
    #[arg(long, value_name = "INT", default_value_t = 1)]
    seed: u64,

    /// The merge's memory budget.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    /// Leave the broker up when done, until Ctrl-C, and print its address.
    #[arg(long)]
    keep: bool,
}

impl DemoArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let broker = self.start_broker().await?;
        let job = cx.job_on(broker.bootstrap().split(',').map(str::to_owned).collect());
        cx.say(&format!("An embedded Kafka of {NODES} nodes, in this process: {}\n", broker.bootstrap()));

        cx.say(&format!("1. {INPUT}: {PARTITIONS} partitions, each sorted"));
        let shown = cx.show_progress();
        let generated = generate::run(&self.generate(), &job).await.context("generate")?;
        drop(shown);
        cx.say(&format!("   {}\n", indented(&generated.summary())));

        let output = NewTopic { replication_factor: 2, ..NewTopic::new(OUTPUT, 1) }.config("min.insync.replicas", "2");
        cx.say(&format!("2. merge into {OUTPUT}: 1 partition, one total order"));
        Cluster::connect(&job.brokers, job.timeout).await?.create_topic(&output).await?;
        let keys = KeyPlan::parse(&["value:int".to_owned()], Order::Asc).map_err(anyhow::Error::msg)?;
        let shown = cx.show_progress();
        let merged = merge::run(&self.merge(&keys), &job).await.context("merge")?;
        drop(shown);
        cx.say(&format!("   {}\n", indented(&merged.summary())));

        cx.say(
            "3. verify: inputs and output in lockstep, record by record, by another client than the one that merged",
        );
        let shown = cx.show_progress();
        let verified = verify::run(&self.verify(&keys, &merged)?, &job).await.context("verify")?;
        drop(shown);
        cx.say(&format!("   {}\n", indented(&verified.summary())));

        cx.say(&format!("{OUTPUT}, its first and last records:"));
        for offset in shown_offsets(self.records as i64) {
            for record in peek::run(TopicPartition::new(OUTPUT, 0), offset..offset + 1, &job).await? {
                cx.say(&format!("   offset {:>12}  {}", record.offset, record.value));
            }
        }
        let shown = cx.finish(&next_steps(&broker.bootstrap(), self.keep), &report(&merged, &verified));
        verified.verdict()?;
        shown?;
        if self.keep {
            cx.say("\nThe broker stays up. Ctrl-C ends it.");
            let _: Signal = cx.shutdown.wait().await;
        }
        Ok(())
    }

    async fn start_broker(&self) -> anyhow::Result<Broker> {
        let memory_bytes = self.records.saturating_mul(BROKER_BYTES_PER_RECORD).max(BROKER_BYTES_MIN) as usize;
        let config = BrokerConfig { nodes: NODES, memory_bytes, ..BrokerConfig::default() };
        Broker::start(config).await.context("start the embedded broker")
    }

    fn generate(&self) -> IntsSettings {
        IntsSettings {
            topic: INPUT.to_owned(),
            partitions: Some(PARTITIONS),
            replication_factor: None,
            records: self.records,
            range: 1..=10,
            seed: self.seed,
            skew: None,
            batch_bytes: generate::BATCH_BYTES_DEFAULT,
            codec: Codec::None,
            ledger: None,
        }
    }

    fn merge(&self, keys: &KeyPlan) -> MergeSettings {
        MergeSettings {
            from: vec![INPUT.to_owned()],
            to: OUTPUT.to_owned(),
            keys: keys.clone(),
            memory_bytes: self.memory,
            threads: None,
            strategy: Strategy::Merge,
            client: Client::Kmerge,
            delivery: Delivery::default(),
            progressing: Progressing::default(),
            allow: Allow::default(),
            compression: OutputCodec::None,
            batch_bytes: BATCH_BYTES,
            start: None,
            end: None,
            append: false,
        }
    }

    fn verify(&self, keys: &KeyPlan, merged: &MergeReport) -> anyhow::Result<VerifySettings> {
        Ok(VerifySettings {
            from: vec![INPUT.to_owned()],
            to: OUTPUT.to_owned(),
            keys: keys.clone(),
            ignore_timestamp: false,
            start: None,
            end: Some(merged.ends.parse()?),
            output_start: Some(merged.output_start),
            output_end: None,
            memory_bytes: self.memory,
        })
    }
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n   ")
}

/// The first and the last few offsets of an output that starts at 0.
fn shown_offsets(records: i64) -> impl Iterator<Item = i64> {
    (0..SHOWN.min(records)).chain((records - SHOWN).max(SHOWN)..records)
}

fn report(merged: &MergeReport, verified: &VerifyReport) -> serde_json::Value {
    serde_json::json!({ "merge": merged.to_json(), "verify": verified.to_json() })
}

fn next_steps(brokers: &str, kept: bool) -> String {
    let (brokers, keep) = match kept {
        true => (brokers, None),
        false => ("HOST:9092", Some(("kmerge demo --keep".to_owned(), "the same, and the broker stays up"))),
    };
    let steps = [
        (format!("kmerge check {INPUT} -b {brokers}"), "is a topic sorted? where not?"),
        (format!("kmerge merge --from {INPUT} --to NEW -b {brokers}"), "your own merge"),
        ("kmerge merge --help".to_owned(), "keys from JSON, headers, timestamps; order, ranges, memory"),
    ];
    let mut text = "\nWhat to try next:".to_owned();
    for (command, what) in keep.into_iter().chain(steps) {
        text.push_str(&format!("\n   {command:<56}  {what}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_shown_once_and_a_long_one_from_both_ends() {
        let shown = |records| shown_offsets(records).collect::<Vec<_>>();
        assert_eq!(shown(3), [0, 1, 2]);
        assert_eq!(shown(7), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(shown(100), [0, 1, 2, 3, 4, 95, 96, 97, 98, 99]);
        assert_eq!(shown(0), [0; 0]);
    }
}
