//! What a record costs in `rules/`: a login as `generate logins` makes them (177 bytes), parsed, cleaned and written.
//!
//! - `nothing`: a rule that finds nothing to do: what reading alone costs; the record is copied.
//! - `default_cast`: the usual pair, a default for the device's type (missing in one of ten) and the time as a number cast to
//!   a time; the record is written anew.
//! - `ten`: ten rules of as many kinds.
//! - `looked_up`: `nothing`, and a lookup takes the name of the login's user from a table of all of them.
//! - `nothing_counted`: `nothing`, and an insight counts the device's type, in all and by minute.
//!
//! `serde_json` is the rival: the work of `default_cast` without the cast, on a document of `serde_json::Value`.
//! ns per record is the printed time over [`RECORDS`] (criterion's element throughput is its inverse).

#![expect(missing_docs, reason = "criterion_group! makes an undocumented function")]

mod logins;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kmerge::rules::insight::Insights;
use kmerge::rules::lookup::Lookups;
use kmerge::rules::{Cleaner, Incoming, Rules, Verdict};
use logins::{DEFAULT_CAST, logins};
use std::hint::black_box;
use std::sync::Arc;

const RECORDS: usize = 10_000;

const COUNTED: &str = r#"
[[rule]]
trim = { field = "user_id" }
[[insight]]
field = "device_type"
window = "1m"
"#;

const TEN: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }
[[rule]]
rename = { field = "app_version", to = "version" }
[[rule]]
drop = { field = "device_id" }
[[rule]]
cast = { field = "timestamp", to = "int" }
[[rule]]
trim = { field = "user_id" }
[[rule]]
case = { field = "locale", to = "lower" }
[[rule]]
map = { field = "device_type", values = { android = "Android", ios = "iOS" } }
[[rule]]
pattern = { field = "ip", matches = '^\d+\.\d+\.\d+\.\d+$' }
[[rule]]
derive = { field = "day", from = "timestamp", part = "date", unit = "s" }
[[rule]]
filter = { drop = { field = "version", equals = "0.0.0" } }
"#;

const LOOKED_UP: &str = r#"
[[rule]]
trim = { field = "user_id" }
[[rule]]
lookup = { field = "user_id", topic = "users", take = ["name"], on_failure = "null" }
"#;

fn cleaner(text: &str) -> Cleaner {
    Cleaner::new(Arc::new(Rules::parse(text).unwrap()))
}

/// Adds up lengths, so that every record is written.
fn clean(cleaner: &mut Cleaner, records: &[Vec<u8>], out: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for record in records {
        let verdict = cleaner.clean(&Incoming { value: Some(record), timestamp_ms: 0 }, out);
        assert_eq!(verdict, Verdict::Kept);
        bytes += out.len();
    }
    bytes
}

/// The same, with what a topic has.
fn look_up(cleaner: &mut Cleaner, lookups: &Lookups, records: &[Vec<u8>], out: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for record in records {
        let incoming = Incoming { value: Some(record), timestamp_ms: 0 };
        assert_eq!(cleaner.clean_with(&incoming, lookups.tables(), out), Verdict::Kept);
        bytes += out.len();
    }
    bytes
}

/// A name for each user.
fn users(rules: &Arc<Rules>, records: &[Vec<u8>]) -> Lookups {
    let mut lookups = Lookups::new(rules, 1 << 30);
    for record in records {
        let value: serde_json::Value = serde_json::from_slice(record).unwrap();
        let user = value["user_id"].as_str().unwrap();
        let value = format!("{{\"name\":\"name of {user}\",\"mail\":\"{user}@example.org\"}}");
        lookups.take(0, Some(user.as_bytes()), Some(value.as_bytes())).unwrap();
    }
    lookups
}

/// The same, counted.
fn count(cleaner: &mut Cleaner, insights: &mut Insights, records: &[Vec<u8>], out: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for (record, timestamp_ms) in records.iter().zip(0..) {
        let verdict = cleaner.clean(&Incoming { value: Some(record), timestamp_ms }, out);
        assert_eq!(verdict, Verdict::Kept);
        insights.count(cleaner.noted()).unwrap();
        bytes += out.len();
    }
    bytes
}

fn by_serde_json(records: &[Vec<u8>], out: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for record in records {
        let mut value: serde_json::Value = serde_json::from_slice(record).unwrap();
        value.as_object_mut().unwrap().entry("device_type").or_insert_with(|| "unknown".into());
        out.clear();
        serde_json::to_writer(&mut *out, &value).unwrap();
        bytes += out.len();
    }
    bytes
}

/// What was cleaned is what it should be, before anything is timed.
fn check(records: &[Vec<u8>]) {
    let mut out = Vec::new();
    let mut cleaner = cleaner(DEFAULT_CAST);
    for record in records {
        cleaner.clean(&Incoming { value: Some(record), timestamp_ms: 0 }, &mut out);
        let mut expected: serde_json::Value = serde_json::from_slice(record).unwrap();
        let made: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let time = made["timestamp"].as_str().unwrap();
        assert!(time.starts_with("2023-09-") && time.ends_with('Z'), "{time}");
        expected["timestamp"] = time.into();
        expected.as_object_mut().unwrap().entry("device_type").or_insert_with(|| "unknown".into());
        assert_eq!(made, expected);
    }
}

fn rules(criterion: &mut Criterion) {
    let records = logins(RECORDS);
    check(&records);
    let mut group = criterion.benchmark_group("rules");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(20);
    group.measurement_time(std::time::Duration::from_secs(2));
    let mut out = Vec::new();
    for (name, text) in
        [("nothing", "[[rule]]\ntrim = { field = \"user_id\" }"), ("default_cast", DEFAULT_CAST), ("ten", TEN)]
    {
        let mut cleaner = cleaner(text);
        group.bench_function(name, |bencher| bencher.iter(|| clean(&mut cleaner, black_box(&records), &mut out)));
    }
    let rules = Arc::new(Rules::parse(LOOKED_UP).unwrap());
    let (mut cleaner, lookups) = (Cleaner::new(Arc::clone(&rules)), users(&rules, &records));
    group.bench_function("looked_up", |bencher| {
        bencher.iter(|| look_up(&mut cleaner, &lookups, black_box(&records), &mut out));
    });
    let counts = cleaner.take_counts().lookups;
    assert!(counts.values().all(|counts| counts.found > 0 && counts.not_found == 0), "{counts:?}");
    let rules = Arc::new(Rules::parse(COUNTED).unwrap());
    let (mut cleaner, mut insights) = (Cleaner::new(Arc::clone(&rules)), Insights::new(&rules, 0, 1 << 20));
    group.bench_function("nothing_counted", |bencher| {
        bencher.iter(|| count(&mut cleaner, &mut insights, black_box(&records), &mut out));
    });
    assert!(insights.total(0).values.len() == 2 && insights.total(0).other == 0);
    group.bench_function("serde_json", |bencher| bencher.iter(|| by_serde_json(black_box(&records), &mut out)));
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
