//! Rule files: the whole example, and what is wrong with others.

use super::*;

/// The example of the module's head.
fn example() -> String {
    let head = include_str!("../mod.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let lines = head.skip_while(|line| !line.contains("```toml")).skip(1).take_while(|line| !line.contains("```"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn the_example_of_the_documentation_does_what_it_says() {
    let rules = rules(&example());
    assert_eq!((rules.len(), rules.group_bys().len()), (17, 2));
    assert!(rules.is_stateful());
    assert_eq!(rules.name(RuleId(10)), "who logs in");
    let [by_device, sessions] = rules.group_bys() else { panic!("{rules:?}") };
    assert_eq!(rules.name(by_device.rule()), "group_by device_type");
    assert_eq!(rules.name(sessions.rule()), "sessions");
    assert_eq!(rules.describe(by_device), "device_type in 10m of timestamp, with logins, mean_age, users");
    assert_eq!(rules.describe(sessions), "user_id in 1h of the record's timestamp, with its members (500 at most)");
    assert_eq!(
        cleaned(
            &rules,
            br#"{"user_id":" u1 ","device_type":"ios","ip":"1.2.3.4","locale":"us","age":"x","device_id":"d","meta":{"ts":1715947200},"debug":[],"extra":{"kept": 1.0}}"#
        ),
        r#"{"user_id":"u1","device_type":"iOS","ip":"1.2.3.4","locale":"US","age":null,"device_id":"d","extra":{"kept": 1.0},"timestamp":"2024-05-17T12:00:00Z","day":"2024-05-17","origin":"iOS/US"}"#
    );
    let rest = r#""ip":"1.2.3.4","device_id":"d","meta":{"ts":1715947200}}"#;
    let became = cleaned(&rules, format!(r#"{{"user_id":"u1","age":200,{rest}"#).as_bytes());
    assert!(became.contains(r#""age":0,"#) && became.contains(r#""origin":"unknown""#), "{became}");
    assert_eq!(
        cleaned(&rules, format!(r#"{{"user_id":null,{rest}"#).as_bytes()),
        "who logs in: user_id is null (missing)"
    );
    assert_eq!(cleaned(&rules, format!(r#"{{"user_id":"test-1",{rest}"#).as_bytes()), "filtered by filter");
    assert_eq!(
        cleaned(&rules, format!(r#"{{"user_id":"u","app_version":"dev",{rest}"#).as_bytes()),
        "filtered by filter"
    );
    assert_eq!(
        cleaned(&rules, br#"{"user_id":"u","ip":"1.2.3.4","timestamp":1715947200}"#),
        "deduplicate user_id, device_id: device_id is missing (missing)"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let text = "\
[[rule]]
defualt = { field = \"a\", value = 1 }

[[rule]]
cast = { feild = \"a\", to = \"itn\" }

[[rule]]
name = \"x\"
cast = { field = \"a\", to = \"time\", unit = \"sec\", on_failure = \"drop\" }
[[rule]]
name = \"x\"
pattern = { field = \"a\", matches = '[a' }
[rules]
";
    let errors = Rules::parse(text).unwrap_err();
    assert_eq!(
        shown(&errors),
        "\
line 2, column 1: rule 1: there is no defualt (did you mean default?); here go name, default, rename, drop, cast, trim, case, map, range, pattern, required, derive, lookup, filter, deduplicate
line 5, column 8: rule 2.cast: field is missing, as in field = \"a name or a /pointer\"
line 5, column 10: rule 2.cast: there is no feild (did you mean field?); here go field, to, unit, on_failure, default
line 5, column 28: rule 2.cast.to: \"itn\" is none of int, float, bool, string, time (did you mean int?)
line 9, column 43: rule 3.cast.unit: \"sec\" is none of s, ms, us, ns
line 9, column 63: rule 3.cast.on_failure: \"drop\" is none of reject, null, default, keep
line 11, column 8: rule 4.name: another rule is called \"x\"
line 12, column 36: rule 4.pattern.matches: no regular expression: unclosed character class
line 13, column 2: there is no rules (did you mean rule?); here go rule, group_by, insight, parquet"
    );
    assert_eq!((errors[0].line, errors[0].path.as_str()), (2, "rule 1"));
}

#[test]
fn each_thing_a_rule_cannot_be_is_named() {
    for (rule, part) in [
        ("default = { field = \"a\" }", "value is missing, as in value = \"unknown\""),
        ("default = { value = 1 }", "field is missing"),
        ("default = { field = 7, value = 1 }", "rule 1.default.field: a field has to stand here"),
        ("default = { field = [], value = 1 }", "a field has to stand here"),
        ("default = { field = [\"a\", 1], value = 1 }", "a field has to stand here"),
        ("default = { field = [\"a\", \"/a\"], value = 1 }", "a stands here twice"),
        ("default = { field = \"\", value = 1 }", "this is empty"),
        ("default = { field = \"/a~x\", value = 1 }", "has a ~ that is not ~0"),
        ("default = { field = \"a\", value = nan }", "JSON has no nan"),
        ("default = { field = \"a\", value = 99999999999999999999 }", "within 64 bits"),
        ("default = 7", "rule 1.default: a table has to stand here, as in { … }, not a number"),
        ("rename = { field = \"a\", to = \"/a/b\" }", "onto itself, into itself"),
        ("rename = { field = \"/a/b\", to = \"a\" }", "onto itself, into itself"),
        ("rename = { field = \"a\", to = \"a\" }", "onto itself"),
        ("rename = { field = \"a\", to = 1 }", "a text in quotation marks has to stand here, not a number"),
        ("cast = { field = \"a\", to = \"int\", unit = \"s\" }", "only times have a unit"),
        ("cast = { field = \"a\", to = \"int\", on_failure = \"default\" }", "which default?"),
        ("cast = { field = \"a\", to = \"int\", on_failure = \"null\", default = 1 }", "it would never be used"),
        ("cast = { field = \"a\", to = [\"int\"] }", "not an array"),
        ("case = { field = \"a\", to = \"Lower\" }", "did you mean lower?"),
        ("map = { field = \"a\", values = {} }", "nothing is mapped"),
        ("map = { field = \"a\", values = [1] }", "a table has to stand here"),
        ("range = { field = \"a\" }", "min or max is missing"),
        ("range = { field = \"a\", min = 2, max = 1.5 }", "min is above max"),
        ("range = { field = \"a\", min = \"2\" }", "a number has to stand here"),
        ("range = { field = \"a\", min = inf }", "a number has to stand here"),
        ("pattern = { field = \"a\" }", "matches is missing"),
        ("pattern = { field = \"a\", matches = 'a{1000}{1000}' }", "takes more than 1048576 bytes"),
        ("derive = { field = \"a\" }", "template is missing, or from and part"),
        ("derive = { field = \"a\", template = \"{b}\", part = \"hour\" }", "not both"),
        ("derive = { field = \"a\", template = \"{b\" }", "a { does not end"),
        ("derive = { field = \"a\", from = \"b\" }", "part is missing"),
        ("derive = { field = \"a\", from = \"b\", part = \"hours\" }", "did you mean hour?"),
        ("filter = { }", "either keep or drop"),
        (
            "filter = { keep = { field = \"a\", exists = true }, drop = { field = \"a\", exists = true } }",
            "either keep",
        ),
        ("filter = { keep = { field = \"a\" } }", "nothing is asked of the field: exists, equals"),
        ("filter = { keep = { field = \"a\", equal = 1 } }", "did you mean equals?"),
        ("filter = { keep = { exists = true } }", "field is missing"),
        ("filter = { keep = { field = \"a\", exists = 1 } }", "true or false has to stand here"),
        ("filter = { keep = { field = \"a\", equals = [1] } }", "not with an array"),
        ("filter = { keep = { field = \"a\", equals = 2024-01-01 } }", "not with a time"),
        ("filter = { keep = { field = \"a\", in = [] } }", "values have to stand here"),
        ("filter = { keep = { field = \"a\", less = true } }", "have no order"),
        ("filter = { keep = { all = [] } }", "conditions have to stand here"),
        ("filter = { keep = { all = [1] } }", "rule 1.filter.keep.all[0]: a table has to stand here"),
        ("filter = { keep = { any = [{ field = \"a\", exists = true }], field = \"b\" } }", "any stands alone"),
        (
            "filter = { keep = { not = { field = \"a\", matches = \"(\" } } }",
            "rule 1.filter.keep.not.matches: no regular",
        ),
        ("deduplicate = { key = \"a\" }", "window is missing, as in window = \"10m\""),
        ("deduplicate = { key = \"a\", window = \"0s\" }", "a window has to have a length"),
        ("deduplicate = { key = \"a\", window = \"10\" }", "is not a duration"),
        ("deduplicate = { key = \"a\", window = \"1m\", unit = \"s\" }", "say which field with time"),
        ("deduplicate = { window = \"1m\" }", "key is missing"),
        ("trim = { field = \"a\" }\ncase = { field = \"a\", to = \"upper\" }", "trim and case stand in one rule"),
        ("name = \"x\"", "says nothing to do: default, rename"),
        ("name = \"\"\ntrim = { field = \"a\" }", "a name has to stand here"),
        ("trim = { field = \"a\" }\nwhen = 1", "there is no when"),
    ] {
        let text = format!("[[rule]]\n{rule}\n");
        let errors = Rules::parse(&text).err().unwrap_or_else(|| panic!("{rule} is taken"));
        assert_eq!(errors.len(), 1, "{rule}\n{}", shown(&errors));
        assert!(shown(&errors).contains(part), "{rule}\n{}\nwithout {part}", shown(&errors));
    }
}

#[test]
fn what_is_no_rule_file_at_all_is_named() {
    for (text, part) in [
        ("", "line 1, column 1: no rules: each begins with [[rule]]"),
        ("# nothing\n", "no rules"),
        ("rule = 1", "rule: an array of tables has to stand here, not a number"),
        ("rule = []", "no rules"),
        ("rule = [1]", "a table has to stand here, not a number"),
        ("[rule]\ntrim = { field = \"a\" }", "an array of tables has to stand here, not a table"),
        ("[[rule]]\ntrim = { field = \"a\"\n[[rule]]\n=1", "no TOML"),
        ("[[rule]]\ntrim = { field = \"a\" }\ntrim = { field = \"b\" }", "line 3, column 1: no TOML: duplicate key"),
        (&"[".repeat(100_000), "no TOML"),
        (&format!("a = {}", "[".repeat(100_000)), "no TOML"),
        (&" ".repeat((1 << 20) + 1), "the file has more than 1048576 bytes"),
    ] {
        let errors = Rules::parse(text).unwrap_err();
        assert!(shown(&errors).contains(part), "{:.100}\n{:.500}", text, shown(&errors));
    }
}

#[test]
fn conditions_and_values_are_followed_to_a_depth_and_no_further() {
    let way = |name: &str, levels: usize| vec![name; levels].join(".");
    let condition = |first: usize, second: usize| {
        let (first, second) = (way("not", first), way("not", second));
        let inner = "{ field = \"a\", exists = true }";
        Rules::parse(&format!("[[rule]]\nfilter = {{ keep = {{ {first} = {{ {second} = {inner} }} }} }}\n"))
    };
    condition(70, 29).unwrap();
    let errors = condition(70, 70).unwrap_err();
    assert!(errors.len() == 1 && shown(&errors).contains("more than 100 deep"), "{}", shown(&errors));
    let value = |first: usize, second: usize| {
        let (first, second) = (way("a", first), way("a", second));
        Rules::parse(&format!("[[rule]]\ndefault = {{ field = \"a\", value = {{ {first} = {{ {second} = 1 }} }} }}\n"))
    };
    value(70, 29).unwrap();
    let errors = value(70, 70).unwrap_err();
    assert!(errors.len() == 1 && shown(&errors).contains("more than 100 deep"), "{}", shown(&errors));
}

#[test]
fn what_a_file_makes_of_itself_is_bounded() {
    // One map for all fields, not one for each.
    let fields: Vec<String> = (0..2_000).map(|field| format!("\"f{field}\"")).collect();
    let pairs: Vec<String> = (0..40_000).map(|pair| format!("k{pair} = {pair}")).collect();
    let map = format!("map = {{ field = [{}], values = {{ {} }} }}", fields.join(", "), pairs.join(", "));
    let rules = one(&map);
    assert_eq!(cleaned(&rules, br#"{"f1999":"k39999"}"#), r#"{"f1999":39999}"#);

    let patterns = |count: usize| {
        let tests: Vec<String> = (0..count).map(|_| "{ field = \"a\", matches = 'x' }".to_owned()).collect();
        Rules::parse(&format!("[[rule]]\nfilter = {{ keep = {{ any = [{}] }} }}\n", tests.join(", ")))
    };
    patterns(256).unwrap();
    let errors = patterns(257).unwrap_err();
    assert!(errors.len() == 1 && shown(&errors).contains("256 patterns"), "{}", shown(&errors));
}

#[test]
fn a_file_full_of_errors_is_told_of_in_part_and_at_once() {
    let names: String = (0..20_000).map(|name| format!("x{name}=1\n")).collect();
    assert_eq!(Rules::parse(&names).unwrap_err().len(), 100);
    assert_eq!(Rules::parse(&"=\n".repeat(20_000)).unwrap_err().len(), 100);
    let rule = "[[rule]]\ncast = { to = 1 }\n".repeat(3_000);
    assert_eq!(Rules::parse(&rule).unwrap_err().len(), 100);
}

#[test]
fn rules_are_called_by_what_they_do_and_no_two_alike() {
    let rules = rules(
        "[[rule]]\ntrim = { field = [\"a\", \"/b/c\"] }\n[[rule]]\ntrim = { field = [\"a\", \"/b/c\"] }\n[[rule]]\nfilter = { keep = { field = \"a\", exists = true } }\n",
    );
    let names: Vec<&str> = (0..3).map(|rule| rules.name(RuleId(rule))).collect();
    assert_eq!(names, ["trim a, /b/c", "trim a, /b/c (rule 2)", "filter"]);
    assert!(!rules.is_stateful() && !rules.is_empty());
    assert_eq!(rules.name(RuleId(3)), "");
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "[[rule]]\n", "cast", "filter", "deduplicate", " = ", "{", "}", "field", "\"a\"", "[", "]", ",", "\n", "keep",
                "[[group_by]]\n", "members", "true", "aggregates", "\"count\"", "p50", "all", "to", "\"int\"", "window", "\"1m\"", "key", "1", "1e400", "name", "'['", "matches", "é", "\"", "#", ".",
            ]),
            0..40,
        )
    ) {
        let text: String = pieces.concat();
        if let Err(errors) = Rules::parse(&text) {
            proptest::prop_assert!(!errors.is_empty() && errors.is_sorted_by_key(|error| error.line));
        }
    }
}

#[test]
fn more_rules_insights_or_fields_than_anybody_reads_through_are_refused_at_once() {
    let many = |text: &str, count: usize| (0..count).map(|at| text.replace('#', &at.to_string())).collect::<String>();
    let fields = |count: usize| (0..count).map(|at| format!("\"f{at}\",")).collect::<String>();
    for (text, part) in [
        (
            many("[[rule]]\ndrop = { field = \"f#\" }\n", 10_001),
            "10001 [[rule]] and [[group_by]], where 10000 are the most",
        ),
        (many("[[insight]]\nfield = \"f#\"\n", 1001), "1001 [[insight]], where 1000 are the most"),
        (format!("[[rule]]\ndrop = {{ field = [{}] }}\n", fields(100_000)), "more than 10000 fields"),
    ] {
        let errors = Rules::parse(&text).unwrap_err();
        assert!(errors[0].to_string().contains(part), "{}", errors[0]);
    }
    assert_eq!(rules(&format!("[[rule]]\ndrop = {{ field = [{}] }}\n", fields(9_000))).len(), 1);
}
