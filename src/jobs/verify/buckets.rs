//! What is missing and what is extra, counted in little memory: the differences of two multisets by record hash.
//!
//! 65,536 buckets, each with a count and two sums. A record of the inputs adds one, its hash, and a mix of its hash to its
//! bucket; a record of the output takes them away. In the end a bucket whose records are on both sides is all zero, and the
//! order they came in plays no part.
//!
//! What is left in a bucket is *known* if it is n times one record: then the hash sum divided by n is that record's hash, and
//! its mix times n is the other sum (for a bucket of several different records to look like that is a chance of one in
//! 2^64). Anything else is a lower bound: at least |n| on the one side, and where n does not account for the sums, one more
//! on either. So few differences are counted exactly, and a flood of them is called a flood.

use crate::batch::Record;
use std::hash::{DefaultHasher, Hasher as _};

const BUCKETS: usize = 1 << 16;

/// What the buckets take.
pub(super) const BUCKETS_BYTES: usize = BUCKETS * size_of::<Bucket>();

/// Inputs minus output, for the records of one bucket. Sums of 64-bit numbers in 128 bits cannot overflow within 2^63 records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    count: i64,
    hashes: i128,
    mixes: i128,
}

/// The buckets.
pub(super) struct Buckets(Box<[Bucket]>);

/// What they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Records of the inputs that the output lacks, at least.
    pub(super) missing: u64,
    /// Records of the output that the inputs lack, at least.
    pub(super) extra: u64,
    /// Whether both numbers are exact.
    pub(super) exact: bool,
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self(vec![Bucket::default(); BUCKETS].into_boxed_slice())
    }

    /// A record of the inputs.
    pub(super) fn input(&mut self, hash: u64) {
        self.add(hash, 1);
    }

    /// A record of the output.
    pub(super) fn output(&mut self, hash: u64) {
        self.add(hash, -1);
    }

    fn add(&mut self, hash: u64, sign: i64) {
        let bucket = &mut self.0[(hash >> 48) as usize];
        bucket.count += sign;
        bucket.hashes += i128::from(sign) * i128::from(hash);
        bucket.mixes += i128::from(sign) * i128::from(mix(hash));
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally { missing: 0, extra: 0, exact: true };
        for bucket in self.0.iter().filter(|bucket| **bucket != Bucket::default()) {
            let known = bucket.is_copies_of_one();
            // What the count does not account for is one more on either side, at least.
            let unseen = u64::from(!known && bucket.looks_mixed());
            tally.missing += bucket.count.max(0) as u64 + unseen;
            tally.extra += bucket.count.min(0).unsigned_abs() + unseen;
            tally.exact &= known;
        }
        tally
    }
}

impl Bucket {
    fn is_copies_of_one(&self) -> bool {
        let count = i128::from(self.count);
        if count == 0 || self.hashes % count != 0 {
            return false;
        }
        u64::try_from(self.hashes / count).is_ok_and(|hash| i128::from(mix(hash)) * count == self.mixes)
    }

    /// Whether there must be records on both sides: a single one, or none, would have other sums.
    fn looks_mixed(&self) -> bool {
        self.count.unsigned_abs() <= 1
    }
}

/// The hash of a record: all of it but its offset, and its timestamp if that counts.
pub(super) fn hash(record: &Record<'_>, with_timestamp: bool) -> u64 {
    let mut hasher = DefaultHasher::new(); // SipHash with a fixed key: the same in both directions, which is all it needs
    part(&mut hasher, record.key);
    part(&mut hasher, record.value);
    hasher.write_usize(record.headers.len());
    for header in record.headers.iter() {
        part(&mut hasher, Some(header.key));
        part(&mut hasher, header.value);
    }
    if with_timestamp {
        hasher.write_i64(record.timestamp);
    }
    hasher.finish()
}

/// With its length, so that no two records run together to the same bytes; null is no length at all.
fn part(hasher: &mut DefaultHasher, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        }
        None => hasher.write_usize(usize::MAX),
    }
}

/// Scatters a hash, so that sums of hashes and sums of mixes agree for copies of one hash only.
fn mix(hash: u64) -> u64 {
    let mut x = hash ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that are far apart, as a hash's are.
    fn hash_of(number: u64) -> u64 {
        mix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn tally(inputs: impl IntoIterator<Item = u64>, output: impl IntoIterator<Item = u64>) -> (u64, u64, bool) {
        let mut buckets = Buckets::new();
        inputs.into_iter().for_each(|number| buckets.input(hash_of(number)));
        output.into_iter().for_each(|number| buckets.output(hash_of(number)));
        let Tally { missing, extra, exact } = buckets.tally();
        (missing, extra, exact)
    }

    #[test]
    fn the_same_records_in_another_order_leave_nothing() {
        assert_eq!(tally(0..100_000, (0..100_000).rev()), (0, 0, true));
    }

    #[test]
    fn few_differences_are_counted_exactly() {
        assert_eq!(tally(0..1000, 1..1000), (1, 0, true));
        assert_eq!(tally(0..1000, 0..1001), (0, 1, true));
        assert_eq!(tally(0..1000, 10..1007), (10, 7, true));
    }

    #[test]
    fn many_copies_of_one_record_are_counted_exactly() {
        let copies = |count: usize| std::iter::repeat_n(7, count);
        assert_eq!(tally(copies(1000), copies(10)), (990, 0, true));
        assert_eq!(tally(copies(10), copies(1001)), (0, 991, true));
    }

    #[test]
    fn a_bucket_of_several_records_is_a_lower_bound_that_says_so() {
        let bucket = 5u64 << 48;
        let run = |inputs: &[u64], output: &[u64]| {
            let mut buckets = Buckets::new();
            inputs.iter().for_each(|low| buckets.input(bucket | low));
            output.iter().for_each(|low| buckets.output(bucket | low));
            let Tally { missing, extra, exact } = buckets.tally();
            (missing, extra, exact)
        };
        assert_eq!(run(&[1], &[2]), (1, 1, false), "one for another");
        assert_eq!(run(&[1, 3], &[2]), (2, 1, false), "the count is one, but the sum is no record's");
        assert_eq!(run(&[1, 3], &[]), (2, 0, false), "two different ones, for all we know more");
        assert_eq!(run(&[2, 2], &[]), (2, 0, true), "two copies of one");
        assert_eq!(run(&[1, 2, 3], &[3, 2, 1]), (0, 0, true));
    }

    #[test]
    fn a_flood_of_differences_is_never_overstated_and_says_that_it_is_no_exact_count() {
        let (missing, extra, exact) = tally(0..300_000, 1_000_000..1_300_000);
        assert!(!exact);
        assert!((60_000..=300_000).contains(&missing) && (60_000..=300_000).contains(&extra), "{missing} {extra}");
        assert_eq!(missing, extra, "there are as many of each");
        assert_eq!(tally(0..300_000, 0..0), (300_000, 0, false), "what only one side has is all there is");
    }

    #[test]
    fn null_and_empty_and_where_a_field_ends_make_other_hashes() {
        let record = |key, value| Record { offset: 0, timestamp: 0, key, value, headers: crate::batch::Headers::EMPTY };
        let hashes = [
            record(None, None),
            record(Some(&b""[..]), None),
            record(None, Some(&b""[..])),
            record(Some(&b""[..]), Some(&b""[..])),
            record(Some(&b"a"[..]), Some(&b"b"[..])),
            record(Some(&b"ab"[..]), Some(&b""[..])),
            record(Some(&b""[..]), Some(&b"ab"[..])),
        ]
        .map(|record| hash(&record, true));
        for (i, a) in hashes.iter().enumerate() {
            assert!(!hashes[..i].contains(a), "{i}");
        }
        let at = |timestamp| Record { timestamp, ..record(None, None) };
        assert_ne!(hash(&at(1), true), hash(&at(2), true));
        assert_eq!(hash(&at(1), false), hash(&at(2), false));
        assert_eq!(hash(&Record { offset: 9, ..at(1) }, true), hash(&at(1), true));
    }
}
