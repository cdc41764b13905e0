//! The command line: one file per command, each from arguments as typed to the settings a job takes.
//!
//! clap, anyhow and indicatif stop here; the library knows none of them.

// What was typed for every command, and what it runs in.
pub mod context;
pub mod global;

// How it ends and what it shows.
pub mod exit;
pub mod output;
pub mod progress;

// The commands.
pub mod generate;
pub mod merge;

pub mod check;

pub mod verify;
pub mod topic;
pub mod broker;

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
    /// Merge the sorted partitions of topics into one totally ordered partition.
    Merge(merge::MergeArgs),
    /// Is a topic sorted by a key, partition by partition?
    Check(check::CheckArgs),
    /// Prove that an output is the merge of its inputs, record by record.
    Verify(verify::VerifyArgs),
    /// Make sample data: sorted partitions to merge.
    Generate(generate::GenerateArgs),
    /// Make, list, describe and delete topics.
    #[command(visible_alias = "topics")]
    Topic(topic::TopicArgs),
    /// Starts an in-memory Kafka broker on this machine: for trying things out, for tests, for a laptop
    Broker(broker::BrokerArgs),
}

/// Runs the one command that was typed.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    output::start_log(&cli.global);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")?;
    runtime.block_on(async {
        let cx = context::Context::new(cli.global)?;
        match cli.command {
            Command::Merge(args) => args.run(&cx).await,
            Command::Check(args) => args.run(&cx).await,
            Command::Verify(args) => args.run(&cx).await,
            Command::Generate(args) => args.run(&cx).await,
            Command::Topic(args) => args.run(&cx).await,
            Command::Broker(args) => args.run(&cx).await,
        }
    })
}
