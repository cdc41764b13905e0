//! A partition as the one who pushes sees it.

use super::INBOX;
use super::lane::Filled;
use crate::batch::BatchWriter;
use crate::jobs::minutes::Runs;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One partition: the batch being filled, and the way to its task once it has one.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) batch: Option<Filling>,
    pub(super) inbox: Option<mpsc::Sender<Filled>>,
}

pub(super) struct Filling {
    pub(super) writer: BatchWriter,
    /// Keys and values in it.
    pub(super) payload_bytes: u64,
    /// Its records by minute, where a ledger is kept.
    pub(super) runs: Runs,
    /// When its first record came.
    pub(super) since: Instant,
}

impl Filling {
    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes() + self.runs.heap_bytes()
    }
}

impl Slot {
    /// Nothing waits for its task.
    pub(super) fn is_idle(&self) -> bool {
        self.inbox.as_ref().is_none_or(|inbox| inbox.capacity() == INBOX)
    }
}
