//! `kmerge topic delete`: all names are looked at before anything is deleted, and then each is told what became of it.

use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use clap::Args;
use kmerge::base::text::visible;
use kmerge::client::{ClientError, Cluster};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge topic delete data-output
  kmerge topic delete orders returns --if-exists
      none of them, if one cannot be deleted; one that is not there is no error

What is in a topic is gone with it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DeleteArgs {
    /// The topics.
    #[arg(value_name = "NAME", required_unless_present = "topic", conflicts_with = "topic")]
    names: Vec<String>,

    /// A topic, as a flag; may be given several times.
    #[arg(short, long, value_name = "NAME")]
    topic: Vec<String>,

    /// A topic that is not there is no error.
    #[arg(long)]
    if_exists: bool,
}

impl DeleteArgs {
    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let names = [self.names, self.topic].concat();
        if let [name] = &names[..] {
            let deleted = delete(cluster, name, self.if_exists).await?;
            return cx.finish(&summary(name, deleted), &json!({ "topic": name, "deleted": deleted }));
        }
        // A name that is mistyped should not leave half of the work done.
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(UsageError::new(format!("{} is named twice", visible(name))).into());
            }
            match cluster.topic(name).await {
                Err(ClientError::UnknownTopic { .. }) if self.if_exists => {}
                found => _ = found?,
            }
        }
        let (mut told, mut failed) = (Vec::<Value>::new(), 0);
        for name in &names {
            match delete(cluster, name, self.if_exists).await {
                Ok(deleted) => {
                    cx.say(&summary(name, deleted));
                    told.push(json!({ "topic": name, "deleted": deleted }));
                }
                Err(error) => {
                    failed += 1;
                    cx.say(&format!("{} not deleted: {error}", visible(name)));
                    told.push(json!({ "topic": name, "deleted": false, "error": error.to_string() }));
                }
            }
        }
        let deleted = told.iter().filter(|one| one["deleted"] == true).count();
        let shown = cx.finish(&format!("{deleted} of {} topics deleted", names.len()), &json!({ "topics": told }));
        if failed > 0 {
            anyhow::bail!("{failed} of {} topics could not be deleted", names.len());
        }
        shown
    }
}

/// Whether it was there.
async fn delete(cluster: &Cluster, name: &str, if_exists: bool) -> Result<bool, ClientError> {
    match cluster.delete_topic(name).await {
        Ok(()) => Ok(true),
        Err(ClientError::UnknownTopic { .. }) if if_exists => Ok(false),
        Err(error) => Err(error),
    }
}

fn summary(name: &str, deleted: bool) -> String {
    format!("{} {}", visible(name), if deleted { "deleted" } else { "is not there" })
}
