//! The command line: one file per command, each from arguments as typed to the settings a job takes.
//!
//! clap, anyhow and indicatif stop here; the library knows none of them.

// What was typed for every command, and what it runs in.
pub mod codec;
pub mod context;
pub mod global;
mod ledger;
pub mod membership;
pub mod metrics;
mod nice;
pub mod order;

// How it ends and what it shows.
pub mod exit;
pub mod output;
mod part;
pub mod plot;
pub mod progress;
pub mod table;
pub mod whole;

// The commands, in the order of a first day.
pub mod demo;

pub mod merge;

pub mod check;

pub mod stats;

pub mod measure;

pub mod verify;

pub mod reconcile;

pub mod torture;

pub mod consume;

pub mod generate;

pub mod produce;

pub mod clean;

pub mod perf;

pub mod topic;

pub mod group;

pub mod monitor;

pub mod broker;
mod exec;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Merges the sorted partitions of a Kafka topic into one totally ordered partition.
#[derive(Debug, Parser)]
#[command(name = "kmerge", version, max_term_width = 120, arg_required_else_help = true, after_help = exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: global::Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take the tour: an embedded cluster, sample data, the merge, the proof. Needs nothing.
    Demo(demo::DemoArgs),
    /// Merge the sorted partitions of topics into one totally ordered partition.
    Merge(merge::MergeArgs),
    /// Say whether each partition of a topic is sorted by a key, and where it is not.
    Check(check::CheckArgs),
    /// Count records, words and different words of a topic, batch by batch, with rates and memory.
    Stats(stats::StatsArgs),
    /// Put the records of a topic in groups, and tell what their values come to: counts, sums, means, quantiles.
    Measure(measure::MeasureArgs),
    /// Prove an output against its inputs, record by record.
    Verify(verify::VerifyArgs),
    /// Compare a topic with what was written, with another topic, or with what a group has read, minute by minute.
    Reconcile(reconcile::ReconcileArgs),
    /// Prove exactly once on your own cluster: kill a merge again and again, and verify what it wrote.
    Torture(torture::TortureArgs),
    /// Read records and show them as text, as they come or in one total order.
    Consume(consume::ConsumeArgs),
    /// Make sample data: sorted partitions to merge, or records as a running system writes them.
    Generate(generate::GenerateArgs),
    /// Write files, or what comes through a pipe, to a topic.
    Produce(produce::ProduceArgs),
    /// Put the records of a topic right by rules, on their way to another topic, exactly once.
    Clean(Box<clean::CleanArgs>),
    /// Measure how near a merge comes to what the cluster takes, or what it makes of rates of records.
    Perf(perf::PerfArgs),
    /// Make, list, describe, change, move and delete topics.
    #[command(visible_alias = "topics")]
    Topic(topic::TopicArgs),
    /// List and describe consumer groups, show how far they are, set where they read on, delete them.
    #[command(visible_alias = "groups")]
    Group(group::GroupArgs),
    /// Watch a cluster: rates, lag, what holds readers back; on the terminal and for Prometheus.
    Monitor(monitor::MonitorArgs),
    /// Run an in-memory Kafka on this machine: to try things out, for tests, for a laptop.
    Broker(broker::BrokerArgs),
}

impl Command {
    /// Whether its report is a table, which CSV can hold. Said before anything is done, not when the work is finished.
    fn tells_a_table(&self) -> bool {
        match self {
            Self::Stats(_) | Self::Measure(_) | Self::Reconcile(_) | Self::Perf(_) | Self::Monitor(_) => true,
            Self::Topic(args) => args.tells_a_table(),
            Self::Broker(args) => args.tells_a_table(),
            Self::Group(args) => args.tells_a_table(),
            _ => false,
        }
    }

    /// Where the progress of a long command is served, as typed.
    fn metrics(&self) -> Option<&metrics::MetricsArgs> {
        match self {
            Self::Merge(args) => Some(&args.metrics),
            Self::Check(args) => Some(&args.metrics),
            Self::Stats(args) => Some(&args.metrics),
            Self::Measure(args) => Some(&args.metrics),
            Self::Verify(args) => Some(&args.metrics),
            Self::Consume(args) => Some(&args.metrics),
            Self::Generate(args) => Some(&args.metrics),
            Self::Produce(args) => Some(&args.metrics),
            Self::Clean(args) => Some(&args.metrics),
            Self::Perf(args) => Some(&args.metrics),
            _ => None,
        }
    }
}

/// Runs the one command that was typed.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    output::start_log(&cli.global);
    if cli.global.output == global::OutputForm::Csv && !cli.command.tells_a_table() {
        let why = "--output csv: this command's report is no table (those of stats, measure, perf, topic list, topic describe, group list, group lag and \
                   monitor are, for example); \
                   take --output json";
        return Err(exit::UsageError::new(why).into());
    }
    // Those that serve how far they are carry data.
    let carries_data = cli.command.metrics().is_some();
    if let Some(niceness) = nice::give_way(&cli.global.brokers(), carries_data, cli.global.nice) {
        tracing::debug!(niceness, "giving way to other processes (--nice)");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")?;
    let ended = runtime.block_on(async {
        let cx = context::Context::new(cli.global, nice::others_come_first())?;
        let _served = match cli.command.metrics() {
            Some(args) => args.serve(&cx).await?,
            None => None,
        };
        match cli.command {
            Command::Demo(args) => args.run(&cx).await,
            Command::Merge(args) => args.run(&cx).await,
            Command::Check(args) => args.run(&cx).await,
            Command::Stats(args) => args.run(&cx).await,
            Command::Measure(args) => args.run(&cx).await,
            Command::Verify(args) => args.run(&cx).await,
            Command::Reconcile(args) => args.run(&cx).await,
            Command::Torture(args) => args.run(&cx).await,
            Command::Consume(args) => args.run(&cx).await,
            Command::Generate(args) => args.run(&cx).await,
            Command::Produce(args) => args.run(&cx).await,
            Command::Clean(args) => args.run(&cx).await,
            Command::Perf(args) => args.run(&cx).await,
            Command::Topic(args) => args.run(&cx).await,
            Command::Group(args) => args.run(&cx).await,
            Command::Monitor(args) => args.run(&cx).await,
            Command::Broker(args) => args.run(&cx).await,
        }
    });
    // A name look-up that hangs in the system must not hold the end up.
    runtime.shutdown_background();
    ended
}
