//! Partitions move to other brokers: plans read and proposed, checked against the cluster before anything is sent, carried out,
//! watched, taken back.
//!
//! ```text
//! plan (a file, or proposed) ── check: brokers, partitions, other moves ── begin ── watch ── over
//!                                              │ refused by name                      └ taken back
//! ```
//!
//! The brokers do the moving. Whoever stops watching changes nothing.

pub mod plan;
pub mod propose;
pub mod throttle;

use super::error::JobError;
use crate::base::place::TopicPartition;
use crate::client::{BrokerInfo, ClientError, Cluster, LogDir, Moving};
use plan::Plan;
use std::collections::BTreeMap;

/// A plan that was held against the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Where the plan wants the partitions.
    pub plan: Plan,
    /// Where they are: what brings them back.
    pub current: Plan,
}

/// How a partition of a plan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is where the plan wants it.
    There,
    /// It moves.
    Moving(Moving),
    /// It does not move, and is held by others than the plan says.
    Elsewhere(Vec<i32>),
}

impl Checked {
    /// The partitions that are not where the plan wants them, which are those that would move.
    pub fn changes(&self) -> impl Iterator<Item = (&TopicPartition, &Vec<i32>, &Vec<i32>)> {
        let changes =
            self.plan.partitions.iter().filter_map(|(at, to)| Some((at, self.current.partitions.get(at)?, to)));
        changes.filter(|(_, from, to)| from != to)
    }
}

/// Where the partitions of these topics are now.
pub async fn current(cluster: &Cluster, topics: impl IntoIterator<Item = &str>) -> Result<Plan, ClientError> {
    let mut partitions = BTreeMap::new();
    for topic in topics {
        let info = cluster.topic(topic).await?;
        for one in info.partitions {
            partitions.insert(TopicPartition::new(info.name.as_str(), one.index), one.replicas);
        }
    }
    Ok(Plan { partitions, ..Plan::default() })
}

/// The brokers there are now.
pub async fn brokers(cluster: &Cluster) -> Result<Vec<BrokerInfo>, ClientError> {
    // Asking for topics brings the brokers along, as they are now.
    cluster.topics().await?;
    Ok(cluster.brokers())
}

/// Holds a plan against the cluster: every broker and every partition it names must be there.
pub async fn check(cluster: &Cluster, plan: Plan) -> Result<Checked, JobError> {
    let all = current(cluster, plan.topics()).await?;
    for at in plan.partitions.keys() {
        if !all.partitions.contains_key(at) {
            let count = all.partitions.keys().filter(|one| one.topic == at.topic).count();
            return Err(ClientError::UnknownPartition { partition: at.clone(), count }.into());
        }
    }
    check_brokers(cluster, plan.brokers().into_iter().collect()).await?;
    check_folders(cluster, &plan).await?;
    let current = all.partitions.into_iter().filter(|(at, _)| plan.partitions.contains_key(at)).collect();
    Ok(Checked { plan, current: Plan { partitions: current, ..Plan::default() } })
}

/// Refuses folders that would have to be moved to. One that is its broker's only folder, or where the copy lies already, asks
/// for nothing.
async fn check_folders(cluster: &Cluster, plan: &Plan) -> Result<(), JobError> {
    let mut asked: BTreeMap<i32, Vec<LogDir>> = BTreeMap::new();
    for ((at, node), folder) in &plan.folders {
        if !asked.contains_key(node) {
            asked.insert(*node, cluster.log_dirs(*node).await?);
        }
        let held = asked.get(node).map(Vec::as_slice).unwrap_or_default();
        let is_only = matches!(held, [one] if one.path == *folder);
        let lies_there =
            held.iter().any(|one| one.path == *folder && one.copies.iter().any(|copy| copy.partition == *at));
        if !is_only && !lies_there {
            return Err(JobError::Refused(format!(
                "{at} is to lie in {} of broker {node}: moves between a broker's folders are not made here, \"any\" leaves \
                 the choice to the broker (kafka-reassign-partitions makes them). Nothing was changed",
                crate::base::text::visible(folder)
            )));
        }
    }
    Ok(())
}

/// Refuses brokers that are not there; gives those that are, in the order they were named.
pub async fn check_brokers(cluster: &Cluster, wanted: Vec<i32>) -> Result<Vec<BrokerInfo>, JobError> {
    let there = brokers(cluster).await?;
    let mut found = Vec::with_capacity(wanted.len());
    for node in wanted {
        match there.iter().find(|broker| broker.node == node) {
            Some(broker) => found.push(broker.clone()),
            None => {
                let ids: Vec<String> = there.iter().map(|broker| broker.node.to_string()).collect();
                return Err(JobError::Refused(format!(
                    "there is no broker {node}; there are {}. Nothing was changed",
                    ids.join(", ")
                )));
            }
        }
    }
    Ok(found)
}

/// Refuses to begin where partitions move already, unless a plan comes in addition to them.
pub async fn may_begin(cluster: &Cluster, in_addition: bool) -> Result<(), JobError> {
    let moving = cluster.reassignments().await?;
    if let Some(at) = moving.keys().next().filter(|_| !in_addition) {
        return Err(JobError::Refused(format!(
            "{} partition(s) are being moved already ({at} is one): wait for them, take them back with --cancel, or add this \
             plan to them with --additional. Nothing was changed",
            moving.len()
        )));
    }
    Ok(())
}

/// Begins a plan that was checked.
pub async fn begin(cluster: &Cluster, checked: &Checked) -> Result<(), JobError> {
    let wanted: Vec<_> = checked.plan.partitions.iter().map(|(at, to)| (at.clone(), Some(to.clone()))).collect();
    refused(cluster.reassign(&wanted).await?, wanted.len(), "began to move")
}

/// Takes back the moves of those partitions of a plan that are on their way; gives them.
pub async fn take_back(cluster: &Cluster, plan: &Plan) -> Result<Vec<TopicPartition>, JobError> {
    let moving = cluster.reassignments().await?;
    let wanted: Vec<_> =
        plan.partitions.keys().filter(|at| moving.contains_key(*at)).map(|at| (at.clone(), None)).collect();
    if !wanted.is_empty() {
        refused(cluster.reassign(&wanted).await?, wanted.len(), "were taken back")?;
    }
    Ok(wanted.into_iter().map(|(at, _)| at).collect())
}

/// The first refusal, with how many others there are.
fn refused(mut refusals: Vec<ClientError>, of: usize, done: &str) -> Result<(), JobError> {
    if refusals.is_empty() {
        return Ok(());
    }
    let count = refusals.len();
    let first = refusals.swap_remove(0);
    if count == of {
        return Err(first.into());
    }
    Err(JobError::Refused(format!("{first}; {count} of {of} partitions were refused, the others {done}")))
}

/// How each partition of a plan stands.
pub async fn standing(cluster: &Cluster, plan: &Plan) -> Result<BTreeMap<TopicPartition, Standing>, ClientError> {
    // Asked for first: what ends in between is found where it was going.
    let mut moving = cluster.reassignments().await?;
    let current = current(cluster, plan.topics()).await?;
    let mut found = BTreeMap::new();
    for (at, to) in &plan.partitions {
        let standing = match (moving.remove(at), current.partitions.get(at)) {
            (Some(moving), _) => Standing::Moving(moving),
            (None, Some(replicas)) if replicas == to => Standing::There,
            (None, replicas) => Standing::Elsewhere(replicas.cloned().unwrap_or_default()),
        };
        found.insert(at.clone(), standing);
    }
    Ok(found)
}
