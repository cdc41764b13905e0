//! Moments in fields: RFC 3339 text, or a number of seconds, milliseconds … since 1970; and their parts, in UTC.

use super::refusal::Refusal;
use crate::base::time::{Time, date_of_day, parse_rfc3339};
use crate::keys::{Decimal, parse_int};

const MS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_MS: i128 = 1_000_000;
/// The years 0000 to 9999, which RFC 3339 can write.
pub(super) const EPOCH_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// What a number of time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Unit {
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("s", Self::Second), ("ms", Self::Millisecond), ("us", Self::Microsecond), ("ns", Self::Nanosecond)];

    /// How many decimal places it is above a nanosecond.
    fn places(self) -> i32 {
        match self {
            Self::Second => 9,
            Self::Millisecond => 6,
            Self::Microsecond => 3,
            Self::Nanosecond => 0,
        }
    }
}

/// The moment that a text is: RFC 3339, or a number.
pub(super) fn of_text(text: &[u8], unit: Unit) -> Result<Time, Refusal> {
    match parse_rfc3339(text) {
        Ok(time) => Ok(time),
        Err(error) => of_number(text, unit).map_err(|refusal| match text.contains(&b':') {
            true => Refusal::cast(error),
            false => refusal,
        }),
    }
}

/// The moment that a decimal number is. Nothing is rounded: what is finer than a nanosecond is refused.
pub(super) fn of_number(text: &[u8], unit: Unit) -> Result<Time, Refusal> {
    let nanos = match parse_int(text) {
        Ok(whole) => i128::from(whole) * 10_i128.pow(unit.places() as u32),
        Err(_) => {
            let decimal = Decimal::parse(text).map_err(|_| Refusal::cast("neither RFC 3339 nor a number"))?;
            scaled(&decimal, unit)?
        }
    };
    let (ms, rest) = (nanos.div_euclid(NANOS_PER_MS), nanos.rem_euclid(NANOS_PER_MS));
    let epoch_ms = i64::try_from(ms).ok().filter(|ms| EPOCH_MS.contains(ms));
    let epoch_ms = epoch_ms.ok_or(Refusal::cast("not within the years 0000 to 9999 (is it another unit?)"))?;
    Ok(Time { epoch_ms, nanos: rest as u32 })
}

fn scaled(decimal: &Decimal, unit: Unit) -> Result<i128, Refusal> {
    let digits = decimal.digits();
    let places = i32::from(decimal.exponent) + unit.places();
    if digits.is_empty() {
        return Ok(0);
    }
    if places > 22 {
        return Err(Refusal::cast("not within the years 0000 to 9999 (is it another unit?)"));
    }
    if (digits.len() as i32) > places {
        return Err(Refusal::cast("finer than a nanosecond"));
    }
    let digits = digits.iter().map(|&digit| i128::from(digit)).chain(std::iter::repeat(0));
    let size = digits.take(places.max(0) as usize).fold(0, |number, digit| number * 10 + digit);
    Ok(if decimal.negative { -size } else { size })
}

/// Appends a moment as RFC 3339 in UTC, with as many decimals as it needs: none, three or nine.
pub(super) fn write(time: Time, out: &mut Vec<u8>) {
    write_date(time, out);
    let ms = time.epoch_ms.rem_euclid(MS_PER_DAY);
    out.push(b'T');
    digits(ms / 3_600_000, 2, out);
    out.push(b':');
    digits(ms / 60_000 % 60, 2, out);
    out.push(b':');
    digits(ms / 1000 % 60, 2, out);
    if time.nanos > 0 || ms % 1000 > 0 {
        out.push(b'.');
        digits(ms % 1000, 3, out);
    }
    if time.nanos > 0 {
        digits(i64::from(time.nanos), 6, out);
    }
    out.push(b'Z');
}

fn write_date(time: Time, out: &mut Vec<u8>) {
    let (year, month, day) = date(time);
    digits(year, 4, out);
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
}

/// The date, which is there: moments are within four-digit years.
fn date(time: Time) -> (i64, i64, i64) {
    date_of_day(time.epoch_ms.div_euclid(MS_PER_DAY)).unwrap_or_default()
}

/// Appends a number that is not negative with at least so many digits.
fn digits(number: i64, least: usize, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    let mut rest = number.unsigned_abs();
    while rest > 0 || buffer.len() - at < least {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at..]);
}

/// A part of a moment, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Monday is 1, Sunday is 7.
    Weekday,
    /// `2024-05-17`, a text.
    Date,
}

impl Part {
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("year", Self::Year),
        ("month", Self::Month),
        ("day", Self::Day),
        ("hour", Self::Hour),
        ("minute", Self::Minute),
        ("second", Self::Second),
        ("weekday", Self::Weekday),
        ("date", Self::Date),
    ];

    /// Appends the part as JSON.
    pub(super) fn write(self, time: Time, out: &mut Vec<u8>) {
        let ms = time.epoch_ms.rem_euclid(MS_PER_DAY);
        let (year, month, day) = date(time);
        let number = match self {
            Self::Year => year,
            Self::Month => month,
            Self::Day => day,
            Self::Hour => ms / 3_600_000,
            Self::Minute => ms / 60_000 % 60,
            Self::Second => ms / 1000 % 60,
            // The first day of 1970 was a Thursday.
            Self::Weekday => (time.epoch_ms.div_euclid(MS_PER_DAY) + 3).rem_euclid(7) + 1,
            Self::Date => {
                out.push(b'"');
                write_date(time, out);
                out.push(b'"');
                return;
            }
        };
        digits(number, 1, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, unit: Unit) -> Result<String, String> {
        let time = of_text(text.as_bytes(), unit).map_err(|refusal| refusal.why.to_string())?;
        let mut out = Vec::new();
        write(time, &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn moments_are_read_exactly_whatever_they_count() {
        for (text, unit, expected) in [
            ("1715947200", Unit::Second, "2024-05-17T12:00:00Z"),
            ("1715947200.25", Unit::Second, "2024-05-17T12:00:00.250Z"),
            ("1715947200.123456", Unit::Second, "2024-05-17T12:00:00.123456000Z"),
            ("1.7159472e9", Unit::Second, "2024-05-17T12:00:00Z"),
            ("1715947200123", Unit::Millisecond, "2024-05-17T12:00:00.123Z"),
            ("1715947200123456", Unit::Microsecond, "2024-05-17T12:00:00.123456000Z"),
            ("1715947200123456789", Unit::Nanosecond, "2024-05-17T12:00:00.123456789Z"),
            ("-1", Unit::Nanosecond, "1969-12-31T23:59:59.999999999Z"),
            ("0.0", Unit::Second, "1970-01-01T00:00:00Z"),
            ("2024-05-17 14:00:00.5+02:00", Unit::Second, "2024-05-17T12:00:00.500Z"),
            ("-62167219200", Unit::Second, "0000-01-01T00:00:00Z"),
            ("253402300799", Unit::Second, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(shown(text, unit).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_its_reason() {
        for (text, unit, part) in [
            ("253402300800", Unit::Second, "another unit"),
            ("1715947200123", Unit::Second, "another unit"),
            ("9223372036854775807", Unit::Second, "another unit"),
            ("1e300", Unit::Second, "another unit"),
            ("0.5", Unit::Nanosecond, "finer than a nanosecond"),
            ("1e-30", Unit::Second, "finer than a nanosecond"),
            ("2024-05-17T12:00:00", Unit::Second, "no time zone"),
            ("2024-13-17T12:00:00Z", Unit::Second, "no such month"),
            ("yesterday", Unit::Second, "neither"),
            ("", Unit::Second, "neither"),
        ] {
            let error = shown(text, unit).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn parts_are_those_of_utc() {
        let time = of_text(b"2024-02-29T23:04:05.6+00:00", Unit::Second).unwrap();
        let part = |part: Part| {
            let mut out = Vec::new();
            part.write(time, &mut out);
            String::from_utf8(out).unwrap()
        };
        let all: Vec<String> = Part::ALL.into_iter().map(|(_, kind)| part(kind)).collect();
        assert_eq!(all, ["2024", "2", "29", "23", "4", "5", "4", "\"2024-02-29\""]);
        let before = of_text(b"1969-12-28T00:00:00Z", Unit::Second).unwrap();
        let mut out = Vec::new();
        Part::Weekday.write(before, &mut out);
        assert_eq!(out, b"7", "a Sunday");
    }
}
