//! `kmerge group`: which consumer groups there are, who is in them, how far they are; where they read on; away with them.
//! Columns and flags are those of Kafka's own tool.

mod delete;
mod describe;
mod lag;
mod list;
mod reset;

use super::context::Context;
use clap::{Args, Subcommand};
use kmerge::client::Cluster;
use kmerge::jobs::error::JobError;
use kmerge::jobs::groups::{self, Standing};

#[derive(Debug, Args)]
pub struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// List the groups, one a line: name, type, state.
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show how far groups are in each partition, and who reads it.
    Describe(describe::DescribeArgs),
    /// Show how far groups are behind, one a line.
    Lag(lag::LagArgs),
    /// Set where a group reads on; a dry run unless --execute is given.
    #[command(visible_alias = "reset-offsets")]
    Reset(reset::ResetArgs),
    /// Delete groups with their offsets, or a group's offsets of some topics.
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
}

/// Which groups, as typed.
#[derive(Debug, Args)]
#[group(id = "which", required = true, args = ["names", "groups", "all"])]
struct Which {
    /// The groups.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The groups, as a flag (repeatable, or separated by commas).
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    groups: Vec<String>,

    /// All groups.
    #[arg(long, visible_alias = "all-groups", conflicts_with_all = ["names", "groups"])]
    all: bool,
}

impl Which {
    /// How the groups stand that were named. One that is not there is an error, unless all were asked for.
    async fn standing(&self, cluster: &Cluster) -> anyhow::Result<Vec<Standing>> {
        let names: Vec<String> = match self.all {
            true => cluster.groups().await?.into_iter().map(|one| one.group).collect(),
            false => self.names.iter().chain(&self.groups).cloned().collect(),
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match groups::standing(cluster, &name).await? {
                Some(standing) => found.push(standing),
                None if self.all => {}
                None => return Err(unknown(cluster, &name).await.into()),
            }
        }
        Ok(found)
    }
}

/// The error for a group that is not there, with the nearest name that is.
async fn unknown(cluster: &Cluster, name: &str) -> JobError {
    let groups = cluster.groups().await.unwrap_or_default();
    let hint = kmerge::base::text::did_you_mean(name, groups.iter().map(|one| one.group.as_str()));
    JobError::Refused(format!("there is no group {}{hint}", kmerge::base::text::visible(name)))
}

impl GroupArgs {
    /// Whether the report is a table.
    pub fn tells_a_table(&self) -> bool {
        !matches!(self.command, GroupCommand::Delete(_))
    }

    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let work = async {
            let cluster = Cluster::connect(&cx.brokers()?, cx.global.timeout).await?;
            match self.command {
                GroupCommand::List(args) => args.run(&cluster, cx).await,
                GroupCommand::Describe(args) => args.run(&cluster, cx).await,
                GroupCommand::Lag(args) => args.run(&cluster, cx).await,
                GroupCommand::Reset(args) => args.run(&cluster, cx).await,
                GroupCommand::Delete(args) => args.run(&cluster, cx).await,
            }
        };
        tokio::select! {
            result = work => result,
            signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal).into()),
        }
    }
}
