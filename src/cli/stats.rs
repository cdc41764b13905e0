//! `kmerge stats`: what is in a topic, and how fast it comes.

use super::context::Context;
use super::global::OutputForm;
use super::metrics::MetricsArgs;
use super::output::{write_json_with, write_pieces};
use super::part::PartArgs;
use super::plot::PlotFile;
use clap::Args;
use kmerge::base::units::parse_size;
use kmerge::jobs::stats::{self, COLUMNS, COLUMNS_CSV, StatsReport, StatsSettings};
use kmerge::keys::TextSource;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  kmerge stats data-input
      a row for each 10,000 records, and one for all of them
  kmerge stats logins --text value:json:/device_type --batch-records 100000 --output csv > logins.csv
  kmerge stats orders --start @2026-01-01T00:00:00Z --plot orders.svg --output json

A word is what stands between white space. White space is Unicode's and the separators U+001C to U+001F, which is what Python's \
str.split() parts text by; bytes that are no UTF-8 are part of a word. Words are the same if their bytes are.

Of each batch: RECORDS, BYTES (of keys and values), WORDS, UNIQUE words in it and in all batches up to it (UNIQUE-SO-FAR), \
SECONDS from the end of the batch before, RECORDS/S in that time, the processor time this process took in it (100 % is one core), \
resident MEMORY at its end, and the AGE of its records when they were read (half and 99 % of them were no older).

Batches are by order of reading: partitions are read in turn, 1,000 records of each, so the same topic and the same --memory \
give the same batches each time. With little memory fewer partitions are in turn at once, in the order of their numbers.

Unique words are exact as long as those seen fit into what --memory leaves for them, half of it or a little more: about 25 bytes \
for a word of up to 8 bytes, twice that for one of 20. From then on a batch stays exact as long as its own new words fit into a \
third of that, and the total is an estimate (HyperLogLog, standard error 0.8 % of the words that did not fit), marked with a ~ \
and told with the batch it began at.";

/// Count records, words and different words of a topic, batch by batch, with rates, memory and the records' age.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct StatsArgs {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,

    /// What words are taken from: value, key, header:NAME or value:json:/POINTER.
    #[arg(long, value_name = "SOURCE", default_value_t)]
    text: TextSource,

    /// How many records are a batch.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    batch_records: u64,

    #[command(flatten)]
    part: PartArgs,

    /// How much memory reading, the words that are known, and the rows may take.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    /// Draw rate, memory and processor over time into this file, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

impl StatsArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = StatsSettings {
            topic: self.topic,
            partitions: self.part.partition,
            text: self.text,
            batch_records: self.batch_records,
            start: self.part.start,
            end: self.part.end,
            memory_bytes: self.memory,
        };
        let plot = self.plot.as_deref().map(PlotFile::begin).transpose()?;
        let shown = cx.show_progress();
        let report = stats::run(&settings, &cx.job()?).await?;
        drop(shown);
        if let Some(plot) = plot {
            plot.finish(&report.chart())?;
        }
        cx.say(&report.summary());
        let shown = print(&report, cx.global.output);
        // What was stopped was stopped, also where nobody reads the report.
        report.verdict()?;
        shown
    }
}

/// Shows the report row by row: a million batches are a table that should never be in memory as a whole.
fn print(report: &StatsReport, form: OutputForm) -> anyhow::Result<()> {
    match form {
        OutputForm::Text => {
            let mut widths = COLUMNS.map(str::len);
            for row in report.rows() {
                widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.len()));
            }
            let line = |cells: Vec<String>| {
                let columns = cells.iter().zip(widths).enumerate();
                let columns = columns.map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                });
                columns.collect::<String>().trim_end().to_owned() + "\n"
            };
            let heads = COLUMNS.map(str::to_owned).to_vec();
            write_pieces(std::iter::once(heads).chain(report.rows()).map(line))
        }
        OutputForm::Csv => {
            // Numbers, names and words of our own: nothing needs to be quoted.
            let heads = COLUMNS_CSV.map(str::to_owned).to_vec();
            write_pieces(std::iter::once(heads).chain(report.rows_csv()).map(|cells| cells.join(",") + "\n"))
        }
        OutputForm::Json => write_json_with(&report.to_json(), "batches", report.batches_json()),
    }
}
