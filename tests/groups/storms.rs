//! Members that join, leave and die at random.

use crate::reader::{End, Reader, Shared};
use crate::seed::Seed;
use crate::story::{Log, World, until};
use kmerge::client::group::{Assignor, GroupOptions, GroupProtocol};
use std::sync::atomic::Ordering::SeqCst;

const PARTITIONS: i32 = 6;
const RECORDS: i64 = 200;
const STEPS: u64 = 16;

/// Kills are dear: the others wait for the session of the dead.
const KILLS: usize = 2;

async fn storm(world: &World, kills: usize, mut options: impl FnMut(&mut GroupOptions, &mut Seed)) {
    let mut seed = Seed::printed();
    let topic = world.topic("storm", PARTITIONS, RECORDS).await;
    let shared = Shared::new(Log::of(&topic, PARTITIONS, RECORDS));
    let (mut readers, mut born, mut killed): (Vec<Reader>, usize, usize) = (Vec::new(), 0, 0);
    for step in 0..STEPS {
        match seed.below(4) {
            0 if readers.len() > 1 => {
                let reader = readers.swap_remove(seed.below(readers.len() as u64) as usize);
                eprintln!("step {step}: {} leaves", reader.who);
                reader.end(End::Leave).await;
            }
            1 if readers.len() > 1 && killed < kills => {
                killed += 1;
                let reader = readers.swap_remove(seed.below(readers.len() as u64) as usize);
                eprintln!("step {step}: {} dies", reader.who);
                reader.end(End::Vanish).await;
            }
            _ if readers.len() < 5 => {
                born += 1;
                let who = format!("member {born}");
                eprintln!("step {step}: {who} joins");
                let mut its = world.options(&[&topic]);
                options(&mut its, &mut seed);
                let client = world.client().await;
                let member = world.member(&its).await;
                readers.push(Reader::start(&who, client, member, &shared, seed.next()));
            }
            _ => {}
        }
        // Some steps fall into the midst of a rebalance, some wait until what may be read is read.
        shared.turns.add_permits(3 + seed.below(15) as usize);
        if seed.below(3) > 0 {
            until("what may be read is read", || {
                assert!(!readers.iter().any(Reader::is_over), "a reader has ended");
                shared.turns.available_permits() == 0 || shared.log.left() == 0
            })
            .await;
        }
    }
    shared.turns.add_permits(1_000_000);
    until("everything is committed", || shared.log.left() == 0 || readers.iter().any(Reader::is_over)).await;
    for reader in readers {
        reader.end(End::Leave).await;
    }
    shared.log.assert_whole();
    assert_eq!(shared.log.left(), 0);
}

on_both_brokers! {
    async fn eager_members_come_go_and_die_and_nothing_is_skipped_or_read_again_once_committed(world: &World) {
        storm(world, KILLS, |options, seed| {
            options.assignors = vec![Assignor::ALL[seed.below(3) as usize], Assignor::Range];
            options.assignors.dedup();
        })
        .await;
    }

    async fn cooperative_members_come_go_and_die_and_nothing_is_skipped_or_read_again_once_committed(world: &World) {
        storm(world, KILLS, |options, _| options.assignors = vec![Assignor::CooperativeSticky]).await;
    }
}

on_both_brokers! {
    async fn who_keeps_a_partition_under_cooperative_sticky_never_stops_reading_it(world: &World) {
        let topic = world.topic("kept", 4, 50).await;
        let shared = Shared::new(Log::of(&topic, 4, 50));
        let mut options = world.options(&[&topic]);
        options.assignors = vec![Assignor::CooperativeSticky];
        let first = Reader::start("first", world.client().await, world.member(&options).await, &shared, 1);
        until("the first has all", || first.assigned.load(SeqCst) == 4).await;
        let second = Reader::start("second", world.client().await, world.member(&options).await, &shared, 2);
        // It never has fewer than the two that it keeps.
        until("both have half", || {
            assert!(first.assigned.load(SeqCst) >= 2);
            second.assigned.load(SeqCst) == 2
        })
        .await;
        shared.turns.add_permits(10_000);
        until("everything is committed", || shared.log.left() == 0).await;
        first.end(End::Leave).await;
        second.end(End::Leave).await;
        shared.log.assert_whole();
    }
}

on_kafka! {
    /// Without deaths, unless `KMERGE_TEST_SHORT_SESSIONS` says that the brokers were told to have a short
    /// `group.consumer.session.timeout.ms`: the session of this protocol is theirs to say, 45 seconds otherwise.
    async fn members_by_the_newer_protocol_come_and_go_and_nothing_is_skipped_or_read_again_once_committed(world: &World) {
        let kills = if std::env::var_os("KMERGE_TEST_SHORT_SESSIONS").is_some() { KILLS } else { 0 };
        storm(world, kills, |options, _| options.protocol = GroupProtocol::Consumer).await;
    }
}
