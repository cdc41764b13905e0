//! `kmerge perf` without a further word: the merge beside the wall.

use crate::cli::codec::CodecArg;
use crate::cli::context::Context;
use crate::cli::plot::PlotFile;
use crate::cli::table::Table;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kmerge::base::units::parse_size;
use kmerge::broker::{Broker, BrokerConfig};
use kmerge::jobs::merge::Delivery;
use kmerge::jobs::perf::{self, PerfSettings, Shape};
use std::path::PathBuf;

/// What the embedded broker holds beside the records: at least this.
const BROKER_BYTES_MIN: u64 = 256 << 20;
/// Input, the first output, and what is written now; with room to spare.
const BROKER_COPIES: u64 = 5;

/// As typed: what is absent has a default that depends on the rest, or was not typed before the name of another command.
#[derive(Debug, Args)]
pub struct PerfMergeArgs {
    /// What the records are; dense, if absent.
    #[arg(long, value_enum, value_name = "SHAPE")]
    shape: Option<ShapeArg>,

    /// Records in total; 5,000,000, if absent (m118: 1,000,000, l1k: 100,000).
    #[arg(long, value_name = "COUNT")]
    records: Option<u64>,

    /// Input partitions; 10, if absent.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<u32>,

    /// How often everything is measured; 5, if absent.
    #[arg(long, value_name = "COUNT")]
    rounds: Option<u32>,

    /// What the merge promises: see kmerge merge; exactly-once, if absent.
    #[arg(long, value_enum, value_name = "PROMISE")]
    delivery: Option<DeliveryArg>,

    /// How the output's batches are compressed, those of the wall as well; none, if absent.
    #[arg(long, value_enum, value_name = "CODEC")]
    compression: Option<CodecArg>,

    /// The size of a batch of the output; 500KB, if absent.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    batch_bytes: Option<usize>,

    /// The merge's memory budget; 64MiB, if absent.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<usize>,

    /// Replicas of its topics; the cluster's default, if absent.
    #[arg(long, value_name = "COUNT")]
    replication_factor: Option<i16>,

    /// What the names of its topics begin with, kmerge-perf- and something more; drawn anew, if absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The same seed, the same records; 1, if absent.
    #[arg(long, value_name = "INT")]
    seed: Option<u64>,

    /// Draw wall, merge and share of each round into this file, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShapeArg {
    Ints10,
    Dense,
    Disjoint,
    Skewed,
    M118,
    L1k,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeliveryArg {
    ExactlyOnce,
    Idempotent,
    AtLeastOnce,
}

impl PerfMergeArgs {
    /// The first of these options that was typed.
    pub fn typed(&self) -> Option<&'static str> {
        let typed = [
            (self.shape.is_some(), "--shape"),
            (self.records.is_some(), "--records"),
            (self.partitions.is_some(), "--partitions"),
            (self.rounds.is_some(), "--rounds"),
            (self.delivery.is_some(), "--delivery"),
            (self.compression.is_some(), "--compression"),
            (self.batch_bytes.is_some(), "--batch-bytes"),
            (self.memory.is_some(), "--memory"),
            (self.replication_factor.is_some(), "--replication-factor"),
            (self.name.is_some(), "--name"),
            (self.seed.is_some(), "--seed"),
            (self.plot.is_some(), "--plot"),
        ];
        typed.into_iter().find_map(|(typed, name)| typed.then_some(name))
    }

    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let plot = self.plot.as_deref().map(PlotFile::begin).transpose()?;
        let brokers = cx.brokers_if_any();
        let settings = self.settings(brokers.is_none());
        let (_embedded, brokers) = match brokers {
            Some(brokers) => (None, brokers),
            None => {
                let broker = start_broker(&settings).await?;
                cx.say(&format!(
                    "no broker address was given: measuring on a broker of its own, at {}",
                    broker.bootstrap()
                ));
                let brokers = broker.addresses();
                (Some(broker), brokers)
            }
        };
        let shown = cx.show_progress();
        let report = perf::run(&settings, &cx.job_on(brokers)).await?;
        drop(shown);
        if let Some(plot) = plot {
            plot.finish(&report.chart())?;
        }
        cx.say(&report.summary());
        let mut table = Table::new(1, &perf::COLUMNS);
        report.rows().into_iter().for_each(|row| table.row(row));
        let shown = cx.print_table(&table, &report.to_json());
        report.verdict()?;
        shown
    }

    fn settings(&self, embedded: bool) -> PerfSettings {
        let shape = match self.shape {
            Some(ShapeArg::Ints10) => Shape::Ints10,
            Some(ShapeArg::Dense) | None => Shape::Dense,
            Some(ShapeArg::Disjoint) => Shape::Disjoint,
            Some(ShapeArg::Skewed) => Shape::Skewed,
            Some(ShapeArg::M118) => Shape::M118,
            Some(ShapeArg::L1k) => Shape::L1k,
        };
        PerfSettings {
            name: self.name.clone(),
            replication_factor: self.replication_factor,
            shape,
            partitions: self.partitions.unwrap_or(perf::PARTITIONS_DEFAULT),
            records: self.records.unwrap_or(shape.records_default()),
            seed: self.seed.unwrap_or(1),
            rounds: self.rounds.unwrap_or(perf::ROUNDS_DEFAULT),
            delivery: match self.delivery {
                Some(DeliveryArg::ExactlyOnce) | None => Delivery::ExactlyOnce,
                Some(DeliveryArg::Idempotent) => Delivery::Idempotent,
                Some(DeliveryArg::AtLeastOnce) => Delivery::AtLeastOnce,
            },
            codec: self.compression.unwrap_or_default().codec(),
            batch_bytes: self.batch_bytes.unwrap_or(perf::BATCH_BYTES_DEFAULT),
            memory_bytes: self.memory.unwrap_or(perf::MEMORY_BYTES_DEFAULT),
            embedded,
        }
    }
}

async fn start_broker(settings: &PerfSettings) -> anyhow::Result<Broker> {
    let records = settings.records.saturating_mul(settings.shape.record_bytes());
    let memory_bytes = records.saturating_mul(BROKER_COPIES).saturating_add(BROKER_BYTES_MIN);
    let memory_bytes = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
    let config = BrokerConfig { memory_bytes, ..BrokerConfig::default() };
    Broker::start(config).await.context("start the embedded broker")
}
