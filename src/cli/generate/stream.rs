//! `kmerge generate parity`, `logins` and `events`: records as a running system writes them.

use crate::cli::codec::CodecArg;
use crate::cli::context::Context;
use crate::cli::ledger::LedgerArgs;
use clap::{Args, ValueEnum};
use kmerge::base::time::parse_rfc3339;
use kmerge::base::units::{parse_duration, parse_share};
use kmerge::jobs::generate::events::EventsSettings;
use kmerge::jobs::generate::logins::LoginsSettings;
use kmerge::jobs::generate::parity::ParitySettings;
use kmerge::jobs::generate::stream::{self, Sort, StreamSettings};
use kmerge::jobs::generate::{PARTITIONS_MAX, defects::Defects};
use kmerge::jobs::pace::{Pace, parse_rate};
use kmerge::jobs::pour::PourSettings;
use std::time::Duration;

const PARITY_EXAMPLES: &str = "\
Examples:
  kmerge generate parity --to numbers --parity even --interval 1s
      0, 2, 4, ..., one a second, until Ctrl-C
  kmerge generate parity --to numbers --parity odd --rate 500 --records 10000
  kmerge generate parity --to numbers --parity odd --min 1 --max 1000000 --seed 7 --records 1000
      drawn from a range, not counted up

The value is the number in ASCII digits; there is no key. Several of these may write to one topic.";

const LOGINS_EXAMPLES: &str = "\
Examples:
  kmerge generate logins --to logins --interval 500ms
      one login every half second, until Ctrl-C
  kmerge generate logins --to logins --records 100000 --missing device_type=10% --broken 1%
      one in ten without a device type, one in a hundred cut off and so no JSON
  kmerge generate logins --to logins --records 1000 --seed 7 --start-time 2026-01-01T00:00:00Z
      the same records each time, times included

A login: {\"user_id\", \"app_version\", \"device_type\", \"ip\", \"locale\", \"device_id\", \"timestamp\"}, the timestamp in seconds since \
1970. A user keeps id, device and locale. The key is the user's id, also where the value lacks it.";

const EVENTS_EXAMPLES: &str = "\
Examples:
  kmerge generate events --to orders --rate 200
      events of orders, 200 a second, until Ctrl-C
  kmerge generate events --to orders --records 100000 --missing amount=2% --missing country=5% --broken 0.5%

An event: {\"event_id\", \"order_id\", \"type\", \"customer_id\", \"country\", \"currency\", \"amount\", \"items\", \"channel\", \
\"occurred_at\"}. An order is created, paid, shipped and delivered; some are cancelled or returned. The key is the order's id, so \
its events lie in one partition, in order.";

/// What all of them take.
#[derive(Debug, Args)]
struct StreamArgs {
    /// The topic; made if it is missing.
    #[arg(long, value_name = "TOPIC", required_unless_present = "topic")]
    to: Option<String>,

    /// The topic again, for short.
    #[arg(value_name = "TOPIC", conflicts_with = "to")]
    topic: Option<String>,

    /// How many; until Ctrl-C, if absent.
    #[arg(long, value_name = "COUNT")]
    records: Option<u64>,

    /// The time from one record to the next, such as 1s or 20ms.
    #[arg(long, value_name = "TIME", value_parser = parse_interval, conflicts_with = "rate")]
    interval: Option<Pace>,

    /// How many records a second; as fast as it goes, if neither this nor --interval is given.
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate, allow_negative_numbers = true)]
    rate: Option<Pace>,

    /// The time of the first record (RFC 3339), which the next ones follow at the pace, or a millisecond each without one; the
    /// time they are made, if absent.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start_time: Option<i64>,

    /// The same seed, the same records.
    #[arg(long, value_name = "INT", default_value_t = 1)]
    seed: u64,

    /// Partitions of a topic that has to be made.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=PARTITIONS_MAX as i64))]
    partitions: u32,

    /// Replicas of a topic that has to be made; the cluster's default, if absent.
    #[arg(long, value_name = "COUNT")]
    replication_factor: Option<i16>,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// How long a record may wait for others to share its batch.
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    linger: Duration,

    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t, value_name = "CODEC")]
    compression: CodecArg,
}

fn parse_interval(text: &str) -> Result<Pace, String> {
    parse_duration(text).and_then(Pace::interval)
}

fn parse_time(text: &str) -> Result<i64, String> {
    parse_rfc3339(text.as_bytes()).map(|time| time.epoch_ms).map_err(|error| format!("{text:?}: {error}"))
}

#[derive(Debug, Args)]
#[command(after_long_help = PARITY_EXAMPLES, allow_negative_numbers = true)]
pub struct ParityArgs {
    /// Which numbers.
    #[arg(long, value_enum, value_name = "PARITY")]
    parity: ParityArg,

    /// Draw the numbers from here on, instead of counting up from 0 or 1.
    #[arg(long, value_name = "INT", requires = "max")]
    min: Option<i64>,

    /// Draw the numbers up to here.
    #[arg(long, value_name = "INT", requires = "min")]
    max: Option<i64>,

    #[command(flatten)]
    stream: StreamArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ParityArg {
    Even,
    Odd,
}

#[derive(Debug, Args)]
#[command(after_long_help = LOGINS_EXAMPLES)]
pub struct LoginsArgs {
    /// How many users there are.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    users: u64,

    #[command(flatten)]
    defects: DefectArgs,

    #[command(flatten)]
    stream: StreamArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = EVENTS_EXAMPLES)]
pub struct EventsArgs {
    #[command(flatten)]
    defects: DefectArgs,

    #[command(flatten)]
    stream: StreamArgs,
}

/// What is to be wrong with some of the records.
#[derive(Debug, Args)]
struct DefectArgs {
    /// Leave a field out of this share of the records, such as device_type=10% (repeatable).
    #[arg(long, value_name = "FIELD=SHARE", value_parser = parse_missing)]
    missing: Vec<(String, f64)>,

    /// Cut this share of the records off somewhere, so that they are no JSON.
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    broken: f64,
}

impl DefectArgs {
    fn defects(self) -> Defects {
        Defects { missing: self.missing, broken: self.broken }
    }
}

fn parse_missing(text: &str) -> Result<(String, f64), String> {
    let (field, share) = text.split_once('=').ok_or_else(|| format!("{text:?}: write it like device_type=10%"))?;
    Ok((field.to_owned(), parse_share(share)?))
}

impl ParityArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let drawn_from = self.min.zip(self.max).map(|(min, max)| min..=max);
        let even = self.parity == ParityArg::Even;
        run(Sort::Parity(ParitySettings { even, drawn_from }), self.stream, cx).await
    }
}

impl LoginsArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        run(Sort::Logins(LoginsSettings { users: self.users, defects: self.defects.defects() }), self.stream, cx).await
    }
}

impl EventsArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        run(Sort::Events(EventsSettings { defects: self.defects.defects() }), self.stream, cx).await
    }
}

async fn run(sort: Sort, args: StreamArgs, cx: &Context) -> anyhow::Result<()> {
    let settings = StreamSettings {
        sort,
        topic: args.to.or(args.topic).unwrap_or_default(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        records: args.records,
        pace: args.interval.or(args.rate).unwrap_or(Pace::FREE),
        start_ms: args.start_time,
        seed: args.seed,
        ledger: args.ledger.to(),
        pour: PourSettings { codec: args.compression.codec(), linger: args.linger, ..PourSettings::default() },
    };
    let job = cx.job()?;
    let shown = cx.show_progress();
    let made = stream::run(&settings, &job).await;
    drop(shown);
    let report = made?;
    let shown = cx.finish(&report.summary(), &report.to_json());
    // What was written counts, also where nobody reads the report.
    report.verdict()?;
    shown
}
