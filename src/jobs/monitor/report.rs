//! A view for people, for tables and as JSON.

use super::history::{GroupTopic, GroupView, TopicView, View};
use super::snapshot::{GroupSeen, Position, Seen};
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::base::time::show_epoch_ms;
use crate::base::units::{show_count, show_size};
use serde_json::{Value, json};
use std::time::Duration;

/// The columns of the topics' table.
pub const TOPIC_COLUMNS: [&str; 8] =
    ["TOPIC", "PARTITIONS", "MESSAGES/S", "BYTES/S", "SIZE", "UNDER-REPLICATED", "LEADERLESS", "HELD-BACK"];

/// The columns of the groups' table.
pub const GROUP_COLUMNS: [&str; 8] =
    ["GROUP", "STATE", "TOPIC", "MEMBERS", "PARTITIONS", "MESSAGES/S", "LAG", "LAG-SECONDS"];

/// The columns of the one table for what reads files: brokers, topics and groups, each with what applies to it.
pub const FLAT_COLUMNS: [&str; 15] = [
    "TIME",
    "KIND",
    "NAME",
    "TOPIC",
    "PARTITIONS",
    "MESSAGES-PER-SECOND",
    "BYTES-PER-SECOND",
    "SIZE-BYTES",
    "UNDER-REPLICATED",
    "LEADERLESS",
    "HELD-BACK-SECONDS",
    "STATE",
    "MEMBERS",
    "LAG",
    "LAG-SECONDS",
];

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn rate(per_second: f64) -> String {
    if per_second < 100.0 { format!("{per_second:.1}") } else { show_count(per_second.round() as u64) }
}

fn decimal(value: f64) -> String {
    format!("{value:.3}")
}

/// `850 ms`, `12.3 s`, `4 min 5 s`, `2 h 3 min`, `9 d 4 h`.
pub(super) fn show_age(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 => format!("{:.0} ms", seconds * 1000.0),
        1..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

fn count(partitions: &[Seen], is: fn(&Seen) -> bool) -> usize {
    partitions.iter().filter(|one| is(one)).count()
}

impl View {
    fn seen(&self, topic: usize) -> &[Seen] {
        self.snapshot.topics.get(topic).map_or(&[], |topic| &topic.partitions)
    }

    fn all(&self) -> impl Iterator<Item = &Seen> {
        self.snapshot.topics.iter().flat_map(|topic| &topic.partitions)
    }

    /// The cluster in a line, then what is not as it should be, a line each.
    pub fn summary(&self) -> String {
        let snapshot = &self.snapshot;
        let one_of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let mut text = format!(
            "{}  cluster {}: {}, {}, {} ({} under-replicated, {} without a leader), {}\n",
            show_epoch_ms(snapshot.now_ms),
            visible(snapshot.cluster_id.as_deref().unwrap_or("-")),
            one_of(snapshot.brokers.len(), "broker"),
            one_of(snapshot.topics.len(), "topic"),
            one_of(self.all().count(), "partition"),
            self.all().filter(|one| one.is_under_replicated()).count(),
            self.all().filter(|one| one.is_leaderless()).count(),
            one_of(snapshot.groups.len(), "group"),
        );
        for (topic, view) in snapshot.topics.iter().zip(&self.topics) {
            for ((index, seen), view) in (0..).zip(&topic.partitions).zip(&view.partitions) {
                let (Some((from, end)), Some(time)) = (seen.held_from(), view.held_for) else { continue };
                // Only for what was found out, which is what was not over soon.
                let Some(held) = &seen.held_by else { continue };
                let who = match &held.transaction {
                    Some((id, _)) => format!("transactional id {} (producer {})", visible(id), held.producer.id),
                    None => format!("producer {}", held.producer.id),
                };
                text += &format!(
                    "{}: readers of committed records wait at offset {from}, {} before the end, for {}: {who} has a \
                     transaction open\n",
                    TopicPartition::new(topic.name.clone(), index),
                    end - from,
                    show_age(time.as_secs_f64()),
                );
            }
        }
        for problem in &snapshot.problems {
            text += &format!("not known: {problem}\n");
        }
        text
    }

    /// A row for each topic, in the order of [`TOPIC_COLUMNS`]; or for so many, those that grow fastest, the fastest first.
    pub fn topic_rows(&self, top: Option<usize>) -> Vec<[String; 8]> {
        let mut topics: Vec<(&TopicView, &[Seen])> =
            self.topics.iter().enumerate().map(|(index, topic)| (topic, self.seen(index))).collect();
        if let Some(top) = top {
            let rate = |topic: &TopicView| topic.messages_per_second.unwrap_or(-1.0);
            topics.sort_by(|(a, _), (b, _)| rate(b).total_cmp(&rate(a)));
            topics.truncate(top);
        }
        let rows = topics.into_iter().map(|(topic, seen)| {
            [
                topic.name.to_string(),
                seen.len().to_string(),
                or_dash(topic.messages_per_second.map(rate)),
                or_dash(topic.bytes_per_second.map(|bytes| show_size(bytes.round() as u64))),
                or_dash(topic.log_bytes.map(show_size)),
                count(seen, Seen::is_under_replicated).to_string(),
                count(seen, Seen::is_leaderless).to_string(),
                or_dash(topic.held_for().map(|time| show_age(time.as_secs_f64()))),
            ]
        });
        rows.collect()
    }

    /// A row for each group and topic, in the order of [`GROUP_COLUMNS`]; or for so many, those that lag most, the last first.
    pub fn group_rows(&self, top: Option<usize>) -> Vec<[String; 8]> {
        let mut read: Vec<(&GroupView, &GroupSeen, Option<&GroupTopic>)> = Vec::new();
        for (view, seen) in self.groups.iter().zip(&self.snapshot.groups) {
            match &view.topics[..] {
                [] => read.push((view, seen, None)),
                topics => read.extend(topics.iter().map(|topic| (view, seen, Some(topic)))),
            }
        }
        if let Some(top) = top {
            read.sort_by_key(|(.., topic)| std::cmp::Reverse(topic.map_or(-1, |topic| topic.lag)));
            read.truncate(top);
        }
        let rows = read.into_iter().map(|(view, seen, topic)| {
            let known = topic.filter(|topic| topic.unknown < topic.partitions);
            [
                view.name.clone(),
                seen.state.clone(),
                or_dash(topic.map(|topic| topic.topic.to_string())),
                or_dash(seen.members.map(|members| members.to_string())),
                or_dash(topic.map(|topic| topic.partitions.to_string())),
                or_dash(topic.and_then(|topic| topic.messages_per_second).map(rate)),
                or_dash(known.map(|topic| topic.lag.to_string())),
                or_dash(topic.and_then(|topic| topic.lag_seconds).map(show_age)),
            ]
        });
        rows.collect()
    }

    /// A row for everything, in the order of [`FLAT_COLUMNS`]; a cell is empty where it does not apply or is not known.
    pub fn flat_rows(&self) -> Vec<[String; 15]> {
        let time = show_epoch_ms(self.snapshot.now_ms).to_string();
        let text = |value: Option<String>| value.unwrap_or_default();
        let none = String::new;
        let mut rows = Vec::new();
        for broker in &self.snapshot.brokers {
            let mut row: [String; 15] = Default::default();
            (row[0], row[1], row[2]) = (time.clone(), "broker".to_owned(), broker.node.to_string());
            row[4] = self.all().filter(|one| one.leader == broker.node).count().to_string();
            row[7] = text(broker.log_bytes.map(|bytes| bytes.to_string()));
            rows.push(row);
        }
        for (index, topic) in self.topics.iter().enumerate() {
            let seen = self.seen(index);
            rows.push([
                time.clone(),
                "topic".to_owned(),
                topic.name.to_string(),
                none(),
                seen.len().to_string(),
                text(topic.messages_per_second.map(decimal)),
                text(topic.bytes_per_second.map(decimal)),
                text(topic.log_bytes.map(|bytes| bytes.to_string())),
                count(seen, Seen::is_under_replicated).to_string(),
                count(seen, Seen::is_leaderless).to_string(),
                text(topic.held_for().map(|time| decimal(time.as_secs_f64()))),
                none(),
                none(),
                none(),
                none(),
            ]);
        }
        for (view, seen) in self.groups.iter().zip(&self.snapshot.groups) {
            let topics = view.topics.iter().map(Some).chain(view.topics.is_empty().then_some(None));
            for topic in topics {
                rows.push([
                    time.clone(),
                    "group".to_owned(),
                    view.name.clone(),
                    text(topic.map(|topic| topic.topic.to_string())),
                    text(topic.map(|topic| topic.partitions.to_string())),
                    text(topic.and_then(|topic| topic.messages_per_second).map(decimal)),
                    none(),
                    none(),
                    none(),
                    none(),
                    none(),
                    seen.state.clone(),
                    text(seen.members.map(|members| members.to_string())),
                    text(topic.filter(|topic| topic.unknown < topic.partitions).map(|topic| topic.lag.to_string())),
                    text(topic.and_then(|topic| topic.lag_seconds).map(decimal)),
                ]);
            }
        }
        rows
    }

    /// All of it.
    pub fn to_json(&self) -> Value {
        let snapshot = &self.snapshot;
        let brokers = snapshot.brokers.iter().map(|broker| {
            let leads = self.all().filter(|one| one.leader == broker.node).count();
            json!({ "id": broker.node, "address": broker.address, "leads": leads, "log_bytes": broker.log_bytes })
        });
        let topics = self.topics.iter().enumerate().map(|(index, topic)| Self::topic_json(topic, self.seen(index)));
        let groups = self.groups.iter().zip(&snapshot.groups).map(|(view, seen)| {
            let positions = seen.positions.iter().map(|one| position_json(one, snapshot.now_ms));
            let topics = view.topics.iter().map(|topic| {
                json!({
                    "topic": &*topic.topic, "partitions": topic.partitions, "partitions_unknown": topic.unknown,
                    "messages_per_second": topic.messages_per_second, "lag": topic.lag, "lag_seconds": topic.lag_seconds,
                })
            });
            json!({
                "group": view.name, "state": seen.state, "members": seen.members,
                "topics": topics.collect::<Vec<Value>>(), "partitions": positions.collect::<Vec<Value>>(),
            })
        });
        json!({
            "time": show_epoch_ms(snapshot.now_ms).to_string(),
            "interval_seconds": self.elapsed.map(|time| time.as_secs_f64()),
            "cluster_id": snapshot.cluster_id,
            "under_replicated": self.all().filter(|one| one.is_under_replicated()).count(),
            "leaderless": self.all().filter(|one| one.is_leaderless()).count(),
            "brokers": brokers.collect::<Vec<Value>>(),
            "topics": topics.collect::<Vec<Value>>(),
            "groups": groups.collect::<Vec<Value>>(),
            "not_known": snapshot.problems,
        })
    }

    fn topic_json(topic: &TopicView, seen: &[Seen]) -> Value {
        let partitions = topic.partitions.iter().zip(seen).enumerate().map(|(index, (view, seen))| {
            json!({
                "partition": index, "leader": seen.leader, "replicas": seen.replicas, "isr": seen.isr,
                "start": seen.start, "end": seen.end, "last_stable": seen.stable, "log_bytes": seen.log_bytes,
                "messages_per_second": view.messages_per_second, "bytes_per_second": view.bytes_per_second,
                "bytes_in": view.bytes_in, "open_transaction": open_transaction(seen, view.held_for),
            })
        });
        json!({
            "topic": &*topic.name,
            "messages_per_second": topic.messages_per_second,
            "bytes_per_second": topic.bytes_per_second,
            "log_bytes": topic.log_bytes,
            "under_replicated": count(seen, Seen::is_under_replicated),
            "leaderless": count(seen, Seen::is_leaderless),
            "held_back_seconds": topic.held_for().map(|time| time.as_secs_f64()),
            "gaps": topic.gaps,
            "partitions": partitions.collect::<Vec<Value>>(),
        })
    }
}

fn open_transaction(seen: &Seen, held_for: Option<Duration>) -> Option<Value> {
    let ((from, _), time) = seen.held_from().zip(held_for)?;
    let held = seen.held_by.as_ref();
    Some(json!({
        "from_offset": from, "seconds": time.as_secs_f64(),
        "producer_id": held.map(|held| held.producer.id), "producer_epoch": held.map(|held| held.producer.epoch),
        "transactional_id": held.and_then(|held| Some(&held.transaction.as_ref()?.0)),
    }))
}

fn position_json(one: &Position, now_ms: i64) -> Value {
    json!({
        "topic": &*one.partition.topic, "partition": one.partition.partition, "current_offset": one.committed,
        "log_end_offset": one.end, "lag": one.lag(), "lag_seconds": one.lag_seconds(now_ms),
    })
}
