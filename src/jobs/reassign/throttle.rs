//! How fast brokers copy while partitions move: set before a plan begins, taken back when nothing moves any more.
//!
//! A throttle is two rates of each broker that takes part (what it sends as leader, what it takes as follower) and, of each topic
//! that moves, the list of the copies that the rates hold for: at the sending end those that are there, at the taking end those
//! that come. Other copying, that of replicas which have fallen behind for instance, is not held up. The same settings as
//! `kafka-reassign-partitions` makes, so each tool takes back what the other has set.

use super::Checked;
use crate::base::place::TopicPartition;
use crate::client::{Change, ClientError, Cluster, ConfigOf, Moving};
use std::collections::{BTreeMap, BTreeSet};

const RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const LEADERS: &str = "leader.replication.throttled.replicas";
const FOLLOWERS: &str = "follower.replication.throttled.replicas";

/// The ends of the copying that a plan means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ends {
    /// Of each topic the copies that are read, and those that are written, as its settings have them.
    topics: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
    brokers: BTreeSet<i32>,
}

impl Ends {
    /// Those of a plan, where these move already.
    fn of(checked: &Checked, moving: &BTreeMap<TopicPartition, Moving>) -> Self {
        let mut ends = Self::default();
        for (at, from, to) in checked.changes() {
            let coming = moving.get(at).map(|one| one.adding.as_slice()).unwrap_or_default();
            ends.add(at, &without(from, coming), to);
        }
        // The settings of a topic are replaced: what moves of it already stays throttled.
        for (at, one) in moving {
            if ends.topics.contains_key(&*at.topic) {
                ends.add(at, &without(&one.replicas, &one.adding), &one.adding);
            }
        }
        ends
    }

    fn add(&mut self, at: &TopicPartition, from: &[i32], to: &[i32]) {
        let (leaders, followers) = self.topics.entry(at.topic.to_string()).or_default();
        let pair = |node: &i32| format!("{}:{node}", at.partition);
        leaders.extend(from.iter().map(pair));
        followers.extend(to.iter().filter(|node| !from.contains(node)).map(pair));
        self.brokers.extend(from.iter().chain(to));
    }
}

fn without(nodes: &[i32], others: &[i32]) -> Vec<i32> {
    nodes.iter().copied().filter(|node| !others.contains(node)).collect()
}

/// Sets a rate, in bytes a second, for what the plan moves. Gives the brokers that it holds for.
pub async fn set(cluster: &Cluster, checked: &Checked, rate: u64) -> Result<BTreeSet<i32>, ClientError> {
    let ends = Ends::of(checked, &cluster.reassignments().await?);
    for (topic, (leaders, followers)) in ends.topics {
        let list = |pairs: BTreeSet<String>| Change::Set(pairs.into_iter().collect::<Vec<_>>().join(","));
        let changes = [(LEADERS.to_owned(), list(leaders)), (FOLLOWERS.to_owned(), list(followers))];
        cluster.alter_configs(&ConfigOf::Topic(topic), &changes).await?;
    }
    let changes = RATES.map(|name| (name.to_owned(), Change::Set(rate.to_string())));
    // One that is down copies nothing, and cannot be told: a move away from it is held up by the others.
    let up: BTreeSet<i32> = super::brokers(cluster).await?.into_iter().map(|broker| broker.node).collect();
    let brokers: BTreeSet<i32> = ends.brokers.intersection(&up).copied().collect();
    for node in &brokers {
        cluster.alter_configs(&ConfigOf::Broker(*node), &changes).await?;
    }
    Ok(brokers)
}

/// Takes back what throttles these topics and, if there is such a thing, the rates of all brokers, whoever has set them. Nothing may
/// move any more. Gives whose settings there were.
pub async fn take_back<'a>(
    cluster: &Cluster,
    topics: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<ConfigOf>, ClientError> {
    let mut lists = Vec::new();
    for topic in topics {
        lists.extend(own(cluster, ConfigOf::Topic(topic.to_owned()), [LEADERS, FOLLOWERS]).await?);
    }
    // Rates that were not made for these topics are somebody else's.
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let mut set = Vec::new();
    for broker in super::brokers(cluster).await? {
        set.extend(own(cluster, ConfigOf::Broker(broker.node), RATES).await?);
    }
    // The topics last: by them it is known that there is something to take back.
    set.extend(lists);
    for (of, changes) in &set {
        cluster.alter_configs(of, changes).await?;
    }
    Ok(set.into_iter().map(|(of, _)| of).collect())
}

/// What deletes those of these settings that are there. Only that is deleted: who may look and not change settings can ask how a
/// plan stands.
async fn own(
    cluster: &Cluster,
    of: ConfigOf,
    names: [&str; 2],
) -> Result<Option<(ConfigOf, Vec<(String, Change)>)>, ClientError> {
    let own = cluster.settings(&of).await?.into_iter().filter(|one| one.own && names.contains(&one.name.as_str()));
    let changes: Vec<_> = own.map(|one| (one.name, Change::Delete)).collect();
    Ok(if changes.is_empty() { None } else { Some((of, changes)) })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::*;

    fn plan(partitions: &[(&str, i32, &[i32])]) -> Plan {
        let partitions =
            partitions.iter().map(|(topic, index, nodes)| (TopicPartition::new(*topic, *index), nodes.to_vec()));
        Plan { partitions: partitions.collect(), ..Plan::default() }
    }

    fn ends(topic: &str, ends: &Ends) -> (String, String) {
        let join = |pairs: &BTreeSet<String>| pairs.iter().cloned().collect::<Vec<_>>().join(",");
        ends.topics.get(topic).map(|(leaders, followers)| (join(leaders), join(followers))).unwrap_or_default()
    }

    #[test]
    fn what_is_there_is_throttled_as_it_is_read_and_what_comes_as_it_is_written() {
        let current = plan(&[("a", 0, &[1, 2]), ("a", 1, &[2, 3]), ("b", 0, &[1])]);
        let checked = Checked { plan: plan(&[("a", 0, &[3, 1]), ("a", 1, &[2, 3]), ("b", 0, &[4])]), current };
        let found = Ends::of(&checked, &BTreeMap::new());
        assert_eq!(ends("a", &found), ("0:1,0:2".into(), "0:3".into()), "partition 1 stays");
        assert_eq!(ends("b", &found), ("0:1".into(), "0:4".into()));
        assert_eq!(found.brokers, BTreeSet::from([1, 2, 3, 4]));
    }

    #[test]
    fn who_is_on_the_way_already_is_read_from_by_nobody_and_stays_throttled() {
        // Partition 0 moves from 1 to 2, and is now to go to 3 instead; partition 1 moves to 2 and goes on.
        let checked = Checked { plan: plan(&[("a", 0, &[3])]), current: plan(&[("a", 0, &[2, 1])]) };
        let to_2 = Moving { replicas: vec![2, 1], adding: vec![2], removing: vec![1] };
        let moving = BTreeMap::from([
            (TopicPartition::new("a", 0), to_2.clone()),
            (TopicPartition::new("a", 1), to_2.clone()),
            (TopicPartition::new("other", 0), to_2),
        ]);
        let found = Ends::of(&checked, &moving);
        assert_eq!(ends("a", &found), ("0:1,1:1".into(), "0:2,0:3,1:2".into()));
        assert_eq!(ends("other", &found), Default::default());
    }
}
