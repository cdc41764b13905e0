//! `kmerge perf load`: what a cluster makes of rates of records.

use crate::cli::codec::CodecArg;
use crate::cli::context::Context;
use crate::cli::plot::PlotFile;
use crate::cli::table::Table;
use clap::Args;
use kmerge::base::units::{parse_duration, parse_size};
use kmerge::jobs::load::{self, LoadSettings};
use kmerge::jobs::pour::{self, PourSettings};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  kmerge perf load --rate 20000
      20,000, 40,000 and 60,000 records a second on topics of 1, 3, 6 and 10 partitions: about two and a half minutes
  kmerge perf load --partitions 1,3 --times 1,2,3,5 --rate 50000 --record-bytes 500 --plot load.svg
  kmerge perf load --rate 5000 --duration 30s --output csv > load.csv

Each trial makes a topic of its own, whose name begins with kmerge-perf-, offers it the rate, reads it at the same time with a \
reader for each partition, and deletes it. Records have no key: as with Kafka's own producers, one partition at a time gets them, \
a batch or the linger's time long.

The load is open: records are due by a plan that waits for nobody. LATENCY (P50, P99, P99.9, MAX) is the time from the moment a \
record was due until it was read, not from when there was room to send it; one that was due and never sent, because the trial \
had ended, counts with the time it had waited. So does one that was acknowledged and not read within --timeout after the end; the \
latencies are lower bounds then, and it says so. LAG is how many records were acknowledged and not read yet, at most and at the end; \
UNWRITTEN, how many were due and not acknowledged at the end. A trial KEEPS-UP if at its end no more than half a second of \
records (a tenth of --duration, if that is less) was due and not read. CPU-% is what this process itself took: where writer, \
reader and brokers share a machine they also share that.

Memory: 32 MiB for batches on their way, as much for what is fetched (64 KiB a partition at least).";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct LoadArgs {
    /// The rate that is expected, in records a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000.0, allow_negative_numbers = true)]
    rate: f64,

    /// How many times that rate to offer.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1.0, 2.0, 3.0], allow_negative_numbers = true)]
    times: Vec<f64>,

    /// The numbers of partitions to offer it to.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 3, 6, 10])]
    partitions: Vec<u32>,

    /// For how long each trial is measured.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,

    /// For how long before that the rate is offered without being measured.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    warm_up: Duration,

    /// The size of a record's value.
    #[arg(long, value_name = "SIZE", default_value = "100", value_parser = parse_size)]
    record_bytes: usize,

    /// What the names of its topics begin with: kmerge-perf- or something longer.
    #[arg(long, value_name = "PREFIX", default_value = load::PREFIX)]
    topic_prefix: String,

    /// Replicas of each partition; the cluster's default, if absent.
    #[arg(long, value_name = "COUNT")]
    replication_factor: Option<i16>,

    /// How long a record may wait for others to share its batch.
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    linger: Duration,

    /// The size that a batch stays below, before compression.
    #[arg(long, value_name = "SIZE", default_value_t = pour::BATCH_BYTES_DEFAULT, value_parser = parse_size)]
    batch_bytes: usize,

    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t, value_name = "CODEC")]
    compression: CodecArg,

    /// Draw throughput, latency and lag over the number of partitions into this file, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

impl LoadArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let settings = LoadSettings {
            topic_prefix: self.topic_prefix,
            replication_factor: self.replication_factor,
            partitions: self.partitions,
            rate: self.rate,
            times: self.times,
            duration: self.duration,
            warm_up: self.warm_up,
            record_bytes: self.record_bytes,
            pour: PourSettings {
                codec: self.compression.codec(),
                batch_bytes: self.batch_bytes,
                linger: self.linger,
                ..PourSettings::default()
            },
        };
        let plot = self.plot.as_deref().map(PlotFile::begin).transpose()?;
        let shown = cx.show_progress();
        let report = load::run(&settings, &cx.job()?).await?;
        drop(shown);
        if let Some(plot) = plot {
            plot.finish(&report.chart())?;
        }
        cx.say(&report.summary());
        let mut table = Table::new(0, &load::COLUMNS);
        report.rows().into_iter().for_each(|row| table.row(row));
        let shown = cx.print_table(&table, &report.to_json());
        report.verdict()?;
        shown
    }
}
