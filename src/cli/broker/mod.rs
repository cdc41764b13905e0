//! `kmerge broker`: the embedded broker on its own, until Ctrl-C or until the command it runs has ended.

mod add_node;
mod list;

use super::context::Context;
use super::exit::UsageError;
use super::{exec, output};
use anyhow::Context as _;
use kmerge::base::units::{parse_duration, parse_size, show_size};
use kmerge::broker::{Broker, BrokerConfig, GroupConfig, NODES_MAX};
use std::net::IpAddr;
use std::time::Duration;

/// Examples and limits, shown behind the options.
pub const HELP: &str = "\
Examples:
  kmerge broker --port 9092 --topic data-input:10 --topic data-output:1
  kmerge broker --topic t:3 --exec 'kcat -L -b $KAFKA_BOOTSTRAP_SERVERS'
  kmerge broker add-node --brokers localhost:9092
      one more node for the broker that runs there

Prints BROKERS=HOST:PORT,... on stdout when every node answers; Ctrl-C and SIGTERM end it with status 0. With --exec \
that line is on stderr, as stdout is the command's; a signal ends the command too, with what it started: after a SIGTERM \
it has five seconds.
Everything is in memory and gone at the end; nothing expires but the sessions of consumer group members; there is one \
copy of the data. Groups speak the classic protocol (group.protocol=classic). Not for production.";

/// Starts an in-memory Kafka broker on this machine: for trying things out, for tests, for a laptop.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true)]
pub struct BrokerArgs {
    #[command(subcommand)]
    command: Option<BrokerCommand>,

    /// Where to listen: an address of this machine, or its name. 0.0.0.0 lets the network in, unprotected.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub listen: String,

    /// The host that clients are told to connect to; by default --listen, or this machine's name for 0.0.0.0.
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,

    /// The first node's port, the others follow it; 0 picks free ones.
    #[arg(long, default_value_t = 9092)]
    pub port: u16,

    /// How many nodes to be; partition leaders are spread over them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    pub nodes: u16,

    /// A topic to create, with its number of partitions; repeatable. Topics are never created by writing to them.
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = parse_topic)]
    pub topics: Vec<(String, i32)>,

    /// The most bytes to hold; writers are refused beyond it.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub memory: usize,

    /// How long the first member of a consumer group waits for others (Kafka's group.initial.rebalance.delay.ms).
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_duration)]
    pub rebalance_delay: Duration,

    /// A command line to run (by sh -c, on Windows cmd /C) with KAFKA_BOOTSTRAP_SERVERS set; its status is ours.
    #[arg(long, value_name = "CMD")]
    pub exec: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum BrokerCommand {
    /// List a cluster's brokers, what each leads and holds.
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Have one more node join an embedded broker that runs, wherever it runs.
    AddNode(add_node::AddNodeArgs),
}

impl BrokerArgs {
    pub fn tells_a_table(&self) -> bool {
        matches!(self.command, Some(BrokerCommand::List(_)))
    }

    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        match self.command {
            Some(BrokerCommand::List(args)) => return args.run(cx).await,
            Some(BrokerCommand::AddNode(args)) => return args.run(cx).await,
            None => {}
        }
        let (listen, named) = resolve(&self.listen).await?;
        let config = BrokerConfig {
            nodes: self.nodes,
            listen,
            port: self.port,
            advertise: self.advertise.or(named),
            topics: self.topics,
            memory_bytes: self.memory,
            groups: GroupConfig { initial_rebalance_delay: self.rebalance_delay, ..GroupConfig::default() },
            ..BrokerConfig::default()
        };
        let broker = Broker::start(config).await.context("start the broker")?;
        let bootstrap = broker.bootstrap();
        tracing::info!(
            "the embedded broker answers at {bootstrap}, holding at most {}; Ctrl-C ends it",
            show_size(self.memory as u64)
        );
        let ended = match self.exec {
            Some(command) => {
                // Where its output goes, ours would be in the way.
                cx.say(&format!("BROKERS={bootstrap}"));
                exec::run(&command, &bootstrap, &cx.shutdown).await
            }
            None => {
                output::write_stdout(&format!("BROKERS={bootstrap}\n"))?;
                cx.shutdown.wait().await;
                Ok(())
            }
        };
        broker.stop().await;
        ended
    }
}

/// The address to bind, and the name that was given for it.
async fn resolve(host: &str) -> anyhow::Result<(IpAddr, Option<String>)> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok((address, None));
    }
    if let Some((host, port)) = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
        let why = format!("--listen takes a host alone: write --listen {host} --port {port}");
        return Err(UsageError::new(why).into());
    }
    let mut found = tokio::net::lookup_host((host, 0)).await.with_context(|| format!("look up --listen {host}"))?;
    let address = found.next().with_context(|| format!("look up --listen {host}: it has no address"))?;
    Ok((address.ip(), Some(host.to_owned())))
}

fn parse_topic(text: &str) -> Result<(String, i32), String> {
    let (name, partitions) = text.rsplit_once(':').unwrap_or((text, "1"));
    let number = partitions.parse().ok().filter(|number| *number >= 1);
    let number = number.ok_or_else(|| format!("{partitions:?} is no number of partitions: write it like events:10"))?;
    Ok((name.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_name_and_a_number_of_partitions() {
        assert_eq!(parse_topic("data-input:10"), Ok(("data-input".into(), 10)));
        assert_eq!(parse_topic("one"), Ok(("one".into(), 1)));
        for wrong in ["t:0", "t:-1", "t:", "t:x"] {
            assert!(parse_topic(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_name_and_a_name_is_told_to_clients() {
        assert_eq!(resolve("127.0.0.1").await.unwrap(), ([127, 0, 0, 1].into(), None));
        assert_eq!(resolve("[::1]").await.unwrap().0, "::1".parse::<IpAddr>().unwrap());
        assert_eq!(resolve("localhost").await.unwrap().1.as_deref(), Some("localhost"));
    }
}
