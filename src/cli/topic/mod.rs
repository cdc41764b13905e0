//! `kmerge topic`: make, list, describe, change, move and delete topics. Flags are those of kaf and of Kafka's own tools.

mod alter;
mod config;
mod create;
mod delete;
mod describe;
mod list;
mod moves;
mod reassign;

use super::context::Context;
use clap::{Args, Subcommand};
use kmerge::client::{Cluster, TopicInfo};
use kmerge::jobs::error::JobError;
use std::sync::OnceLock;

#[derive(Debug, Args)]
pub struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// Make a topic and wait until every broker knows it.
    Create(create::CreateArgs),
    /// List the topics, one a line: name, partitions, replicas.
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show topics' partitions, their leaders and offsets, and their own settings.
    Describe(describe::DescribeArgs),
    /// Change a topic: more partitions, other settings.
    Alter(alter::AlterArgs),
    /// Give a topic more partitions, and wait until every broker knows them.
    AddPartitions(alter::AddPartitionsArgs),
    /// Show, set and delete a topic's settings.
    #[command(visible_alias = "configs")]
    Config(config::ConfigArgs),
    /// Move partitions to other brokers, by the plans of Kafka's own tool.
    Reassign(reassign::ReassignArgs),
    /// Delete topics with all their records, and wait until no broker knows them any more.
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
}

#[derive(Debug, Args)]
struct Name {
    /// The topic.
    #[arg(value_name = "NAME", required_unless_present = "topic", conflicts_with = "topic")]
    name: Option<String>,

    /// The topic, as a flag.
    #[arg(short, long, value_name = "NAME")]
    topic: Option<String>,
}

impl Name {
    /// clap has seen to it that one of the two is there.
    fn get(&self) -> &str {
        self.name.as_deref().or(self.topic.as_deref()).unwrap_or_default()
    }
}

/// A setting with its value, as typed.
fn parse_config(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a setting: write it like retention.ms=86400000")),
    }
}

/// Brokers mark only two topics as internal; the others of the kind are known by their prefix.
fn is_kafkas_own(topic: &TopicInfo) -> bool {
    topic.internal || topic.name.starts_with("__")
}

impl TopicArgs {
    /// Whether the report is a table.
    pub fn tells_a_table(&self) -> bool {
        match &self.command {
            TopicCommand::List(_) | TopicCommand::Describe(_) => true,
            TopicCommand::Config(args) => args.tells_a_table(),
            TopicCommand::Reassign(args) => args.tells_a_table(),
            _ => false,
        }
    }

    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        // What the brokers were told to do, and do whether this command waits for it or not.
        let goes_on = OnceLock::new();
        let work = async {
            let connect = async || Ok::<_, anyhow::Error>(Cluster::connect(&cx.brokers()?, cx.global.timeout).await?);
            match self.command {
                TopicCommand::Create(args) => args.run(&connect().await?, cx).await,
                TopicCommand::List(args) => args.run(&connect().await?, cx).await,
                TopicCommand::Describe(args) => args.run(&connect().await?, cx).await,
                TopicCommand::Alter(args) => args.run(&connect().await?, cx).await,
                TopicCommand::AddPartitions(args) => args.run(&connect().await?, cx).await,
                TopicCommand::Config(args) => args.run(&connect().await?, cx).await,
                TopicCommand::Delete(args) => args.run(&connect().await?, cx).await,
                // A plan is read before anybody is asked.
                TopicCommand::Reassign(args) => args.run(connect, &goes_on, cx).await,
            }
        };
        tokio::select! {
            // What is done is told, though a signal came meanwhile.
            biased;
            result = work => result,
            signal = cx.shutdown.wait() => {
                let error = anyhow::Error::from(JobError::Interrupted(signal));
                Err(match goes_on.get() {
                    Some(what) => error.context(*what),
                    None => error,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_may_hold_equals_signs_but_needs_a_name() {
        assert_eq!(parse_config("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert_eq!(parse_config("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_config("=x").is_err() && parse_config("x").is_err());
    }
}
