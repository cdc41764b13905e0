//! What `kmerge topic reassign` shows: plans, moves under way, how far a plan is; and moves taken back.

use super::reassign::{HEARSAY, LOOK_FIRST, arrived};
use crate::cli::context::Context;
use crate::cli::output;
use crate::cli::table::{Table, counted, ids};
use anyhow::Context as _;
use kmerge::client::Cluster;
use kmerge::jobs::error::JobError;
use kmerge::jobs::reassign::plan::Plan;
use kmerge::jobs::reassign::{self, Checked, Standing, throttle};
use serde_json::{Value, json};
use std::time::Instant;

/// A plan on stdout, alone, so that it can be kept; what it means on stderr.
pub(super) fn generated(checked: &Checked, cx: &Context) -> anyhow::Result<()> {
    let moves = checked.changes().count();
    cx.say(changes_text(checked).trim_end());
    cx.say(&format!("{} would move; nothing was changed: --execute carries the plan out", counted(moves, "partition")));
    match cx.global.output {
        crate::cli::global::OutputForm::Json => output::write_stdout(&format!("{}\n", report(checked, "proposed"))),
        _ => output::write_stdout(&format!("{}\n", checked.plan.to_json())),
    }
}

pub(super) fn report(checked: &Checked, state: &str) -> Value {
    json!({
        "state": state, "moves": checked.changes().count(), "partitions": checked.plan.partitions.len(),
        "current": checked.current.to_json(), "proposed": checked.plan.to_json(),
    })
}

/// What moves from where to where, as a table; nothing where nothing does.
pub(super) fn changes_text(checked: &Checked) -> String {
    let mut table = Table::new(1, &["TOPIC", "PARTITION", "FROM", "TO"]);
    for (at, from, to) in checked.changes() {
        table.row([at.topic.to_string(), at.partition.to_string(), ids(from), ids(to)]);
    }
    if checked.changes().next().is_some() { table.text() } else { String::new() }
}

pub(super) async fn list(cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
    let moving = cluster.reassignments().await?;
    let mut table = Table::new(1, &["TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING"]);
    let mut list = Vec::new();
    for (at, one) in &moving {
        let topic = at.topic.to_string();
        table.row([topic, at.partition.to_string(), ids(&one.replicas), ids(&one.adding), ids(&one.removing)]);
        list.push(json!({
            "topic": &*at.topic, "partition": at.partition, "replicas": one.replicas, "adding": one.adding,
            "removing": one.removing,
        }));
    }
    cx.print_table(&table, &json!({ "moving": list }))
}

/// Takes the throttle back, unless something moves: that may be what it was made for. `false` if so.
pub(super) async fn unthrottle(cluster: &Cluster, plan: &Plan, cx: &Context) -> anyhow::Result<bool> {
    if !cluster.reassignments().await?.is_empty() {
        return Ok(false);
    }
    let taken = throttle::take_back(cluster, plan.topics()).await.context("remove the throttle")?;
    if !taken.is_empty() {
        let of: Vec<String> = taken.iter().map(ToString::to_string).collect();
        cx.say(&format!("the throttle is removed from {}", of.join(", ")));
    }
    Ok(true)
}

pub(super) async fn verify(cluster: &Cluster, plan: &Plan, preserve: bool, cx: &Context) -> anyhow::Result<()> {
    let mut standing = reassign::standing(cluster, plan).await?;
    let began = Instant::now();
    // What has just ended is known to the controller first, and a broker may tell of the time before.
    while arrived(&standing).is_err() && began.elapsed() < HEARSAY / 5 {
        tokio::time::sleep(LOOK_FIRST).await;
        standing = reassign::standing(cluster, plan).await?;
    }
    let mut table = Table::new(1, &["TOPIC", "PARTITION", "REPLICAS", "PLAN", "STATE"]);
    let (mut list, mut missing) = (Vec::new(), 0);
    for (at, one) in &standing {
        let target = plan.partitions.get(at).cloned().unwrap_or_default();
        let (replicas, state) = match one {
            Standing::There => (&target, "there"),
            Standing::Moving(moving) => (&moving.replicas, "moving"),
            Standing::Elsewhere(replicas) => (replicas, "elsewhere"),
        };
        missing += usize::from(*one != Standing::There);
        table.row([at.topic.to_string(), at.partition.to_string(), ids(replicas), ids(&target), state.to_owned()]);
        list.push(json!({
            "topic": &*at.topic, "partition": at.partition, "replicas": replicas, "plan": target, "state": state,
        }));
    }
    cx.print_table(&table, &json!({ "complete": missing == 0, "partitions": list }))?;
    if !preserve {
        unthrottle(cluster, plan, cx).await?;
    }
    match missing {
        0 => Ok(()),
        _ => {
            let of = counted(standing.len(), "partition");
            Err(JobError::Refused(format!("{missing} of {of} not where the plan wants them")).into())
        }
    }
}

pub(super) async fn cancel(cluster: &Cluster, plan: &Plan, preserve: bool, cx: &Context) -> anyhow::Result<()> {
    let taken = reassign::take_back(cluster, plan).await?;
    if !preserve {
        unthrottle(cluster, plan, cx).await?;
    }
    let list: Vec<Value> = taken.iter().map(|at| json!({ "topic": &*at.topic, "partition": at.partition })).collect();
    let summary = match taken.len() {
        0 => "none of the plan's partitions moves".to_owned(),
        count => format!("{} taken back", counted(count, "move")),
    };
    cx.finish(&summary, &json!({ "cancelled": list }))
}
