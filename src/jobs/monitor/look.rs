//! One look: what is asked of the cluster, and in which order.
//!
//! ```text
//!  topics, groups ──▶ ends, starts, sizes ──▶ last stable offsets ──▶ whose transactions, how old the next records
//! ```
//!
//! What is asked once for each group, record or transaction has a time when the look is over (`within`); all else is a number of
//! questions that does not grow.
//!
//! Ends are asked for before last stable offsets: whatever ends in between, a partition is taken for held back only if it is.

use super::snapshot::{BrokerSeen, GroupSeen, Held, Position, Seen, Snapshot, TopicSeen};
use super::{JobError, Monitor};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::client::{ClientError, Cluster, FirstRecord, GroupListed, LogDir, OffsetAt, Producer, TopicInfo};
use crate::wire::Uuid;
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Questions about groups, or about records, that are on their way at once.
const AT_ONCE: usize = 8;

/// Reasons that are told; a cluster in trouble has the same for each of a thousand partitions.
const PROBLEMS_MAX: usize = 20;

/// A place in a log, for good: the topic's id tells it from one of the same name.
pub(super) type At = (Uuid, TopicPartition, i64);

/// Why something is not known; each reason once.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note<T, E: Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let said = format!("{what}: {error}");
                if self.0.len() < PROBLEMS_MAX && !self.0.contains(&said) {
                    self.0.push(said);
                }
                None
            }
        }
    }
}

impl Monitor {
    pub(super) async fn snapshot(&mut self) -> Result<Snapshot, JobError> {
        let mut problems = Problems::default();
        let (cluster, over) = (&self.cluster, Instant::now() + self.look_time);
        let infos = cluster.topics().await?;
        let internal: HashSet<String> = infos.iter().filter(|one| one.internal).map(|one| one.name.clone()).collect();
        let infos: Vec<TopicInfo> =
            infos.into_iter().filter(|one| self.settings.wants_topic(&one.name, one.internal)).collect();
        let led: Vec<TopicPartition> = infos.iter().flat_map(led_partitions).collect();
        let brokers = cluster.brokers();
        let nodes: Vec<i32> = brokers.iter().map(|broker| broker.node).collect();
        let sizes = futures::future::join_all(nodes.iter().map(|node| cluster.log_dirs(*node)));
        let ends = async {
            // Now: most are told at once, and one broker that is silent keeps all of them waiting.
            let (at, now_ms) = (self.began.elapsed(), now_ms());
            let ends = cluster.offsets_as_told(&led, OffsetAt::Latest).await;
            (ends, at, now_ms, cluster.offsets_as_told(&led, OffsetAt::LastStable).await)
        };
        let starts = cluster.offsets_as_told(&led, OffsetAt::Earliest);
        let ((ends, at, now_ms, stables), starts, sizes, (listed, groups)) =
            tokio::join!(ends, starts, sizes, self.groups(over, &mut problems));

        let mut seen: HashMap<TopicPartition, Seen> = HashMap::with_capacity(led.len());
        for (((partition, end), stable), start) in led.iter().zip(ends).zip(stables).zip(starts) {
            let found = Seen {
                end: problems.note("ends", end),
                stable: problems.note("last stable offsets", stable),
                start: problems.note("starts", start),
                ..Seen::default()
            };
            seen.insert(partition.clone(), found);
        }
        let sizes: HashMap<i32, Vec<LogDir>> = nodes
            .into_iter()
            .zip(sizes)
            .filter_map(|(node, dirs)| Some((node, problems.note(&format!("sizes at broker {node}"), dirs)?)))
            .collect();
        let held = self.holders(over, &seen).await;
        let ids: HashMap<&str, Uuid> = infos.iter().map(|info| (info.name.as_str(), info.topic_id)).collect();
        let groups = self.positions(groups, &seen, &internal);
        let groups = Self::timed((&self.cluster, over), groups, &mut self.times, &seen, &ids, &mut problems).await;

        let copies = copies(&sizes);
        let topics = infos.iter().map(|info| {
            let name: Arc<str> = info.name.as_str().into();
            let partitions = info.partitions.iter().map(|one| {
                let at = TopicPartition::new(name.clone(), one.index);
                Seen {
                    leader: one.leader,
                    replicas: one.replicas.clone(),
                    isr: one.isr.clone(),
                    log_bytes: copies.get(&(one.leader, &at)).copied(),
                    held_by: held.get(&at).cloned(),
                    ..seen.get(&at).cloned().unwrap_or_default()
                }
            });
            TopicSeen { partitions: partitions.collect(), id: info.topic_id, name: name.clone() }
        });
        let topics = topics.collect();
        let brokers = brokers.into_iter().map(|broker| {
            let whole = |dirs: &Vec<LogDir>| dirs.iter().flat_map(|dir| &dir.copies).map(|copy| copy.bytes).sum();
            BrokerSeen {
                node: broker.node,
                address: broker.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
                log_bytes: sizes.get(&broker.node).map(whole),
            }
        });
        let brokers = brokers.collect();
        let cluster_id = self.cluster.cluster_id();
        Ok(Snapshot { at, now_ms, cluster_id, brokers, topics, groups, listed, problems: problems.0 })
    }

    /// The names of the groups that are looked at, if all are known, and their committed offsets, as far as those are.
    async fn groups(
        &self,
        over: Instant,
        problems: &mut Problems,
    ) -> (Option<Vec<String>>, Vec<(GroupSeen, BTreeMap<TopicPartition, i64>)>) {
        let (mut listed, failed): (Vec<GroupListed>, _) = self.cluster.groups_as_told().await;
        listed.retain(|one| self.settings.wants_group(&one.group));
        let names = failed.is_empty().then(|| listed.iter().map(|one| one.group.clone()).collect());
        for (node, error) in failed {
            problems.note::<(), _>(&format!("groups at broker {node}"), Err(error));
        }
        let asked = listed.into_iter().map(|one| async move {
            let (described, offsets) = tokio::join!(
                within(over, self.cluster.group(&one.group)),
                within(over, self.cluster.group_offsets(&one.group))
            );
            (one, described, offsets)
        });
        let answers: Vec<_> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut groups = Vec::with_capacity(answers.len());
        for (listed, described, offsets) in answers {
            let about = format!("group {}", crate::base::text::visible(&listed.group));
            let described = problems.note(&about, described);
            let Some(offsets) = problems.note(&about, offsets) else { continue };
            let described = match described {
                // Deleted since it was listed.
                Some(None) => continue,
                described => described.flatten(),
            };
            let seen = GroupSeen {
                state: described.as_ref().map_or(listed.state, |group| group.state.clone()),
                members: described.map(|group| group.members.len()),
                name: listed.group,
                positions: Vec::new(),
            };
            groups.push((seen, offsets.into_iter().map(|(at, committed)| (at, committed.offset)).collect()));
        }
        (names, groups)
    }

    /// Where the groups are. One that reads none of the topics that were asked for is left out.
    fn positions(
        &self,
        groups: Vec<(GroupSeen, BTreeMap<TopicPartition, i64>)>,
        seen: &HashMap<TopicPartition, Seen>,
        internal: &HashSet<String>,
    ) -> Vec<GroupSeen> {
        let mut found = Vec::with_capacity(groups.len());
        for (mut group, offsets) in groups {
            // A topic that is gone counts as well: its end is not known.
            let wanted = offsets
                .into_iter()
                .filter(|(at, _)| self.settings.wants_topic(&at.topic, internal.contains(&*at.topic)));
            let positions = wanted.map(|(partition, committed)| {
                let end = seen.get(&partition).and_then(|seen| seen.end);
                Position { partition, committed, end, next: None }
            });
            group.positions = positions.collect();
            if !group.positions.is_empty() || self.settings.topics.is_empty() {
                found.push(group);
            }
        }
        found
    }

    /// Finds out how old the records are that the groups read next.
    async fn timed(
        (cluster, over): (&Cluster, Instant),
        mut groups: Vec<GroupSeen>,
        known: &mut HashMap<At, i64>,
        seen: &HashMap<TopicPartition, Seen>,
        ids: &HashMap<&str, Uuid>,
        problems: &mut Problems,
    ) -> Vec<GroupSeen> {
        // Where the log does not go back to the offset, what the group will read next is at its start.
        let next = |one: &Position| -> Option<(At, i64)> {
            let end = one.end.filter(|end| one.committed < *end)?;
            let start = seen.get(&one.partition).and_then(|seen| seen.start).unwrap_or(0);
            let id = ids.get(&*one.partition.topic)?;
            Some(((*id, one.partition.clone(), one.committed.max(start)), end))
        };
        let wanted: HashMap<At, i64> = groups.iter().flat_map(|group| &group.positions).filter_map(next).collect();
        known.retain(|at, _| wanted.contains_key(at));
        let missing: Vec<(At, i64)> = wanted.into_iter().filter(|(at, _)| !known.contains_key(at)).collect();
        let asked = missing.into_iter().map(|(at, end)| async move {
            let first = within(over, cluster.first_record_in(&at.1, at.2..end)).await;
            (at, first)
        });
        let mut answers = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut empty: HashSet<At> = HashSet::new();
        while let Some((at, first)) = answers.next().await {
            match problems.note("the next record of a group", first) {
                Some(FirstRecord::Written(time)) => drop(known.insert(at, time)),
                // That may change without the group moving: it is not remembered.
                Some(FirstRecord::Nothing) => drop(empty.insert(at)),
                Some(FirstRecord::NotFound) | None => {}
            }
        }
        for one in groups.iter_mut().flat_map(|group| &mut group.positions) {
            one.next = next(one).and_then(|(at, _)| match known.get(&at) {
                Some(time) => Some(FirstRecord::Written(*time)),
                None => empty.contains(&at).then_some(FirstRecord::Nothing),
            });
        }
        groups
    }

    /// Whose transactions hold readers back, of the partitions where they did so in the look before already.
    async fn holders(&self, over: Instant, seen: &HashMap<TopicPartition, Seen>) -> HashMap<TopicPartition, Held> {
        let held = seen.iter().filter_map(|(at, seen)| Some((at, seen.held_from()?.0)));
        let held = held.filter(|(at, from)| self.history.held_from(at) == Some(*from));
        let asked = held.map(|(at, from)| async move {
            // A broker need not tell, nor need we be allowed to ask.
            let producer = timeout_at(over, self.cluster.open_transaction(at, from)).await.ok()??;
            Some((at.clone(), producer))
        });
        let found: Vec<Option<(TopicPartition, Producer)>> =
            futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        let mut transactions: HashMap<i64, Option<(String, Option<i64>)>> = HashMap::new();
        let mut holders = HashMap::new();
        for (at, producer) in found.into_iter().flatten() {
            let transaction = match transactions.get(&producer.id) {
                Some(known) => known.clone(),
                None => {
                    let kept = within(over, self.cluster.transaction_of(producer.id)).await.unwrap_or_else(|error| {
                        tracing::debug!(%error, producer = producer.id, "whose transaction it is is not told");
                        None
                    });
                    let kept = kept.map(|kept| (kept.id, kept.began_ms));
                    transactions.insert(producer.id, kept.clone());
                    kept
                }
            };
            holders.insert(at, Held { producer, transaction });
        }
        holders
    }
}

/// The answer, or in words why there is none before the look is over.
async fn within<T>(over: Instant, question: impl Future<Output = Result<T, ClientError>>) -> Result<T, String> {
    match timeout_at(over, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("the look was over before that was told".to_owned()),
    }
}

fn led_partitions(info: &TopicInfo) -> impl Iterator<Item = TopicPartition> {
    let name: Arc<str> = info.name.as_str().into();
    info.partitions.iter().filter(|one| one.leader >= 0).map(move |one| TopicPartition::new(name.clone(), one.index))
}

/// The bytes of each broker's copy of each partition. A copy that moves to another folder is there twice: the larger one counts.
fn copies(sizes: &HashMap<i32, Vec<LogDir>>) -> HashMap<(i32, &TopicPartition), u64> {
    let mut copies = HashMap::new();
    for (node, dirs) in sizes {
        for copy in dirs.iter().flat_map(|dir| &dir.copies) {
            let bytes = copies.entry((*node, &copy.partition)).or_insert(0);
            *bytes = copy.bytes.max(*bytes);
        }
    }
    copies
}
