//! Measures against a slow reading of the same records, with tables of all sizes; and what a file of measures may not say.

use super::*;
use crate::rules::{Class, Incoming};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const HOUR: i64 = 3_600_000;

/// Measures records with so many workers, whose tables are of that size; gives the rows as JSON, and how often a table was full.
fn measured(
    measures: &Measures,
    records: &[(String, i64)],
    workers: usize,
    table_bytes: usize,
) -> (Vec<String>, usize) {
    let mut runs: Vec<Vec<(Vec<u8>, Vec<u8>)>> = Vec::new();
    let mut full = 0;
    let mut all: Vec<Measurer> = (0..workers).map(|_| Measurer::new(measures, table_bytes, 10_000)).collect();
    let take = |measurer: &mut Measurer, runs: &mut Vec<_>| {
        let mut sorted = measurer.take().sorted();
        let mut run = Vec::new();
        while sorted.advance() {
            run.push((sorted.key().to_vec(), sorted.value().to_vec()));
        }
        assert!(run.is_sorted_by(|a, b| a.0 < b.0), "a run has each key once, in order");
        runs.push(run);
    };
    for (index, (value, timestamp_ms)) in records.iter().enumerate() {
        let measurer = &mut all[index % workers];
        measurer.look(&Incoming { value: Some(value.as_bytes()), timestamp_ms: *timestamp_ms });
        while let Err(error) = measurer.add() {
            assert_eq!(error, TableFull::Take);
            full += 1;
            take(measurer, &mut runs);
        }
    }
    all.iter_mut().for_each(|measurer| take(measurer, &mut runs));
    let mut entries = runs.concat();
    entries.sort();
    (finished(measures, &entries), full)
}

fn finished(measures: &Measures, entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    let mut finisher = Finisher::new(&measures.plan);
    let mut rows = Vec::new();
    let mut put = |finisher: &Finisher| {
        let mut row = Vec::new();
        finisher.cells().put_json(measures.plan.columns(), &mut row);
        rows.push(String::from_utf8(row).unwrap());
    };
    for (key, value) in entries {
        if finisher.enter(key, value).unwrap() {
            put(&finisher);
        }
    }
    if finisher.end().unwrap() {
        put(&finisher);
    }
    rows
}

const PLAN: &str = r#"
[measure]
by = ["device", "/geo/country"]
window = "1h"
time = "at"
unit = "ms"
aggregates = { rows = "count", ages = { count = "age" }, total = { sum = "age" }, mean = { mean = "age" }, least = { min = "age" }, most = { max = "age" }, half = { p50 = "age" }, nearly = { p95 = "age" }, different = { distinct = "age" }, users = { distinct = "user" } }
"#;

/// Values of which sums are exact in doubles, whatever the order.
fn age(random: &mut StdRng) -> Value {
    match random.random_range(0..10) {
        0 => json!("old"),
        1 => json!(format!("{}", random.random_range(0..4))),
        2 => json!(true),
        3 => json!([1]),
        4 => json!(random.random_range(-1000i64..1000) as f64 / 4.0),
        5 => json!(random.random_range(-3i64..3) as f64),
        _ => json!(random.random_range(0..100)),
    }
}

fn record(random: &mut StdRng) -> Value {
    let mut record =
        json!({ "at": 1_700_000_000_000i64 + random.random_range(0..4 * HOUR), "user": random.random_range(0..50) });
    let devices =
        [json!("ios"), json!("web"), json!("a\"b,\u{0}c"), json!(1), json!(1.0), json!("1"), json!(false), Value::Null];
    if random.random_bool(0.9) {
        record["device"] = devices.choose(random).unwrap().clone();
    }
    if random.random_bool(0.8) {
        let country = if random.random_bool(0.5) { "DE" } else { "FR" };
        record["geo"] = json!({ "country": country });
    }
    if random.random_bool(0.9) {
        record["age"] = age(random);
    }
    record
}

/// Numbers before texts, everything else by what it is.
fn rank(value: &Value) -> (u8, String, i64) {
    match value {
        Value::Null => (0, String::new(), 0),
        Value::Bool(truth) => (1 + u8::from(*truth), String::new(), 0),
        Value::Number(number) => (3, String::new(), (number.as_f64().unwrap() * 4.0) as i64),
        Value::String(text) => (4, text.clone(), 0),
        other => (5, other.to_string(), 0),
    }
}

/// The same by hand: every value of a group in a list.
fn by_hand(records: &[Value]) -> Vec<Value> {
    type Key = (i64, (u8, String, i64), (u8, String, i64));
    let mut groups: BTreeMap<Key, Vec<&Value>> = BTreeMap::new();
    for record in records {
        let at = record["at"].as_i64().unwrap();
        let key = (at - at.rem_euclid(HOUR), rank(&record["device"]), rank(&record["geo"]["country"]));
        groups.entry(key).or_default().push(record);
    }
    groups.into_values().map(|records| row(&records)).collect()
}

fn row(records: &[&Value]) -> Value {
    let ages: Vec<&Value> = records.iter().map(|record| &record["age"]).filter(|age| !age.is_null()).collect();
    let mut numbers: Vec<f64> = ages.iter().filter_map(|age| age.as_f64()).collect();
    numbers.sort_by(f64::total_cmp);
    let mut texts: Vec<&str> = ages.iter().filter_map(|age| age.as_str()).collect();
    texts.sort_unstable();
    let extreme =
        |number: Option<&f64>, text: Option<&&str>| number.map(|number| json!(number)).or(text.map(|text| json!(text)));
    let quantile = |percent: f64| {
        let place = (numbers.len() as f64 * percent / 100.0).ceil() as usize;
        numbers.get(place.saturating_sub(1)).copied()
    };
    let total: f64 = numbers.iter().sum();
    let told_apart = |values: Vec<&Value>| {
        values.into_iter().map(rank).filter(|rank| (1..5).contains(&rank.0)).collect::<BTreeSet<_>>().len()
    };
    let at = records[0]["at"].as_i64().unwrap();
    let row = json!({
        "start": at - at.rem_euclid(HOUR),
        "device": rank(&records[0]["device"]),
        "country": records[0]["geo"]["country"],
        "rows": records.len(),
        "ages": ages.len(),
        "total": total,
        "mean": (!numbers.is_empty()).then(|| total / numbers.len() as f64),
        "least": extreme(numbers.first(), texts.first()),
        "most": extreme(numbers.last(), texts.last()),
        "half": quantile(50.0),
        "nearly": quantile(95.0),
        "different": told_apart(ages.clone()),
        "users": told_apart(records.iter().map(|record| &record["user"]).collect()),
    });
    // Read as the answer is read: the reader is not exact to the last place.
    serde_json::from_str(&row.to_string()).unwrap()
}

/// A row of the answer in the same words; numbers as doubles, however written.
fn in_those_words(row: &str) -> Value {
    let mut row: Value = serde_json::from_str(row).unwrap();
    let start = crate::base::time::parse_rfc3339(row["window_start"].as_str().unwrap().as_bytes()).unwrap().epoch_ms;
    let end = crate::base::time::parse_rfc3339(row["window_end"].as_str().unwrap().as_bytes()).unwrap().epoch_ms;
    assert_eq!(end - start, HOUR);
    let object = row.as_object_mut().unwrap();
    for name in ["window_start", "window_end"] {
        object.remove(name);
    }
    object.insert("start".to_owned(), json!(start));
    let device = rank(&object["device"]);
    object.insert("device".to_owned(), json!(device));
    let country = object.remove("/geo/country").unwrap();
    object.insert("country".to_owned(), country);
    for name in ["total", "mean", "least", "most", "half", "nearly"] {
        if let Some(number) = object[name].as_f64() {
            object.insert(name.to_owned(), json!(number));
        }
    }
    row
}

#[test]
fn the_answer_is_that_of_a_slow_reading_however_small_the_table_and_whoever_read_what() {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let measures = Measures::parse(PLAN).unwrap();
    for records in [0, 1, 7, 300, 2000] {
        let values: Vec<Value> = (0..records).map(|_| record(&mut random)).collect();
        let mut texts: Vec<(String, i64)> = values.iter().map(|value| (value.to_string(), -1)).collect();
        let expected = by_hand(&values);
        let (large, full) = measured(&measures, &texts, 1, 64 << 20);
        assert_eq!((full, large.len()), (0, expected.len()));
        for (row, expected) in large.iter().zip(&expected) {
            assert_eq!(&in_those_words(row), expected, "{row}");
        }
        for (workers, table_bytes) in [(1, 40_000), (3, 60_000), (4, 400_000)] {
            texts.shuffle(&mut random);
            let (small, full) = measured(&measures, &texts, workers, table_bytes);
            assert_eq!(small, large, "{workers} workers with {table_bytes} bytes, {records} records");
            assert!(records < 2000 || table_bytes > 100_000 || full > 3, "{full} times full");
        }
    }
}

fn look(text: &str, record: &str, timestamp_ms: i64) -> Looked {
    let measures = Measures::parse(text).unwrap();
    let mut measurer = Measurer::new(&measures, 1 << 20, 10_000);
    measurer.look(&Incoming { value: Some(record.as_bytes()), timestamp_ms })
}

#[test]
fn members_are_rows_each_and_what_is_no_object_among_them_is_refused() {
    let text =
        "[measure]\nby = \"a\"\nunnest = \"/in/members\"\naggregates = { n = \"count\", sum = { sum = \"v\" } }\n";
    let measures = Measures::parse(text).unwrap();
    let records = [
        (r#"{"in":{"members":[{"a":1,"v":2}, {"a":2,"v":3},7,{"v":1}]},"a":9}"#.to_owned(), 0),
        (r#"{"in":{"members":[]}}"#.to_owned(), 0),
        (r#"{"in":{"members":[{"a":1,"v":40},"x"]}}"#.to_owned(), 0),
    ];
    let expected = [r#"{"a":null,"n":1,"sum":1}"#, r#"{"a":1,"n":2,"sum":42}"#, r#"{"a":2,"n":1,"sum":3}"#];
    assert_eq!(measured(&measures, &records, 1, 1 << 20).0, expected);
    // A table that takes a row or two at a time.
    let one_row = measured(&measures, &records, 1, 4_000);
    assert_eq!(one_row.0, expected);
    assert!(one_row.1 >= 1);

    let mut measurer = Measurer::new(&measures, 1 << 20, 10_000);
    for (value, timestamp_ms) in &records {
        assert_eq!(
            measurer.look(&Incoming { value: Some(value.as_bytes()), timestamp_ms: *timestamp_ms }),
            Looked::Rows
        );
        measurer.add().unwrap();
    }
    assert!(measurer.take_refused().unwrap().text.contains("a number"));
    let (counts, rows) = measurer.take_counts();
    assert_eq!((counts.records, rows.rows), (3, 4));
    assert_eq!(rows.rejected_members, BTreeMap::from([(Class::NoObject, 2)]));

    for (record, class, part) in [
        (r#"{"in":{}}"#, Class::Missing, "/in/members is missing"),
        (r#"{"in":{"members":null}}"#, Class::Missing, "/in/members is null"),
        (r#"{"in":{"members":{}}}"#, Class::WrongType, "no array"),
        (r#"{"in":[]}"#, Class::Missing, "missing"),
    ] {
        let Looked::Rejected { by, reason } = look(text, record, 0) else { panic!("{record}") };
        assert_eq!((by.as_str(), reason.class), ("measure", class), "{record}");
        assert!(reason.text.contains(part), "{}", reason.text);
    }
}

#[test]
fn rules_come_first_and_what_has_no_time_has_no_row() {
    let text = "[[rule]]\ndefault = { field = \"d\", value = \"unknown\" }\n[[rule]]\nfilter = { drop = { field = \"d\", equals = \"x\" } }\n\
                [[rule]]\nname = \"who\"\nrequired = { field = \"id\" }\n[measure]\nby = [\"d\"]\nwindow = \"1m\"\ntime = \"t\"\naggregates = { n = \"count\" }\n";
    assert_eq!(look(text, r#"{"id":1,"t":0}"#, 5), Looked::Rows);
    assert_eq!(look(text, r#"{"id":1,"t":0,"d":"x"}"#, 5), Looked::Filtered);
    for (record, by, class) in [
        (r#"{"t":0}"#, "who", Class::Missing),
        (r#"{"id":1}"#, "measure", Class::Missing),
        (r#"{"id":1,"t":null}"#, "measure", Class::Missing),
        (r#"{"id":1,"t":"yesterday"}"#, "measure", Class::NoCast),
        (r#"{"id":1,"t":[]}"#, "measure", Class::WrongType),
        (r#"{"id":1,"t":253402300799999}"#, "measure", Class::OutOfRange),
        ("[]", "undecodable", Class::NoObject),
        (r#"{"id":1"#, "undecodable", Class::NoJson),
        (&format!("{{\"id\":{}", "[".repeat(10_000)), "undecodable", Class::NoJson),
        (r#"{"id":"\ud83d","t":0}"#, "undecodable", Class::LoneSurrogate),
    ] {
        let Looked::Rejected { by: who, reason } = look(text, record, 5) else { panic!("{record}") };
        assert_eq!((who.as_str(), reason.class), (by, class), "{record}: {reason}");
    }
    let records =
        [(r#"{"id":1,"t":61000}"#.to_owned(), 0), (r#"{"id":1,"t":"1970-01-01T00:01:59Z","d":"web"}"#.to_owned(), 0)];
    let row = |d: &str| {
        format!(r#"{{"window_start":"1970-01-01T00:01:00Z","window_end":"1970-01-01T00:02:00Z","d":"{d}","n":1}}"#)
    };
    assert_eq!(measured(&Measures::parse(text).unwrap(), &records, 1, 1 << 20).0, [row("unknown"), row("web")]);

    let own = "[measure]\nwindow = \"1m\"\naggregates = { n = \"count\" }\n";
    assert_eq!(look(own, "{}", 0), Looked::Rows);
    let Looked::Rejected { reason, .. } = look(own, "{}", -1) else { panic!("it has no timestamp") };
    assert_eq!(reason.text, "the record has no timestamp");
    let Looked::Rejected { reason, .. } = look(own, "{}", i64::MAX) else { panic!("beyond the years") };
    assert_eq!(reason.class, Class::OutOfRange);
}

#[test]
fn without_groups_and_windows_there_is_one_row_of_all() {
    let measures = Measures::parse("[measure]\naggregates = { n = \"count\", p = { p50 = \"v\" } }\n").unwrap();
    let records: Vec<(String, i64)> = (0..100).map(|n| (format!("{{\"v\":{n}}}"), 0)).collect();
    assert_eq!(measured(&measures, &records, 2, 8_000).0, [r#"{"n":100,"p":49}"#]);
    assert_eq!(measured(&measures, &[], 1, 1 << 20).0, [""; 0]);
}

#[test]
fn a_row_that_no_table_can_hold_is_told_with_its_size() {
    let measures = Measures::parse("[measure]\naggregates = { n = { distinct = \"v\" } }\n").unwrap();
    let value = format!("{{\"v\":\"{}\"}}", "x".repeat(20_000));
    for (table_bytes, entry_bytes) in [(10_000, 1 << 20), (1 << 20, 10_000)] {
        let mut measurer = Measurer::new(&measures, table_bytes, entry_bytes);
        assert_eq!(measurer.look(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 }), Looked::Rows);
        let Err(TableFull::TooLarge { bytes }) = measurer.add() else { panic!("it was taken") };
        assert!((20_000..20_100).contains(&bytes), "{bytes}");
    }
}

#[test]
fn what_fits_into_a_new_table_fits_into_one_that_was_emptied() {
    let measures = Measures::parse("[measure]\nby = \"k\"\naggregates = { n = \"count\" }\n").unwrap();
    let row = |key: &str| format!("{{\"k\":\"{key}\"}}");
    let look = |measurer: &mut Measurer, value: &str| {
        measurer.look(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 });
        measurer.add()
    };
    let mut fitted = 0;
    // Whether the room of an emptied table is kept, and who has it then, depends on where the table was full.
    for table_bytes in (50_000..150_000).step_by(5_000) {
        let new = || Measurer::new(&measures, table_bytes, 1 << 20);
        for tenths in 3..10 {
            let long = row(&"x".repeat(table_bytes / 10 * tenths));
            let mut measurer = new();
            let mut groups = 0;
            while look(&mut measurer, &row(&groups.to_string())).is_ok() {
                groups += 1;
            }
            assert!(groups > 100, "{groups}");
            let emptied = measurer.take().sorted().emptied();
            measurer.put_back(emptied);
            let fits = look(&mut new(), &long);
            assert_eq!(look(&mut measurer, &long), fits, "{tenths} tenths of {table_bytes}");
            fitted += usize::from(fits.is_ok());
        }
    }
    assert!(fitted > 50, "{fitted}");
}

#[test]
fn no_entry_takes_more_than_it_may_by_several_values_that_are_kept_of_different_rows() {
    let text =
        "[measure]\naggregates = { n = \"count\", a = { min = \"v\" }, b = { max = \"v\" }, c = { min = \"w\" } }\n";
    let measures = Measures::parse(text).unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let (mut taken, mut refused) = (0, 0);
    let mut measurer = Measurer::new(&measures, 1 << 20, 3_000);
    for _ in 0..500 {
        let mut text = || {
            let first = char::from(random.random_range(b'a'..=b'z'));
            format!("{first}{}", "x".repeat(random.random_range(0..1_500)))
        };
        let value = format!("{{\"v\":\"{}\",\"w\":\"{}\"}}", text(), text());
        measurer.look(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 });
        match measurer.add() {
            Ok(()) => taken += 1,
            Err(TableFull::TooLarge { bytes }) => {
                assert!(bytes > 3_000, "{bytes}");
                refused += 1;
            }
            Err(full) => panic!("{full:?}"),
        }
    }
    assert!(taken > 50 && refused > 50, "{taken} {refused}");
    let mut sorted = measurer.take().sorted();
    while sorted.advance() {
        // Beside the texts there are the count, and what says how long they are.
        let bytes = sorted.key().len() + sorted.value().len();
        assert!(bytes <= 3_000 + 100, "{bytes}");
    }
}

#[test]
fn entries_that_no_table_has_written_are_refused() {
    let measures = Measures::parse(PLAN).unwrap();
    let mut measurer = Measurer::new(&measures, 1 << 20, 10_000);
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        let value = record(&mut random).to_string();
        measurer.look(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 });
        measurer.add().unwrap();
    }
    let mut sorted = measurer.take().sorted();
    let mut entries = Vec::new();
    while sorted.advance() {
        entries.push((sorted.key().to_vec(), sorted.value().to_vec()));
    }
    for round in 0..5_000 {
        let mut finisher = Finisher::new(&measures.plan);
        for (index, (key, value)) in entries.iter().enumerate() {
            let (mut key, mut value) = (key.clone(), value.clone());
            if index == round % entries.len() {
                let bytes = if random.random_bool(0.5) { &mut key } else { &mut value };
                match random.random_range(0..3) {
                    0 => bytes.truncate(random.random_range(0..=bytes.len())),
                    1 => bytes.push(random.random()),
                    _ if bytes.is_empty() => bytes.push(0),
                    _ => {
                        let at = random.random_range(0..bytes.len());
                        bytes[at] ^= 1 << random.random_range(0..8);
                    }
                }
            }
            // An error or an answer, but no panic.
            if finisher.enter(&key, &value).is_err() {
                break;
            }
        }
        let _ = finisher.end();
    }
}

fn errors(text: &str) -> Vec<String> {
    Measures::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_with_a_file_is_told_all_at_once_by_line() {
    let text = "[[rule]]\nrequird = { field = \"a\" }\n[measure]\nby = [\"a\", \"a\"]\nwindow = \"0s\"\nunit = \"s\"\nbuy = 1\n\
                aggregates = { n = \"cuont\", m = { maen = \"x\" }, p = { p101 = \"x\" }, q = {}, a = \"count\" }\n";
    let said = errors(text);
    for part in [
        "line 2, column 1: rule 1: there is no requird (did you mean required?)",
        "line 4, column 6: measure.by: a stands here twice",
        "line 5, column 10: measure.window: a window has to have a length",
        "measure.unit: the record's own timestamp has no unit",
        "line 7, column 1: measure: there is no buy (did you mean by?)",
        "measure.aggregates.n",
        "did you mean mean?",
        "there is no \"p101\"",
        "one aggregate of one field",
        "two columns would be called a",
    ] {
        assert!(said.iter().any(|line| line.contains(part)), "{part} is not in {said:#?}");
    }
    for (text, part) in [
        ("", "a [measure] section is missing"),
        ("[measure]\n", "aggregates is missing"),
        ("[measure]\naggregates = {}\n", "1 to 1000 aggregates"),
        ("measure = 1\n", "a table has to stand here"),
        ("[measure]\ntime = \"t\"\naggregates = { n = \"count\" }\n", "with a window only"),
        (
            "[measure]\nwindow = \"1h\"\nby = \"window_end\"\naggregates = { n = \"count\" }\n",
            "two columns would be called window_end",
        ),
        ("[measure]\nunnest = \"/a~2\"\naggregates = { n = \"count\" }\n", "~0"),
        ("[[group_by]]\nkey = \"a\"\n[measure]\naggregates = { n = \"count\" }\n", "there is no group_by"),
        ("[measure]\nby = [\n", "no TOML"),
    ] {
        let said = errors(text);
        assert!(said.iter().any(|line| line.contains(part)), "{part} is not in {said:#?}");
    }
}

#[test]
fn what_was_put_together_cannot_be_taken_apart() {
    let of = |aggregate: &str, more: &str| {
        Measures::parse(&format!(
            "[measure]\n{more}aggregates = {{ x = {{ {aggregate} = \"/aggregates/p95_ms\" }} }}\n"
        ))
    };
    for aggregate in ["mean", "p50", "distinct"] {
        let said = of(aggregate, "").unwrap_err()[0].to_string();
        assert!(said.contains("cannot be had of aggregates") && said.contains("unnest"), "{said}");
        // Members have fields of their own, whatever they are called.
        assert!(of(aggregate, "unnest = \"members\"\n").is_ok());
    }
    for aggregate in ["sum", "min", "max", "count"] {
        assert!(of(aggregate, "").is_ok(), "{aggregate}");
    }
}
