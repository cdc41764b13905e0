//! Rules, lookups, measures and insights allocate nothing for a record, and what they remember takes no more than they say.
//!
//! Each test counts its own thread alone, so they run beside each other; those that count all threads are in a program
//! of their own (`tests/allocations.rs`), where these would be counted with them.

#![allow(missing_docs, reason = "a test")]

mod counting;

use counting::{allocations_here, peak};
use kmerge::rules::insight::{Insights, Noted};
use kmerge::rules::lookup::Lookups;
use kmerge::rules::measure::{Looked, Measurer, Measures, TableFull};
use kmerge::rules::{Cleaner, GroupedAt, Groups, Incoming, Offer, Rules, State, Verdict};
use std::io::Write as _;
use std::sync::Arc;

const RULES: &str = r#"
[[rule]]
default = { field = ["device", "/meta/source"], value = "unknown" }
[[rule]]
rename = { field = "ts", to = "at" }
[[rule]]
rename = { field = "app", to = "/meta/app" }
[[rule]]
drop = { field = "debug" }
[[rule]]
derive = { field = "hour", from = "at", part = "hour", unit = "s" }
[[rule]]
cast = { field = "at", to = "time", unit = "s" }
[[rule]]
cast = { field = "age", to = "int", on_failure = "null" }
[[rule]]
trim = { field = "user" }
[[rule]]
case = { field = "device", to = "upper" }
[[rule]]
map = { field = "device", values = { IOS = "iOS" } }
[[rule]]
range = { field = "hour", min = 0, max = 23 }
[[rule]]
pattern = { field = "user", matches = '^[a-z" ]+\d+$' }
[[rule]]
derive = { field = "who", template = "{user}@{device}" }
[[rule]]
filter = { drop = { any = [{ field = "user", equals = "x" }, { field = "device", matches = "^$" }] } }
[[rule]]
deduplicate = { key = ["user", "device"], window = "1m", time = "at" }
[[insight]]
field = ["user", "device", "age", "meta"]
window = "1m"
time = "at"
"#;

#[test]
fn rules_allocate_nothing_for_a_record_that_they_keep() {
    let records: Vec<String> = (0..10_000)
        .map(|n| {
            let device = if n % 3 == 0 { "" } else { r#""device":"ios","# };
            format!(
                r#"{{"user":" a\u0022b {n}  ",{device}"age":"{n}x","ts":{n}.5,"debug":[{{"a":{n}}}],"app":{{"v":[1, 2]}},"meta":{{"k":{n}}}}}"#
            )
        })
        .collect();
    let mut cleaner = Cleaner::new(Arc::new(Rules::parse(RULES).unwrap()));
    let mut out = Vec::new();
    let mut clean = |records: &[String]| {
        for record in records {
            let verdict = cleaner.clean(&Incoming { value: Some(record.as_bytes()), timestamp_ms: 0 }, &mut out);
            assert_eq!(verdict, Verdict::Kept, "{record}");
        }
    };
    // The buffers grow at first.
    clean(&records);
    let before = allocations_here();
    clean(&records);
    let made = allocations_here() - before;
    assert!(made < records.len() as u64 / 100, "{made} allocations for {} records", records.len());
}

const LOOKUP: &str = r#"
[[rule]]
lookup = { field = "user", topic = "users", take = { name = "name", "/at/country" = "/address/country" }, on_failure = "null" }
[[rule]]
lookup = { field = "/at/country", topic = "countries", take = ["currency"], default = "EUR" }
"#;

/// What a topic has of so many users.
fn users(rules: &Arc<Rules>, users: u64) -> Lookups {
    let mut lookups = Lookups::new(rules, 1 << 30);
    let (mut key, mut value) = (Vec::with_capacity(64), Vec::with_capacity(256));
    for user in 0..users {
        key.clear();
        value.clear();
        write!(key, "{user:>012}").unwrap();
        write!(value, r#"{{"name":"the name of {user:>08}","address":{{"country":"IT","city":"{user}"}}}}"#).unwrap();
        lookups.take(0, Some(&key), Some(&value)).unwrap();
    }
    lookups
}

#[test]
fn a_lookup_allocates_nothing_for_a_record_nor_a_value_that_says_what_was_known_and_tables_take_what_they_say() {
    let rules = Arc::new(Rules::parse(LOOKUP).unwrap());
    let records: Vec<String> =
        (0..10_000).map(|n| format!(r#"{{"user":"{:>011}\u0030","n":{n}}}"#, n % 700 / 10)).collect();
    let mut cleaner = Cleaner::new(Arc::clone(&rules));
    let mut out = Vec::new();
    let lookups = users(&rules, 500);
    let mut clean = |records: &[String]| {
        for record in records {
            let incoming = Incoming { value: Some(record.as_bytes()), timestamp_ms: 0 };
            assert_eq!(cleaner.clean_with(&incoming, lookups.tables(), &mut out), Verdict::Kept, "{record}");
        }
    };
    // The buffers grow at first.
    clean(&records);
    let before = allocations_here();
    clean(&records);
    let made = allocations_here() - before;
    assert!(made < records.len() as u64 / 100, "{made} allocations for {} records", records.len());
    let counts = cleaner.take_counts().lookups;
    assert_eq!(counts["lookup user in users"].found, 2 * 7_200, "{counts:?}");

    // The second one is a few keys behind a step in which the table grows.
    for keys in [1_000, 14_400, 100_000] {
        let (mut lookups, held) = peak(|| users(&rules, keys));
        let says = lookups.bytes();
        // While it grows there is the smaller one beside the larger one.
        assert!((says * 2 / 3..says + says / 2).contains(&held), "{keys} keys took {held} bytes, and {says} are said");
        let before = allocations_here();
        let value = br#"{"name":"the name of 00000007","more":[1],"address":{"country":"IT"}}"#;
        for _ in 0..1_000 {
            lookups.take(0, Some(b"000000000007"), Some(value)).unwrap();
        }
        let made = allocations_here() - before;
        assert!(made < 10, "{made} allocations for what was known");
    }
}

#[test]
fn what_deduplication_remembers_takes_no_more_than_it_says() {
    let text = "[[rule]]\ndeduplicate = { key = \"user\", window = \"1d\" }\n";
    let rules = Arc::new(Rules::parse(text).unwrap());
    let mut cleaner = Cleaner::new(Arc::clone(&rules));
    let mut out = Vec::with_capacity(1024);
    let mut record = Vec::with_capacity(1024);
    // The second one is a few keys behind a step in which the table of keys grows.
    for keys in [1_000, 14_400, 100_000] {
        let (state, held) = peak(|| {
            let mut state = State::new(&rules, 1 << 30);
            for key in 0..keys {
                record.clear();
                write!(record, "{{\"user\":\"{key:>030}\"}}").unwrap();
                cleaner.clean(&Incoming { value: Some(&record), timestamp_ms: key % 1000 }, &mut out);
                assert_eq!(state.offer(cleaner.offered(), key), Ok(Offer::New));
            }
            state
        });
        let says = state.bytes();
        assert!((says / 3..=says).contains(&held), "{keys} keys took {held} bytes, and {says} were said");
    }
}

const MEASURES: &str = r#"
[[rule]]
default = { field = "device", value = "unknown" }

[measure]
by = ["device", "/geo/country"]
window = "1h"
time = "at"
aggregates = { n = "count", mean = { mean = "ms" }, most = { max = "ms" }, users = { distinct = "user" }, p95 = { p95 = "ms" } }
"#;

#[test]
fn measures_allocate_nothing_for_a_record_of_a_group_and_with_values_that_are_known() {
    let records: Vec<String> = (0..10_000)
        .map(|n| {
            let device = if n % 3 == 0 { "" } else { r#""device":"ios","# };
            format!(
                r#"{{{device}"geo":{{"country":"DE\u0020"}},"at":{},"ms":{}.5,"user":"u{}"}}"#,
                n * 1000,
                n % 500,
                n % 700
            )
        })
        .collect();
    let mut measurer = Measurer::new(&Measures::parse(MEASURES).unwrap(), 16 << 20, 100_000);
    let mut measure = |records: &[String]| {
        for record in records {
            let looked = measurer.look(&Incoming { value: Some(record.as_bytes()), timestamp_ms: 0 });
            assert_eq!((looked, measurer.add()), (Looked::Rows, Ok(())), "{record}");
        }
    };
    // Groups and values come to be at first.
    measure(&records);
    let before = allocations_here();
    measure(&records);
    let made = allocations_here() - before;
    assert!(made < records.len() as u64 / 100, "{made} allocations for {} records", records.len());
}

#[test]
fn groups_and_values_take_no_more_than_the_table_may_also_while_they_are_put_in_order() {
    let measures = Measures::parse(MEASURES).unwrap();
    for table_bytes in [1 << 20, 3_000_000, 10 << 20] {
        let mut record = Vec::with_capacity(1024);
        let mut rows = 0;
        let (entries, held) = peak(|| {
            let mut measurer = Measurer::new(&measures, table_bytes, 100_000);
            loop {
                record.clear();
                // Each fifth row is a group of its own.
                let (device, user) = (rows / 5, rows * 7919 % 100_003);
                write!(record, r#"{{"device":"d{device}","at":0,"ms":{}.25,"user":"user {user}"}}"#, rows % 1013)
                    .unwrap();
                assert_eq!(measurer.look(&Incoming { value: Some(&record), timestamp_ms: 0 }), Looked::Rows);
                match measurer.add() {
                    Ok(()) => rows += 1,
                    Err(error) => break assert_eq!(error, TableFull::Take),
                }
            }
            measurer.take().sorted()
        });
        assert!(entries.len() > rows, "{rows} rows");
        assert!(
            (table_bytes / 3..table_bytes + 50_000).contains(&held),
            "{held} bytes of {table_bytes} with {rows} rows"
        );
    }
}

#[test]
fn an_open_group_takes_no_more_than_it_says_and_not_much_less() {
    for (collects, least) in
        [("members = true", 3), ("aggregates = { n = \"count\", mean = { mean = \"n\" }, p50 = { p50 = \"n\" } }", 3)]
    {
        let text = format!("[[group_by]]\nkey = \"user\"\nwindow = \"1h\"\nto = \"g\"\n{collects}\n");
        let rules = Arc::new(Rules::parse(&text).unwrap());
        let mut cleaner = Cleaner::new(Arc::clone(&rules));
        let mut out = Vec::with_capacity(1024);
        let mut record = Vec::with_capacity(1024);
        // The second one is a few groups behind a step in which the table of groups grows.
        for (groups, members) in [(1_000, 1), (14_400, 1), (50_000, 1), (100, 500)] {
            let (open, held) = peak(|| {
                let mut open = Groups::new(&rules, 1 << 30, &[]);
                for number in 0..groups * members {
                    record.clear();
                    write!(record, "{{\"user\":\"{:>030}\",\"n\":{number}}}", number % groups).unwrap();
                    cleaner.clean(&Incoming { value: Some(&record), timestamp_ms: number % 1000 }, &mut out);
                    let at = GroupedAt { offset: number, needed: number };
                    assert_eq!(open.offer(cleaner.grouped(), &out, at), Ok(0));
                }
                open
            });
            let says = open.bytes();
            let what = format!("{groups} groups of {members}, {collects}");
            assert!((says / least..=says).contains(&held), "{what} took {held} bytes, and {says} were said");
        }
    }
}

#[test]
fn insights_allocate_nothing_for_a_value_that_was_there_and_take_no_more_than_they_say() {
    let file = "[[insight]]\nfield = \"a\"\nvalues_max = 1000000\nwindow = \"1m\"\nslide = \"30s\"\n";
    let rules = Arc::new(Rules::parse(file).unwrap());
    let mut text = Vec::with_capacity(64);
    let mut count = |insights: &mut Insights, values: u64| {
        for value in 0..values {
            text.clear();
            write!(text, "\"{value:>030}\"").unwrap();
            let value = &text;
            insights.count(Noted::of(value, &[(value.len(), Some(value.len() as i64))])).unwrap();
        }
    };
    for values in [10, 1_000, 14_400, 100_000] {
        let (mut insights, held) = peak(|| {
            let mut insights = Insights::new(&rules, 0, 1 << 30);
            count(&mut insights, values);
            insights
        });
        let says = insights.bytes();
        assert!(held <= says, "{values} values took {held} bytes, and {says} were said");
        let before = allocations_here();
        count(&mut insights, values);
        let made = allocations_here() - before;
        assert!(made < 10, "{made} allocations for {values} values");
    }
}
