//! The heap held against "collect, sort by (key, source, offset)": by hand, exhaustively when tiny, then at random; with
//! sources that stall at every place where they can.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// What the merge gave: key, source, offset.
type Merged = Vec<(u8, usize, usize)>;

fn oracle(sources: &[Vec<u8>]) -> Merged {
    let mut all: Merged = sources
        .iter()
        .enumerate()
        .flat_map(|(source, keys)| keys.iter().enumerate().map(move |(offset, key)| (*key, source, offset)))
        .collect();
    all.sort();
    all
}

/// Drives a merge to its end. `arrives(step, source)` says whether the data a source is asked for is there; where it is
/// not, the merge is asked again, and must ask for the same. `early` finishes a source together with its last key.
fn drive(sources: &[Vec<u8>], early: bool, mut arrives: impl FnMut(usize, usize) -> bool) -> Merged {
    let mut merge = StreamingMerge::new(sources.len());
    let mut offered = vec![0; sources.len()];
    let mut taken = vec![0; sources.len()];
    let mut out = Vec::new();
    for step in 0.. {
        match merge.step() {
            Step::Emit(source) => {
                out.push((sources[source][taken[source]], source, taken[source]));
                taken[source] += 1;
                assert_eq!(taken[source], offered[source], "a key is emitted once, before the next is asked for");
            }
            Step::Needs(source) if !arrives(step, source) => {
                assert_eq!(merge.step(), Step::Needs(source), "asking again changes nothing");
            }
            Step::Needs(source) => match sources[source].get(offered[source]) {
                Some(key) => {
                    merge.offer(source, *key).unwrap();
                    offered[source] += 1;
                    if early && offered[source] == sources[source].len() {
                        merge.finish(source);
                    }
                }
                None => merge.finish(source),
            },
            Step::Done => break,
        }
        assert!(step < 10_000, "the merge does not end");
    }
    assert_eq!(merge.step(), Step::Done, "done is done");
    out
}

#[test]
fn ties_go_by_source_and_then_by_offset() {
    let sources = [vec![1, 2, 2], vec![1, 1, 2], vec![]];
    let merged = drive(&sources, false, |_, _| true);
    assert_eq!(merged, [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 0, 1), (2, 0, 2), (2, 1, 2)]);
}

#[test]
fn no_sources_are_done_at_once() {
    assert_eq!(StreamingMerge::<u8>::new(0).step(), Step::Done);
}

#[test]
fn nothing_is_emitted_before_every_source_has_spoken() {
    let mut merge = StreamingMerge::new(3);
    merge.offer(2, 5).unwrap();
    assert_eq!(merge.step(), Step::Needs(0));
    merge.finish(0);
    assert_eq!(merge.step(), Step::Needs(1));
    merge.offer(1, 7).unwrap();
    assert_eq!(merge.step(), Step::Emit(2));
}

#[test]
fn a_key_below_the_one_before_it_is_given_back_and_an_equal_one_is_taken() {
    let mut merge = StreamingMerge::new(2);
    merge.offer(0, 5).unwrap();
    merge.offer(1, 9).unwrap();
    assert_eq!(merge.step(), Step::Emit(0));
    assert_eq!(merge.offer(0, 4), Err(4));
    assert_eq!(merge.step(), Step::Needs(0), "the source is still wanted");
    merge.offer(0, 5).unwrap();
    assert_eq!(merge.step(), Step::Emit(0));
    merge.finish(0);
    assert_eq!(merge.step(), Step::Emit(1));
    assert_eq!(merge.offer(1, 8), Err(8), "also where it would be the last source left");
}

#[test]
fn what_was_emitted_by_another_source_does_not_bind_this_one_before_its_first_key() {
    let mut merge = StreamingMerge::new(2);
    merge.offer(0, 5).unwrap();
    merge.finish(1);
    assert_eq!(merge.step(), Step::Emit(0));
    assert_eq!(merge.step(), Step::Needs(0));
}

#[test]
#[should_panic(expected = "no room")]
fn a_second_key_is_no_ones_to_lose() {
    let mut merge = StreamingMerge::new(1);
    merge.offer(0, 1).unwrap();
    let _ = merge.offer(0, 2);
}

/// Every ascending list of at most three keys of 0, 1, 2.
fn tiny_sources() -> Vec<Vec<u8>> {
    let mut lists = vec![vec![]];
    let mut last = lists.clone();
    for _ in 0..3 {
        last = last
            .iter()
            .flat_map(|list: &Vec<u8>| {
                (list.last().copied().unwrap_or(0)..=2)
                    .map(|key| [list.as_slice(), &[key]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
        lists.extend(last.iter().cloned());
    }
    lists
}

#[test]
fn every_merge_of_three_tiny_sources_is_the_sorted_one_wherever_a_source_stalls() {
    let lists = tiny_sources();
    assert_eq!(lists.len(), 20);
    for a in &lists {
        for b in &lists {
            for c in &lists {
                let sources = [a.clone(), b.clone(), c.clone()];
                let expected = oracle(&sources);
                for early in [false, true] {
                    assert_eq!(drive(&sources, early, |_, _| true), expected, "{sources:?}");
                    // A stall at the n-th question, for every n there is.
                    for stalled in 0..expected.len() + 4 {
                        let mut asked = 0;
                        let merged = drive(&sources, early, |_, _| {
                            asked += 1;
                            asked != stalled + 1
                        });
                        assert_eq!(merged, expected, "{sources:?} stalled at {stalled}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_interleaving_of_stalls_of_tiny_sources_gives_the_sorted_merge() {
    // Each bit says whether the data asked for is there: every pattern over the first ten questions.
    for sources in [
        [vec![0, 1], vec![0, 2], vec![1]],
        [vec![], vec![1, 1, 1], vec![0, 1, 2]],
        [vec![2, 2], vec![], vec![2]],
        [vec![0, 0, 0], vec![0, 0, 0], vec![0, 0, 0]],
    ] {
        let expected = oracle(&sources);
        for pattern in 0..1u32 << 10 {
            let mut asked = 0;
            let merged = drive(&sources, pattern % 3 == 0, |_, _| {
                asked += 1;
                asked > 10 || pattern >> (asked - 1) & 1 == 1
            });
            assert_eq!(merged, expected, "{sources:?} with stalls {pattern:#b}");
        }
    }
}

#[test]
fn first_keys_may_come_in_any_order() {
    let sources = [vec![1, 2], vec![0, 2], vec![1]];
    for first in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut merge = StreamingMerge::new(3);
        for source in first {
            merge.offer(source, sources[source][0]).unwrap();
        }
        let mut next = [1; 3];
        let mut out = Vec::new();
        loop {
            match merge.step() {
                Step::Emit(source) => out.push((sources[source][next[source] - 1], source, next[source] - 1)),
                Step::Needs(source) => match sources[source].get(next[source]) {
                    Some(key) => {
                        merge.offer(source, *key).unwrap();
                        next[source] += 1;
                    }
                    None => merge.finish(source),
                },
                Step::Done => break,
            }
        }
        assert_eq!(out, oracle(&sources), "{first:?}");
    }
}

#[test]
fn random_sources_that_stall_at_random_give_the_sorted_merge() {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..500 {
        let width: u8 = [1, 3, 255][rng.random_range(0..3)];
        let sources: Vec<Vec<u8>> = (0..rng.random_range(0..12))
            .map(|_| {
                let mut keys: Vec<u8> = (0..rng.random_range(0..40)).map(|_| rng.random_range(0..=width)).collect();
                keys.sort_unstable();
                keys
            })
            .collect();
        let (early, patience) = (rng.random(), rng.random_range(1..5));
        let merged = drive(&sources, early, |_, _| rng.random_range(0..patience) == 0);
        assert_eq!(merged, oracle(&sources), "{sources:?}");
    }
}

#[test]
fn a_source_that_is_passed_over_holds_nothing_up_and_comes_back_in_its_place() {
    let mut merge = StreamingMerge::new(2);
    merge.offer(0, 1).unwrap();
    assert_eq!(merge.step(), Step::Needs(1));
    merge.pass_over(1);
    assert_eq!((merge.step(), merge.step()), (Step::Emit(0), Step::Needs(0)));
    merge.offer(0, 5).unwrap();
    assert_eq!(merge.step(), Step::Emit(0));
    merge.pass_over(0);
    assert_eq!(merge.step(), Step::Done, "nothing is waited for");
    merge.offer(1, 7).unwrap();
    merge.offer(0, 6).unwrap();
    assert_eq!(merge.step(), Step::Emit(0));
    merge.finish(0);
    assert_eq!(merge.step(), Step::Emit(1));
    assert_eq!(merge.offer(1, 6), Err(6), "what is waited for again must not run backwards");
    merge.pass_over(1);
    assert_eq!(merge.offer(1, 6), Err(6), "nor may it have been passed over meanwhile");
    merge.finish(1);
    assert_eq!(merge.step(), Step::Done);
}

#[test]
fn what_comes_late_is_given_back_whoever_is_waited_for() {
    // The key that comes late, and whether the one that is waited for comes after all.
    for (late, comes) in [(3, Some(7)), (3, None), (5, Some(5)), (5, None)] {
        let mut merge = StreamingMerge::new(3);
        merge.offer(0, 1).unwrap();
        merge.offer(1, 5).unwrap();
        merge.offer(2, 9).unwrap();
        assert_eq!(merge.step(), Step::Emit(0));
        merge.pass_over(0);
        assert_eq!((merge.step(), merge.step()), (Step::Emit(1), Step::Needs(1)));
        assert_eq!(merge.offer(0, late), Err(late), "an equal key of an earlier source has its place before as well");
        merge.want(0);
        assert_eq!(merge.step(), Step::Needs(1));
        match comes {
            Some(key) => {
                assert_eq!(merge.offer(1, 4), Err(4), "what is waited for must not run backwards");
                merge.offer(1, key).unwrap();
            }
            None => merge.pass_over(1),
        }
        assert_eq!(merge.step(), Step::Needs(0), "who was late is waited for");
        assert_eq!(merge.offer(0, 4), Err(4), "also behind a key that is not emitted yet");
        merge.offer(0, 6).unwrap();
        if comes == Some(5) {
            assert_eq!((merge.step(), merge.step()), (Step::Emit(1), Step::Needs(1)));
            merge.finish(1);
        }
        assert_eq!(merge.step(), Step::Emit(0));
        merge.finish(0);
        if comes == Some(7) {
            assert_eq!(merge.step(), Step::Emit(1));
            merge.finish(1);
        }
        assert_eq!(merge.step(), Step::Emit(2));
    }
}

#[test]
fn a_source_that_is_added_is_waited_for_and_its_equal_keys_come_last() {
    let mut merge = StreamingMerge::new(1);
    merge.offer(0, 5).unwrap();
    assert_eq!((merge.add(), merge.step()), (1, Step::Needs(1)), "before anything was emitted");
    merge.offer(1, 4).unwrap();
    assert_eq!((merge.step(), merge.step()), (Step::Emit(1), Step::Needs(1)));
    merge.offer(1, 5).unwrap();
    assert_eq!((merge.step(), merge.step()), (Step::Emit(0), Step::Needs(0)));
    assert_eq!((merge.add(), merge.step()), (2, Step::Needs(0)), "one at a time");
    merge.offer(0, 6).unwrap();
    assert_eq!(merge.step(), Step::Needs(2));
    assert_eq!(merge.offer(2, 4), Err(4), "late");
    merge.offer(2, 5).unwrap();
    assert_eq!((merge.step(), merge.step()), (Step::Emit(1), Step::Needs(1)));
    merge.finish(1);
    assert_eq!(merge.step(), Step::Emit(2));
}

/// Sources that are added, passed over and come back at random, against a list of what each of them has offered.
#[test]
fn whoever_is_added_or_passed_over_what_is_emitted_never_runs_backwards_and_is_emitted_once() {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..2000 {
        let mut merge = StreamingMerge::new(random.random_range(0..4));
        // Of each source: what was offered and not emitted, the key before that, and whether nobody waits for it.
        let mut held = vec![None; merge.slots.len()];
        let mut before = vec![0; held.len()];
        let mut passed = vec![false; held.len()];
        let mut emitted: Option<(u32, usize)> = None;
        for _ in 0..60 {
            if held.len() < 6 && random.random_bool(0.1) {
                assert_eq!(merge.add(), held.len());
                held.push(None);
                before.push(0);
                passed.push(false);
            }
            if held.is_empty() {
                continue;
            }
            // Whoever has room may offer, also while another one is waited for: as long as all have spoken, or could.
            let source = random.random_range(0..held.len());
            if held[source].is_none() && random.random_bool(0.5) {
                let key = before[source] + random.random_range(0..4);
                let is_late = emitted.is_some_and(|last| (key, source) < last);
                assert_eq!(merge.offer(source, key), if is_late { Err(key) } else { Ok(()) });
                before[source] = key;
                if !is_late {
                    (held[source], passed[source]) = (Some(key), false);
                } else if random.random() {
                    merge.want(source);
                    passed[source] = false;
                }
            }
            match merge.step() {
                Step::Emit(source) => {
                    let key = held[source].take().expect("a source goes out twice");
                    assert!(emitted.is_none_or(|last| last <= (key, source)), "{emitted:?} then {key} of {source}");
                    let smallest = held.iter().enumerate().filter_map(|(at, key)| key.map(|key| (key, at))).min();
                    assert!(smallest.is_none_or(|smallest| (key, source) < smallest));
                    let waits = |at: usize| at != source && held[at].is_none() && !passed[at];
                    assert!(!(0..held.len()).any(waits), "emitted though another one is waited for");
                    emitted = Some((key, source));
                }
                Step::Needs(source) => {
                    assert!(held[source].is_none() && !passed[source]);
                    if random.random_bool(0.3) {
                        merge.pass_over(source);
                        passed[source] = true;
                    }
                }
                Step::Done => assert!(held.iter().all(Option::is_none) && passed.iter().all(|passed| *passed)),
            }
        }
    }
}
