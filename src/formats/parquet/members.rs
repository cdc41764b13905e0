//! The members of a JSON object that somebody has looked at before: what is nested is passed over, not judged.

use memchr::memchr2;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Null,
    Bool(bool),
    /// `whole`: digits with perhaps a sign, nothing else.
    Number {
        whole: bool,
    },
    /// `escaped`: it has a backslash in it.
    Text {
        escaped: bool,
    },
    Nested,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// What stands between the name's quotation marks.
    pub(super) name: &'a [u8],
    pub(super) name_escaped: bool,
    /// As it is written.
    pub(super) value: &'a [u8],
    pub(super) is: Is,
}

/// Gives each member of an object; `None` where the text is none, of which some members may have been given.
#[inline]
pub(super) fn each<'a>(text: &'a [u8], mut give: impl FnMut(Member<'a>)) -> Option<()> {
    let mut at = spaces(text, 0);
    if *text.get(at)? != b'{' {
        return None;
    }
    at = spaces(text, at + 1);
    if *text.get(at)? == b'}' {
        return ends(text, at + 1);
    }
    loop {
        let (name_end, name_escaped) = string_end(text, at)?;
        let name = text.get(at + 1..name_end - 1)?;
        at = spaces(text, name_end);
        if *text.get(at)? != b':' {
            return None;
        }
        at = spaces(text, at + 1);
        let (is, end) = value(text, at)?;
        give(Member { name, name_escaped, value: text.get(at..end)?, is });
        at = spaces(text, end);
        match text.get(at)? {
            b',' => at = spaces(text, at + 1),
            b'}' => return ends(text, at + 1),
            _ => return None,
        }
    }
}

fn ends(text: &[u8], at: usize) -> Option<()> {
    (spaces(text, at) == text.len()).then_some(())
}

#[inline]
fn spaces(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// The place behind a string, and whether it has a backslash in it.
#[inline]
fn string_end(text: &[u8], at: usize) -> Option<(usize, bool)> {
    if *text.get(at)? != b'"' {
        return None;
    }
    let (mut at, mut escaped) = (at + 1, false);
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some((at + 1, escaped));
        }
        escaped = true;
        at += 2;
    }
}

#[inline]
fn value(text: &[u8], at: usize) -> Option<(Is, usize)> {
    let word = |word: &[u8], is: Is| text.get(at..)?.starts_with(word).then_some((is, at + word.len()));
    match text.get(at)? {
        b'"' => string_end(text, at).map(|(end, escaped)| (Is::Text { escaped }, end)),
        b'-' | b'0'..=b'9' => {
            let (mut end, mut whole) = (at + 1, true);
            while let Some(byte @ (b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) = text.get(end) {
                whole &= byte.is_ascii_digit();
                end += 1;
            }
            Some((Is::Number { whole }, end))
        }
        b'{' | b'[' => nested_end(text, at).map(|end| (Is::Nested, end)),
        b't' => word(b"true", Is::Bool(true)),
        b'f' => word(b"false", Is::Bool(false)),
        _ => word(b"null", Is::Null),
    }
}

/// The place behind an array or object, however deep.
fn nested_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                at = string_end(text, at)?.0;
                continue;
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Option<Vec<(String, String, Is)>> {
        let mut found = Vec::new();
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        each(text.as_bytes(), |one| found.push((text_of(one.name), text_of(one.value), one.is)))?;
        Some(found)
    }

    #[test]
    fn members_are_given_as_they_are_written() {
        let text = " {\"a\" : -1.5e+3,\"b\":[1,{\"x\":\"]}\\\"\"}] , \"c\\n\":\"\\\\\",\"d\":true,\"e\":null,\"f\":7} ";
        let found = all(text).unwrap();
        let expected = [
            ("a", "-1.5e+3", Is::Number { whole: false }),
            ("b", "[1,{\"x\":\"]}\\\"\"}]", Is::Nested),
            ("c\\n", "\"\\\\\"", Is::Text { escaped: true }),
            ("d", "true", Is::Bool(true)),
            ("e", "null", Is::Null),
            ("f", "7", Is::Number { whole: true }),
        ];
        let expected: Vec<_> = expected.iter().map(|(a, b, is)| ((*a).to_owned(), (*b).to_owned(), *is)).collect();
        assert_eq!(found, expected);
        assert_eq!(all("{ }").unwrap(), []);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1]",
            "{\"a\" 1}",
            "{\"a\":x}",
            "{} x",
            "{\"a\":\"\\",
        ] {
            assert_eq!(all(text), None, "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert_eq!(all(&text).unwrap()[0].1.len(), 2 << 20);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = each(&bytes, |_| {});
        }

        #[test]
        fn nor_does_what_nearly_is_an_object(text in r#"[{}\[\]":,\\a1e. tn-]{0,30}"#) {
            let _ = each(format!("{{{text}").as_bytes(), |_| {});
        }
    }
}
