//! What one run has written to a topic, until it stands in the ledger.

use super::counts::{About, Acknowledged, Counts};
use super::ledger::{Lack, Ledger};
use super::runs::Runs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines are written at least so often.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// So many partitions and minutes are counted before they are written out.
pub const COUNTED_MAX: usize = 4096;

/// See the module's head.
#[derive(Debug)]
pub struct Book {
    about: About,
    ledger: Arc<Ledger>,
    /// The topic stamps records itself.
    stamps: bool,
    open: Mutex<Open>,
    /// One writes at a time, so that whoever closes the book waits for a write that is under way.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Open {
    counts: Counts,
    lack: Option<Lack>,
}

impl Book {
    /// An empty one; `stamps` says that the topic gives records the time of their append.
    pub fn new(topic: impl Into<Arc<str>>, ledger: Arc<Ledger>, stamps: bool) -> Self {
        Self { about: About::topic(topic), ledger, stamps, open: Mutex::default(), writing: Default::default() }
    }

    /// The ledger's name, for people.
    pub fn name(&self) -> &str {
        self.ledger.name()
    }

    /// Takes a batch that is stored; `true` asks for [`Self::write_out`] before the next one.
    pub fn take(&self, partition: i32, batch: Acknowledged, runs: &Runs) -> bool {
        let mut open = self.lock();
        if let Some(lack) = &mut open.lack {
            lack.records += u64::from(runs.all().0);
            return false;
        }
        open.counts.add_batch((&self.about, self.stamps), partition, batch, runs);
        open.counts.len() >= COUNTED_MAX
    }

    /// Writes what is counted; `false` if the ledger cannot be written, now or earlier.
    pub async fn write_out(self: &Arc<Self>) -> bool {
        self.aside(|book| async move { book.write_out_here().await }).await
    }

    /// Writes what is left and waits until the disk has it; what it lacks, if it cannot be written.
    pub async fn close(self: &Arc<Self>) -> Option<Lack> {
        self.aside(|book| async move {
            if book.write_out_here().await
                && let Err(error) = book.ledger.sync().await
            {
                // It may all be there; but that is not certain.
                book.lock().lack = Some(Lack { records: 0, error });
            }
        })
        .await;
        self.lock().lack.take()
    }

    /// In a task of its own, so that what has begun is ended, whoever does not wait for it any more.
    async fn aside<T, F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        match tokio::spawn(work(self.clone())).await {
            Ok(done) => done,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    async fn write_out_here(&self) -> bool {
        let _alone = self.writing.lock().await;
        let counts = std::mem::take(&mut self.lock().counts);
        let written = self.ledger.write(counts).await;
        let mut open = self.lock();
        if let Err(lack) = written {
            // What was taken while it was tried cannot be written either.
            let since = std::mem::take(&mut open.counts).records();
            open.lack = Some(Lack { records: lack.records + since, ..lack });
        }
        open.lack.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
