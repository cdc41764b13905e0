//! Where a JSON string ends. Most of a record's bytes are in strings, so eight are looked at at once.

use super::Class;
use super::scan::Fault;

/// The end of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StringEnd {
    /// The place behind its closing quotation mark.
    pub(super) behind: usize,
    /// Whether there is a backslash in it.
    pub(super) escaped: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes that are quotation marks, backslashes or controls in their highest bit. Behind the first of them others may
/// be marked that are none.
#[inline]
fn marks(word: u64) -> u64 {
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero_bytes(word ^ (ONES * b'"' as u64));
    let backslash = zero_bytes(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

/// The end of the string whose opening quotation mark is at `begin`.
#[inline]
pub(super) fn find(text: &[u8], begin: usize) -> Result<StringEnd, Fault> {
    let mut at = begin + 1;
    let mut escaped = false;
    loop {
        while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let marks = marks(u64::from_le_bytes(*word));
            if marks != 0 {
                at += (marks.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match text.get(at) {
            Some(b'"') => return Ok(StringEnd { behind: at + 1, escaped }),
            Some(b'\\') => {
                at = escape(text, at)?;
                escaped = true;
            }
            Some(0..0x20) => return Err(fault(at, "a control character stands in a string")),
            // Fewer than eight are left.
            Some(_) => at += 1,
            None => return Err(fault(begin, "the string does not end that begins")),
        }
    }
}

/// Behind the escape that begins at `at`.
fn escape(text: &[u8], at: usize) -> Result<usize, Fault> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex(text, at + 2)? {
            0xd800..0xdc00 => {
                let lone =
                    || Fault { class: Class::LoneSurrogate, text: format!("half of a surrogate pair at byte {at}") };
                if text.get(at + 6..at + 8) != Some(b"\\u") {
                    return Err(lone());
                }
                match hex(text, at + 8)? {
                    0xdc00..0xe000 => Ok(at + 12),
                    _ => Err(lone()),
                }
            }
            0xdc00..0xe000 => {
                Err(Fault { class: Class::LoneSurrogate, text: format!("half of a surrogate pair at byte {at}") })
            }
            _ => Ok(at + 6),
        },
        _ => Err(fault(at, "a backslash stands before nothing that it can escape")),
    }
}

fn hex(text: &[u8], at: usize) -> Result<u32, Fault> {
    let digits = text.get(at..at + 4).ok_or_else(|| fault(at, "four hexadecimal digits have to stand"))?;
    digits.iter().try_fold(0, |number, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or_else(|| fault(at, "four hexadecimal digits have to stand"))?;
        Ok(number * 16 + digit)
    })
}

fn fault(at: usize, problem: &str) -> Fault {
    Fault { class: Class::NoJson, text: format!("no JSON: {problem} at byte {at}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place_among_eight() {
        for len in 0..20 {
            for at in 0..len {
                for byte in 0..=255u8 {
                    let mut text = vec![b'"'];
                    text.extend(vec![b'x'; len]);
                    text.push(b'"');
                    text[1 + at] = byte;
                    let found = find(&text, 0);
                    match byte {
                        b'"' => assert_eq!(found, Ok(StringEnd { behind: at + 2, escaped: false })),
                        b'\\' | 0..0x20 => assert!(found.is_err(), "{byte} at {at} of {len}"),
                        _ => assert_eq!(found, Ok(StringEnd { behind: len + 2, escaped: false }), "{byte} {at} {len}"),
                    }
                }
            }
        }
    }

    #[test]
    fn escapes_are_stepped_over_and_a_half_pair_is_named() {
        let end = |text: &str| find(text.as_bytes(), 0);
        assert_eq!(end(r#""\"\\\u00e9\ud83d\ude00" x"#), Ok(StringEnd { behind: 24, escaped: true }));
        for half in [r#""\ud83d""#, r#""\ud83dx\ude00""#, r#""\ude00""#, r#""\ud83d\u0041""#] {
            assert_eq!(end(half).unwrap_err().class, Class::LoneSurrogate, "{half}");
        }
        for wrong in [r#""\x""#, r#""\u12"#, r#""\u+123""#, r#""abc"#, "\"", r#""\"#, r#""\ud83d\u"#] {
            assert_eq!(end(wrong).unwrap_err().class, Class::NoJson, "{wrong}");
        }
    }
}
