//! `kmerge generate ints`: sorted partitions to merge.

use crate::cli::codec::CodecArg;
use crate::cli::context::Context;
use crate::cli::ledger::LedgerArgs;
use clap::Args;
use kmerge::base::units::parse_size;
use kmerge::jobs::generate::{self, IntsSettings};

const EXAMPLES: &str = "\
Examples:
  kmerge generate ints --to data-input --records 1000000
      a topic of 10 partitions, made if it is missing, with 100,000 integers from 1 to 10 in each
  kmerge generate ints --to dense --records 10000000 --min 0 --max 4294967295 --seed 7
  kmerge generate ints --to skewed --partitions 4 --records 1000000 --skew 0.9
      nine of ten records in partition 0
  kmerge generate ints --to counted --ledger ints.ledger && kmerge reconcile counted --ledger ints.ledger
      what was acknowledged, by partition and minute, and whether that is what the topic holds

What comes out: values drawn evenly from --min to --max, ascending in each partition, each record a value in ASCII digits \
without key or headers, all with the time the command began. The same seed gives the same values in the same partitions, on \
every machine and in every version. A topic that holds records is refused: what is added would not be sorted with them. It is \
written by an idempotent producer: what is repeated on the way is stored once.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, allow_negative_numbers = true)]
pub struct IntsArgs {
    /// The topic; made if it is missing.
    #[arg(long, value_name = "TOPIC", required_unless_present = "topic")]
    to: Option<String>,

    /// The topic again, for short.
    #[arg(value_name = "TOPIC", conflicts_with = "to")]
    topic: Option<String>,

    /// Records in total.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    records: u64,

    /// Partitions of a topic that has to be made; 10, if absent.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<u32>,

    /// Replicas of a topic that has to be made; the cluster's default, if absent.
    #[arg(long, value_name = "COUNT")]
    replication_factor: Option<i16>,

    /// The smallest value.
    #[arg(long, value_name = "INT", default_value_t = 1)]
    min: i64,

    /// The largest value.
    #[arg(long, value_name = "INT", default_value_t = 10)]
    max: i64,

    /// The same seed, the same records.
    #[arg(long, value_name = "INT", default_value_t = 1)]
    seed: u64,

    /// The share of the records that partition 0 gets, 0 to 1; even, if absent.
    #[arg(long, value_name = "SHARE")]
    skew: Option<f64>,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// The size that a batch stays below, before compression.
    #[arg(long, value_name = "SIZE", default_value_t = generate::BATCH_BYTES_DEFAULT, value_parser = parse_size)]
    batch_bytes: usize,

    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t, value_name = "CODEC")]
    compression: CodecArg,
}

impl IntsArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let ints = self;
        let job = cx.job()?;
        let settings = IntsSettings {
            topic: ints.to.or(ints.topic).unwrap_or_default(),
            partitions: ints.partitions,
            replication_factor: ints.replication_factor,
            records: ints.records,
            range: ints.min..=ints.max,
            seed: ints.seed,
            skew: ints.skew,
            batch_bytes: ints.batch_bytes,
            codec: ints.compression.codec(),
            ledger: ints.ledger.to(),
        };
        let shown = cx.show_progress();
        let made = generate::run(&settings, &job).await;
        drop(shown);
        let report = made?;
        cx.finish(&report.summary(), &report.to_json())
    }
}
