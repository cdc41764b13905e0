//! How long something took, each time, in the buckets of a classic histogram of Prometheus.
//!
//! Whoever adds a time moves two counters and waits for nobody; what is read meanwhile may lack the sum of the last ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Where buckets end, in microseconds; behind the last one there is another without an end.
const ENDS_US: [u64; 14] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// See the module's head. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    buckets: [AtomicU64; ENDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// One reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// By the end of each bucket, in seconds: how many took no longer. The last end is infinite, and has all.
    pub up_to: Vec<(f64, u64)>,
    /// What all of them took.
    pub sum: Duration,
}

impl Latencies {
    /// It took so long.
    pub fn add(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = ENDS_US.partition_point(|end| *end < us);
        self.inner.buckets[bucket].fetch_add(1, Relaxed);
        self.inner.sum_us.fetch_add(us, Relaxed);
    }

    /// What they are now.
    pub fn read(&self) -> Read {
        let mut all = 0;
        let ends = ENDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
        let up_to = ends.zip(&self.inner.buckets).map(|(end, bucket)| {
            all += bucket.load(Relaxed);
            (end, all)
        });
        Read { up_to: up_to.collect(), sum: Duration::from_micros(self.inner.sum_us.load(Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_every_bucket_that_does_not_end_before_it() {
        let latencies = Latencies::default();
        let times = [0, 999, 1_000, 1_001, 30_000_000, 30_000_001, u64::from(u32::MAX)];
        times.iter().for_each(|us| latencies.clone().add(Duration::from_micros(*us)));
        let read = latencies.read();
        assert_eq!(read.sum, Duration::from_micros(times.iter().sum()));
        for (end, count) in &read.up_to {
            let expected = times.iter().filter(|us| **us as f64 / 1e6 <= *end).count();
            assert_eq!(*count, expected as u64, "{end}");
        }
        assert_eq!(read.up_to.last(), Some(&(f64::INFINITY, 7)));
        assert!(read.up_to.is_sorted_by(|one, other| one.0 < other.0));
    }
}
