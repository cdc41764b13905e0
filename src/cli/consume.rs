//! `kmerge consume`: records out, as text.

use super::context::Context;
use super::exit::UsageError;
use super::membership::MembershipArgs;
use super::metrics::MetricsArgs;
use super::order::OrderArgs;
use super::output::{self, ClosedPipe};
use anyhow::Context as _;
use clap::Args;
use kmerge::base::clock::now_ms;
use kmerge::base::from_to::{FromTo, Spot};
use kmerge::base::units::{parse_duration, parse_size};
use kmerge::formats::template::Template;
use kmerge::jobs::consume::{self, Blocks, ConsumeSettings, Format, Ordered, Stopped};
use kmerge::keys::Filter;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  kmerge consume orders
      every value there is on a line of its own, then what is written next, until Ctrl-C
  kmerge consume orders -e -J | jq .payload.amount
      what is there now, as JSON, and no more
  kmerge consume orders -o end -f '%t/%p@%o %{ts:rfc3339} %k: %s\\n'
  kmerge consume orders,returns -p 0,3-7 -o -100 -c 500
      from the last 100 offsets of each of these partitions on, 500 records in all
  kmerge consume orders -o @-2h:-1h --where 'value:json:/status=paid' --where 'header:source!=test'
  kmerge consume orders --ordered --key value:json:/at:time -e
      the records of all partitions in one order; without -e as they are written
  kmerge consume orders -g billing --reset earliest -J >> orders.jsonl
      a share of the partitions, as a member of the group billing; start it twice and they share

Where it stops: like kcat and rpk, it begins at the first record there is and follows what is written until it is
stopped. -e stops where the partitions end at the start, an end (--end, -o A:B, -c) once that is reached. Why it
stopped is said on stderr.

Places (--start, --end): earliest, latest and their other names; N; -N, before the end of each partition; +N;
A:B, A:, :B; @TIME, @A:B, s@TIME, e@TIME with RFC 3339, a day, milliseconds since 1970 or -2h from now;
TOPIC:PARTITION=OFFSET,... An end is the first thing that is not read. What the log does not hold any more is
refused, never jumped over; a time behind the last record is the end as it is now.

Formats (-f): %s value, %S its length, %k key, %K its length, %T timestamp, %h headers, %t topic, %p partition,
%o offset, %%; \\n \\t \\r \\0 \\\\ \\xNN; and by name %{ts:rfc3339} %{ts:s} %{value:hex} %{value:base64}
%{value:json} %{value:len} (key likewise), %{header:NAME}, %{headers:json}, %{headers:count}. No line break is
added. -J writes kcat's JSON envelope, one object a line, which produce -J reads back without loss: a value is
nested where it is a JSON object or array, else a string, null for a tombstone, base64 (and says so) where it is
no text.

Conditions (--where), of which all must hold: a source of the key language alone (it is there and not null), with
! before it (it is not), or compared: = and != with a text, *= contains it, and with a type < <= > >= as well:
value:json:/n:int>=10, timestamp>=2026-01-01. != is the opposite of =, so it holds where there is nothing, too.
What cannot be read as its type is not shown, and counted.

Groups (--group): the partitions are shared with the group's other members, also those of other clients, and
reading begins where the group stands. A record is committed once its text has been written and flushed (every
second, and before a partition goes to another member): whatever is killed, no record is left out, and one that
was written and not committed is written again. Where the group has no offset, or one that the log does not hold
any more, it ends with status 4 unless --reset says where to begin. A partition that is added to a topic while a
member is in the group begins at its start. -e stops once what is given to this member is read to where it ended
then. A member with --group-instance-id does not leave when it ends: its partitions wait for it until its session
of 45 s is over.

What to know:
  - Only committed records are shown. With -e, and for an end that is latest, that is the last stable offset at
    the start: what lies behind it in transactions that are still open is not waited for, and the offsets it
    takes are told. Otherwise a transaction holds its partition up until it ends.
  - Within a partition the order is that of the offsets; between partitions there is none, except with --ordered:
    by key, then topic, partition, offset, as a merge writes. Each partition must be sorted by the key; one that
    is not ends it with status 4. Followed, a record is shown once no other partition can still hold a smaller
    one: a quiet partition holds up all. --idle-timeout passes one over that its leader has called quiet for so
    long. What it sends later, where that is smaller than what was shown before, is shown at once: the order is
    broken there, which is said and counted.
  - Partitions that are added to a topic are found within a few seconds and read from their start, as long as all
    of them are followed. --ordered waits for them as well from then on; what they held that is smaller than what
    was shown before is shown at once, said and counted; records of equal keys come after those of the others.
  - On a terminal control characters in records are shown as escapes (\\x1b); --raw sends them through.
  - stdout is the records' alone: with --output json the report is one JSON object on stderr.";

/// Read records and show them as text.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, allow_negative_numbers = true)]
pub struct ConsumeArgs {
    /// The topics, separated by commas.
    #[arg(value_name = "TOPIC", value_delimiter = ',', required_unless_present = "topic")]
    topics: Vec<String>,

    /// The topics again, as kcat has it.
    #[arg(short, long, value_name = "TOPIC", value_delimiter = ',', conflicts_with = "topics")]
    topic: Vec<String>,

    /// These partitions of each topic only: 0,3-7.
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', value_parser = parse_partitions)]
    partition: Vec<Partitions>,

    /// Where to start, or from where to where; earliest, if absent. Places are described below.
    #[arg(short = 'o', long, visible_alias = "offset", value_name = "PLACE", allow_hyphen_values = true)]
    start: Vec<FromTo>,

    /// Where to stop.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    end: Option<Spot>,

    /// Stop where the partitions end at the start.
    #[arg(short, long)]
    exit: bool,

    /// Read on at the end, until stopped: what is done unless an end is given.
    #[arg(long, conflicts_with_all = ["exit", "end"])]
    follow: bool,

    /// Stop when so many records are shown.
    #[arg(
        short,
        long,
        visible_short_alias = 'n',
        visible_alias = "num",
        alias = "max-messages",
        value_name = "COUNT",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    count: Option<u64>,

    /// How a record is written, in kcat's tokens and more, described below.
    #[arg(short, long, value_name = "FORMAT", default_value = "%s\\n", value_parser = parse_template)]
    format: Template,

    /// Write each record as one JSON object on a line.
    #[arg(short = 'J', long, conflicts_with = "format")]
    json: bool,

    /// What stands for a key or a value that is null, NULL if nothing is said; nothing, if absent.
    #[arg(short = 'Z', long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "NULL")]
    null: Option<String>,

    /// Send control characters to a terminal as they are.
    #[arg(long)]
    raw: bool,

    /// Show only records that fulfil this, and every other one given: key=K, header:NAME=V, value:json:/POINTER=V, ...
    #[arg(long = "where", visible_alias = "filter", value_name = "CONDITION")]
    conditions: Vec<String>,

    /// Show the records of all partitions in one order, that of --key.
    #[arg(long)]
    ordered: bool,

    #[command(flatten)]
    order: OrderArgs,

    #[command(flatten)]
    membership: MembershipArgs,

    /// With --ordered, followed: do not wait any more for a partition that has been quiet for so long.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "ordered", conflicts_with = "exit")]
    idle_timeout: Option<Duration>,

    /// How much memory reading and printing may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

/// More partitions than that no cluster gives a topic; a range is spelled out.
const PARTITIONS_MAX: i32 = 1 << 20;

type Partitions = std::ops::RangeInclusive<i32>;

fn parse_partitions(text: &str) -> Result<Partitions, String> {
    let number = |text: &str| {
        let index = text.trim().parse().ok().filter(|index| (0..PARTITIONS_MAX).contains(index));
        index.ok_or_else(|| "write partitions as 0,3-7, counted from 0".to_owned())
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok(first..=last) } else { Err("a range begins with its smaller end, as in 3-7".to_owned()) }
}

fn parse_template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|error| error.to_string())
}

impl ConsumeArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = self.checked()?;
        let job = cx.job()?;
        let bounded = settings.exit || settings.reach.to.is_some();
        let (blocks, writer) = start_writing();
        // A bar would stand between the records.
        let shown = (bounded && !io::stdout().is_terminal()).then(|| cx.show_progress());
        let consumed = consume_until_closed(&settings, blocks, &job).await;
        drop(shown);
        let Some((report, ended)) = consumed else { return Err(ClosedPipe.into()) };
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (written, report.stopped) {
            (_, Stopped::Signal(_)) => {}
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => return Err(ClosedPipe.into()),
            (written, Stopped::Closed) => written.context("write the records")?,
            _ => {}
        }
        // What was never begun has nothing to tell but its error.
        if ended.is_ok() || !report.partitions.is_empty() {
            output::finish_beside_data(&cx.global, &report.summary(), &report.to_json());
        }
        Ok(ended?)
    }

    fn checked(self) -> anyhow::Result<ConsumeSettings> {
        let usage = |message: String| anyhow::Error::from(UsageError::new(message));
        let mut reach = FromTo { from: None, to: self.end };
        for given in self.start {
            reach = reach.and(given).map_err(|message| usage(format!("--start: {message}")))?;
        }
        if let (Some(Spot::Offset(from)), Some(Spot::Offset(to))) = (&reach.from, &reach.to)
            && from > to
        {
            return Err(usage(format!("the start, offset {from}, lies behind the end, offset {to}")));
        }
        if self.follow && reach.to.is_some() {
            return Err(usage("--follow reads on for ever, and --start says where to stop".to_owned()));
        }
        let ordered = match self.ordered {
            true => Some(Ordered { keys: self.order.plan()?, idle_timeout: self.idle_timeout }),
            false if self.order.keys_typed()?.is_some() || self.order.order_typed().is_some() => {
                return Err(usage("--key and --order say by what --ordered orders; add --ordered".to_owned()));
            }
            false => None,
        };
        let topics = if self.topics.is_empty() { self.topic } else { self.topics };
        let group = self.membership.options(&topics).map_err(usage)?;
        if group.is_some() {
            let place = reach.from.is_some() || reach.to.is_some();
            let clashes = [
                (
                    place,
                    "--start and --end say where to read, and so does the group; --reset is for where it has no offset",
                ),
                (!self.partition.is_empty(), "--partition names partitions, and the group gives them"),
                (ordered.is_some(), "--ordered needs all partitions, and the group gives a share of them"),
            ];
            if let Some((_, clash)) = clashes.iter().find(|(clashes, _)| *clashes) {
                return Err(usage(format!("with --group: {clash}")));
            }
        }
        let now_ms = now_ms();
        let visible = io::stdout().is_terminal() && !self.raw;
        let mut template = self.format.visible(visible);
        if let Some(null) = self.null {
            template = template.null_as(&null);
        }
        let mut partitions: Vec<i32> = self.partition.into_iter().flatten().collect();
        partitions.sort_unstable();
        partitions.dedup();
        Ok(ConsumeSettings {
            topics,
            partitions,
            reach,
            exit: self.exit,
            count: self.count,
            filter: Filter::parse(&self.conditions, now_ms).map_err(usage)?,
            format: if self.json { Format::Json { visible } } else { Format::Template(template) },
            ordered,
            group,
            memory_bytes: self.memory,
            now_ms,
        })
    }
}

/// How long leaving a group may hold up the end of a pipeline.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// Reads until there is a reason to stop; `None` where the reader of a pipe has gone while nothing was written.
async fn consume_until_closed(
    settings: &ConsumeSettings,
    blocks: Blocks,
    job: &kmerge::jobs::JobContext,
) -> Option<(consume::ConsumeReport, Result<(), kmerge::jobs::error::JobError>)> {
    let hang_up = blocks.hang_up();
    let mut run = std::pin::pin!(consume::run(settings, blocks, job));
    tokio::select! {
        biased;
        consumed = &mut run => Some(consumed),
        () = output::reader_gone() => match job.shutdown.requested() {
            // Ctrl-C ends a whole pipeline; that is the reason then, and it is told.
            Some(_) => Some(run.await),
            None if settings.group.is_some() => {
                // The others of the group need not wait for the session to end.
                hang_up.say();
                if tokio::time::timeout(LEAVES_WITHIN, run).await.is_err() {
                    tracing::debug!("the group could not be left in time");
                }
                None
            }
            None => None,
        },
    }
}

/// Blocks are written by a thread of their own, so that a slow reader holds up nothing but itself.
fn start_writing() -> (Blocks, std::thread::JoinHandle<io::Result<()>>) {
    let (blocks, out) = consume::blocks();
    let writer = std::thread::spawn(move || out.write_to(&mut output::unbuffered_stdout()?));
    (blocks, writer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_listed_and_spanned() {
        assert_eq!(parse_partitions("3"), Ok(3..=3));
        assert_eq!(parse_partitions("3-7"), Ok(3..=7));
        for wrong in ["", "a", "-1", "3-", "7-3", "0-2147483647", "1-2-3"] {
            assert!(parse_partitions(wrong).is_err(), "{wrong}");
        }
    }
}
