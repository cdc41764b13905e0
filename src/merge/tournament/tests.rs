//! The tree held against "collect, sort by (key, source, offset)": exhaustively when tiny, then at random with runs, ties,
//! tails, every size of stretch and of order.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

type Key = (u64, &'static [u8]);

fn oracle(sources: &[Vec<Key>]) -> Vec<u16> {
    let mut all: Vec<(Key, usize, usize)> = Vec::new();
    for (source, keys) in sources.iter().enumerate() {
        all.extend(keys.iter().enumerate().map(|(offset, key)| (*key, source, offset)));
    }
    all.sort();
    all.into_iter().map(|(_, source, _)| source as u16).collect()
}

/// Drives a merge to its end; `stretch` says how many keys a source gets at once, `most` how many may come out at once.
fn drive(sources: &[Vec<Key>], stretch: impl FnMut() -> usize, most: impl FnMut() -> usize) -> Vec<u16> {
    drive_and_watch(sources, stretch, most, |_, _| {})
}

/// The same, with a look at the merge after each step.
fn drive_and_watch(
    sources: &[Vec<Key>],
    mut stretch: impl FnMut() -> usize,
    mut most: impl FnMut() -> usize,
    mut watch: impl FnMut(&LaneMerge, &[u16]),
) -> Vec<u16> {
    let mut merge = LaneMerge::new(sources.len());
    let mut given = vec![0; sources.len()];
    let (mut out, mut order) = (Vec::new(), Vec::new());
    loop {
        order.clear();
        let most = most();
        let stop = merge.run(&mut order, most);
        out.extend_from_slice(&order);
        watch(&merge, &order);
        match stop {
            Stop::Full => assert_eq!(order.len(), most),
            Stop::Needs(source) => {
                assert_eq!(merge.run(&mut order, usize::MAX), Stop::Needs(source), "asking again changes nothing");
                let left = &sources[source][given[source]..];
                if left.is_empty() {
                    merge.finish(source);
                }
                let lane = merge.refill(source);
                let next = &left[..stretch().min(left.len())];
                next.iter().for_each(|(word, tail)| lane.push(*word, tail).unwrap());
                given[source] += next.len();
            }
            Stop::Done => break,
        }
        assert!(out.len() <= sources.iter().map(Vec::len).sum(), "more came out than went in");
    }
    assert_eq!(merge.run(&mut order, usize::MAX), Stop::Done, "done is done");
    out
}

fn words(words: &[u64]) -> Vec<Key> {
    words.iter().map(|word| (*word, &b""[..])).collect()
}

#[test]
fn ties_go_by_source_and_then_by_offset() {
    let sources = [words(&[1, 2, 2]), words(&[1, 1, 2]), vec![]];
    assert_eq!(drive(&sources, || 2, || 3), [0, 1, 1, 0, 0, 1]);
}

#[test]
fn no_sources_are_done_at_once_and_one_is_given_as_it_is() {
    assert_eq!(drive(&[], || 1, || 1), [0u16; 0]);
    assert_eq!(drive(&[words(&[3, 3, 9])], || 2, || 100), [0, 0, 0]);
}

#[test]
fn the_largest_key_is_a_key_like_any_other() {
    let sources = [words(&[u64::MAX, u64::MAX]), words(&[0, u64::MAX])];
    assert_eq!(drive(&sources, || 1, || 100), [1, 0, 0, 1]);
    let far =
        [words(&[0, 1 << 48, u64::MAX - 1]), words(&[(1 << 48) - 1, 1 << 48, 1 << 63, u64::MAX]), words(&[1 << 63])];
    assert_eq!(drive(&far, || 2, || 100), oracle(&far));
}

#[test]
fn tiny_inputs_are_merged_right_without_exception() {
    let mut lists: Vec<Vec<u64>> = vec![vec![]];
    for len in 1..=3u32 {
        for code in 0..3u64.pow(len) {
            let list: Vec<u64> = (0..len).map(|i| code / 3u64.pow(i) % 3).collect();
            if list.is_sorted() {
                lists.push(list);
            }
        }
    }
    for a in &lists {
        for b in &lists {
            for c in &lists {
                let sources = [words(a), words(b), words(c)];
                for stretch in [1, 2, 3] {
                    assert_eq!(drive(&sources, || stretch, || 2), oracle(&sources), "{a:?} {b:?} {c:?} {stretch}");
                }
            }
        }
    }
}

#[test]
fn random_inputs_are_merged_as_a_sort_would() {
    const TAILS: [&[u8]; 4] = [b"", b"a", b"ab", b"b"];
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..400 {
        let sources_most = [2, 5, 17, 40][round % 4];
        let tailed = round % 3 == 0;
        let distinct = [2, 10, 1 << 40, u64::MAX / 64][round / 4 % 4];
        let sources: Vec<Vec<Key>> = (0..random.random_range(1..=sources_most))
            .map(|source| {
                // Some sources overlap with all others, some with none.
                let base = if random.random_bool(0.3) { source as u64 * distinct } else { 0 };
                let mut keys: Vec<Key> = (0..random.random_range(0..120))
                    .map(|_| {
                        let tail = if tailed { TAILS[random.random_range(0..TAILS.len())] } else { b"" };
                        (base + random.random_range(0..distinct), tail)
                    })
                    .collect();
                keys.sort();
                keys
            })
            .collect();
        let (stretch_max, most_max) = (random.random_range(1..60), random.random_range(1..90));
        let mut again = StdRng::seed_from_u64(seed ^ round as u64);
        let merged = drive(&sources, || random.random_range(1..=stretch_max), || again.random_range(1..=most_max));
        assert!(merged == oracle(&sources), "seed {seed}, round {round}");
    }
}

/// Sources that behave differently from part to part: turns, runs, equal keys, ranges of their own, keys far apart, and tails.
fn many_kinds(random: &mut StdRng, sources: usize, tailed: bool) -> Vec<Vec<Key>> {
    const TAILS: [&[u8]; 3] = [b"", b"a", b"b"];
    let mut keys: Vec<Vec<Key>> = vec![vec![]; sources];
    let mut from = random.random_range(0..1000);
    for _ in 0..3 {
        let (records, kind) = (random.random_range(1000..3000), random.random_range(0..6));
        let mut part: Vec<(Key, usize)> = Vec::new();
        while part.len() < records {
            let source = random.random_range(0..sources);
            let (key, run) = match kind {
                0 => (random.random_range(0..1 << 40), 1),
                1 => (part.len() as u64, random.random_range(1..120)),
                2 => (random.random_range(0..5), 1),
                3 => (source as u64 * 1000 + random.random_range(0..1000), 1),
                4 => (random.random_range(0..1 << 61), 1),
                _ => (random.random_range(0..2000), 1),
            };
            let tail = if tailed && random.random_bool(0.01) { TAILS[random.random_range(0..3)] } else { b"" };
            part.extend((0..run).map(|more| ((from + key + more, tail), source)));
        }
        part.sort();
        from = part.last().map_or(from, |((key, _), _)| *key);
        part.into_iter().for_each(|(key, source)| keys[source].push(key));
    }
    keys.iter_mut().for_each(|keys| keys.sort());
    keys
}

#[test]
fn whichever_way_is_chosen_the_order_is_that_of_a_sort() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut one_tree, mut four_trees) = (0, 0);
    for round in 0..60 {
        let sources = [2, 10, 32, 100, random.random_range(1..=100)][round % 5];
        let sources = many_kinds(&mut random, sources, round % 6 == 0);
        let (stretch_max, most_max) = ([40, 700, 4096][round % 3], [1500, 8192][round % 2]);
        let mut again = StdRng::seed_from_u64(seed ^ round as u64);
        let merged = drive_and_watch(
            &sources,
            || random.random_range(1..=stretch_max),
            || again.random_range(1..=most_max),
            |merge, order| if merge.stale { four_trees += order.len() } else { one_tree += order.len() },
        );
        assert!(merged == oracle(&sources), "seed {seed}, round {round}");
    }
    assert!(one_tree > 10_000 && four_trees > 10_000, "seed {seed}: {one_tree} by one tree, {four_trees} by four");
}

#[test]
#[should_panic(expected = "still has keys")]
fn keys_are_not_thrown_away_by_a_refill_out_of_turn() {
    let mut merge = LaneMerge::new(2);
    merge.refill(0).push_word(1).unwrap();
    merge.refill(1).push_word(2).unwrap();
    merge.run(&mut Vec::new(), 1);
    merge.refill(1);
}
