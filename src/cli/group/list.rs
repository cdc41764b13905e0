//! `kmerge group list`.

use crate::cli::context::Context;
use crate::cli::table::Table;
use clap::Args;
use kmerge::client::Cluster;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge group list
  kmerge group list --state stable,empty --output json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Only groups in one of these states, such as Stable or Empty (repeatable, or separated by commas).
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,

    /// Only groups of one of these types, such as classic or consumer (repeatable, or separated by commas).
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
}

fn is_one_of(value: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(value))
}

impl ListArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let mut groups = cluster.groups().await?;
        groups.retain(|one| is_one_of(&one.state, &self.state) && is_one_of(&one.group_type, &self.types));
        let mut table = Table::new(4, &["GROUP", "TYPE", "PROTOCOL", "STATE"]);
        for one in &groups {
            table.row([one.group.clone(), one.group_type.clone(), one.protocol.clone(), one.state.clone()]);
        }
        let list = groups.iter().map(
            |one| json!({ "group": one.group, "type": one.group_type, "protocol": one.protocol, "state": one.state }),
        );
        cx.print_table(&table, &json!({ "groups": list.collect::<Vec<Value>>() }))
    }
}
