//! `kmerge torture`: is the merge delivered exactly once on this cluster, whatever is killed?

use super::context::Context;
use anyhow::Context as _;
use clap::Args;
use kmerge::base::units::parse_duration;
use kmerge::jobs::torture::{self, Halt, TortureSettings, VARIABLE};
use kmerge::observe::phase::Phases;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  kmerge torture
      20 kills of a merge of 2,000,000 records, on the cluster of KMERGE_BROKERS
  kmerge torture --kills 200 --records 20000000 --partitions 32 --output json
  kmerge torture --seed 42 --keep
      the same records and kills as another time; the topics stay for a look

What it does: makes topics of its own (kmerge-torture-...-in, -out, -jobs), fills the first with sorted integers, and merges \
them with --delivery exactly-once in a process of its own. That is killed (SIGKILL) again and again, and started again: at \
random moments, while fetching, while producing, before the job record, between job record and EndTxn, just after EndTxn. With \
--pairs some of the kills come while two instances run: the later one takes over, the earlier one must end with status 5; half \
of the earlier ones are stopped meanwhile (SIGSTOP) and woken afterwards, and must not have changed anything. In the end the \
merge runs undisturbed, while an earlier instance stands still, and the output is verified record by record. A merge that is \
complete before all kills are done is verified, and the rest is done to another one.

What to know:
  - No other topic is touched. The topics are deleted at the end, after Ctrl-C as well; what cannot be deleted is named.
  - The merge is slowed down, by small batches and little memory: this is no benchmark.
  - kills counts those that happened; resumes are all starts but the first, resumes_after_first_commit those that found a \
    commit and went on behind it. Exit status 4 if an output is not what it should be, 1 if a merge did what it must not.";

/// Prove exactly once on your own cluster: kill a merge again and again, and verify what it wrote.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TortureArgs {
    /// How often the merge is killed.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100_000))]
    kills: u32,

    /// How many of these kills come while a second instance is there; 0 for none.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pairs: u32,

    /// Records in total.
    #[arg(long, value_name = "COUNT", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Input partitions.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    partitions: u32,

    /// Replicas of the topics; the cluster's default, if absent.
    #[arg(long, value_name = "COUNT")]
    replication_factor: Option<i16>,

    /// How long the merge's transactions stay open.
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_duration)]
    commit_interval: Duration,

    /// The same seed, the same records and kills; drawn anew and told, if absent.
    #[arg(long, value_name = "INT")]
    seed: Option<u32>,

    /// Leave the topics there.
    #[arg(long)]
    keep: bool,
}

impl TortureArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = TortureSettings {
            program: std::env::current_exe().context("find the program itself")?,
            records: self.records,
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            kills: self.kills,
            pairs: self.pairs,
            commit_interval: self.commit_interval.max(Duration::from_millis(1)),
            seed: self.seed.unwrap_or_else(rand::random).into(),
            keep: self.keep,
        };
        let report = torture::run(&settings, &cx.job()?).await?;
        let shown = cx.finish(&report.summary(), &report.to_json());
        // What was found counts, also where nobody reads the report.
        report.verdict()?;
        shown
    }
}

/// What halts the merge of this job, if a torture has started it: see [`Halt`].
pub fn phases(job: Option<&str>) -> Phases {
    let said = std::env::var(VARIABLE).ok();
    let halt = job.zip(said).and_then(|(job, said)| Halt::meant_for(job, &said));
    halt.map(Halt::phases).unwrap_or_default()
}
