//! Fetching ahead: each source has a task that keeps one window waiting while the one before it is read.
//!
//! ```text
//!            ┌ task of source 0 ┐  window   ┌────────────┐
//!  broker ──▶│ fetch            │──────────▶│ being read │     a window gives its room back when the next one is asked
//!            └──────────────────┘  (waits)  └────────────┘     for; only then is the next but one fetched
//! ```
//!
//! Non-obvious: a broker hands out whole batches, so a window may come out larger than its share. It then borrows from the
//! slack, and its source fetches no second one beside it. Where the slack does not suffice the window waits for what others
//! give back until the merge needs it; if it still does not fit then, the job stops and says how much would do.

use super::share::Shares;
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::TopicPartition;
use crate::base::units::show_size;
use crate::batch::{Batch, Codec};
use crate::jobs::error::JobError;
use crate::ports::Source;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Windows of a source that are alive at once: one that is read and one that waits.
const ALIVE: u32 = 2;

/// Whole batches of one source.
struct Window {
    bytes: Vec<u8>,
    /// What it takes beyond its share, in case there was enough when it came.
    borrowed: Option<Reserved>,
    /// What it takes beyond that.
    owed: usize,
    slots: OwnedSemaphorePermit,
}

/// The windows of one source, fetched ahead by a task of its own.
pub(super) struct Windows {
    partition: TopicPartition,
    arriving: mpsc::Receiver<Result<Window, JobError>>,
    held: Option<(Option<Reserved>, OwnedSemaphorePermit)>,
    /// Buffers to be filled again.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    slack: ByteBudget,
    shares: Shares,
    task: JoinHandle<()>,
}

impl Drop for Windows {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Windows {
    /// Begins to fetch.
    pub(super) fn start<S>(source: S, slack: &ByteBudget, shares: Shares) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let partition = source.partition().clone();
        let (sender, arriving) = mpsc::channel(ALIVE as usize);
        let spare = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(fetch_ahead(source, slack.clone(), shares.window_bytes, spare.clone(), sender));
        Self { partition, arriving, held: None, spare, slack: slack.clone(), shares, task }
    }

    /// Exchanges `window`, which was read, for the next one; `false` once the range is exhausted.
    pub(super) async fn next(&mut self, window: &mut Vec<u8>) -> Result<bool, JobError> {
        let read = std::mem::take(window);
        if read.capacity() > 0 && read.capacity() <= self.shares.window_bytes {
            lock(&self.spare).push(read);
        }
        // Giving back what the window held is what lets the next but one be fetched.
        self.held = None;
        let Some(next) = self.arriving.recv().await else {
            // A task that died must not look like the end of its partition.
            return match (&mut self.task).await {
                Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
                _ => Ok(false),
            };
        };
        let next = next?;
        let borrowed = match next.owed {
            0 => next.borrowed,
            owed => match self.slack.try_take(owed) {
                None => return Err(self.too_little(&next.bytes)),
                some => some,
            },
        };
        self.held = Some((borrowed, next.slots));
        *window = next.bytes;
        Ok(true)
    }

    fn too_little(&self, window: &Vec<u8>) -> JobError {
        // Every source may hand out batches like this one. What a compressed one holds is not known yet: a record as large as
        // the batch, and as much again for its codec.
        let codec = Batch::read(window).and_then(|batch| batch.header.codec()).unwrap_or_default();
        let piece = if codec == Codec::None { 0 } else { window.len().saturating_mul(2) };
        JobError::Refused(format!(
            "{}: the broker hands out whole batches, here {} at once, and that does not fit beside what the other sources \
             hold. {}",
            self.partition,
            show_size(window.len() as u64),
            self.shares.way_out(window.capacity(), piece),
        ))
    }
}

/// Fetches until the end, never more than one window ahead of what is read.
async fn fetch_ahead<S>(
    mut source: S,
    slack: ByteBudget,
    window_bytes: usize,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    windows: mpsc::Sender<Result<Window, JobError>>,
) where
    S: Source,
    JobError: From<S::Error>,
{
    let slots = Arc::new(Semaphore::new(ALIVE as usize));
    let mut slots_needed = 1;
    loop {
        let Ok(slots) = slots.clone().acquire_many_owned(slots_needed).await else { return };
        let mut bytes = lock(&spare).pop().unwrap_or_default();
        match source.next(&mut bytes).await {
            Ok(Some(())) => {}
            Ok(None) => return,
            Err(error) => {
                // Whoever does not listen any more does not need to know.
                let _ = windows.send(Err(error.into())).await;
                return;
            }
        }
        let owed = bytes.capacity().saturating_sub(window_bytes);
        // A window as large as its share, give or take what a vector grows by, is what was asked for.
        slots_needed = if bytes.len() > window_bytes { ALIVE } else { 1 };
        let borrowed = slack.try_take(owed);
        let owed = if borrowed.is_some() { 0 } else { owed };
        if windows.send(Ok(Window { bytes, borrowed, owed, slots })).await.is_err() {
            return;
        }
    }
}

/// Nothing is left half done under this lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
