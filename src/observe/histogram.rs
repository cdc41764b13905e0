//! How numbers are spread: counts by size, exact up to 127, beyond that to within 1.6 %, in 30 KiB whatever comes.
//!
//! A bucket is named by the highest bit of a number and the six bits behind it, so buckets are as wide as a sixty-fourth of
//! what is in them, and putting a number in costs a shift and an addition.

const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
/// Numbers below this have a bucket each.
const EXACT_BELOW: u64 = 2 * FINE as u64;
const BUCKETS: usize = EXACT_BELOW as usize + (63 - FINE_BITS as usize) * FINE;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, largest: 0 }
    }
}

#[inline(always)]
fn bucket(value: u64) -> usize {
    if value < EXACT_BELOW {
        return value as usize;
    }
    let high = 63 - value.leading_zeros();
    let fine = (value >> (high - FINE_BITS)) as usize & (FINE - 1);
    EXACT_BELOW as usize + (high - FINE_BITS - 1) as usize * FINE + fine
}

/// The largest number in a bucket.
fn last_of(bucket: usize) -> u64 {
    let Some(beyond) = bucket.checked_sub(EXACT_BELOW as usize) else { return bucket as u64 };
    let high = (beyond / FINE) as u32 + FINE_BITS + 1;
    let width = 1_u64 << (high - FINE_BITS);
    let first = (FINE + beyond % FINE) as u64 * width;
    first + (width - 1)
}

impl Histogram {
    /// Puts a number in.
    #[inline]
    pub fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.largest = self.largest.max(value);
    }

    /// Puts in what is in `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.largest = self.largest.max(other.largest);
    }

    /// Empties it.
    pub fn clear(&mut self) {
        if self.count > 0 {
            self.counts.fill(0);
            (self.count, self.largest) = (0, 0);
        }
    }

    /// How many numbers are in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest one; `None` if there is none.
    pub fn largest(&self) -> Option<u64> {
        (self.count > 0).then_some(self.largest)
    }

    /// The least number that is not below the given share (0 to 1) of them, rounded up to its bucket; `None` if there is none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut passed = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return Some(last_of(bucket).min(self.largest));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_bucket_that_ends_at_or_just_above_it() {
        let near = |n: u64| [n.saturating_sub(1), n, n.saturating_add(1)];
        let powers = (0..64).map(|bit| 1_u64 << bit);
        for value in powers.flat_map(|power| [power, power / 2 * 3]).flat_map(near).chain([0, u64::MAX]) {
            let last = last_of(bucket(value));
            assert!(last >= value && last - value <= value / 64, "{value} {last}");
            assert_eq!(bucket(last), bucket(value));
            assert!(last == u64::MAX || bucket(last + 1) == bucket(value) + 1, "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_numbers() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.largest()), (None, None));
        (1..=100).for_each(|value| histogram.add(value));
        for (share, value) in [(0.0, 1), (0.01, 1), (0.5, 50), (0.505, 51), (0.99, 99), (1.0, 100)] {
            assert_eq!(histogram.quantile(share), Some(value), "{share}");
        }
        histogram.add(1_000_000);
        assert_eq!(histogram.quantile(1.0), Some(1_000_000), "never above the largest");
        let mut all = Histogram::default();
        all.add_all(&histogram);
        all.add_all(&histogram);
        assert_eq!((all.count(), all.quantile(0.5)), (202, Some(51)));
        all.clear();
        assert_eq!((all.count(), all.quantile(0.5)), (0, None));
    }
}
