//! A sum that does not depend on the order of what is added: whole numbers in 128 bits, doubles as a few doubles that together are
//! their exact sum (Shewchuk's expansions).

use super::super::seen::Number;
use std::io::Write as _;

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct ExactSum {
    /// More than 2^64 numbers would be needed to leave 128 bits.
    whole: i128,
    /// None overlaps another one, the smallest first.
    parts: Vec<f64>,
    /// The same of doubles that are so large that their sum might leave a double's range; a great deal smaller than they are.
    huge: Vec<f64>,
    /// Whether a number came that is not whole, or that is beyond 64 bits.
    has_doubles: bool,
}

impl ExactSum {
    #[inline]
    pub(super) fn add(&mut self, number: Number) {
        match number {
            Number::Whole(whole) => self.whole = self.whole.saturating_add(whole.into()),
            Number::Double(double) => {
                self.has_doubles = true;
                match double.abs() < HUGE {
                    true => grow(&mut self.parts, double),
                    false => grow(&mut self.huge, double * SMALLER),
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.whole = self.whole.saturating_add(other.whole);
        self.has_doubles |= other.has_doubles;
        other.parts.iter().for_each(|part| grow(&mut self.parts, *part));
        other.huge.iter().for_each(|part| grow(&mut self.huge, *part));
    }

    /// The sum as JSON, exact where all were whole; null where it is beyond a double.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.has_doubles {
            false => _ = write!(out, "{}", self.whole),
            true => super::write_double(Some(self.total()), out),
        }
    }

    /// The sum by a count.
    pub(super) fn by(&self, count: u64) -> Option<f64> {
        (count > 0).then(|| self.total() / count as f64)
    }

    /// What it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        (self.parts.capacity() + self.huge.capacity()) * size_of::<f64>()
    }

    /// All that it is: the whole numbers' sum, the doubles, the huge ones, and whether there were any.
    pub(super) fn parts(&self) -> (i128, [&[f64]; 2], bool) {
        (self.whole, [&self.parts, &self.huge], self.has_doubles)
    }

    /// One that is this.
    pub(super) fn of_parts(whole: i128, [parts, huge]: [Vec<f64>; 2], has_doubles: bool) -> Self {
        Self { whole, parts, huge, has_doubles }
    }

    /// The double that is nearest to the sum.
    fn total(&self) -> f64 {
        const DIGIT: i128 = 1 << 48;
        let mut parts = self.parts.clone();
        // Each digit is exact in a double, and so is each power of two.
        let digits = [self.whole % DIGIT, self.whole / DIGIT % DIGIT, self.whole / DIGIT / DIGIT];
        for (digit, scale) in digits.into_iter().zip([1.0, DIGIT as f64, DIGIT as f64 * DIGIT as f64]) {
            grow(&mut parts, digit as f64 * scale);
        }
        if self.huge.iter().all(|part| *part == 0.0) {
            return rounded(&parts);
        }
        // Beside them the others are small, and exact unless they are nothing beside them.
        let mut all = self.huge.clone();
        parts.iter().for_each(|part| grow(&mut all, part * SMALLER));
        rounded(&all) / SMALLER
    }
}

/// 2^960: 2^64 doubles below it add up to less than the largest one.
const HUGE: f64 = f64::from_bits((1023 + 960) << 52);
/// 2^-128, by which huge ones are kept smaller, exactly.
const SMALLER: f64 = f64::from_bits((1023 - 128) << 52);

/// Adds to parts, which stay such that none overlaps another one.
fn grow(parts: &mut Vec<f64>, double: f64) {
    let mut carried = double;
    let mut kept = 0;
    for at in 0..parts.len() {
        let part = parts[at];
        let (large, small) = if carried.abs() < part.abs() { (part, carried) } else { (carried, part) };
        let sum = large + small;
        let rest = small - (sum - large);
        if rest != 0.0 {
            parts[kept] = rest;
            kept += 1;
        }
        carried = sum;
    }
    parts.truncate(kept);
    parts.push(carried);
}

/// The double that is nearest to what the parts are together, the even one of two that are as near.
fn rounded(parts: &[f64]) -> f64 {
    let mut smaller = parts.iter().rev().copied();
    let mut sum = smaller.next().unwrap_or_default();
    let mut rest = 0.0;
    for part in smaller.by_ref() {
        let before = sum;
        sum = before + part;
        rest = part - (sum - before);
        if rest != 0.0 {
            break;
        }
    }
    // Where the rest is exactly half of the last place, what is smaller still decides.
    if let Some(next) = smaller.next()
        && (rest < 0.0) == (next < 0.0)
        && rest != 0.0
    {
        let doubled = rest * 2.0;
        let candidate = sum + doubled;
        if candidate - sum == doubled {
            sum = candidate;
        }
    }
    sum
}
