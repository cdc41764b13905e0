//! `kmerge group describe`: offsets, members or states.

use super::Which;
use crate::cli::context::Context;
use crate::cli::table::Table;
use clap::Args;
use kmerge::client::{Cluster, GroupMember};
use kmerge::jobs::groups::Standing;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge group describe readers
  kmerge group describe --all --output csv > lag.csv
  kmerge group describe readers --members
  kmerge group describe readers --state

`-` stands where nothing is known: no offset committed, nobody reads, or the topic is gone.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DescribeArgs {
    #[command(flatten)]
    which: Which,

    /// The members, and how many partitions each has, instead of offsets.
    #[arg(long, conflicts_with = "state")]
    members: bool,

    /// Each group's state, coordinator and way of sharing, instead of offsets.
    #[arg(long)]
    state: bool,
}

impl DescribeArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let groups = self.which.standing(cluster).await?;
        let table = match (self.members, self.state) {
            (true, _) => members(&groups),
            (_, true) => states(&groups),
            _ => offsets(&groups),
        };
        let report: Vec<Value> = groups.iter().map(report).collect();
        cx.print_table(&table, &json!({ "groups": report }))
    }
}

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn offsets(groups: &[Standing]) -> Table {
    let heads =
        &["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"];
    let mut table = Table::new(9, heads);
    for group in groups {
        for row in &group.partitions {
            let member = group.member(row);
            table.row([
                group.group.group.clone(),
                row.partition.topic.to_string(),
                row.partition.partition.to_string(),
                known(row.committed),
                known(row.end),
                known(row.lag()),
                known(member.map(|one| one.member.clone())),
                known(member.map(|one| one.host.clone())),
                known(member.map(|one| one.client.clone())),
            ]);
        }
    }
    table
}

fn members(groups: &[Standing]) -> Table {
    let mut table = Table::new(5, &["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "INSTANCE-ID", "#PARTITIONS"]);
    for group in groups {
        for one in &group.group.members {
            table.row([
                group.group.group.clone(),
                one.member.clone(),
                one.host.clone(),
                one.client.clone(),
                known(one.instance.clone()),
                known(one.partitions.as_ref().map(Vec::len)),
            ]);
        }
    }
    table
}

fn states(groups: &[Standing]) -> Table {
    let mut table = Table::new(5, &["GROUP", "COORDINATOR", "TYPE", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"]);
    for standing in groups {
        let group = &standing.group;
        table.row([
            group.group.clone(),
            group.coordinator.to_string(),
            group.group_type.to_owned(),
            if group.assignor.is_empty() { "-".to_owned() } else { group.assignor.clone() },
            group.state.clone(),
            group.members.len().to_string(),
        ]);
    }
    table
}

fn member(member: &GroupMember) -> Value {
    let partitions = member.partitions.as_ref().map(|partitions| {
        let one = |at: &kmerge::base::place::TopicPartition| json!({ "topic": &*at.topic, "partition": at.partition });
        partitions.iter().map(one).collect::<Vec<Value>>()
    });
    json!({
        "consumer_id": member.member, "instance_id": member.instance, "client_id": member.client, "host": member.host,
        "partitions": partitions,
    })
}

/// A group with all that is known of it; the tables show parts of it.
pub(super) fn report(standing: &Standing) -> Value {
    let partitions = standing.partitions.iter().map(|row| {
        let member = standing.member(row);
        json!({
            "topic": &*row.partition.topic, "partition": row.partition.partition, "current_offset": row.committed,
            "log_end_offset": row.end, "lag": row.lag(), "consumer_id": member.map(|one| &one.member),
            "host": member.map(|one| &one.host), "client_id": member.map(|one| &one.client),
        })
    });
    let group = &standing.group;
    json!({
        "group": group.group, "type": group.group_type, "state": group.state, "coordinator": group.coordinator,
        "assignment_strategy": group.assignor, "lag": standing.lag(), "partitions": partitions.collect::<Vec<Value>>(),
        "members": group.members.iter().map(member).collect::<Vec<Value>>(),
    })
}
