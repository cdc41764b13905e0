//! `kmerge perf`: what a cluster takes, and how near a merge comes to it.

mod load;
mod merge;

use super::context::Context;
use super::exit::UsageError;
use super::metrics::MetricsArgs;
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  kmerge perf
      on the cluster of --brokers or KMERGE_BROKERS; without either, on a broker of its own in this process
  kmerge perf --shape ints10 --records 30000000
  kmerge perf --shape m118 --delivery idempotent --compression lz4 --rounds 9 --plot perf.svg
  kmerge perf --output json | jq .share
  kmerge perf load --rate 20000
      what the cluster makes of rates of records: see kmerge perf load --help

The wall is what the broker takes of a single partition when nobody has to make its batches. Each round measures, one after \
the other:
  - produce alone: the batches of a merge's output, as it wrote them (same records, times, offsets, compression, replicas, all \
    of them acknowledged), are there before the clock runs; also cut to half and to twice their size, each with one and with two \
    requests in flight. The best of these ways, by its median, is the wall.
  - fetch alone: the input, all partitions at once, batch by batch.
  - the merge, as kmerge merge does it, from its first look at the cluster to its last commit. Its output is verified record by \
    record each time, outside of what is timed; one that is wrong ends it with status 4.
Every other round runs backwards, and a merge that is not counted warms everything up. What is told is the median of the rounds, with the \
least and the most of them. OF-WALL is a part of the wall; bound by: whom the merges waited for, or merge, where that was less than a quarter of their time.

Shapes: ints10, values from 1 to 10, long runs of ties; dense, random values of 32 bits; disjoint, the same, each partition behind the \
one before it; skewed, the same, nine tenths of them in one partition; m118, a random key and 100 bytes (about 118 in the \
log); l1k, a random key and 1 KiB.

What to know:
  - No other topic is touched. Its own begin with kmerge-perf-, keep everything, and are deleted as they are done with, after Ctrl-C \
    and on errors as well; what cannot be deleted is named. Kafka frees their space about a minute later: until then each round \
    takes up to eight times the bytes of the records.
  - Processor time is that of this process while a merge runs. With a broker of its own that would be the broker's, too, as would \
    the memory: neither is told then, and machine and broker set the figures together.
  - Beside a broker on this machine everything that is measured gives way to it, produce alone as well (--nice).
  - Up to 256 MiB of batches are held while they are produced alone; of a larger output, pieces from all of it. So peak memory \
    is that of the first merge, before there were any.";

/// Measure how near a merge comes to what the cluster takes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PerfArgs {
    #[command(subcommand)]
    command: Option<PerfCommand>,

    #[command(flatten)]
    merge: merge::PerfMergeArgs,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

#[derive(Debug, Subcommand)]
enum PerfCommand {
    /// Offer rates to topics of several numbers of partitions: throughput, latency and lag of each.
    Load(load::LoadArgs),
}

impl PerfArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        match (self.command, self.merge.typed()) {
            (None, _) => self.merge.run(cx).await,
            (Some(PerfCommand::Load(args)), None) => args.run(cx).await,
            (Some(PerfCommand::Load(_)), Some(name)) => Err(UsageError::new(format!(
                "{name} before load is an option of kmerge perf itself: put those of perf load behind the word load"
            ))
            .into()),
        }
    }
}
