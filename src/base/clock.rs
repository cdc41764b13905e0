//! The time of day: what records and reports are dated with, and what retention is judged by.
//!
//! It may be wrong, be set back, or jump while we run, so nothing is waited for by it: deadlines, paces and rates are on the
//! monotonic clock (`tokio::time::Instant`, `std::time::Instant`). A tidy test sees to it that nobody else asks for it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as Kafka writes times; 0 before that.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    #[cfg(test)]
    let now = now.saturating_add(wrong::by_ms());
    now
}

/// For tests: a clock that is wrong on one thread, and each time otherwise.
#[cfg(test)]
pub(crate) mod wrong {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
    /// By how much, one after the other, round and round.
    const BY_MS: [i64; 6] = [0, YEAR_MS, -YEAR_MS, 3_600_000, -1, -100 * YEAR_MS];

    thread_local! {
        static ASKED: RefCell<Option<Arc<AtomicUsize>>> = const { RefCell::new(None) };
    }

    /// From now on this thread's clock jumps back and forth; gives how often it was asked.
    pub(crate) fn begin() -> Arc<AtomicUsize> {
        let asked = Arc::new(AtomicUsize::new(0));
        ASKED.set(Some(asked.clone()));
        asked
    }

    pub(super) fn by_ms() -> i64 {
        ASKED.with_borrow(|asked| asked.as_ref().map_or(0, |asked| BY_MS[asked.fetch_add(1, Relaxed) % BY_MS.len()]))
    }
}
