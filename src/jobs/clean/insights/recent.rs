//! The windows that closed last, each the sum over the partitions that have closed it.

use crate::rules::insight::{Closed, Listing};
use std::collections::BTreeMap;

/// So many are remembered of an insight.
const WINDOWS_MAX: usize = 3;

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(in crate::jobs::clean) struct Recent {
    /// By insight, and by where they start.
    windows: BTreeMap<usize, BTreeMap<i64, Window>>,
}

/// A window.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    pub(super) listing: Listing,
    /// How many partitions have closed it.
    pub(super) partitions: usize,
}

impl Recent {
    /// A partition has closed a window.
    pub(in crate::jobs::clean) fn add(&mut self, closed: &Closed) {
        self.put(closed.insight, closed.start_ms, &closed.listing, 1);
    }

    /// Adds all windows of another one, which other partitions have closed, or these ones later.
    pub(in crate::jobs::clean) fn merge(&mut self, other: &Self) {
        for (insight, windows) in &other.windows {
            for (start_ms, window) in windows {
                self.put(*insight, *start_ms, &window.listing, window.partitions);
            }
        }
    }

    fn put(&mut self, insight: usize, start_ms: i64, listing: &Listing, partitions: usize) {
        let windows = self.windows.entry(insight).or_default();
        let window = windows.entry(start_ms).or_default();
        window.partitions += partitions;
        window.listing.add(listing);
        if windows.len() > WINDOWS_MAX {
            windows.pop_first();
        }
    }

    /// Of the last windows of an insight the one that most partitions have closed; the later one, where several have as many.
    pub(super) fn fullest(&self, insight: usize) -> Option<(i64, &Window)> {
        let windows = self.windows.get(&insight)?.iter();
        windows.max_by_key(|(start, window)| (window.partitions, **start)).map(|(start, window)| (*start, window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_last_windows_the_one_is_told_that_most_partitions_have_closed() {
        let mut recent = Recent::default();
        assert!(recent.fullest(0).is_none());
        let closed = |start_ms: i64| Closed { insight: 0, start_ms, listing: Listing::default(), values: 0 };
        [0, 60, 120, 60].map(closed).iter().for_each(|closed| recent.add(closed));
        let mut all = recent.clone();
        all.merge(&recent);
        all.add(&closed(0));
        let fullest = |recent: &Recent| recent.fullest(0).map(|(start, window)| (start, window.partitions));
        assert_eq!((fullest(&recent), fullest(&all)), (Some((60, 2)), Some((60, 4))));
        [180, 240].map(closed).iter().for_each(|closed| all.add(closed));
        assert_eq!(fullest(&all), Some((120, 2)), "what is older than the last three is not remembered");
    }
}
