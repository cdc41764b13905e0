//! Where each leader's reign over a log began. It answers how far the records of an epoch reach, which is how a reader or
//! a follower learns that the log it has read is no longer the log there is.
//!
//! As in Kafka an epoch is noted when its leader is elected, at the end of the log then; one that wrote nothing is
//! replaced by the next. Epochs and offsets both ascend.

/// An epoch and where the offsets of the log were when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reign {
    epoch: i32,
    start: i64,
}

/// How far the records of an epoch reach: the largest epoch not above the one asked for, and one past its last offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochEnd {
    pub(crate) epoch: i32,
    pub(crate) end: i64,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    reigns: Vec<Reign>,
}

impl Epochs {
    /// Notes that a leader of `epoch` goes on from `start`.
    pub(crate) fn begin(&mut self, epoch: i32, start: i64) {
        if self.reigns.last().is_some_and(|last| last.epoch == epoch && last.start <= start) {
            return;
        }
        self.reigns.retain(|reign| reign.epoch < epoch && reign.start < start);
        self.reigns.push(Reign { epoch, start });
    }

    /// How far `epoch` reaches in a log that ends at `log_end`; nothing where the epoch is newer than all that is known.
    pub(crate) fn end_of(&self, epoch: i32, log_end: i64) -> Option<EpochEnd> {
        if self.reigns.last().is_some_and(|last| last.epoch == epoch) {
            return Some(EpochEnd { epoch, end: log_end });
        }
        if epoch < 0 {
            return None;
        }
        let above = self.reigns.partition_point(|reign| reign.epoch <= epoch);
        let end = self.reigns.get(above)?.start;
        // An epoch older than all that is left ends where the oldest begins.
        let epoch = above.checked_sub(1).and_then(|below| self.reigns.get(below)).map_or(epoch, |reign| reign.epoch);
        Some(EpochEnd { epoch, end })
    }

    /// The epoch of the oldest records; nothing before the first leader.
    pub(crate) fn earliest(&self, log_start: i64) -> Option<i32> {
        self.reigns.first().filter(|reign| reign.start <= log_start).map(|reign| reign.epoch)
    }

    /// The log lost what lies from `end` on.
    pub(crate) fn cut_end(&mut self, end: i64) {
        self.reigns.retain(|reign| reign.start < end);
    }

    /// The log lost what lies before `start`: the epoch that goes on there begins there now.
    pub(crate) fn cut_start(&mut self, start: i64) {
        let gone = self.reigns.partition_point(|reign| reign.start <= start);
        let Some(last_gone) = gone.checked_sub(1) else { return };
        self.reigns.drain(..last_gone);
        if let Some(first) = self.reigns.first_mut() {
            first.start = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(reigns: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        reigns.iter().for_each(|(epoch, start)| epochs.begin(*epoch, *start));
        epochs
    }

    fn ends(epochs: &Epochs, log_end: i64, asked: &[i32]) -> Vec<Option<(i32, i64)>> {
        asked.iter().map(|epoch| epochs.end_of(*epoch, log_end).map(|found| (found.epoch, found.end))).collect()
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins_and_the_newest_at_the_end_of_the_log() {
        let epochs = epochs(&[(0, 0), (3, 10), (4, 25)]);
        assert_eq!(
            ends(&epochs, 40, &[-1, 0, 1, 2, 3, 4, 5]),
            [None, Some((0, 10)), Some((0, 10)), Some((0, 10)), Some((3, 25)), Some((4, 40)), None]
        );
    }

    #[test]
    fn an_epoch_that_wrote_nothing_is_replaced_by_the_next() {
        assert_eq!(
            ends(&epochs(&[(0, 0), (1, 10), (2, 10)]), 20, &[0, 1, 2]),
            [Some((0, 10)), Some((0, 10)), Some((2, 20))]
        );
        assert_eq!(ends(&epochs(&[(0, 0), (1, 0)]), 5, &[0, 1]), [Some((0, 0)), Some((1, 5))]);
    }

    #[test]
    fn what_is_cut_off_is_forgotten_at_either_end() {
        let mut cut = epochs(&[(0, 0), (3, 10), (4, 25)]);
        cut.cut_start(12);
        assert_eq!(ends(&cut, 40, &[0, 3]), [Some((0, 12)), Some((3, 25))]);
        assert_eq!((cut.earliest(12), cut.earliest(11)), (Some(3), None));
        cut.cut_end(25);
        assert_eq!(ends(&cut, 25, &[3, 4]), [Some((3, 25)), None]);
    }
}
