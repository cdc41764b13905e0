//! Times as text: RFC 3339 to milliseconds since 1970 and back, by hand (a date is a page of arithmetic).
//!
//! What is read: `2024-05-17T12:00:00Z`, with `t`, `z` or a space for the letters, with a fraction, with an offset
//! (`+02:00`; `-00:00` counts as UTC). Years are 0000 to 9999. A time finer than a millisecond keeps its nanoseconds beside
//! the milliseconds, so that nothing is rounded in silence.
//!
//! Second 60 is refused: time since 1970 has no place for a leap second, and pushing it into a neighbour would tie it with
//! a record of another second.

use std::fmt;

/// Nanoseconds in a millisecond.
const NANOS_PER_MS: u32 = 1_000_000;
const MS_PER_DAY: i64 = 86_400_000;
const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// A moment: milliseconds since 1970, rounded down, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z, rounded towards the past.
    pub epoch_ms: i64,
    /// Nanoseconds after that millisecond: 0 to 999,999.
    pub nanos: u32,
}

impl Time {
    /// The first whole millisecond that is not before this time.
    pub fn epoch_ms_ceil(self) -> i64 {
        self.epoch_ms.saturating_add(i64::from(self.nanos > 0))
    }
}

/// Why a text is no RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form.
    #[error("not an RFC 3339 time such as 2024-05-17T12:00:00Z")]
    Form,
    /// No offset at the end, so the moment is unknown.
    #[error("no time zone: end it with Z or an offset such as +02:00")]
    NoOffset,
    /// A field beyond its range.
    #[error("no such {0}")]
    Range(&'static str),
    /// Second 60.
    #[error("second 60 (a leap second) has no place in time since 1970")]
    LeapSecond,
    /// More than nine digits that are not zero.
    #[error("finer than a nanosecond")]
    TooFine,
}

/// Reads an RFC 3339 time.
pub fn parse_rfc3339(text: &[u8]) -> Result<Time, TimeError> {
    let mut text = Cursor(text);
    let year = text.number(4)?;
    text.one_of(b"-")?;
    let month = in_range(text.number(2)?, 1..=12, "month")?;
    text.one_of(b"-")?;
    let day = in_range(text.number(2)?, 1..=days_in_month(year, month), "day")?;
    text.one_of(b"Tt ")?;
    let hour = in_range(text.number(2)?, 0..=23, "hour")?;
    text.one_of(b":")?;
    let minute = in_range(text.number(2)?, 0..=59, "minute")?;
    text.one_of(b":")?;
    let second = match text.number(2)? {
        60 => return Err(TimeError::LeapSecond),
        second => in_range(second, 0..=59, "second")?,
    };
    let nanos = text.fraction()?;
    let offset_minutes = text.offset()?;
    if !text.0.is_empty() {
        return Err(TimeError::Form);
    }
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    Ok(Time {
        epoch_ms: days_since_1970(year, month, day) * MS_PER_DAY + seconds * 1000 + i64::from(nanos / NANOS_PER_MS),
        nanos: nanos % NANOS_PER_MS,
    })
}

/// Milliseconds since 1970 as RFC 3339 text in UTC; years that have no four digits stay a number.
pub fn show_epoch_ms(epoch_ms: i64) -> impl fmt::Display {
    Shown(epoch_ms)
}

struct Shown(i64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(MS_PER_DAY), self.0.rem_euclid(MS_PER_DAY));
        let Some((year, month, day)) = date_of_day(days) else {
            return write!(f, "{} ms since 1970", self.0);
        };
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match ms % 1000 {
            0 => write!(f, "Z"),
            fraction => write!(f, ".{fraction:03}Z"),
        }
    }
}

/// What is left of the text.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn number(&mut self, digits: usize) -> Result<i64, TimeError> {
        let (head, tail) = self.0.split_at_checked(digits).ok_or(TimeError::Form)?;
        self.0 = tail;
        head.iter().try_fold(0, |number, byte| match byte {
            b'0'..=b'9' => Ok(number * 10 + i64::from(byte - b'0')),
            _ => Err(TimeError::Form),
        })
    }

    fn one_of(&mut self, allowed: &[u8]) -> Result<u8, TimeError> {
        let (first, tail) = self.0.split_first().ok_or(TimeError::Form)?;
        self.0 = tail;
        if allowed.contains(first) { Ok(*first) } else { Err(TimeError::Form) }
    }

    fn fraction(&mut self) -> Result<u32, TimeError> {
        let Some(tail) = self.0.strip_prefix(b".") else {
            return Ok(0);
        };
        let len = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return Err(TimeError::Form);
        }
        let (digits, tail) = tail.split_at(len);
        self.0 = tail;
        if digits.iter().skip(9).any(|digit| *digit != b'0') {
            return Err(TimeError::TooFine);
        }
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        Ok(padded.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0')))
    }

    /// Minutes east of UTC.
    fn offset(&mut self) -> Result<i64, TimeError> {
        if self.0.is_empty() {
            return Err(TimeError::NoOffset);
        }
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Ok(0),
        };
        let hours = in_range(self.number(2)?, 0..=23, "hour in the offset")?;
        self.one_of(b":")?;
        let minutes = in_range(self.number(2)?, 0..=59, "minute in the offset")?;
        Ok(sign * (hours * 60 + minutes))
    }
}

fn in_range(number: i64, range: std::ops::RangeInclusive<i64>, what: &'static str) -> Result<i64, TimeError> {
    if range.contains(&number) { Ok(number) } else { Err(TimeError::Range(what)) }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the first day of year 0 to the first day of `year`, for years from 0 on. Year 0 is a leap year.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    year * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) + 1
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let in_year = DAYS_BEFORE_MONTH[(month - 1) as usize] + i64::from(month > 2 && is_leap(year)) + day - 1;
    days_before_year(year) - days_before_year(1970) + in_year
}

/// Year, month and day of a day counted from 1970, if its year has four digits.
pub fn date_of_day(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(days_before_year(1970))?;
    // Leap days are not spread evenly, so the mean year may be one off either way.
    let guess = days.checked_mul(400)? / 146_097;
    let year =
        (guess - 1..=guess + 1).find(|year| (days_before_year(*year)..days_before_year(year + 1)).contains(&days))?;
    if !(0..=9999).contains(&year) {
        return None;
    }
    let in_year = days - days_before_year(year);
    let start = |month: i64| DAYS_BEFORE_MONTH[(month - 1) as usize] + i64::from(month > 2 && is_leap(year));
    let month = (1..=12).rev().find(|month| start(*month) <= in_year)?;
    Some((year, month, in_year - start(month) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        let time = parse_rfc3339(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(time.nanos, 0, "{text}");
        time.epoch_ms
    }

    #[test]
    fn known_moments_are_read() {
        assert_eq!(ms("1970-01-01T00:00:00Z"), 0);
        assert_eq!(ms("2001-09-09T01:46:40Z"), 1_000_000_000_000);
        assert_eq!(ms("1985-04-12T23:20:50.52Z"), 482_196_050_520);
        assert_eq!(ms("1969-12-31T23:59:59.999Z"), -1);
        assert_eq!(ms("2000-02-29T00:00:00z"), 951_782_400_000);
        assert_eq!(ms("0000-01-01T00:00:00Z"), -62_167_219_200_000);
        assert_eq!(ms("9999-12-31t23:59:59.999Z"), 253_402_300_799_999);
        assert_eq!(ms("2024-05-17 12:00:00Z"), ms("2024-05-17T12:00:00Z"));
    }

    #[test]
    fn an_offset_moves_the_moment_and_minus_zero_is_utc() {
        assert_eq!(ms("1996-12-19T16:39:57-08:00"), ms("1996-12-20T00:39:57Z"));
        assert_eq!(ms("1937-01-01T12:00:27.870+00:20"), ms("1937-01-01T11:40:27.870Z"));
        assert_eq!(ms("2024-01-01T00:00:00-00:00"), ms("2024-01-01T00:00:00Z"));
        assert_eq!(ms("2024-01-01T00:00:00+23:59"), ms("2023-12-31T00:01:00Z"));
    }

    #[test]
    fn what_is_finer_than_a_millisecond_is_kept_and_what_is_finer_than_a_nanosecond_is_refused() {
        let time = parse_rfc3339(b"1970-01-01T00:00:00.123456789Z").unwrap();
        assert_eq!(time, Time { epoch_ms: 123, nanos: 456_789 });
        assert_eq!(time.epoch_ms_ceil(), 124);
        let before = parse_rfc3339(b"1969-12-31T23:59:59.9995Z").unwrap();
        assert_eq!(before, Time { epoch_ms: -1, nanos: 500_000 });
        assert_eq!(ms("1970-01-01T00:00:00.100000000000Z"), 100);
        assert_eq!(parse_rfc3339(b"1970-01-01T00:00:00.1234567891Z"), Err(TimeError::TooFine));
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_reason() {
        use TimeError::*;
        for (text, reason) in [
            ("", Form),
            ("2024", Form),
            ("2024-05-17", Form),
            ("2024-05-17T12:00Z", Form),
            ("2024-05-17T12:00:00", NoOffset),
            ("2024-05-17T12:00:00.Z", Form),
            ("2024-05-17T12:00:00Zjunk", Form),
            ("2024-05-17T12:00:00+0200", Form),
            ("2024-05-17T12:00:00+24:00", Range("hour in the offset")),
            ("2024-13-17T12:00:00Z", Range("month")),
            ("2024-00-17T12:00:00Z", Range("month")),
            ("2023-02-29T12:00:00Z", Range("day")),
            ("1900-02-29T12:00:00Z", Range("day")),
            ("2024-04-31T12:00:00Z", Range("day")),
            ("2024-04-00T12:00:00Z", Range("day")),
            ("2024-05-17T24:00:00Z", Range("hour")),
            ("2024-05-17T12:60:00Z", Range("minute")),
            ("2024-05-17T12:00:61Z", Range("second")),
            ("2016-12-31T23:59:60Z", LeapSecond),
            ("-024-05-17T12:00:00Z", Form),
            ("2024-05-17T12:00:00\u{2212}02:00", Form),
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn ten_thousand_years_of_days_are_shown_and_read_back_one_after_the_other() {
        let first = ms("0000-01-01T00:00:00Z");
        let mut previous = String::new();
        let days = (ms("9999-12-31T00:00:00Z") - first) / MS_PER_DAY;
        for day in (0..=days).step_by(5) {
            let text = show_epoch_ms(first + day * MS_PER_DAY).to_string();
            assert_eq!(ms(&text), first + day * MS_PER_DAY, "{text}");
            assert!(text > previous, "{previous} then {text}");
            previous = text;
        }
        assert_eq!(days, 3_652_424);
    }

    #[test]
    fn moments_outside_the_four_digit_years_are_shown_as_numbers() {
        assert_eq!(show_epoch_ms(1_715_947_200_123).to_string(), "2024-05-17T12:00:00.123Z");
        for beyond in [i64::MAX, i64::MIN, 253_402_300_800_000, -62_167_219_200_001] {
            assert_eq!(show_epoch_ms(beyond).to_string(), format!("{beyond} ms since 1970"));
        }
    }
}
