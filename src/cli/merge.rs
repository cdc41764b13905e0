//! `kmerge merge`: the main job.

use super::context::Context;
use super::exit::UsageError;
use super::metrics::MetricsArgs;
use super::order::OrderArgs;
use clap::{Args, ValueEnum};
use kmerge::base::ends::Bound;
use kmerge::base::units::{parse_duration, parse_size};
use kmerge::jobs::JobContext;
use kmerge::jobs::check_job_name;
use kmerge::jobs::merge::{self, Allow, Client, Delivery, MergeSettings, OutputCodec, Progressing, Strategy};
use std::time::Duration;

/// More threads than this were never of use to one that finds the order.
const THREADS_MAX: i64 = 256;

const EXAMPLES: &str = "\
Examples:
  kmerge merge --from data-input --to data-output
      ten sorted partitions become one; the records are integers as text
  kmerge merge --from orders --to orders-by-time --key value:json:/at:time --key key:string
  kmerge merge --from a,b --to c --key timestamp --end @2026-01-01T00:00:00Z --dry-run
      what would be read and written, and the memory it takes
  kmerge merge --from data-input --to data-output --strategy count
      the inputs need not be sorted, if the records are nothing but their number

What it does: the partitions of the input topics (topics in the order given, partitions ascending) are read up to their ends \
at the start; records go out by key, records of equal keys by source and offset. Every input partition must be sorted by the \
key already; one that is not stops the merge (kmerge check finds the places).

What to know:
  - Key, value, headers and timestamp of every record arrive as they were. Where an input topic stamps records itself \
    (LogAppendTime), that is the timestamp which goes on.
  - Only committed records are merged. A transaction that is open below the end is waited for, for --timeout; then the merge \
    is refused and names the producer that holds it open.
  - --delivery exactly-once (the default): output and progress are committed together, in transactions. Killed at any \
    instant, the same command goes on where it was, and the output, read with read_committed, is what an uninterrupted run \
    would have written. The merge is a job: its name (--job, or merge:FROM:TO) is what its record is kept under, in the \
    compacted topic --jobs-topic on the output's cluster, and it is its transactional id as well: started twice, the later one \
    takes over and the earlier one ends with status 5. The ends of the inputs are those of the first start. What can go wrong:
    where the output is not as the job left it (deleted, truncated, somebody else wrote to it), or the inputs were created \
    anew, it stops and says what it found; it never begins again by itself (--restart does, on an empty output). Whoever reads \
    uncommitted records sees what was voided, too. It needs Kafka 3.6 or later.
  - --delivery idempotent: each batch is numbered, and the broker stores one that is sent twice once. What can go wrong: a \
    broker forgets a producer whose records are old (their timestamps decide: a day behind, by default) or when it restarts, \
    and then stores a repeat; kmerge looks for a batch in the log before it sends it again, and compares every acknowledged \
    offset, so a repeat stops the merge instead of passing unseen. A merge that was stopped begins again, on an empty output.
  - --delivery at-least-once: batches carry no number, one is on its way at a time. What can go wrong: a write whose answer was \
    lost may be in the log twice; the offsets show it, and stop the merge.
  - --threads: one thread finds the order and writes. Where the inputs' batches are compressed, or a key is a field of JSON, \
    taking records apart is most of the work, and the others do that ahead, each for its own partitions (-v names them). The \
    output holds the same records in the same order with any number. By default a processor is left to others (the broker, \
    where it runs on the same machine): as many threads as the other processors, 8 at most; and one where records are no work \
    to take apart. More help where the report says that the merge is bound by decoding, or by itself, and processors are idle: \
    handing over costs a tenth more of their time. With very little --memory the merge takes everything apart by itself.
  - --memory is what the merge may take for windows, keys and batches on their way; the program itself comes on top, 32 MiB at \
    most. A broker hands out whole batches: where those of an input do not fit beside each other, the merge stops and says how \
    much would do. Compressed batches are unfolded piece by piece, inside the same budget.
  - The output keeps the records' timestamps, and brokers delete by those: a topic whose retention would take records as old \
    as the input's, or as many, is refused (retention.ms=-1 keeps them; --allow-retention-loss lets them go). So are a \
    compacted topic, and one that stamps records itself (--allow-append-time).
  - The summary says what the merge was bound by: the broker, where the merge waited for it a quarter of its time or more, else \
    the merge itself. -v and the report (stage_seconds, bound_by) tell what each task worked and waited. How near it comes to what the \
    broker takes: kmerge perf.
  - --strategy count writes all records with one timestamp, the time the merge was planned.
  - --client rskafka does the same job on a client that shares no code with ours, as a second opinion: several times slower, \
    at-least-once, no transactions, no lz4 or zstd, no null header values; repeated headers collapse, and the process \
    peaks at up to one and a half times --memory plus 24 MiB.";

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

    /// How many threads merge: one finds the order and writes, the others take records apart, each its own partitions. If
    /// absent: one less than there are processors, 8 at most, where batches are compressed or a key is in JSON; else 1. More than
    /// there are processors gain nothing.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX))]
    threads: Option<u16>,

    /// merge: by a heap over the sources, for any records; count: how often each number occurs, for bare numbers in any order.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    strategy: StrategyArg,

    /// Which client fetches and writes: kmerge, our own; rskafka, a slower one that shares no code with it.
    #[arg(long, value_enum, default_value_t, value_name = "CLIENT")]
    client: ClientArg,

    /// exactly-once, the default: also when it is killed and started again; idempotent: the broker knows a repeated write and
    /// stores it once; at-least-once: a repeat is seen, and stops the merge. With rskafka only at-least-once.
    #[arg(long, value_enum, value_name = "PROMISE")]
    delivery: Option<DeliveryArg>,

    /// How the output's batches are compressed; keep: as the input's batch was from which their first record comes.
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

    /// Write to a topic that stamps records itself (LogAppendTime), although their own timestamps are lost then.
    #[arg(long)]
    allow_append_time: bool,

    /// Write to a topic whose retention deletes records as old as the input's, or as many.
    #[arg(long)]
    allow_retention_loss: bool,

    #[command(flatten)]
    progressing: ProgressingArgs,

    /// Only show the plan: sources, ranges, records, the least memory needed.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

/// How progress is kept; as typed, so that what does not belong to the delivery is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --delivery exactly-once")]
struct ProgressingArgs {
    /// The job's name, also its transactional id; merge:FROM:TO, if absent.
    #[arg(long, value_name = "NAME", value_parser = job_name)]
    job: Option<String>,

    /// The topic of the job records, on the output's cluster; made if it is not there. kmerge-jobs, if absent.
    #[arg(long, value_name = "TOPIC")]
    jobs_topic: Option<String>,

    /// Begin again, whatever the job record says; the output must be empty.
    #[arg(long, conflicts_with = "append")]
    restart: bool,

    /// A consumer group whose offsets follow the progress, for tools that show lag.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group: Option<String>,

    /// How long a transaction stays open: what a reader of committed records waits for, and what is done again after a
    /// kill. 1s, if absent; longer where commits take too much of the time.
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    commit_interval: Option<Duration>,

    /// After how long the cluster voids what a merge that was killed had left open, if nobody starts it again: readers of
    /// committed records wait for that. 60s, if absent.
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    transaction_timeout: Option<Duration>,
}

fn job_name(text: &str) -> Result<String, String> {
    check_job_name(text).map(|()| text.to_owned())
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|interval| match interval {
        Duration::ZERO => Err("a transaction stays open for 1ms at least".to_owned()),
        interval => Ok(interval),
    })
}

impl ProgressingArgs {
    /// The first of these options that was typed.
    fn typed(&self) -> Option<&'static str> {
        let typed = [
            (self.job.is_some(), "--job"),
            (self.jobs_topic.is_some(), "--jobs-topic"),
            (self.restart, "--restart"),
            (self.group.is_some(), "--group"),
            (self.commit_interval.is_some(), "--commit-interval"),
            (self.transaction_timeout.is_some(), "--transaction-timeout"),
        ];
        typed.into_iter().find_map(|(typed, name)| typed.then_some(name))
    }

    fn checked(self, delivery: Delivery) -> anyhow::Result<Progressing> {
        if let Some(name) = self.typed()
            && delivery != Delivery::ExactlyOnce
        {
            return Err(UsageError::new(format!(
                "{name} goes with --delivery exactly-once: with {} no progress is kept",
                delivery.name()
            ))
            .into());
        }
        let default = Progressing::default();
        Ok(Progressing {
            job: self.job,
            jobs_topic: self.jobs_topic.unwrap_or(default.jobs_topic),
            restart: self.restart,
            group: self.group,
            commit_interval: self.commit_interval.unwrap_or(default.commit_interval),
            transaction_timeout: self.transaction_timeout.unwrap_or(default.transaction_timeout),
        })
    }
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
    Lz4,
    Zstd,
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ClientArg {
    #[default]
    Kmerge,
    Rskafka,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeliveryArg {
    ExactlyOnce,
    Idempotent,
    AtLeastOnce,
}

impl MergeArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let dry_run = self.dry_run;
        let settings = self.checked()?;
        let phases = super::torture::phases(settings.progressing.job.as_deref());
        let job = JobContext { phases, ..cx.job()? };
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
        let delivery = match (self.delivery, self.client) {
            (Some(DeliveryArg::ExactlyOnce), _) | (None, ClientArg::Kmerge) => Delivery::ExactlyOnce,
            (Some(DeliveryArg::Idempotent), _) => Delivery::Idempotent,
            (Some(DeliveryArg::AtLeastOnce), _) | (None, ClientArg::Rskafka) => Delivery::AtLeastOnce,
        };
        let alone = self.strategy == StrategyArg::Count || self.client == ClientArg::Rskafka;
        if let Some(threads @ 2..) = self.threads
            && alone
        {
            return Err(UsageError::new(format!(
                "--threads {threads} goes with --strategy merge and our own client: counting and rskafka use no workers"
            ))
            .into());
        }
        Ok(MergeSettings {
            keys: self.order.plan()?,
            from: self.from,
            to: self.to,
            memory_bytes: self.memory,
            threads: self.threads.map(usize::from),
            strategy: match self.strategy {
                StrategyArg::Merge => Strategy::Merge,
                StrategyArg::Count => Strategy::Count,
            },
            compression: match self.compression {
                CodecArg::None => OutputCodec::None,
                CodecArg::Gzip => OutputCodec::Gzip,
                CodecArg::Snappy => OutputCodec::Snappy,
                CodecArg::Lz4 => OutputCodec::Lz4,
                CodecArg::Zstd => OutputCodec::Zstd,
                CodecArg::Keep => OutputCodec::Keep,
            },
            client: match self.client {
                ClientArg::Kmerge => Client::Kmerge,
                ClientArg::Rskafka => Client::Rskafka,
            },
            delivery,
            progressing: self.progressing.checked(delivery)?,
            allow: Allow { append_time: self.allow_append_time, retention_loss: self.allow_retention_loss },
            batch_bytes: self.batch_bytes,
            start: self.start,
            end: self.end,
            append: self.append,
        })
    }
}
