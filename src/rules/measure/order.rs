//! Windows, keys and values as bytes that compare as they do, and back.
//!
//! ```text
//!  window   8 bytes, the sign turned over
//!  nothing  1
//!  truth    2 false, 3 true
//!  number   4, the nearest double as 8 bytes, 2 bytes that a whole number is above or below it, and 0;
//!           or 1 and the text as it is written, where a double does not tell it apart from others
//!  text     5, its bytes, and an end
//!  nested   6, its JSON, and an end
//! ```
//!
//! Non-obvious:
//! - No value is the beginning of another one, so values can be put one behind the other, and the whole still compares by the
//!   first one, then the second one.
//! - Numbers are one where they are one number, however written: 1, 1.0 and 1e0. Only those with more digits than a double is
//!   sure to tell apart (15) go by their text.

use crate::rules::picks::FieldValue;
use crate::rules::seen::Number;

const NOTHING: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const NUMBER: u8 = 4;
const TEXT: u8 = 5;
const NESTED: u8 = 6;

/// Behind a zero that is a zero; the end has another zero there. UTF-8 has no such byte.
const ZERO: u8 = 0xff;
/// So many digits a double tells apart, whatever they are.
const DIGITS_SURE: usize = 15;
const SIGN: u64 = 1 << 63;
/// Halfway up, so that what is below a double compares below.
const LEVEL: i128 = 1 << 15;

/// A value that was had back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Nothing,
    Truth(bool),
    Number(Number),
    /// A number that no double and no 64 bits hold exactly, as it was written.
    Written(Vec<u8>),
    Text(Vec<u8>),
    Nested(Vec<u8>),
}

pub(super) fn put_window(out: &mut Vec<u8>, start_ms: i64) {
    out.extend_from_slice(&(start_ms as u64 ^ SIGN).to_be_bytes());
}

pub(super) fn take_window(bytes: &mut &[u8]) -> Option<i64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some((u64::from_be_bytes(*word) ^ SIGN) as i64)
}

/// Appends a value of a key.
#[inline]
pub(super) fn put_value(out: &mut Vec<u8>, value: FieldValue<'_>) {
    match value {
        FieldValue::Nothing => out.push(NOTHING),
        FieldValue::Truth(truth) => out.push(if truth { TRUE } else { FALSE }),
        FieldValue::Number(text) => {
            // What is JSON's number is one.
            let number = Number::read(text).unwrap_or(Number::Whole(0));
            out.push(NUMBER);
            put_number(out, number);
            if is_told(number, text) {
                out.push(0);
            } else {
                out.push(1);
                put_ended(out, text);
            }
        }
        FieldValue::Text(text) => {
            out.push(TEXT);
            put_ended(out, text);
        }
        FieldValue::Nested(json) => {
            out.push(NESTED);
            put_ended(out, json);
        }
    }
}

/// Appends a number: ten bytes.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, number: Number) {
    let (double, above) = match number {
        Number::Whole(whole) => {
            let double = whole as f64;
            (double, i128::from(whole) - double as i128)
        }
        Number::Double(double) => (double, 0),
    };
    // There is one zero.
    let bits = if double == 0.0 { 0 } else { double.to_bits() };
    let word = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    out.extend_from_slice(&word.to_be_bytes());
    out.extend_from_slice(&((above + LEVEL) as u16).to_be_bytes());
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Option<Number> {
    let (word, rest) = bytes.split_first_chunk()?;
    let (above, rest) = rest.split_first_chunk()?;
    *bytes = rest;
    let word = u64::from_be_bytes(*word);
    let double = f64::from_bits(if word & SIGN == 0 { !word } else { word & !SIGN });
    let above = i128::from(u16::from_be_bytes(*above)) - LEVEL;
    if double.fract() == 0.0
        && let Ok(whole) = i64::try_from((double as i128).saturating_add(above))
    {
        return Some(Number::Whole(whole));
    }
    Some(Number::Double(double))
}

/// Whether no other number reads as this one does.
fn is_told(number: Number, text: &[u8]) -> bool {
    let Number::Double(double) = number else { return true };
    let digits = text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let digits = digits.filter(|byte| byte.is_ascii_digit()).skip_while(|digit| **digit == b'0').count();
    // Below the smallest ones there are fewer of them.
    let is_plain = double == 0.0 && digits == 0 || double.is_normal();
    digits <= DIGITS_SURE && is_plain
}

fn put_ended(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(0, rest) {
        let (before, behind) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(&[0, ZERO]);
        rest = behind.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

fn take_ended(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let at = memchr::memchr(0, bytes)?;
        let (before, behind) = bytes.split_at(at);
        text.extend_from_slice(before);
        let (&kind, rest) = behind.get(1..)?.split_first()?;
        *bytes = rest;
        match kind {
            0 => return Some(text),
            _ => text.push(0),
        }
    }
}

/// Takes a value of a key off the front. `None` where there is none.
pub(super) fn take_value(bytes: &mut &[u8]) -> Option<Told> {
    let (&sort, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(match sort {
        NOTHING => Told::Nothing,
        FALSE | TRUE => Told::Truth(sort == TRUE),
        NUMBER => {
            let number = take_number(bytes)?;
            let (&written, rest) = bytes.split_first()?;
            *bytes = rest;
            if written == 0 { Told::Number(number) } else { Told::Written(take_ended(bytes)?) }
        }
        TEXT => Told::Text(take_ended(bytes)?),
        NESTED => Told::Nested(take_ended(bytes)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: FieldValue<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        put_value(&mut out, value);
        out
    }

    fn back(value: FieldValue<'_>) -> Told {
        let all = bytes(value);
        let mut rest = &all[..];
        let told = take_value(&mut rest).unwrap();
        assert!(rest.is_empty());
        for cut in 0..all.len() {
            assert_eq!(take_value(&mut &all[..cut]), None, "{value:?} cut to {cut}");
        }
        told
    }

    #[test]
    fn values_compare_as_they_do_and_none_is_the_beginning_of_another() {
        let rising = [
            FieldValue::Nothing,
            FieldValue::Truth(false),
            FieldValue::Truth(true),
            FieldValue::Number(b"-1e400"),
            FieldValue::Number(b"-9223372036854775808"),
            FieldValue::Number(b"-2.5"),
            FieldValue::Number(b"-2"),
            FieldValue::Number(b"-1e-300"),
            FieldValue::Number(b"0"),
            FieldValue::Number(b"5e-324"),
            FieldValue::Number(b"0.5"),
            FieldValue::Number(b"9007199254740992"),
            FieldValue::Number(b"9007199254740993"),
            FieldValue::Number(b"9007199254740994"),
            FieldValue::Number(b"9223372036854775807"),
            FieldValue::Number(b"18446744073709551615"),
            FieldValue::Number(b"18446744073709551616"),
            FieldValue::Number(b"1e300"),
            FieldValue::Number(b"1e400"),
            FieldValue::Text(b""),
            FieldValue::Text(b"\0"),
            FieldValue::Text(b"\0\0"),
            FieldValue::Text(b"\0a"),
            FieldValue::Text(b"\x01"),
            FieldValue::Text(b"a"),
            FieldValue::Text(b"a\0"),
            FieldValue::Text(b"a\0\0"),
            FieldValue::Text(b"a\x01"),
            FieldValue::Text("aé".as_bytes()),
            FieldValue::Text(b"b"),
            FieldValue::Nested(b"[1]"),
            FieldValue::Nested(b"{}"),
        ];
        for (i, a) in rising.iter().map(|value| bytes(*value)).enumerate() {
            for (j, b) in rising.iter().map(|value| bytes(*value)).enumerate() {
                assert_eq!(a.cmp(&b), i.cmp(&j), "{:?} and {:?}", rising[i], rising[j]);
                assert!(i == j || !b.starts_with(&a), "{:?} and {:?}", rising[i], rising[j]);
            }
        }
    }

    #[test]
    fn a_number_is_one_however_it_is_written_and_two_are_not() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("0", "-0.0"), ("0.5", "5e-1")] {
            let (a, b) = (FieldValue::Number(a.as_bytes()), FieldValue::Number(b.as_bytes()));
            assert_eq!(bytes(a), bytes(b), "{a:?} {b:?}");
        }
        for (a, b) in [
            ("18446744073709551616", "18446744073709551617"),
            ("0.1234567890123456781", "0.1234567890123456782"),
            ("1e400", "1e401"),
            ("1e-400", "0"),
            ("4e-324", "5e-324"),
        ] {
            let (a, b) = (FieldValue::Number(a.as_bytes()), FieldValue::Number(b.as_bytes()));
            assert_ne!(bytes(a), bytes(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn values_come_back_as_they_were() {
        assert_eq!(back(FieldValue::Nothing), Told::Nothing);
        assert_eq!(back(FieldValue::Truth(true)), Told::Truth(true));
        assert_eq!(back(FieldValue::Text(b"a\0\0b")), Told::Text(b"a\0\0b".to_vec()));
        assert_eq!(back(FieldValue::Nested(b"[1,\"\"]")), Told::Nested(b"[1,\"\"]".to_vec()));
        for (text, number) in [
            ("-0.0", Number::Whole(0)),
            ("1e2", Number::Whole(100)),
            ("9223372036854775807", Number::Whole(i64::MAX)),
            ("-9223372036854775808", Number::Whole(i64::MIN)),
            ("9007199254740993", Number::Whole(9007199254740993)),
            ("-9007199254740993", Number::Whole(-9007199254740993)),
            ("2.5", Number::Double(2.5)),
            ("-1e300", Number::Double(-1e300)),
        ] {
            assert_eq!(back(FieldValue::Number(text.as_bytes())), Told::Number(number), "{text}");
        }
        for text in ["18446744073709551617", "1e400", "0.12345678901234567890"] {
            assert_eq!(back(FieldValue::Number(text.as_bytes())), Told::Written(text.into()));
        }
    }

    #[test]
    fn windows_compare_as_numbers_and_come_back() {
        let starts = [i64::MIN, -3_600_000, 0, 3_600_000, i64::MAX];
        let all: Vec<Vec<u8>> = starts
            .iter()
            .map(|start| {
                let mut out = Vec::new();
                put_window(&mut out, *start);
                out
            })
            .collect();
        assert!(all.is_sorted());
        for (start, bytes) in starts.iter().zip(&all) {
            assert_eq!(take_window(&mut &bytes[..]), Some(*start));
            assert_eq!(take_window(&mut &bytes[1..]), None);
        }
    }
}
