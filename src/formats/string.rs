//! JSON strings: bytes between quotation marks, and back.

/// What stands for a byte inside a string: itself, or an escape.
const PLAIN: u8 = 0;
/// An escape of four hexadecimal digits.
const HEX: u8 = 1;
/// The first byte of U+0080 to U+00BF, of which the first 32 are controls.
const LATIN: u8 = 2;
const ESCAPES: [u8; 256] = escapes();

const fn escapes() -> [u8; 256] {
    let mut escapes = [PLAIN; 256];
    let mut i = 0;
    while i < 0x20 {
        escapes[i] = HEX;
        i += 1;
    }
    // Controls beyond ASCII need no escape in JSON; but they drive terminals.
    (escapes[0x7f], escapes[0xc2]) = (HEX, LATIN);
    (escapes[b'"' as usize], escapes[b'\\' as usize]) = (b'"', b'\\');
    (escapes[b'\n' as usize], escapes[b'\r' as usize], escapes[b'\t' as usize]) = (b'n', b'r', b't');
    escapes
}

/// Appends `text` as a JSON string with its quotation marks, control characters escaped.
pub(crate) fn put(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_inside(out, text.as_bytes());
    out.push(b'"');
}

/// Appends what stands between the quotation marks. `text` is UTF-8.
#[inline]
pub(crate) fn put_inside(out: &mut Vec<u8>, text: &[u8]) {
    let mut copied = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape != PLAIN {
            copied = put_escape(out, text, copied, at, escape);
        }
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
}

/// Copies up to the byte at `at` and escapes that; gives the place behind it.
fn put_escape(out: &mut Vec<u8>, text: &[u8], copied: usize, at: usize, escape: u8) -> usize {
    let (code, bytes) = match (escape, text.get(at + 1)) {
        (LATIN, Some(second @ 0x80..=0x9f)) => (*second, 2),
        (LATIN, _) => return copied,
        _ => (text[at], 1),
    };
    out.extend_from_slice(text.get(copied..at).unwrap_or_default());
    if matches!(escape, HEX | LATIN) {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
        out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code)]);
    } else {
        out.extend_from_slice(&[b'\\', escape]);
    }
    at + bytes
}

/// Appends the text that a JSON string holds, given what stands between its quotation marks. `None` where an escape stands
/// for no character, such as half of a surrogate pair.
pub(crate) fn take_inside(inside: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let (kind, tail) = rest[at + 1..].split_at_checked(1)?;
        rest = tail;
        let plain = match kind {
            "u" => {
                let (c, tail) = take_unicode(tail)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail;
                continue;
            }
            "n" => b'\n',
            "r" => b'\r',
            "t" => b'\t',
            "b" => 8,
            "f" => 12,
            "\"" => b'"',
            "\\" => b'\\',
            "/" => b'/',
            _ => return None,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest.as_bytes());
    Some(())
}

/// The character behind `\u`, which may take another `\u`.
fn take_unicode(text: &str) -> Option<(char, &str)> {
    let (first, rest) = take_hex(text)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = take_hex(rest.strip_prefix("\\u")?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, rest))
}

fn take_hex(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    // from_str_radix would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        put(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn read(inside: &str) -> Option<String> {
        let mut out = Vec::new();
        take_inside(inside, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_could_drive_a_terminal_or_end_the_line_is_escaped_and_the_rest_is_not() {
        assert_eq!(written("a\"b\\c/\n\r\t\0\x1b\x7f"), r#""a\"b\\c/\n\r\t\u0000\u001b\u007f""#);
        assert_eq!(written("\u{80}\u{9b}\u{9f}\u{a0}é€😀"), "\"\\u0080\\u009b\\u009f\u{a0}é€😀\"");
    }

    #[test]
    fn an_escape_that_stands_for_no_character_is_refused() {
        for wrong in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800x", r"\u12", r"\u+123", r"\x", "\\"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(read(r"\ud83d\ude00\u0041\/\b\f").as_deref(), Some("😀A/\u{8}\u{c}"));
    }

    proptest! {
        #[test]
        fn a_string_comes_back_from_us_and_from_serde_json_alike(text in any::<String>()) {
            let json = written(&text);
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
            prop_assert_eq!(&read(&json[1..json.len() - 1]).unwrap(), &text);
            let foreign = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(&read(&foreign[1..foreign.len() - 1]).unwrap(), &text);
        }

        #[test]
        fn escapes_are_taken_or_refused_as_serde_json_does(inside in r#"(\\[a-z"\\/]|\\u[0-9a-f]{4}|\\u[dD][89abcdefABC][0-9a-f]{2}|[a-zé ]){0,6}"#) {
            let theirs = serde_json::from_str::<String>(&format!("\"{inside}\"")).ok();
            prop_assert_eq!(read(&inside), theirs);
        }
    }
}
