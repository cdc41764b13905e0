//! `kmerge group lag`: one line a group.

use super::Which;
use crate::cli::context::Context;
use crate::cli::table::Table;
use clap::Args;
use kmerge::client::Cluster;
use kmerge::jobs::error::JobError;
use kmerge::jobs::groups::Row;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge group lag readers
  kmerge group lag --all --output json
  kmerge group lag readers --at-most 1000 || echo 'readers are late'

Counted are the partitions with a committed offset and a known end; the others are told beside them.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LagArgs {
    #[command(flatten)]
    which: Which,

    /// Fail with status 4 where a group is behind by more than that in all.
    #[arg(long, value_name = "OFFSETS", value_parser = clap::value_parser!(i64).range(0..))]
    at_most: Option<i64>,
}

impl LagArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let groups = self.which.standing(cluster).await?;
        let mut table = Table::new(2, &["GROUP", "STATE", "MEMBERS", "PARTITIONS", "UNKNOWN", "LAG", "LAG-MAX"]);
        let mut list: Vec<Value> = Vec::new();
        for standing in &groups {
            let group = &standing.group;
            let unknown = standing.partitions.iter().filter(|row| Row::lag(row).is_none()).count();
            let (partitions, members) = (standing.partitions.len(), group.members.len());
            table.row([
                group.group.clone(),
                group.state.clone(),
                members.to_string(),
                partitions.to_string(),
                unknown.to_string(),
                standing.lag().to_string(),
                standing.lag_max().map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
            ]);
            list.push(json!({
                "group": group.group, "state": group.state, "members": members, "partitions": partitions,
                "partitions_unknown": unknown, "lag": standing.lag(), "lag_max": standing.lag_max(),
            }));
        }
        cx.print_table(&table, &json!({ "groups": list }))?;
        let Some(at_most) = self.at_most else { return Ok(()) };
        match groups.iter().find(|standing| standing.lag() > at_most) {
            None => Ok(()),
            Some(standing) => Err(JobError::Difference(format!(
                "group {} is {} offsets behind, more than the {at_most} of --at-most",
                kmerge::base::text::visible(&standing.group.group),
                standing.lag()
            ))
            .into()),
        }
    }
}
