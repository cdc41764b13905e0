//! Offsets that hold nothing for whoever reads committed records: markers, aborted batches, batches that compaction has removed.
//!
//! A reader passes them without a word, so whoever only sees records does not know how far it is: behind the last one of a
//! transaction there is its marker. A group that stood before it would look as if something were left to read for ever, and,
//! once retention had taken the marker, as if something were lost.
//!
//! Data ends where its last batch does, whose last records may be compacted away: whoever has read a batch stands behind the
//! last offset that its header covers.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a reader's data ends, and up to where nothing comes behind it. Clones speak of the same reader, also while it waits.
#[derive(Debug, Clone)]
pub struct Ground(Arc<Mutex<Range<i64>>>);

impl Ground {
    pub(super) fn new(start: i64) -> Self {
        Self(Arc::new(Mutex::new(start..start)))
    }

    /// Data was handed out up to `data_end`, if any was, and nothing is between there and `position`.
    pub(super) fn reached(&self, data_end: Option<i64>, position: i64) {
        let mut ground = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *ground = data_end.unwrap_or(ground.start)..position;
    }

    /// Where somebody stands who is done with all that comes before `position`: there, or behind what holds nothing.
    pub fn behind(&self, position: i64) -> i64 {
        let ground = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Elsewhere there may be data in between that was fetched and not looked at yet.
        if ground.start == position { ground.end.max(position) } else { position }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_done_with_all_data_stands_behind_what_holds_nothing() {
        let ground = Ground::new(5);
        assert_eq!(ground.behind(5), 5);
        ground.reached(None, 7);
        assert_eq!((ground.behind(5), ground.behind(6), ground.behind(7)), (7, 6, 7));
        ground.reached(Some(20), 21);
        assert_eq!((ground.behind(5), ground.behind(19), ground.behind(20)), (5, 19, 21));
        ground.reached(None, 25);
        assert_eq!((ground.behind(20), ground.behind(21), ground.behind(30)), (25, 21, 30));
    }
}
