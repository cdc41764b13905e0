//! One look: what is asked of the cluster, and in which order.
//!
//! ```text
//!  topics, groups ──▶ ends, starts, sizes ──▶ last stable offsets ──▶ whose transactions, how old the next records
//! ```
//!
//! What is asked once for each group, record or transaction has a time when it is over (`within`): groups in two thirds of the look,
//! records and transactions, side by side, in the rest. All else is a number of questions that does not grow. Brokers are asked side by
//! side, and one that leaves a question unanswered is asked nothing more of the sort in this look (`brokers.rs`).
//!
//! Ends are asked for before last stable offsets: whatever ends in between, a partition is taken for held back only if it is.

use super::brokers::{AT_ONCE, Silence, side_by_side, within};
use super::history::History;
use super::snapshot::{BrokerSeen, GroupSeen, Held, Position, Seen, Snapshot, TopicSeen};
use super::{JobError, Monitor};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::client::{Cluster, FirstRecord, GroupListed, LogDir, OffsetAt, Producer, TopicInfo};
use crate::wire::Uuid;
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Reasons that are told; a cluster in trouble has the same for each of a thousand partitions.
const PROBLEMS_MAX: usize = 20;

/// A place in a log, for good: the topic's id tells it from one of the same name.
pub(super) type At = (Uuid, TopicPartition, i64);

/// Why something is not known; each reason once.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Of brokers that were asked no more.
    fn silent(&mut self, what: &str, silences: Vec<Silence>) {
        for Silence { node, left } in silences.into_iter().filter(|silence| silence.left > 0) {
            let said =
                format!("broker {node} has left a question unanswered, and was not asked about {left} more {what}");
            self.note::<(), _>("silence", Err(said));
        }
    }

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
        let (cluster, began) = (&self.cluster, Instant::now());
        let (groups_over, over) = (began + self.look_time * 2 / 3, began + self.look_time);
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
            tokio::join!(ends, starts, sizes, self.groups(groups_over, &mut problems));

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
        let leaders = leaders(&infos);
        let groups = self.positions(groups, &seen, &internal);
        let (held, groups) = tokio::join!(
            Self::holders((&self.cluster, over), &self.history, &seen, &leaders),
            Self::timed((&self.cluster, over), groups, &mut self.times, &seen, &leaders, &mut problems)
        );

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
        let (mut listed, failed) = self.cluster.groups_as_told().await;
        listed.retain(|(one, _)| self.settings.wants_group(&one.group));
        let names = failed.is_empty().then(|| listed.iter().map(|(one, _)| one.group.clone()).collect());
        for (node, error) in failed {
            problems.note::<(), _>(&format!("groups at broker {node}"), Err(error));
        }
        let cluster = &self.cluster;
        let ask = |node, one: GroupListed| async move {
            let (described, offsets) = tokio::join!(
                within(over, cluster.group_as_told(node, &one.group)),
                within(over, cluster.group_offsets_as_told(node, &one.group))
            );
            let is_silent = [described.as_ref().err(), offsets.as_ref().err()].iter().flatten().any(|no| no.is_silence);
            ((one, described, offsets), is_silent)
        };
        let (mut answers, silences) = side_by_side(listed.into_iter().map(|(one, node)| (node, one)), ask).await;
        answers.sort_by(|(a, ..), (b, ..)| a.group.cmp(&b.group));
        problems.silent("groups", silences);
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
        leaders: &Leaders,
        problems: &mut Problems,
    ) -> Vec<GroupSeen> {
        // Where the log does not go back to the offset, what the group will read next is at its start.
        let next = |one: &Position| -> Option<(At, i64)> {
            let end = one.end.filter(|end| one.committed < *end)?;
            let start = seen.get(&one.partition).and_then(|seen| seen.start).unwrap_or(0);
            let (id, _) = leaders.get(&one.partition)?;
            Some(((*id, one.partition.clone(), one.committed.max(start)), end))
        };
        let wanted: HashMap<At, i64> = groups.iter().flat_map(|group| &group.positions).filter_map(next).collect();
        known.retain(|at, _| wanted.contains_key(at));
        let missing = wanted.into_iter().filter(|(at, _)| !known.contains_key(at));
        let missing: Vec<(i32, (At, i64))> = missing.filter_map(|one| Some((leaders.get(&one.0.1)?.1, one))).collect();
        let ask = |_, (at, end): (At, i64)| async move {
            let first = within(over, cluster.first_record_in(&at.1, at.2..end)).await;
            let is_silent = first.as_ref().is_err_and(|no| no.is_silence);
            ((at, first), is_silent)
        };
        let (answers, silences) = side_by_side(missing, ask).await;
        problems.silent("next records of groups", silences);
        let mut empty: HashSet<At> = HashSet::new();
        for (at, first) in answers {
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
    async fn holders(
        (cluster, over): (&Cluster, Instant),
        history: &History,
        seen: &HashMap<TopicPartition, Seen>,
        leaders: &Leaders,
    ) -> HashMap<TopicPartition, Held> {
        let held = seen.iter().filter_map(|(at, seen)| Some((at, seen.held_from()?.0)));
        let held = held.filter(|(at, from)| history.held_from(at) == Some(*from));
        let held = held.filter_map(|(at, from)| Some((leaders.get(at)?.1, (at.clone(), from))));
        let ask = |_, (at, from): (TopicPartition, i64)| async move {
            let asked = Instant::now();
            // A broker need not tell, nor need we be allowed to ask.
            let producer = timeout_at(over, cluster.open_transaction(&at, from)).await.ok().flatten();
            let is_silent = producer.is_none() && asked.elapsed() >= cluster.timeout() / 2;
            (producer.map(|producer| (at, producer)), is_silent)
        };
        let (found, _) = side_by_side(held, ask).await;
        let found: Vec<(TopicPartition, Producer)> = found.into_iter().flatten().collect();
        let ids: HashSet<i64> = found.iter().map(|(_, producer)| producer.id).collect();
        let asked = ids.into_iter().map(|id| async move {
            let kept = within(over, cluster.transaction_of(id)).await.unwrap_or_else(|error| {
                tracing::debug!(%error, producer = id, "whose transaction it is is not told");
                None
            });
            (id, kept.map(|kept| (kept.id, kept.began_ms)))
        });
        let transactions: HashMap<i64, Option<(String, Option<i64>)>> =
            futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        let holder = |(at, producer): (TopicPartition, Producer)| {
            let transaction = transactions.get(&producer.id).cloned().flatten();
            (at, Held { producer, transaction })
        };
        found.into_iter().map(holder).collect()
    }
}

/// Of each partition that has one: its topic's id, and the broker that leads it.
type Leaders = HashMap<TopicPartition, (Uuid, i32)>;

fn leaders(infos: &[TopicInfo]) -> Leaders {
    let of = |info: &TopicInfo| {
        let name: Arc<str> = info.name.as_str().into();
        let led = info.partitions.iter().filter(|one| one.leader >= 0);
        let led = led.map(|one| (TopicPartition::new(name.clone(), one.index), (info.topic_id, one.leader)));
        led.collect::<Vec<_>>()
    };
    infos.iter().flat_map(of).collect()
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
