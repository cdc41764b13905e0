//! Event time of an input partition, which is the largest time that was seen there, less the lateness that is allowed; and windows,
//! which begin at multiples of their length since 1970.
//!
//! Non-obvious: nothing but records moves it. A partition where nothing comes stands still, and its windows stay open.

/// How far the time of an input partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    latest_ms: Option<i64>,
    lateness_ms: i64,
}

impl EventTime {
    /// Nothing was seen yet.
    pub fn new(lateness_ms: i64) -> Self {
        Self::at(None, lateness_ms)
    }

    /// This was the largest time that was seen.
    pub fn at(latest_ms: Option<i64>, lateness_ms: i64) -> Self {
        Self { latest_ms, lateness_ms }
    }

    /// A record of this time has come; `true` where that moves the partition's time.
    #[inline]
    pub fn see(&mut self, time_ms: i64) -> bool {
        let moves = self.latest_ms.is_none_or(|latest_ms| time_ms > latest_ms);
        if moves {
            self.latest_ms = Some(time_ms);
        }
        moves
    }

    /// The largest time that was seen.
    pub fn latest_ms(&self) -> Option<i64> {
        self.latest_ms
    }

    /// Whether a window that ends before `end_ms` is closed. What comes for it now is late.
    #[inline]
    pub fn is_past(&self, end_ms: i64) -> bool {
        self.latest_ms.is_some_and(|latest_ms| latest_ms.saturating_sub(self.lateness_ms) >= end_ms)
    }
}

/// Where the window begins that a time is in, of those that lie one behind the other.
#[inline]
pub fn window_of(time_ms: i64, size_ms: i64) -> i64 {
    time_ms.saturating_sub(time_ms.rem_euclid(size_ms.max(1)))
}

/// Where the windows begin that a time is in, the first one first, of those that begin every `slide_ms`.
pub fn windows_of(time_ms: i64, size_ms: i64, slide_ms: i64) -> impl Iterator<Item = i64> {
    let slide_ms = slide_ms.max(1);
    let last = window_of(time_ms, slide_ms);
    let first = window_of(time_ms.saturating_sub(size_ms), slide_ms).saturating_add(slide_ms);
    std::iter::successors((first <= last).then_some(first), move |start| {
        start.checked_add(slide_ms).filter(|start| *start <= last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_one_behind_the_other_also_before_1970() {
        for (time, expected) in [(0, 0), (9, 0), (10, 10), (-1, -10), (-10, -10), (-11, -20)] {
            assert_eq!(window_of(time, 10), expected, "{time}");
            assert_eq!(windows_of(time, 10, 10).collect::<Vec<_>>(), [expected], "{time}");
        }
    }

    #[test]
    fn sliding_windows_of_a_time_are_those_that_it_is_in() {
        for (size, slide) in [(10, 1), (10, 3), (10, 5), (10, 10), (3, 10), (7, 2)] {
            for time in -40..40 {
                let expected: Vec<i64> = (-60..60)
                    .filter(|start: &i64| start.rem_euclid(slide) == 0 && (*start..start + size).contains(&time))
                    .collect();
                assert_eq!(
                    windows_of(time, size, slide).collect::<Vec<_>>(),
                    expected,
                    "{time} of {size} every {slide}"
                );
            }
        }
    }

    #[test]
    fn a_window_is_closed_once_the_largest_time_is_the_lateness_beyond_its_end_and_opens_no_more() {
        let mut time = EventTime::new(5);
        assert!(!time.is_past(i64::MIN));
        assert!(time.see(14) && !time.is_past(10));
        assert!(!time.see(3) && !time.see(14) && !time.is_past(10));
        assert!(time.see(15) && time.is_past(10) && !time.is_past(11));
        assert!(!time.see(0) && time.is_past(10));
        assert_eq!(time.latest_ms(), Some(15));
    }

    #[test]
    fn times_at_the_ends_of_what_there_is_neither_wrap_nor_hang() {
        for time in [i64::MIN, i64::MIN + 1, i64::MAX] {
            assert!(window_of(time, 60_000) <= time);
            assert!(windows_of(time, 60_000, 10_000).take(10).count() <= 6);
        }
        let mut time = EventTime::new(i64::MAX);
        time.see(i64::MIN);
        assert!(!time.is_past(0) && time.is_past(i64::MIN));
    }
}
