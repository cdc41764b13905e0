//! `kmerge verify`: the proof of an output.

use super::context::Context;
use super::order::OrderArgs;
use clap::{Args, ValueEnum};
use kmerge::base::ends::Bound;
use kmerge::base::units::parse_size;
use kmerge::jobs::verify::{self, VerifySettings};

const EXAMPLES: &str = "\
Examples:
  kmerge verify --from data-input --to data-output
  kmerge verify --from data-input --to data-output --end 'data-input:0=100,1=120' --output-start 0
      with the ends that the merge printed, so that what came in later does not count as missing
  kmerge verify --from a,b --to c --key value:json:/at:time --ignore timestamp --output json

It walks inputs and output in lockstep, in bounded memory, and compares key, value, headers and timestamp of every record.
The first difference is named: the output's offset, what is there, what should be. Then it reads on, and counts what is
missing and what is extra: exactly where the differences are few, otherwise a lower bound (exact: false). Exit status 4 on
any difference.";

/// Prove an output against its inputs, record by record.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The input topics, separated by commas, in the order they were merged in.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', required = true)]
    from: Vec<String>,

    /// The output topic.
    #[arg(long, value_name = "TOPIC", required = true)]
    to: String,

    #[command(flatten)]
    order: OrderArgs,

    /// What may differ.
    #[arg(long, value_enum, value_name = "FIELD")]
    ignore: Option<Ignored>,

    /// Where the inputs start: an offset, earliest, @TIME, or TOPIC:PARTITION=OFFSET,...
    #[arg(long, value_name = "PLACE")]
    start: Option<Bound>,

    /// Where the inputs end, the same forms; as merge prints it. The ends now, if absent.
    #[arg(long, value_name = "PLACE")]
    end: Option<Bound>,

    /// The first offset of the output that counts, as merge prints it; the first there is, if absent.
    #[arg(long, value_name = "OFFSET")]
    output_start: Option<i64>,

    /// The offset after the last of the output that counts; its end now, if absent.
    #[arg(long, value_name = "OFFSET")]
    output_end: Option<i64>,

    /// How much memory reading may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ignored {
    /// The records' timestamps.
    Timestamp,
}

impl VerifyArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = VerifySettings {
            from: self.from,
            to: self.to,
            keys: self.order.plan()?,
            ignore_timestamp: self.ignore == Some(Ignored::Timestamp),
            start: self.start,
            end: self.end,
            output_start: self.output_start,
            output_end: self.output_end,
            memory_bytes: self.memory,
        };
        let job = cx.job()?;
        let shown = cx.show_progress();
        let verified = verify::run(&settings, &job).await;
        drop(shown);
        let report = verified?;
        cx.finish(&report.summary(), &report.to_json())?;
        Ok(report.verdict()?)
    }
}
