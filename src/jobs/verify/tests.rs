//! Every kind of damage is found and named, and the proof itself is held against sorting.

mod laws;

use super::compare::{Comparison, How, compare};
use super::report::VerifyReport;
use super::*;
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::jobs::testing::{Made, MemorySource, block_on, context};
use crate::keys::Order;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

fn keys() -> KeyPlan {
    KeyPlan::parse(&[], Order::Asc).unwrap()
}

fn walk(inputs: &[Vec<Made>], output: &[Made], with_timestamp: bool) -> Result<Comparison, JobError> {
    let inputs = inputs.iter().enumerate().map(|(index, records)| MemorySource::new("in", index as i32, records));
    walk_sources(inputs, MemorySource::new("out", 0, output).cut(4, 1), &keys(), with_timestamp)
}

/// Large blocks, so that windows end them, or the smallest ones.
fn walk_sources(
    inputs: impl Iterator<Item = MemorySource> + Clone,
    output: MemorySource,
    keys: &KeyPlan,
    with_timestamp: bool,
) -> Result<Comparison, JobError> {
    let share = ReadShare::of("verify", 1 << 20, 0, 1).unwrap();
    let walk = |block_bytes| {
        let how = How { keys, with_timestamp, share: ReadShare { block_bytes, ..share } };
        block_on(compare(inputs.clone(), output.clone(), how, &context()))
    };
    let (found, found_in_small) = (walk(share.block_bytes), walk(0));
    assert_eq!(format!("{found:?}"), format!("{found_in_small:?}"), "whatever the blocks are");
    found
}

fn report(found: Comparison) -> VerifyReport {
    VerifyReport {
        found,
        keys: keys(),
        ignore_timestamp: false,
        starts: "in:0=0,1=0".parse().unwrap(),
        ends: "in:0=7,1=7".parse().unwrap(),
        ends_were_given: false,
        output: TopicPartition::new("out", 0),
        output_range: 0..14,
        output_end_was_given: true,
        seconds: 1.0,
    }
}

/// Two inputs in which every record is another one.
fn inputs() -> Vec<Vec<Made>> {
    let record = |source: i64, offset: i64, number: i64| Made {
        key: Some(format!("{source}/{offset}").into_bytes()),
        value: Some(number.to_string().into_bytes()),
        timestamp: 1000 + offset,
        headers: vec![("h".into(), Some(b"1".to_vec())), ("h".into(), None), ("g".into(), Some(b"2".to_vec()))],
    };
    let source = |source, numbers: &[i64]| -> Vec<Made> {
        numbers.iter().enumerate().map(|(offset, number)| record(source, offset as i64, *number)).collect()
    };
    vec![source(0, &[-1, 1, 2, 2, 3, 5, 10]), source(1, &[1, 1, 2, 4, 5, 9, 10])]
}

/// Collect, and sort by key; the sort is stable, so ties stay in the order of source and offset.
fn merged(inputs: &[Vec<Made>]) -> Vec<Made> {
    let mut all = inputs.concat();
    all.sort_by_key(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap().parse::<i64>().unwrap());
    all
}

/// Damages the merge of [`inputs`] and gives what is found.
fn damaged(damage: impl FnOnce(&mut Vec<Made>)) -> Comparison {
    let mut output = merged(&inputs());
    damage(&mut output);
    walk(&inputs(), &output, true).unwrap()
}

fn counts(found: &Comparison) -> (u64, u64, u64, bool) {
    (found.missing, found.extra, found.out_of_order, found.exact)
}

fn first(found: &Comparison) -> &Difference {
    found.first.as_ref().expect("a difference")
}

#[test]
fn the_merge_of_the_inputs_is_verified() {
    let found = damaged(|_| {});
    assert_eq!((counts(&found), &found.first), ((0, 0, 0, true), &None));
    assert_eq!((found.input_records, found.output_records), (14, 14));
    let report = report(found);
    assert!(report.ok() && report.verdict().is_ok());
    let json = report.to_json();
    assert_eq!(
        (&json["ok"], &json["exact"], &json["first_difference"]),
        (&true.into(), &true.into(), &serde_json::Value::Null)
    );
    assert_eq!(json["ends"], "in:0=7,1=7");
    assert!(report.summary().contains("no --end"), "the ends are said aloud: {}", report.summary());
}

#[test]
fn nothing_merged_into_nothing_is_verified() {
    let found = walk(&[vec![], vec![]], &[], true).unwrap();
    assert_eq!((found.first, found.exact), (None, true));
}

#[test]
fn a_missing_record_is_found_where_it_should_be() {
    for at in 0..14 {
        let found = damaged(|output| drop(output.remove(at)));
        assert_eq!(counts(&found), (1, 0, 0, true), "{at}");
        let first = first(&found);
        assert_eq!(first.at.to_string(), format!("out partition 0 offset {at}"));
        let shown = first.expected.as_ref().unwrap();
        let (source, offset) = (shown.at.partition.partition, shown.at.offset);
        assert_eq!(shown.key, format!("\"{source}/{offset}\""), "the place is that of the record");
        assert_eq!(first.found.is_none(), at == 13, "only after the last the output ends");
    }
}

#[test]
fn an_extra_record_is_found_where_it_is() {
    let found = damaged(|output| {
        let again = output[6].clone();
        output.insert(7, again);
    });
    assert_eq!(counts(&found), (0, 1, 0, true));
    assert_eq!(first(&found).at.offset, 7);
    let found = damaged(|output| output.push(Made::value("99")));
    assert_eq!(counts(&found), (0, 1, 0, true));
    assert_eq!((first(&found).at.offset, &first(&found).expected), (14, &None));
    assert_eq!(first(&found).found.as_ref().unwrap().sort_key, "99");
    assert!(first(&found).to_string().contains("the inputs have no more records"));
}

#[test]
fn an_extra_record_without_a_readable_key_is_a_difference_and_not_a_failure() {
    let found = damaged(|output| output.insert(3, Made::value("x")));
    assert_eq!(counts(&found), (0, 1, 0, true));
    assert_eq!(first(&found).found.as_ref().unwrap().sort_key, "unreadable");
}

#[test]
fn swapped_records_are_all_there_and_out_of_order() {
    let found = damaged(|output| output.swap(0, 13));
    assert_eq!(counts(&found), (0, 0, 2, true), "the 10 before the first and the -1 after the last");
    assert_eq!(first(&found).at.offset, 0);
    assert!(report(found).summary().contains("all there, in another order"));
}

#[test]
fn ties_in_the_wrong_order_are_a_difference_though_nothing_is_out_of_order() {
    let found = damaged(|output| output.swap(1, 2));
    assert_eq!(counts(&found), (0, 0, 0, true));
    assert_eq!((first(&found).at.offset, first(&found).fields.clone()), (1, vec![Field::Key, Field::Timestamp]));
}

/// One record is changed: one is missing, the changed one is extra, and the field is named.
fn assert_change_is_named(field: Field, change: impl Fn(&mut Made)) {
    let mut output = merged(&inputs());
    change(&mut output[9]);
    assert_ne!(output[9], merged(&inputs())[9], "the change changes something");
    let found = walk(&inputs(), &output, true).unwrap();
    assert_eq!((found.missing, found.extra, found.exact), (1, 1, true));
    assert_eq!((first(&found).at.offset, first(&found).fields.as_slice()), (9, &[field][..]));
    assert_eq!(report(found).verdict().unwrap_err().kind(), Kind::Data);
}

#[test]
fn every_field_that_was_changed_is_named() {
    assert_change_is_named(Field::Value { from_byte: 0 }, |record| record.value = Some(b"6".to_vec()));
    assert_change_is_named(Field::Value { from_byte: 1 }, |record| record.value = Some(b"5 ".to_vec()));
    assert_change_is_named(Field::Value { from_byte: 0 }, |record| record.value = None);
    assert_change_is_named(Field::Value { from_byte: 0 }, |record| record.value = Some(vec![]));
    assert_change_is_named(Field::Key, |record| record.key = None);
    assert_change_is_named(Field::Key, |record| record.key = Some(vec![]));
    assert_change_is_named(Field::Timestamp, |record| record.timestamp += 1);
    assert_change_is_named(Field::Headers, |record| record.headers.swap(0, 1));
    assert_change_is_named(Field::Headers, |record| drop(record.headers.remove(0)));
    assert_change_is_named(Field::Headers, |record| record.headers.clear());
    assert_change_is_named(Field::Headers, |record| record.headers[1].1 = Some(vec![]));
    assert_change_is_named(Field::Headers, |record| record.headers[0].0 = "H".into());
}

#[test]
fn null_and_empty_are_told_apart_in_what_is_said() {
    let input = vec![vec![Made { key: Some(vec![]), ..Made::value("1") }]];
    let found = walk(&input, &[Made { key: None, ..Made::value("1") }], true).unwrap();
    let text = first(&found).to_string();
    assert!(text.contains("there is   1 (key null, ") && text.contains("should be  1 (key \"\", "), "{text}");
    assert!(text.contains("from in partition 0 offset 0") && text.contains("they differ in key"), "{text}");
}

#[test]
fn values_with_a_long_common_beginning_are_shown_from_where_they_differ() {
    let plan = KeyPlan::parse(&["value:string".to_owned()], Order::Asc).unwrap();
    let value = |end: &str| Made::value(format!("{}{end}", "x".repeat(5000)));
    let input = MemorySource::new("in", 0, &[value("one")]);
    let found = walk_sources([input].into_iter(), MemorySource::new("out", 0, &[value("two")]), &plan, true);
    let text = first(&found.unwrap()).to_string();
    assert!(text.contains("value ...\"two\"") && text.contains("value ...\"one\""), "{text}");
    assert!(text.contains("value (from byte 5000 on)"), "{text}");
}

#[test]
fn timestamps_are_ignored_when_asked_and_the_way_out_is_said_when_not() {
    let mut output = merged(&inputs());
    output.iter_mut().for_each(|record| record.timestamp = 7);
    let found = walk(&inputs(), &output, false).unwrap();
    assert_eq!((counts(&found), found.first), ((0, 0, 0, true), None));
    let found = walk(&inputs(), &output, true).unwrap();
    assert_eq!((found.missing, found.extra), (14, 14));
    assert!(report(found).summary().contains("--ignore timestamp"));
}

#[test]
fn an_input_that_runs_backwards_is_named_with_both_records() {
    let inputs = vec![vec![Made::value("1")], vec![Made::value("1"), Made::value("3"), Made::value("2")]];
    let as_read = [Made::value("1"), Made::value("1"), Made::value("3"), Made::value("2")];
    let error = walk(&inputs, &as_read, true).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    let text = "the input is not sorted: in partition 1 offset 2 has key 2, below 3 at offset 1";
    assert_eq!(error.to_string(), text);
    // A difference found before that is worth more, but what is behind it is said.
    let found = walk(&inputs, &merged(&inputs), true).unwrap();
    assert_eq!((counts(&found), first(&found).at.offset), ((0, 0, 0, true), 2));
    assert_eq!(found.input_flaw.as_deref(), Some(text));
    assert!(report(found).summary().contains(text));
}

#[test]
fn an_input_key_that_cannot_be_read_is_named_with_its_place() {
    let inputs = vec![vec![Made::value("1")], vec![Made::value("1"), Made::value("one")]];
    let error = walk(&inputs, &[Made::value("1"), Made::value("1")], true).unwrap_err();
    assert!(error.to_string().starts_with("in partition 1 offset 1: cannot read value as int"), "{error}");
    assert_eq!(error.kind(), Kind::Data);
}

#[test]
fn a_flood_of_differences_is_a_lower_bound_that_says_so() {
    const RECORDS: u64 = 100_000;
    let record =
        |number: u64, key: u64| Made { key: Some(key.to_be_bytes().to_vec()), ..Made::value(number.to_string()) };
    let input: Vec<Made> = (0..RECORDS).map(|number| record(number, 1)).collect();
    let output: Vec<Made> = (0..RECORDS).map(|number| record(number, 2)).collect();
    let found = walk(&[input], &output, true).unwrap();
    assert!(!found.exact && found.missing > 50_000 && found.missing <= RECORDS, "{found:?}");
    assert_eq!(found.missing, found.extra);
    assert!(report(found).summary().contains("at least"));
}

#[test]
fn random_merges_are_verified_and_any_one_change_is_found() {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..100 {
        let inputs: Vec<Vec<Made>> = (0..rng.random_range(1..6))
            .map(|_| {
                let mut numbers: Vec<i64> = (0..rng.random_range(0..30)).map(|_| rng.random_range(-5..5)).collect();
                numbers.sort_unstable();
                numbers
                    .iter()
                    .map(|number| Made { timestamp: rng.random_range(0..3), ..Made::value(number.to_string()) })
                    .collect()
            })
            .collect();
        let output = merged(&inputs);
        let found = walk(&inputs, &output, true).unwrap();
        assert_eq!((counts(&found), found.first), ((0, 0, 0, true), None), "{inputs:?}");
        if output.is_empty() {
            continue;
        }
        let mut wrong = output.clone();
        let (a, b) = (rng.random_range(0..output.len()), rng.random_range(0..output.len()));
        match rng.random_range(0..4) {
            0 => drop(wrong.remove(a)),
            1 => wrong.insert(a, wrong[b].clone()),
            2 => wrong.swap(a, b),
            _ => wrong[a].timestamp += 1,
        }
        // The oracle for damage: the first place where the lists part, and the multisets' difference by size.
        let expected = (0..output.len().max(wrong.len())).find(|i| output.get(*i) != wrong.get(*i));
        let found = walk(&inputs, &wrong, true).unwrap();
        assert_eq!(found.first.as_ref().map(|first| first.at.offset as usize), expected, "{output:?} {wrong:?}");
        assert_eq!(
            found.missing as i64 - found.extra as i64,
            output.len() as i64 - wrong.len() as i64,
            "{output:?} {wrong:?}"
        );
    }
}
