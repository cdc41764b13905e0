//! `kmerge merge`: the main job.

use super::context::Context;
use clap::{Args, ValueEnum};
use kmerge::base::ends::Bound;
use kmerge::base::units::parse_size;
use kmerge::jobs::merge::{self, MergeSettings, OutputCodec, Strategy};
use kmerge::keys::{KeyPlan, Order};

const EXAMPLES: &str = "\
Examples:
  kmerge merge --from data-input --to data-output
      ten sorted partitions become one; the records are integers as text
  kmerge merge --from orders --to orders-by-time --key value:json:/at:time --key key:string
  kmerge merge --from a,b --to c --key timestamp --end @2026-01-01T00:00:00Z --dry-run
      what would be read and written, and the memory it takes
  kmerge merge --from data-input --to data-output --strategy count
      the inputs need not be sorted, if the records are nothing but their number

What it does: the partitions of the input topics (topics in the order given, partitions ascending) are read up to their ends
at the start; records go out by key, records of equal keys by source and offset. Every input partition must be sorted by the
key already; one that is not stops the merge (kmerge check finds the places).

What to know:
  - Delivery is at-least-once. rskafka, the client underneath, repeats a write that was throttled or whose answer was lost,
    without asking. kmerge compares the offsets that the broker acknowledges: a repeat shows as a gap, and stops the merge
    with both numbers. So a merge that ends with status 0 wrote every record once; kmerge verify proves it.
  - A merge that was stopped is started again on an empty output topic.
  - Key, value, headers and timestamp are kept, but: of headers of the same name in one record only the last one stays, and
    headers are sorted by name; where an input topic stamps records itself (LogAppendTime) the producer's time comes out.
    kmerge verify finds both.
  - Refused: inputs with transactions (markers cannot be read; an open one is refused before the start), inputs compressed
    with lz4 or zstd, headers whose value is null, logs that end in compacted-away records.
  - --memory pays for the records that are held, as the objects rskafka makes of them (some 130 bytes for a small integer).
    Decoding, sending and the allocator come on top: expect the process to peak at up to MEMORY_FACTOR times the budget plus
    20 MiB (measured; see peak_memory_bytes in the report).
  - The output keeps the records' timestamps. If they are old, retention of the output topic may delete it at once.
  - --strategy count writes all records with one timestamp, the time the merge was planned.";

/// Merge the sorted partitions of topics into one totally ordered partition.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct MergeArgs {
    /// The input topics, separated by commas; their order decides ties.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', required = true)]
    from: Vec<String>,

    /// The output topic: it must exist, with exactly one partition, and be empty (or see --append).
    #[arg(long, value_name = "TOPIC", required = true)]
    to: String,

    #[command(flatten)]
    order: OrderArgs,

    /// How much memory the records in flight may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    /// merge: by a heap over the sources, for any records; count: how often each number occurs, for bare numbers in any order.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    strategy: StrategyArg,

    /// How the output's batches are compressed.
    #[arg(long, value_enum, default_value_t, value_name = "CODEC")]
    compression: CodecArg,

    /// The size of a batch of the output; never above the topic's max.message.bytes.
    #[arg(long, value_name = "SIZE", default_value = "500KB", value_parser = parse_size)]
    batch_bytes: usize,

    /// Where to start: an offset, earliest, @TIME, or TOPIC:PARTITION=OFFSET,...
    #[arg(long, value_name = "PLACE")]
    start: Option<Bound>,

    /// Where to end, the same forms; the ends of the inputs now, if absent.
    #[arg(long, value_name = "PLACE")]
    end: Option<Bound>,

    /// Add to an output that is not empty; its last key must not be above the first one that is added.
    #[arg(long)]
    append: bool,

    /// Only show the plan: sources, ranges, records, the least memory needed.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum StrategyArg {
    #[default]
    Merge,
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum CodecArg {
    #[default]
    None,
    Gzip,
    Snappy,
}

/// What records are ordered by.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// What to order by: value, key, timestamp, header:NAME or value:json:/POINTER, and a type: int, decimal, be64, string,
    /// bytes or time. Repeat it for a composite key. value:int, if absent.
    #[arg(long, value_name = "SOURCE[:TYPE]")]
    key: Vec<String>,

    /// Which way the keys run; records of equal keys stay in the order of source and offset.
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    order: OrderArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum OrderArg {
    #[default]
    Asc,
    Desc,
}

impl OrderArgs {
    /// The keys and the order, checked.
    pub fn plan(&self) -> anyhow::Result<KeyPlan> {
        let order = match self.order {
            OrderArg::Asc => Order::Asc,
            OrderArg::Desc => Order::Desc,
        };
        KeyPlan::parse(&self.key, order).map_err(|message| super::exit::UsageError::new(message).into())
    }
}

impl MergeArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let dry_run = self.dry_run;
        let settings = self.checked()?;
        let job = cx.job()?;
        if dry_run {
            let plan = merge::plan(&settings, &job).await?;
            return cx.print(&plan.summary(&settings), &plan.to_json(&settings));
        }
        let shown = cx.show_progress();
        let merged = merge::run(&settings, &job).await;
        drop(shown);
        let report = merged?;
        cx.finish(&report.summary(), &report.to_json())
    }

    fn checked(self) -> anyhow::Result<MergeSettings> {
        Ok(MergeSettings {
            keys: self.order.plan()?,
            from: self.from,
            to: self.to,
            memory_bytes: self.memory,
            strategy: match self.strategy {
                StrategyArg::Merge => Strategy::Merge,
                StrategyArg::Count => Strategy::Count,
            },
            compression: match self.compression {
                CodecArg::None => OutputCodec::None,
                CodecArg::Gzip => OutputCodec::Gzip,
                CodecArg::Snappy => OutputCodec::Snappy,
            },
            batch_bytes: self.batch_bytes,
            start: self.start,
            end: self.end,
            append: self.append,
        })
    }
}
