//! `kmerge topic create`.

use super::{Name, parse_config};
use crate::cli::context::Context;
use crate::cli::table::counted;
use clap::Args;
use kmerge::base::text::visible;
use kmerge::client::{Cluster, NewTopic};
use kmerge::wire::ErrorCode;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  kmerge topic create data-output --partitions 1
  kmerge topic create events -p 10 -r 2 --config retention.ms=-1 --if-not-exists";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    name: Name,

    /// How many partitions; the brokers' default (num.partitions) if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// How many brokers hold each partition; the brokers' default (default.replication.factor) if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,

    /// A setting of the topic, such as retention.ms=-1 (repeatable).
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = parse_config)]
    configs: Vec<(String, String)>,

    /// A topic that is there already is left as it is, and is no error.
    #[arg(long)]
    if_not_exists: bool,
}

impl CreateArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let topic = NewTopic {
            name: self.name.get().to_owned(),
            partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            configs: self.configs,
        };
        let (info, created) = match cluster.create_topic(&topic).await {
            Ok(info) => (info, true),
            Err(error) if self.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
                (cluster.existing_topic(&topic.name).await?, false)
            }
            Err(error) => return Err(error.into()),
        };
        let (partitions, replicas) = (info.partitions.len(), info.replication_factor());
        let summary = format!(
            "{} {} with {}, {} of each",
            visible(&info.name),
            if created { "created" } else { "exists already" },
            counted(partitions, "partition"),
            counted(replicas, "replica"),
        );
        let report = json!({
            "topic": info.name, "topic_id": info.topic_id.to_string(), "created": created,
            "partitions": partitions, "replication_factor": replicas,
        });
        cx.finish(&summary, &report)
    }
}
