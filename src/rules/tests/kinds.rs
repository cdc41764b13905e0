//! Each kind of rule, with what it is for and with what it does not expect.

use super::*;

#[test]
fn a_default_fills_what_is_missing_or_null() {
    holds(
        r#"default = { field = "d", value = "unknown" }"#,
        &[
            (r#"{"a":1}"#, r#"{"a":1,"d":"unknown"}"#),
            (r#"{"d": null, "a":1}"#, r#"{"d":"unknown","a":1}"#),
            (r#"{ "d" : "" }"#, "="),
            (r#"{ "d" : 0, "x": 1.50 }"#, "="),
            ("{}", r#"{"d":"unknown"}"#),
            (" { } \n", r#"{"d":"unknown"}"#),
        ],
    );
    holds(
        r#"default = { field = ["/m/x/y", "z"], value = { b = [1, 2.5, true], a = "é\"" } }"#,
        &[
            (r#"{"z":0}"#, r#"{"z":0,"m":{"x":{"y":{"b":[1,2.5,true],"a":"é\""}}}}"#),
            (r#"{"z":0,"m":null,"k":1}"#, r#"{"z":0,"m":{"x":{"y":{"b":[1,2.5,true],"a":"é\""}}},"k":1}"#),
            (r#"{"m":{"o": 1, "x":{ }},"z":0}"#, r#"{"m":{"o": 1,"x":{"y":{"b":[1,2.5,true],"a":"é\""}}},"z":0}"#),
            (r#"{"m":{"x":7}}"#, "…default /m/x/y, z: /m/x is 7: no object, so nothing can be put into it (occupied)"),
            (r#"{"m":[]}"#, "…m is []: no object"),
        ],
    );
}

#[test]
fn a_rename_keeps_the_place_and_never_covers_anything() {
    holds(
        r#"rename = { field = "ts", to = "timestamp" }"#,
        &[
            (r#"{"a":1,"ts": 1.0e2,"b":2}"#, r#"{"a":1,"timestamp":1.0e2,"b":2}"#),
            (r#"{"a":1}"#, "="),
            (r#"{"ts":null}"#, r#"{"timestamp":null}"#),
            (r#"{"timestamp":null,"a":1,"ts":5}"#, r#"{"a":1,"timestamp":5}"#),
            (
                r#"{"timestamp":4,"ts":5}"#,
                "…timestamp is 4: it is there already, and nothing is renamed over it (occupied)",
            ),
            (r#"{"timestamp":4,"ts":null}"#, "="),
            (r#"{"\u0074s":{"x":[1, 2]}}"#, r#"{"timestamp":{"x":[1, 2]}}"#),
        ],
    );
    holds(
        r#"rename = { field = "/m/ts", to = "/n/t~1s" }"#,
        &[
            (r#"{"m":{"ts":5,"k":6},"a":1}"#, r#"{"m":{"k":6},"a":1,"n":{"t/s":5}}"#),
            (r#"{"n":{"z":1},"m":{"ts":5}}"#, r#"{"n":{"z":1,"t/s":5},"m":{}}"#),
            (r#"{"n":3,"m":{"ts":5}}"#, "…n is 3: no object"),
            (r#"{"n":3,"m":{"ts":null}}"#, "="),
            (r#"{"n":null,"m":{"ts":null}}"#, r#"{"n":{"t/s":null},"m":{}}"#),
            (r#"{"m":"ts"}"#, "="),
        ],
    );
}

#[test]
fn what_other_rules_name_inside_a_field_moves_with_it() {
    let moved = rules(
        r#"
        [[rule]]
        default = { field = "/m/x", value = 1 }
        [[rule]]
        rename = { field = "m", to = "n" }
        [[rule]]
        cast = { field = "/n/y", to = "int" }
        [[rule]]
        default = { field = "/m/x", value = 2 }
        [[rule]]
        drop = { field = "/n/x" }
        "#,
    );
    assert_eq!(cleaned(&moved, br#"{"m":{"y":"7", "z": [ ]}}"#), r#"{"n":{"y":7,"z": [ ]},"m":{"x":2}}"#);
    assert_eq!(
        cleaned(&moved, br#"{"m":[7]}"#),
        "default /m/x: m is [7]: no object, so nothing can be put into it (occupied)"
    );
    assert_eq!(cleaned(&moved, br#"{"n":null,"b":0}"#), r#"{"b":0,"n":{},"m":{"x":2}}"#);
    let replaced = rules(
        r#"
        [[rule]]
        drop = { field = "a" }
        [[rule]]
        default = { field = "a", value = { b = "5", c = 1 } }
        [[rule]]
        cast = { field = ["/a/b", "/a/c"], to = "string" }
        [[rule]]
        cast = { field = "a", to = "string" }
        "#,
    );
    assert_eq!(cleaned(&replaced, br#"{"a":{"b":1}}"#), r#"{"a":"{\"b\":\"5\",\"c\":\"1\"}"}"#);
}

#[test]
fn what_is_dropped_is_gone_and_the_rest_as_it_was() {
    holds(
        r#"drop = { field = ["debug", "/m/trace", "/m/deep/er"] }"#,
        &[
            (r#"{"debug":[{"x":1}],"a" : 1.0}"#, r#"{"a" : 1.0}"#),
            (r#"{"a":1, "debug":null}"#, r#"{"a":1}"#),
            (r#"{"debug":1}"#, "{}"),
            (r#"{"m":{"trace":1},"a":2}"#, r#"{"m":{},"a":2}"#),
            (r#"{"m":{"k":[1, 2],"trace":1, "deep":{"er":1,"or":2}}}"#, r#"{"m":{"k":[1, 2],"deep":{"or":2}}}"#),
            (r#"{"m": { "k" : "trace" } }"#, "="),
            (r#"{"m":["trace"]}"#, "="),
        ],
    );
}

#[test]
fn what_was_inside_a_field_that_is_gone_is_gone_at_any_depth() {
    for gone in [
        r#"drop = { field = "m" }"#,
        r#"rename = { field = "m", to = "n" }"#,
        r#"derive = { field = "m", template = "" }"#,
    ] {
        let rules = rules(&format!(
            "[[rule]]\n{gone}\n[[rule]]\nfilter = {{ keep = {{ not = {{ field = \"/m/x/y\", exists = true }} }} }}\n"
        ));
        let became = cleaned(&rules, br#"{"m":{"x":{"y":1}}}"#);
        assert!(["{}", r#"{"n":{"x":{"y":1}}}"#, r#"{"m":""}"#].contains(&became.as_str()), "{gone}: {became}");
    }
}

#[test]
fn a_cast_that_fails_does_what_the_rule_says() {
    let value = r#"{"n":"x","a":1}"#;
    for (more, expected) in [
        ("", "…cast n: n is \"x\": no number, or one beyond all bounds (no_cast)"),
        (r#", on_failure = "reject""#, "…(no_cast)"),
        (r#", on_failure = "null""#, r#"{"n":null,"a":1}"#),
        (r#", on_failure = "keep""#, "="),
        (r#", default = -1"#, r#"{"n":-1,"a":1}"#),
        (r#", default = "none", on_failure = "default""#, r#"{"n":"none","a":1}"#),
    ] {
        let rule = format!(r#"cast = {{ field = "n", to = "int"{more} }}"#);
        holds(&rule, &[(value, expected), (r#"{"n":17}"#, "="), (r#"{"n":null}"#, "="), ("{}", "=")]);
        holds(&rule, &[(r#"{"n": "17" ,"b": 1.0}"#, r#"{"n":17,"b": 1.0}"#)]);
    }
    holds(
        r#"cast = { field = "t", to = "time", unit = "s" }"#,
        &[
            (r#"{"t":1715947200}"#, r#"{"t":"2024-05-17T12:00:00Z"}"#),
            (r#"{"t":"\u0031715947200"}"#, r#"{"t":"2024-05-17T12:00:00Z"}"#),
            (r#"{"t":"2024-05-17T12:00:00Z"}"#, "="),
            (r#"{"t":[1]}"#, "…(wrong_type)"),
            (r#"{"t":99999999999999}"#, "…another unit"),
        ],
    );
    holds(
        r#"cast = { field = "x", to = "string" }"#,
        &[
            (r#"{"x":1.50}"#, r#"{"x":"1.50"}"#),
            (r#"{"x":{"a": "b"}}"#, r#"{"x":"{\"a\": \"b\"}"}"#),
            (r#"{"x":"\u00e9"}"#, "="),
        ],
    );
}

#[test]
fn numbers_beyond_all_types_pass_until_a_rule_has_to_read_them() {
    let huge = r#"{"n":123456789012345678901234567890,"f":1e400,"d":-0.0}"#;
    holds(r#"trim = { field = ["n", "f"] }"#, &[(huge, "=")]);
    holds(r#"cast = { field = "n", to = "int" }"#, &[(huge, "…beyond 64 bits (no_cast)")]);
    holds(r#"cast = { field = "f", to = "float" }"#, &[(huge, "…beyond what a double can hold (no_cast)")]);
    holds(r#"cast = { field = "n", to = "float" }"#, &[(huge, "=")]);
    holds(r#"range = { field = ["n", "f"], max = 1e300 }"#, &[(huge, "…f is 1e400: above the range (out_of_range)")]);
}

#[test]
fn texts_are_trimmed_and_cased_and_all_else_is_left_alone() {
    holds(
        r#"trim = { field = "x" }"#,
        &[
            (r#"{"x":"  a b\t\n "}"#, r#"{"x":"a b"}"#),
            ("{\"x\":\"\u{a0}\u{2003}é \"}", r#"{"x":"é"}"#),
            (r#"{"x":" \"\\ "}"#, r#"{"x":"\"\\"}"#),
            (r#"{"x":"\u0061b"}"#, "="),
            (r#"{"x":"   "}"#, r#"{"x":""}"#),
            (r#"{"x":17}"#, "="),
            (r#"{"x":[" a "]}"#, "="),
            (r#"{"x":null}"#, "="),
        ],
    );
    holds(
        r#"case = { field = "x", to = "lower" }"#,
        &[
            (r#"{"x":"iOS-17"}"#, r#"{"x":"ios-17"}"#),
            (r#"{"x":"ios\n"}"#, "="),
            (r#"{"x":"A\u001bB\n"}"#, r#"{"x":"a\u001bb\n"}"#),
            (r#"{"x":"STRASSE ÉÈ"}"#, r#"{"x":"strasse éè"}"#),
            (r#"{"x":true}"#, "="),
        ],
    );
    holds(
        r#"case = { field = "x", to = "upper" }"#,
        &[
            (r#"{"x":"us"}"#, r#"{"x":"US"}"#),
            (r#"{"x":"a\u001bb\n"}"#, r#"{"x":"A\u001bB\n"}"#),
            (r#"{"x":"straße"}"#, r#"{"x":"STRASSE"}"#),
            (r#"{"x":{"y":"a"}}"#, "="),
        ],
    );
}

#[test]
fn values_are_mapped_by_their_text() {
    let values = r#"values = { ios = "iOS", "1" = true, true = 5, "é" = "e" }"#;
    holds(
        &format!(r#"map = {{ field = "d", {values} }}"#),
        &[
            (r#"{"d":"ios"}"#, r#"{"d":"iOS"}"#),
            (r#"{"d":1}"#, r#"{"d":true}"#),
            (r#"{"d":"1"}"#, r#"{"d":true}"#),
            (r#"{"d":true}"#, r#"{"d":5}"#),
            (r#"{"d":"\u00e9"}"#, r#"{"d":"e"}"#),
            (r#"{"d":"web"}"#, "="),
            (r#"{"d":[1]}"#, "="),
            (r#"{"d":null}"#, "="),
        ],
    );
    holds(
        &format!(r#"map = {{ field = "d", {values}, on_failure = "reject" }}"#),
        &[
            (r#"{"d":"ios"}"#, r#"{"d":"iOS"}"#),
            (r#"{"d":"web"}"#, "…none of the values that are mapped (not_mapped)"),
            (r#"{"d":{}}"#, "…arrays and objects are not mapped (wrong_type)"),
        ],
    );
    holds(
        &format!(r#"map = {{ field = "d", {values}, default = "other" }}"#),
        &[(r#"{"d":"web"}"#, r#"{"d":"other"}"#)],
    );
}

#[test]
fn a_range_holds_both_its_ends() {
    holds(
        r#"range = { field = "n", min = -1, max = 2.5 }"#,
        &[
            (r#"{"n":-1}"#, "="),
            (r#"{"n":2.50}"#, "="),
            (r#"{"n":25e-1}"#, "="),
            (r#"{"n":-1.0000001}"#, "…below the range (out_of_range)"),
            (r#"{"n":3}"#, "…n is 3: above the range (out_of_range)"),
            (r#"{"n":"1"}"#, "…no number (wrong_type)"),
            (r#"{"n":true}"#, "…no number (wrong_type)"),
            (r#"{"n":[]}"#, "…no number (wrong_type)"),
            (r#"{"n":null}"#, "="),
            ("{}", "="),
        ],
    );
    holds(
        r#"range = { field = "n", min = 9007199254740993, default = 0 }"#,
        &[(r#"{"n":9007199254740993}"#, "="), (r#"{"n":9007199254740992}"#, r#"{"n":0}"#)],
    );
}

#[test]
fn a_pattern_is_found_anywhere_and_a_field_that_has_to_be_there_is() {
    holds(
        r#"pattern = { field = "x", matches = 'a\d+$' }"#,
        &[
            (r#"{"x":"ba12"}"#, "="),
            (r#"{"x":"\u00611"}"#, "="),
            (r#"{"x":"a"}"#, "…x is \"a\": does not match the pattern (no_match)"),
            (r#"{"x":["a1"]}"#, "…(wrong_type)"),
            (r#"{"x":12}"#, "…(no_match)"),
            (r#"{"y":12}"#, "="),
        ],
    );
    holds(
        r#"pattern = { field = "x", matches = '^[0-9.]+$' }"#,
        &[(r#"{"x":1.5}"#, "="), (r#"{"x":true}"#, "…(no_match)")],
    );
    holds(
        "name = \"who\"\nrequired = { field = [\"a\", \"/b/c\"] }",
        &[
            (r#"{"a":0,"b":{"c":""}}"#, "="),
            (r#"{"a":null,"b":{"c":""}}"#, "who: a is null (missing)"),
            (r#"{"a":0,"b":{"d":1}}"#, "who: /b/c is missing (missing)"),
            (r#"{"a":0,"b":"c"}"#, "who: /b/c is missing (missing)"),
        ],
    );
}

#[test]
fn fields_are_derived_from_times_and_from_other_fields() {
    holds(
        r#"derive = { field = "day", from = "t", part = "date", unit = "s" }"#,
        &[
            (r#"{"t":1715947200}"#, r#"{"t":1715947200,"day":"2024-05-17"}"#),
            (
                r#"{"day":"old","t":"2024-05-17T23:00:00-02:00"}"#,
                r#"{"day":"2024-05-18","t":"2024-05-17T23:00:00-02:00"}"#,
            ),
            ("{}", "…derive day: t is missing (missing)"),
            (r#"{"t":"noon"}"#, "…t is \"noon\": neither RFC 3339 nor a number (no_cast)"),
            (r#"{"t":{}}"#, "…(wrong_type)"),
        ],
    );
    holds(
        r#"derive = { field = "hour", from = "t", part = "hour", on_failure = "null" }"#,
        &[(r#"{"t":3600000}"#, r#"{"t":3600000,"hour":1}"#), ("{}", r#"{"hour":null}"#)],
    );
    holds(
        r#"derive = { field = "/a/b", template = "{x}-{y}{{}}" }"#,
        &[
            (r#"{"x":"p\"q","y":1.0}"#, r#"{"x":"p\"q","y":1.0,"a":{"b":"p\"q-1.0{}"}}"#),
            (r#"{"x":[1],"y":true,"a":{"b":0}}"#, r#"{"x":[1],"y":true,"a":{"b":"[1]-true{}"}}"#),
            (r#"{"x":"p"}"#, "…y is missing (missing)"),
            (r#"{"x":"p","y":1,"a":5}"#, "…a is 5: no object"),
        ],
    );
    holds(
        r#"derive = { field = "z", template = "{x}", on_failure = "keep" }"#,
        &[(r#"{"x":null,"z":1}"#, "="), (r#"{"y":1}"#, "=")],
    );
}

#[test]
fn conditions_keep_and_drop() {
    let kept = |condition: &str, value: &str, expected: &str| {
        holds(
            &format!("filter = {{ keep = {condition} }}"),
            &[(value, if expected == "no" { "filtered by filter" } else { expected })],
        );
        let dropped = match expected {
            "=" => "filtered by filter",
            "no" => "=",
            refused => refused,
        };
        holds(&format!("filter = {{ drop = {condition} }}"), &[(value, dropped)]);
    };
    let value = r#"{"s":"paid","n":7,"f":7.50,"b":true,"null":null,"o":{"p":"\u00e9"},"l":[1]}"#;
    for (condition, expected) in [
        (r#"{ field = "s", equals = "paid" }"#, "="),
        (r#"{ field = "s", equals = "pai" }"#, "no"),
        (r#"{ field = "s", not_equals = "paid" }"#, "no"),
        (r#"{ field = "n", equals = 7.0 }"#, "="),
        (r#"{ field = "n", equals = "7" }"#, "no"),
        (r#"{ field = "n", not_equals = "7" }"#, "="),
        (r#"{ field = "b", equals = true }"#, "="),
        (r#"{ field = "none", equals = 1 }"#, "no"),
        (r#"{ field = "none", not_equals = 1 }"#, "="),
        (r#"{ field = "null", exists = false }"#, "="),
        (r#"{ field = "o", exists = true }"#, "="),
        (r#"{ field = "/o/p", equals = "é" }"#, "="),
        (r#"{ field = "s", in = [1, "paid"] }"#, "="),
        (r#"{ field = "s", in = [1, true] }"#, "no"),
        (r#"{ field = "s", contains = "ai" }"#, "="),
        (r#"{ field = "s", starts_with = "ai" }"#, "no"),
        (r#"{ field = "s", ends_with = "id" }"#, "="),
        (r#"{ field = "n", contains = "7" }"#, "no"),
        (r#"{ field = "s", matches = "^p.*d$" }"#, "="),
        (r#"{ field = "f", less = 7.51, at_least = 7.5 }"#, "="),
        (r#"{ field = "f", at_most = 7 }"#, "no"),
        (r#"{ field = "n", greater = 6 }"#, "="),
        (r#"{ field = "s", greater = "pai" }"#, "="),
        (r#"{ field = "none", less = 5 }"#, "no"),
        (r#"{ field = "null", less = 5 }"#, "no"),
        (
            r#"{ field = "s", less = 5 }"#,
            "…s is \"paid\": no number, so it is neither less nor more than one (wrong_type)",
        ),
        (r#"{ field = "n", less = "5" }"#, "…no text, so it stands neither before nor behind one (wrong_type)"),
        (r#"{ field = "l", at_least = 5 }"#, "…(wrong_type)"),
        (r#"{ all = [{ field = "s", exists = true }, { field = "n", less = 5 }] }"#, "no"),
        (r#"{ any = [{ field = "n", less = 5 }, { field = "s", exists = true }] }"#, "="),
        (r#"{ any = [{ field = "s", exists = true }, { field = "s", less = 5 }] }"#, "="),
        (r#"{ not = { field = "s", equals = "paid" } }"#, "no"),
        (r#"{ not = { any = [{ not = { field = "b", equals = false } }] } }"#, "no"),
    ] {
        kept(condition, value, expected);
    }
}

#[test]
fn each_rule_sees_what_those_before_it_have_made() {
    let rules = rules(
        r#"
        [[rule]]
        rename = { field = "ts", to = "t" }
        [[rule]]
        default = { field = "t", value = " 60 " }
        [[rule]]
        trim = { field = "t" }
        [[rule]]
        cast = { field = "t", to = "int" }
        [[rule]]
        range = { field = "t", min = 60 }
        [[rule]]
        derive = { field = "minute", from = "t", part = "minute", unit = "s" }
        [[rule]]
        filter = { drop = { field = "minute", equals = 2 } }
        [[rule]]
        drop = { field = "t" }
        "#,
    );
    assert_eq!(cleaned(&rules, br#"{"a":1}"#), r#"{"a":1,"minute":1}"#);
    assert_eq!(cleaned(&rules, br#"{"ts":"180"}"#), r#"{"minute":3}"#);
    assert_eq!(cleaned(&rules, br#"{"ts":"120"}"#), "filtered by filter");
    assert_eq!(cleaned(&rules, br#"{"ts":"59"}"#), "range t: t is 59: below the range (out_of_range)");
}

#[test]
fn a_refused_value_is_shown_short_and_printable() {
    let long = format!("{{\"n\":[\"\\u001b\",{}]}}", "1,".repeat(100) + "1");
    holds(
        r#"range = { field = "n", min = 0 }"#,
        &[
            (r#"{"n":"a\"\u001b[1m"}"#, r#"range n: n is "a\"\x1b[1m": no number (wrong_type)"#),
            (r#"{"n":{"a":"b"}}"#, r#"range n: n is {"a":"b"}: no number (wrong_type)"#),
            (&long, "…1,1,1,... (212 bytes): no number"),
        ],
    );
}
