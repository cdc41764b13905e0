//! `group_by`: what a file may say, what becomes of single records, and random streams against a slow reading of the whole log.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const WHOLE: &str = r#"
[[group_by]]
key = "id"
window = "10ms"
lateness = "4ms"
time = "t"
to = "grouped"
members = true

[[group_by]]
key = ["id", "/in/b"]
window = "7ms"
time = "t"
to = "grouped"
[group_by.aggregates]
n = "count"
values = { count = "v" }
sum = { sum = "v" }
mean = { mean = "v" }
min = { min = "v" }
max = { max = "v" }
p50 = { p50 = "v" }
distinct = { distinct = "v" }
"#;

/// A record that is given to groups, and what it takes to have them again behind it.
struct Stream {
    rules: Arc<Rules>,
    cleaner: Cleaner,
    state: Option<State>,
    groups: Groups,
    out: Vec<u8>,
}

impl Stream {
    fn new(rules: &Arc<Rules>, stands: &[GroupStand]) -> Self {
        let state = rules.is_stateful().then(|| State::new(rules, 1 << 20));
        let groups = Groups::new(rules, 1 << 20, stands);
        Self { rules: Arc::clone(rules), cleaner: Cleaner::new(Arc::clone(rules)), state, groups, out: Vec::new() }
    }

    /// Whether it goes on to groups, and where the log has to be read from for it to do so again.
    fn goes_on(&mut self, value: &str, offset: i64) -> Option<GroupedAt> {
        let verdict = self.cleaner.clean(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 }, &mut self.out);
        assert_eq!(verdict, Verdict::Kept, "{value}");
        let mut needed = offset;
        if let Some(state) = &mut self.state {
            needed = state.oldest_needed().unwrap_or(offset);
            if state.offer(self.cleaner.offered(), offset).unwrap() != Offer::New {
                return None;
            }
        }
        Some(GroupedAt { offset, needed })
    }

    /// What closes, as keys and values, and in how many groups it is late.
    fn offer(&mut self, value: &str, offset: i64) -> (Vec<(usize, String, Value)>, u64) {
        let Some(at) = self.goes_on(value, offset) else { return (Vec::new(), 0) };
        let late = self.groups.offer(self.cleaner.grouped(), &self.out, at).unwrap();
        (self.closed(Groups::take_closed), late)
    }

    fn closed(&mut self, take: impl Fn(&mut Groups) -> Option<Closed>) -> Vec<(usize, String, Value)> {
        let mut all = Vec::new();
        while let Some(mut closed) = take(&mut self.groups) {
            let mut value = Vec::new();
            closed.write(&self.rules, ("in", 3), &mut value);
            let value: Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(value["count"], closed.count());
            all.push((closed.by(), String::from_utf8(closed.key().to_vec()).unwrap(), value));
        }
        all
    }

    fn restore(&mut self, value: &str, offset: i64) {
        if let Some(at) = self.goes_on(value, offset) {
            self.groups.restore(self.cleaner.grouped(), &self.out, at).unwrap();
        }
    }

    fn from(&self) -> Option<i64> {
        let seen = self.state.as_ref().and_then(State::oldest_needed);
        seen.into_iter().chain(self.groups.oldest_needed()).min()
    }
}

fn record(random: &mut StdRng, now: i64) -> Value {
    let id = [json!("a"), json!("b\"\u{85}é"), json!(1), json!("1"), json!(true)][random.random_range(0..5)].clone();
    let v = match random.random_range(0..8) {
        0 => Value::Null,
        1 => json!(["b", "a", ""][random.random_range(0..3)]),
        2 => json!(true),
        3 => json!([1]),
        4 => json!(f64::from(random.random_range(-8..8)) / 4.0),
        _ => json!(random.random_range(-3..3)),
    };
    let late = if random.random_bool(0.15) { random.random_range(0..25) } else { 0 };
    json!({ "id": id, "in": { "b": random.random_range(0..2) }, "t": now - late, "v": v })
}

/// What the groups of one `group_by` are, by the whole log up to each record: what goes out there, and whether it is late.
struct Slow<'a> {
    window: i64,
    lateness: i64,
    key: fn(&Value) -> Value,
    rest: &'a dyn Fn(&[&Value]) -> Value,
}

impl Slow<'_> {
    fn read(&self, log: &[Value]) -> Vec<(Vec<(String, Value)>, bool)> {
        let time = |value: &Value| value["t"].as_i64().unwrap();
        let start = |value: &Value| time(value).div_euclid(self.window) * self.window;
        let passed =
            |until: usize| log[..until].iter().map(time).max().map_or(i64::MIN, |latest| latest - self.lateness);
        let late = |at: usize| start(&log[at]) + self.window <= passed(at);
        let mut done = i64::MIN;
        let mut each = Vec::new();
        for at in 0..log.len() {
            let now = passed(at + 1);
            let mut groups: BTreeMap<(i64, String), Vec<&Value>> = BTreeMap::new();
            for value in (0..=at).filter(|before| !late(*before)).map(|before| &log[before]) {
                let end = start(value) + self.window;
                if end > done && end <= now {
                    groups.entry((end, (self.key)(value).to_string())).or_default().push(value);
                }
            }
            done = done.max(now);
            let out = groups.into_iter().map(|((end, key), members)| {
                let mut value = (self.rest)(&members);
                let shown = |ms: i64| crate::base::time::show_epoch_ms(ms).to_string();
                value["window_start"] = shown(end - self.window).into();
                value["window_end"] = shown(end).into();
                value["topic"] = "in".into();
                value["partition"] = 3.into();
                value["count"] = members.len().into();
                for (name, field) in (self.key)(members[0]).as_object().unwrap() {
                    value[name] = field.clone();
                }
                (key, value)
            });
            each.push((out.collect(), late(at)));
        }
        each
    }
}

/// The aggregates of `v`, with quarters only, which doubles add exactly.
fn aggregates(members: &[&Value]) -> Value {
    let all: Vec<&Value> = members.iter().map(|member| &member["v"]).filter(|v| !v.is_null()).collect();
    let mut numbers: Vec<f64> = all.iter().filter_map(|v| v.as_f64()).collect();
    numbers.sort_by(f64::total_cmp);
    let mut texts: Vec<&str> = all.iter().filter_map(|v| v.as_str()).collect();
    texts.sort_unstable();
    let sum: f64 = numbers.iter().sum();
    let extreme = |number: Option<&f64>, text: Option<&&str>| number.map_or(json!(text), |number| number_of(*number));
    let mut different: Vec<String> = all
        .iter()
        .filter(|v| !v.is_array())
        .map(|v| v.as_f64().map_or(v.to_string(), |number| format!("{number}")))
        .collect();
    different.sort();
    different.dedup();
    let half = numbers.len().div_ceil(2).saturating_sub(1);
    let not_numbers = all.len() - numbers.len();
    let neither = all.iter().filter(|v| v.is_array() || v.is_boolean()).count();
    let unfit_extreme = if numbers.is_empty() { neither } else { not_numbers };
    let arrays = all.iter().filter(|v| v.is_array()).count();
    let unfit = [
        ("sum", not_numbers),
        ("mean", not_numbers),
        ("min", unfit_extreme),
        ("max", unfit_extreme),
        ("p50", not_numbers),
        ("distinct", arrays),
    ];
    let mut value = json!({ "aggregates": {
        "n": members.len(),
        "values": all.len(),
        "sum": number_of(sum),
        "mean": if numbers.is_empty() { Value::Null } else { json!(sum / numbers.len() as f64) },
        "min": extreme(numbers.first(), texts.first()),
        "max": extreme(numbers.last(), texts.last()),
        "p50": numbers.get(half).map_or(Value::Null, |number| number_of(*number)),
        "distinct": different.len(),
    } });
    for (name, count) in unfit.into_iter().filter(|(_, count)| *count > 0) {
        value["unfit"][name] = count.into();
    }
    value
}

fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

/// Whole doubles are written as such where a sum had others in it: alike in worth is alike here.
fn alike(value: &Value) -> Value {
    match value {
        Value::Number(number) => number_of(number.as_f64().unwrap()),
        Value::Object(all) => all
            .iter()
            .map(|(name, value)| (name.clone(), alike(value)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        Value::Array(all) => all.iter().map(alike).collect(),
        other => other.clone(),
    }
}

#[test]
fn groups_are_those_that_a_slow_reading_of_the_log_finds_and_are_had_again_from_any_point_of_it() {
    let mut random = StdRng::seed_from_u64(super::oracle::seed());
    let (plain, told) = (
        rules(WHOLE),
        rules(&format!(
            "[[rule]]\ndeduplicate = {{ key = \"v\", window = \"3ms\", lateness = \"2ms\", time = \"t\" }}\n{WHOLE}"
        )),
    );
    let (mut records, mut lates) = (0, 0);
    for turn in 0..60 {
        let rules = if turn % 2 == 0 { &plain } else { &told };
        let mut now = random.random_range(-30..30);
        let mut log: Vec<Value> = Vec::new();
        for _ in 0..70 {
            now += random.random_range(0..4);
            let mut value = record(&mut random, now);
            if rules.is_stateful() {
                // Duplicates are rejected where the key is null.
                value["v"] = json!(random.random_range(0..6));
            }
            log.push(value);
        }
        let text: Vec<String> = log.iter().map(Value::to_string).collect();
        let mut stream = Stream::new(rules, &[]);
        // What goes on to groups is not the question here.
        let mut gone_on = Vec::new();
        let mut probe = Stream::new(rules, &[]);
        for (at, value) in text.iter().enumerate() {
            if probe.goes_on(value, at as i64).is_some() {
                gone_on.push(at);
            }
        }
        let went: Vec<Value> = gone_on.iter().map(|at| log[*at].clone()).collect();
        let members = |members: &[&Value]| json!({ "members": members });
        let by_id = Slow { window: 10, lateness: 4, key: |v| json!({ "id": v["id"] }), rest: &members };
        let by_both =
            Slow { window: 7, lateness: 0, key: |v| json!({ "id": v["id"], "b": v["in"]["b"] }), rest: &aggregates };
        let slow = by_id.read(&went).into_iter().zip(by_both.read(&went));
        let mut expected: BTreeMap<usize, _> = gone_on.into_iter().zip(slow).collect();
        for (at, value) in text.iter().enumerate() {
            let from = stream.from().map_or(at, |from| from as usize);
            let mut again = Stream::new(rules, &stream.groups.stands());
            for (before, value) in text.iter().enumerate().take(at).skip(from) {
                again.restore(value, before as i64);
            }
            assert_eq!(
                again.groups.members(),
                stream.groups.members(),
                "{at}, read again from {from}\n{}",
                text.join("\n")
            );
            assert_eq!(again.groups.stands(), stream.groups.stands(), "{at}");
            assert_eq!(again.from(), stream.from(), "{at}");
            let found = stream.offer(value, at as i64);
            assert_eq!(again.offer(value, at as i64), found, "{at}, read again from {from}\n{}", text.join("\n"));
            let ((first, is_late), (second, is_late_too)) = expected.remove(&at).unwrap_or_default();
            let of = |by: usize, all: Vec<(String, Value)>| {
                all.into_iter().map(move |(key, value)| (by, value_of(&key), alike(&value)))
            };
            let slow: Vec<_> = of(0, first).chain(of(1, second)).collect();
            let ours: Vec<_> = found.0.iter().map(|(by, key, value)| (*by, value_of(key), alike(value))).collect();
            assert_eq!(format!("{ours:?}"), format!("{slow:?}"), "{at}\n{}", text.join("\n"));
            assert_eq!(found.1, u64::from(is_late) + u64::from(is_late_too), "{at}\n{}", text.join("\n"));
            records += ours.len();
            lates += found.1;
        }
        // What is left is told to nobody, and takes nothing once it is closed.
        let left = stream.groups.members();
        let closed = stream.closed(Groups::close);
        assert_eq!(closed.iter().map(|(_, _, value)| value["count"].as_u64().unwrap()).sum::<u64>(), left);
        assert_eq!((stream.groups.bytes(), stream.from().is_some()), (0, rules.is_stateful()));
        let (again, late) = Stream::new(rules, &stream.groups.stands()).offer(&went.last().unwrap().to_string(), 1000);
        assert_eq!((again.len(), late), (0, 2), "a window that was closed opens no more");
    }
    assert!(records > 1000 && lates > 100, "{records} {lates}");
}

fn value_of(key: &str) -> Value {
    serde_json::from_str(key).unwrap()
}

#[test]
fn a_group_takes_what_it_is_allowed_and_no_more() {
    let rules = rules("[[group_by]]\nkey = \"id\"\nwindow = \"1h\"\nto = \"g\"\nmembers = true\nmembers_max = 2\n");
    let mut stream = Stream::new(&rules, &[]);
    let value = r#"{"id":"x"}"#;
    for offset in 0..2 {
        assert!(stream.offer(value, offset).0.is_empty());
    }
    let at = stream.goes_on(value, 2).unwrap();
    let full = stream.groups.offer(stream.cleaner.grouped(), &stream.out, at).unwrap_err().to_string();
    for part in
        ["group_by id: ", r#"{\"id\":\"x\"}"#, "more than 2 members", "1970-01-01T00:00:00Z", "raise members_max"]
    {
        assert!(full.contains(part), "{full}\nwithout {part}");
    }
}

#[test]
fn open_groups_take_no_more_than_their_memory_and_say_whose_they_are() {
    let collects =
        ["members = true", "aggregates = { v = { distinct = \"v\" } }", "aggregates = { v = { p50 = \"t\" } }"];
    for collects in collects {
        let text = format!(
            "[[group_by]]\nname = \"small\"\nkey = \"none\"\nwindow = \"1h\"\nto = \"g\"\naggregates = {{ n = \"count\" }}\n\
             [[group_by]]\nname = \"large\"\nkey = \"id\"\nwindow = \"1h\"\nto = \"g\"\n{collects}\n"
        );
        let rules = rules(&text);
        let mut stream = Stream::new(&rules, &[]);
        stream.groups = Groups::new(&rules, 100_000, &[]);
        let full = (0..100_000).find_map(|number: i64| {
            let value = format!(r#"{{"id":{},"none":1,"v":"{number}","t":{number}}}"#, number % 7);
            let at = stream.goes_on(&value, number).unwrap();
            stream.groups.offer(stream.cleaner.grouped(), &stream.out, at).err()
        });
        let said = full.expect("it is full at some time").to_string();
        assert!(said.starts_with("large: ") && said.contains("100000 bytes") && said.contains("lateness"), "{said}");
        assert!(stream.groups.bytes() < 400_000, "{}", stream.groups.bytes());
    }
}

#[test]
fn a_record_without_a_key_or_a_time_or_beyond_all_years_is_refused_in_the_name_of_its_group_by() {
    let rules = rules(
        "[[group_by]]\nkey = [\"/a/b\"]\nwindow = \"1m\"\ntime = \"t\"\nunit = \"s\"\nto = \"g\"\nmembers = true\n",
    );
    for (value, expected) in [
        (r#"{"a":{"b":1},"t":60}"#, r#"{"a":{"b":1},"t":60}"#),
        (r#"{"a":{"b":[1,{}]},"t":"1970-01-01T00:00:00Z"}"#, r#"{"a":{"b":[1,{}]},"t":"1970-01-01T00:00:00Z"}"#),
        (r#"{"a":{"b":null},"t":60}"#, "group_by /a/b: /a/b is null (missing)"),
        (r#"{"a":1,"t":60}"#, "group_by /a/b: /a/b is missing (missing)"),
        (r#"{"a":{"b":1}}"#, "group_by /a/b: t is missing (missing)"),
        (r#"{"a":{"b":1},"t":true}"#, "group_by /a/b: t is true: a time is a text or a number (wrong_type)"),
        (
            r#"{"a":{"b":1},"t":1e300}"#,
            "group_by /a/b: t is 1e300: not within the years 0000 to 9999 (is it another unit?) (no_cast)",
        ),
        (
            r#"{"a":{"b":1},"t":253402300799}"#,
            "group_by /a/b: the record's window is not within the years 0000 to 9999 (out_of_range)",
        ),
    ] {
        assert_eq!(cleaned(&rules, value.as_bytes()), expected, "{value}");
    }
    let deep = format!(r#"{{"a":{{"b":{}1{}}},"t":60}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(cleaned(&rules, deep.as_bytes()), deep, "a key may be whatever it likes");
    for (broken, class) in
        [(r#"{"a":{"b":1,"b":1},"t":60}"#, "duplicate_name"), (r#"{"a":{"b":"\ud800"},"t":60}"#, "lone_surrogate")]
    {
        assert!(cleaned(&rules, broken.as_bytes()).ends_with(&format!("({class})")), "{broken}");
    }
    let own = self::rules("[[group_by]]\nkey = \"a\"\nwindow = \"1m\"\nto = \"g\"\nmembers = true\n");
    let mut cleaner = Cleaner::new(own);
    let verdict = cleaner.clean(&Incoming { value: Some(br#"{"a":1}"#), timestamp_ms: -1 }, &mut Vec::new());
    assert!(
        matches!(&verdict, Verdict::Rejected { reason, .. } if reason.text == "the record has no timestamp"),
        "{verdict:?}"
    );
}

#[test]
fn each_thing_a_group_by_cannot_be_is_named() {
    let right = [("key", "\"a\""), ("window", "\"1m\""), ("to", "\"g\""), ("members", "true")];
    for (name, value, part) in [
        ("key", "", "group_by 1: key is missing, as in key = [\"device_type\"]"),
        ("key", "7", "group_by 1.key: a field has to stand here"),
        ("key", "[\"a\", \"/a\"]", "a stands here twice"),
        ("key", "\"count\"", "groups have a count of their own: rename count before"),
        ("key", "[\"/x/members\"]", "groups have a members of their own: rename /x/members before"),
        ("key", "[\"a\", \"/b/a\"]", "two fields of the key have the name of /b/a"),
        ("window", "", "window is missing, as in window = \"10m\""),
        ("window", "\"0s\"", "a window has to have a length"),
        ("window", "10", "a text in quotation marks has to stand here, not a number"),
        ("window", "\"ten\"", "is not a duration"),
        ("lateness", "\"-1s\"", "is not a duration"),
        ("unit", "\"s\"", "say which field with time"),
        ("time", "1", "a text in quotation marks"),
        ("to", "", "to is missing, as in to = \"grouped\""),
        ("to", "\"a/b\"", "no topic has such a name"),
        ("to", "\"..\"", "no topic has such a name"),
        ("to", "\"\"", "no topic has such a name"),
        ("members", "", "members = true is missing, or aggregates"),
        ("members", "1", "true or false has to stand here"),
        ("members", "false", "say members = true, or ask for aggregates"),
        ("members_max", "0", "a whole number has to stand here, 1 or more"),
        ("members_max", "1.5", "a whole number has to stand here, 1 or more"),
        ("members_max", "\"7\"", "a number has to stand here"),
        ("aggregates", "{ n = \"count\" }", "a group has its members or aggregates"),
        ("name", "\"\"", "a name has to stand here"),
        ("every", "1", "there is no every"),
        ("lateness_ms", "1", "did you mean lateness?"),
    ] {
        let mut all: BTreeMap<&str, &str> = right.into_iter().collect();
        all.insert(name, value);
        refused(&all, part);
    }
    for (aggregates, part) in [
        ("{}", "1 to 1000 aggregates have to stand here"),
        ("7", "a table has to stand here"),
        ("{ n = \"sum\" }", "group_by 1.aggregates.n: \"sum\" is not \"count\", and all else is of a field"),
        ("{ n = 1 }", "a table has to stand here"),
        ("{ n = {} }", "one aggregate of one field"),
        ("{ n = { sum = \"a\", mean = \"a\" } }", "one aggregate of one field"),
        ("{ n = { maen = \"a\" } }", "group_by 1.aggregates.n.maen: there is no \"maen\" (did you mean mean?)"),
        ("{ n = { p101 = \"a\" } }", "there is no \"p101\""),
        ("{ n = { mean = 1 } }", "a text in quotation marks"),
        ("{ n = { mean = \"\" } }", "this is empty"),
    ] {
        let mut all: BTreeMap<&str, &str> = right.into_iter().filter(|(name, _)| *name != "members").collect();
        all.insert("aggregates", aggregates);
        refused(&all, part);
        all.insert("members_max", "7");
        all.insert("aggregates", "{ n = \"count\" }");
        refused(&all, "it would never be used: aggregates keep no members");
    }
    let many = "[[group_by]]\nkey = \"a\"\nwindow = \"1m\"\nto = \"g\"\nmembers = true\n".repeat(17);
    assert!(shown(&Rules::parse(&many).unwrap_err()).contains("a file may have 16 of these"));
}

fn refused(all: &BTreeMap<&str, &str>, part: &str) {
    let lines = all.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name} = {value}\n"));
    let text = format!("[[group_by]]\n{}", lines.collect::<String>());
    let errors = Rules::parse(&text).err().unwrap_or_else(|| panic!("{text} is taken"));
    assert_eq!(errors.len(), 1, "{text}\n{}", shown(&errors));
    assert!(shown(&errors).contains(part), "{text}\n{}\nwithout {part}", shown(&errors));
}
