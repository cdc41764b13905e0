//! Sizes and durations as people write them: `64MiB`, `1.5GB`, `30s`, `200ms`.

use std::time::Duration;

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
];

const DURATIONS_MS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a size in bytes: a number and an optional unit (`k`, `KiB`, `kB`, `MiB`, `MB`, `GiB`, `GB`).
pub fn parse_size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let (_, scale) = SIZES
        .iter()
        .find(|(name, _)| *name == unit.to_ascii_lowercase())
        .ok_or_else(|| format!("{text:?} is not a size: write it like 64MiB, 500KB or 1048576"))?;
    scaled(number, *scale)
        .map(|bytes| bytes as usize)
        .ok_or_else(|| format!("{text:?} is not a size: write it like 64MiB, 500KB or 1048576"))
}

/// Reads a duration: a number and a unit (`ms`, `s`, `m`, `h`, `d`).
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write it like 30s, 500ms, 5m or 2h");
    let (number, unit) = split(text);
    let (_, scale) = DURATIONS_MS.iter().find(|(name, _)| *name == unit.to_ascii_lowercase()).ok_or_else(wrong)?;
    scaled(number, *scale).map(Duration::from_millis).ok_or_else(wrong)
}

/// Reads durations one after the other, the largest unit first or not: `1h30m`, `1m3ms`; one alone is fine.
pub fn parse_durations(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write it like 2h, 1h30m or 500ms");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let end = rest[unit..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |length| unit + length);
        sum = sum.checked_add(parse_duration(&rest[..end]).map_err(|_| wrong())?).ok_or_else(wrong)?;
        rest = &rest[end..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}

/// Reads a share of a whole: `10%` or `0.1`.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |number| (number, 100.0));
    let share = number.parse::<f64>().ok().map(|number| number / whole);
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is not a share: write it like 10% or 0.1"))
}

/// Milliseconds as [`parse_duration`] reads them, in the largest unit that they are whole in: `10m`, `90s`, `1500ms`.
pub fn show_duration_ms(ms: u64) -> String {
    let whole = DURATIONS_MS.iter().rev().find(|(_, scale)| ms >= *scale && ms.is_multiple_of(*scale));
    let (name, scale) = whole.unwrap_or(&("ms", 1));
    format!("{}{name}", ms / scale)
}

/// A size as people read it: `64 MiB`, `1.5 GiB`, `17 B`.
pub fn show_size(bytes: u64) -> String {
    let (unit, scale) = match bytes {
        b if b >= 1 << 30 => ("GiB", 1u64 << 30),
        b if b >= 1 << 20 => ("MiB", 1 << 20),
        b if b >= 1 << 10 => ("KiB", 1 << 10),
        b => return format!("{b} B"),
    };
    let value = bytes as f64 / scale as f64;
    if value.fract() < 0.05 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A count with thin separators: `1,000,000`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).filter(|v| *v <= i64::MAX as u64);
    }
    let value = number.parse::<f64>().ok()? * scale as f64;
    (value.is_finite() && value <= i64::MAX as f64).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("500 kB"), Ok(500_000));
        assert_eq!(parse_size("1.5g"), Ok(3 << 29));
        assert_eq!(parse_size("17"), Ok(17));
        for wrong in ["", "MiB", "-1", "64 furlongs", "99999999999999999999", "1e3"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("30").is_err());
    }

    #[test]
    fn durations_may_be_put_together() {
        assert_eq!(parse_durations("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_durations("1m3ms"), Ok(Duration::from_millis(60_003)));
        assert_eq!(parse_durations("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "5", "h", "1h-3m", "1h 3m", "1h3", "é", "1é"] {
            assert!(parse_durations(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_lies_between_nothing_and_all() {
        assert_eq!((parse_share("10%"), parse_share("0.5"), parse_share("100%")), (Ok(0.1), Ok(0.5), Ok(1.0)));
        for wrong in ["10", "-1%", "101%", "%", "NaN", ""] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_and_sizes_are_shown_as_people_read_them() {
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(7), "7");
        assert_eq!(show_size(64 << 20), "64 MiB");
        assert_eq!(show_size(3 << 29), "1.5 GiB");
        assert_eq!(show_size(17), "17 B");
    }
}
