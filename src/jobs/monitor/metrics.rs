//! A look as Prometheus reads it: under the names that danielqsj/kafka_exporter has made common, so its dashboards work, and
//! under our own for what it does not tell.
//!
//! Rates are for Prometheus to work out: it gets offsets, and bytes as a counter of ours that only grows (the size of a log
//! would shrink with retention). What is not known has no sample; a lag that is not known is not 0.

use super::history::{GroupTopic, View};
use super::snapshot::{Position, Seen};
use crate::observe::exposition::{Exposition, Sort};

/// Adds the families of a view.
pub fn exposition(text: &mut Exposition, view: &View) {
    let snapshot = &view.snapshot;
    text.family("kafka_brokers", Sort::Gauge, "Brokers of the cluster.").count(&[], snapshot.brokers.len() as u64);
    let mut family = text.family("kafka_broker_info", Sort::Gauge, "Always 1; its labels tell of a broker.");
    for broker in &snapshot.brokers {
        family.sample(&[("id", &broker.node.to_string()), ("address", &broker.address)], 1);
    }
    let mut family = text.family("kafka_broker_log_bytes", Sort::Gauge, "The bytes of the copies that a broker holds.");
    for broker in &snapshot.brokers {
        if let Some(bytes) = broker.log_bytes {
            family.count(&[("id", &broker.node.to_string())], bytes);
        }
    }
    let mut family = text.family("kafka_topic_partitions", Sort::Gauge, "Partitions of a topic.");
    for topic in &snapshot.topics {
        family.count(&[("topic", &topic.name)], topic.partitions.len() as u64);
    }
    partitions(text, view);
    groups(text, view);
}

/// A number about each partition: its family's name and help, and where it is found.
type OfPartition = (&'static str, &'static str, fn(&Seen) -> Option<i64>);

const OF_PARTITIONS: &[OfPartition] = &[
    ("kafka_topic_partition_current_offset", "The end of a partition: the high watermark.", |one| one.end),
    ("kafka_topic_partition_oldest_offset", "The first offset that is still there.", |one| one.start),
    (
        "kafka_topic_partition_last_stable_offset",
        "Up to where readers of committed records get; below the end while a transaction is open.",
        |one| one.stable,
    ),
    ("kafka_topic_partition_leader", "The broker that leads a partition; -1 for none.", |one| Some(one.leader.into())),
    ("kafka_topic_partition_leaderless", "1 if nobody leads a partition.", |one| Some(one.is_leaderless().into())),
    ("kafka_topic_partition_leader_is_preferred", "1 if it is led by its preferred broker.", |one| {
        Some((one.replicas.first() == Some(&one.leader)).into())
    }),
    ("kafka_topic_partition_replicas", "Brokers that should hold a partition.", |one| Some(one.replicas.len() as i64)),
    ("kafka_topic_partition_in_sync_replica", "Those of them that are up to date.", |one| Some(one.isr.len() as i64)),
    (
        "kafka_topic_partition_under_replicated_partition",
        "1 if fewer brokers are up to date than should hold it.",
        |one| Some(one.is_under_replicated().into()),
    ),
    ("kafka_topic_partition_log_bytes", "The bytes of the leader's copy, as they are on its disk.", |one| {
        one.log_bytes.and_then(|bytes| i64::try_from(bytes).ok())
    }),
];

fn partitions(text: &mut Exposition, view: &View) {
    for (name, help, of) in OF_PARTITIONS {
        let mut family = text.family(name, Sort::Gauge, help);
        for topic in &view.snapshot.topics {
            for (index, one) in topic.partitions.iter().enumerate() {
                if let Some(value) = of(one) {
                    family.offset(&[("topic", &topic.name), ("partition", &index.to_string())], value);
                }
            }
        }
    }
    let mut family = text.family(
        "kafka_topic_partition_bytes_in_total",
        Sort::Counter,
        "The bytes by which the leader's copy was seen to grow since the monitor began.",
    );
    for topic in &view.topics {
        for (index, one) in topic.partitions.iter().enumerate() {
            family.count(&[("topic", &topic.name), ("partition", &index.to_string())], one.bytes_in);
        }
    }
    let mut family = text.family(
        "kafka_topic_partition_open_transaction_seconds",
        Sort::Gauge,
        "For how long a transaction has held readers of committed records back, where one does.",
    );
    for (topic, seen) in view.topics.iter().zip(&view.snapshot.topics) {
        for (index, (one, seen)) in topic.partitions.iter().zip(&seen.partitions).enumerate() {
            let Some(held_for) = one.held_for else { continue };
            let held = seen.held_by.as_ref();
            let producer = held.map(|held| held.producer.id.to_string()).unwrap_or_default();
            let id = held.and_then(|held| Some(held.transaction.as_ref()?.0.clone())).unwrap_or_default();
            let labels = [
                ("topic", &*topic.name),
                ("partition", &*index.to_string()),
                ("producer_id", &*producer),
                ("transactional_id", &*id),
            ];
            family.sample(&labels, held_for.as_secs_f64());
        }
    }
}

/// The same about where each group is in each partition; it is given the time of day, too.
type OfPosition = (&'static str, &'static str, fn(&Position, i64) -> Option<f64>);

const OF_POSITIONS: &[OfPosition] = &[
    ("kafka_consumergroup_current_offset", "The next offset that a group reads.", |one, _| Some(one.committed as f64)),
    ("kafka_consumergroup_lag", "How many offsets a group is behind.", |one, _| one.lag().map(|lag| lag as f64)),
    (
        "kafka_consumergroup_lag_seconds",
        "The age of the record that a group reads next; 0 where it has read all.",
        Position::lag_seconds,
    ),
];

fn groups(text: &mut Exposition, view: &View) {
    let groups = &view.snapshot.groups;
    let mut family = text.family("kafka_consumergroup_members", Sort::Gauge, "Members of a group.");
    for group in groups {
        if let Some(members) = group.members {
            family.count(&[("consumergroup", &group.name)], members as u64);
        }
    }
    for (name, help, of) in OF_POSITIONS {
        let mut family = text.family(name, Sort::Gauge, help);
        for group in groups {
            for one in &group.positions {
                let partition = one.partition.partition.to_string();
                let labels =
                    [("consumergroup", &*group.name), ("topic", &*one.partition.topic), ("partition", &*partition)];
                if let Some(value) = of(one, view.snapshot.now_ms) {
                    family.sample(&labels, value);
                }
            }
        }
    }
    let mut sums = |name, help, of: &dyn Fn(&GroupTopic) -> Option<i64>| {
        let mut family = text.family(name, Sort::Gauge, help);
        for group in &view.groups {
            for topic in &group.topics {
                if let Some(value) = of(topic) {
                    family.offset(&[("consumergroup", &group.name), ("topic", &topic.topic)], value);
                }
            }
        }
    };
    sums("kafka_consumergroup_current_offset_sum", "The same, all partitions of a topic together.", &|one| {
        Some(one.committed)
    });
    sums("kafka_consumergroup_lag_sum", "How many offsets a group is behind in a topic.", &|one| {
        (one.unknown == 0).then_some(one.lag)
    });
}
