//! `kmerge topic describe`: one topic, several or all of them.

use super::is_kafkas_own;
use crate::cli::context::Context;
use crate::cli::table::{Table, ids};
use clap::Args;
use kmerge::base::place::TopicPartition;
use kmerge::base::text::visible;
use kmerge::client::{ClientError, Cluster, OffsetAt, PartitionInfo, TopicInfo};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const EXAMPLES: &str = "\
Examples:
  kmerge topic describe data-input
  kmerge topic describe data-input data-output --sizes
  kmerge topic describe --output csv > topics.csv
      all topics but Kafka's own, a line for each partition

A partition without a leader is told with `none`, and without offsets.";

const HEADS: &[&str] = &["PARTITION", "LEADER", "REPLICAS", "ISR", "EARLIEST", "LAST-STABLE", "LATEST"];
const HEADS_CSV: &[&str] = &["TOPIC", "PARTITION", "LEADER", "REPLICAS", "ISR", "EARLIEST", "LAST-STABLE", "LATEST"];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DescribeArgs {
    /// The topics; all but Kafka's own if none are given.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The topics, as a flag (repeatable, or separated by commas).
    #[arg(short, long = "topic", value_name = "NAME", value_delimiter = ',')]
    topics: Vec<String>,

    /// Kafka's own topics too, where no names are given.
    #[arg(long)]
    internal: bool,

    /// The brokers' defaults too, not only the topic's own settings.
    #[arg(long)]
    all_configs: bool,

    /// What each partition takes on its leader's disk: every broker is asked what it holds.
    #[arg(long)]
    sizes: bool,
}

/// What is shown of a topic.
struct Described {
    info: TopicInfo,
    configs: BTreeMap<String, String>,
    /// Earliest, last stable and latest offset of the partitions that have a leader.
    offsets: BTreeMap<i32, [i64; 3]>,
}

/// Bytes of each copy: partition and broker.
type Sizes = BTreeMap<(TopicPartition, i32), u64>;

impl DescribeArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let mut names = self.names;
        names.extend(self.topics);
        let one = names.len() == 1;
        let infos = match names.is_empty() {
            true => {
                let mut topics = cluster.topics().await?;
                topics.retain(|topic| self.internal || !is_kafkas_own(topic));
                topics
            }
            false => {
                let mut topics = Vec::with_capacity(names.len());
                for name in &names {
                    topics.push(cluster.topic(name).await?);
                }
                topics
            }
        };
        let sizes = if self.sizes { Some(sizes(cluster).await?) } else { None };
        let heads = |heads: &[&'static str]| {
            let more = sizes.as_ref().map(|_| "BYTES");
            heads.iter().copied().chain(more).collect::<Vec<_>>()
        };
        let (mut text, mut csv, mut reports) = (String::new(), Table::new(1, &heads(HEADS_CSV)), Vec::new());
        for info in infos {
            let described = match describe(cluster, info, self.all_configs).await {
                // All that are there were asked for, and this one no longer is.
                Err(ClientError::UnknownTopic { .. }) if names.is_empty() => continue,
                described => described?,
            };
            let mut table = Table::new(0, &heads(HEADS));
            for partition in &described.info.partitions {
                let cells = described.cells(partition, sizes.as_ref());
                csv.row(std::iter::once(described.info.name.clone()).chain(cells.iter().cloned()));
                table.row(cells);
            }
            text += if text.is_empty() { "" } else { "\n" };
            text += &format!("{}  id {}\n{}", visible(&described.info.name), described.info.topic_id, table.text());
            for (name, value) in &described.configs {
                text += &format!("{}={}\n", visible(name), visible(value));
            }
            reports.push(described.report(sizes.as_ref()));
        }
        let report = match (one, reports.pop()) {
            (true, Some(report)) => report,
            (_, last) => {
                reports.extend(last);
                json!({ "topics": reports })
            }
        };
        cx.print_table_as(&text, &csv, &report)
    }
}

async fn describe(cluster: &Cluster, info: TopicInfo, all_configs: bool) -> Result<Described, ClientError> {
    let configs = match all_configs {
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
    Ok(Described { info, configs, offsets })
}

async fn sizes(cluster: &Cluster) -> Result<Sizes, ClientError> {
    let mut sizes = Sizes::new();
    for broker in cluster.brokers() {
        for folder in cluster.log_dirs(broker.node).await? {
            for copy in folder.copies {
                *sizes.entry((copy.partition, broker.node)).or_default() += copy.bytes;
            }
        }
    }
    Ok(sizes)
}

impl Described {
    fn bytes(&self, partition: &PartitionInfo, sizes: &Sizes) -> Option<u64> {
        sizes.get(&(TopicPartition::new(self.info.name.as_str(), partition.index), partition.leader)).copied()
    }

    fn cells(&self, partition: &PartitionInfo, sizes: Option<&Sizes>) -> Vec<String> {
        let found = self.offsets.get(&partition.index);
        let show = |column: usize| found.map_or_else(|| "-".to_owned(), |offsets| offsets[column].to_string());
        let mut cells = vec![
            partition.index.to_string(),
            if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() },
            ids(&partition.replicas),
            ids(&partition.isr),
            show(0),
            show(1),
            show(2),
        ];
        if let Some(sizes) = sizes {
            cells.push(self.bytes(partition, sizes).map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()));
        }
        cells
    }

    fn report(&self, sizes: Option<&Sizes>) -> Value {
        let partitions = self.info.partitions.iter().map(|partition| {
            let found = self.offsets.get(&partition.index);
            let mut report = json!({
                "partition": partition.index, "leader": partition.leader, "leader_epoch": partition.leader_epoch,
                "replicas": partition.replicas, "isr": partition.isr,
                "earliest": found.map(|offsets| offsets[0]), "last_stable": found.map(|offsets| offsets[1]),
                "latest": found.map(|offsets| offsets[2]),
            });
            if let Some(sizes) = sizes {
                report["bytes"] = json!(self.bytes(partition, sizes));
            }
            report
        });
        json!({
            "topic": self.info.name, "topic_id": self.info.topic_id.to_string(),
            "partitions": partitions.collect::<Vec<_>>(), "configs": self.configs,
        })
    }
}
