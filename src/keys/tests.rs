//! The key language by example, and its edges.

use super::*;

// The short way through JSON, held against the exact one.
mod flat;

// The laws of the order, at random.
mod laws;

/// A record made up.
#[derive(Debug, Clone, Default, PartialEq)]
struct Made {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Fields for Made {
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
    fn timestamp(&self) -> i64 {
        self.timestamp
    }
    fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        self.headers.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_deref())
    }
}

fn value(bytes: impl AsRef<[u8]>) -> Made {
    Made { value: Some(bytes.as_ref().to_vec()), ..Made::default() }
}

fn plan(specs: &[&str], order: Order) -> KeyPlan {
    let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
    KeyPlan::parse(&specs, order).unwrap_or_else(|error| panic!("{specs:?}: {error}"))
}

fn extract(spec: &str, record: &Made) -> Key {
    plan(&[spec], Order::Asc).extract(record).unwrap_or_else(|error| panic!("{spec} of {record:?}: {error}"))
}

fn refused(spec: &str, record: &Made) -> String {
    plan(&[spec], Order::Asc).extract(record).unwrap_err().to_string()
}

/// Every pair of a list that is meant to ascend, also beside another part and descending.
fn assert_ascends<T: AsRef<[u8]> + std::fmt::Debug>(spec: &str, list: &[T]) {
    for (i, a) in list.iter().enumerate() {
        for (j, b) in list.iter().enumerate() {
            let (ra, rb) = (value(a), value(b));
            let case = format!("{spec}: {a:?} against {b:?}");
            for specs in [vec![spec], vec![spec, "timestamp"], vec!["timestamp", spec], vec![spec, spec]] {
                let key = |order, record: &Made| plan(&specs, order).extract(record).unwrap();
                assert_eq!(key(Order::Asc, &ra).cmp(&key(Order::Asc, &rb)), i.cmp(&j), "{case} as {specs:?}");
                assert_eq!(key(Order::Desc, &ra).cmp(&key(Order::Desc, &rb)), j.cmp(&i), "{case} as {specs:?} desc");
            }
        }
    }
}

#[test]
fn the_language_is_read_as_it_is_documented() {
    let header = |name: &str| KeySource::Header(name.to_owned());
    for (spec, source, kind) in [
        ("value", KeySource::Value, KeyType::Int),
        ("value:int", KeySource::Value, KeyType::Int),
        ("value:decimal", KeySource::Value, KeyType::Decimal),
        ("key:be64", KeySource::Key, KeyType::Be64),
        ("key", KeySource::Key, KeyType::Int),
        ("timestamp", KeySource::Timestamp, KeyType::Int),
        ("timestamp:time", KeySource::Timestamp, KeyType::Int),
        ("header:seq", header("seq"), KeyType::Int),
        ("header:seq:string", header("seq"), KeyType::String),
        ("header:a:b:c", header("a:b:c"), KeyType::Int),
        ("header:a:b:bytes", header("a:b"), KeyType::Bytes),
        ("header:a:int:int", header("a:int"), KeyType::Int),
        ("header:itn", header("itn"), KeyType::Int),
        ("header:seq:itn", header("seq:itn"), KeyType::Int),
        ("header: ", header(" "), KeyType::Int),
    ] {
        assert_eq!(plan(&[spec], Order::Asc).parts(), [KeyPart { source, kind }], "{spec}");
    }
    for (spec, shown) in [
        ("value:json:/a/b", "value:json:/a/b:int"),
        ("value:json:/a:b", "value:json:/a:b:int"),
        ("value:json:/a:time", "value:json:/a:time"),
        ("value:json:", "value:json::int"),
        ("timestamp", "timestamp"),
    ] {
        assert_eq!(plan(&[spec], Order::Asc).to_string(), shown);
    }
    assert_eq!(plan(&[], Order::Desc).to_string(), "value:int descending");
}

#[test]
fn a_wrong_key_is_refused_with_the_nearest_word() {
    for (spec, part) in [
        ("value:itn", "did you mean int?"),
        ("key:strng", "did you mean string?"),
        ("value:INT", "did you mean int?"),
        ("value:json", "value:json:/POINTER"),
        ("value:jsn:/a", "did you mean json?"),
        ("valeu", "did you mean value?"),
        ("haeder:x", "did you mean header?"),
        ("header:int", "which header?"),
        ("header:", "which header?"),
        ("header", "which header?"),
        ("timestamp:string", "needs no type"),
        ("value:json:a", "does not begin with a slash"),
        ("value:json:/a~2b", "has a ~"),
        ("value:json:/a~", "has a ~"),
        ("value:json:/a:be64", "JSON has no be64"),
        ("", "a key is taken from"),
        ("int", "a key is taken from"),
    ] {
        let error = KeyPlan::parse(&[spec.to_owned()], Order::Asc).unwrap_err();
        assert!(error.contains(part), "{spec:?}: {error}");
    }
    let deep = format!("value:json:{}", "/a".repeat(101));
    assert!(KeyPlan::parse(&[deep], Order::Asc).unwrap_err().contains("at most 100"));
}

#[test]
fn ints_are_ordered_to_both_ends_of_64_bits_and_are_the_whole_prefix() {
    let list = [
        "-9223372036854775808",
        "-9223372036854775807",
        "-256",
        "-1",
        "0",
        "1",
        "9",
        "10",
        "255",
        "256",
        "9223372036854775807",
    ];
    assert_ascends("value", &list);
    for text in list {
        let key = extract("value", &value(text));
        assert_eq!((key.rest(), key.as_i64(Order::Asc)), (&[][..], text.parse().unwrap()));
    }
    for (text, same) in [("+7", "7"), ("-0", "0"), ("007", "7"), ("0000000000000000000000000000001", "1")] {
        assert_eq!(extract("value", &value(text)), extract("value", &value(same)), "{text}");
    }
}

#[test]
fn what_is_no_int_is_refused_with_an_excerpt() {
    for (text, reason) in [
        ("", "it is empty"),
        ("-", "not decimal digits"),
        ("+-1", "not decimal digits"),
        (" 1", "not decimal digits"),
        ("1\n", "not decimal digits"),
        ("1.0", "not decimal digits"),
        ("1e3", "not decimal digits"),
        ("0x10", "not decimal digits"),
        ("\u{0661}", "not decimal digits"),
        ("NaN", "not decimal digits"),
        ("9223372036854775808", "beyond 64 bits"),
        ("-9223372036854775809", "beyond 64 bits"),
        ("99999999999999999999999999", "beyond 64 bits"),
        ("99999999999999999999999999x", "not decimal digits"),
    ] {
        let error = refused("value", &value(text));
        assert!(error.contains(reason) && error.contains("cannot read value as int"), "{text:?}: {error}");
    }
    assert!(refused("value", &value("a\x1b[2J")).ends_with(r#""a\x1b[2J""#));
}

#[test]
fn null_is_refused_and_empty_is_a_string() {
    let null = Made::default();
    for spec in ["value", "value:string", "value:bytes", "value:json:/a", "key:bytes", "header:h:bytes"] {
        let error = refused(spec, &null);
        assert!(error.contains("null") || error.contains("no such header"), "{spec}: {error}");
    }
    let record = Made { headers: vec![("h".into(), Some(b"1".to_vec())), ("h".into(), None)], ..Made::default() };
    assert!(refused("header:h", &record).contains("null"));
    assert_eq!(extract("value:bytes", &value("")).prefix(), 0);
}

#[test]
fn the_last_header_of_a_name_counts() {
    let headers =
        vec![("h".into(), Some(b"1".to_vec())), ("H".into(), Some(b"3".to_vec())), ("h".into(), Some(b"2".to_vec()))];
    let record = Made { headers, ..Made::default() };
    assert_eq!(extract("header:h", &record), extract("value", &value("2")));
}

#[test]
fn decimals_are_ordered_and_equal_ones_tie_however_they_are_written() {
    assert_ascends(
        "value:decimal",
        &[
            "-1e16382",
            "-12345678901234567890123456789012345678",
            "-100",
            "-99.9",
            "-2",
            "-1.5",
            "-1.25",
            "-1.2",
            "-1",
            "-0.1",
            "-0.01",
            "-1e-16382",
            "0",
            "1e-16382",
            "0.0000000001",
            "0.01",
            "0.1",
            "0.11",
            "1",
            "1.0000000000000000000000000000000000001",
            "1.01",
            "1.012345678901",
            "1.0123456789012",
            "1.2",
            "1.25",
            "9.99",
            "10",
            "99",
            "100",
            "12345678901234567890123456789012345677",
            "12345678901234567890123456789012345678",
            "1e38",
            "9.9e16382",
        ],
    );
    for (a, b) in [
        ("1.0", "1.00"),
        ("1", "1.0"),
        ("100", "1e2"),
        ("100", "1E+2"),
        ("0.5", "5e-1"),
        ("0", "-0.000"),
        ("0", "0e99999999999999999999"),
        ("+1.50", "001.5"),
        ("1000000000000000000000000000000000000000000", "1e42"),
    ] {
        assert_eq!(extract("value:decimal", &value(a)), extract("value:decimal", &value(b)), "{a} {b}");
    }
    assert!(extract("value:decimal", &value("-1234567.8901")).rest().is_empty(), "eleven digits need no heap");
    assert!(!extract("value:decimal", &value("-1234567.89012")).rest().is_empty());
}

#[test]
fn what_is_no_decimal_is_refused() {
    for (text, reason) in [
        ("", "it is empty"),
        (".5", "not a decimal"),
        ("5.", "not a decimal"),
        ("5.e1", "not a decimal"),
        ("1e", "not a decimal"),
        ("1e1.5", "not a decimal"),
        ("1,5", "not a decimal"),
        ("inf", "not a decimal"),
        ("NaN", "not a decimal"),
        ("--1", "not a decimal"),
        ("123456789012345678901234567890123456789", "38 significant digits"),
        ("1.00000000000000000000000000000000000000000001", "38 significant digits"),
        ("1e99999", "its size is not within"),
        ("1e-99999", "its size is not within"),
        ("1e99999999999999999999", "its size is not within"),
        ("1e-99999999999999999999", "its size is not within"),
    ] {
        assert!(refused("value:decimal", &value(text)).contains(reason), "{text:?}");
    }
}

#[test]
fn strings_are_ordered_as_bytes_and_a_prefix_comes_first() {
    let list: &[&[u8]] = &[
        b"",
        b"\0",
        b"\0\0",
        b"\0\x01",
        b"\0a",
        b"\x01",
        b"\x01\0",
        b"\x01\x01",
        b"\x01\x02",
        b"\x02",
        b"a",
        b"a\0",
        b"a\0\0\0\0\0\0\0\0",
        b"a\x01",
        b"abcdef",
        b"abcdefg",
        b"abcdefg\0",
        b"abcdefg\x01",
        b"abcdefgh",
        b"abcdefghi",
        b"abd",
        "\u{e9}".as_bytes(),
        "\u{10ffff}".as_bytes(),
    ];
    assert_ascends("value:string", list);
    let mut bytes = list.to_vec();
    bytes.extend_from_slice(&[
        b"\xff",
        b"\xff\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ]);
    assert_ascends("value:bytes", &bytes);
    assert!(extract("value:string", &value("abcdefg")).rest().is_empty(), "seven characters need no heap");
    assert!(refused("value:string", &value(b"ab\xff")).contains("not UTF-8 from byte 2 on: \"ab\\xff\""));
}

#[test]
fn be64_is_signed_and_has_eight_bytes() {
    let list: Vec<[u8; 8]> =
        [i64::MIN, -256, -1, 0, 1, 255, i64::MAX].iter().map(|number| number.to_be_bytes()).collect();
    assert_ascends("value:be64", &list);
    for wrong in [&b""[..], b"1234567", b"123456789"] {
        assert!(refused("value:be64", &value(wrong)).contains("not 8"));
    }
}

#[test]
fn times_are_ordered_to_the_nanosecond_however_they_are_written() {
    assert_ascends(
        "value:time",
        &[
            "-9223372036854775808",
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59.9989Z",
            "-1",
            "1969-12-31T23:59:59.999000001Z",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.000000001Z",
            "1970-01-01T00:00:00.000999999Z",
            "1",
            "1970-01-01T00:00:00.0011Z",
            "1970-01-01T00:00:00.0012Z",
            "2024",
            "2024-05-17T12:00:00+02:00",
            "2024-05-17T12:00:00Z",
            "9223372036854775807",
        ],
    );
    assert_eq!(extract("value:time", &value("1985-04-12T23:20:50.52Z")), extract("value", &value("482196050520")));
    for (text, reason) in
        [("2024-05-17", "not an RFC 3339"), ("", "it is empty"), ("2016-12-31T23:59:60Z", "leap second")]
    {
        assert!(refused("value:time", &value(text)).contains(reason), "{text}");
    }
}

#[test]
fn json_numbers_count_as_the_integer_they_are_beyond_what_a_double_holds() {
    for (json, number) in [
        ("1e3", 1000),
        ("1.0", 1),
        ("-1.50e1", -15),
        ("0.0", 0),
        ("-0", 0),
        ("0e999999999999", 0),
        ("9007199254740993", 9_007_199_254_740_993),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("9.223372036854775807e18", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("-9223372036854775808.000", i64::MIN),
        ("9223372036854775807000000000000000000000e-21", i64::MAX),
        ("\"17\"", 17),
        ("\"\\u0031\\u0037\"", 17),
        ("\"-0017\"", -17),
    ] {
        for document in [format!("{{\"a\":{json}}}"), format!(" {{ \"b\" : [1e400] , \"a\" :\t{json}\n}} ")] {
            let document = document.replace("1e400", "{\"a\":9}");
            assert_eq!(extract("value:json:/a", &value(&document)).as_i64(Order::Asc), number, "{document}");
        }
    }
    for (json, reason) in [
        ("1.5", "not a whole number"),
        ("1e-1", "not a whole number"),
        ("1e19", "beyond 64 bits"),
        ("9223372036854775808", "beyond 64 bits"),
        ("-9223372036854775809.0", "beyond 64 bits"),
        ("1e300", "beyond 64 bits"),
        ("1e99999999999999999999", "its size is not within"),
        ("\"1e3\"", "not decimal digits"),
        ("\"\"", "it is empty"),
        ("\"\\ud800\"", "hex escape"),
        ("true", "it is true or false"),
        ("[1]", "it is an array"),
        ("{}", "it is an object"),
        ("null", "the JSON has null there"),
        ("01", "no JSON"),
        ("+1", "no JSON"),
        ("1,", "no JSON"),
        ("NaN", "no JSON"),
    ] {
        let error = refused("value:json:/a", &value(format!("{{\"a\":{json}}}")));
        assert!(error.contains(reason), "{json}: {error}");
    }
}

#[test]
fn a_pointer_goes_through_objects_and_arrays_and_knows_its_escapes() {
    let document = r#"{"a":{"b":[10,{"c":"x"},30]},"m~n":1,"s/t":2,"":3,"0":4,"q\"\u00e9":5,"d":1.50}"#;
    for (pointer, text) in [
        ("/a/b/0", "10"),
        ("/a/b/2", "30"),
        ("/m~0n", "1"),
        ("/s~1t", "2"),
        ("/", "3"),
        ("/0", "4"),
        ("/q\"\u{e9}", "5"),
    ] {
        assert_eq!(
            extract(&format!("value:json:{pointer}"), &value(document)),
            extract("value", &value(text)),
            "{pointer}"
        );
    }
    assert_eq!(extract("value:json:/a/b/1/c:string", &value(document)), extract("value:string", &value("x")));
    assert_eq!(extract("value:json:/d:decimal", &value(document)), extract("value:decimal", &value("1.5")));
    assert_eq!(extract("value:json:", &value(" 12 ")), extract("value", &value("12")));
    for pointer in ["/a/b/3", "/a/b/00", "/a/b/-", "/a/b/x", "/a/b/0/c", "/m~0n/x", "/x", "/a/b/99999999999999999999"] {
        assert!(refused(&format!("value:json:{pointer}"), &value(document)).contains("nothing there"), "{pointer}");
    }
    assert!(refused("value:json:/d:string", &value(document)).contains("a number, not a string"));
    assert_eq!(extract("value:json:/t:time", &value(r#"{"t":"1970-01-01T00:00:01Z"}"#)).as_i64(Order::Asc), 1000);
    assert_eq!(extract("value:json:/t:time", &value(r#"{"t":1.0e3}"#)).as_i64(Order::Asc), 1000);
}

#[test]
fn two_members_of_one_name_are_refused_on_the_path_and_ignored_beside_it() {
    assert!(refused("value:json:/a", &value(r#"{"a":1,"a":1}"#)).contains("two members"));
    assert!(refused("value:json:/a", &value(r#"{"a":1,"\u0061":2}"#)).contains("two members"));
    assert_eq!(extract("value:json:/a", &value(r#"{"b":1,"a":7,"b":2}"#)).as_i64(Order::Asc), 7);
}

#[test]
fn a_truncated_document_is_refused_even_behind_the_field() {
    let document = r#"{"a":1,"b":{"c":[1,2,"x"]}}"#;
    for end in 0..document.len() {
        assert!(refused("value:json:/a", &value(&document[..end])).contains("no JSON"), "{}", &document[..end]);
    }
    assert!(refused("value:json:/a", &value(format!("{document}x"))).contains("no JSON"));
}

#[test]
fn json_nested_ten_thousand_deep_is_an_answer_and_not_a_crash() {
    const DEEP: usize = 10_000;
    let nested = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP));
    assert!(refused("value:json:/a", &value(&objects)).contains("it is an object"));
    assert!(refused("value:json:/0/0/0", &value(&nested)).contains("it is an array"));
    assert!(refused("value:json:/a", &value("[".repeat(DEEP))).contains("no JSON"));
    let beside = format!("{{\"x\":{nested},\"a\":5}}");
    assert_eq!(extract("value:json:/a", &value(beside)).as_i64(Order::Asc), 5);
    let deepest = "/a".repeat(100);
    assert!(refused(&format!("value:json:{deepest}"), &value(&objects)).contains("it is an object"));
}

#[test]
fn keys_are_shown_to_people() {
    let record = Made {
        key: Some(b"k\x07".to_vec()),
        value: Some(b"+017".to_vec()),
        timestamp: 1_715_947_200_000,
        headers: vec![("h".into(), Some(b"1.50".to_vec()))],
    };
    for (specs, shown) in [
        (vec!["value"], "17"),
        (vec!["key:string"], r#""k\x07""#),
        (vec!["timestamp"], "2024-05-17T12:00:00Z"),
        (vec!["value", "header:h:decimal", "key:bytes"], r#"(17, 1.50, "k\x07")"#),
        (vec!["key"], "unreadable"),
    ] {
        assert_eq!(plan(&specs, Order::Asc).show(&record), shown);
    }
}
