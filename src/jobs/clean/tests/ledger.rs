//! What ledgers have after doubts and kills: in a topic what is committed, in a file nothing that is not.

use super::world::{LONG, World};
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::broker::{Fault, Rule};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::cursor::RecordCursor;
use crate::jobs::minutes::{Found, LedgerReader, LedgerTo, Line};
use crate::observe::progress::Progress;
use crate::wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("kmerge-accounts-{:016x}", rand::random::<u64>())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn in_file(path: &Path) -> Vec<Line> {
    let (mut lines, mut reader) = (Vec::new(), LedgerReader::open(path).unwrap());
    while let Some(found) = reader.next_line().unwrap() {
        match found {
            Found::Line(line) => lines.push(line),
            Found::Unreadable(torn) => panic!("{torn:?}"),
        }
    }
    lines
}

/// The newest line of each key that readers of committed records see.
async fn in_topic(world: &World, topic: &str) -> Vec<Line> {
    let cluster = Cluster::connect(&world.broker.addresses(), LONG).await.unwrap();
    let at = TopicPartition::new(topic, 0);
    let end = cluster.offsets(std::slice::from_ref(&at), OffsetAt::Latest).await.unwrap()[0];
    cluster.wait_for_transactions(&[(at.clone(), end)], LONG).await.unwrap();
    let reader = cluster.reader(at, 0..end, ReadOptions::default());
    let mut records = RecordCursor::new(reader, 1 << 20, Shutdown::default(), Progress::default());
    let mut lines = BTreeMap::new();
    let read = |record: &crate::batch::Record<'_>| {
        (record.key.unwrap().to_vec(), Line::read(record.value.unwrap()).expect("a line"))
    };
    while let Some((key, line)) = records.next_with(read).await.unwrap() {
        lines.insert(key, line);
    }
    lines.into_values().collect()
}

/// Both ledgers, one after the other.
fn ledgers(file: &Scratch) -> [LedgerTo; 2] {
    [LedgerTo::File(file.0.clone()), LedgerTo::Topic("ledger".to_owned())]
}

/// How many records of the result and of the dead letters were noted.
async fn noted(world: &World) -> (u64, u64) {
    let lines = match world.settings.ledger.as_ref().unwrap() {
        LedgerTo::File(path) => in_file(path),
        LedgerTo::Topic(topic) => in_topic(world, topic).await,
    };
    let of = |topic: &str| lines.iter().filter(|line| line.topic == topic).map(|line| line.records).sum();
    (of("out"), of("dead"))
}

#[tokio::test]
async fn whatever_becomes_of_a_request_ledgers_have_what_is_committed_each_once() {
    for (api, request, fault) in [
        (ApiKey::EndTxn, 0, Fault::DropAfter),
        (ApiKey::EndTxn, 1, Fault::DropBefore),
        (ApiKey::EndTxn, 0, Fault::ErrorAfter(ErrorCode::UnknownServerError)),
        (ApiKey::EndTxn, 1, Fault::ErrorAfter(ErrorCode::UnknownServerError)),
        (ApiKey::TxnOffsetCommit, 1, Fault::Error(ErrorCode::InvalidTxnState)),
        (ApiKey::Produce, 2, Fault::Error(ErrorCode::InvalidProducerEpoch)),
        (ApiKey::Produce, 1, Fault::DropAfter),
    ] {
        let file = Scratch::new();
        for ledger in ledgers(&file) {
            for mut world in World::both().await {
                let when = format!("{api} {request} {fault:?} {ledger:?}, explicit: {}", world.is_explicit);
                world.settings.ledger = Some(ledger.clone());
                let _ = std::fs::remove_file(&file.0);
                world.broker.faults().add(Rule::on(api).after(request), fault.clone());
                world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                world.is_whole(&when).await;
                assert_eq!(noted(&world).await, (world.tally.out, world.tally.rejected), "{when}");
            }
        }
    }
}

#[tokio::test]
async fn killed_before_it_hears_that_its_transaction_stands_a_topic_has_it_noted_and_a_file_has_not() {
    let file = Scratch::new();
    for ledger in ledgers(&file) {
        for mut world in World::both().await {
            world.settings.ledger = Some(ledger.clone());
            let _ = std::fs::remove_file(&file.0);
            let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::HoldAnswer);
            world.start_until(&rule).await.kill().await;
            assert_eq!(rule.hits(), 1, "{ledger:?}");
            world.broker.faults().remove(&rule);
            world.start().ended().await.1.unwrap();
            world.is_whole("killed").await;
            let (all, noted) = ((world.tally.out, world.tally.rejected), noted(&world).await);
            match &ledger {
                LedgerTo::Topic(_) => assert_eq!(noted, all, "explicit: {}", world.is_explicit),
                LedgerTo::File(_) => assert!(noted.0 + noted.1 < all.0 + all.1, "{noted:?} of {all:?}"),
            }
        }
    }
}

#[tokio::test]
async fn killed_before_its_transaction_ends_what_it_had_noted_in_a_topic_is_void() {
    for mut world in World::both().await {
        world.settings.ledger = Some(LedgerTo::Topic("ledger".to_owned()));
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::Hold);
        world.start_until(&rule).await.kill().await;
        assert_eq!(rule.hits(), 1);
        world.broker.faults().remove(&rule);
        world.start().ended().await.1.unwrap();
        world.is_whole("killed").await;
        assert_eq!(noted(&world).await, (world.tally.out, world.tally.rejected), "explicit: {}", world.is_explicit);
    }
}
