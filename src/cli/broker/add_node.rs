//! `kmerge broker add-node`: asks an embedded broker that runs to be one node more.
//!
//! It goes over the wire, as a change of a setting that only the embedded broker has (see `doors` in `src/broker/`): no signal
//! and no terminal of that process is needed, so it works from a script, another container and every system alike.

use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use anyhow::Context as _;
use clap::Args;
use kmerge::client::{Change, Cluster, ConfigOf};
use kmerge::jobs::reassign;
use serde_json::json;

/// The setting that says how many nodes there are.
const NODES_SETTING: &str = "kmerge.nodes";

const EXAMPLES: &str = "\
Examples:
  kmerge broker add-node --brokers localhost:9092
  kmerge broker --nodes 2 --exec 'kmerge broker add-node && kmerge topic list'

Prints BROKERS=HOST:PORT,... with the new node in it. The node holds nothing until topics are created on it, or moved to it \
with kmerge topic reassign. With a fixed --port its port follows the last node's. Apache Kafka gets new brokers from its own \
tools; it is told apart and left alone.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AddNodeArgs {}

impl AddNodeArgs {
    pub(super) async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let cluster = Cluster::connect(&cx.brokers()?, cx.global.timeout).await?;
        let settings = cluster.settings(&ConfigOf::Brokers).await?;
        let nodes = settings.into_iter().find(|one| one.name == NODES_SETTING).and_then(|one| one.value);
        let Some(nodes) = nodes.and_then(|nodes| nodes.parse::<usize>().ok()) else {
            let why = "this cluster is no embedded broker of kmerge: give it another broker with its own tools \
                       (compose/local-kafka add, if that started it)";
            return Err(UsageError::new(why).into());
        };
        let change = (NODES_SETTING.to_owned(), Change::Set(nodes.saturating_add(1).to_string()));
        cluster.alter_configs(&ConfigOf::Brokers, &[change]).await.context("have another node join")?;
        let brokers = reassign::brokers(&cluster).await?;
        let node = brokers.iter().map(|broker| broker.node).max();
        let addresses: Vec<String> =
            brokers.iter().filter_map(|broker| broker.address.as_ref()).map(ToString::to_string).collect();
        let bootstrap = addresses.join(",");
        cx.print(
            &format!("BROKERS={bootstrap}"),
            &json!({ "node": node, "nodes": brokers.len(), "brokers": bootstrap }),
        )
    }
}
