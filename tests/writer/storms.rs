//! Faults by chance, many in one run. The seed is printed with a failure and repeats the faults, not the timing.

use crate::story::{SHORT, Story};
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;

#[tokio::test]
async fn faults_by_chance_leave_each_number_once_and_in_order() {
    let seed: u64 = rand::random();
    for readable in [true, false] {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut story = Story::within(SHORT * 10).await;
        if !readable {
            story = story.unreadable();
        }
        let mut after = 0;
        for _ in 0..25 {
            after += dice.random_range(1..12);
            let fault = match dice.random_range(0..10) {
                0 | 1 => Fault::DropAfter,
                2 => Fault::DropBefore,
                3 => Fault::Repeat,
                4 => Fault::Error(ErrorCode::NotEnoughReplicas),
                5 => Fault::ErrorAfter(ErrorCode::NotEnoughReplicasAfterAppend),
                6 => Fault::ErrorAfter(ErrorCode::NotLeaderOrFollower),
                7 => Fault::ErrorAfter(ErrorCode::RequestTimedOut),
                8 => Fault::Throttle(dice.random_range(1..20)),
                _ => Fault::Delay(Duration::from_millis(dice.random_range(1..20))),
            };
            story.fault(after, fault);
        }
        let written = story.numbers().await.write(150).await;
        let written = written.unwrap_or_else(|error| panic!("seed {seed} readable {readable}: {error}"));
        let log = story.log();
        assert!(log.iter().copied().eq(0..written), "seed {seed} readable {readable}: {log:?}");
    }
}

#[tokio::test]
async fn fault_05_leaders_that_come_and_go_under_load_lose_repeat_and_reorder_nothing() {
    let seed: u64 = rand::random();
    let mut dice = StdRng::seed_from_u64(seed);
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    for _ in 0..15 {
        let leader = story.broker.leader("out", 0).unwrap();
        let sent = story.produces();
        let (batches, moment) = (dice.random_range(5..40), dice.random_range(1..20));
        let kind = dice.random_range(0..3);
        let befall = async {
            // In the middle of it, or at the end where not so much is sent.
            let _ = tokio::time::timeout(SHORT, story.broker.faults().arrived(ApiKey::Produce, sent + moment)).await;
            match kind {
                0 => story.broker.elect("out", 0, 3 - leader).map(drop).unwrap(),
                1 => story.broker.restart_node(leader).await.unwrap(),
                _ => {
                    story.broker.stop_node(leader).await.unwrap();
                    story.broker.start_node(leader).await.unwrap();
                }
            }
        };
        let (appended, ()) = tokio::join!(numbers.append(batches), befall);
        appended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let written = numbers.finish().await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    story.holds(written);
}

#[tokio::test]
async fn several_writers_share_the_connections_and_none_disturbs_another() {
    let story = Story::new().await;
    story.broker.create_topic("many", 8, &[]).unwrap();
    for after in [10, 30, 60, 100] {
        let rule = Rule::on(ApiKey::Produce).after(after);
        story.broker.faults().add(rule, Fault::DropAfter);
    }
    let runs = (0..8).map(|index| {
        let (cluster, options) = (story.cluster.clone(), story.options);
        async move {
            let partition = kmerge::base::place::TopicPartition::new("many", index);
            let writer = cluster.writer(partition, 0, options).await.unwrap();
            crate::story::Numbers::new(writer).write(40).await.unwrap()
        }
    });
    for (index, written) in futures::future::join_all(runs).await.into_iter().enumerate() {
        let log = crate::story::numbers(&story.broker.log("many", index as i32).unwrap());
        assert!(log.iter().copied().eq(0..written), "{index}: {log:?}");
    }
}
