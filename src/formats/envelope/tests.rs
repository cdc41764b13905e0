//! What is written comes back, byte for byte; what is no envelope is refused by name.

use super::*;
use crate::batch::HeadersBuf;
use proptest::prelude::*;

/// A record's parts, owned.
#[derive(Debug, Clone, PartialEq)]
struct Rec {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    timestamp: i64,
}

fn written(record: &Rec) -> Vec<u8> {
    let mut headers = HeadersBuf::default();
    record.headers.iter().for_each(|(name, value)| headers.push(name, value.as_deref()));
    let envelope = Envelope {
        topic: "a \"topic\"",
        partition: 3,
        offset: i64::MAX,
        timestamp: record.timestamp,
        timestamp_type: TimestampType::Create,
        broker: Some(2),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: headers.headers(),
    };
    let mut out = b"before ".to_vec();
    envelope.write(&mut out);
    out.split_off(7)
}

fn read(line: &[u8]) -> Result<Rec, EnvelopeError> {
    let mut reader = EnvelopeReader::default();
    let read = reader.read(line)?;
    assert_eq!(read.partition, Some(3).filter(|_| line.windows(13).any(|w| w == b"\"partition\":3")));
    Ok(Rec {
        key: read.key.map(<[u8]>::to_vec),
        value: read.value.map(<[u8]>::to_vec),
        headers: read.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
        timestamp: read.timestamp.unwrap_or(-1),
    })
}

fn value_only(value: &[u8]) -> Rec {
    Rec { key: None, value: Some(value.to_vec()), headers: vec![], timestamp: 1 }
}

fn payload_of(value: &[u8]) -> String {
    let line = String::from_utf8(written(&value_only(value))).unwrap();
    let (_, payload) = line.split_once("\"payload\":").unwrap();
    payload.strip_suffix('}').unwrap().to_owned()
}

#[test]
fn the_whole_line_is_as_kcat_has_it() {
    let record = Rec {
        key: Some(b"k".to_vec()),
        value: Some(br#"{"a": 1}"#.to_vec()),
        headers: vec![(b"t".to_vec(), Some(b"x".to_vec())), (b"t".to_vec(), None), (b"b".to_vec(), Some(vec![0xff]))],
        timestamp: 1_700_000_000_000,
    };
    let line = String::from_utf8(written(&record)).unwrap();
    assert_eq!(
        line,
        r#"{"topic":"a \"topic\"","partition":3,"offset":9223372036854775807,"tstype":"create","ts":1700000000000,"broker":2,"headers":[["t","x"],["t",null],["b","/w==","base64"]],"key":"k","payload":{"a": 1}}"#
    );
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
}

#[test]
fn only_an_object_or_array_on_one_line_is_nested() {
    for nested in [r#"{}"#, r#"[]"#, r#"{ "a" :[1, 2.50e3 ]}"#, r#"[1,{"a":1,"a":2}]"#, r#"{"é":"\ud800"}"#] {
        assert_eq!(payload_of(nested.as_bytes()), nested, "verbatim");
    }
    for (text, string) in [
        ("null", r#""null""#),
        ("17", r#""17""#),
        ("true", r#""true""#),
        (r#""q""#, r#""\"q\"""#),
        ("", r#""""#),
        (" {}", r#"" {}""#),
        ("{} ", r#""{} ""#),
        ("{\n}", r#""{\n}""#),
        ("[\r]", r#""[\r]""#),
        ("{", r#""{""#),
        ("{}{}", r#""{}{}""#),
        ("{]", r#""{]""#),
        ("[01]", r#""[01]""#),
        ("[1,]", r#""[1,]""#),
    ] {
        assert_eq!(payload_of(text.as_bytes()), string);
    }
    assert_eq!(payload_of(b"\xff\x00"), r#""/wA=","payload_encoding":"base64""#);
    assert_eq!(payload_of(b"[\"\xff\"]"), r#""WyL/Il0=","payload_encoding":"base64""#);
}

#[test]
fn nesting_of_any_depth_costs_no_stack() {
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    assert!(is_one_line_document(&deep));
    assert_eq!(read(&written(&value_only(&deep))).unwrap().value.unwrap(), deep);
}

#[test]
fn what_others_write_is_read() {
    // kcat's flat headers; its order; members that we do not know.
    let kcat = br#"{"topic":"t","partition":3,"offset":9,"tstype":"create","ts":5,"broker":1,"headers":["a","1","b",null],"key":null,"payload":"x","key_schema_id":4}"#;
    let record = read(kcat).unwrap();
    assert_eq!(record.headers, [(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)]);
    assert_eq!((record.key, record.value, record.timestamp), (None, Some(b"x".to_vec()), 5));
    // By hand: the encoding first, scalars nested, spaces, no place.
    let hand = br#" { "payload_encoding" : "base64", "payload":"\u002fw==", "key": 17, "headers": [] } "#;
    let record = read(hand).unwrap();
    assert_eq!((record.key, record.value), (Some(b"17".to_vec()), Some(vec![0xff])));
    assert_eq!(read(br#"{"payload":null,"payload_encoding":null,"headers":null}"#).unwrap().value, None);
}

#[test]
fn what_is_no_envelope_is_refused_by_name() {
    let refused = |line: &str| read(line.as_bytes()).unwrap_err().to_string();
    for (line, said) in [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("17", "not a JSON object"),
        (r#"{"payload":1"#, "at column"),
        (r#"{"payload":1} x"#, "at column 15"),
        ("{\"payload\":\"\u{1}\"}", "control character"),
        (r#"{"user":1}"#, "no \"payload\""),
        (r#"{"payload":1,"payload":2}"#, "\"payload\" stands twice"),
        (r#"{"payload":"x","payload_encoding":"base64"}"#, "not base64"),
        (r#"{"payload":{},"payload_encoding":"base64"}"#, "a string, as its encoding"),
        (r#"{"payload":"","payload_encoding":"hex"}"#, "not \"base64\""),
        (r#"{"payload":"\ud800"}"#, "stands for no character"),
        (r#"{"payload":1,"ts":"now"}"#, "milliseconds"),
        (r#"{"payload":1,"ts":99999999999999999999}"#, "milliseconds"),
        (r#"{"payload":1,"partition":-1}"#, "partition"),
        (r#"{"payload":1,"partition":2147483648}"#, "partition"),
        (r#"{"payload":1,"headers":{}}"#, "[NAME, VALUE]"),
        (r#"{"payload":1,"headers":["a"]}"#, "[NAME, VALUE]"),
        (r#"{"payload":1,"headers":[["a"]]}"#, "[NAME, VALUE]"),
        (r#"{"payload":1,"headers":[[1,"a"]]}"#, "[NAME, VALUE]"),
        (r#"{"payload":1,"headers":[["a","b",null,null,null]]}"#, "[NAME, VALUE]"),
    ] {
        assert!(refused(line).contains(said), "{line}: {}", refused(line));
    }
    assert!(matches!(read(b"{\"payload\":\"\xff\"}"), Err(EnvelopeError::Json(_))), "no UTF-8");
}

/// Bytes of the kinds that matter: anything; text; documents with odd spaces; scalars; documents that are nearly ones.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let document = || json().prop_map(String::into_bytes);
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..24),
        any::<String>().prop_map(String::into_bytes),
        document(),
        (document(), r"[ \n\r\t]{0,2}", r"[ \n\r\t}\],x]{0,2}")
            .prop_map(|(json, before, after)| { [before.as_bytes(), json.as_slice(), after.as_bytes()].concat() }),
        prop_oneof![
            Just("null"),
            Just("true"),
            Just("17"),
            Just("-0.5e9"),
            Just("\"s\""),
            Just(""),
            Just("\"base64\"")
        ]
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

/// JSON text with spaces where JSON allows them.
fn json() -> impl Strategy<Value = String> {
    let space = || r"[ \t]{0,2}";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        r#""(\\u[0-9a-fA-F]{4}|\\[nrt"/\\]|[a-zé ]){0,4}""#,
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let items = proptest::collection::vec((space(), inner.clone(), space()), 0..4);
        let members = proptest::collection::vec((space(), r#"[a-c]{1}"#, space(), inner, space()), 0..4);
        prop_oneof![
            items.prop_map(|items| {
                let items: Vec<String> = items.into_iter().map(|(a, item, b)| a + &item + &b).collect();
                format!("[{}]", items.join(","))
            }),
            members.prop_map(|members| {
                let member = |(a, name, b, value, c): (String, String, String, String, String)| {
                    format!("{a}\"{name}\"{b}:{value}{c}")
                };
                format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

prop_compose! {
    fn record()(
        key in proptest::option::of(bytes()),
        value in proptest::option::of(bytes()),
        headers in proptest::collection::vec((bytes(), proptest::option::of(bytes())), 0..3),
        timestamp in any::<i64>(),
    ) -> Rec {
        Rec { key, value, headers, timestamp }
    }
}

proptest! {
    #[test]
    fn every_record_comes_back_byte_for_byte_from_one_line_of_json(record in record()) {
        let line = written(&record);
        prop_assert!(!line.iter().any(|byte| matches!(byte, b'\n' | b'\r')), "it is one line");
        let text = std::str::from_utf8(&line).unwrap();
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
        prop_assert_eq!(read(&line).unwrap(), record);
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in bytes()) {
        let _ = EnvelopeReader::default().read(&line);
    }

    #[test]
    fn an_envelope_cut_or_altered_anywhere_does_not_make_the_reader_panic(
        record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut line = written(&record);
        let at = at.index(line.len());
        let _ = EnvelopeReader::default().read(&line[..at]);
        line[at] = byte;
        let _ = EnvelopeReader::default().read(&line);
    }
}
