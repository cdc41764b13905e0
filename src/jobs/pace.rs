//! So many records a second: when each is due.
//!
//! The times are those of a plan that was made at the start, not of the record before: who was held up catches up, and a
//! timer that is late each time does not lower the rate.

use std::time::Duration;
use tokio::time::Instant;

/// Records at even intervals; or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    nanos_per_record: Option<f64>,
}

impl Pace {
    /// As fast as it goes.
    pub const FREE: Self = Self { nanos_per_record: None };

    /// One record in each interval.
    pub fn interval(interval: Duration) -> Result<Self, String> {
        match interval.is_zero() {
            true => Err("an interval of nothing is no pace: leave it out to go as fast as possible".to_owned()),
            false => Ok(Self { nanos_per_record: Some(interval.as_nanos() as f64) }),
        }
    }

    /// So many records a second.
    pub fn rate(records_per_second: f64) -> Result<Self, String> {
        let nanos = 1e9 / records_per_second;
        match records_per_second > 0.0 && nanos.is_finite() && nanos > 0.0 {
            true => Ok(Self { nanos_per_record: Some(nanos) }),
            false => Err(format!(
                "a rate of {records_per_second} records a second would never end: give a number above 0, or leave it out to \
                 go as fast as possible"
            )),
        }
    }

    /// Whether there is one.
    pub fn is_free(&self) -> bool {
        self.nanos_per_record.is_none()
    }

    /// When the record with so many before it is due, for who began at `began`; `None` is at once.
    #[inline]
    pub fn due(&self, began: Instant, before: u64) -> Option<Instant> {
        Some(began + self.after(before)?)
    }

    /// The same since the beginning.
    pub fn after(&self, before: u64) -> Option<Duration> {
        let nanos = self.nanos_per_record? * before as f64;
        // A century is late enough.
        Some(Duration::from_nanos(nanos.min(3.2e18) as u64))
    }
}

/// Reads `--rate`.
pub fn parse_rate(text: &str) -> Result<Pace, String> {
    let number = text.trim().parse::<f64>().map_err(|_| format!("{text:?} is not a rate: write it like 500 or 0.5"))?;
    Pace::rate(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_by_the_plan_and_not_by_the_one_before() {
        let pace = parse_rate("3").unwrap();
        assert_eq!(pace.after(0), Some(Duration::ZERO));
        assert_eq!(pace.after(3_000_000).map(|after| after.as_secs()), Some(1_000_000), "no error adds up");
        assert_eq!(Pace::interval(Duration::from_secs(2)).unwrap().after(5), Some(Duration::from_secs(10)));
        assert_eq!(Pace::FREE.after(5), None);
        assert!(parse_rate("0.001").unwrap().after(u64::MAX).is_some());
    }

    #[test]
    fn a_rate_that_would_never_end_is_refused() {
        for wrong in ["0", "-1", "NaN", "inf", "-0.0", "fast", ""] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        assert!(Pace::interval(Duration::ZERO).is_err());
    }
}
