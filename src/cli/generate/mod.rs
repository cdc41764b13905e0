//! `kmerge generate`: sample data.

mod ints;

mod stream;

use super::context::Context;
use super::metrics::MetricsArgs;
use clap::{Args, Subcommand};

/// Make sample data: sorted partitions to merge, or records as a running system writes them.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Integers, ascending in each partition.
    Ints(ints::IntsArgs),
    /// Even numbers or odd ones, at a pace.
    Parity(stream::ParityArgs),
    /// Logins of users as JSON, some fields missing if wanted, at a pace.
    Logins(stream::LoginsArgs),
    /// Events of orders as JSON, keyed by the order, at a pace.
    Events(stream::EventsArgs),
}

impl GenerateArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        match self.what {
            What::Ints(args) => args.run(cx).await,
            What::Parity(args) => args.run(cx).await,
            What::Logins(args) => args.run(cx).await,
            What::Events(args) => args.run(cx).await,
        }
    }
}
