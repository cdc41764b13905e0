//! Random rules put to random records, and what a slow reading of the same rules makes of them on serde_json's values.
//!
//! The oracle shares nothing with the engine but the words of the rules: it builds the whole document, goes through it from the
//! top for each rule, and counts in 128 bits. What it does not know is how things are written (other tests hold that), so
//! outputs are compared as values, with their members in order.

mod rule;

mod values;

use super::*;
use crate::rules::lookup::Lookups;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rule::{Outcome, Rule};

/// How many rule files, and records for each.
const FILES: usize = 300;
const RECORDS: usize = 40;

pub(super) fn seed() -> u64 {
    let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    seed
}

#[test]
fn random_rules_make_of_random_records_what_a_slow_reading_makes_of_them() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut outcomes = [0; 3];
    for _ in 0..FILES {
        let drawn: Vec<Rule> = (0..random.random_range(1..6)).map(|_| Rule::draw(&mut random)).collect();
        let text: String = drawn.iter().enumerate().map(|(at, rule)| rule.toml(at)).collect();
        let compiled = rules(&text);
        let mut cleaner = Cleaner::new(Arc::clone(&compiled));
        let lookups = tables(&compiled, &drawn);
        let mut out = Vec::new();
        for _ in 0..RECORDS {
            let record = values::record(&mut random);
            let value = values::written(&record, &mut random);
            let incoming = Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 };
            let verdict = cleaner.clean_with(&incoming, lookups.tables(), &mut out);
            let (ours, at) = match &verdict {
                Verdict::Kept => {
                    let made: serde_json::Value = serde_json::from_slice(&out).unwrap();
                    (Outcome::Kept(made), 0)
                }
                Verdict::Filtered { rule } => (Outcome::Filtered(rule.0), 1),
                Verdict::Rejected { rule, reason } => (Outcome::Rejected(rule.0, reason.class), 2),
                Verdict::Undecodable { reason } => panic!("{value}: {reason}"),
            };
            outcomes[at] += 1;
            let theirs = rule::slowly(&drawn, record);
            // As text: maps are equal in whatever order.
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "\n{text}\n{value}\n{verdict:?}");
        }
        let counts = cleaner.take_counts();
        assert_eq!(
            counts.records,
            counts.kept + counts.filtered.values().sum::<u64>() + counts.rejected.values().sum::<u64>()
        );
    }
    assert!(outcomes.iter().all(|count| *count > FILES * RECORDS / 50), "one outcome is hardly seen: {outcomes:?}");
}

/// What is in the topics that these rules look up in.
fn tables(compiled: &Arc<Rules>, drawn: &[Rule]) -> Lookups {
    let mut lookups = Lookups::new(compiled, 1 << 20);
    for (topic, table) in drawn.iter().filter_map(Rule::looked_up).enumerate() {
        for (key, value) in table {
            lookups.take(topic, Some(key.as_bytes()), Some(value.to_string().as_bytes())).unwrap();
        }
    }
    lookups
}

#[test]
fn where_something_is_held_of_records_it_is_the_same_whatever_random_rules_find_when_they_look_up() {
    let mut random = StdRng::seed_from_u64(seed());
    let (mut taken, mut refused, mut differ, mut kept) = (0, 0, 0, 0);
    while taken < FILES {
        let mut drawn: Vec<Rule> = (0..random.random_range(1..4)).map(|_| Rule::draw(&mut random)).collect();
        let at = random.random_range(0..=drawn.len());
        drawn.insert(
            at,
            std::iter::repeat_with(|| Rule::draw(&mut random)).find(|one| one.looked_up().is_some()).unwrap(),
        );
        let mut text: String = drawn.iter().enumerate().map(|(at, rule)| rule.toml(at)).collect();
        let mut field = || rule::spelled(&rule::field(&mut random));
        text += &match taken % 3 {
            0 => format!("[[rule]]\ndeduplicate = {{ key = {}, window = \"1m\" }}\n", field()),
            1 => format!("[[insight]]\nfield = {}\n", field()),
            _ => {
                let sum = format!("aggregates = {{ sum = {{ sum = {} }} }}", field());
                format!("[[group_by]]\nkey = {}\nwindow = \"1m\"\nto = \"g\"\n{sum}\n", field())
            }
        };
        let compiled = match Rules::parse(&text) {
            Ok(compiled) => Arc::new(compiled),
            Err(errors) => {
                assert!(
                    errors.iter().all(|error| error.to_string().contains("what a lookup finds")),
                    "{text}{errors:?}"
                );
                refused += 1;
                continue;
            }
        };
        taken += 1;
        let lookups = tables(&compiled, &drawn);
        let (mut with, mut without) = (Cleaner::new(Arc::clone(&compiled)), Cleaner::new(Arc::clone(&compiled)));
        let (mut out, mut other) = (Vec::new(), Vec::new());
        for _ in 0..RECORDS {
            let value = values::record(&mut random).to_string();
            let incoming = Incoming { value: Some(value.as_bytes()), timestamp_ms: 7 };
            let verdict = with.clean_with(&incoming, lookups.tables(), &mut out);
            let is_kept = verdict == Verdict::Kept;
            assert_eq!(
                is_kept,
                without.clean(&incoming, &mut other) == Verdict::Kept,
                "\n{text}\n{value}\n{verdict:?}"
            );
            if is_kept {
                let held = |cleaner: &Cleaner| {
                    format!("{:?} {:?} {:?}", cleaner.offered(), cleaner.grouped(), cleaner.noted())
                };
                assert_eq!(held(&with), held(&without), "\n{text}\n{value}");
                kept += 1;
                differ += usize::from(out != other);
            }
        }
    }
    assert!(refused > FILES / 10, "{refused} files are refused");
    assert!(differ > 5, "{differ} of {kept} records differ by what is found");
}

/// Whether a record is a duplicate, or late, by looking at all records before, each time.
fn slowly(before: &[(u8, i64)], (key, time_ms): (u8, i64), window_ms: i64, kept_ms: i64) -> (bool, bool) {
    let latest = before.iter().map(|(_, time)| *time).chain([time_ms]).max().unwrap();
    let of_key = || before.iter().filter(|(other, _)| *other == key).map(|(_, time)| *time);
    let largest = of_key().max().filter(|last| last + kept_ms > latest);
    let duplicate = largest.is_some_and(|last| (last - time_ms).abs() < window_ms);
    let late = !duplicate && (largest.is_some_and(|last| last > time_ms) || time_ms + kept_ms <= latest);
    // What is let through uncounted was not there before; but a record beyond the lateness may be, whose key is forgotten.
    let was_there = of_key().any(|other| (other - time_ms).abs() < window_ms);
    assert!(!duplicate || was_there);
    assert!(duplicate || late || !was_there || (largest.is_none() && time_ms + kept_ms - window_ms < latest));
    (duplicate, late)
}

#[test]
fn duplicates_are_those_that_a_look_at_all_records_before_finds_and_a_state_is_had_again_from_the_log() {
    let mut random = StdRng::seed_from_u64(seed());
    let rules = one(r#"deduplicate = { key = "id", window = "10ms", lateness = "3ms" }"#);
    for _ in 0..200 {
        let mut now = 0;
        let log: Vec<(u8, i64)> = (0..60)
            .map(|_| {
                now += random.random_range(0..3);
                let out_of_order = if random.random_bool(0.1) { random.random_range(0..30) } else { 0 };
                (random.random_range(0..5), now - out_of_order)
            })
            .collect();
        let offer = |state: &mut State, at: usize| {
            let (key, time_ms) = log[at];
            state.offer(Offered { keys: &[key], ends: &[(1, time_ms)] }, at as i64).unwrap()
        };
        let mut state = State::new(&rules, 1 << 20);
        for at in 0..log.len() {
            let again_from = state.oldest_needed().map_or(at, |offset| offset as usize);
            let mut again = State::new(&rules, 1 << 20);
            for before in again_from..at {
                offer(&mut again, before);
            }
            let expected = slowly(&log[..at], log[at], 10, 13);
            let found = offer(&mut state, at);
            let late = state.take_counts().late == 1;
            assert_eq!((found != Offer::New, late), expected, "{at} of {log:?}");
            assert_eq!(offer(&mut again, at), found, "{at} of {log:?}, read again from {again_from}");
            assert_eq!((again.oldest_needed(), again.bytes()), (state.oldest_needed(), state.bytes()));
        }
    }
}
