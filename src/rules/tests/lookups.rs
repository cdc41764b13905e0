//! Lookups put to records: what is found, what is not, what cannot be asked for.

use super::*;
use crate::rules::lookup::{LookupCounts, Lookups, Taken};
use crate::rules::measure::Measures;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

const USERS: &str =
    r#"lookup = { field = "user_id", topic = "users", take = { name = "name", country = "/address/country" } }"#;

/// The rules' first topic has these records.
fn filled(rules: &Arc<Rules>, records: &[(&str, Option<&str>)]) -> Lookups {
    let mut lookups = Lookups::new(rules, 1 << 20);
    for (key, value) in records {
        lookups.take(0, Some(key.as_bytes()), value.map(str::as_bytes)).unwrap();
    }
    lookups
}

/// What becomes of a record: the JSON, or the verdict in words; and what was counted of its lookups.
fn joined(rules: &Arc<Rules>, lookups: &Lookups, value: &str) -> (String, BTreeMap<String, LookupCounts>) {
    let mut cleaner = Cleaner::new(Arc::clone(rules));
    let mut out = Vec::new();
    let record = Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 };
    let became = match cleaner.clean_with(&record, lookups.tables(), &mut out) {
        Verdict::Kept => String::from_utf8(out).unwrap(),
        Verdict::Filtered { rule } => format!("filtered by {}", rules.name(rule)),
        Verdict::Rejected { rule, reason } => format!("{}: {reason} ({})", rules.name(rule), reason.class),
        Verdict::Undecodable { reason } => format!("{reason} ({})", reason.class),
    };
    (became, cleaner.take_counts().lookups)
}

fn counts(found: u64, partly: u64, not_found: u64, without_key: u64) -> LookupCounts {
    LookupCounts { found, partly, not_found, without_key }
}

/// Puts a rule to records; each becomes this, and counts as that.
fn finds(rule: &str, table: &[(&str, Option<&str>)], cases: &[(&str, &str, LookupCounts)]) {
    let rules = one(rule);
    let lookups = filled(&rules, table);
    for (value, expected, counted) in cases {
        let (became, counts) = joined(&rules, &lookups, value);
        assert_eq!(became, *expected, "{rule}\n{value}");
        assert_eq!(counts.values().copied().next().unwrap_or_default(), *counted, "{rule}\n{value}");
    }
}

#[test]
fn what_is_found_is_put_in_as_it_is_written_and_replaces_what_is_there() {
    let table = [
        ("u1", Some(r#" { "name" : "Ann\u0020\"A\"", "address":{ "country":"IT", "city":1 }, "x":[1] } "#)),
        ("u2", Some(r#"{"name":1.50e1,"address":{"country":{"a": [ 1, 2 ]}}}"#)),
        ("u3", Some(r#"{"name":true,"address":{"country":[ null ]}}"#)),
    ];
    let found = counts(1, 0, 0, 0);
    finds(
        USERS,
        &table,
        &[
            (r#"{"user_id":"u1","a": 1}"#, r#"{"user_id":"u1","a": 1,"name":"Ann\u0020\"A\"","country":"IT"}"#, found),
            (
                r#"{"name":null,"user_id":"u1","country":7}"#,
                r#"{"name":"Ann\u0020\"A\"","user_id":"u1","country":"IT"}"#,
                found,
            ),
            (r#"{"user_id":"u2"}"#, r#"{"user_id":"u2","name":1.50e1,"country":{"a": [ 1, 2 ]}}"#, found),
            (r#"{"user_id":"u3"}"#, r#"{"user_id":"u3","name":true,"country":[ null ]}"#, found),
        ],
    );
    // Under their own names, one within the other, and into an object that comes to be.
    let table = [("u1", Some(r#"{"address":{"country":"IT"},"n":0}"#))];
    finds(
        r#"lookup = { field = "/user/id", topic = "users", take = ["address", "n"] }"#,
        &table,
        &[(r#"{"user":{"id":"u1"}}"#, r#"{"user":{"id":"u1"},"address":{"country":"IT"},"n":0}"#, found)],
    );
    finds(
        r#"lookup = { field = "/user/id", topic = "users", take = { "/user/at" = "address", "/user/in" = "/address/country" } }"#,
        &table,
        &[
            (r#"{"user":{"id":"u1"}}"#, r#"{"user":{"id":"u1","at":{"country":"IT"},"in":"IT"}}"#, found),
            (r#"{"user":"u1"}"#, r#"{"user":"u1"}"#, counts(0, 0, 0, 1)),
        ],
    );
    finds(
        r#"lookup = { field = "id", topic = "users", take = { "/user/at" = "address" } }"#,
        &table,
        &[
            (r#"{"id":"u1"}"#, r#"{"id":"u1","user":{"at":{"country":"IT"}}}"#, found),
            (
                r#"{"id":"u1","user":7}"#,
                "lookup id in users: user is 7: no object, so nothing can be put into it (occupied)",
                counts(0, 0, 0, 0),
            ),
        ],
    );
}

#[test]
fn the_key_is_the_text_of_the_field() {
    let table = ["7", "7.0", "true", "a\"b", "", "null", "[1]"].map(|key| (key, Some(r#"{"name":1}"#)));
    let rule = r#"lookup = { field = "id", topic = "users", take = ["name"] }"#;
    let rules = one(rule);
    let lookups = filled(&rules, &table);
    for (id, expected) in [
        ("7", counts(1, 0, 0, 0)),
        ("\"7\"", counts(1, 0, 0, 0)),
        ("\"\\u0037\"", counts(1, 0, 0, 0)),
        ("7.0", counts(1, 0, 0, 0)),
        ("7.00", counts(0, 0, 1, 0)),
        ("true", counts(1, 0, 0, 0)),
        ("false", counts(0, 0, 1, 0)),
        ("\"a\\\"b\"", counts(1, 0, 0, 0)),
        ("\"\"", counts(1, 0, 0, 0)),
        ("\"null\"", counts(1, 0, 0, 0)),
        ("null", counts(0, 0, 0, 1)),
        ("[1]", counts(0, 0, 0, 1)),
        ("{}", counts(0, 0, 0, 1)),
    ] {
        let (_, counts) = joined(&rules, &lookups, &format!("{{\"id\":{id}}}"));
        assert_eq!(counts["lookup id in users"], expected, "{id}");
    }
    assert_eq!(joined(&rules, &lookups, "{}").1["lookup id in users"], counts(0, 0, 0, 1));
}

#[test]
fn what_is_not_found_is_kept_or_becomes_null_or_a_default_or_is_refused_field_by_field() {
    let table = [("u1", Some(r#"{"name":"Ann","address":{"country":null}}"#)), ("u2", Some("{}"))];
    let (partly, nothing, no_key) = (counts(0, 1, 0, 0), counts(0, 0, 1, 0), counts(0, 0, 0, 1));
    let rule = |more: &str| USERS.replace(" } }", &format!(" }}{more} }}"));
    for keep in ["", r#", on_failure = "keep""#] {
        finds(
            &rule(keep),
            &table,
            &[
                (r#"{"user_id":"u1","country":"FR"}"#, r#"{"user_id":"u1","country":"FR","name":"Ann"}"#, partly),
                (r#"{"user_id":"u2","country":"FR"}"#, r#"{"user_id":"u2","country":"FR"}"#, partly),
                (r#"{"user_id":"u3","name":"x"}"#, r#"{"user_id":"u3","name":"x"}"#, nothing),
                (r#"{"name":"x"}"#, r#"{"name":"x"}"#, no_key),
            ],
        );
    }
    finds(
        &rule(r#", on_failure = "null""#),
        &table,
        &[
            (r#"{"user_id":"u1","country":"FR"}"#, r#"{"user_id":"u1","country":null,"name":"Ann"}"#, partly),
            (r#"{"user_id":"u3","name":"x"}"#, r#"{"user_id":"u3","name":null,"country":null}"#, nothing),
            (r#"{"user_id":[]}"#, r#"{"user_id":[],"name":null,"country":null}"#, no_key),
        ],
    );
    finds(
        &rule(r#", default = "?""#),
        &table,
        &[
            (r#"{"user_id":"u1"}"#, r#"{"user_id":"u1","name":"Ann","country":"?"}"#, partly),
            (r#"{"user_id":"u3"}"#, r#"{"user_id":"u3","name":"?","country":"?"}"#, nothing),
        ],
    );
    let refused = counts(0, 0, 0, 0);
    finds(
        &rule(r#", on_failure = "reject""#),
        &table,
        &[
            (
                r#"{"user_id":"u1"}"#,
                "lookup user_id in users: user_id is \"u1\": what users has under it lacks /address/country (not_found)",
                refused,
            ),
            (r#"{"user_id":7}"#, "lookup user_id in users: user_id is 7: users has no such key (not_found)", refused),
            (r#"{"user_id":null}"#, "lookup user_id in users: user_id is null (missing)", refused),
            (r#"{}"#, "lookup user_id in users: user_id is missing (missing)", refused),
            (
                r#"{"user_id":{"a":1}}"#,
                "lookup user_id in users: user_id is {\"a\":1}: arrays and objects are no keys (wrong_type)",
                refused,
            ),
        ],
    );
}

#[test]
fn lookups_see_what_rules_before_them_have_made_and_rules_behind_them_see_what_they_find() {
    let rules = rules(
        r#"
        [[rule]]
        trim = { field = "user_id" }
        [[rule]]
        lookup = { field = "user_id", topic = "users", take = ["country", "user_id"] }
        [[rule]]
        lookup = { field = "country", topic = "countries", take = { currency = "/money/name" }, default = "EUR" }
        [[rule]]
        name = "the same again"
        lookup = { field = "user_id", topic = "users", take = { home = "country" } }
        [[rule]]
        case = { field = "currency", to = "lower" }
        "#,
    );
    let topics: Vec<(&str, usize)> =
        rules.lookup_topics().iter().map(|topic| (topic.name(), topic.fields.len())).collect();
    assert_eq!(topics, [("users", 2), ("countries", 1)], "one table for a topic, with all that is taken");
    let described = rules.lookup_rules();
    assert_eq!(described.len(), 3);
    assert_eq!(described[1].takes, [("currency".to_owned(), "/money/name".to_owned())]);
    let mut lookups =
        filled(&rules, &[("1", Some(r#"{"country":"CH","user_id":"u-1"}"#)), ("u-1", Some(r#"{"country":"DE"}"#))]);
    lookups.take(1, Some(b"CH"), Some(br#"{"money":{"name":"CHF"}}"#)).unwrap();
    let (became, counts) = joined(&rules, &lookups, r#"{"user_id":" 1 "}"#);
    assert_eq!(became, r#"{"user_id":"u-1","country":"CH","currency":"chf","home":"DE"}"#);
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert_eq!(joined(&rules, &lookups, r#"{"user_id":"2"}"#).0, r#"{"user_id":"2","currency":"eur"}"#);
}

#[test]
fn the_newest_value_counts_and_what_takes_a_key_out_is_counted() {
    let rules = one(r#"lookup = { field = "id", topic = "users", take = ["name"] }"#);
    let mut lookups = Lookups::new(&rules, 1 << 20);
    let name = |lookups: &Lookups| joined(&rules, lookups, r#"{"id":"a"}"#).0;
    let (there, not) = (|name: u8| format!(r#"{{"id":"a","name":{name}}}"#), r#"{"id":"a"}"#);
    let take = |lookups: &mut Lookups, value: Option<&[u8]>| lookups.take(0, Some(b"a"), value).unwrap();
    assert_eq!(take(&mut lookups, Some(br#"{"name":1}"#)), Taken::Held);
    assert_eq!(name(&lookups), there(1));
    assert_eq!(take(&mut lookups, Some(br#"{"name":2,"more":[]}"#)), Taken::Held);
    assert_eq!(name(&lookups), there(2));
    assert_eq!(take(&mut lookups, None), Taken::Gone);
    assert_eq!(name(&lookups), not);
    for (bad, class) in [
        (&b"{\"name\":1"[..], Class::NoJson),
        (b"[1]", Class::NoObject),
        (b"\"name\"", Class::NoObject),
        (b"", Class::NoJson),
        (b"{\"name\":\"\xff\"}", Class::NoUtf8),
        (br#"{"name":1,"n\u0061me":2}"#, Class::DuplicateName),
        (br#"{"x":"\ud800"}"#, Class::LoneSurrogate),
        (format!("{{\"x\":{}", "[".repeat(200_000)).as_bytes(), Class::TooLarge),
    ] {
        take(&mut lookups, Some(br#"{"name":3}"#));
        assert_eq!(name(&lookups), there(3));
        let Taken::Unreadable(reason) = take(&mut lookups, Some(bad)) else { panic!("{bad:?} is held") };
        assert_eq!((reason.class, name(&lookups).as_str()), (class, not));
    }
    assert_eq!(lookups.take(0, None, Some(br#"{"name":1}"#)).unwrap(), Taken::WithoutKey);
    assert_eq!(lookups.take(7, Some(b"a"), Some(b"{}")).unwrap(), Taken::WithoutKey, "no such topic");
    let table = &lookups.tables()[0];
    assert_eq!((table.records(), table.unreadable(), table.without_key(), table.len()), (20, 8, 1, 0));
    assert!(table.is_empty() && lookups.bytes() < 1_000, "{}", lookups.bytes());
}

#[test]
fn a_table_that_would_take_more_than_it_may_is_refused_before_it_does_and_what_is_equal_takes_nothing() {
    let rules = one(r#"lookup = { field = "id", topic = "users", take = ["name"] }"#);
    let bytes_max = 100_000;
    let mut lookups = Lookups::new(&rules, bytes_max);
    let value = br#"{"name":"a name of some length"}"#;
    let mut key = 0_u32;
    let full = loop {
        assert!(lookups.bytes() <= bytes_max);
        match lookups.take(0, Some(&key.to_be_bytes()), Some(value)) {
            Ok(taken) => assert_eq!(taken, Taken::Held),
            Err(full) => break full,
        }
        key += 1;
    };
    assert!((200..2_000).contains(&key), "{key}");
    assert_eq!((full.topic.as_str(), full.bytes_max), ("users", bytes_max));
    assert!(full.bytes > bytes_max && full.to_string().contains("100000 bytes"), "{full}");
    // What was there is there, may be said again, and goes.
    let before = lookups.bytes();
    assert_eq!(lookups.take(0, Some(&0_u32.to_be_bytes()), Some(value)).unwrap(), Taken::Held);
    assert_eq!((lookups.bytes(), lookups.tables()[0].len()), (before, key as usize));
    (0..key).for_each(|key| _ = lookups.take(0, Some(&key.to_be_bytes()), None).unwrap());
    assert!(lookups.tables()[0].is_empty() && lookups.bytes() < before / 2);
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(bytes_max));
    lookups.take(0, Some(b"a"), Some(long.as_bytes())).unwrap_err();
    // What is not taken takes nothing.
    lookups.take(0, Some(b"a"), Some(long.replace("name", "else").as_bytes())).unwrap();
}

#[test]
fn a_table_says_what_a_map_of_whole_values_says_whatever_came() {
    let mut random = StdRng::seed_from_u64(oracle::seed());
    let rules = one(r#"lookup = { field = "id", topic = "t", take = { x = "/a/b", y = "c", z = "a" } }"#);
    for _ in 0..30 {
        let (mut lookups, mut map) = (Lookups::new(&rules, 1 << 24), BTreeMap::new());
        for _ in 0..300 {
            let key = random.random_range(0..20_u8).to_string();
            let part = |random: &mut StdRng| {
                ["null", "1", "2.5", "\"x\\n\"", "true", "[1, {}]", "{\"b\":\"in\"}", "{\"b\":null, \"d\":{}}"]
                    [random.random_range(0..8)]
            };
            let value = match random.random_range(0..10) {
                0 => None,
                1 => Some("{\"a\":".to_owned()),
                _ => Some(format!("{{\"a\":{}, \"c\" :{}}}", part(&mut random), part(&mut random))),
            };
            lookups.take(0, Some(key.as_bytes()), value.as_deref().map(str::as_bytes)).unwrap();
            match value.and_then(|value| serde_json::from_str::<serde_json::Value>(&value).ok()) {
                Some(value) => _ = map.insert(key, value),
                None => _ = map.remove(&key),
            }
        }
        for key in 0..20_u8 {
            let became = joined(&rules, &lookups, &format!("{{\"id\":{key}}}")).0;
            let became: serde_json::Value = serde_json::from_str(&became).unwrap();
            let mut expected = serde_json::json!({ "id": key });
            let held = map.get(&key.to_string());
            for (to, from) in [("x", "/a/b"), ("y", "/c"), ("z", "/a")] {
                if let Some(found) = held.and_then(|held| held.pointer(from)).filter(|found| !found.is_null()) {
                    expected[to] = found.clone();
                }
            }
            assert_eq!(became, expected);
        }
        assert_eq!(lookups.tables()[0].len(), map.len());
    }
}

#[test]
fn each_thing_a_lookup_cannot_be_is_named() {
    for (body, part) in [
        (r#"topic = "t", take = ["a"]"#, "field is missing"),
        (r#"field = "a", take = ["a"]"#, "topic is missing, as in topic = \"users\""),
        (r#"field = "a", topic = "t""#, "take is missing, as in take = [\"name\"]"),
        (r#"field = "a", topic = "t", takes = ["b"], take = "a""#, "there is no takes (did you mean take?)"),
        (r#"field = "a", topic = "..", take = "a""#, "rule 1.lookup.topic: no topic has such a name"),
        (r#"field = "a", topic = 7, take = "a""#, "a text in quotation marks has to stand here, not a number"),
        (r#"field = ["a"], topic = "t", take = "a""#, "rule 1.lookup.field: a text"),
        (r#"field = "a", topic = "t", take = 7"#, "fields have to stand here, as in [\"name\"], or what they become"),
        (r#"field = "a", topic = "t", take = {}"#, "fields have to stand here"),
        (r#"field = "a", topic = "t", take = []"#, "a field has to stand here, or several"),
        (r#"field = "a", topic = "t", take = [1]"#, "a field has to stand here, or several"),
        (r#"field = "a", topic = "t", take = ["b", "/b"]"#, "b stands here twice"),
        (r#"field = "a", topic = "t", take = { b = 1 }"#, "rule 1.lookup.take.b: a text in quotation marks"),
        (r#"field = "a", topic = "t", take = { b = "/c~2" }"#, "has a ~ that is not ~0"),
        (r#"field = "a", topic = "t", take = { "" = "c" }"#, "this is empty"),
        (r#"field = "a", topic = "t", take = { b = "" }"#, "this is empty"),
        (r#"field = "a", topic = "t", take = { b = "c", "/b/d" = "e" }"#, "are the same field, or one is in the other"),
        (r#"field = "a", topic = "t", take = { b = "c", "/b" = "e" }"#, "are the same field"),
        (r#"field = "a", topic = "t", take = "b", on_failure = "rejct""#, "did you mean reject?"),
        (r#"field = "a", topic = "t", take = "b", on_failure = "keep", default = 1"#, "it would never be used"),
        (r#"field = "a", topic = "t", take = "b", on_failure = "default""#, "which default?"),
    ] {
        let text = format!("[[rule]]\nlookup = {{ {body} }}\n");
        let errors = Rules::parse(&text).err().unwrap_or_else(|| panic!("{body} is taken"));
        assert_eq!(errors.len(), 1, "{body}\n{errors:?}");
        assert!(errors[0].to_string().contains(part), "{body}\n{}\nwithout {part}", errors[0]);
    }
    let errors = Rules::parse("[[rule]]\nlookpu = { }\n").unwrap_err();
    assert!(errors[0].to_string().contains("did you mean lookup?"), "{errors:?}");
    let measures = format!("[[rule]]\n{USERS}\n[measure]\naggregates = {{ n = \"count\" }}\n");
    let errors = Measures::parse(&measures).unwrap_err();
    assert!(
        errors.len() == 1 && errors[0].to_string().contains("line 2") && errors[0].to_string().contains("only clean"),
        "{errors:?}"
    );
}

const GROUP: &str = "[[group_by]]\nkey = \"KEY\"\nwindow = \"1m\"\nto = \"g\"\naggregates = { n = \"count\" }\n";
const COUNT: &str = "[[insight]]\nfield = \"KEY\"\n";
const TELL: &str = "[[rule]]\ndeduplicate = { key = \"KEY\", window = \"1m\" }\n";

/// What is said of a file with that between the lookup and what is held by `key`.
fn beside(lookup: &str, between: &[&str], holder: &str, key: &str) -> Vec<String> {
    let between: String = between.iter().map(|rule| format!("[[rule]]\n{rule}\n")).collect();
    let text = format!("[[rule]]\n{lookup}\n{between}{}", holder.replace("KEY", key));
    let errors = Rules::parse(&text).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_held_of_records_may_stand_beside_a_lookup_as_long_as_it_does_not_depend_on_it() {
    let free: [(&[&str], &str); 8] = [
        (&[], "user_id"),
        (&["trim = { field = \"name\" }", "case = { field = \"name\", to = \"upper\" }"], "user_id"),
        (&["cast = { field = \"name\", to = \"int\", on_failure = \"null\" }"], "user_id"),
        (&["default = { field = \"name\", value = \"?\" }"], "user_id"),
        (
            &["filter = { keep = { field = \"user_id\", exists = true } }", "required = { field = \"user_id\" }"],
            "user_id",
        ),
        (&["derive = { field = \"x\", template = \"{user_id}\" }"], "x"),
        (&["derive = { field = \"x\", from = \"name\", part = \"hour\", on_failure = \"null\" }"], "y"),
        (&["drop = { field = [\"name\", \"country\"] }"], "name"),
    ];
    for holder in [GROUP, COUNT, TELL] {
        for (between, key) in free {
            assert_eq!(beside(USERS, between, holder, key), Vec::<String>::new(), "{between:?} {holder} {key}");
        }
        for (between, key) in [
            (&[][..], "name"),
            (&[], "/name/inner"),
            (&["derive = { field = \"x\", from = \"name\", part = \"hour\", default = 0 }"], "x"),
            (&["default = { field = \"name\", value = \"?\" }"], "name"),
            (&["drop = { field = \"/name/first\" }"], "name"),
        ] {
            let said = beside(USERS, between, holder, key);
            let depends =
                |said: &String| said.contains("depends on what a lookup finds") && said.contains("second clean");
            assert!(!said.is_empty() && said.iter().all(depends), "{between:?} {holder} {key}: {said:?}");
        }
    }
}

#[test]
fn a_rule_that_decides_by_what_was_looked_up_whether_a_record_goes_on_has_nothing_held_beside_it() {
    let deciding = [
        "required = { field = \"name\" }",
        "filter = { drop = { any = [{ field = \"user_id\", equals = 1 }, { not = { field = \"name\", exists = true } }] } }",
        "cast = { field = \"name\", to = \"int\" }",
        "range = { field = \"country\", min = 0 }",
        "pattern = { field = \"name\", matches = 'x' }",
        "rename = { field = \"name\", to = \"x\" }",
        "rename = { field = \"x\", to = \"name\" }",
        "derive = { field = \"x\", template = \"{name}\", default = 0 }",
        "derive = { field = \"x\", from = \"name\", part = \"hour\" }",
        "derive = { field = \"/name/x\", template = \"{user_id}\" }",
        "default = { field = \"/name/x\", value = 1 }",
    ];
    for holder in [GROUP, COUNT, TELL] {
        for rule in deciding {
            for (before, between, after) in [("", rule, ""), ("", "", rule)] {
                let section = |rule: &str| if rule.is_empty() { String::new() } else { format!("[[rule]]\n{rule}\n") };
                let (before, between, after) = (section(before), section(between), section(after));
                let holder = holder.replace("KEY", "user_id");
                let text = format!("{before}[[rule]]\n{USERS}\n{between}{holder}{after}");
                let said = Rules::parse(&text).expect_err(&text);
                let said: Vec<String> = said.iter().map(ToString::to_string).collect();
                assert!(
                    said.iter().all(|said| said.contains("which records go on depends on what a lookup finds, by ")),
                    "{text}{said:?}"
                );
            }
        }
        for lookup in [
            USERS.replace(" } }", " }, on_failure = \"reject\" }"),
            USERS.replace("name = \"name\"", "\"/m/name\" = \"name\""),
        ] {
            let said = beside(&lookup, &[], holder, "user_id");
            assert!(said.len() == 1 && said[0].contains("by lookup user_id in users"), "{lookup} {said:?}");
        }
        // Alone they are fine.
        rules(&format!("[[rule]]\n{USERS}\n[[rule]]\n{}\n", deciding[0]));
    }
    let said = beside(USERS, &[], "[[group_by]]\nkey = \"a\"\nwindow = \"1m\"\nto = \"g\"\nmembers = true\n", "");
    assert!(
        said.len() == 1
            && said[0].starts_with("line 7")
            && said[0].contains("group_by 1.members: members would have in them"),
        "{said:?}"
    );
    let said = beside(
        USERS,
        &[],
        "[[group_by]]\nkey = \"a\"\nwindow = \"1m\"\nto = \"g\"\naggregates = { n = { distinct = \"country\" } }\n",
        "",
    );
    assert!(said.len() == 1 && said[0].contains("group_by 1.aggregates: country depends"), "{said:?}");
    let said = beside(USERS, &[], "[[insight]]\nfield = \"a\"\nwindow = \"1m\"\ntime = \"name\"\n", "");
    assert!(said.len() == 1 && said[0].contains("insight 1.time: name depends"), "{said:?}");
}

#[test]
fn what_is_held_of_records_is_the_same_with_and_without_what_is_looked_up() {
    let rules = rules(&format!(
        "[[rule]]\n{USERS}\n[[rule]]\ncase = {{ field = \"name\", to = \"upper\" }}\n{}{}{}",
        TELL.replace("KEY", "user_id"),
        GROUP.replace("KEY", "user_id"),
        COUNT.replace("KEY", "user_id")
    ));
    let lookups = filled(&rules, &[("u1", Some(r#"{"name":"Ann","address":{"country":{"x":1}}}"#))]);
    let (mut with, mut without) = (Cleaner::new(Arc::clone(&rules)), Cleaner::new(Arc::clone(&rules)));
    for value in [r#"{"user_id":"u1"}"#, r#"{"user_id":"u2"}"#, "{}", r#"{"user_id":"u1","name":[],"country":"FR"}"#] {
        let record = Incoming { value: Some(value.as_bytes()), timestamp_ms: 7 };
        let kept = with.clean_with(&record, lookups.tables(), &mut Vec::new());
        assert_eq!(kept, without.clean(&record, &mut Vec::new()), "{value}");
        assert_eq!(format!("{:?}", with.offered()), format!("{:?}", without.offered()));
        assert_eq!(format!("{:?}", with.grouped()), format!("{:?}", without.grouped()));
        assert_eq!(format!("{:?}", with.noted()), format!("{:?}", without.noted()));
    }
}
