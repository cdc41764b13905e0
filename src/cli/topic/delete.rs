//! `kmerge topic delete`.

use super::Name;
use crate::cli::context::Context;
use clap::Args;
use kmerge::base::text::visible;
use kmerge::client::{ClientError, Cluster};
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    name: Name,

    /// A topic that is not there is no error.
    #[arg(long)]
    if_exists: bool,
}

impl DeleteArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let name = self.name.get();
        let deleted = match cluster.delete_topic(name).await {
            Ok(()) => true,
            Err(ClientError::UnknownTopic { .. }) if self.if_exists => false,
            Err(error) => return Err(error.into()),
        };
        let summary = format!("{} {}", visible(name), if deleted { "deleted" } else { "is not there" });
        cx.finish(&summary, &json!({ "topic": name, "deleted": deleted }))
    }
}
