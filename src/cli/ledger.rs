//! Where what was acknowledged is noted, for every command that writes.

use clap::Args;
use kmerge::jobs::minutes::LedgerTo;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// Note in this file what was acknowledged, by partition and minute, for kmerge reconcile (see kmerge produce --help).
    #[arg(long, value_name = "FILE", conflicts_with = "ledger_topic")]
    ledger: Option<PathBuf>,

    /// The same in this compacted topic; made if it is missing.
    #[arg(long, value_name = "TOPIC")]
    ledger_topic: Option<String>,
}

impl LedgerArgs {
    pub fn to(self) -> Option<LedgerTo> {
        self.ledger.map(LedgerTo::File).or(self.ledger_topic.map(LedgerTo::Topic))
    }
}
