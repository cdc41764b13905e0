//! One type made of another, exactly or not at all.
//!
//! | to | from |
//! | --- | --- |
//! | `int` | a whole number within 64 bits, however written (`1e3`, `"17"`, `"+17"`, `2.0`); true and false are 1 and 0 |
//! | `float` | a number within a double's range, a text that is one, true and false; it keeps its digits |
//! | `bool` | `true`, `false`, 1, 0, and texts of these, in capitals too |
//! | `string` | anything; but a text it is what it is written as |
//! | `time` | RFC 3339 text, or a number since 1970 in the rule's unit, also as text; becomes RFC 3339 in UTC |
//!
//! What is of the type already stays as it is written.

use super::Class;
use super::moment::{self, Unit};
use super::refusal::Refusal;
use super::seen::Seen;
use super::tree::Kind;
use crate::formats::string;
use crate::keys::{Decimal, parse_int};
use std::io::Write as _;

/// What a field is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Int,
    Float,
    Bool,
    String,
    Time(Unit),
}

/// Writes what `value` becomes to `out`, and says what it is then; `None` if it can stay as it is.
pub(super) fn cast(value: Seen<'_>, target: Target, out: &mut Vec<u8>) -> Result<Option<Kind>, Refusal> {
    let nested = matches!(value.kind, Kind::Array | Kind::Object | Kind::Opened);
    if nested && target != Target::String {
        return Err(Refusal::of(Class::WrongType, "an array or object becomes nothing but a string"));
    }
    match target {
        Target::Int => to_int(value, out),
        Target::Float => to_float(value, out),
        Target::Bool => to_bool(value, out),
        Target::String => Ok(to_string(value, out)),
        Target::Time(unit) => to_time(value, unit, out),
    }
}

const WHOLE: Kind = Kind::Number { whole: true };
/// This many digits are within 64 bits whatever they are, a sign included.
const SURELY_64_BITS: usize = 18;
/// A number written with so many bytes and no exponent is within a double.
const SURELY_DOUBLE: usize = 300;

fn to_int(value: Seen<'_>, out: &mut Vec<u8>) -> Result<Option<Kind>, Refusal> {
    let number = match value.kind {
        Kind::Number { whole: true } if value.json.len() <= SURELY_64_BITS => return Ok(None),
        Kind::Bool => i64::from(value.json == b"true"),
        _ => whole(value.text)?,
    };
    if value.kind == WHOLE {
        return Ok(None);
    }
    let _ = write!(out, "{number}");
    Ok(Some(WHOLE))
}

/// The integer that a text is, exactly.
fn whole(text: &[u8]) -> Result<i64, Refusal> {
    if let Ok(number) = parse_int(text) {
        return Ok(number);
    }
    let decimal = Decimal::parse(text).map_err(|_| Refusal::cast("no number, or one beyond all bounds"))?;
    decimal.to_i64().map_err(|error| match error {
        crate::keys::NumberError::NotWhole => Refusal::cast("not whole"),
        _ => Refusal::cast("beyond 64 bits"),
    })
}

fn to_float(value: Seen<'_>, out: &mut Vec<u8>) -> Result<Option<Kind>, Refusal> {
    match value.kind {
        Kind::Number { whole: true } if value.json.len() <= SURELY_DOUBLE => Ok(None),
        Kind::Number { .. } => is_double(value.json).map(|()| None),
        Kind::Bool => {
            out.push(if value.json == b"true" { b'1' } else { b'0' });
            Ok(Some(WHOLE))
        }
        _ => {
            let start = out.len();
            let whole = json_number(value.text, out).ok_or(Refusal::cast("no number"))?;
            is_double(out.get(start..).unwrap_or_default())?;
            Ok(Some(Kind::Number { whole }))
        }
    }
}

fn is_double(number: &[u8]) -> Result<(), Refusal> {
    let parsed = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    match parsed {
        Some(number) if number.is_finite() => Ok(()),
        _ => Err(Refusal::cast("beyond what a double can hold")),
    }
}

/// Writes a decimal as JSON has it: without a plus and without zeros before it. Gives whether it is nothing but digits.
fn json_number(text: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if text.starts_with(b"-") {
        out.push(b'-');
    }
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let zeros = whole.iter().take_while(|&&byte| byte == b'0').count().min(whole.len().checked_sub(1)?);
    out.extend_from_slice(&whole[zeros..]);
    out.extend_from_slice(rest);
    let behind = match rest.strip_prefix(b".") {
        Some(fraction) if digits(fraction) == 0 => return None,
        Some(fraction) => &fraction[digits(fraction)..],
        None => rest,
    };
    match behind.split_first() {
        None => Some(rest.is_empty()),
        Some((b'e' | b'E', exponent)) => {
            let exponent = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
            (!exponent.is_empty() && digits(exponent) == exponent.len()).then_some(false)
        }
        Some(_) => None,
    }
}

fn to_bool(value: Seen<'_>, out: &mut Vec<u8>) -> Result<Option<Kind>, Refusal> {
    let truth = match value.kind {
        Kind::Bool => return Ok(None),
        Kind::Number { .. } => match whole(value.json) {
            Ok(0) => false,
            Ok(1) => true,
            _ => return Err(Refusal::cast("of numbers, only 1 and 0 are true and false")),
        },
        _ => match value.text {
            b"1" => true,
            b"0" => false,
            text if text.eq_ignore_ascii_case(b"true") => true,
            text if text.eq_ignore_ascii_case(b"false") => false,
            _ => return Err(Refusal::cast("neither true nor false")),
        },
    };
    out.extend_from_slice(if truth { b"true" } else { b"false" });
    Ok(Some(Kind::Bool))
}

fn to_string(value: Seen<'_>, out: &mut Vec<u8>) -> Option<Kind> {
    if matches!(value.kind, Kind::Text { .. }) {
        return None;
    }
    Some(put_string(value.text, out))
}

/// Writes a text as a JSON string, and says what it is then.
pub(super) fn put_string(text: &[u8], out: &mut Vec<u8>) -> Kind {
    out.push(b'"');
    let start = out.len();
    string::put_inside(out, text);
    let escaped = out.len() - start != text.len();
    out.push(b'"');
    Kind::Text { escaped }
}

fn to_time(value: Seen<'_>, unit: Unit, out: &mut Vec<u8>) -> Result<Option<Kind>, Refusal> {
    let time = moment_of(value, unit)?;
    out.push(b'"');
    moment::write(time, out);
    out.push(b'"');
    Ok((out.as_slice() != value.json).then_some(Kind::Text { escaped: false }))
}

/// The moment that a value is.
pub(super) fn moment_of(value: Seen<'_>, unit: Unit) -> Result<crate::base::time::Time, Refusal> {
    match value.kind {
        Kind::Number { .. } => moment::of_number(value.json, unit),
        Kind::Text { .. } => moment::of_text(value.text, unit),
        _ => Err(Refusal::of(Class::WrongType, "a time is a text or a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> Seen<'_> {
        let bytes = json.as_bytes();
        let (kind, text) = match bytes[0] {
            b'"' => (Kind::Text { escaped: false }, &bytes[1..bytes.len() - 1]),
            b't' | b'f' => (Kind::Bool, bytes),
            b'[' => (Kind::Array, bytes),
            b'{' => (Kind::Object, bytes),
            _ => (Kind::Number { whole: !json.contains(['.', 'e', 'E']) }, bytes),
        };
        Seen { kind, json: bytes, text }
    }

    /// What it becomes, `=` if it stays, or a part of the reason.
    fn holds(target: Target, cases: &[(&str, &str)]) {
        for (from, expected) in cases {
            let mut out = Vec::new();
            let became = match cast(seen(from), target, &mut out) {
                Ok(None) => "=".to_owned(),
                Ok(Some(kind)) => {
                    let text = String::from_utf8(out).unwrap();
                    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{from} to {target:?}: {text}");
                    assert_eq!(kind == WHOLE, text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()), "{text}");
                    text
                }
                Err(refusal) => refusal.why.to_string(),
            };
            let right = if expected.contains(' ') { became.contains(expected) } else { became == *expected };
            assert!(right, "{from} to {target:?} is {became}, not {expected}");
        }
    }

    #[test]
    fn an_int_is_exact_or_refused() {
        holds(
            Target::Int,
            &[
                ("17", "="),
                ("-0", "="),
                ("9223372036854775807", "="),
                ("9223372036854775808", "beyond 64 bits"),
                ("-9223372036854775809", "beyond 64 bits"),
                ("1e3", "1000"),
                ("2.0", "2"),
                ("2.5", "not whole"),
                ("1e400", "beyond 64 bits"),
                ("0e999999999999", "0"),
                ("\"17\"", "17"),
                ("\"+17\"", "17"),
                ("\"-007\"", "-7"),
                ("\"1e3\"", "1000"),
                ("\"99999999999999999999\"", "beyond 64 bits"),
                ("\"\"", "no number"),
                ("\" 17\"", "no number"),
                ("\"17a\"", "no number"),
                ("true", "1"),
                ("false", "0"),
                ("[1]", "array or object"),
                ("{}", "array or object"),
            ],
        );
    }

    #[test]
    fn a_float_keeps_its_digits() {
        let long = format!("1{}", "0".repeat(400));
        holds(
            Target::Float,
            &[
                ("17", "="),
                ("1.50", "="),
                ("1e308", "="),
                ("1e309", "beyond what a double"),
                (&long, "beyond what a double"),
                ("\"1.50\"", "1.50"),
                ("\"+0017.0e-01\"", "17.0e-01"),
                ("\"-00\"", "-0"),
                ("\"1e309\"", "beyond what a double"),
                ("\".5\"", "no number"),
                ("\"5.\"", "no number"),
                ("\"5.e1\"", "no number"),
                ("\"1e\"", "no number"),
                ("\"1e+\"", "no number"),
                ("\"NaN\"", "no number"),
                ("\"inf\"", "no number"),
                ("\"1_000\"", "no number"),
                ("\"\"", "no number"),
                ("\"-\"", "no number"),
                ("true", "1"),
                ("[]", "array or object"),
            ],
        );
    }

    #[test]
    fn truth_strings_and_times() {
        holds(
            Target::Bool,
            &[
                ("true", "="),
                ("1", "true"),
                ("0.0", "false"),
                ("2", "only 1 and 0"),
                ("\"TRUE\"", "true"),
                ("\"0\"", "false"),
                ("\"yes\"", "neither true nor false"),
                ("[]", "array or object"),
            ],
        );
        holds(
            Target::String,
            &[
                ("\"x\"", "="),
                ("1.50", "\"1.50\""),
                ("true", "\"true\""),
                ("[1,\"a\"]", "\"[1,\\\"a\\\"]\""),
                ("{}", "\"{}\""),
            ],
        );
        holds(
            Target::Time(Unit::Second),
            &[
                ("1715947200", "\"2024-05-17T12:00:00Z\""),
                ("\"1715947200\"", "\"2024-05-17T12:00:00Z\""),
                ("\"2024-05-17T12:00:00Z\"", "="),
                ("\"2024-05-17T12:00:00.000Z\"", "\"2024-05-17T12:00:00Z\""),
                ("\"2024-05-17T14:00:00+02:00\"", "\"2024-05-17T12:00:00Z\""),
                ("\"2024-05-17T12:00:00\"", "no time zone"),
                ("true", "a text or a number"),
                ("[]", "array or object"),
            ],
        );
    }
}
