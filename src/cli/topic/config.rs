//! `kmerge topic config`: a topic's own settings, and what would hold without them.

use super::{Name, parse_config};
use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use crate::cli::table::{Table, counted};
use clap::{Args, Subcommand};
use kmerge::base::text::{did_you_mean, visible};
use kmerge::client::{Change, Cluster, ConfigOf};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kmerge topic config show events
      the topic's own settings, each with the default that it hides
  kmerge topic config show events --all --output csv
  kmerge topic config set events retention.ms=86400000 cleanup.policy=compact
  kmerge topic config delete events retention.ms";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show the topic's own settings and the defaults behind them.
    Show(ShowArgs),
    /// Make settings for the topic; all of them, or none where one cannot be.
    Set(SetArgs),
    /// Take settings back, so that the brokers' defaults hold again.
    #[command(visible_alias = "unset")]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    name: Name,

    /// Every setting that holds, not only the topic's own.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// The topic.
    #[arg(value_name = "NAME")]
    name: String,

    /// A setting, such as retention.ms=-1 (repeatable).
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = parse_config)]
    configs: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// The topic.
    #[arg(value_name = "NAME")]
    name: String,

    /// A setting (repeatable).
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
}

/// The changes that were typed, once every name is known to be one. A name given twice cannot be meant.
pub(super) async fn changes(
    cluster: &Cluster,
    topic: &str,
    set: &[(String, String)],
    delete: &[String],
) -> anyhow::Result<Vec<(String, Change)>> {
    let set = set.iter().map(|(name, value)| (name.clone(), Change::Set(value.clone())));
    let changes: Vec<_> = set.chain(delete.iter().map(|name| (name.clone(), Change::Delete))).collect();
    if changes.is_empty() {
        return Ok(changes);
    }
    let known = cluster.settings(&ConfigOf::Topic(topic.to_owned())).await?;
    for (place, (name, _)) in changes.iter().enumerate() {
        if changes[..place].iter().any(|(other, _)| other == name) {
            return Err(UsageError::new(format!("{name} is given twice: what should hold?")).into());
        }
        if !known.iter().any(|one| one.name == *name) {
            let hint = did_you_mean(name, known.iter().map(|one| one.name.as_str()));
            let why = format!(
                "topics have no setting {}{hint}; kmerge topic config show {} --all lists them",
                visible(name),
                visible(topic)
            );
            return Err(UsageError::new(why).into());
        }
    }
    Ok(changes)
}

impl ConfigArgs {
    pub(super) fn tells_a_table(&self) -> bool {
        matches!(self.command, ConfigCommand::Show(_))
    }

    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        match self.command {
            ConfigCommand::Show(args) => show(args, cluster, cx).await,
            ConfigCommand::Set(args) => change(&args.name, &args.configs, &[], cluster, cx).await,
            ConfigCommand::Delete(args) => change(&args.name, &[], &args.keys, cluster, cx).await,
        }
    }
}

async fn show(args: ShowArgs, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
    let name = args.name.get();
    let mut settings = cluster.settings(&ConfigOf::Topic(name.to_owned())).await?;
    settings.retain(|one| args.all || one.own);
    let mut table = Table::new(4, &["SETTING", "VALUE", "DEFAULT", "OWN"]);
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(secret)".to_owned());
    for one in &settings {
        let default = if one.own { one.default.clone().unwrap_or_else(|| "?".to_owned()) } else { shown(&one.value) };
        table.row([one.name.clone(), shown(&one.value), default, if one.own { "yes" } else { "no" }.to_owned()]);
    }
    let list = settings
        .iter()
        .map(|one| json!({ "setting": one.name, "value": one.value, "default": one.default, "own": one.own }));
    cx.print_table(&table, &json!({ "topic": name, "settings": list.collect::<Vec<Value>>() }))
}

async fn change(
    name: &str,
    set: &[(String, String)],
    delete: &[String],
    cluster: &Cluster,
    cx: &Context,
) -> anyhow::Result<()> {
    let changes = changes(cluster, name, set, delete).await?;
    cluster.alter_configs(&ConfigOf::Topic(name.to_owned()), &changes).await?;
    let what = if delete.is_empty() { "set" } else { "deleted" };
    let report = json!({
        "topic": name, "configs_set": set.iter().map(|(key, _)| key).collect::<Vec<_>>(), "configs_deleted": delete,
    });
    cx.finish(&format!("{}: {} {what}", visible(name), counted(changes.len(), "setting")), &report)
}
