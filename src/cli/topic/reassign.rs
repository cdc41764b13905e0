//! `kmerge topic reassign`: what was typed, and what is shown of a plan on its way.

use super::moves::{cancel, changes_text, generated, list, report, unthrottle, verify};
use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use crate::cli::table::{counted, ids};
use anyhow::Context as _;
use clap::{ArgGroup, Args};
use kmerge::base::place::TopicPartition;
use kmerge::base::text::visible;
use kmerge::base::units::{parse_size, show_size};
use kmerge::client::Cluster;
use kmerge::jobs::error::JobError;
use kmerge::jobs::reassign::plan::{Plan, parse_topics};
use kmerge::jobs::reassign::propose::{Candidate, propose};
use kmerge::jobs::reassign::{self, Checked, Standing, throttle};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  kmerge topic reassign --topics events --broker-list 1,2,3 > plan.json
      a plan that spreads the topic over three brokers and moves no more than that takes; nothing is changed
  kmerge topic reassign --reassignment-json-file plan.json
      what the plan would move, a dry run
  kmerge topic reassign --reassignment-json-file plan.json --execute --wait
  kmerge topic reassign --reassignment-json-file plan.json --verify
  kmerge topic reassign --reassignment-json-file plan.json --cancel
  kmerge topic reassign --topics events --broker-list 3 --execute --wait --elect
      proposed and carried out in one go, and then led by the first broker of each list
  kmerge topic reassign --list
  kmerge topic reassign --reassignment-json-file plan.json --execute --throttle 10MiB
      brokers copy no more than so much a second for it, until --verify finds that nothing moves any more
  kmerge topic reassign --reassignment-json-file plan.json --execute --additional --throttle 50MiB
      while it moves: faster

Plans are those of kafka-reassign-partitions, to the byte. The brokers do the moving: Ctrl-C during --wait leaves it running. \
--execute writes where the partitions were to stderr (or to --rollback-file): the plan that brings them back. --verify ends \
with status 1 while a partition is not where the plan wants it. Not made here: moves between a broker's disks.

A throttle is what kafka-reassign-partitions sets: leader. and follower.replication.throttled.rate of the brokers that take part, \
and the copies it holds for in .throttled.replicas of the topics. It must be more than what is written to the partitions, or they \
never get there. It is removed by the --wait that was given with it, at its end, by --verify and by --cancel, if nothing moves in the whole cluster any more; with \
it the rates of all brokers. --preserve-throttles leaves all of it.";

/// No plan of a sane cluster is longer.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Between two looks at a move.
pub(super) const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_LAST: Duration = Duration::from_secs(1);

/// How long a broker may tell of the time before.
pub(super) const HEARSAY: Duration = Duration::from_secs(5);

/// How often a wait says what it waits for.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
#[command(group = ArgGroup::new("source").required(true)
    .args(["reassignment_json_file", "topics_to_move_json_file", "topics", "list"]))]
#[command(group = ArgGroup::new("action").args(["generate", "execute", "verify", "cancel", "list"]))]
pub(super) struct ReassignArgs {
    /// A plan: {"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[3,1]}]}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topics_to_move_json_file", "topics", "broker_list"])]
    reassignment_json_file: Option<PathBuf>,

    /// Topics to propose a plan for: {"version":1,"topics":[{"topic":"t"}]}.
    #[arg(long, value_name = "FILE", requires = "broker_list", conflicts_with = "topics")]
    topics_to_move_json_file: Option<PathBuf>,

    /// Topics to propose a plan for, by name (repeatable, or separated by commas).
    #[arg(
        short,
        long = "topics",
        visible_alias = "topic",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "broker_list"
    )]
    topics: Vec<String>,

    /// The brokers that shall hold the topics, by their ids.
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    broker_list: Vec<i32>,

    /// Racks do not count when a plan is proposed.
    #[arg(long, requires = "broker_list")]
    disable_rack_aware: bool,

    /// Only propose a plan; the default with --broker-list.
    #[arg(long, requires = "broker_list")]
    generate: bool,

    /// Carry the plan out.
    #[arg(long)]
    execute: bool,

    /// Say how the partitions of the plan stand.
    #[arg(long, requires = "reassignment_json_file")]
    verify: bool,

    /// Take the moves of the plan's partitions back.
    #[arg(long, requires = "reassignment_json_file")]
    cancel: bool,

    /// List what moves in the whole cluster.
    #[arg(long, conflicts_with_all = ["reassignment_json_file", "topics_to_move_json_file", "topics", "broker_list"])]
    list: bool,

    /// How many bytes a second each broker may send, and may take, for what moves.
    #[arg(long, value_name = "SIZE", value_parser = parse_throttle, requires = "execute")]
    throttle: Option<u64>,

    /// Leave the throttle as it is, which else goes with the last move.
    #[arg(long, conflicts_with_all = ["generate", "list"])]
    preserve_throttles: bool,

    /// Carry the plan out although other partitions move.
    #[arg(long, requires = "execute")]
    additional: bool,

    /// Wait until every partition is where the plan wants it.
    #[arg(long, requires = "execute")]
    wait: bool,

    /// Then have each partition led by the first broker of its list. (Kafka does that on its own after some minutes.)
    #[arg(long, requires = "wait")]
    elect: bool,

    /// Where to write the plan that brings the partitions back to where they are.
    #[arg(long, value_name = "FILE", requires = "execute")]
    rollback_file: Option<PathBuf>,
}

impl ReassignArgs {
    /// A plan has its own form; what moves and how it stands are tables.
    pub(super) fn tells_a_table(&self) -> bool {
        self.list || self.verify
    }

    pub(super) async fn run(
        self,
        connect: impl AsyncFnOnce() -> anyhow::Result<Cluster>,
        goes_on: &OnceLock<&'static str>,
        cx: &Context,
    ) -> anyhow::Result<()> {
        if self.list {
            return list(&connect().await?, cx).await;
        }
        if let Some(path) = &self.reassignment_json_file {
            // What is wrong with the file is said before anybody is asked.
            let plan = Plan::parse(&read(path)?).map_err(|error| bad_file(path, &error))?;
            let cluster = connect().await?;
            return match (self.verify, self.cancel) {
                (true, _) => verify(&cluster, &plan, self.preserve_throttles, cx).await,
                (_, true) => cancel(&cluster, &plan, self.preserve_throttles, cx).await,
                _ => self.go(&cluster, reassign::check(&cluster, plan).await?, goes_on, cx).await,
            };
        }
        let topics = match &self.topics_to_move_json_file {
            Some(path) => parse_topics(&read(path)?).map_err(|error| bad_file(path, &error))?,
            None => self.topics.clone(),
        };
        for (place, node) in self.broker_list.iter().enumerate() {
            if self.broker_list[..place].contains(node) {
                return Err(UsageError::new(format!("--broker-list names broker {node} twice")).into());
            }
        }
        let cluster = connect().await?;
        let brokers = reassign::check_brokers(&cluster, self.broker_list.clone()).await?;
        let rack_of = |rack: Option<String>| rack.filter(|_| !self.disable_rack_aware);
        let candidates: Vec<Candidate> =
            brokers.into_iter().map(|one| Candidate { node: one.node, rack: rack_of(one.rack) }).collect();
        let current = reassign::current(&cluster, topics.iter().map(String::as_str)).await?;
        let plan = propose(&current, &candidates).map_err(|error| UsageError::new(error.to_string()))?;
        let checked = Checked { plan, current };
        if !self.execute {
            return generated(&checked, cx);
        }
        self.go(&cluster, checked, goes_on, cx).await
    }

    /// A plan that was checked is shown, or carried out.
    async fn go(
        &self,
        cluster: &Cluster,
        checked: Checked,
        goes_on: &OnceLock<&'static str>,
        cx: &Context,
    ) -> anyhow::Result<()> {
        let moves = checked.changes().count();
        if !self.execute {
            let summary = format!(
                "{}{} would move; nothing was changed: --execute carries the plan out",
                changes_text(&checked),
                counted(moves, "partition")
            );
            return cx.finish(&summary, &report(&checked, "dry_run"));
        }
        match &self.rollback_file {
            Some(path) => {
                let text = format!("{}\n", checked.current.to_json());
                std::fs::write(path, text).with_context(|| format!("write --rollback-file {}", path.display()))?;
            }
            None => cx.say(&format!("to bring the partitions back: {}", checked.current.to_json())),
        }
        // It may be begun as soon as it is asked for.
        reassign::may_begin(cluster, self.additional).await?;
        goes_on.get_or_init(|| match self.throttle {
            None => "the partitions go on moving: --verify says how far they are, --cancel takes them back",
            Some(_) => {
                "the partitions go on moving, throttled: --verify says how far they are and removes the throttle at their \
                 end, --cancel takes both back"
            }
        });
        match self.throttle {
            None => reassign::begin(cluster, &checked).await?,
            Some(rate) => begin_throttled(cluster, &checked, rate, cx)
                .await
                .context("a throttle may be set now, which --verify or --cancel removes")?,
        }
        if !self.wait {
            let summary =
                format!("{}{} on the way: --verify says how far", changes_text(&checked), counted(moves, "partition"));
            return cx.finish(&summary, &report(&checked, "begun"));
        }
        let began = Instant::now();
        let throttles = self.throttle.is_some() && !self.preserve_throttles;
        let watched = watch(cluster, &checked.plan, cx).await;
        let took = began.elapsed().as_secs_f64();
        if throttles {
            watched.context("the throttle stays until --verify or --cancel removes it")?;
            if !unthrottle(cluster, &checked.plan, cx).await? {
                cx.say("other partitions move, so the throttle stays: --verify removes it when they are there");
            }
        } else {
            watched?;
        }
        if self.elect {
            let partitions: Vec<TopicPartition> = checked.plan.partitions.keys().cloned().collect();
            if let Some(error) = cluster.elect_preferred(&partitions).await?.into_iter().next() {
                return Err(
                    anyhow::Error::from(error).context("the partitions are there, but not all led as the plan says")
                );
            }
        }
        let mut report = report(&checked, "done");
        report["seconds"] = json!(took);
        cx.finish(&format!("{}{} moved in {took:.1} s", changes_text(&checked), counted(moves, "partition")), &report)
    }
}

async fn begin_throttled(cluster: &Cluster, checked: &Checked, rate: u64, cx: &Context) -> Result<(), JobError> {
    let brokers: Vec<i32> = throttle::set(cluster, checked, rate).await?.into_iter().collect();
    if !brokers.is_empty() {
        cx.say(&format!("brokers {} copy at most {} a second of what moves", ids(&brokers), show_size(rate)));
    }
    reassign::begin(cluster, checked).await
}

/// Waits until all of a plan is there.
async fn watch(cluster: &Cluster, plan: &Plan, cx: &Context) -> anyhow::Result<()> {
    let (mut pause, mut told) = (LOOK_FIRST, Instant::now());
    let mut still_since = None;
    loop {
        let standing = reassign::standing(cluster, plan).await?;
        let moving = standing.values().filter(|one| matches!(one, Standing::Moving(_))).count();
        if moving == 0 {
            // Brokers hear of it a moment after the controller has said so.
            let since: &Instant = still_since.get_or_insert_with(Instant::now);
            match arrived(&standing) {
                Err(_) if since.elapsed() < HEARSAY => {}
                arrived => return arrived,
            }
        } else {
            still_since = None;
        }
        if told.elapsed() >= TELL_EVERY {
            let there = standing.len() - moving;
            cx.say(&format!("{there} of {} there, the others on the way", counted(standing.len(), "partition")));
            told = Instant::now();
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_LAST);
    }
}

/// Nothing moves any more: is all of it where it should be?
pub(super) fn arrived(standing: &BTreeMap<TopicPartition, Standing>) -> anyhow::Result<()> {
    let elsewhere = standing.iter().find_map(|(at, one)| match one {
        Standing::Elsewhere(replicas) => Some((at, replicas)),
        _ => None,
    });
    match elsewhere {
        None => Ok(()),
        Some((at, replicas)) => Err(JobError::Refused(format!(
            "nothing moves any more, and {at} is on {}, not where the plan says: somebody has taken it back or moved it on",
            ids(replicas)
        ))
        .into()),
    }
}

fn parse_throttle(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("with nothing a second nothing would move".to_owned()),
        bytes => Ok(bytes as u64),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let reading = || format!("read {}", path.display());
    let file = std::fs::File::open(path).map_err(|error| UsageError::new(format!("{}: {error}", reading())))?;
    let mut text = String::new();
    use std::io::Read as _;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(reading)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(UsageError::new(format!("{} is longer than a plan can be", path.display())).into());
    }
    Ok(text)
}

fn bad_file(path: &Path, error: &kmerge::jobs::reassign::plan::PlanError) -> UsageError {
    UsageError::new(format!("{}: {error}", visible(&path.display().to_string())))
}
