//! The minutes of a batch that is being filled, counted record by record. Most batches are of one minute: nothing is
//! allocated for those. Of others it is only looked a few runs back, so a minute may come more than once; who reads adds up.

use super::Minute;

/// So many runs are looked through for a minute that came before.
const LOOK_BACK: usize = 8;
/// Memory is taken for so many runs at a time.
const STEP: usize = 64;

/// Records of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) minute: Minute,
    pub(super) records: u32,
    /// Their keys and values.
    pub(super) bytes: u64,
    /// The places in the batch of the first and the last of them.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Runs {
    /// That of the last record.
    current: Option<Run>,
    others: Vec<Run>,
    records: u32,
}

impl Runs {
    /// Takes the next record of the batch.
    #[inline]
    pub fn push(&mut self, timestamp_ms: i64, bytes: u64) {
        let (minute, place) = (Minute::of(timestamp_ms), self.records);
        self.records += 1;
        match &mut self.current {
            Some(run) if run.minute == minute => run.take(place, bytes),
            _ => self.turn(Run { minute, records: 1, bytes, first: place, last: place }),
        }
    }

    /// Goes to another minute.
    fn turn(&mut self, run: Run) {
        let Some(current) = self.current.replace(run) else { return };
        let recent = self.others.iter_mut().rev().take(LOOK_BACK).find(|known| known.minute == run.minute);
        if let (Some(known), Some(now)) = (recent, &mut self.current) {
            known.take(run.first, run.bytes);
            std::mem::swap(known, now);
            *known = current;
            return;
        }
        if self.others.len() == self.others.capacity() {
            self.others.reserve_exact(STEP);
        }
        self.others.push(current);
    }

    /// What it takes beside itself.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.others.capacity() * size_of::<Run>()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.others.iter().chain(&self.current)
    }

    pub(super) fn all(&self) -> (u32, u64) {
        (self.records, self.iter().map(|run| run.bytes).sum())
    }
}

impl Run {
    #[inline]
    fn take(&mut self, place: u32, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        self.last = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_minute_take_no_memory_and_those_of_a_few_share_their_runs() {
        let mut runs = Runs::default();
        (0..1000).for_each(|ms| runs.push(ms, 2));
        assert_eq!((runs.heap_bytes(), runs.all()), (0, (1000, 2000)));
        for round in 0..100 {
            runs.push(60_000 * (1 + round % 3), 1);
        }
        let found: Vec<_> = runs.iter().map(|run| (run.minute, run.records, run.first, run.last)).collect();
        assert_eq!(found.len(), 4);
        assert!(found.contains(&(Minute::of(0), 1000, 0, 999)));
        assert!(found.contains(&(Minute::of(60_000), 34, 1000, 1099)));
        assert_eq!(runs.all(), (1100, 2100));
    }

    #[test]
    fn scattered_minutes_come_again_and_nothing_is_lost() {
        let mut runs = Runs::default();
        (0..1000).for_each(|n| runs.push(n % 50 * 60_000, 3));
        assert_eq!(runs.iter().map(|run| run.records).sum::<u32>(), 1000);
        let one: Vec<_> = runs.iter().filter(|run| run.minute == Minute::of(0)).collect();
        assert_eq!((one.len(), one[1].first), (20, 50));
        assert_eq!(runs.heap_bytes() % (STEP * size_of::<Run>()), 0);
    }
}
