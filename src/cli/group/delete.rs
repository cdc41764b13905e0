//! `kmerge group delete`.

use super::unknown;
use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use crate::cli::table::counted;
use clap::Args;
use kmerge::base::place::TopicPartition;
use kmerge::client::{ClientError, Cluster};
use kmerge::jobs::error::JobError;
use kmerge::wire::ErrorCode;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  kmerge group delete readers --topic events
      only its offsets of that topic, while no member reads it
  kmerge group delete readers

A group with members is refused: stop them first.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DeleteArgs {
    /// The groups.
    #[arg(value_name = "NAME", required_unless_present = "groups")]
    names: Vec<String>,

    /// The groups, as a flag (repeatable, or separated by commas).
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    groups: Vec<String>,

    /// Only the offsets of these topics; the group stays (repeatable, or separated by commas).
    #[arg(short, long = "topic", value_name = "NAME", value_delimiter = ',')]
    topics: Vec<String>,

    /// A group that is not there is no error.
    #[arg(long)]
    if_exists: bool,
}

impl DeleteArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let names: Vec<&String> = self.names.iter().chain(&self.groups).collect();
        if !self.topics.is_empty() {
            let [name] = names[..] else {
                return Err(UsageError::new("--topic deletes offsets of one group: name one").into());
            };
            return self.delete_offsets(name, cluster, cx).await;
        }
        let mut deleted = Vec::new();
        for name in &names {
            match cluster.delete_group(name).await {
                Ok(()) => deleted.push(name.as_str()),
                Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {
                    if !self.if_exists {
                        return Err(told(unknown(cluster, name).await, &deleted));
                    }
                }
                Err(error) => return Err(told(busy(name, error), &deleted)),
            }
        }
        let summary = format!("{} deleted", counted(deleted.len(), "group"));
        cx.finish(&summary, &json!({ "deleted": deleted }))
    }

    async fn delete_offsets(&self, name: &str, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let committed = cluster.group_offsets(name).await?;
        let is_wanted = |at: &&TopicPartition| self.topics.iter().any(|topic| **topic == *at.topic);
        let partitions: Vec<TopicPartition> = committed.keys().filter(is_wanted).cloned().collect();
        if !partitions.is_empty() {
            cluster.delete_group_offsets(name, &partitions).await.map_err(|error| busy(name, error))?;
        }
        let list: Vec<_> =
            partitions.iter().map(|at| json!({ "topic": &*at.topic, "partition": at.partition })).collect();
        let summary = format!("{} deleted", counted(partitions.len(), "offset"));
        cx.finish(&summary, &json!({ "group": name, "deleted_offsets": list }))
    }
}

/// A refusal because somebody is in the group, with the way out.
fn busy(name: &str, error: ClientError) -> JobError {
    let name = kmerge::base::text::visible(name);
    match error.code() {
        Some(ErrorCode::NonEmptyGroup) => JobError::Refused(format!(
            "group {name} has members: stop them first (kmerge group describe {name} --members)"
        )),
        Some(ErrorCode::GroupSubscribedToTopic) => JobError::Refused(format!(
            "a member of group {name} reads that topic: stop it first (kmerge group describe {name} --members)"
        )),
        _ => error.into(),
    }
}

/// What stopped the command, after what it had done.
fn told(error: JobError, deleted: &[&str]) -> anyhow::Error {
    match deleted {
        [] => error.into(),
        _ => anyhow::Error::from(error).context(format!("{} deleted before that", counted(deleted.len(), "group"))),
    }
}
