//! Values that are not what a record should be.

use super::*;
use crate::rules::scan::{DEPTH_MAX, MEMBERS_MAX};
use proptest::prelude::*;

fn required() -> Arc<Rules> {
    one(r#"required = { field = ["a", "/m/x"] }"#)
}

/// Copies, and looks into `/m`.
fn copying() -> Arc<Rules> {
    one(r#"trim = { field = ["a", "/m/x"] }"#)
}

#[test]
fn a_tombstone_and_what_is_no_object_are_undecodable() {
    let mut cleaner = Cleaner::new(required());
    let mut out = vec![1];
    let verdict = cleaner.clean(&Incoming { value: None, timestamp_ms: 0 }, &mut out);
    let Verdict::Undecodable { reason } = verdict else { panic!("{verdict:?}") };
    assert_eq!((reason.class, out.len()), (Class::NoValue, 0));
    for (value, said) in [
        ("", "no JSON: the text ends where a value has to stand at byte 0 (no_json)"),
        ("  ", "…at byte 2 (no_json)"),
        ("null", "the JSON is null; rules are put to objects (no_object)"),
        (" true ", "…true or false; rules"),
        ("-1.5e3", "…a number; rules"),
        ("\"{}\"", "…a text; rules"),
        ("[{}]", "…an array; rules"),
        ("[{]", "…(no_json)"),
        ("nul", "…a value has to stand at byte 0 (no_json)"),
        ("1 2", "…something stands behind the object at byte 2 (no_json)"),
    ] {
        let became = cleaned(&required(), value.as_bytes());
        match said.strip_prefix('…') {
            Some(part) => assert!(became.contains(part), "{value}: {became}"),
            None => assert_eq!(became, said, "{value}"),
        }
    }
}

#[test]
fn json_is_read_strictly() {
    for wrong in [
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "{\"a\":1}}",
        "{\"a\":1}x",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1 2]}",
        "{\"a\":[1}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":[}",
        "{\"m\":{\"x\":1]}",
        "{\"m\":{\"x\"}}",
        "{\"m\":{\"x\":1,}}",
        "{\"b\":{\"x\":1,}}",
        "{\"b\":[{]}",
        "{\"a\":1 \"b\":2}",
        "\u{feff}{}",
        "{\"a\":1}\0",
        "{\"a\":\"b",
    ] {
        let became = cleaned(&copying(), wrong.as_bytes());
        assert!(became.ends_with("(no_json)") && became.contains(" at byte "), "{wrong}: {became}");
        assert!(serde_json::from_str::<serde_json::Value>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_not_changed_is_byte_for_byte_what_it_was() {
    let value = " {\"b\" :\t[ 1.50 , -0, 1E+2,\"\\u00e9\\/\" ],\r\n\"a\":\"x\",\"m\":{ \"x\" : null , \"y\":{}} } ";
    assert_eq!(cleaned(&copying(), value.as_bytes()), value);
}

#[test]
fn nesting_costs_no_stack_and_has_a_limit() {
    let rules = copying();
    for depth in [10_000, DEPTH_MAX - 1] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"m\":", "}"), ("[{\"a\":", "}]")] {
            let levels = if open.len() > 5 { depth / 2 } else { depth };
            let value = format!("{{\"b\":{}1{}}}", open.repeat(levels), close.repeat(levels));
            assert!(cleaned(&rules, value.as_bytes()) == value, "{depth} times {open}");
            let at_field = format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels));
            assert!(cleaned(&rules, at_field.as_bytes()) == at_field, "{depth} times {open}");
        }
    }
    let deeper = format!("{{\"b\":{}", "[".repeat(DEPTH_MAX + 1));
    assert_eq!(cleaned(&rules, deeper.as_bytes()), "nested deeper than 100000 levels (too_large)");
    let cut = format!("{{\"b\":{}", "[".repeat(10_000));
    assert!(cleaned(&rules, cut.as_bytes()).ends_with("(no_json)"));
}

#[test]
fn two_members_of_one_name_are_undecodable_wherever_they_are() {
    for twice in [
        r#"{"a":1,"a":1}"#,
        r#"{"z":1,"b":2,"z":3}"#,
        r#"{"m":{"x":1,"x":2}}"#,
        r#"{"m":{"y":1,"y":2}}"#,
        r#"{"b":{"y":1,"y":2}}"#,
        r#"{"b":[1,{"c":{"y":1,"z":{},"y":2}}]}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"b":{"\u00e9":1,"é":2}}"#,
        r#"{"":1,"":2}"#,
    ] {
        let became = cleaned(&copying(), twice.as_bytes());
        assert!(
            became.starts_with("two members of one object are called ") && became.ends_with("(duplicate_name)"),
            "{twice}: {became}"
        );
    }
    let once = r#"{"a":{"a":{"a":1}},"m":{"a":[{"a":1},{"a":2}],"m":1},"b":1}"#;
    assert_eq!(cleaned(&copying(), once.as_bytes()), once);
    for members in [13, 1000] {
        let names: Vec<String> = (0..members).map(|member| format!("\"k{member}\":{member}")).collect();
        let once = format!("{{{}}}", names.join(","));
        assert_eq!(cleaned(&copying(), once.as_bytes()), once);
        let twice = format!("{{{},\"k\\u0033\":0}}", names.join(","));
        assert!(cleaned(&copying(), twice.as_bytes()).contains("are called \"k3\" (duplicate_name)"));
    }
}

#[test]
fn half_pairs_and_invalid_utf8_are_undecodable_wherever_they_are() {
    for half in [r#"{"a":"\ud800"}"#, r#"{"b":["\udc00x"]}"#, r#"{"\ud83d":1}"#, r#"{"b":{"\ud83d\u0041":1}}"#] {
        let became = cleaned(&copying(), half.as_bytes());
        assert!(
            became.starts_with("half of a surrogate pair at byte ") && became.ends_with("(lone_surrogate)"),
            "{half}: {became}"
        );
    }
    assert_eq!(cleaned(&copying(), br#"{"b":"\ud83d\ude00"}"#), r#"{"b":"\ud83d\ude00"}"#);
    for invalid in [
        &b"{\"b\":\"\xff\"}"[..],
        b"{\"b\":\"\xed\xa0\x80\"}",
        b"{\"b\":\"\xc3\"}",
        b"\xfe\xff",
        b"{\"b\":\"\xc0\xaf\"}",
    ] {
        let became = cleaned(&copying(), invalid);
        assert!(became.starts_with("no UTF-8") && became.ends_with("(no_utf8)"), "{invalid:?}: {became}");
    }
}

#[test]
fn too_many_members_for_the_rules_are_refused_and_elsewhere_they_pass() {
    let members: Vec<String> = (0..=MEMBERS_MAX).map(|member| format!("\"{member}\":0")).collect();
    let many = format!("{{{}}}", members.join(","));
    assert_eq!(cleaned(&copying(), many.as_bytes()), "more than 65536 members (too_large)");
    let inside = format!("{{\"b\":{many}}}");
    assert!(cleaned(&copying(), inside.as_bytes()) == inside);
}

#[test]
fn a_record_leaves_nothing_for_the_next() {
    let rules = rules(
        "[[rule]]\ndefault = { field = \"/m/x\", value = 1 }\n[[rule]]\nderive = { field = \"t\", template = \"{a}\", on_failure = \"null\" }\n[[rule]]\ndeduplicate = { key = \"a\", window = \"1s\" }\n",
    );
    let mut cleaner = Cleaner::new(Arc::clone(&rules));
    let mut out = Vec::new();
    let records =
        ["{\"a\":\"x\",\"m\":{\"x\":2}}", "{", "{\"a\":1}", "[]", "{\"m\":3}", "{\"b\":\"\\u0061\",\"a\":\"\\\"\"}"];
    for first in records {
        for second in records {
            for value in [first, second] {
                let verdict = cleaner.clean(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 5 }, &mut out);
                let mut fresh = Cleaner::new(Arc::clone(&rules));
                let mut own = Vec::new();
                assert_eq!(
                    fresh.clean(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 5 }, &mut own),
                    verdict
                );
                assert_eq!(own, out);
                assert_eq!(fresh.offered().keys, cleaner.offered().keys);
            }
        }
    }
    let large = format!("{{\"a\":\"{}\"}}", "\\u0061".repeat(1 << 20));
    assert_eq!(cleaner.clean(&Incoming { value: Some(large.as_bytes()), timestamp_ms: 5 }, &mut out), Verdict::Kept);
    assert!(
        out.ends_with(format!("\"t\":\"{}\",\"m\":{{\"x\":1}}}}", "a".repeat(1 << 20)).as_bytes())
            || out.len() > 7 << 20
    );
}

#[test]
fn defaults_and_what_was_mended_are_counted_in_records_that_are_kept() {
    let rules = rules(
        "[[rule]]\ndefault = { field = [\"a\", \"b\"], value = 0 }\n[[rule]]\ncast = { field = \"a\", to = \"int\", on_failure = \"null\" }\n[[rule]]\nfilter = { drop = { field = \"b\", equals = 9 } }\n",
    );
    let mut cleaner = Cleaner::new(Arc::clone(&rules));
    let mut all = Counts::default();
    for value in [r#"{"a":1}"#, r#"{"a":"x"}"#, "{}", r#"{"a":"y","b":9}"#, "{"] {
        cleaner.clean(&Incoming { value: Some(value.as_bytes()), timestamp_ms: 0 }, &mut Vec::new());
        all.add(&cleaner.take_counts());
    }
    assert_eq!((all.records, all.kept), (5, 3));
    assert_eq!(all.defaulted, [("a".to_owned(), 1), ("b".to_owned(), 3)].into());
    assert_eq!(all.mended, [("cast a".to_owned(), 1)].into());
    assert_eq!(all.filtered, [("filter".to_owned(), 1)].into());
    assert_eq!(all.undecodable, [(Class::NoJson, 1)].into());
}

proptest! {
    #[test]
    fn what_serde_json_takes_or_refuses_is_taken_or_refused(text in r#"[{}\[\],:" \\0-9a-cenrtu.eE+-]{0,24}"#) {
        let value = format!("{{\"b\":{text}}}");
        let became = cleaned(&copying(), value.as_bytes());
        match serde_json::from_str::<serde_json::Value>(&value) {
            Ok(_) => prop_assert!(became == value || became.ends_with("(duplicate_name)"), "{} became {}", value, became),
            // It refuses what is beyond a double, which is for rules to refuse.
            Err(error) if error.to_string().starts_with("number out of range") => prop_assert_eq!(became, value),
            Err(_) => prop_assert!(became.ends_with("(no_json)") || became.ends_with("(lone_surrogate)"), "{} became {}", value, became),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        cleaned(&copying(), &bytes);
        cleaned(&required(), &[b"{\"m\":{", &bytes[..], b"}}"].concat());
    }
}
