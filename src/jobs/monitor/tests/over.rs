//! A look that has too many questions for its time.

use super::super::{Monitor, MonitorSettings};
use crate::base::place::TopicPartition;
use crate::broker::{Broker, BrokerConfig, Fault, Rule};
use crate::client::Cluster;
use crate::wire::ApiKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

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
