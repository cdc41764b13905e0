//! The normalised order held against what the keys mean, at random, with the seed printed.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::cmp::Ordering;

/// What a key means, comparable by its derived order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Int(i64),
    /// Digits from 10^80 down, each with the number's sign.
    Decimal(Vec<i8>),
    Bytes(Vec<u8>),
    Nanos(i128),
}

const PLACES: i32 = 80;

fn ints() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX)]
}

fn decimals() -> impl Strategy<Value = (Vec<u8>, Meaning)> {
    (any::<bool>(), prop::collection::vec(prop_oneof![0u8..10, Just(0u8), Just(9u8)], 1..30), 0usize..8, -30i32..30)
        .prop_map(|(negative, digits, fraction, exponent)| {
            let fraction = fraction.min(digits.len() - 1);
            let (whole, after) = digits.split_at(digits.len() - fraction);
            let text = |digits: &[u8]| digits.iter().map(|digit| char::from(b'0' + digit)).collect::<String>();
            let point = if after.is_empty() { "" } else { "." };
            let written =
                format!("{}{}{point}{}e{exponent}", if negative { "-" } else { "" }, text(whole), text(after));
            let mut places = vec![0i8; 2 * PLACES as usize];
            for (i, digit) in digits.iter().enumerate() {
                let power = whole.len() as i32 - 1 - i as i32 + exponent;
                places[(PLACES - power) as usize] = if negative { -(*digit as i8) } else { *digit as i8 };
            }
            (written.into_bytes(), Meaning::Decimal(places))
        })
}

fn strings() -> impl Strategy<Value = Vec<u8>> {
    // Few different bytes, so that prefixes and ties are met, around the length of a prefix.
    prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), Just(2u8), Just(b'a'), Just(0x7f)], 0..12)
}

fn times() -> impl Strategy<Value = (Vec<u8>, Meaning)> {
    (-2_000_000i64..2_000_000, prop_oneof![Just(0u32), Just(1), 0u32..1_000_000, Just(999_999)]).prop_map(
        |(ms, nanos)| {
            let whole = crate::base::time::show_epoch_ms(ms.div_euclid(1000) * 1000).to_string();
            let fraction = ms.rem_euclid(1000) * 1_000_000 + i64::from(nanos);
            let text = match nanos {
                0 => ms.to_string(),
                _ => whole.replace('Z', &format!(".{fraction:09}Z")),
            };
            (text.into_bytes(), Meaning::Nanos(i128::from(ms) * 1_000_000 + i128::from(nanos)))
        },
    )
}

fn meant(kind: KeyType) -> BoxedStrategy<(Vec<u8>, Meaning)> {
    match kind {
        KeyType::Int => ints().prop_map(|number| (number.to_string().into_bytes(), Meaning::Int(number))).boxed(),
        KeyType::Be64 => ints().prop_map(|number| (number.to_be_bytes().to_vec(), Meaning::Int(number))).boxed(),
        KeyType::Decimal => decimals().boxed(),
        KeyType::String | KeyType::Bytes => strings().prop_map(|bytes| (bytes.clone(), Meaning::Bytes(bytes))).boxed(),
        KeyType::Time => times().boxed(),
    }
}

fn runner() -> TestRunner {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let config = Config { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    TestRunner::new(config)
}

#[test]
fn fault_48_the_normalised_order_is_the_order_of_what_the_keys_mean_and_a_total_one() {
    let kinds = prop::collection::vec(prop::sample::select(KeyType::ALL.to_vec()), 1..4);
    let cases = kinds.prop_flat_map(|kinds| {
        let record = kinds.iter().map(|kind| meant(*kind)).collect::<Vec<_>>();
        (Just(kinds), prop::collection::vec(record, 3))
    });
    runner()
        .run(&cases, |(kinds, records)| {
            let specs: Vec<String> = kinds.iter().enumerate().map(|(i, kind)| format!("header:{i}:{kind}")).collect();
            for order in [Order::Asc, Order::Desc] {
                let plan = KeyPlan::parse(&specs, order).map_err(TestCaseError::fail)?;
                let mut keys = Vec::new();
                for record in &records {
                    let headers =
                        record.iter().enumerate().map(|(i, (text, _))| (i.to_string(), Some(text.clone()))).collect();
                    let made = Made { headers, ..Made::default() };
                    let meaning: Vec<&Meaning> = record.iter().map(|(_, meaning)| meaning).collect();
                    keys.push((plan.extract(&made).map_err(|error| TestCaseError::fail(error.to_string()))?, meaning));
                }
                for (a, meaning_a) in &keys {
                    for (b, meaning_b) in &keys {
                        let expected = match order {
                            Order::Asc => meaning_a.cmp(meaning_b),
                            Order::Desc => meaning_b.cmp(meaning_a),
                        };
                        prop_assert_eq!(a.cmp(b), expected);
                        prop_assert_eq!(b.cmp(a), expected.reverse());
                        prop_assert_eq!(a == b, expected == Ordering::Equal);
                        for (c, _) in &keys {
                            prop_assert!(!(a <= b && b <= c) || a <= c);
                        }
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn fault_48_any_bytes_are_a_key_or_an_error_and_never_a_panic() {
    let soup = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(b"{}[]\":,\\u0019eE+-.aTZ ".to_vec()), 0..40),
    ];
    runner()
        .run(&soup, |bytes| {
            let record = value(&bytes);
            for kind in KeyType::ALL {
                for source in ["value", "value:json:/a", "value:json:", "value:json:/0/a"] {
                    if let Ok(plan) = KeyPlan::parse(&[format!("{source}:{kind}")], Order::Desc) {
                        let _ = plan.extract(&record);
                        let _ = plan.show(&record);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}
