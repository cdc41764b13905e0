//! A look that has too many questions for its time.

use super::super::{Monitor, MonitorSettings};
use crate::base::place::TopicPartition;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::broker::{Broker, BrokerConfig, Fault, Rule};
use crate::client::{Cluster, FirstRecord};
use crate::wire::ApiKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Of each broker more than could be waited for in one look.
const PARTITIONS: i32 = 240;

#[tokio::test]
async fn a_look_is_over_in_its_time_however_many_groups_are_silent_and_says_so() {
    let broker =
        Broker::start(BrokerConfig { topics: vec![("t".to_owned(), 1)], ..BrokerConfig::default() }).await.unwrap();
    let cluster = Cluster::connect(&broker.addresses(), LONG).await.unwrap();
    for group in 0..20 {
        let offsets = BTreeMap::from([(TopicPartition::new("t", 0), 0)]);
        cluster.set_group_offsets(&format!("g{group}"), &offsets).await.unwrap();
    }
    let mut monitor = Monitor::connect(MonitorSettings::default(), &broker.addresses(), LONG).await.unwrap();
    assert_eq!(monitor.look().await.unwrap().snapshot.groups.len(), 20);
    // Each of them would be waited for a minute, eight at a time.
    monitor.look_time = Duration::from_millis(500);
    broker.faults().add(Rule::on(ApiKey::OffsetFetch).times(u64::MAX), Fault::Hold);
    let began = Instant::now();
    let snapshot = monitor.look().await.unwrap().snapshot;
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    assert_eq!((snapshot.groups.len(), snapshot.topics[0].partitions[0].end), (0, Some(0)));
    assert!(snapshot.problems.iter().any(|one| one.contains("the look was over")), "{:?}", snapshot.problems);
    assert_eq!(snapshot.listed.map(|names| names.len()), Some(20));
}

/// Three brokers, a topic that all of them lead partitions of, and forty groups that have read nothing of any.
async fn three() -> (Broker, Cluster) {
    let topics = vec![("t".to_owned(), PARTITIONS)];
    let broker = Broker::start(BrokerConfig { nodes: 3, topics, ..BrokerConfig::default() }).await.unwrap();
    let cluster = Cluster::connect(&broker.addresses(), LONG).await.unwrap();
    let all = || (0..PARTITIONS).map(|partition| TopicPartition::new("t", partition));
    for at in all() {
        let mut writer = BatchWriter::new(Codec::None);
        writer.push(1_000, None, Some(b"x"), Headers::EMPTY).unwrap();
        broker.append_raw("t", at.partition, writer.finish().unwrap()).unwrap();
    }
    for group in 0..40 {
        let offsets = all().map(|at| (at, 0)).collect();
        cluster.set_group_offsets(&format!("g{group}"), &offsets).await.unwrap();
    }
    (broker, cluster)
}

#[tokio::test]
async fn who_answers_no_question_about_its_groups_takes_no_time_from_the_groups_of_others_and_from_ages() {
    let (broker, cluster) = three().await;
    let mut healthy = Vec::new();
    for group in (0..40).map(|group| format!("g{group}")) {
        if cluster.group(&group).await.unwrap().unwrap().coordinator != 2 {
            healthy.push(group);
        }
    }
    healthy.sort();
    assert!((1..40).contains(&healthy.len()), "{healthy:?}");
    let time = Duration::from_secs(3);
    let mut monitor = Monitor::connect(MonitorSettings::default(), &broker.addresses(), time).await.unwrap();
    broker.faults().add(Rule::on(ApiKey::OffsetFetch).node(2).always(), Fault::Hold);
    let snapshot = monitor.look().await.unwrap().snapshot;
    let found: Vec<&String> = snapshot.groups.iter().map(|group| &group.name).collect();
    assert_eq!(found, healthy.iter().collect::<Vec<_>>(), "{:?}", snapshot.problems);
    assert_eq!(snapshot.listed.map(|names| names.len()), Some(40));
    let ages = snapshot.groups.iter().flat_map(|group| &group.positions).map(|position| position.next);
    assert!(ages.clone().all(|age| age == Some(FirstRecord::Written(1_000))), "{:?}", snapshot.problems);
    assert_eq!(ages.count(), healthy.len() * PARTITIONS as usize);
    assert!(snapshot.problems.iter().any(|one| one.contains("broker 2 has left")), "{:?}", snapshot.problems);
}

#[tokio::test]
async fn who_gives_no_records_takes_no_time_from_ages_elsewhere() {
    let (broker, _) = three().await;
    let time = Duration::from_secs(3);
    let mut monitor = Monitor::connect(MonitorSettings::default(), &broker.addresses(), time).await.unwrap();
    broker.faults().add(Rule::on(ApiKey::Fetch).node(1).always(), Fault::Hold);
    let snapshot = monitor.look().await.unwrap().snapshot;
    assert_eq!(snapshot.groups.len(), 40, "{:?}", snapshot.problems);
    for position in snapshot.groups.iter().flat_map(|group| &group.positions) {
        let leader = snapshot.topics[0].partitions[position.partition.partition as usize].leader;
        let expected = (leader != 1).then_some(FirstRecord::Written(1_000));
        assert_eq!(position.next, expected, "{}: {:?}", position.partition, snapshot.problems);
    }
}
