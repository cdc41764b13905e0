//! `kmerge topic alter` and `add-partitions`: what can be changed of a topic that is there.

use super::config::changes;
use super::{Name, parse_config};
use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use crate::cli::table::counted;
use clap::Args;
use kmerge::base::text::visible;
use kmerge::client::{Cluster, ConfigOf, TopicInfo};
use serde_json::json;

const ALTER_EXAMPLES: &str = "\
Examples:
  kmerge topic alter events --partitions 12
  kmerge topic alter events --config retention.ms=86400000 --delete-config cleanup.policy

Partitions can be added, never taken away; records stay where they are, so keys may go to other partitions from then on.";

#[derive(Debug, Args)]
#[command(after_help = ALTER_EXAMPLES)]
pub(super) struct AlterArgs {
    #[command(flatten)]
    name: Name,

    /// How many partitions the topic shall have in all.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// A setting to make, such as retention.ms=-1 (repeatable).
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = parse_config)]
    configs: Vec<(String, String)>,

    /// A setting to take back, so that the brokers' default holds again (repeatable).
    #[arg(long, value_name = "KEY")]
    delete_config: Vec<String>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  kmerge topic add-partitions events --partitions 12
  kmerge topic add-partitions events --by 2";

#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
#[group(id = "how_many", required = true, multiple = false, args = ["partitions", "by"])]
pub(super) struct AddPartitionsArgs {
    #[command(flatten)]
    name: Name,

    /// How many partitions the topic shall have in all.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// How many partitions to add.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    by: Option<i32>,
}

impl AlterArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let name = self.name.get();
        if self.partitions.is_none() && self.configs.is_empty() && self.delete_config.is_empty() {
            let why = "nothing to change: give --partitions, --config or --delete-config";
            return Err(UsageError::new(why).into());
        }
        let before = cluster.topic(name).await?;
        let changes = changes(cluster, name, &self.configs, &self.delete_config).await?;
        // Looked at before anything is changed: half of a command is worse than none.
        if let Some(count) = self.partitions {
            check_count(&before, count)?;
        }
        if !changes.is_empty() {
            cluster.alter_configs(&ConfigOf::Topic(name.to_owned()), &changes).await?;
        }
        let after = match self.partitions {
            Some(count) => cluster.create_partitions(name, count).await?,
            None => before.clone(),
        };
        let mut done = Vec::new();
        if self.partitions.is_some() {
            done.push(grown(&before, &after));
        }
        if !changes.is_empty() {
            done.push(format!("{} changed", counted(changes.len(), "setting")));
        }
        let report = json!({
            "topic": after.name, "partitions_before": before.partitions.len(), "partitions": after.partitions.len(),
            "configs_set": self.configs.iter().map(|(key, _)| key).collect::<Vec<_>>(), "configs_deleted": self.delete_config,
        });
        cx.finish(&format!("{}: {}", visible(name), done.join(", ")), &report)
    }
}

impl AddPartitionsArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let name = self.name.get();
        let before = cluster.topic(name).await?;
        let now = i32::try_from(before.partitions.len()).unwrap_or(i32::MAX);
        let count = self.partitions.unwrap_or_else(|| now.saturating_add(self.by.unwrap_or(0)));
        check_count(&before, count)?;
        let after = cluster.create_partitions(name, count).await?;
        let report = json!({
            "topic": after.name, "partitions_before": before.partitions.len(), "partitions": after.partitions.len(),
        });
        cx.finish(&format!("{}: {}", visible(name), grown(&before, &after)), &report)
    }
}

fn check_count(topic: &TopicInfo, count: i32) -> anyhow::Result<()> {
    let now = topic.partitions.len();
    if usize::try_from(count).is_ok_and(|count| count > now) {
        return Ok(());
    }
    let why = format!(
        "{} has {}, and they can only become more: --partitions {count} is none more",
        visible(&topic.name),
        counted(now, "partition")
    );
    Err(UsageError::new(why).into())
}

fn grown(before: &TopicInfo, after: &TopicInfo) -> String {
    format!("{}, there were {}", counted(after.partitions.len(), "partition"), before.partitions.len())
}
