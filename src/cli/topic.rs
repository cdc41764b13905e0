//! `kmerge topic`: make, list, describe and delete topics. Flags are those of kaf and of Kafka's own tools.

use super::context::Context;
use clap::{Args, Subcommand};
use kmerge::base::place::TopicPartition;
use kmerge::base::text::visible;
use kmerge::client::{ClientError, Cluster, NewTopic, OffsetAt, TopicInfo};
use kmerge::wire::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// Make a topic and wait until every broker knows it.
    Create(CreateArgs),
    /// List the topics, one a line: name, partitions, replicas.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show a topic's partitions, their leaders and offsets, and its own settings.
    Describe(DescribeArgs),
    /// Delete a topic with all its records, and wait until no broker knows it any more.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
struct Name {
    /// The topic.
    #[arg(value_name = "NAME", required_unless_present = "topic", conflicts_with = "topic")]
    name: Option<String>,

    /// The topic, as a flag.
    #[arg(short, long, value_name = "NAME")]
    topic: Option<String>,
}

impl Name {
    /// clap has seen to it that one of the two is there.
    fn get(&self) -> &str {
        self.name.as_deref().or(self.topic.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Args)]
struct CreateArgs {
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

#[derive(Debug, Args)]
struct ListArgs {
    /// Kafka's own topics too.
    #[arg(long, visible_alias = "all")]
    internal: bool,
}

#[derive(Debug, Args)]
struct DescribeArgs {
    #[command(flatten)]
    name: Name,

    /// The brokers' defaults too, not only the topic's own settings.
    #[arg(long)]
    all_configs: bool,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    #[command(flatten)]
    name: Name,

    /// A topic that is not there is no error.
    #[arg(long)]
    if_exists: bool,
}

fn parse_config(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a setting: write it like retention.ms=86400000")),
    }
}

impl TopicArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let work = async {
            let cluster = Cluster::connect(&cx.brokers()?, cx.global.timeout).await?;
            match self.command {
                TopicCommand::Create(args) => args.run(&cluster, cx).await,
                TopicCommand::List(args) => args.run(&cluster, cx).await,
                TopicCommand::Describe(args) => args.run(&cluster, cx).await,
                TopicCommand::Delete(args) => args.run(&cluster, cx).await,
            }
        };
        tokio::select! {
            result = work => result,
            signal = cx.shutdown.wait() => Err(kmerge::jobs::error::JobError::Interrupted(signal).into()),
        }
    }
}

impl CreateArgs {
    async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let topic = NewTopic {
            name: self.name.get().to_owned(),
            partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            configs: self.configs,
        };
        let (info, created) = match cluster.create_topic(&topic).await {
            Ok(info) => (info, true),
            Err(error) if self.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
                (cluster.topic(&topic.name).await?, false)
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

impl ListArgs {
    async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let mut topics = cluster.topics().await?;
        topics.retain(|topic| self.internal || !is_kafkas_own(topic));
        let rows = topics.iter().map(|topic| {
            vec![visible(&topic.name), topic.partitions.len().to_string(), topic.replication_factor().to_string()]
        });
        let text = table(&["TOPIC", "PARTITIONS", "REPLICAS"], rows.collect());
        let list = topics.iter().map(|topic| {
            json!({
                "topic": topic.name, "partitions": topic.partitions.len(),
                "replication_factor": topic.replication_factor(), "internal": is_kafkas_own(topic),
            })
        });
        cx.print(&text, &json!({ "topics": list.collect::<Vec<Value>>() }))
    }
}

/// Brokers mark only two topics as internal; the others of the kind are known by their prefix.
fn is_kafkas_own(topic: &TopicInfo) -> bool {
    topic.internal || topic.name.starts_with("__")
}

impl DescribeArgs {
    async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let info = cluster.topic(self.name.get()).await?;
        let configs = match self.all_configs {
            true => cluster.topic_configs(&info.name).await?,
            false => cluster.topic_configs_own(&info.name).await?,
        };
        // A partition without a leader has no offsets to tell, and the rest is wanted all the more.
        let led = info.partitions.iter().filter(|partition| partition.leader >= 0);
        let led: Vec<_> = led.map(|partition| TopicPartition::new(info.name.as_str(), partition.index)).collect();
        let mut offsets: BTreeMap<i32, [i64; 3]> = BTreeMap::new();
        for (column, at) in [OffsetAt::Earliest, OffsetAt::LastStable, OffsetAt::Latest].into_iter().enumerate() {
            for (partition, offset) in led.iter().zip(cluster.offsets(&led, at).await?) {
                offsets.entry(partition.partition).or_default()[column] = offset;
            }
        }
        let mut rows = Vec::new();
        let mut partitions = Vec::new();
        for partition in &info.partitions {
            let found = offsets.get(&partition.index);
            let show = |column: usize| found.map_or_else(|| "-".to_owned(), |offsets| offsets[column].to_string());
            rows.push(vec![
                partition.index.to_string(),
                if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() },
                ids(&partition.replicas),
                ids(&partition.isr),
                show(0),
                show(1),
                show(2),
            ]);
            partitions.push(json!({
                "partition": partition.index, "leader": partition.leader, "leader_epoch": partition.leader_epoch,
                "replicas": partition.replicas, "isr": partition.isr,
                "earliest": found.map(|offsets| offsets[0]), "last_stable": found.map(|offsets| offsets[1]),
                "latest": found.map(|offsets| offsets[2]),
            }));
        }
        let mut text = format!("{}  id {}\n", visible(&info.name), info.topic_id);
        text += &table(&["PARTITION", "LEADER", "REPLICAS", "ISR", "EARLIEST", "LAST-STABLE", "LATEST"], rows);
        for (name, value) in &configs {
            text += &format!("{}={}\n", visible(name), visible(value));
        }
        let report = json!({
            "topic": info.name, "topic_id": info.topic_id.to_string(), "partitions": partitions, "configs": configs,
        });
        cx.print(&text, &report)
    }
}

impl DeleteArgs {
    async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
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

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Columns of text, the first one to the left and the others to the right, which suits numbers.
pub(super) fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    for row in std::iter::once(&heads).chain(&rows) {
        for (column, (width, cell)) in widths.iter().zip(row).enumerate() {
            out += &if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_its_columns_up() {
        let text = table(&["TOPIC", "N"], vec![vec!["a".into(), "10".into()], vec!["long-name".into(), "1".into()]]);
        assert_eq!(text, "TOPIC       N\na          10\nlong-name   1\n");
    }

    #[test]
    fn a_setting_may_hold_equals_signs_but_needs_a_name() {
        assert_eq!(parse_config("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert_eq!(parse_config("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_config("=x").is_err() && parse_config("x").is_err());
    }
}
