//! `kmerge verify`: proves an output against its inputs.

use super::context::Context;
use super::metrics::MetricsArgs;
use super::order::OrderArgs;
use clap::{Args, ValueEnum};
use kmerge::base::ends::Bound;
use kmerge::base::units::parse_size;
use kmerge::jobs::JobContext;
use kmerge::jobs::merge::Progressing;
use kmerge::jobs::verify::{self, JobTyped, VerifySettings};

const EXAMPLES: &str = "\
Examples:
  kmerge verify --from data-input --to data-output
  kmerge verify --from data-input --to data-output --end data-input:0=100,1=120 --output-start 0
      against the ends that merge printed: what was produced since then plays no part
  kmerge verify --from a,b --to c --key timestamp --order desc --output json
  kmerge verify --job merge:data-input:data-output
      what a merge with --delivery exactly-once has done, by its record

Inputs and output are walked in lockstep, in bounded memory, comparing key, value, headers and timestamp. The first output \
offset that is wrong is shown, with what is there and what should be; then both sides are read to their ends and what is \
missing and what is extra is counted (exactly for few differences; \"at least\" for many). Give the same --from, --key and \
--order as the merge had; or its name, with --job: then inputs, ends, key, order and the output's start are those of the job's \
record, and nothing that is typed may contradict it. Exit status 0 if the output is what it should be, 4 if not.";

/// Prove that an output is the merge of its inputs, record by record.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The input topics, separated by commas, in the order the merge had them.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', required_unless_present = "job")]
    from: Vec<String>,

    /// The output topic, of one partition.
    #[arg(long, value_name = "TOPIC", required_unless_present = "job")]
    to: Option<String>,

    /// A merge with --delivery exactly-once that is complete: its record says what was merged into what.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    /// The topic of the job records; kmerge-jobs, if absent.
    #[arg(long, value_name = "TOPIC", requires = "job")]
    jobs_topic: Option<String>,

    #[command(flatten)]
    order: OrderArgs,

    /// What may differ between inputs and output.
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    ignore: Vec<Ignore>,

    /// Where the inputs start: an offset, earliest, @TIME, or TOPIC:PARTITION=OFFSET,...
    #[arg(long, value_name = "PLACE")]
    start: Option<Bound>,

    /// Where the inputs end, in the form that merge prints (or as --start); their ends now, if absent.
    #[arg(long, value_name = "PLACE")]
    end: Option<Bound>,

    /// The first offset of the output that counts; the first there is, if absent.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    output_start: Option<i64>,

    /// The offset after the last of the output; its end now, if absent.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    output_end: Option<i64>,

    /// How much memory reading may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ignore {
    /// Timestamps, where the output's topic sets its own.
    Timestamp,
}

impl VerifyArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let job = cx.job()?;
        let settings = self.settings(&job).await?;
        let shown = cx.show_progress();
        let report = verify::run(&settings, &job).await?;
        drop(shown);
        let shown = cx.finish(&report.summary(), &report.to_json());
        // What was found counts, also where nobody reads the report.
        report.verdict()?;
        shown
    }

    async fn settings(self, cx: &JobContext) -> anyhow::Result<VerifySettings> {
        let settings = VerifySettings {
            keys: self.order.plan()?,
            from: self.from,
            to: self.to.unwrap_or_default(),
            ignore_timestamp: self.ignore.contains(&Ignore::Timestamp),
            start: self.start,
            end: self.end,
            output_start: self.output_start,
            output_end: self.output_end,
            memory_bytes: self.memory,
        };
        let Some(name) = self.job else { return Ok(settings) };
        let typed = JobTyped { name, keys: self.order.keys_typed()?, order: self.order.order_typed() };
        let jobs_topic = self.jobs_topic.unwrap_or_else(|| Progressing::default().jobs_topic);
        Ok(verify::of_job(settings, &typed, &jobs_topic, cx).await?)
    }
}
