//! A minute of a record's time.

use crate::base::time::{parse_rfc3339, show_epoch_ms};
use serde_json::Value;
use std::fmt;

const MINUTE_MS: i64 = 60_000;

/// A minute, counted from 1970 in UTC. Times before that have minutes below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(i64);

impl Minute {
    /// The minute of a time in milliseconds since 1970, whatever that is.
    #[inline]
    pub fn of(timestamp_ms: i64) -> Self {
        Self(timestamp_ms.div_euclid(MINUTE_MS))
    }

    /// Its first millisecond that can be told.
    pub fn start_ms(self) -> i64 {
        self.0.saturating_mul(MINUTE_MS)
    }

    /// As a ledger has it: RFC 3339, or milliseconds where the year has no four digits.
    pub fn to_json(self) -> Value {
        let text = self.to_string();
        if parse_rfc3339(text.as_bytes()).is_ok() { text.into() } else { self.start_ms().into() }
    }

    /// Reads what [`Self::to_json`] gives, or any other time in the minute.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => parse_rfc3339(text.as_bytes()).ok().map(|time| Self::of(time.epoch_ms)),
            value => value.as_i64().map(Self::of),
        }
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_epoch_ms(self.start_ms()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_there_is_has_a_minute_that_is_shown_and_read_back() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (59_999, "1970-01-01T00:00:00Z"),
            (60_000, "1970-01-01T00:01:00Z"),
            (-1, "1969-12-31T23:59:00Z"),
            (i64::MAX, "9223372036854720000 ms since 1970"),
            (i64::MIN, "-9223372036854775808 ms since 1970"),
        ] {
            let minute = Minute::of(ms);
            assert_eq!(minute.to_string(), shown);
            assert_eq!(Minute::from_json(&minute.to_json()), Some(minute), "{ms}");
        }
        assert_eq!(Minute::from_json(&"1970-01-01T01:01:59+01:00".into()), Some(Minute::of(60_000)));
        for wrong in [Value::Null, "now".into(), 1.5.into(), u64::MAX.into()] {
            assert_eq!(Minute::from_json(&wrong), None, "{wrong}");
        }
    }
}
