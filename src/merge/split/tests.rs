//! The four trees held against a sort, stretch by stretch: what they give, how far they say they went, and what they decline.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

fn lanes(keys: &[Vec<u64>]) -> Vec<Lane> {
    let lane = |keys: &Vec<u64>| {
        let mut lane = Lane::default();
        keys.iter().for_each(|key| lane.push_word(*key).unwrap());
        lane
    };
    keys.iter().map(lane).collect()
}

/// The order of everything at hand up to where the first lane ends, and whose that is.
fn slowly(lanes: &[Lane]) -> (Vec<u16>, usize) {
    let all =
        lanes.iter().enumerate().flat_map(|(source, lane)| lane.words_left().iter().map(move |key| (*key, source)));
    let mut all: Vec<_> = all.collect();
    all.sort();
    let mut left: Vec<_> = lanes.iter().map(Lane::left).collect();
    for (taken, (_, source)) in all.iter().enumerate() {
        left[*source] -= 1;
        if left[*source] == 0 {
            return (all[..=taken].iter().map(|(_, source)| *source as u16).collect(), *source);
        }
    }
    unreachable!("no keys")
}

fn random_keys(random: &mut StdRng, sources: usize, records: usize, distinct: u64) -> Vec<Vec<u64>> {
    let mut keys = vec![vec![]; sources];
    for _ in 0..records {
        keys[random.random_range(0..sources)].push(random.random_range(0..distinct));
    }
    keys.iter_mut().for_each(|keys| keys.sort_unstable());
    keys
}

#[test]
fn stretches_come_out_as_a_sort_would_have_them_and_to_the_record_as_far_as_they_may() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut merged_in_all, mut cut_short, mut ran_out) = (0, 0, 0);
    for round in 0..150 {
        let sources = [2, 3, 5, 10, 16, 17, WAYS_MAX][round % 7];
        let distinct = [40, 1000, 1 << 30, 1 << 58][round % 4];
        let records = random.random_range(RECORDS_MIN..6000);
        let mut keys = random_keys(&mut random, sources, records, distinct);
        if round % 3 == 0 {
            // One that has ended, in the middle.
            keys.insert(sources / 2, vec![]);
            keys.truncate(WAYS_MAX);
        }
        let (mut lanes, mut split) = (lanes(&keys), Split::default());
        loop {
            if lanes.iter().all(|lane| lane.left() == 0) {
                break;
            }
            let (expected, last) = slowly(&lanes);
            let left: Vec<_> = lanes.iter().map(Lane::left).collect();
            // What is there already stays, and counts.
            let mut order = vec![7; random.random_range(0..3)];
            let before = order.len();
            let most = before + random.random_range(1..4000);
            let Ok(merged) = split.run(&mut lanes, &mut order, most) else {
                assert_eq!(order, vec![7; before], "seed {seed}, round {round}: what is declined is not touched");
                assert!(lanes.iter().map(Lane::left).eq(left), "seed {seed}, round {round}");
                // The others go on without the one that is in the way.
                let rest = lanes[last].left();
                lanes[last].advance(rest);
                continue;
            };
            let order = &order[before..];
            assert_eq!(merged.records, order.len());
            assert!(order.len() <= most - before);
            assert!(
                order == &expected[..order.len()],
                "seed {seed}, round {round}: {sources} sources, {distinct} keys"
            );
            assert_eq!(merged.ran_out, (order.len() == expected.len()).then_some(last), "seed {seed}, round {round}");
            for (source, lane) in lanes.iter().enumerate() {
                let taken = order.iter().filter(|from| usize::from(**from) == source).count();
                assert_eq!(left[source] - lane.left(), taken, "seed {seed}, round {round}: source {source}");
            }
            merged_in_all += order.len();
            cut_short += usize::from(order.len() == most - before);
            ran_out += usize::from(merged.ran_out.is_some());
        }
    }
    assert!(
        merged_in_all > 20_000 && cut_short > 10 && ran_out > 10,
        "seed {seed}: {merged_in_all}, {cut_short}, {ran_out}"
    );
}

#[test]
fn a_piece_that_there_is_no_room_for_takes_nothing() {
    // Lanes too short to be sampled, with all of their keys but the last in the first two pieces, make these larger than thought.
    let many = (0..6).map(|source| (0..136).map(|key| (key * 6 + source) * 10).collect());
    let few = (0..26).map(|source| [vec![if source < 13 { 500 } else { 2000 }; 7], vec![9000]].concat());
    let keys: Vec<Vec<u64>> = many.chain(few).collect();
    let (mut lanes, mut order) = (lanes(&keys), Vec::new());
    let (expected, _) = slowly(&lanes);
    let merged = Split::default().run(&mut lanes, &mut order, 512).ok().unwrap();
    assert_eq!((merged.records, merged.ran_out), (512, None));
    assert_eq!(order, expected[..512]);
    for (source, (lane, keys)) in lanes.iter().zip(&keys).enumerate() {
        let taken = order.iter().filter(|from| usize::from(**from) == source).count();
        assert_eq!(lane.left(), keys.len() - taken, "source {source}");
    }
}

#[test]
fn what_four_trees_are_nothing_for_is_declined() {
    let declined = |keys: &[Vec<u64>]| Split::default().run(&mut lanes(keys), &mut Vec::new(), 8192).err();
    let dense = |sources: u64| -> Vec<Vec<u64>> {
        (0..sources).map(|source| (0..4000 / sources).map(|key| key * sources + source).collect()).collect()
    };
    assert_eq!(declined(&dense(10)), None);
    assert_eq!(declined(&dense(WAYS_MAX as u64)), None);
    assert_eq!(declined(&dense(WAYS_MAX as u64 + 1)), Some(Declined::Unfit), "too many sources");
    assert_eq!(declined(&dense(1)), Some(Declined::Unfit), "nothing to merge");
    assert_eq!(declined(&[vec![], vec![]]), Some(Declined::Unfit), "nothing at all");
    let short: Vec<_> = dense(10).into_iter().map(|keys| keys[..20].to_vec()).collect();
    assert_eq!(declined(&short), Some(Declined::Short), "few records");
    assert_eq!(declined(&vec![vec![5; 600]; 10]), Some(Declined::Unfit), "the same key everywhere");
    let far: Vec<Vec<u64>> =
        dense(10).into_iter().map(|keys| keys.into_iter().map(|key| key << 51).collect()).collect();
    assert_eq!(declined(&far), Some(Declined::Unfit), "keys too far apart");
    let near: Vec<Vec<u64>> =
        dense(10).into_iter().map(|keys| keys.into_iter().map(|key| u64::MAX - 3999 + key).collect()).collect();
    assert_eq!(declined(&near), None, "the largest keys are near each other");
}
