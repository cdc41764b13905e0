//! Two looks side by side: what follows, by table.

use super::super::history::{History, PartitionView};
use super::super::snapshot::{GroupSeen, Held, Position, Seen, Snapshot, TopicSeen};
use crate::base::place::TopicPartition;
use crate::client::{FirstRecord, Producer};
use crate::wire::Uuid;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A partition that broker 1 leads, from offset 0 to `end`.
fn seen(end: i64, bytes: u64) -> Seen {
    Seen {
        leader: 1,
        replicas: vec![1, 2],
        isr: vec![1, 2],
        start: Some(0),
        end: Some(end),
        stable: Some(end),
        log_bytes: Some(bytes),
        held_by: None,
    }
}

fn look(at: Duration, partitions: Vec<Seen>) -> Snapshot {
    let topics = vec![TopicSeen { name: "orders".into(), id: Uuid::ZERO, partitions }];
    Snapshot { at, now_ms: 1_000_000 + at.as_millis() as i64, topics, ..Snapshot::default() }
}

/// What follows from these two looks, two seconds apart.
fn after(was: Seen, now: Seen) -> PartitionView {
    let mut history = History::default();
    let first = history.advance(look(SECOND, vec![was]));
    assert_eq!((first.elapsed, first.topics[0].messages_per_second), (None, None), "one look knows no rate");
    let view = history.advance(look(3 * SECOND, vec![now]));
    assert_eq!(view.elapsed, Some(2 * SECOND));
    view.topics[0].partitions[0].clone()
}

#[test]
fn rates_are_what_moved_in_the_time_and_what_is_not_known_is_a_gap() {
    let with = |change: fn(&mut Seen)| {
        let mut now = seen(300, 5_000);
        change(&mut now);
        now
    };
    for (what, now, messages, bytes) in [
        ("it grows", with(|_| {}), Some(100.0), Some(2_000.0)),
        ("it stands still", seen(100, 1_000), Some(0.0), Some(0.0)),
        ("it shrinks", with(|now| now.log_bytes = Some(999)), Some(100.0), None),
        ("its start moves", with(|now| now.start = Some(50)), Some(100.0), None),
        ("another one leads", with(|now| now.leader = 2), Some(100.0), None),
        ("its end moves back", with(|now| now.end = Some(99)), None, Some(2_000.0)),
        ("its end is not told", with(|now| now.end = None), None, Some(2_000.0)),
        ("its start is not told", with(|now| now.start = None), Some(100.0), None),
        ("its size is not told", with(|now| now.log_bytes = None), Some(100.0), None),
    ] {
        let view = after(seen(100, 1_000), now);
        assert_eq!((view.messages_per_second, view.bytes_per_second), (messages, bytes), "{what}");
        assert_eq!(view.bytes_in, bytes.map_or(0, |rate| 2 * rate as u64), "{what}");
    }
    // The widest numbers there can be overflow nothing.
    let view = after(Seen { end: Some(i64::MIN), ..seen(0, 0) }, seen(i64::MAX, u64::MAX));
    assert_eq!((view.messages_per_second, view.bytes_in), (None, u64::MAX));
}

#[test]
fn a_topic_is_the_sum_of_what_is_known_of_its_partitions() {
    let mut history = History::default();
    history.advance(look(SECOND, vec![seen(0, 0), seen(0, 1_000)]));
    let view = history.advance(look(2 * SECOND, vec![seen(10, 100), seen(5, 500), seen(7, 70)]));
    let topic = &view.topics[0];
    assert_eq!(topic.messages_per_second, Some(15.0), "the third is new");
    assert_eq!(topic.bytes_per_second, Some(100.0), "the second shrank");
    assert_eq!((topic.log_bytes, topic.gaps), (Some(670), 2));
}

#[test]
fn what_came_in_only_grows_until_the_topic_is_another_one() {
    let mut history = History::default();
    let bytes_in = |history: &mut History, at: u32, size: u64, id: Uuid| {
        let mut snapshot = look(at * SECOND, vec![seen(0, size)]);
        snapshot.topics[0].id = id;
        history.advance(snapshot).topics[0].partitions[0].bytes_in
    };
    for (at, size, expected) in [(1, 500, 0), (2, 600, 100), (3, 50, 100), (4, 60, 110)] {
        assert_eq!(bytes_in(&mut history, at, size, Uuid::ZERO), expected, "{at}");
    }
    assert_eq!(bytes_in(&mut history, 5, 900, Uuid([7; 16])), 0, "made anew under its name");
    assert_eq!(bytes_in(&mut history, 6, 901, Uuid([7; 16])), 1);
}

#[test]
fn a_transaction_holds_back_since_it_began_or_since_that_was_seen() {
    let held = |from: i64, began_ms: Option<i64>| Seen {
        stable: Some(from),
        held_by: began_ms.map(|began| Held {
            producer: Producer { id: 7, epoch: 0, since: from, last_write_ms: -1 },
            transaction: Some(("job".to_owned(), Some(began))),
        }),
        ..seen(100, 0)
    };
    let mut history = History::default();
    let mut held_for = |at: u32, seen: Seen| {
        let view = history.advance(look(at * SECOND, vec![seen]));
        view.topics[0].held_for().map(|time| time.as_secs())
    };
    assert_eq!(held_for(1, seen(100, 0)), None);
    assert_eq!(held_for(2, held(50, None)), Some(0), "seen for the first time");
    assert_eq!(held_for(5, held(50, None)), Some(3));
    // The looks begin at 1,000 s of the day's clock.
    assert_eq!(held_for(6, held(50, Some(990_000))), Some(16), "its coordinator knows better");
    assert_eq!(held_for(7, held(50, Some(i64::MAX))), Some(5), "a clock that is wrong does not");
    assert_eq!(held_for(8, held(60, None)), Some(0), "another transaction");
    assert_eq!(held_for(9, seen(100, 0)), None);
    assert_eq!(held_for(10, Seen { stable: None, ..seen(100, 0) }), None, "not told");
}

#[test]
fn a_group_is_told_by_topic_and_what_is_not_known_of_it_is_not_nothing() {
    let position = |partition: i32, committed: i64, end: Option<i64>, next_ms: Option<i64>| Position {
        partition: TopicPartition::new("orders", partition),
        committed,
        end,
        next: next_ms.map(FirstRecord::Written),
    };
    let with = |at: u32, positions: Vec<Position>| {
        let group = GroupSeen { name: "g".to_owned(), state: "Stable".to_owned(), members: Some(1), positions };
        Snapshot { groups: vec![group], ..look(at * SECOND, vec![seen(100, 0)]) }
    };
    let mut history = History::default();
    history.advance(with(1, vec![position(0, 10, Some(100), None), position(1, 50, Some(50), None)]));
    let now = vec![
        position(0, 40, Some(100), Some(1_003_000 - 2_500)),
        position(1, 20, Some(50), Some(i64::MAX)), // set back; stamped in the future
        position(2, 5, None, None),
    ];
    let view = history.advance(with(3, now));
    let topic = &view.groups[0].topics[0];
    assert_eq!((topic.partitions, topic.unknown, topic.lag, topic.committed), (3, 1, 90, 65));
    assert_eq!(topic.lag_seconds, Some(2.5));
    assert_eq!(topic.messages_per_second, Some(15.0), "one was set back, one is new");
    let caught_up = position(0, 100, Some(100), None);
    assert_eq!(caught_up.lag_seconds(0), Some(0.0));
    assert_eq!(position(0, 105, Some(100), None).lag(), Some(0), "beyond the end is no lead");
    assert_eq!(position(0, 5, Some(100), None).lag_seconds(0), None, "not told");
    let markers = Position { next: Some(FirstRecord::Nothing), ..position(0, 99, Some(100), None) };
    assert_eq!((markers.lag(), markers.lag_seconds(0)), (Some(1), Some(0.0)), "a marker is no record");
}
