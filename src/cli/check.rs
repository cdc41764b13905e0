//! `kmerge check`: is it sorted?

use super::context::Context;
use super::order::OrderArgs;
use clap::Args;
use kmerge::base::ends::Bound;
use kmerge::base::units::parse_size;
use kmerge::jobs::check::{self, CheckSettings};

const EXAMPLES: &str = "\
Examples:
  kmerge check data-input
      is each partition sorted by its values as integers?
  kmerge check orders --key value:json:/at:time --order desc
  kmerge check data-input --partition 3 --start 1000000 --output json

It reads every partition once, several at a time inside --memory, and tells the first inversion of each with both offsets
and keys. Exit status 4 if there is one, or if a key cannot be read.";

/// Say whether each partition of a topic is sorted by a key, and where it is not.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CheckArgs {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,

    /// These partitions only, separated by commas; all, if absent.
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    partition: Vec<i32>,

    #[command(flatten)]
    order: OrderArgs,

    /// Where to start: an offset, earliest, @TIME, or TOPIC:PARTITION=OFFSET,...
    #[arg(long, value_name = "PLACE")]
    start: Option<Bound>,

    /// Where to end, the same forms; the ends now, if absent.
    #[arg(long, value_name = "PLACE")]
    end: Option<Bound>,

    /// How much memory reading may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,
}

impl CheckArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = CheckSettings {
            topic: self.topic,
            partitions: self.partition,
            keys: self.order.plan()?,
            start: self.start,
            end: self.end,
            memory_bytes: self.memory,
        };
        let job = cx.job()?;
        let shown = cx.show_progress();
        let checked = check::run(&settings, &job).await;
        drop(shown);
        let report = checked?;
        cx.finish(&report.summary(), &report.to_json())?;
        Ok(report.verdict()?)
    }
}
