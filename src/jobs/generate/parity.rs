//! Even numbers, or odd ones: counted up, so that a gap or a repeat shows; or drawn.

use super::random::SplitMix64;
use super::stream::Samples;
use crate::jobs::error::JobError;
use std::io::Write as _;
use std::ops::RangeInclusive;

/// Which integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParitySettings {
    /// The even ones, or the odd ones.
    pub even: bool,
    /// Drawn evenly from this range; counted up from 0 or 1, if absent.
    pub drawn_from: Option<RangeInclusive<i64>>,
}

pub(super) struct Parity {
    /// The next one, where they are counted.
    next: i64,
    /// The least of the drawn ones, and how many there are to draw from.
    drawn: Option<(i64, u64)>,
    random: SplitMix64,
}

impl Parity {
    pub(super) fn new(settings: &ParitySettings, seed: u64) -> Result<Self, JobError> {
        let odd = i64::from(!settings.even);
        let drawn = settings.drawn_from.as_ref().map(|range| drawn(range, odd)).transpose()?;
        Ok(Self { next: odd, drawn, random: SplitMix64::new(seed, 0) })
    }
}

/// The least number of that parity in the range, and how many there are.
fn drawn(range: &RangeInclusive<i64>, odd: i64) -> Result<(i64, u64), JobError> {
    let (start, end) = (i128::from(*range.start()), i128::from(*range.end()));
    let least = start + i128::from((range.start() & 1) != odd);
    if least > end {
        let parity = if odd == 1 { "odd" } else { "even" };
        return Err(JobError::Usage(format!("there is no {parity} number from --min {start} to --max {end}")));
    }
    // At most 2^63 of them.
    Ok((least as i64, ((end - least) / 2 + 1) as u64))
}

impl Samples for Parity {
    fn next(&mut self, _: i64, _: &mut Option<Vec<u8>>, value: &mut Vec<u8>) -> bool {
        let number = match self.drawn {
            Some((least, count)) => (i128::from(least) + 2 * i128::from(self.random.below(count))) as i64,
            None => self.next,
        };
        let _ = write!(value, "{number}");
        let following = self.next.checked_add(2);
        self.next = following.unwrap_or(self.next);
        following.is_some() || self.drawn.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(even: bool, drawn_from: Option<RangeInclusive<i64>>, count: usize) -> Vec<i64> {
        let mut parity = Parity::new(&ParitySettings { even, drawn_from }, 7).unwrap();
        let mut next = || {
            let mut value = Vec::new();
            assert!(parity.next(0, &mut None, &mut value));
            String::from_utf8(value).unwrap().parse().unwrap()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn they_are_counted_from_the_first_one_without_a_gap() {
        assert_eq!(numbers(true, None, 4), [0, 2, 4, 6]);
        assert_eq!(numbers(false, None, 3), [1, 3, 5]);
    }

    #[test]
    fn drawn_ones_lie_in_the_range_and_are_the_same_for_a_seed() {
        for (range, even) in
            [(-5..=5, true), (-5..=5, false), (i64::MIN..=i64::MAX, false), (i64::MIN..=i64::MAX, true)]
        {
            let drawn = numbers(even, Some(range.clone()), 1000);
            assert!(drawn.iter().all(|number| range.contains(number) && (number % 2 == 0) == even));
            assert_eq!(drawn, numbers(even, Some(range), 1000));
        }
        assert_eq!(numbers(true, Some(-3..=-2), 3), [-2; 3]);
    }

    #[test]
    fn a_range_without_such_a_number_is_refused() {
        for (even, range) in [(true, 3..=3), (false, -2..=-2)] {
            let error = Parity::new(&ParitySettings { even, drawn_from: Some(range) }, 1).err().unwrap();
            assert!(error.to_string().contains("--min"), "{error}");
        }
    }
}
