//! `kmerge broker list`: the brokers of a cluster, and what each of them leads and holds.

use crate::cli::context::Context;
use crate::cli::table::Table;
use clap::Args;
use kmerge::client::{Cluster, LogDir};
use kmerge::jobs::reassign;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge broker list --brokers localhost:9092
  kmerge broker list --output json | jq '.brokers | length'

LEADS is how many partitions a broker leads, COPIES how many it holds and BYTES how large those are on its disks; - where it does \
not tell, because it does not answer or may not be asked.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {}

impl ListArgs {
    pub(super) async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let cluster = Cluster::connect(&cx.brokers()?, cx.global.timeout).await?;
        let brokers = reassign::brokers(&cluster).await?;
        let topics = cluster.topics().await?;
        let leaders: Vec<i32> = topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.leader).collect();
        let held = futures::future::join_all(brokers.iter().map(|broker| cluster.log_dirs(broker.node))).await;
        let mut table = Table::new(3, &["ID", "ADDRESS", "RACK", "LEADS", "COPIES", "BYTES"]);
        let mut list: Vec<Value> = Vec::new();
        for (broker, held) in brokers.iter().zip(held) {
            let held =
                held.inspect_err(|error| tracing::warn!(broker = broker.node, %error, "what it holds is not known"));
            let held = held.ok().map(|folders| copies(&folders));
            let leads = leaders.iter().filter(|leader| **leader == broker.node).count();
            let address = broker.address.as_ref().map(ToString::to_string);
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                broker.node.to_string(),
                or_dash(address.clone()),
                or_dash(broker.rack.clone()),
                leads.to_string(),
                or_dash(held.map(|(copies, _)| copies.to_string())),
                or_dash(held.map(|(_, bytes)| bytes.to_string())),
            ]);
            list.push(json!({
                "broker": broker.node, "address": address, "rack": broker.rack, "leads": leads,
                "copies": held.map(|(copies, _)| copies), "bytes": held.map(|(_, bytes)| bytes),
            }));
        }
        cx.print_table(&table, &json!({ "cluster_id": cluster.cluster_id(), "brokers": list }))
    }
}

/// How many copies of partitions there are in these folders, and their bytes.
fn copies(folders: &[LogDir]) -> (usize, u64) {
    let copies = folders.iter().flat_map(|folder| &folder.copies);
    copies.fold((0, 0), |(count, bytes), copy| (count + 1, bytes + copy.bytes))
}
