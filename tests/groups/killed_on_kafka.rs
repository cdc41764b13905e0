//! Members on a real cluster whose brokers are killed, coordinator and leaders alike. `KMERGE_TEST_KILL` names its folder.

use crate::killable::Killable;
use crate::reader::{End, Reader, Shared};
use crate::story::{Log, World, until};
use kmerge::client::group::Assignor;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_coordinators_and_leaders_have_nothing_skipped_and_nothing_read_again_that_was_committed() {
    let Some(kafka) = Killable::for_story("members while brokers are killed").await else { return };
    let world = World::at(kafka.addresses());
    let (partitions, records) = (4, 300);
    let topic = world.topic("killed", partitions, records).await;
    let shared = Shared::new(Log::of(&topic, partitions, records));
    let mut readers = Vec::new();
    for number in 0..2 {
        let mut options = world.options(&[&topic]);
        options.assignors = vec![Assignor::CooperativeSticky];
        // Longer than the controller takes to find out that a broker is dead.
        options.session_timeout = Duration::from_secs(30);
        let member = world.member(&options).await;
        readers.push(Reader::start(&format!("member {number}"), world.client().await, member, &shared, number));
    }
    for node in kafka.names() {
        shared.turns.add_permits(20);
        until("what may be read is read", || {
            assert!(!readers.iter().any(Reader::is_over), "a reader has ended");
            shared.turns.available_permits() == 0
        })
        .await;
        kafka.settled(&["__consumer_offsets", &topic]).await;
        shared.turns.add_permits(60);
        kafka.kill(node).await;
        until("what may be read is read, without a broker", || {
            assert!(!readers.iter().any(Reader::is_over), "a reader has ended");
            shared.turns.available_permits() == 0
        })
        .await;
        kafka.start(node).await;
    }
    shared.turns.add_permits(10_000);
    until("everything is committed", || shared.log.left() == 0 || readers.iter().any(Reader::is_over)).await;
    for reader in readers {
        reader.end(End::Leave).await;
    }
    shared.log.assert_whole();
}
