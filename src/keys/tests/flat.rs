//! The short way held against the exact one: over documents made at random, whole and harmed.

use crate::keys::flat::find;
use crate::keys::json::{Found, Pointer, find_exactly};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const NAMES: [&str; 9] = ["a", "b", "a", "aa", "", "eight by", "a longer name", "\\u0061", "\u{e4}"];
const POINTERS: [&str; 7] = ["/a", "/b", "/a/b", "/b/a/a", "/aa", "/", "/a longer name"];
/// What ends up between quotes.
const TEXTS: [&str; 12] = [
    "",
    "x",
    "seven b",
    "eight by",
    "just nine",
    "some longer text, {}[]:",
    "\\\"",
    "0123456\\n89",
    "\\\\",
    "\\u00e4\\/",
    "\u{e4}\u{10ffff}",
    "\u{7f}",
];
const SINGLES: [&str; 16] = [
    "0",
    "-0",
    "7",
    "-17",
    "12345678",
    "123456789012345678901",
    "1.5",
    "0.25e-3",
    "2E+9",
    "1e400",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[[],{}]",
];
/// What documents break by.
const HARM: &[u8] = b"{}[],:\"\\ \t\n\r0123456789-+.eEtfnu\x00\x01\x1f\x7f\x80\xc3\xff";

fn one_of<'a>(random: &mut StdRng, list: &[&'a str]) -> &'a str {
    list[random.random_range(0..list.len())]
}

fn space(random: &mut StdRng, out: &mut String) {
    if random.random_range(0..6) == 0 {
        out.push_str(one_of(random, &[" ", "\n", "\t\r", "  ", "            "]));
    }
}

fn string(random: &mut StdRng, list: &[&str], out: &mut String) {
    out.push('"');
    out.push_str(one_of(random, list));
    out.push('"');
}

fn value(random: &mut StdRng, depth: u32, out: &mut String) {
    space(random, out);
    match random.random_range(0..if depth < 4 { 8 } else { 4 }) {
        0 | 1 => string(random, &TEXTS, out),
        2 | 3 => out.push_str(one_of(random, &SINGLES)),
        4 => {
            out.push('[');
            for at in 0..random.random_range(0..4) {
                out.push_str(if at == 0 { "" } else { "," });
                value(random, depth + 1, out);
            }
            out.push(']');
        }
        _ => object(random, depth + 1, out),
    }
    space(random, out);
}

fn object(random: &mut StdRng, depth: u32, out: &mut String) {
    out.push('{');
    for at in 0..random.random_range(0..6) {
        out.push_str(if at == 0 { "" } else { "," });
        space(random, out);
        string(random, &NAMES, out);
        space(random, out);
        out.push(':');
        value(random, depth, out);
    }
    out.push('}');
}

fn harm(random: &mut StdRng, document: &mut Vec<u8>) {
    let at = random.random_range(0..=document.len());
    let some = (at + random.random_range(0..3)).min(document.len());
    match random.random_range(0..4) {
        0 => document.truncate(at),
        1 => drop(document.drain(at..some)),
        _ => {
            let byte = HARM[random.random_range(0..HARM.len())];
            document.splice(at..some, [byte]);
        }
    }
}

#[test]
fn what_the_short_way_finds_is_what_the_exact_way_finds() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let pointers = POINTERS.map(|pointer| Pointer::parse(pointer).unwrap());
    let mut found = [0; 2];
    for _ in 0..40_000 {
        let mut document = String::new();
        space(&mut random, &mut document);
        object(&mut random, 0, &mut document);
        space(&mut random, &mut document);
        let mut document = document.into_bytes();
        for harmed in [false, true] {
            if harmed {
                harm(&mut random, &mut document);
            }
            let pointer = &pointers[random.random_range(0..pointers.len())];
            found[usize::from(harmed)] += u32::from(find(&document, pointer.names()).is_some());
            assert_no_other_is_found(&document, pointer);
        }
    }
    assert!(found[0] > 500 && found[1] > 120, "the short way was seldom gone: {found:?}");
}

#[test]
fn the_short_way_is_gone_for_all_that_is_usual() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let pointer = Pointer::parse("/a/b").unwrap();
    for _ in 0..2000 {
        // Every other member is of another name.
        let wanted = one_of(&mut random, &["0", "-17", "1.5e3", "\"\"", "\"just nine\"", "\"\\\"\"", "true", "null"]);
        let mut others = || {
            let mut out = String::new();
            for _ in 0..random.random_range(0..4) {
                string(&mut random, &["c", "aa", "eight by", "", "a longer name"], &mut out);
                let single =
                    one_of(&mut random, &["0", "-1.5", "\"x\"", "\"\u{e4}\\n\"", "true", "{}", "[1,{\"a\":2}]"]);
                out.push_str(&format!(" : {single} ,"));
            }
            out
        };
        let document = format!("{{{}\"a\":{{{}\"b\":{wanted}}},{}\"z\":[]}}", others(), others(), others());
        assert_eq!(find(document.as_bytes(), pointer.names()), Some(wanted.as_bytes()), "{document}");
    }
}

/// What the short way finds must be what the exact way finds; it need not find anything.
fn assert_no_other_is_found(document: &[u8], pointer: &Pointer) {
    if let Some(raw) = find(document, pointer.names())
        && std::str::from_utf8(raw).is_ok()
    {
        let exact = find_exactly(document, pointer);
        let document = String::from_utf8_lossy(document);
        assert!(matches!(exact, Ok(Found::At(same)) if same.as_bytes() == raw), "not {exact:?}: {document}");
    }
}

#[test]
fn documents_of_every_length_cut_anywhere_and_with_any_byte_in_any_place_are_read_as_by_the_exact_way() {
    let pointer = Pointer::parse("/id").unwrap();
    // Whatever is read stands at every distance from the end, which is where sixteen bytes are too many.
    for padding in 0..=18 {
        let text = "x".repeat(padding);
        for (document, wanted) in [
            (format!(r#"{{"id":7,"{text}":""}}"#), "7"),
            (format!(r#"{{"{text}":-0.5e1,"id":123456789}}"#), "123456789"),
            (format!(r#"{{"t":["{text}",{{"i":null}}],"id":"{text}"}}"#), &format!("\"{text}\"")),
            (format!("{{\"{text}\":\"a\\n\u{e4}\",\"id\" : true }}"), "true"),
        ] {
            let mut document = document.into_bytes();
            assert_eq!(find(&document, pointer.names()), Some(wanted.as_bytes()), "{document:?}");
            for at in 0..document.len() {
                assert_eq!(find(&document[..at], pointer.names()), None, "{:?}", &document[..at]);
                let kept = document[at];
                for byte in 0..=u8::MAX {
                    document[at] = byte;
                    assert_no_other_is_found(&document, &pointer);
                }
                document[at] = kept;
            }
        }
    }
    assert_eq!(find(br#"{"id":1}"#, pointer.names()), Some(&b"1"[..]));
}

#[test]
fn what_is_not_usual_is_left_to_the_exact_way() {
    let nested = |depth: usize| format!("{{\"b\":{}{},\"a\":1}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(find(nested(64).as_bytes(), &["a".to_owned()]), Some(&b"1"[..]));
    for document in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"a":{}}"#,
        r#"{"a":[],"a":1}"#,
        r#"{"a":{"a":1}}"#,
        r#"{"a":[1,2,3]}"#,
        r#"{"b":{"a":1}}"#,
        r#"{"a":2,"\u0061":2}"#,
        r#"{"a":1}       x"#,
        r#"{"a":1       "#,
        r#"{"a":1      ,}"#,
        r#"{"a":01      }"#,
        r#"{"a":-       }"#,
        r#"{"a":1.      }"#,
        r#"{"a":1e      }"#,
        r#"{"a":tru     }"#,
        r#"{"b":1       }"#,
        r#"{"a":1]      "#,
        r#"[{"a":1      }]"#,
        r#"{"a"          1}"#,
        r#"{"a":1,"b":"\x"}"#,
        "{\"a\":1,\"b\":\"\n\"}",
        "{\"a\":\"12345",
        "        ",
        "{       ",
        "",
        &nested(65),
        &nested(10_000),
    ] {
        assert_eq!(find(document.as_bytes(), &["a".to_owned()]), None, "{document}");
    }
    assert_eq!(find(br#"{"a":1,"b":2}"#, &[]), None);
}
