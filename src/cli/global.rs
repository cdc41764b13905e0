//! What may be typed with every command, as typed.

use clap::{Args, ValueEnum};
use kmerge::base::units::parse_duration;
use std::time::Duration;

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where the cluster is: HOST[:PORT], several separated by commas; the port defaults to 9092.
    ///
    /// Without it KAFKA_BOOTSTRAP_SERVERS is read.
    #[arg(
        short,
        long,
        visible_alias = "bootstrap-server",
        alias = "bootstrap-servers",
        value_name = "LIST",
        env = "KMERGE_BROKERS",
        global = true,
        help_heading = "Every command"
    )]
    pub brokers: Option<String>,

    /// How long to try to reach the cluster, and how long one request may take.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, global = true, help_heading = "Every command")]
    pub timeout: Duration,

    /// By how much to give way to other processes, 0 to 19, as nice does.
    ///
    /// If absent: 5 where a command carries data, a broker of --brokers is on this machine (a literal address, or localhost),
    /// and it was not started with a niceness.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=19), global = true, help_heading = "Every command")]
    pub nice: Option<u8>,

    /// The form of the report on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORM", global = true, help_heading = "Every command")]
    pub output: OutputForm,

    /// When to draw a progress bar on stderr: auto draws on a terminal and logs a line every ten seconds elsewhere.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true, help_heading = "Every command")]
    pub progress: ProgressWhen,

    /// No progress, no summary: only errors, and data on stdout.
    #[arg(short, long, global = true, help_heading = "Every command")]
    pub quiet: bool,

    /// Tell more on stderr: -v what is done, -vv each request. KMERGE_LOG takes a finer filter.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Every command")]
    pub verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputForm {
    /// Text for people, tables where there are several of a kind.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON object on stdout, with stable field names.
    Json,
    /// The report's table as CSV on stdout, where the report is a table.
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressWhen {
    #[default]
    Auto,
    Always,
    Never,
}

impl Global {
    /// The bootstrap addresses, wherever they are said; none, if nowhere.
    pub fn brokers(&self) -> Vec<String> {
        addresses(self.brokers.clone())
    }
}

/// The addresses of this list, or of the environment's other variable.
pub fn addresses(list: Option<String>) -> Vec<String> {
    // A variable that is set to nothing is not set.
    let list = list.filter(|list| !list.trim().is_empty());
    let list = list.or_else(|| std::env::var("KAFKA_BOOTSTRAP_SERVERS").ok()).unwrap_or_default();
    list.split(',').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect()
}
