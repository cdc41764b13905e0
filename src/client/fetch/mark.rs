//! Reading on later, with another reader, as if it were the same one.

use super::PartitionReader;
use crate::wire::Uuid;

/// What tells the log that was read from another one of its name, or from one that has lost what was read.
#[derive(Debug, Clone, Copy)]
pub struct LogMark {
    topic_id: Option<Uuid>,
    read_epoch: i32,
}

impl PartitionReader {
    /// For the reader that goes on where this one is.
    pub fn mark(&self) -> LogMark {
        LogMark { topic_id: self.topic_id, read_epoch: self.read_epoch }
    }

    /// Goes on where the reader was that this is of: its range begins where that one ended.
    pub fn behind(self, mark: LogMark) -> Self {
        Self { topic_id: mark.topic_id, read_epoch: mark.read_epoch, ..self }
    }
}
