//! `kmerge reconcile`: is what is there what was written, what another topic holds, what a group has read?

use super::context::Context;
use super::exit::UsageError;
use super::global::OutputForm;
use super::output::{write_json_with, write_pieces};
use super::part::PartArgs;
use clap::{ArgGroup, Args};
use kmerge::base::units::parse_size;
use kmerge::jobs::reconcile::{self, COLUMNS, Ledgers, ReconcileReport, ReconcileSettings, With};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  kmerge reconcile orders --ledger orders.ledger
      against what produce and generate noted with --ledger; several files are one: a.ledger,b.ledger
  kmerge reconcile clean-logins --ledger-topic ledgers
      against what clean noted in a topic, in the transactions of the records themselves
  kmerge reconcile logins --parquet logins/
      has every record become a row of the files? With --group, every one that the group has committed, which can be asked \
      while cleaners are at work. Where rules filter or refuse some, ask the ledger of clean:
  kmerge reconcile logins --parquet logins/ --ledger-topic ledgers
  kmerge reconcile orders-copy --against orders
  kmerge reconcile data-output --against data-input --ignore-partitions
      a topic with other partitions: minutes over all of them
  kmerge reconcile orders --group billing --end @2026-01-01T06:00:00Z
      has the group read all of it, and if not, which minutes are left?
  kmerge reconcile orders --ledger orders.ledger --output csv > differences.csv

Counted are records by partition and minute of their time as it is stored, in UTC, and the bytes of their keys and values. Only \
committed records count; markers, aborted records and holes left by compaction are none. Each minute that differs is a row. Exit \
status 0 if there is none, 4 if there is one, and also where nothing could be compared or the group is below the first offset.

What to know:
  - What retention (or kmerge topic, or anybody) has deleted cannot be compared: minutes below the log's start, wholly or partly, \
    are counted as expired, not as missing. A ledger tells the offsets, so there it is known exactly; of another topic it goes by the \
    minute of the first record that is still there, partition by partition, which holds where records are in the order of their times.
  - Compaction deletes what a later record replaces, so a compacted topic lacks it.
  - A ledger is read first, then the topic up to its end at that time. Whoever writes meanwhile may be in the one and not yet in the \
    other: reconcile when the writers are done, or up to an --end. With --ledger, minutes that --start or --end run through \
    are not compared. With --against no @TIME bounds what is compared: where records are out of the order of their times, those of one \
    minute lie on both sides of it, in each topic others.
  - A line of a ledger: {\"topic\",\"partition\",\"minute\",\"records\",\"bytes\",\"first_offset\",\"last_offset\"}; bytes and offsets may be \
    left out. Lines add up. A line that a crash has torn is named and passed over. In a topic the newest line of each key counts, \
    and what is none is named by its offset.
  - With --parquet TOPIC is the one that was read, since rows have its partitions, offsets and times (_partition, _offset, _timestamp). A \
    file that is not whole, or does not hold what its name says, is named and counts for nothing, and nothing is equal then. \
    Just before a commit there may be a file whose records are not committed: reconcile when the cleaners are done, up to an --end, or \
    with --group. A ledger of clean says with \"files_of\" which rows went to the files of which group. \
    Two files that say they hold the same offsets end it: a record is in one. The files are to be ones that you trust: what \
    they say of themselves decides how much memory it takes to unfold them.
  - --ledger FILE of a cleaner that is at work is written just after each commit, so what it committed at this moment may show as \
    extra: ask again, or up to an --end.
  - Half of --memory is for reading, half for minutes: 128 bytes for each of each partition (at least six of them for one \
    that a ledger names), so 262,144 in 64MiB; with --against up \
    to twice that while both topics are counted. While a ledger's topic is read each key of it takes as much as two minutes. One more is refused.";

/// Compare a topic with what was written, with another topic, or with what a group has read, minute by minute.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    group(ArgGroup::new("with").args(["ledger", "ledger_topic", "parquet", "against", "group"]).required(true).multiple(true)),
    mut_arg("start", |arg| arg.help(
        "Where to start: an offset, earliest, @TIME (not with --against), or TOPIC:PARTITION=OFFSET,... (with --against: of both \
         topics)"
    ))
)]
pub struct ReconcileArgs {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,

    /// What was written, as produce --ledger notes it.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    ledger: Vec<PathBuf>,

    /// The same in a topic, as produce --ledger-topic notes it.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
    ledger_topic: Vec<String>,

    /// The files that clean --parquet has written there should hold a row of each record of the topic; with --ledger or
    /// --ledger-topic, of each that the ledger of clean says went there.
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,

    /// The topic should hold what this one holds.
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["ledger", "ledger_topic", "parquet", "group"])]
    against: Option<String>,

    /// This group should have read what the topic holds: records below its committed offsets. With --parquet: only these are
    /// compared.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    /// With --against: compare minutes over all partitions.
    #[arg(long)]
    ignore_partitions: bool,

    #[command(flatten)]
    part: PartArgs,

    /// How much memory reading and the minutes may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,
}

impl ReconcileArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = self.settings()?;
        let job = cx.job()?;
        let shown = cx.show_progress();
        let report = reconcile::run(&settings, &job).await;
        drop(shown);
        let report = report?;
        cx.say(&report.summary());
        let shown = print(&report, cx.global.output);
        // What was found counts, also where nobody reads the report.
        report.verdict()?;
        shown
    }

    fn settings(self) -> anyhow::Result<ReconcileSettings> {
        // clap does not ask for what cannot stand beside what is there.
        if self.ignore_partitions && self.against.is_none() {
            return Err(UsageError::new(
                "--ignore-partitions goes with --against: a ledger, files and a group tell partitions",
            )
            .into());
        }
        if self.group.is_some() && self.parquet.is_none() && (!self.ledger.is_empty() || !self.ledger_topic.is_empty())
        {
            return Err(UsageError::new(
                "--group cannot be used with --ledger or --ledger-topic, unless there is --parquet",
            )
            .into());
        }
        let ledgers = Ledgers { files: self.ledger, topics: self.ledger_topic };
        let with = match (self.against, self.group) {
            (Some(name), _) if name == self.topic => {
                return Err(UsageError::new(format!("--against {name}: that is the topic itself")).into());
            }
            (Some(name), _) => With::Topic { name, ignore_partitions: self.ignore_partitions },
            (None, committed_by) if self.parquet.is_some() => With::Files {
                folder: self.parquet.unwrap_or_default(),
                ledgers: (ledgers != Ledgers::default()).then_some(ledgers),
                committed_by,
            },
            (None, Some(name)) => With::Group(name),
            // clap has seen to it that one is there.
            (None, None) => With::Ledgers(ledgers),
        };
        Ok(ReconcileSettings {
            topic: self.topic,
            with,
            partitions: self.part.partition,
            start: self.part.start,
            end: self.part.end,
            memory_bytes: self.memory,
        })
    }
}

/// Shows the report row by row: there may be as many as the memory holds minutes.
fn print(report: &ReconcileReport, form: OutputForm) -> anyhow::Result<()> {
    let heads = COLUMNS.map(str::to_owned).to_vec();
    match form {
        OutputForm::Text => {
            let rows = || std::iter::once(heads.clone()).chain(report.rows()).chain([report.total_row()]);
            let mut widths = [0; COLUMNS.len()];
            for row in rows() {
                widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.len()));
            }
            let line = |cells: Vec<String>| {
                let columns = cells.iter().zip(widths).enumerate();
                let columns = columns.map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    1 => format!("  {cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                });
                columns.collect::<String>().trim_end().to_owned() + "\n"
            };
            write_pieces(rows().map(line))
        }
        OutputForm::Csv => {
            // Numbers and times: nothing needs to be quoted.
            write_pieces(std::iter::once(heads).chain(report.rows()).map(|cells| cells.join(",") + "\n"))
        }
        OutputForm::Json => write_json_with(&report.to_json(), "differences", report.differences_json()),
    }
}
