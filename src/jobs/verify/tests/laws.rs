//! The proof against the slow way: everything collected and sorted, the two lists held side by side, and counted.

use super::*;
use crate::batch::Codec;
use std::cmp::Ordering;
use std::collections::HashMap;

/// By what records are put in order, and how that is told without the key language.
struct By {
    keys: KeyPlan,
    compare: fn(&Made, &Made) -> Ordering,
    readable: fn(&Made) -> bool,
}

fn number(made: &Made) -> Option<i64> {
    made.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
}

fn plans() -> [By; 4] {
    let plan = |spec: &[&str], order| {
        KeyPlan::parse(&spec.iter().map(|spec| (*spec).to_owned()).collect::<Vec<_>>(), order).unwrap()
    };
    let readable = |made: &Made| number(made).is_some();
    [
        By { keys: plan(&[], Order::Asc), compare: |a, b| number(a).cmp(&number(b)), readable },
        By { keys: plan(&[], Order::Desc), compare: |a, b| number(b).cmp(&number(a)), readable },
        // Beyond eight bytes, with long beginnings in common.
        By {
            keys: plan(&["key:string"], Order::Asc),
            compare: |a, b| a.key.cmp(&b.key),
            readable: |a| a.key.is_some(),
        },
        By {
            keys: plan(&["timestamp"], Order::Asc),
            compare: |a, b| a.timestamp.cmp(&b.timestamp),
            readable: |_| true,
        },
    ]
}

fn made(rng: &mut StdRng) -> Made {
    // Far apart in some, so that their words are, and close in others, so that there are ties.
    let number = if rng.random_bool(0.1) { rng.random::<i64>() } else { rng.random_range(-4..9) };
    let headers = (0..rng.random_range(0..3) / 2 * 2)
        .map(|_| ("h".repeat(rng.random_range(0..2)), rng.random_bool(0.5).then(|| vec![b'v'; rng.random_range(0..2)])))
        .collect();
    let key = ["", "a", "stem-stem-stem-", "stem-stem-stem-1", "stem-stem-stem-2"][rng.random_range(0..5)];
    Made {
        key: Some(key.into()),
        value: Some(number.to_string().into_bytes()),
        timestamp: rng.random_range(0..6),
        headers,
    }
}

/// Changes `output` in one way or another, or not at all.
fn harm(rng: &mut StdRng, output: &mut Vec<Made>) {
    let any = |rng: &mut StdRng, output: &[Made]| rng.random_range(0..output.len());
    if output.is_empty() {
        return output.push(made(rng));
    }
    let (a, b, last) = (any(rng, output), any(rng, output), output.len() - 1);
    match rng.random_range(0..12) {
        0 => drop(output.remove(a)),
        1 => {
            let again = output[a].clone();
            output.insert(b, again);
        }
        2 => output.swap(a, b),
        // Neighbours, which are ties more often than not.
        3 => output.swap(a, last.min(a + 1)),
        4 => output[a].timestamp += 1,
        5 => output[a].value.as_mut().unwrap()[0] ^= 1,
        6 => output[a].key = None,
        7 => output[a].key.as_mut().map_or((), |key| key.push(b'0')),
        8 => output[a].headers.push(("more".into(), None)),
        9 => drop(output[a].headers.pop()),
        10 => output.truncate(a),
        _ => output.push(made(rng)),
    }
}

/// A partition that holds `records` behind `before` others, with one more behind them, cut and compressed somehow.
fn source(rng: &mut StdRng, topic: &str, index: usize, records: &[Made], before: i64) -> MemorySource {
    let mut all: Vec<Made> = (0..before).map(|_| made(rng)).collect();
    all.extend_from_slice(records);
    all.push(made(rng));
    let codec = if rng.random_bool(0.7) { Codec::None } else { Codec::ALL[rng.random_range(0..Codec::ALL.len())] };
    let range = before..before + records.len() as i64;
    MemorySource::new(topic, index as i32, &all)
        .range(range)
        .cut(rng.random_range(1..30), rng.random_range(1..4))
        .codec(codec)
}

/// What the slow way finds: missing, extra, out of order.
fn counted(expected: &[Made], output: &[Made], by: &By) -> (u64, u64, u64) {
    let mut more: HashMap<String, i64> = HashMap::new();
    expected.iter().for_each(|made| *more.entry(format!("{made:?}")).or_default() += 1);
    output.iter().for_each(|made| *more.entry(format!("{made:?}")).or_default() -= 1);
    let (missing, extra) =
        (more.values().map(|n| *n.max(&0)).sum::<i64>(), more.values().map(|n| -*n.min(&0)).sum::<i64>());
    let readable: Vec<&Made> = output.iter().filter(|made| (by.readable)(made)).collect();
    let backwards = readable.windows(2).filter(|two| (by.compare)(two[0], two[1]) == Ordering::Greater).count();
    (missing as u64, extra as u64, backwards as u64)
}

fn is_what_the_slow_way_finds(rng: &mut StdRng, by: &By) -> bool {
    let with_timestamp = rng.random_bool(0.7);
    let inputs: Vec<Vec<Made>> = (0..rng.random_range(1..12))
        .map(|_| {
            let mut records: Vec<Made> = (0..rng.random_range(0..40)).map(|_| made(rng)).collect();
            records.sort_by(by.compare);
            records
        })
        .collect();
    let befores: Vec<i64> = inputs.iter().map(|_| rng.random_range(0..20)).collect();
    let mut merged: Vec<(usize, i64, Made)> = Vec::new();
    for (index, records) in inputs.iter().enumerate() {
        let places = records.iter().zip(befores[index]..);
        merged.extend(places.map(|(made, offset)| (index, offset, made.clone())));
    }
    merged.sort_by(|a, b| (by.compare)(&a.2, &b.2)); // stable: ties stay by source and offset
    let mut output: Vec<Made> = merged.iter().map(|(_, _, made)| made.clone()).collect();
    for _ in 0..rng.random_range(0..3) {
        harm(rng, &mut output);
    }

    let sources: Vec<MemorySource> =
        inputs.iter().enumerate().map(|(index, records)| source(rng, "in", index, records, befores[index])).collect();
    let before = rng.random_range(0..20);
    let out = source(rng, "out", 0, &output, before);
    let found = walk_sources(sources.into_iter(), out, &by.keys, with_timestamp).unwrap();

    let compared = |made: &Made| if with_timestamp { made.clone() } else { Made { timestamp: 0, ..made.clone() } };
    let expected: Vec<Made> = merged.iter().map(|(_, _, made)| compared(made)).collect();
    let there: Vec<Made> = output.iter().map(compared).collect();
    let parts = (0..expected.len().max(there.len())).find(|i| expected.get(*i) != there.get(*i));
    let what = || format!("{}, {with_timestamp}: {merged:?} {output:?} {found:?}", by.keys);
    let first = found.first.as_ref();
    assert_eq!(first.map(|first| first.at.offset - before), parts.map(|at| at as i64), "{}", what());
    if let (Some(first), Some(at)) = (first, parts) {
        let place = first.expected.as_ref().map(|shown| (shown.at.partition.partition as usize, shown.at.offset));
        assert_eq!(place, merged.get(at).map(|(source, offset, _)| (*source, *offset)), "{}", what());
        assert_eq!(
            first.found.as_ref().map(|shown| shown.at.offset - before),
            (at < output.len()).then_some(at as i64)
        );
    }
    assert_eq!((found.input_records, found.output_records), (merged.len() as u64, output.len() as u64), "{}", what());
    let (missing, extra, _) = counted(&expected, &there, by);
    let (_, _, out_of_order) = counted(&[], &output, by);
    if parts.is_none() {
        assert_eq!((found.missing, found.extra, found.exact), (0, 0, true), "{}", what());
    } else if found.exact {
        assert_eq!((found.missing, found.extra), (missing, extra), "{}", what());
    } else {
        assert!(found.missing <= missing && found.extra <= extra, "{}", what());
    }
    assert_eq!(found.out_of_order, out_of_order, "{}", what());
    parts.is_none()
}

#[test]
fn whatever_is_done_to_an_output_the_proof_finds_what_the_slow_way_finds() {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for by in &plans() {
        let right = (0..60).filter(|_| is_what_the_slow_way_finds(&mut rng, by)).count();
        assert!((6..54).contains(&right), "both outputs that are right and such that are not: {right} of 60");
    }
}
