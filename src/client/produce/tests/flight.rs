//! Each rule of the machine by hand.

use super::super::flight::{Answer, Flight, Stop};
use crate::wire::ErrorCode as E;
use Answer::{Refused, Stored};

/// A flight that ends at 10 after one batch of 10 records, with `batches` of 10 records sent behind it.
fn flight(batches: usize) -> Flight {
    let mut flight = Flight::new(0, 5, true);
    push(&mut flight);
    assert_eq!(send(&mut flight), [0]);
    assert_eq!(flight.answered(Stored(0)), Ok(1));
    for _ in 0..batches {
        push(&mut flight);
    }
    assert_eq!(send(&mut flight).len(), batches);
    flight
}

fn push(flight: &mut Flight) {
    assert!(flight.has_room());
    flight.push(10);
}

/// Sends what may be sent; gives the indexes.
fn send(flight: &mut Flight) -> Vec<usize> {
    let mut sent = Vec::new();
    while let Some(index) = flight.next_to_send() {
        flight.sent(index);
        sent.push(index);
    }
    sent
}

#[test]
fn fault_10_the_first_batch_goes_alone_and_then_five_at_once() {
    let mut flight = Flight::new(0, 9, true);
    push(&mut flight);
    assert!(!flight.has_room());
    assert_eq!(send(&mut flight), [0]);
    assert_eq!(flight.answered(Stored(0)), Ok(1));
    for _ in 0..5 {
        push(&mut flight);
    }
    assert!(!flight.has_room());
    assert_eq!(send(&mut flight), [0, 1, 2, 3, 4]);
    assert_eq!((flight.answered(Stored(10)), flight.next(), flight.has_room()), (Ok(1), 20, true));
}

#[test]
fn without_sequences_one_batch_is_on_its_way_at_a_time() {
    let mut flight = Flight::new(0, 5, false);
    push(&mut flight);
    send(&mut flight);
    assert_eq!(flight.answered(Stored(0)), Ok(1));
    push(&mut flight);
    assert!(!flight.has_room());
}

#[test]
fn fault_07_what_is_refused_behind_a_failed_batch_is_sent_again_behind_it() {
    let mut flight = flight(3);
    assert_eq!(flight.answered(Refused(E::NotEnoughReplicas)), Ok(0));
    assert_eq!(flight.remedy(), None, "two answers are still to come");
    assert_eq!(flight.next_to_send(), None);
    for _ in 0..2 {
        assert_eq!(flight.answered(Refused(E::OutOfOrderSequenceNumber)), Ok(0));
    }
    let remedy = flight.remedy().unwrap();
    assert_eq!((remedy.refresh, remedy.search, remedy.code), (false, false, Some(E::NotEnoughReplicas)));
    flight.begin_round();
    assert_eq!(send(&mut flight), [0], "the oldest goes alone");
    assert_eq!(flight.answered(Stored(10)), Ok(1));
    assert_eq!(send(&mut flight), [0, 1]);
    assert_eq!((flight.answered(Stored(20)), flight.answered(Stored(30))), (Ok(1), Ok(1)));
    assert_eq!((flight.len(), flight.next()), (0, 40));
}

#[test]
fn fault_07_the_oldest_batch_refused_for_its_sequence_at_its_first_try_stops() {
    let stop = flight(2).answered(Refused(E::OutOfOrderSequenceNumber)).unwrap_err();
    assert_eq!(stop, Stop::Refused { index: 0, expected: 10, code: E::OutOfOrderSequenceNumber });
    let stop = flight(2).answered(Refused(E::UnknownProducerId)).unwrap_err();
    assert_eq!(stop, Stop::Refused { index: 0, expected: 10, code: E::UnknownProducerId });
}

#[test]
fn fault_08_the_oldest_batch_refused_after_a_lost_answer_is_searched_for_and_then_stops() {
    let mut flight = flight(2);
    flight.lost();
    let mut searches = 0;
    let stop = loop {
        assert!(flight.remedy().unwrap().search);
        searches += 1;
        flight.begin_round();
        let mut stop = None;
        for _ in send(&mut flight) {
            stop = stop.or(flight.answered(Refused(E::OutOfOrderSequenceNumber)).err());
        }
        if let Some(stop) = stop {
            break stop;
        }
    };
    assert_eq!((stop, searches), (Stop::Refused { index: 0, expected: 10, code: E::OutOfOrderSequenceNumber }, 8));
}

#[test]
fn fault_08_what_the_log_holds_is_not_sent_again() {
    let mut flight = flight(4);
    flight.lost();
    let remedy = flight.remedy().unwrap();
    assert_eq!((remedy.refresh, remedy.search, remedy.code), (true, true, None));
    assert_eq!((flight.found(3), flight.next(), flight.len()), (3, 40, 1));
    flight.begin_round();
    assert_eq!(send(&mut flight), [0]);
    assert_eq!(flight.answered(Stored(40)), Ok(1));
}

#[test]
fn a_later_batch_at_its_place_does_not_vouch_for_those_before_it() {
    for code in [E::NotEnoughReplicas, E::RequestTimedOut] {
        let mut flight = flight(3);
        assert_eq!(flight.answered(Refused(code)), Ok(0));
        assert_eq!(flight.answered(Stored(20)), Ok(0));
        assert_eq!(flight.answered(Stored(30)), Ok(0));
        flight.begin_round();
        assert_eq!(send(&mut flight), [0], "what has its place is not sent again");
        assert_eq!((flight.answered(Stored(10)), flight.next()), (Ok(3), 40));
    }
}

#[test]
fn fault_17_an_offset_that_does_not_follow_stops_with_both_numbers() {
    for got in [0, 9, 11, 20, i64::MAX] {
        let stop = flight(2).answered(Stored(got)).unwrap_err();
        assert_eq!(stop, Stop::NotAdjacent { expected: 10, got, records: 10 });
    }
    let mut flight = flight(1);
    assert_eq!((flight.answered(Stored(10)), flight.answered(Stored(20))), (Ok(1), Err(Stop::Unasked)));
}

#[test]
fn a_batch_that_took_the_place_of_a_failed_one_stops() {
    let mut flight = flight(2);
    assert_eq!(flight.answered(Refused(E::NotEnoughReplicas)), Ok(0));
    let stop = flight.answered(Stored(10)).unwrap_err();
    assert_eq!(stop, Stop::NotAdjacent { expected: 20, got: 10, records: 10 });
}

#[test]
fn a_damaged_batch_and_a_broken_broker_are_tried_a_few_times() {
    for code in [E::CorruptMessage, E::UnknownServerError] {
        let mut flight = flight(1);
        for _ in 0..3 {
            assert_eq!(flight.answered(Refused(code)), Ok(0));
            flight.begin_round();
            assert_eq!(send(&mut flight), [0]);
        }
        assert_eq!(flight.answered(Refused(code)), Err(Stop::Refused { index: 0, expected: 10, code }));
    }
}

#[test]
fn a_repeat_that_is_too_old_to_be_placed_is_searched_for() {
    for answer in [Stored(-1), Refused(E::DuplicateSequenceNumber)] {
        let mut flight = flight(1);
        assert_eq!(flight.answered(answer), Ok(0));
        assert!(flight.remedy().unwrap().search);
        assert_eq!(flight.found(1), 1);
        assert_eq!((flight.len(), flight.remedy()), (0, None));
    }
}

#[test]
fn fault_04_to_06_only_an_answer_that_excludes_the_append_leaves_no_doubt() {
    for (code, search, refresh) in [
        (E::NotEnoughReplicas, false, false),
        (E::NotEnoughReplicasAfterAppend, true, false),
        (E::RequestTimedOut, true, false),
        (E::NotLeaderOrFollower, true, true),
        (E::LeaderNotAvailable, false, true),
    ] {
        let mut flight = flight(1);
        assert_eq!(flight.answered(Refused(code)), Ok(0));
        let remedy = flight.remedy().unwrap();
        assert_eq!((remedy.search, remedy.refresh), (search, refresh), "{code}");
    }
}

#[test]
fn beside_others_batches_land_wherever_there_is_room_and_in_order() {
    let mut flight = Flight::new(0, 5, true).beside_others();
    push(&mut flight);
    send(&mut flight);
    assert_eq!((flight.answered(Stored(100)), flight.next()), (Ok(1), 110));
    for _ in 0..3 {
        push(&mut flight);
    }
    assert_eq!(send(&mut flight).len(), 3, "several at once");
    assert_eq!((flight.answered(Stored(115)), flight.answered(Stored(200))), (Ok(1), Ok(1)));
    let stop = flight.answered(Stored(150)).unwrap_err();
    assert_eq!(
        stop,
        Stop::NotAdjacent { expected: 210, got: 150, records: 10 },
        "nothing lands before what is certain"
    );
}

#[test]
fn beside_others_and_without_numbers_a_leader_that_lacks_the_end_of_the_log_is_no_reason_to_stop() {
    let mut flight = Flight::new(0, 5, false).beside_others();
    for base in [100, 40, 50, 45] {
        push(&mut flight);
        send(&mut flight);
        assert_eq!((flight.answered(Stored(base)), flight.next(), flight.len()), (Ok(1), base + 10, 0));
    }
    // Who is alone there must not go on: what was acknowledged is gone.
    let mut sole = Flight::new(0, 5, false);
    push(&mut sole);
    send(&mut sole);
    assert_eq!(sole.answered(Stored(0)), Ok(1));
    push(&mut sole);
    send(&mut sole);
    assert_eq!(sole.answered(Stored(5)), Err(Stop::NotAdjacent { expected: 10, got: 5, records: 10 }));
}

#[test]
fn beside_others_a_batch_in_doubt_is_decided_by_its_number_and_not_by_what_landed_behind_it() {
    let mut flight = Flight::new(0, 5, true).beside_others();
    push(&mut flight);
    send(&mut flight);
    flight.answered(Stored(0)).unwrap();
    for _ in 0..2 {
        push(&mut flight);
    }
    send(&mut flight);
    assert_eq!(flight.answered(Refused(E::RequestTimedOut)), Ok(0));
    assert_eq!(flight.answered(Stored(57)), Ok(0), "others wrote between");
    let remedy = flight.remedy().unwrap();
    assert!(!remedy.search, "a place in the log tells nothing here");
    flight.begin_round();
    assert_eq!(send(&mut flight), [0]);
    // It was there all the time.
    assert_eq!((flight.answered(Stored(30)), flight.len()), (Ok(2), 0));
}
