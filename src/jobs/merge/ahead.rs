//! Fetching ahead: each source has a task that keeps at most two windows of records alive, inside one byte budget.
//!
//! ```text
//!            ┌ task of source 0 ┐  window   ┌──────────────┐
//!  broker ──▶│ fetch, decode    │──────────▶│ being merged │      a window gives its room back when its last
//!            └──────────────────┘  (next)   └──────────────┘      record is taken; only then is the next but one fetched
//! ```
//!
//! Each source has its share of the budget, half of it a window, so no source can starve another and the merge never waits
//! for memory that only the merge itself could free. The client builds an object per record, so a window is priced by what
//! its records take in memory; how many bytes to fetch for that is learned from the window before.
//!
//! Non-obvious: a broker hands out whole batches, and the client decodes them whole. So a window may come out larger than
//! its share. It then takes from the slack that no share may use, and its source fetches no second one beside it. When the
//! slack does not suffice, `Ahead::wait` says how much `--memory` would.

use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::TopicPartition;
use crate::client::rskafka::{PlainError, PlainPartition, RecordAndOffset};
use crate::jobs::error::JobError;
use crate::jobs::merge::record::window_bytes;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Windows of a source that are alive at once: one that is read and one that comes.
const WINDOWS: u32 = 2;
/// No smaller window is asked for: below it, round trips are all that happens.
pub(crate) const WINDOW_BYTES_MIN: usize = 64 << 10;
/// Of the budget, shares get three quarters; the rest is slack for batches that are larger than a window.
const SHARED_QUARTERS: usize = 3;
/// Objects of tiny records are this many times larger than the same records in the log.
const OBJECTS_PER_LOG_BYTE: usize = 24;
const FETCH_BYTES_MIN: usize = 4 << 10;
const FETCH_BYTES_MAX: usize = 4 << 20;

/// The least budget with which `sources` sources can be read ahead.
pub(crate) fn least_bytes(sources: usize) -> usize {
    (sources.saturating_mul(WINDOW_BYTES_MIN * WINDOWS as usize) / SHARED_QUARTERS + 1).saturating_mul(4)
}

/// The window that each of `sources` sources aims at, of a budget of `total` bytes.
fn window_bytes_aimed(total: usize, sources: usize) -> usize {
    total / 4 * SHARED_QUARTERS / sources.max(1) / WINDOWS as usize
}

/// Records of one source, paid for.
struct Window {
    records: Vec<RecordAndOffset>,
    bytes: usize,
    /// `None` if the budget had no room for it when it came.
    paid: Option<Reserved>,
    slots: OwnedSemaphorePermit,
}

/// One source, fetched ahead by a task of its own.
#[derive(Debug)]
pub(crate) struct Ahead {
    partition: TopicPartition,
    windows: mpsc::Receiver<Result<Window, PlainError>>,
    records: std::vec::IntoIter<RecordAndOffset>,
    held: Option<(Option<Reserved>, OwnedSemaphorePermit)>,
    budget: ByteBudget,
    sources: usize,
    task: JoinHandle<()>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("records", &self.records.len()).field("bytes", &self.bytes).finish()
    }
}

impl Ahead {
    /// Begins to fetch `range`; `budget` is that of all `sources` sources together.
    pub(crate) fn start(from: Arc<PlainPartition>, range: Range<i64>, budget: &ByteBudget, sources: usize) -> Self {
        let window_bytes = window_bytes_aimed(budget.total(), sources);
        let (sender, windows) = mpsc::channel(WINDOWS as usize);
        let partition = from.partition().clone();
        let task = tokio::spawn(fetch_ahead(from, range, budget.clone(), window_bytes, sender));
        let budget = budget.clone();
        Self { partition, windows, records: Vec::new().into_iter(), held: None, budget, sources, task }
    }

    /// The partition that is read.
    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The next record, if it is here already.
    #[inline]
    pub(crate) fn next_here(&mut self) -> Option<RecordAndOffset> {
        self.records.next()
    }

    /// Waits for more records; `false` once the range is exhausted, which it says once.
    pub(crate) async fn wait(&mut self) -> Result<bool, JobError> {
        loop {
            // Dropping what the last window held is what lets the next but one be fetched.
            self.records = Vec::new().into_iter();
            self.held = None;
            let Some(window) = self.windows.recv().await else {
                // A task that died must not look like the end of its partition.
                return match (&mut self.task).await {
                    Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
                    _ => Ok(false),
                };
            };
            let window = window?;
            let paid = match window.paid {
                Some(paid) => Some(paid),
                None => Some(self.budget.try_take(window.bytes).ok_or_else(|| self.too_little(window.bytes))?),
            };
            self.held = Some((paid, window.slots));
            self.records = window.records.into_iter();
            if self.records.len() > 0 {
                return Ok(true);
            }
        }
    }

    fn too_little(&self, bytes: usize) -> JobError {
        // Every source may hand out a batch like this one, and a third of the whole is for the output.
        let enough = super::plan::memory_for_windows(bytes.saturating_mul(self.sources));
        JobError::Refused(format!(
            "{}: one batch takes {} in memory once decoded, which does not fit beside what the other {} sources hold: \
             a batch is decoded whole. Give --memory {}MiB or more",
            self.partition,
            crate::base::units::show_size(bytes as u64),
            self.sources.saturating_sub(1),
            enough.div_ceil(1 << 20),
        ))
    }
}

/// Fetches until the end of `range`, never more than two windows ahead of what was consumed.
async fn fetch_ahead(
    from: Arc<PlainPartition>,
    range: Range<i64>,
    budget: ByteBudget,
    window_bytes_aimed: usize,
    windows: mpsc::Sender<Result<Window, PlainError>>,
) {
    let slots = Arc::new(Semaphore::new(WINDOWS as usize));
    let mut next = range.start;
    let mut fetch_bytes = first_fetch_bytes(window_bytes_aimed);
    let mut slots_needed = 1;
    while next < range.end {
        let Ok(mut taken) = slots.clone().acquire_many_owned(slots_needed).await else { return };
        let fetched = tokio::select! {
            fetched = from.fetch(next, range.end, fetch_bytes as i32) => fetched,
            () = windows.closed() => return,
        };
        let records = match fetched {
            Ok(records) => records,
            Err(error) => {
                let _ = windows.send(Err(error)).await;
                return;
            }
        };
        // Without a record before the end there is nothing left: the log goes on after it.
        let Some(last) = records.last() else { return };
        next = last.offset + 1;
        let bytes = window_bytes(&records);
        fetch_bytes = next_fetch_bytes(fetch_bytes, bytes, window_bytes_aimed);
        // A window above its size stays alone.
        slots_needed = if bytes > window_bytes_aimed { WINDOWS } else { 1 };
        if slots_needed == 1 {
            drop(taken.split(taken.num_permits() - 1));
        }
        let paid = budget.try_take(bytes);
        if windows.send(Ok(Window { records, bytes, paid, slots: taken })).await.is_err() {
            return;
        }
    }
}

/// The first fetch, before anything is known of the records.
pub(crate) fn first_fetch_bytes(aimed: usize) -> usize {
    (aimed / OBJECTS_PER_LOG_BYTE).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX)
}

/// Aims the next fetch at a full window, at most four times the last one: the next batches may be denser.
pub(crate) fn next_fetch_bytes(last_fetch: usize, last_window: usize, aimed: usize) -> usize {
    let scaled = (last_fetch as u128 * aimed as u128 / last_window.max(1) as u128).min(last_fetch as u128 * 4);
    (scaled as usize).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_fetch_aims_at_a_full_window_and_grows_fourfold_at_most() {
        assert_eq!(next_fetch_bytes(64 << 10, 2 << 20, 1 << 20), 32 << 10);
        assert_eq!(next_fetch_bytes(64 << 10, 1, 1 << 20), 256 << 10);
        assert_eq!(next_fetch_bytes(FETCH_BYTES_MIN, 100 << 20, 1 << 20), FETCH_BYTES_MIN);
        assert_eq!(next_fetch_bytes(FETCH_BYTES_MAX, 1, 1 << 30), FETCH_BYTES_MAX);
    }

    #[test]
    fn the_least_budget_gives_every_source_its_smallest_windows() {
        for sources in [1, 3, 10, 1000] {
            assert!(window_bytes_aimed(least_bytes(sources), sources) >= WINDOW_BYTES_MIN - 8, "{sources}");
        }
    }
}
