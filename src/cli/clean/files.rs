//! The arguments of `clean` that are about parquet files.

use super::parse_interval;
use clap::{Args, ValueEnum};
use kmerge::base::units::parse_size;
use kmerge::formats::parquet::Codec;
use kmerge::jobs::clean::ParquetSettings;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct ParquetArgs {
    /// The folder that what is clean goes to as parquet files, one a partition and transaction; made if it is missing.
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,

    /// With --parquet: how long a transaction stays open, and its files with it. Below half of --transaction-timeout.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_interval, requires = "parquet")]
    parquet_interval: Duration,

    /// With --parquet: the transaction ends sooner where one of its files has about this size.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size, requires = "parquet")]
    parquet_bytes: usize,

    /// With --parquet: how files are compressed.
    #[arg(long, value_enum, default_value_t, value_name = "CODEC", requires = "parquet")]
    parquet_codec: ParquetCodecArg,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ParquetCodecArg {
    /// Fast, and every reader knows it.
    #[default]
    Snappy,
    /// Fast, too (LZ4_RAW).
    Lz4,
    /// Small and slow.
    Gzip,
    /// Not at all.
    None,
}

impl ParquetArgs {
    pub fn settings(self) -> Option<ParquetSettings> {
        Some(ParquetSettings {
            folder: self.parquet?,
            codec: match self.parquet_codec {
                ParquetCodecArg::Snappy => Codec::Snappy,
                ParquetCodecArg::Lz4 => Codec::Lz4,
                ParquetCodecArg::Gzip => Codec::Gzip,
                ParquetCodecArg::None => Codec::None,
            },
            interval: self.parquet_interval,
            bytes_max: self.parquet_bytes.max(1) as u64,
        })
    }
}

/// What the group is called after, where there is no topic: the folder, from the root on, since two of one name are two.
pub fn name_of(settings: &ParquetSettings) -> String {
    let folder = std::path::absolute(&settings.folder).unwrap_or_else(|_| settings.folder.clone());
    folder.to_string_lossy().into_owned()
}
