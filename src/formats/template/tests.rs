use super::*;
use crate::batch::{Headers, HeadersBuf, TimestampType};

fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>, headers: Headers<'a>) -> Envelope<'a> {
    Envelope {
        topic: "orders",
        partition: 3,
        offset: 17,
        timestamp: 1_715_947_200_123,
        timestamp_type: TimestampType::Create,
        broker: None,
        key,
        value,
        headers,
    }
}

fn shown(format: &str, record: &Envelope<'_>) -> String {
    let mut out = Vec::new();
    Template::parse(format).unwrap().write(&mut out, record);
    String::from_utf8(out).unwrap()
}

fn refused(format: &str) -> String {
    Template::parse(format).unwrap_err().to_string()
}

#[test]
fn kcats_tokens_mean_what_they_mean_there() {
    let mut headers = HeadersBuf::default();
    headers.push(b"a", Some(b"1"));
    headers.push(b"b", None);
    let full = record(Some(b"k"), Some(b"value"), headers.headers());
    assert_eq!(
        shown("%t [%p] at offset %o: key %k (%K): %s (%S)\\n", &full),
        "orders [3] at offset 17: key k (1): value (5)\n"
    );
    assert_eq!(shown("%T %h 100%%\\t\\x41\\\\\\0\\r", &full), "1715947200123 a=1,b=NULL 100%\tA\\\0\r");
    assert_eq!(shown("%R|", &full), "\0\0\0\x05|");
    let empty = record(None, None, Headers::EMPTY);
    assert_eq!(shown("[%k] %K [%s] %S [%h]", &empty), "[] -1 [] -1 []");
    let template = Template::parse("%k %s %{value:hex} %{value:json}").unwrap().null_as("NULL");
    let mut out = Vec::new();
    template.write(&mut out, &empty);
    assert_eq!(out, b"NULL NULL NULL null");
}

#[test]
fn names_say_more_than_letters() {
    let mut headers = HeadersBuf::default();
    headers.push(b"x:y", Some(b"first"));
    headers.push(b"x:y", Some(b"\x01\xff"));
    let full = record(Some(b"\x00\xff"), Some(br#"{"a": 1}"#), headers.headers());
    for (format, text) in [
        ("%{topic}/%{partition}/%{offset}", "orders/3/17"),
        (
            "%{ts} %{ts:ms} %{ts:s} %{timestamp:rfc3339}",
            "1715947200123 1715947200123 1715947200 2024-05-17T12:00:00.123Z",
        ),
        ("%{key:hex} %{key:base64} %{key:json} %{key:len}", "00ff AP8= \"AP8=\" 2"),
        ("%{value} %{payload:json} %{value:len}", r#"{"a": 1} {"a": 1} 8"#),
        ("%{header:x:y:hex} %{header:x:y:len} [%{header:none}]", "01ff 2 []"),
        ("%{headers:count} %{headers:json}", r#"2 [["x:y","first"],["x:y","Af8=","base64"]]"#),
        ("é%{value:len}é", "é8é"),
    ] {
        assert_eq!(shown(format, &full), text, "{format}");
    }
    let text = record(None, Some(b"say \"hi\"\n"), Headers::EMPTY);
    assert_eq!(shown("%{value:json} %{headers:json}", &text), r#""say \"hi\"\n" []"#);
    let timeless = Envelope { timestamp: -1, ..text };
    assert_eq!(shown("%T %{ts:s} %{ts:rfc3339}", &timeless), "-1 -1 -1");
}

#[test]
fn an_unknown_token_is_named_with_what_there_is() {
    for (format, parts) in [
        ("%v", &["\"%v\"", "the value is %s"][..]),
        ("%d", &["\"%d\"", "the timestamp is %T"]),
        ("%q", &["\"%q\"", "%s"]),
        ("%\x1b", &["\\x1b"]),
        ("%é", &["\"%é\""]),
        ("a%", &["ends with a percent sign"]),
        ("a\\", &["ends with a backslash"]),
        ("\\q", &["\\xNN"]),
        ("\\x4", &["two hexadecimal digits"]),
        ("\\x+1", &["two hexadecimal digits"]),
        ("\\xé", &["two hexadecimal digits"]),
        ("%{value", &["no closing brace"]),
        ("%{valeu}", &["\"valeu\"", "did you mean value?"]),
        ("%{value:hx}", &["\"hx\"", "did you mean hex?"]),
        ("%{ts:rfc339}", &["did you mean rfc3339?"]),
        ("%{topic:hex}", &["in one way only"]),
        ("%{headers:yaml}", &["text, json, count"]),
        ("%{header:}", &["which header?"]),
        ("%{}", &["nothing is called"]),
    ] {
        let error = refused(format);
        assert!(parts.iter().all(|part| error.contains(part)), "{format}: {error}");
    }
}

#[test]
fn what_comes_from_records_cannot_drive_a_terminal() {
    let mut headers = HeadersBuf::default();
    headers.push(b"h\x07", Some(b"\x9b2J"));
    let nested = "{\"a\":\"\u{9b}2J\u{202e}\u{7f}\"}";
    let hostile = record(Some("k\x1b[2J\u{9b}\r\u{202e}\tä\n".as_bytes()), Some(nested.as_bytes()), headers.headers());
    let mut out = Vec::new();
    let template = Template::parse("\\x1b[1m%k %{value:json} %s %h %{headers:json}").unwrap().visible(true);
    template.write(&mut out, &hostile);
    let text = String::from_utf8(out).unwrap();
    let own = "\x1b[1m";
    assert!(text.starts_with(own), "what the user typed stays: {text:?}");
    assert!(!text[own.len()..].chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    assert!(!text.contains('\u{202e}'), "{text:?}");
    assert!(text.contains("k\\x1b[2J\\x9b\\r\\u{202e}\tä\n"), "{text:?}");
    assert!(text.contains(r#"{"a":"\u009b2J\u202e\u007f"}"#), "{text:?}");
    let read: serde_json::Value =
        serde_json::from_str(text[own.len()..].split('\n').nth(1).unwrap().trim().split(' ').next().unwrap()).unwrap();
    assert_eq!(read["a"], "\u{9b}2J\u{202e}\u{7f}", "it is still the same document");
}

proptest::proptest! {
    #[test]
    fn no_format_makes_it_panic_and_what_is_read_can_be_written(format in "[%{}\\\\:a-zA-Z0-9é-]{0,24}", value in proptest::collection::vec(0_u8.., 0..24)) {
        if let Ok(template) = Template::parse(&format) {
            let mut headers = HeadersBuf::default();
            headers.push(&value, Some(&value));
            let record = record(None, Some(&value), headers.headers());
            let mut out = Vec::new();
            for visible in [false, true] {
                template.clone().visible(visible).write(&mut out, &record);
            }
        }
    }
}
