//! `kmerge topic list`.

use super::is_kafkas_own;
use crate::cli::context::Context;
use crate::cli::table::Table;
use clap::Args;
use kmerge::client::Cluster;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge topic list
  kmerge topic list --internal --output csv > topics.csv";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Kafka's own topics too.
    #[arg(long, visible_alias = "all")]
    internal: bool,
}

impl ListArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let mut topics = cluster.topics().await?;
        topics.retain(|topic| self.internal || !is_kafkas_own(topic));
        let mut table = Table::new(1, &["TOPIC", "PARTITIONS", "REPLICAS"]);
        for topic in &topics {
            let replicas = topic.replication_factor().to_string();
            table.row([topic.name.clone(), topic.partitions.len().to_string(), replicas]);
        }
        let list = topics.iter().map(|topic| {
            json!({
                "topic": topic.name, "partitions": topic.partitions.len(),
                "replication_factor": topic.replication_factor(), "internal": is_kafkas_own(topic),
            })
        });
        cx.print_table(&table, &json!({ "topics": list.collect::<Vec<Value>>() }))
    }
}
