//! A ledger that is being written, be it a file or a topic.

use super::counts::Counts;
use super::file::LedgerFile;
use super::topic::LedgerTopic;
use crate::client::Cluster;
use crate::jobs::error::JobError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerTo {
    /// In this file; made if it is missing.
    File(PathBuf),
    /// In this compacted topic; made if it is missing.
    Topic(String),
}

/// A ledger that is open.
#[derive(Debug)]
pub enum Ledger {
    /// A file.
    File(Arc<LedgerFile>),
    /// A topic.
    Topic(LedgerTopic),
}

/// What a ledger lacks because it cannot be written.
#[derive(Debug)]
pub struct Lack {
    /// Records that are stored and not in it.
    pub records: u64,
    /// Why.
    pub error: io::Error,
}

impl Lack {
    /// What the job ends with.
    pub fn into_error(self, name: &str) -> JobError {
        JobError::Ledger { name: name.to_owned(), lacking: self.records, source: self.error, beside: None }
    }
}

impl Ledger {
    /// Opens it, or makes it; `others` are the topics that the job reads or writes.
    pub async fn open(to: &LedgerTo, others: &[&str], cluster: &Cluster) -> Result<Self, JobError> {
        match to {
            LedgerTo::File(path) => LedgerFile::open(path).map(Arc::new).map(Self::File),
            LedgerTo::Topic(name) if others.contains(&name.as_str()) => Err(JobError::Usage(format!(
                "--ledger-topic {name}: that is a topic which the records themselves go to, or come from; give the ledger one of \
                 its own"
            ))),
            LedgerTo::Topic(name) => LedgerTopic::open(cluster, name).await.map(Self::Topic),
        }
    }

    /// For people.
    pub fn name(&self) -> &str {
        match self {
            Self::File(file) => file.name(),
            Self::Topic(topic) => topic.name(),
        }
    }

    /// Writes these.
    pub(super) async fn write(&self, counts: Counts) -> Result<(), Lack> {
        match self {
            Self::File(file) => {
                let file = file.clone();
                aside(move || file.write(counts)).await
            }
            Self::Topic(topic) => topic.write(counts).await,
        }
    }

    /// Waits until the disk has what was written; a topic's brokers have said so already.
    pub(super) async fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => {
                let file = file.clone();
                aside(move || file.sync()).await
            }
            Self::Topic(_) => Ok(()),
        }
    }
}

/// A disk may keep one waiting, which no task should stand still for.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
