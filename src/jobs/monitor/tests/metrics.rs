//! The page is what a strict reader of Prometheus' format reads, whatever the cluster's names are.

use super::super::exposition;
use super::super::history::{GroupTopic, GroupView, History, TopicView, View};
use super::super::snapshot::{BrokerSeen, GroupSeen, Held, Position, Seen, Snapshot, TopicSeen};
use crate::base::place::TopicPartition;
use crate::client::{FirstRecord, Producer};
use crate::observe::exposition::{Exposition, strict};
use crate::wire::Uuid;
use std::time::Duration;

const HOSTILE: &str = "g\"r\\o\nup{}\0";

fn view() -> View {
    let partition = |end, log_bytes| Seen {
        leader: 2,
        replicas: vec![1, 2],
        isr: vec![2],
        start: Some(3),
        end: Some(end),
        stable: Some(40),
        log_bytes: Some(log_bytes),
        held_by: Some(Held {
            producer: Producer { id: 4001, epoch: 0, since: 40, last_write_ms: -1 },
            transaction: Some(("merge:a:b".to_owned(), Some(990_000))),
        }),
    };
    let position = |partition, end| Position {
        partition: TopicPartition::new("orders", partition),
        committed: 30,
        end,
        next: Some(FirstRecord::Written(995_000)),
    };
    let look = |at: u64, end, bytes| Snapshot {
        at: Duration::from_secs(at),
        now_ms: 1_000_000,
        cluster_id: None,
        brokers: vec![BrokerSeen { node: 2, address: "h:1".to_owned(), log_bytes: None }],
        topics: vec![TopicSeen {
            name: "orders".into(),
            id: Uuid::ZERO,
            partitions: vec![partition(end, bytes), Seen { leader: -1, replicas: vec![1], ..Seen::default() }],
        }],
        groups: vec![
            GroupSeen {
                name: HOSTILE.to_owned(),
                state: "Stable".to_owned(),
                members: Some(3),
                positions: vec![position(0, Some(50)), position(1, None)],
            },
            GroupSeen {
                name: "all".to_owned(),
                state: String::new(),
                members: None,
                positions: vec![position(0, Some(50))],
            },
        ],
        listed: None,
        problems: vec![],
    };
    let mut history = History::default();
    history.advance(look(1, 45, 100));
    history.advance(look(2, 50, 170))
}

#[test]
fn the_page_is_strictly_right_and_says_what_was_seen() {
    let mut text = Exposition::default();
    exposition(&mut text, &view());
    let read = strict::read(&text.finish()).unwrap();
    let value = |name: &str, wanted: &[(&str, &str)]| {
        let family = read.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("no {name}"));
        let fits = |labels: &[(String, String)]| {
            // A NUL cannot be written.
            wanted
                .iter()
                .all(|(name, value)| labels.iter().any(|(n, v)| n == name && *v == value.replace('\0', "\u{fffd}")))
        };
        family.samples.iter().find(|sample| fits(&sample.labels)).map(|sample| sample.value)
    };
    let (first, second) = ([("topic", "orders"), ("partition", "0")], [("topic", "orders"), ("partition", "1")]);
    for (name, labels, expected) in [
        ("kafka_brokers", &[][..], Some(1.0)),
        ("kafka_broker_info", &[("id", "2"), ("address", "h:1")], Some(1.0)),
        ("kafka_broker_log_bytes", &[], None),
        ("kafka_topic_partitions", &[("topic", "orders")], Some(2.0)),
        ("kafka_topic_partition_current_offset", &first, Some(50.0)),
        ("kafka_topic_partition_current_offset", &second, None),
        ("kafka_topic_partition_oldest_offset", &first, Some(3.0)),
        ("kafka_topic_partition_last_stable_offset", &first, Some(40.0)),
        ("kafka_topic_partition_leader", &second, Some(-1.0)),
        ("kafka_topic_partition_leaderless", &first, Some(0.0)),
        ("kafka_topic_partition_leaderless", &second, Some(1.0)),
        ("kafka_topic_partition_leader_is_preferred", &first, Some(0.0)),
        ("kafka_topic_partition_replicas", &first, Some(2.0)),
        ("kafka_topic_partition_in_sync_replica", &first, Some(1.0)),
        ("kafka_topic_partition_under_replicated_partition", &first, Some(1.0)),
        ("kafka_topic_partition_log_bytes", &first, Some(170.0)),
        ("kafka_topic_partition_bytes_in_total", &first, Some(70.0)),
        (
            "kafka_topic_partition_open_transaction_seconds",
            &[("partition", "0"), ("producer_id", "4001"), ("transactional_id", "merge:a:b")],
            Some(10.0),
        ),
        ("kafka_topic_partition_open_transaction_seconds", &second, None),
        ("kafka_consumergroup_members", &[("consumergroup", HOSTILE)], Some(3.0)),
        ("kafka_consumergroup_members", &[("consumergroup", "all")], None),
        ("kafka_consumergroup_current_offset", &[("consumergroup", HOSTILE), ("partition", "1")], Some(30.0)),
        ("kafka_consumergroup_lag", &[("consumergroup", HOSTILE), ("partition", "0")], Some(20.0)),
        ("kafka_consumergroup_lag", &[("consumergroup", HOSTILE), ("partition", "1")], None),
        ("kafka_consumergroup_lag_seconds", &[("consumergroup", HOSTILE), ("partition", "0")], Some(5.0)),
        ("kafka_consumergroup_current_offset_sum", &[("consumergroup", HOSTILE)], Some(60.0)),
        ("kafka_consumergroup_lag_sum", &[("consumergroup", HOSTILE)], None),
        ("kafka_consumergroup_lag_sum", &[("consumergroup", "all"), ("topic", "orders")], Some(20.0)),
    ] {
        assert_eq!(value(name, labels), expected, "{name} {labels:?}");
    }
}

#[test]
fn people_and_files_are_told_the_same() {
    let view = view();
    let summary = view.summary();
    for said in [
        "1 broker, 1 topic, 2 partitions (2 under-replicated, 1 without a leader), 2 groups",
        "orders partition 0: readers of committed records wait at offset 40, 10 before the end, for 10.0 s: transactional id \
         merge:a:b (producer 4001) has a transaction open",
    ] {
        assert!(summary.contains(said), "{summary}");
    }
    assert_eq!(view.topic_rows(None)[0], ["orders", "2", "5.0", "70 B", "170 B", "2", "1", "10.0 s"]);
    assert_eq!(view.group_rows(None)[0], [HOSTILE, "Stable", "orders", "3", "2", "0.0", "20", "5.0 s"]);
    let flat = view.flat_rows();
    assert_eq!(flat.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["broker", "topic", "group", "group"]);
    assert_eq!((flat[1][5].as_str(), flat[2][13].as_str(), flat[2][14].as_str()), ("5.000", "20", "5.000"));
    let json = view.to_json();
    assert_eq!(json["topics"][0]["partitions"][0]["open_transaction"]["transactional_id"], "merge:a:b");
    assert_eq!(json["topics"][0]["partitions"][1]["end"], serde_json::Value::Null);
    assert_eq!(json["groups"][0]["partitions"][0]["lag_seconds"], 5.0);
}

#[test]
fn the_top_of_a_table_is_what_grows_fastest_and_what_lags_most() {
    let topic = |name: &str, rate| TopicView { name: name.into(), messages_per_second: rate, ..TopicView::default() };
    let group = |name: &str, lags: &[i64]| GroupView {
        name: name.to_owned(),
        topics: lags.iter().map(|lag| GroupTopic { partitions: 1, lag: *lag, ..GroupTopic::default() }).collect(),
    };
    let view = View {
        topics: vec![topic("a", Some(1.0)), topic("b", None), topic("c", Some(20.0)), topic("d", Some(1.0))],
        groups: vec![group("g", &[5, 70]), group("h", &[]), group("i", &[6])],
        snapshot: Snapshot { groups: vec![GroupSeen::default(); 3], ..Snapshot::default() },
        ..View::default()
    };
    let names = |rows: Vec<[String; 8]>| rows.into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(view.topic_rows(Some(3))), ["c", "a", "d"], "of equals, the first by name");
    assert_eq!(names(view.topic_rows(None)), ["a", "b", "c", "d"]);
    assert_eq!(names(view.group_rows(Some(2))), ["g", "i"]);
    assert_eq!(view.group_rows(Some(9)).iter().map(|row| row[6].as_str()).collect::<Vec<_>>(), ["70", "6", "5", "-"]);
}

#[test]
fn ages_are_shown_as_people_say_them() {
    let show = super::super::report::show_age;
    for (seconds, shown) in
        [(0.85, "850 ms"), (12.3, "12.3 s"), (245.0, "4 min 5 s"), (7_385.0, "2 h 3 min"), (792_000.0, "9 d 4 h")]
    {
        assert_eq!(show(seconds), shown);
    }
}
