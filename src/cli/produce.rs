//! `kmerge produce`: files and pipes into a topic.

use super::codec::CodecArg;
use super::context::Context;
use super::exit::UsageError;
use super::ledger::LedgerArgs;
use super::metrics::MetricsArgs;
use super::output;
use clap::{Args, ValueEnum};
use kmerge::base::units::{parse_duration, parse_size};
use kmerge::client::Acks;
use kmerge::jobs::generate::PARTITIONS_MAX;
use kmerge::jobs::pace::{Pace, parse_rate};
use kmerge::jobs::pour::{BATCH_BYTES_DEFAULT, PourSettings};
use kmerge::jobs::produce::{
    self, BatchLine, Format, Input, KeyFrom, Mode, ProduceReport, ProduceSettings, TimeFrom, parse_time,
};
use kmerge::keys::Pointer;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  tail -f app.log | kmerge produce log
      each line as it comes; the end of the pipe or Ctrl-C ends it
  kmerge produce orders orders.csv --key order_id --create 6
      each row a JSON object {\"column\": \"field\", ...}, in the partition of its key
  kmerge produce events events.json --key /user/id --timestamp-from /at
  kmerge consume -J orders | kmerge produce -J orders-copy --keep-partitions
      keys, values, headers and times as they were
  kmerge produce load rows.csv --repeat-to 1000000 --batch-records 10000
      the file's rows in order, again and again, with a line for each ten thousand
  kmerge produce load rows.csv --compare
      the first 20,000 rows one at a time, each awaited, then all of them as usual: a table
  kmerge produce day orders.csv --create 6 --ledger day.ledger && kmerge reconcile day --ledger day.ledger
      what was acknowledged, by partition and minute, and whether that is what the topic holds

What an input is: --format says it, or the end of the file's name (.csv and .tsv, .json), or else it is lines.
  lines     each line is a value, whatever its bytes; \\n or \\r\\n end it
  json      the elements of an array, or documents behind each other, also over many lines; each becomes a value on one line
  csv       a header, then rows; fields stay text, whatever they look like
  envelope  (-J) what consume -J writes: {\"key\", \"payload\", \"headers\", \"ts\", ...} on a line each
What cannot be read ends the run with file and line, status 4; what stands before it is written.

What to know:
  - Partitions are chosen as Kafka's Java producer does: by the key (murmur2), without one by turns, a batch each.
  - The producer is idempotent: what is repeated on the way is stored once, also while others write to the topic, as long as the \
    broker remembers the producer. It forgets it by the records' own times: with times more than a day old a batch whose answer is \
    lost may be stored twice, mostly where a broker restarts. --acks 1 waits \
    for the leader only and numbers nothing: a batch may be lost with its leader, or stored twice. --acks 0 asks for no answers: \
    what was handed to the network counts as sent, and nothing is known of it (unanswered). A broker that refuses a batch then can \
    only close the connection, which is told, ends with status 1, and says neither what was lost nor why.
  - A record that the topic does not take for its size fails alone. What a broker refuses for good, or does not answer in four \
    times --timeout, ends the run. It ends with what was sent, acknowledged and failed, and with status 1 if anything failed.
  - Ctrl-C ends the reading; what is in batches is sent and awaited (10 s at most), and it says how far it came.
  - --ledger notes what was acknowledged, by partition and minute of the record's time as it is stored, as JSON lines. Several \
    commands may append to one file. It is written every few seconds and at the end, also after Ctrl-C and failures; after kill -9 it lacks \
    the last few seconds. Where it cannot be written the run ends with status 1 and says how many acknowledged records it lacks.
  - --ledger-topic notes the same in a topic, which is made compacted where it is missing: one record for each run, topic, partition \
    and minute, whose newest value is a line of a ledger. Any number of commands may write there.
  - --memory bounds all of it; a record may take an eighth.";

/// Write files, or what comes through a pipe, to a topic.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ProduceArgs {
    /// The topic, and the files to read; - (or no file) is the standard input. With --topic all of these are files.
    #[arg(value_name = "TOPIC] [FILE", required_unless_present = "topic")]
    names: Vec<String>,

    /// The topic, as a flag.
    #[arg(short, long, visible_alias = "to", value_name = "TOPIC")]
    topic: Option<String>,

    /// What the inputs are; by the files' names, if absent.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,

    /// The inputs are envelopes, as consume -J writes them (--format envelope).
    #[arg(short = 'J', long = "json-envelope", conflicts_with = "format")]
    envelope: bool,

    /// What parts a CSV's fields: one character, or \t; a comma, if absent, a tab in a .tsv.
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    csv_delimiter: Option<u8>,

    /// The record's key: a CSV's column, or a JSON pointer such as /user/id.
    #[arg(short, long, value_name = "FIELD")]
    key: Option<String>,

    /// Lines are KEY, this, VALUE.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new(), conflicts_with = "key")]
    key_delimiter: Option<String>,

    /// The time of all records: RFC 3339 or milliseconds since 1970. When they are read, if absent; an envelope's own.
    #[arg(long, value_name = "TIME", value_parser = parse_fixed_time, allow_negative_numbers = true)]
    timestamp: Option<i64>,

    /// The record's time: a CSV's column, or a JSON pointer, of a time in either form.
    #[arg(long, value_name = "FIELD", conflicts_with = "timestamp")]
    timestamp_from: Option<String>,

    /// Write everything to this partition.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// Write each record to the partition that its envelope says.
    #[arg(long, conflicts_with = "partition")]
    keep_partitions: bool,

    /// A header for all records (repeatable); NAME alone is a null value.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<(String, Option<String>)>,

    /// Make the topic, if it is missing, with so many partitions and replicas of each.
    #[arg(long, value_name = "PARTITIONS[:REPLICATION]", value_parser = parse_create)]
    create: Option<(u32, Option<i16>)>,

    /// Write no more than so many records.
    #[arg(short = 'c', long, visible_alias = "count", value_name = "COUNT")]
    records: Option<u64>,

    /// Read the files again and again, in order, until so many records are sent.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["records", "compare"])]
    repeat_to: Option<u64>,

    /// Print a line for each so many records, with their words.
    #[arg(long, value_name = "COUNT")]
    batch_records: Option<u64>,

    /// So many records a second; as fast as it goes, if absent.
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate, allow_negative_numbers = true)]
    rate: Option<Pace>,

    /// Whether many records are on their way at once, or each is awaited before the next.
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    mode: ModeArg,

    /// Write the first records one at a time, then all of them as usual, and compare.
    #[arg(long)]
    compare: bool,

    /// How many of them are written one at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 20_000, requires = "compare")]
    compare_records: u64,

    /// When a record counts as stored: with all replicas in sync, or with the leader; with 0 nothing is answered.
    #[arg(long, value_enum, default_value_t, value_name = "ACKS")]
    acks: AcksArg,

    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t, value_name = "CODEC")]
    compression: CodecArg,

    /// The size that a batch stays below, before compression.
    #[arg(long, value_name = "SIZE", default_value_t = BATCH_BYTES_DEFAULT, value_parser = parse_size)]
    batch_bytes: usize,

    /// How long a record may wait for others to share its batch.
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    linger: Duration,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// How much memory reading and writing may take; the program itself comes on top.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Lines,
    Json,
    Csv,
    Envelope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ModeArg {
    #[default]
    Async,
    Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum AcksArg {
    #[default]
    #[value(alias = "-1")]
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("\\t", _) => Ok(b'\t'),
        (_, [b'"' | b'\n' | b'\r']) => Err("quotation marks and line ends have a meaning of their own".to_owned()),
        (_, [byte]) if byte.is_ascii() => Ok(*byte),
        _ => Err(format!("{text:?} is not one ASCII character (or \\t)")),
    }
}

fn parse_fixed_time(text: &str) -> Result<i64, String> {
    parse_time(text.as_bytes())
}

fn parse_header(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some(("", _)) => Err(format!("{text:?} has no name: write it like NAME=VALUE")),
        Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
        None => Ok((text.to_owned(), None)),
    }
}

fn parse_create(text: &str) -> Result<(u32, Option<i16>), String> {
    let wrong = || {
        format!("{text:?}: write it like 6 or 6:3 (partitions, replicas of each); at most {PARTITIONS_MAX} partitions")
    };
    let (partitions, replicas) = match text.split_once(':') {
        Some((partitions, replicas)) => (partitions, Some(replicas.parse().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let partitions = partitions.parse().ok().filter(|partitions| (1..=PARTITIONS_MAX).contains(partitions));
    match (partitions, replicas) {
        (Some(_), Some(..=0)) | (None, _) => Err(wrong()),
        (Some(partitions), replicas) => Ok((partitions, replicas)),
    }
}

impl ProduceArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = self.settings()?;
        let job = cx.job()?;
        let shown = cx.show_progress();
        let mut pipe = Ok(());
        let mut heard = |line: &BatchLine| {
            // Who does not want the lines any more may want the records all the same.
            if cx.global.output == super::global::OutputForm::Text && pipe.is_ok() {
                pipe = output::write_stdout(&format!("{}\n", line.show()));
            }
        };
        let made = produce::run(&settings, &job, &mut heard).await;
        drop(shown);
        let report = made?;
        let shown = tell(cx, &report);
        // What was written counts, also where nobody reads the report.
        report.verdict()?;
        pipe.and(shown)
    }

    fn settings(self) -> anyhow::Result<ProduceSettings> {
        let ledger = self.ledger.to();
        if self.acks == AcksArg::None {
            for (is_there, what) in [
                (ledger.is_some(), "a ledger holds what was acknowledged"),
                (self.compare, "--compare measures what is acknowledged"),
                (self.mode == ModeArg::Sync, "--mode sync waits for each acknowledgement"),
            ] {
                if is_there {
                    let why = format!("{what}, and with --acks 0 nothing is: use --acks 1 or all, or leave that out");
                    return Err(UsageError::new(why).into());
                }
            }
        }
        let mut names = self.names;
        let topic = match self.topic {
            Some(topic) => topic,
            // clap has seen to it that one is there.
            None => names.remove(0),
        };
        let inputs: Vec<Input> = match names.is_empty() {
            true => vec![Input::Stdin],
            false => names.iter().map(|name| Input::parse(name)).collect(),
        };
        let format = self.format.map(|format| match format {
            FormatArg::Lines => Format::Lines,
            FormatArg::Json => Format::Json,
            FormatArg::Csv => Format::Csv,
            FormatArg::Envelope => Format::Envelope,
        });
        let key = match (self.key, self.key_delimiter) {
            (Some(field), _) => Some(match pointer(&field)? {
                Some(pointer) => KeyFrom::Pointer(pointer),
                None => KeyFrom::Column(field),
            }),
            (None, delimiter) => delimiter.map(KeyFrom::Delimiter),
        };
        let time = match (self.timestamp, self.timestamp_from) {
            (Some(time), _) => Some(TimeFrom::Fixed(time)),
            (None, None) => None,
            (None, Some(field)) => Some(match pointer(&field)? {
                Some(pointer) => TimeFrom::Pointer(pointer),
                None => TimeFrom::Column(field),
            }),
        };
        Ok(ProduceSettings {
            topic,
            create: self.create,
            inputs,
            format: if self.envelope { Some(Format::Envelope) } else { format },
            csv_delimiter: self.csv_delimiter,
            key,
            time,
            partition: self.partition,
            keep_partitions: self.keep_partitions,
            headers: self.headers,
            repeat_to: self.repeat_to,
            records: self.records,
            pace: self.rate.unwrap_or(Pace::FREE),
            mode: match self.mode {
                ModeArg::Async => Mode::Async,
                ModeArg::Sync => Mode::Sync,
            },
            compare_records: self.compare.then_some(self.compare_records),
            batch_records: self.batch_records,
            ledger,
            memory_bytes: self.memory,
            pour: PourSettings {
                codec: self.compression.codec(),
                batch_bytes: self.batch_bytes,
                linger: self.linger,
                acks: match self.acks {
                    AcksArg::All => Acks::All,
                    AcksArg::Leader => Acks::Leader,
                    AcksArg::None => Acks::None,
                },
                ..PourSettings::default()
            },
        })
    }
}

/// A JSON pointer, if it begins as one does.
fn pointer(field: &str) -> anyhow::Result<Option<Pointer>> {
    match field.starts_with('/') {
        true => Ok(Some(Pointer::parse(field).map_err(UsageError::new)?)),
        false => Ok(None),
    }
}

/// The summary on stderr; on stdout the table, where two runs were compared, or the report.
fn tell(cx: &Context, report: &ProduceReport) -> anyhow::Result<()> {
    match report.table() {
        Some(table) => {
            cx.say(&report.summary());
            cx.print(&table, &report.to_json())
        }
        None => cx.finish(&report.summary(), &report.to_json()),
    }
}
