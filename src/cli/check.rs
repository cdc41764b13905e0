//! `kmerge check`: is a topic sorted by that key?

use super::context::Context;
use super::metrics::MetricsArgs;
use super::order::OrderArgs;
use super::part::PartArgs;
use clap::Args;
use kmerge::base::units::parse_size;
use kmerge::jobs::check::{self, CheckSettings};

const EXAMPLES: &str = "\
Examples:
  kmerge check data-input
  kmerge check orders --key value:json:/at:time --key key:string
  kmerge check orders --key timestamp --partition 3,4 --start @2026-01-01T00:00:00Z --output json

Each partition is read once, in bounded memory. An inversion is a record whose key is below that of the record before it in the \
same partition; the first one of each partition is shown with both offsets and keys. Exit status 0 if there is none, 4 if there \
is one or if a key cannot be read.";

/// Is a topic sorted by a key, partition by partition?
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CheckArgs {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,

    #[command(flatten)]
    order: OrderArgs,

    #[command(flatten)]
    part: PartArgs,

    /// How much memory reading may take; partitions are read at once as far as it goes.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

impl CheckArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = CheckSettings {
            keys: self.order.plan()?,
            topic: self.topic,
            partitions: self.part.partition,
            start: self.part.start,
            end: self.part.end,
            memory_bytes: self.memory,
        };
        let shown = cx.show_progress();
        let report = check::run(&settings, &cx.job()?).await?;
        drop(shown);
        let shown = cx.finish(&report.summary(), &report.to_json());
        // What was found counts, also where nobody reads the report.
        report.verdict()?;
        shown
    }
}
