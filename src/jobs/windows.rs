//! Fetching ahead: each source has a task that keeps one window waiting while the one before it is read.
//!
//! ```text
//!            ┌ task of source 0 ┐  window   ┌────────────┐
//!  broker ──▶│ fetch            │──────────▶│ being read │     a window gives its room back when the next one is asked
//!            └──────────────────┘  (waits)  └────────────┘     for; only then is the next but one fetched
//! ```
//!
//! Non-obvious: a broker hands out whole batches, so a window may come out larger than its share. Its source then fetches no
//! second one beside it, and it borrows from the slack, if there is one (elsewhere the source itself bounds its batches).
//! Where the slack does not suffice the window waits for what others give back until it is to be read; if it still does not
//! fit then, the job stops and says how much would do.

use super::error::JobError;
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::TopicPartition;
use crate::base::units::show_size;
use crate::batch::{Batch, Codec};
use crate::ports::Source;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

/// Windows of a source that are alive at once: one that is read and one that waits.
const ALIVE: u32 = 2;

/// What windows larger than their share borrow from, and what to say where it does not suffice.
pub(super) struct Slack {
    budget: ByteBudget,
    way_out: Box<dyn Fn(usize, usize) -> String + Send + Sync>,
}

impl Slack {
    /// `way_out` advises what to give so that every source can hold a window of so many bytes, and unfold pieces of so many.
    pub(super) fn new(budget: &ByteBudget, way_out: impl Fn(usize, usize) -> String + Send + Sync + 'static) -> Self {
        Self { budget: budget.clone(), way_out: Box::new(way_out) }
    }
}

/// Whole batches of one source.
struct Window {
    bytes: Vec<u8>,
    /// What it takes beyond its share, in case there was enough when it came.
    borrowed: Option<Reserved>,
    /// What it takes beyond that.
    owed: usize,
    slots: OwnedSemaphorePermit,
}

/// What came when the next window was asked for.
pub(super) enum Came {
    /// That window.
    Window,
    /// The end of the range.
    End,
    /// A window that does not fit now.
    TooLarge,
}

/// The windows of one source, fetched ahead by a task of its own. Is itself a source of the same batches.
pub(super) struct Windows {
    partition: TopicPartition,
    range: Range<i64>,
    window_bytes: usize,
    slack: Option<Slack>,
    arriving: mpsc::Receiver<Result<Window, JobError>>,
    /// One that came and does not fit beside what others hold now.
    waiting: Option<Window>,
    held: Option<(Option<Reserved>, OwnedSemaphorePermit)>,
    /// Buffers to be filled again.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    /// The one task; it ends with this.
    task: JoinSet<()>,
}

impl Windows {
    /// Begins to fetch.
    pub(super) fn start<S>(source: S, window_bytes: usize, slack: Option<Slack>) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let (partition, range) = (source.partition().clone(), source.range());
        let (sender, arriving) = mpsc::channel(ALIVE as usize);
        let spare = Arc::new(Mutex::new(Vec::new()));
        let budget = slack.as_ref().map(|slack| slack.budget.clone());
        let mut task = JoinSet::new();
        task.spawn(fetch_ahead(source, budget, window_bytes, spare.clone(), sender));
        Self { partition, range, window_bytes, slack, arriving, waiting: None, held: None, spare, task }
    }

    /// The same as [`Source::next`] for those who can wait: a window that does not fit beside what others hold now is kept,
    /// and tried again at the next call.
    pub(super) async fn come(&mut self, window: &mut Vec<u8>) -> Result<Came, JobError> {
        let read = std::mem::take(window);
        if read.capacity() > 0 && read.capacity() <= self.window_bytes {
            lock(&self.spare).push(read);
        }
        // Giving back what the window held is what lets the next but one be fetched.
        self.held = None;
        let next = match self.waiting.take() {
            Some(next) => next,
            None => match self.arriving.recv().await {
                Some(next) => next?,
                None => return finished(&mut self.task).await.map(|()| Came::End),
            },
        };
        let borrowed = match &self.slack {
            Some(slack) if next.owed > 0 => match slack.budget.try_take(next.owed) {
                None => {
                    self.waiting = Some(next);
                    return Ok(Came::TooLarge);
                }
                some => some,
            },
            _ => next.borrowed,
        };
        self.held = Some((borrowed, next.slots));
        *window = next.bytes;
        Ok(Came::Window)
    }

    fn too_little(&self, window: &Vec<u8>, slack: &Slack) -> JobError {
        // Every source may hand out batches like this one. What a compressed one holds is not known yet: a record as large as
        // the batch, and as much again for its codec.
        let codec = Batch::read(window).and_then(|batch| batch.header.codec()).unwrap_or_default();
        let piece = if codec == Codec::None { 0 } else { window.len().saturating_mul(2) };
        JobError::Refused(format!(
            "{}: the broker hands out whole batches, here {} at once, and that does not fit beside what the other sources \
             hold. {}",
            self.partition,
            show_size(window.len() as u64),
            (slack.way_out)(window.capacity(), piece),
        ))
    }
}

impl Source for Windows {
    type Error = JobError;

    fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    fn range(&self) -> Range<i64> {
        self.range.clone()
    }

    /// Exchanges `window`, which was read, for the next one.
    async fn next(&mut self, window: &mut Vec<u8>) -> Result<Option<()>, JobError> {
        match self.come(window).await? {
            Came::Window => Ok(Some(())),
            Came::End => Ok(None),
            Came::TooLarge => match (self.waiting.take(), &self.slack) {
                (Some(next), Some(slack)) => Err(self.too_little(&next.bytes, slack)),
                _ => Err(JobError::Refused(format!("{}: a batch is larger than its budget", self.partition))),
            },
        }
    }
}

/// Waits for a task from which nothing comes any more: one that died must not look like one that is done.
pub(super) async fn finished(task: &mut JoinSet<()>) -> Result<(), JobError> {
    match task.join_next().await {
        Some(Err(died)) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
        Some(Err(_)) => Err(JobError::Refused("a reader was stopped".to_owned())),
        _ => Ok(()),
    }
}

/// Fetches until the end, never more than one window ahead of what is read.
async fn fetch_ahead<S>(
    mut source: S,
    slack: Option<ByteBudget>,
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
        // What a vector grows by in advance is not worth borrowing for.
        bytes.shrink_to(window_bytes.max(bytes.len()));
        let owed = slack.as_ref().map_or(0, |_| bytes.capacity().saturating_sub(window_bytes));
        slots_needed = if bytes.len() > window_bytes { ALIVE } else { 1 };
        let borrowed = slack.as_ref().and_then(|slack| slack.try_take(owed));
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
