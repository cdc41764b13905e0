//! Aggregates, by hand and against slow readings.

use super::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt, SeedableRng};

fn value(json: &str) -> FieldValue<'_> {
    let bytes = json.as_bytes();
    match bytes[0] {
        b'n' => FieldValue::Nothing,
        b'"' => FieldValue::Text(&bytes[1..bytes.len() - 1]),
        b't' | b'f' => FieldValue::Truth(bytes[0] == b't'),
        b'[' | b'{' => FieldValue::Nested(bytes),
        _ => FieldValue::Number(bytes),
    }
}

fn of(word: &str, values: &[&str]) -> Aggregate {
    let mut aggregate = Aggregate::new(AggregateKind::parse(word).unwrap());
    values.iter().for_each(|json| aggregate.add(value(json)));
    aggregate
}

/// The answer, and how many were unfit.
fn told(mut aggregate: Aggregate) -> (String, u64) {
    let mut out = Vec::new();
    aggregate.write(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    (text, aggregate.unfit())
}

fn holds(values: &[&str], cases: &[(&str, &str, u64)]) {
    for (word, expected, unfit) in cases {
        assert_eq!(told(of(word, values)), ((*expected).to_owned(), *unfit), "{word} of {values:?}");
    }
}

#[test]
fn what_is_missing_or_null_is_passed_over_and_what_is_unfit_is_counted() {
    holds(
        &["1", "null", "2.5", "\"x\"", "true", "[1]", "1e400", "1.0"],
        &[
            ("count", "7", 0),
            ("sum", "4.5", 4),
            ("mean", "1.5", 4),
            ("min", "1", 4),
            ("max", "2.5", 4),
            ("p50", "1", 4),
            ("distinct", "4", 2),
        ],
    );
}

#[test]
fn of_nothing_there_is_no_mean_and_no_extreme() {
    let expected = [
        ("count", "0"),
        ("sum", "0"),
        ("mean", "null"),
        ("min", "null"),
        ("max", "null"),
        ("p95", "null"),
        ("distinct", "0"),
    ];
    holds(&["null"], &expected.map(|(word, answer)| (word, answer, 0)));
    let mut records = Aggregate::new(AggregateKind::Records);
    records.add(FieldValue::Nothing);
    assert_eq!(told(records), ("1".to_owned(), 0));
}

#[test]
fn whole_numbers_are_exact_however_large_the_sum() {
    let largest = i64::MAX.to_string();
    holds(
        &[&largest, &largest, "1e1", "2.0"],
        &[("sum", "18446744073709551626", 0), ("max", &largest, 0), ("distinct", "3", 0)],
    );
    holds(&["9007199254740993", "0.5", "-0.5"], &[("sum", "9007199254740992.0", 0)]);
    holds(&["-0.0", "0", "-0"], &[("sum", "0", 0), ("distinct", "1", 0)]);
}

#[test]
fn a_sum_of_doubles_is_the_nearest_one_to_the_exact_sum() {
    holds(&["0.1"; 10], &[("sum", "1.0", 0), ("mean", "0.1", 0)]);
    holds(&["1e300", "1.5", "-1e300"], &[("sum", "1.5", 0)]);
    holds(&["1.5e308", "1.5e308"], &[("sum", "null", 0), ("mean", "null", 0), ("max", "1.5e308", 0)]);
}

#[test]
fn texts_have_a_least_and_a_largest_unless_numbers_are_among_them() {
    holds(&["\"b\"", "\"a\"", "\"é\"", "true"], &[("min", "\"a\"", 1), ("max", "\"é\"", 1)]);
    holds(&["\"b\"", "7", "\"a\""], &[("min", "7", 2), ("max", "7", 2)]);
}

#[test]
fn a_quantile_is_a_value_that_is_there() {
    let texts: Vec<String> = (1..=10).map(|number| number.to_string()).collect();
    let values: Vec<&str> = texts.iter().rev().map(String::as_str).collect();
    let cases = [("p0", "1"), ("p10", "1"), ("p10.001", "2"), ("p50", "5"), ("p95", "10"), ("p100", "10")];
    holds(&values, &cases.map(|(word, answer)| (word, answer, 0)));
    holds(&["7"], &[("p0", "7", 0), ("p50", "7", 0), ("p99.9", "7", 0)]);
}

#[test]
fn words_that_ask_for_nothing_are_none() {
    for word in ["", "p", "p101", "p100.001", "p1.2345", "p-1", "p.5", "p5.", "median", "Count", "p0050"] {
        assert_eq!(AggregateKind::parse(word), None, "{word}");
    }
    assert_eq!(AggregateKind::parse("p99.9"), Some(AggregateKind::Quantile(99_900)));
}

#[test]
fn no_answer_depends_on_the_order_or_on_how_the_values_were_shared_out() {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..200 {
        let mut values: Vec<String> = (0..random.random_range(1..40))
            .map(|_| match random.random_range(0..8) {
                0 => format!("\"{}\"", random.random_range(0..5)),
                1 => "true".to_owned(),
                2 | 3 => random.random_range(-5..5).to_string(),
                4 => random.random::<i64>().to_string(),
                5 => format!("{:?}", (random.random::<f64>() - 0.5) * 1e18),
                _ => format!("{:?}", random.random::<f64>()),
            })
            .collect();
        for word in ["count", "sum", "mean", "min", "max", "p50", "p95", "p99.9", "distinct"] {
            let all: Vec<&str> = values.iter().map(String::as_str).collect();
            let expected = told(of(word, &all));
            let mut parts: Vec<Aggregate> = all.chunks(random.random_range(1..10)).map(|part| of(word, part)).collect();
            parts.shuffle(&mut random);
            let mut together = of(word, &[]);
            parts.into_iter().for_each(|part| together.merge(part));
            assert_eq!(told(together), expected, "{word} of {values:?}");
            values.shuffle(&mut random);
        }
    }
}

#[test]
fn what_it_takes_grows_with_what_is_kept_and_with_nothing_else() {
    for word in ["count", "sum", "mean", "min", "max"] {
        let small = of(word, &["1"]).bytes();
        assert_eq!(of(word, &["2"; 10_000]).bytes(), small, "{word}");
    }
    assert!(of("p50", &["1"; 10_000]).bytes() >= 10_000 * size_of::<Number>());
    let texts: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let values: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert!(of("distinct", &values).bytes() >= 1000 * DISTINCT_BYTES);
    assert!(of("distinct", &["1"; 1000]).bytes() < 1000);
}

#[test]
fn a_sum_that_leaves_doubles_on_its_way_comes_back_in_any_order_and_takes_no_more_for_it() {
    let numbers: [&[u8]; 6] = [b"1e308", b"1.7e308", b"-1e308", b"0.5", b"-1.7e308", b"2.25"];
    let kind = AggregateKind::parse("sum").unwrap();
    for first in 0..numbers.len() {
        let (mut one, mut other) = (Aggregate::new(kind), Aggregate::new(kind));
        for at in 0..numbers.len() {
            let to = if at % 2 == 0 { &mut one } else { &mut other };
            to.add(FieldValue::Number(numbers[(first + at) % numbers.len()]));
        }
        one.merge(other);
        let mut out = Vec::new();
        one.write(&mut out);
        assert_eq!(out, b"2.75", "{first}");
    }
    let mut beyond = Aggregate::new(kind);
    (0..1000).for_each(|_| [&b"1e308"[..], b"0.5"].into_iter().for_each(|one| beyond.add(FieldValue::Number(one))));
    assert!(beyond.bytes() < 1000, "{}", beyond.bytes());
    let mut out = Vec::new();
    beyond.write(&mut out);
    assert_eq!(out, b"null");
}
