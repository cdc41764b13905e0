//! Every history of a few batches and faults, then long ones by chance.
//!
//! What the machine calls certain is looked up in the log at that moment (`World::certain`), so a wrong belief shows at once,
//! not only at the end.

use super::model::{Chooser, End, Limits, World};

/// Each batch once, in order, and nothing else.
fn is_whole(end: &End, limits: Limits) -> bool {
    end.log.iter().copied().eq((0..limits.batches).map(Some))
}

/// Walks every history; gives how many there were, and how many of them stopped.
fn walk(limits: Limits, check: impl Fn(&End)) -> (usize, usize) {
    let (mut histories, mut stopped) = (0, 0);
    let mut chooser = Chooser::all();
    loop {
        let end = World::new(limits, &mut chooser).run();
        check(&end);
        histories += 1;
        stopped += usize::from(end.stop.is_some());
        if !chooser.next_history() {
            return (histories, stopped);
        }
    }
}

fn never_stops_and_is_whole(limits: Limits) -> usize {
    let check = |end: &End| {
        assert!(end.stop.is_none() && is_whole(end, limits), "{limits:?}: {end:#?}");
    };
    walk(limits, check).0
}

#[test]
fn fault_01_to_08_in_every_order_each_batch_is_stored_once_and_in_order() {
    let mut histories = 0;
    for (batches, in_flight_max, faults) in [(1, 5, 3), (2, 5, 3), (3, 2, 2), (3, 5, 2), (4, 5, 1), (6, 5, 1)] {
        histories += never_stops_and_is_whole(Limits::new(batches, in_flight_max, faults));
    }
    assert!(histories > 10_000, "{histories}");
}

#[test]
fn fault_08_who_may_not_read_the_log_goes_on_or_stops_but_is_never_wrong() {
    for (batches, in_flight_max, faults) in [(2, 5, 3), (3, 5, 2), (6, 5, 1)] {
        let limits = Limits { readable: false, ..Limits::new(batches, in_flight_max, faults) };
        walk(limits, |end| {
            // A restart leaves the last batch only to the broker's memory, and nothing else tells of those before it.
            let restarted = end.story.iter().any(|event| event == "Restart");
            assert!(end.stop.is_some() && restarted || end.stop.is_none() && is_whole(end, limits), "{end:#?}");
        });
    }
}

#[test]
fn fault_09_a_broker_that_forgets_the_producer_never_makes_a_wrong_log_pass_for_a_right_one() {
    let mut stopped = 0;
    for readable in [true, false] {
        for (batches, faults) in [(2, 3), (3, 2)] {
            let limits = Limits { forgetful: true, readable, ..Limits::new(batches, 5, faults) };
            stopped += walk(limits, |end| {
                // What is written after the end is certain is nobody's answer any more: a request that was cut off, taken
                // late by a broker that has forgotten. The end of the log shows it; who waits for answers cannot.
                let prefix = &end.log[..end.log.len().min(limits.batches)];
                let whole = prefix.iter().copied().eq((0..limits.batches).map(Some));
                assert!(end.stop.is_some() || whole, "{limits:?}: {end:#?}");
            })
            .1;
        }
    }
    assert!(stopped > 0, "forgetting never did any harm: the model forgets nothing");
}

#[test]
fn another_writer_is_noticed_wherever_it_writes_between_our_batches() {
    let limits = Limits { rival: true, ..Limits::new(3, 5, 2) };
    let (_, stopped) = walk(limits, |end| {
        let ours = end.log.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let between = end.log[..ours].contains(&None);
        assert!(end.stop.is_some() || !between, "{end:#?}");
        assert_eq!(end.stop.is_some(), between || end.log.first() == Some(&None), "{end:#?}");
    });
    assert!(stopped > 0);
}

#[test]
fn without_sequences_a_repeat_is_noticed_by_the_offsets() {
    let mut stopped = 0;
    for readable in [true, false] {
        let limits = Limits { sequenced: false, readable, ..Limits::new(3, 5, 2) };
        stopped += walk(limits, |end| {
            let prefix = &end.log[..end.log.len().min(limits.batches)];
            let whole = prefix.iter().copied().eq((0..limits.batches).map(Some));
            assert!(end.stop.is_some() || whole, "{end:#?}");
        })
        .1;
    }
    assert!(stopped > 0);
}

#[test]
fn long_histories_by_chance_end_whole() {
    let seed: u64 = rand::random();
    for round in 0..1_000 {
        let mut chooser = Chooser::random(seed.wrapping_add(round));
        let limits = Limits { damage: false, ..Limits::new(40, 1 + (round % 5) as usize, 60) };
        let end = World::new(limits, &mut chooser).run();
        assert!(end.stop.is_none() && is_whole(&end, limits), "seed {seed} round {round}: {end:#?}");
    }
}

#[test]
fn long_histories_with_everything_going_wrong_stop_or_are_right() {
    let seed: u64 = rand::random();
    for round in 0..1_000 {
        let mut chooser = Chooser::random(seed.wrapping_add(round));
        let limits = Limits {
            forgetful: true,
            rival: round % 4 == 0,
            readable: round % 3 != 0,
            sequenced: round % 7 != 0,
            ..Limits::new(40, 5, 25)
        };
        let end = World::new(limits, &mut chooser).run();
        let prefix = &end.log[..end.log.len().min(limits.batches)];
        let whole = prefix.iter().copied().eq((0..limits.batches).map(Some));
        assert!(end.stop.is_some() || whole, "seed {seed} round {round}: {end:#?}");
    }
}
