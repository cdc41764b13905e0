//! Which part of a topic is read, for the commands that read one up to where it ends.

use clap::Args;
use kmerge::base::ends::Bound;

#[derive(Debug, Args)]
pub(super) struct PartArgs {
    /// These partitions only.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) partition: Vec<i32>,

    /// Where to start: an offset, earliest, @TIME, or TOPIC:PARTITION=OFFSET,...
    #[arg(long, value_name = "PLACE")]
    pub(super) start: Option<Bound>,

    /// Where to end, the same forms; the ends now, if absent.
    #[arg(long, value_name = "PLACE")]
    pub(super) end: Option<Bound>,
}
