//! A reader that follows: where it waits, and where waiting would hide that something is owed.

use super::super::*;
use super::fake::{Fake, LONG};
use super::holes::hollow;
use super::reads::{Log, SHORT, data, is_fetch, read_all};
use crate::base::place::TopicPartition;
use crate::ports::Source as _;
use crate::wire::fetch::Fetch;
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[tokio::test]
async fn a_reader_that_follows_waits_where_a_compacted_log_is_hollow_and_not_where_another_owes_data() {
    for (policy, stalls) in [("compact", false), ("delete", true)] {
        let fake = hollow(policy).await;
        let cluster = Cluster::connect(&fake.bootstrap(), SHORT).await.unwrap();
        let range = 0..i64::MAX;
        let mut reader = cluster.follower(TopicPartition::new("t", 0), range, ReadOptions::default());
        let tail = reader.tail().unwrap();
        let mut window = Vec::new();
        reader.next(&mut window).await.unwrap().unwrap();
        assert_eq!(tail.quiet_for(), None);
        let next = tokio::time::timeout(LONG, async {
            tokio::select! {
                next = reader.next(&mut window) => Some(next),
                () = quiet(&tail) => None,
            }
        });
        match next.await.unwrap() {
            None => assert!(!stalls, "quiet though data is owed"),
            Some(next) => {
                assert!(stalls, "{next:?}");
                let error = next.unwrap_err();
                assert!(matches!(&error, ClientError::Stalled(at) if (at.position, at.end) == (5, 9)), "{error:?}");
            }
        }
    }
}

/// Waits until the leader has said twice that there is nothing.
async fn quiet(tail: &Tail) {
    while tail.quiet_for().is_none_or(|quiet| quiet.is_zero()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_follows_waits_longer_than_its_timeout_and_takes_what_comes_then() {
    let (before, after) = (Log::of(vec![data(0, 2)]), Log::of(vec![data(0, 2), data(2, 1)]));
    let waits = Arc::new(Mutex::new(Vec::new()));
    let (asked, began) = (waits.clone(), Instant::now());
    let fake = Fake::start(move |call| {
        is_fetch(call).then(|| {
            asked.lock().unwrap().push(call.read::<Fetch>().max_wait_ms);
            if began.elapsed() < 2 * SHORT { before.answer(call) } else { after.answer(call) }
        })
    })
    .await;
    let cluster = Cluster::connect(&fake.bootstrap(), SHORT).await.unwrap();
    let mut reader = cluster.follower(TopicPartition::new("t", 0), 0..3, ReadOptions::default());
    assert_eq!(read_all(&mut reader).await.unwrap(), [0, 2]);
    assert!(waits.lock().unwrap().iter().all(|wait| *wait > 0), "the broker is asked to wait");
}
