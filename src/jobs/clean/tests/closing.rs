//! Many groups that one record closes.

use super::super::hand::Hand;
use super::super::lane::Lane;
use super::super::outbox::{Outbox, Topic, Topics};
use super::world::World;
use crate::base::budget::ByteBudget;
use crate::base::place::TopicPartition;
use crate::batch::{Codec, Headers, Record};
use crate::client::group::Start;
use crate::rules::Rules;
use std::sync::Arc;

const GROUPS: i64 = 500;

#[tokio::test]
async fn groups_that_one_record_closes_are_sent_batch_by_batch() {
    let mut settings = World::new().await.settings;
    let rules = "[[group_by]]\nkey = \"k\"\nwindow = \"1s\"\nto = \"grouped\"\nmembers = true\n";
    settings.rules = Arc::new(Rules::parse(rules).unwrap());
    let topic = |name| Topic::new(name, 1, 1 << 20, 400);
    let topics = Topics { result: None, dead: Some(topic("dead")), beside: vec![topic("grouped")] };
    let mut hand = Hand::new(&settings, 0, Outbox::new(topics, Codec::None, 1 << 20), None);
    let start = Start { partition: TopicPartition::new("in", 0), offset: 0, note: String::new() };
    let mut lane = Lane::new(&start, 0, &settings.rules, 1 << 20, ByteBudget::new(1).try_take(1).unwrap());
    let clean = |lane: &mut Lane, hand: &mut Hand, offset: i64, timestamp: i64| {
        let value = format!("{{\"k\":{offset}}}");
        hand.clean(
            lane,
            &Record { offset, timestamp, key: None, value: Some(value.as_bytes()), headers: Headers::EMPTY },
        )
    };
    for offset in 0..GROUPS {
        assert!(!clean(&mut lane, &mut hand, offset, 5).unwrap());
    }
    let (mut has_more, mut sent) = (clean(&mut lane, &mut hand, GROUPS, 5_000).unwrap(), 0);
    assert!(has_more);
    while has_more {
        let full = hand.outbox.take_full();
        assert_eq!(full.len(), 1, "what is held is what a batch takes");
        sent += i64::from(full[0].1.records);
        has_more = hand.go_on(&mut lane).unwrap();
    }
    hand.outbox.cut_all().unwrap();
    sent += hand.outbox.take_full().iter().map(|(_, batch, _)| i64::from(batch.records)).sum::<i64>();
    assert_eq!((sent, lane.open.grouped.records), (GROUPS, GROUPS as u64));
    assert!(lane.adds_up());
}
