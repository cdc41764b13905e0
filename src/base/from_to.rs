//! From where to where to read a topic, in the dialects that people bring along: kcat's, rpk's and that of Apache's tools.
//!
//! | typed | is |
//! | --- | --- |
//! | `beginning` `earliest` `start` `oldest` | the first offset there is |
//! | `end` `latest` `newest` | the end as it is now |
//! | `N` | offset N |
//! | `-N` | N offsets before the end, of each partition |
//! | `+N` | as a start, N offsets behind the first one there is; as an end, N offsets behind the start |
//! | `A:B`, `A:`, `:B` | from A up to B, each one of the above |
//! | `@TIME` | the first record that is not older |
//! | `@A:B`, `@A:`, `@:B` | from one time up to another |
//! | `s@TIME`, `e@TIME` | kcat's way to say `@TIME:` and `@:TIME` |
//! | `TOPIC:PARTITION=OFFSET,...` | an offset for each partition, as `merge` prints them |
//!
//! A TIME is RFC 3339, a day (`2024-05-17`, UTC), milliseconds since 1970, or a duration from now (`-2h`, `-1h30m`). As the
//! second of two, a duration counts from the first one where that is a time of its own, and from now where it is a duration
//! itself; `end` is allowed there as well. An end is always the first thing that is not read.
//!
//! Non-obvious: rpk takes a number of nine digits for seconds, `merge` for milliseconds. Nine and ten digits are therefore
//! refused behind a bare `@` (both ways to say it are named), and are milliseconds behind `s@` and `e@`, as kcat has it.

use super::ends::{Bound, BoundError, Ends};
use super::text::{did_you_mean, excerpt};
use super::time;
use super::units::parse_durations;
use std::fmt;
use std::str::FromStr;

const WORDS: [&str; 7] = ["beginning", "earliest", "start", "oldest", "end", "latest", "newest"];

/// A place in each of some partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The first offset there is.
    Earliest,
    /// The end as it is now.
    Latest,
    /// This offset.
    Offset(i64),
    /// So many offsets before the end.
    BeforeEnd(i64),
    /// So many offsets behind the start.
    AfterStart(i64),
    /// The first record that is not older.
    At(Moment),
    /// An offset for each partition.
    Offsets(Ends),
}

/// A time, as far as it can be known without a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since 1970.
    Ms(i64),
    /// Milliseconds from now on; below zero in the past.
    FromNow(i64),
}

impl Moment {
    /// In milliseconds since 1970, if that is what it is `now`.
    pub fn epoch_ms(self, now: i64) -> i64 {
        match self {
            Self::Ms(ms) => ms,
            Self::FromNow(ms) => now.saturating_add(ms).max(0),
        }
    }
}

impl FromStr for Moment {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        kcat_moment(text)
    }
}

/// From where to where; what is not said is left to who reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FromTo {
    /// The first thing that is read.
    pub from: Option<Spot>,
    /// The first thing that is not.
    pub to: Option<Spot>,
}

impl FromTo {
    /// Both together; neither may say what the other one says.
    pub fn and(self, other: Self) -> Result<Self, String> {
        let one = |what: &str, a: Option<Spot>, b: Option<Spot>| match (a, b) {
            (Some(a), Some(b)) if a != b => Err(format!("two {what}s are given, {a} and {b}")),
            (a, b) => Ok(a.or(b)),
        };
        Ok(Self { from: one("start", self.from, other.from)?, to: one("end", self.to, other.to)? })
    }
}

impl FromStr for FromTo {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        let text = text.trim();
        let from = |spot| Self { from: Some(spot), to: None };
        let to = |spot| Self { from: None, to: Some(spot) };
        if let Some(times) = text.strip_prefix('@') {
            return read_times(times);
        }
        if let Some(time) = text.strip_prefix("s@") {
            return Ok(from(Spot::At(kcat_moment(time)?)));
        }
        if let Some(time) = text.strip_prefix("e@") {
            return Ok(to(Spot::At(kcat_moment(time)?)));
        }
        if text.contains('=') {
            return Ok(from(Spot::Offsets(text.parse()?)));
        }
        match text.split_once(':') {
            None => Ok(from(read_spot(text)?)),
            Some(("", "")) => Err(wrong(text, "a colon stands between a start and an end")),
            Some(("", end)) => Ok(to(read_spot(end)?)),
            Some((start, "")) => Ok(from(read_spot(start)?)),
            Some((start, end)) => Ok(Self { from: Some(read_spot(start)?), to: Some(read_spot(end)?) }),
        }
    }
}

/// One place alone, as it is typed for an end.
impl FromStr for Spot {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        let text = text.trim();
        if let Some(time) = text.strip_prefix('@') {
            return match read_moment(time) {
                Err(error) if time.contains(':') && read_times(time).is_ok() => {
                    drop(error);
                    Err(wrong(text, "one place is wanted here; a range goes with --start"))
                }
                moment => moment.map(Spot::At),
            };
        }
        if let Some(time) = text.strip_prefix("e@").or_else(|| text.strip_prefix("s@")) {
            return kcat_moment(time).map(Spot::At);
        }
        if text.contains('=') {
            return text.parse().map(Spot::Offsets);
        }
        if text.contains(':') {
            return Err(wrong(text, "one place is wanted here; a range goes with --start"));
        }
        read_spot(text)
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::BeforeEnd(offsets) => write!(f, "-{offsets}"),
            Self::AfterStart(offsets) => write!(f, "+{offsets}"),
            Self::At(Moment::Ms(ms)) => write!(f, "@{}", time::show_epoch_ms(*ms)),
            Self::At(Moment::FromNow(ms)) => write!(f, "@{ms}ms"),
            Self::Offsets(ends) => ends.fmt(f),
        }
    }
}

/// What `merge` and `check` take is understood here as well.
impl From<Bound> for Spot {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Earliest => Self::Earliest,
            Bound::Latest => Self::Latest,
            Bound::Offset(offset) => Self::Offset(offset),
            Bound::Time(ms) => Self::At(Moment::Ms(ms)),
            Bound::Offsets(ends) => Self::Offsets(ends),
        }
    }
}

fn wrong(text: &str, why: &str) -> BoundError {
    BoundError::new(format!("{}: {why}", excerpt(text.as_bytes())))
}

fn read_spot(text: &str) -> Result<Spot, BoundError> {
    match text {
        "beginning" | "earliest" | "start" | "oldest" => return Ok(Spot::Earliest),
        "end" | "latest" | "newest" => return Ok(Spot::Latest),
        "stored" => {
            return Err(wrong(text, "where a reader stopped is stored for consumer groups; without one, say a place"));
        }
        _ => {}
    }
    let signed = |sign: char| text.strip_prefix(sign).and_then(digits);
    let spot = None
        .or_else(|| signed('-').map(Spot::BeforeEnd))
        .or_else(|| signed('+').map(Spot::AfterStart))
        .or_else(|| digits(text).map(Spot::Offset));
    spot.ok_or_else(|| {
        wrong(
            text,
            &format!(
                "no place to start or end: give an offset, -N (before the end), +N, earliest, latest, FROM:TO, @TIME, \
                 @TIME:TIME or TOPIC:PARTITION=OFFSET,...{}",
                did_you_mean(text, WORDS)
            ),
        )
    })
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// What stands behind `@`: one time, or two with a colon between them, of which there are others in the times themselves.
fn read_times(text: &str) -> Result<FromTo, BoundError> {
    let at = |moment| Some(Spot::At(moment));
    if let Some(end) = text.strip_prefix(':') {
        return Ok(FromTo { from: None, to: Some(second_time(None, end)?) });
    }
    let whole = match read_moment(text) {
        Ok(moment) => return Ok(FromTo { from: past(moment, text)?, to: None }),
        Err(error) => error,
    };
    for (colon, _) in text.match_indices(':') {
        let (start, end) = (&text[..colon], &text[colon + 1..]);
        let Ok(start) = read_moment(start) else { continue };
        let to = match end {
            "" => None,
            end => match second_time(Some(start), end) {
                Ok(spot) => Some(spot),
                // `@2024-05-17T12:00:00+02:00` could be cut at its last colon as well.
                Err(error) if text[colon + 1..].contains(':') => {
                    drop(error);
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        if let (Some(Spot::At(to)), Moment::Ms(from)) = (&to, start)
            && matches!(to, Moment::Ms(to) if *to < from)
        {
            return Err(wrong(text, "the second time lies before the first one"));
        }
        return Ok(FromTo { from: at(start), to });
    }
    Err(whole)
}

/// A start in the future is a slip: nothing could be read yet.
fn past(moment: Moment, text: &str) -> Result<Option<Spot>, BoundError> {
    match moment {
        Moment::FromNow(ms) if ms > 0 => {
            Err(wrong(text, &format!("a start in the future; {text} ago is written @-{text}")))
        }
        moment => Ok(Some(Spot::At(moment))),
    }
}

fn second_time(first: Option<Moment>, text: &str) -> Result<Spot, BoundError> {
    if text == "end" {
        return Ok(Spot::Latest);
    }
    Ok(Spot::At(match (first, read_moment(text)?) {
        (Some(Moment::Ms(start)), Moment::FromNow(ms)) => Moment::Ms(start.saturating_add(ms)),
        (_, moment) => moment,
    }))
}

/// kcat's times are milliseconds, however many.
fn kcat_moment(text: &str) -> Result<Moment, BoundError> {
    digits(text).map_or_else(|| read_moment(text), |ms| Ok(Moment::Ms(ms)))
}

fn read_moment(text: &str) -> Result<Moment, BoundError> {
    if let Some(ms) = digits(text) {
        return match text.len() {
            9 | 10 => Err(wrong(
                text,
                &format!("seconds or milliseconds? Write @{text}000 for seconds, s@{text} for milliseconds"),
            )),
            _ => Ok(Moment::Ms(ms)),
        };
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    if let Ok(duration) = parse_durations(text.trim_start_matches(['-', '+'])) {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        return Ok(Moment::FromNow(sign * ms));
    }
    let day = format!("{text}T00:00:00Z");
    let is_day = text.len() == "2024-05-17".len() && !text.contains(['T', 't', ':']);
    let read = if is_day { time::parse_rfc3339(day.as_bytes()) } else { time::parse_rfc3339(text.as_bytes()) };
    let time = read.map_err(|error| {
        wrong(text, &format!("{error}, nor a day, milliseconds since 1970, or a duration from now such as -2h"))
    })?;
    match time.epoch_ms_ceil() {
        ms if ms >= 0 => Ok(Moment::Ms(ms)),
        _ => Err(wrong(text, "times before 1970 cannot be looked up")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAY_17: i64 = 1_715_904_000_000;

    fn ms(ms: i64) -> Spot {
        Spot::At(Moment::Ms(ms))
    }

    fn now(ms: i64) -> Spot {
        Spot::At(Moment::FromNow(ms))
    }

    #[test]
    fn every_dialect_is_read() {
        let hour = 3_600_000;
        let list: Ends = "t:0=5".parse().unwrap();
        let (earliest, latest) = (Some(Spot::Earliest), Some(Spot::Latest));
        for (text, from, to) in [
            // kcat
            ("beginning", earliest.clone(), None),
            ("end", latest.clone(), None),
            ("17", Some(Spot::Offset(17)), None),
            ("-17", Some(Spot::BeforeEnd(17)), None),
            ("s@1715904000000", Some(ms(MAY_17)), None),
            ("e@1715904000000", None, Some(ms(MAY_17))),
            ("s@123456789", Some(ms(123_456_789)), None),
            // rpk
            ("start", earliest.clone(), None),
            (":end", None, latest.clone()),
            ("+3", Some(Spot::AfterStart(3)), None),
            ("5:", Some(Spot::Offset(5)), None),
            (":5", None, Some(Spot::Offset(5))),
            ("5:9", Some(Spot::Offset(5)), Some(Spot::Offset(9))),
            ("@1715904000000", Some(ms(MAY_17)), None),
            ("@1715904000000:", Some(ms(MAY_17)), None),
            ("@:1715904000000", None, Some(ms(MAY_17))),
            ("@2024-05-17", Some(ms(MAY_17)), None),
            ("@2024-05-17:1h", Some(ms(MAY_17)), Some(ms(MAY_17 + hour))),
            ("@-48h:-24h", Some(now(-48 * hour)), Some(now(-24 * hour))),
            ("@-1m:end", Some(now(-60_000)), latest.clone()),
            ("@:-1h", None, Some(now(-hour))),
            ("@-1h30m", Some(now(-hour - 1_800_000)), None),
            // Apache
            ("earliest", earliest.clone(), None),
            ("latest", latest.clone(), None),
            // and between them
            ("oldest", earliest.clone(), None),
            ("newest", latest.clone(), None),
            ("start:+10", earliest.clone(), Some(Spot::AfterStart(10))),
            ("-10:end", Some(Spot::BeforeEnd(10)), latest),
            ("@2024-05-17T00:00:00Z", Some(ms(MAY_17)), None),
            ("@2024-05-17T02:00:00+02:00", Some(ms(MAY_17)), None),
            ("@2024-05-17T00:00:00Z:2024-05-17T01:00:00Z", Some(ms(MAY_17)), Some(ms(MAY_17 + hour))),
            ("@2024-05-17T02:00:00+02:00:2024-05-17T03:00:00+02:00", Some(ms(MAY_17)), Some(ms(MAY_17 + hour))),
            ("@2024-05-17T02:00:00+02:00:1h", Some(ms(MAY_17)), Some(ms(MAY_17 + hour))),
            ("@1000:2000", Some(ms(1000)), Some(ms(2000))),
            (" t:0=5 ", Some(Spot::Offsets(list)), None),
        ] {
            let read: FromTo = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, FromTo { from, to }, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_nearest_word() {
        for (text, part) in [
            ("", "no place to start"),
            ("begining", "did you mean beginning?"),
            ("lates", "did you mean latest?"),
            ("stored", "consumer groups"),
            ("- 3", "no place to start"),
            ("+-3", "no place to start"),
            ("5-9", "FROM:TO"),
            (":", "between a start and an end"),
            ("5:9:12", "\"9:12\""),
            ("a:b", "\"a\""),
            ("99999999999999999999", "no place to start"),
            ("@", "not an RFC 3339 time"),
            ("@yesterday", "a duration from now such as -2h"),
            ("@2024-05-17T12:00:00", "no time zone"),
            ("@2024-05-17:yesterday", "\"yesterday\""),
            ("@1715904000", "Write @1715904000000 for seconds, s@1715904000 for milliseconds"),
            ("@1h", "a start in the future; 1h ago is written @-1h"),
            ("@2000:1000", "the second time lies before the first one"),
            ("@1969-12-31", "before 1970"),
            ("@-1fortnight", "a duration from now"),
            ("t:0", "\"t\""),
            ("t:0=x", "the offset is no whole number"),
            ("a\x1b[2J", "\\x1b"),
        ] {
            let error = text.parse::<FromTo>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_end_alone_is_one_place() {
        for (text, spot) in [
            ("latest", Spot::Latest),
            ("7", Spot::Offset(7)),
            ("+7", Spot::AfterStart(7)),
            ("-7", Spot::BeforeEnd(7)),
            ("@2024-05-17", ms(MAY_17)),
            ("e@5", ms(5)),
            ("@-2h", now(-7_200_000)),
        ] {
            assert_eq!(text.parse(), Ok(spot), "{text}");
        }
        for text in ["1:2", ":2", "@1000:2000", "@2024-05-17:1h"] {
            assert!(text.parse::<Spot>().unwrap_err().to_string().contains("a range goes with --start"), "{text}");
        }
    }

    #[test]
    fn a_start_and_an_end_that_come_apart_go_together_and_two_starts_do_not() {
        let read = |text: &str| text.parse::<FromTo>().unwrap();
        assert_eq!(read("s@5").and(read("e@9")).unwrap(), read("@5:9"));
        assert_eq!(read("5").and(read("5:9")).unwrap(), read("5:9"));
        assert_eq!(read("5").and(read("6")).unwrap_err(), "two starts are given, 5 and 6");
    }

    #[test]
    fn a_time_from_now_needs_a_clock() {
        assert_eq!(Moment::FromNow(-500).epoch_ms(2000), 1500);
        assert_eq!(Moment::FromNow(-5000).epoch_ms(2000), 0);
        assert_eq!(Moment::Ms(7).epoch_ms(2000), 7);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[@:+=a-zTZ0-9é. -]{0,32}") {
            let _ = (text.parse::<FromTo>(), text.parse::<Spot>(), text.parse::<Moment>());
        }
    }
}
