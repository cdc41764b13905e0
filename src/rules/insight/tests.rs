//! What is counted, held against a slow reading of the same log; and read back wherever it was written out.

use super::*;
use crate::rules::{Cleaner, Incoming, Rules, Verdict};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn seed() -> u64 {
    let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    seed
}

fn rules(text: &str) -> Arc<Rules> {
    Arc::new(Rules::parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}")))
}

/// A value, and a time if it has one.
type Event = (u8, Option<i64>);

fn count(insights: &mut Insights, (value, time): Event) -> Vec<Closed> {
    let text = value.to_string();
    insights.count(Noted { values: text.as_bytes(), ends: &[(text.len(), time)] }).unwrap();
    std::iter::from_fn(|| insights.next_closed()).collect()
}

/// What a window or the whole is, by value, and what is other.
type Counts = (BTreeMap<String, u64>, u64);

fn counts(listing: &Listing) -> Counts {
    let values = listing.values.iter().map(|value| (String::from_utf8(value.json.to_vec()).unwrap(), value.count));
    (values.collect(), listing.other)
}

/// What a slow reading makes of a log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Slowly {
    total: Counts,
    late: u64,
    untimed: u64,
    /// Where each window starts that has closed, in the order in which they did.
    closed: Vec<(i64, Counts)>,
}

/// Counts values one after the other, the first so many of them apart.
fn told_apart(values: impl Iterator<Item = u8>, values_max: usize) -> Counts {
    let (mut counts, mut other) = (BTreeMap::new(), 0);
    for value in values {
        let name = value.to_string();
        if counts.len() < values_max || counts.contains_key(&name) {
            *counts.entry(name).or_default() += 1;
        } else {
            other += 1;
        }
    }
    (counts, other)
}

/// Goes through all windows that there could be for each record; the slow way round.
fn slowly(log: &[Event], of: WindowsOf, values_max: usize) -> Slowly {
    let WindowsOf { size_ms, slide_ms, lateness_ms } = of;
    let latest = |to: usize| log[..=to].iter().filter_map(|(_, time)| *time).max();
    let is_closed = |start: i64, at: usize| latest(at).is_some_and(|latest| latest - lateness_ms >= start + size_ms);
    let starts = |time: i64| {
        let around = (time - size_ms - slide_ms)..=time;
        around.filter(move |start| start.rem_euclid(slide_ms) == 0 && (*start..start + size_ms).contains(&time))
    };
    let mut found = Slowly { total: told_apart(log.iter().map(|(value, _)| *value), values_max), ..Slowly::default() };
    let mut windows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, (_, time)) in log.iter().enumerate() {
        let Some(time) = *time else {
            found.untimed += 1;
            continue;
        };
        let before: BTreeSet<i64> =
            windows.keys().copied().filter(|start| at > 0 && !is_closed(*start, at - 1)).collect();
        for start in before.into_iter().filter(|start| is_closed(*start, at)) {
            // Each pane of a window tells its values apart for itself.
            let mut sum = (BTreeMap::new(), 0);
            for pane in (start..start + size_ms).step_by(slide_ms as usize) {
                let in_pane = |at: &&usize| (pane..pane + slide_ms).contains(&log[**at].1.unwrap());
                let of_pane = told_apart(windows[&start].iter().filter(in_pane).map(|at| log[*at].0), values_max);
                of_pane.0.into_iter().for_each(|(name, count)| *sum.0.entry(name).or_default() += count);
                sum.1 += of_pane.1;
            }
            found.closed.push((start, sum));
        }
        let (closed, open): (Vec<i64>, Vec<i64>) = starts(time).partition(|start| is_closed(*start, at));
        found.late += u64::from(!closed.is_empty());
        open.into_iter().for_each(|start| windows.entry(start).or_default().push(at));
    }
    found
}

/// A log whose times mostly rise.
fn log(random: &mut StdRng, len: usize) -> Vec<Event> {
    let mut now = random.random_range(-50..50);
    let mut event = || {
        now += if random.random_bool(0.02) { random.random_range(0..200) } else { random.random_range(0..4) };
        let back = if random.random_bool(0.2) { random.random_range(0..60) } else { 0 };
        let value = random.random_range(0..6) * random.random_range(0..6);
        (value, random.random_bool(0.95).then_some(now - back))
    };
    (0..len).map(|_| event()).collect()
}

fn written(insights: &Insights, at: i64) -> Vec<Part> {
    let mut place = PartPlace::default();
    std::iter::from_fn(|| insights.part(at, &mut place)).collect()
}

fn read_back(rules: &Arc<Rules>, parts: &[Part], at: i64) -> Insights {
    let mut restoring = Restoring::new(rules, 1 << 20, at);
    parts.iter().for_each(|part| restoring.take(&part.json).unwrap());
    restoring.into_found().unwrap()
}

#[test]
fn random_logs_give_what_a_slow_reading_gives_wherever_they_are_interrupted() {
    let mut random = StdRng::seed_from_u64(seed());
    let (mut late, mut other, mut closed) = (0, 0, 0);
    for _ in 0..150 {
        let (slide, slides) = (random.random_range(1..15), random.random_range(1..5));
        let (lateness, values_max) = (random.random_range(0..30), random.random_range(3..20));
        let text = format!(
            "[[insight]]\nfield = \"a\"\nwindow = \"{}ms\"\nslide = \"{slide}ms\"\nlateness = \"{lateness}ms\"\nvalues_max = {values_max}\n",
            slide * slides
        );
        let rules = rules(&text);
        let log = log(&mut random, 120);
        let mut insights = Insights::new(&rules, 0, 1 << 20);
        let mut windows = Vec::new();
        let mut saved = (0, None);
        for at in 0..log.len() {
            if random.random_bool(0.1) {
                saved = (at, Some(written(&insights, at as i64)));
            }
            if random.random_bool(0.1) {
                // Killed: what was written out is read back, and what came since is counted again.
                insights = match &saved {
                    (at, Some(parts)) => read_back(&rules, parts, *at as i64),
                    _ => Insights::new(&rules, 0, 1 << 20),
                };
                log[saved.0..at].iter().for_each(|event| drop(count(&mut insights, *event)));
            }
            windows.extend(count(&mut insights, log[at]));
        }
        let expected = slowly(&log, rules.insights()[0].windows.unwrap(), values_max);
        let found = Slowly {
            total: counts(&insights.total(0)),
            late: insights.late_and_untimed(0).0,
            untimed: insights.late_and_untimed(0).1,
            closed: windows.iter().map(|closed| (closed.start_ms, counts(&closed.listing))).collect(),
        };
        assert_eq!(found, expected, "\n{text}\n{log:?}");
        assert_eq!(insights.since(0), (0, 0));
        late += found.late;
        other += expected.closed.iter().map(|(_, (_, other))| other).sum::<u64>();
        closed += found.closed.len();
        // Written again, it is the same; and what it takes is known.
        let parts = written(&insights, 500);
        let again = read_back(&rules, &parts, 500);
        assert_eq!(written(&again, 500), parts);
    }
    assert!(late > 500 && other > 100 && closed > 1000, "hardly seen: {late} {other} {closed}");
}

/// What is noted of a value by these rules: for each insight the value as JSON, and its time.
fn noted(rules: &str, value: &str, timestamp_ms: i64) -> Vec<(String, Option<i64>)> {
    let mut cleaner = Cleaner::new(self::rules(rules));
    let verdict = cleaner.clean(&Incoming { value: Some(value.as_bytes()), timestamp_ms }, &mut Vec::new());
    assert_eq!(verdict, Verdict::Kept);
    let Noted { values, ends } = cleaner.noted();
    let mut start = 0;
    let text = |end: usize| String::from_utf8(values[std::mem::replace(&mut start, end)..end].to_vec()).unwrap();
    let mut text = text;
    ends.iter().map(|(end, time)| (text(*end), *time)).collect()
}

#[test]
fn values_are_those_behind_all_rules_and_a_text_is_one_however_it_is_written() {
    let one = "[[rule]]\ncase = { field = \"a\", to = \"lower\" }\n[[insight]]\nfield = \"a\"\n";
    for (value, expected) in [
        (r#"{"a":"X\u0041/"}"#, r#""xa/""#),
        (r#"{"a":"xa\/"}"#, r#""xa/""#),
        (r#"{"a":"\"\n"}"#, r#""\"\n""#),
        (r#"{"a":1}"#, "1"),
        (r#"{"a":1.0}"#, "1.0"),
        (r#"{"a":"1"}"#, r#""1""#),
        (r#"{"a":null}"#, "null"),
        (r#"{}"#, "null"),
        (r#"{"a":[1, {"b":2}]}"#, r#"[1, {"b":2}]"#),
    ] {
        assert_eq!(noted(one, value, 7), [(expected.to_owned(), Some(7))], "{value}");
    }
    let several = "[[rule]]\nrename = { field = \"b\", to = \"/c/b\" }\n[[insight]]\nfield = [\"a\", \"/c/b\"]\n[[insight]]\nfield = \"c\"\n";
    let found = noted(several, r#"{"a":"x","b":true}"#, -1);
    assert_eq!(found, [(r#"["x",true]"#.to_owned(), None), (r#"{"b":true}"#.to_owned(), None)]);
}

#[test]
fn times_are_those_of_a_field_and_what_is_none_is_untimed() {
    let timed = "[[insight]]\nfield = \"a\"\nwindow = \"1m\"\ntime = \"t\"\nunit = \"s\"\n";
    for (value, expected) in [
        (r#"{"t":7}"#, Some(7000)),
        (r#"{"t":"1970-01-01T00:00:01Z"}"#, Some(1000)),
        (r#"{"t":"soon"}"#, None),
        (r#"{"t":1e300}"#, None),
        (r#"{"t":null}"#, None),
        (r#"{}"#, None),
    ] {
        assert_eq!(noted(timed, value, 7)[0].1, expected, "{value}");
    }
    for time in [-1, i64::MIN, i64::MAX, *TIMES_MS.end() + 1] {
        assert_eq!(noted("[[insight]]\nfield = \"a\"\n", "{}", time)[0].1, None);
    }
}

#[test]
fn times_at_the_ends_of_what_there_is_close_windows_and_end() {
    let rules = rules("[[insight]]\nfield = \"a\"\nwindow = \"1m\"\nslide = \"1s\"\nlateness = \"3000d\"\n");
    let mut insights = Insights::new(&rules, 0, 1 << 24);
    for time in [*TIMES_MS.start(), *TIMES_MS.end(), 0, *TIMES_MS.end(), *TIMES_MS.start()] {
        count(&mut insights, (1, Some(time)));
    }
    assert_eq!((insights.total(0).records, insights.late_and_untimed(0)), (5, (2, 0)));
}

#[test]
fn what_is_counted_takes_no_more_than_there_is_memory_for_and_is_refused_with_the_way_out() {
    let rules =
        rules("[[insight]]\nfield = \"a\"\nname = \"users\"\nvalues_max = 1000000\n[[insight]]\nfield = \"b\"\n");
    let mut insights = Insights::new(&rules, 0, 300_000);
    let mut full = None;
    for number in 0..100_000 {
        let value = format!("\"user-{number}\"x");
        let ends = [(value.len() - 1, None), (value.len(), None)];
        full = insights.count(Noted { values: value.as_bytes(), ends: &ends }).err();
        if full.is_some() {
            break;
        }
    }
    let error = full.expect("it is full").to_string();
    assert!(error.starts_with("insight users: ") && error.contains("values_max"), "{error}");
    // One that grows has had its room before.
    assert!(insights.bytes() < 2 * 300_000, "{}", insights.bytes());
}

#[test]
fn what_is_written_out_comes_in_parts_and_only_whole_ones_in_order_count() {
    let rules = rules("[[insight]]\nfield = \"a\"\n");
    let mut insights = Insights::new(&rules, 5, 1 << 24);
    for number in 0..9_000 {
        let value = format!("{{\"number\": \"{number:>020}\"}}");
        insights.count(Noted { values: value.as_bytes(), ends: &[(value.len(), None)] }).unwrap();
    }
    let parts = written(&insights, 77);
    assert!(parts.len() > 3 && parts.iter().all(|part| part.json.len() < 30_000), "{}", parts.len());
    let older = written(&Insights::new(&rules, 5, 1 << 20), 70);
    let take = |all: &[&Part]| {
        let mut restoring = Restoring::new(&rules, 1 << 24, 77);
        all.iter().for_each(|part| restoring.take(&part.json).unwrap());
        restoring.into_found().map(|insights| insights.total(0).records)
    };
    let all: Vec<&Part> = parts.iter().collect();
    assert_eq!(take(&all), Some(9_000));
    // What is left of others before and behind it.
    assert_eq!(take(&[&all[2..], &all[..]].concat()), Some(9_000));
    assert_eq!(take(&[&[&older[0]][..], &all[..]].concat()), Some(9_000));
    assert_eq!(take(&[&all[..1], &all[2..]].concat()), None);
    assert_eq!(take(&all[..all.len() - 1]), None);
    let mut small = Restoring::new(&rules, 100_000, 77);
    assert!(all.iter().any(|part| matches!(small.take(&part.json), Err(Broken::Full(_)))));
    // What was counted up to elsewhere takes no room beside what is looked for.
    let mut other = Restoring::new(&rules, 100_000, 70);
    all.iter().copied().chain(&older).chain(all.iter().copied()).for_each(|part| other.take(&part.json).unwrap());
    assert_eq!(other.into_found().map(|insights| insights.total(0).records), Some(0));
}

#[test]
fn an_insight_that_is_new_or_another_one_counts_from_there_on_and_one_that_is_gone_is_left_out() {
    let before = rules("[[insight]]\nfield = \"a\"\n[[insight]]\nfield = \"b\"\n[[insight]]\nfield = \"c\"\n");
    let mut insights = Insights::new(&before, 3, 1 << 20);
    insights.count(Noted { values: b"123", ends: &[(1, None), (2, None), (3, None)] }).unwrap();
    let after = rules(
        "[[insight]]\nfield = \"d\"\n[[insight]]\nfield = \"b\"\ntop = 3\n[[insight]]\nfield = \"c\"\nvalues_max = 7\n",
    );
    let again = read_back(&after, &written(&insights, 50), 50);
    let found: Vec<_> = (0..3).map(|insight| (again.since(insight).0, again.total(insight).records)).collect();
    assert_eq!(found, [(50, 0), (3, 1), (50, 0)]);
}

#[test]
fn what_was_not_written_by_us_is_no_count() {
    let rules = rules("[[insight]]\nfield = \"a\"\nwindow = \"10ms\"\nvalues_max = 2\n");
    let definition = &rules.insights()[0].definition;
    let head = |latest: &str| {
        let name = serde_json::to_string(definition).unwrap();
        format!(
            r#"{{"insight":"a","definition":{name},"since":0,"missed":0,"late":0,"untimed":0,"latest_ms":{latest}}}"#
        )
    };
    let part = |items: &str| format!(r#"{{"at":1,"part":0,"last":true,"items":[{},{items}]}}"#, head("95"));
    let take = |json: &str| {
        let mut restoring = Restoring::new(&rules, 1 << 20, 1);
        restoring.take(json.as_bytes()).map(|()| restoring.into_found().is_some())
    };
    assert_eq!(
        take(&part(r#"{"table":"total","records":3,"other":0},["x",3],{"table":90,"records":1,"other":1}"#)),
        Ok(true)
    );
    for items in [
        r#"["x",3]"#,
        r#"{"table":"total","records":4,"other":0},["x",3]"#,
        r#"{"table":"total","records":4,"other":-1},["x",3]"#,
        r#"{"table":"total","records":2,"other":0},["x",1],["x",1]"#,
        r#"{"table":"total","records":3,"other":0},["x",1],["y",1],["z",1]"#,
        r#"{"table":"total","records":1,"other":18446744073709551615},["x",2]"#,
        r#"{"table":"half","records":1,"other":1}"#,
        r#"{"table":91,"records":1,"other":1}"#,
        r#"{"table":80,"records":1,"other":1}"#,
        r#"{"table":100,"records":1,"other":1}"#,
        r#"{"table":9223372036854775800,"records":1,"other":1}"#,
        r#"{"table":-9223372036854775800,"records":1,"other":1}"#,
        r#"{"table":90,"records":0,"other":0}"#,
        r#"{"table":90,"records":1,"other":1},{"table":90,"records":1,"other":1}"#,
        r#"{"insight":7,"definition":8},{"table":"#,
    ] {
        assert!(matches!(take(&part(items)), Err(Broken::Form(_))), "{items}");
    }
    for json in [
        "",
        "{}",
        "[]",
        r#"{"at":"x","part":0,"last":true,"items":[]}"#,
        r#"{"at":1,"part":-1,"last":true,"items":[]}"#,
    ] {
        assert!(matches!(take(json), Err(Broken::Form(_))), "{json}");
    }
}

#[test]
fn the_sum_over_partitions_is_that_of_their_counts_and_says_where_it_may_miss_a_value() {
    let rules = rules("[[insight]]\nfield = \"a\"\n");
    let partition = |values: &[(u32, u32)]| {
        let mut insights = Insights::new(&rules, 0, 1 << 24);
        for (value, times) in values {
            let text = value.to_string();
            for _ in 0..*times {
                insights.count(Noted { values: text.as_bytes(), ends: &[(text.len(), None)] }).unwrap();
            }
        }
        insights
    };
    let shown = |listing: &Listing| {
        listing
            .values
            .iter()
            .map(|value| (String::from_utf8(value.json.to_vec()).unwrap(), value.count))
            .collect::<Vec<_>>()
    };
    let few = [partition(&[(1, 5), (2, 3)]), partition(&[(2, 3), (3, 6)]), partition(&[])];
    let sum = Insights::sum(&few, 0, 2);
    assert_eq!(shown(&sum), [("2".to_owned(), 6), ("3".to_owned(), 6)], "alike, so by their bytes");
    assert_eq!((sum.records, sum.rest, sum.other, sum.is_exact(2)), (17, 5, 0, true));
    // Of those that came once, not all are gone through: one of them may be in both.
    let many: Vec<(u32, u32)> = (10..2_010).map(|value| (value, 1)).chain([(1, 50), (2, 2)]).collect();
    let sum = Insights::sum(&[partition(&many), partition(&many)], 0, 3);
    assert_eq!(shown(&sum)[..2], [("1".to_owned(), 100), ("2".to_owned(), 4)]);
    assert_eq!((sum.records, sum.rest, sum.is_exact(2), sum.is_exact(3)), (4104, 3998, true, false));
    let mut windows = few[0].total(0);
    windows.add(&few[1].total(0));
    assert_eq!((shown(&windows), windows.is_exact(3)), (shown(&Insights::sum(&few, 0, 10)), true));
    windows.add(&partition(&many).total(0));
    assert!(!windows.is_exact(1) && windows.values[0].count == 55 && windows.rest == 1002, "{}", windows.rest);
}

#[test]
fn each_thing_an_insight_cannot_be_is_named_with_its_place() {
    for (insight, part) in [
        ("top = 3", "insight 1: field is missing, as in field = "),
        ("field = 7", "insight 1.field: a field has to stand here"),
        ("field = []", "a field has to stand here"),
        ("field = [\"a\", \"/a\"]", "a stands here twice"),
        ("feild = \"a\"\nfield = \"a\"", "there is no feild (did you mean field?); here go name, field, top"),
        ("field = \"a\"\nname = \"\"", "a name has to stand here"),
        ("field = \"a\"\ntop = 0", "insight 1.top: a whole number from 1 to 1000 has to stand here"),
        ("field = \"a\"\ntop = 1.5", "a whole number from 1 to 1000"),
        ("field = \"a\"\ntop = \"3\"", "a number has to stand here"),
        ("field = \"a\"\nvalues_max = 1000001", "a whole number from 1 to 1000000"),
        ("field = \"a\"\nslide = \"1s\"", "insight 1.slide: it is of use only with window"),
        ("field = \"a\"\ntime = \"t\"", "insight 1.time: it is of use only with window"),
        ("field = \"a\"\nwindow = \"0s\"", "it has to have a length"),
        ("field = \"a\"\nwindow = 60", "a text in quotation marks has to stand here"),
        ("field = \"a\"\nwindow = \"4000d\"", "longer than ten years"),
        ("field = \"a\"\nwindow = \"1m\"\nslide = \"7s\"", "a window has to be a whole number of slides"),
        ("field = \"a\"\nwindow = \"1m\"\nslide = \"2m\"", "a window has to be a whole number of slides"),
        ("field = \"a\"\nwindow = \"1h\"\nslide = \"1s\"", "a window has 1000 slides at most"),
        ("field = \"a\"\nwindow = \"1m\"\nunit = \"s\"", "say which field with time"),
        ("field = \"a\"\nwindow = \"1m\"\ntime = \"t\"\nunit = \"sec\"", "is none of s, ms, us, ns"),
        (
            "field = \"a\"\nname = \"x\"\n[[insight]]\nfield = \"b\"\nname = \"x\"",
            "insight 2.name: another insight is called \"x\"",
        ),
    ] {
        let errors =
            Rules::parse(&format!("[[insight]]\n{insight}\n")).err().unwrap_or_else(|| panic!("{insight} is taken"));
        assert_eq!(errors.len(), 1, "{insight}\n{errors:?}");
        assert!(errors[0].to_string().contains(part), "{insight}\n{}\nwithout {part}", errors[0]);
    }
    let rules = rules("[[insight]]\nfield = \"a\"\n[[insight]]\nfield = \"a\"\nwindow = \"5m\"\nslide = \"1m\"\n");
    let shown: Vec<String> = rules.insights().iter().map(Insight::describe).collect();
    assert_eq!(
        shown,
        [
            "a: how often the 10 most frequent values of a come, in all",
            "a (insight 2): how often the 10 most frequent values of a come, in all and for each 5m anew every 1m"
        ]
    );
}
