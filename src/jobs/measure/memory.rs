//! Who gets how much of the memory.

use super::MeasureSettings;
use crate::base::units::show_size;
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::spill::Runs;

/// What one reader should have at least: a batch may take a quarter of it, and by default a broker takes batches of 1 MiB.
const PARTITION_BYTES: usize = 5 << 20;
/// Less is not worth a table: with runs this short all the time would go into merging them.
const TABLE_BYTES_MIN: usize = 512 << 10;

/// Each worker reads, remembers where rules do, and has a table; runs are merged where the tables were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) workers: usize,
    pub(super) read: ReadShare,
    /// What the rules of a partition may remember.
    pub(super) state_bytes: usize,
    pub(super) table_bytes: usize,
    /// What rows of the answer may take before they are put aside.
    pub(super) rows_bytes: usize,
}

impl Memory {
    /// For so many workers, or fewer where there is not enough for them.
    pub(super) fn share_out(settings: &MeasureSettings, workers: usize) -> Result<Self, JobError> {
        let all = settings.memory_bytes;
        // With little memory, batches of the usual size come before groups.
        let reading = (all / 4).max((all / 2).min(PARTITION_BYTES));
        let workers = (reading / PARTITION_BYTES).clamp(1, workers.clamp(1, Runs::SHARERS_MAX));
        let read = ReadShare::of("measure", reading, 0, workers)?;
        let rows_bytes = all / 16;
        // Threads have stocks of memory of their own.
        let stocks = all / 8;
        let state_bytes = if settings.measures.rules.is_stateful() { all / 8 / workers } else { 0 };
        let table_bytes = (all - reading - rows_bytes - stocks) / workers - state_bytes;
        if table_bytes < TABLE_BYTES_MIN {
            return Err(JobError::Refused(format!(
                "{} leaves no room for groups: give --memory 4MiB or more",
                show_size(all as u64)
            )));
        }
        Ok(Self { workers, read, state_bytes, table_bytes, rows_bytes })
    }

    /// The most that an entry of a table may take.
    pub(super) fn entry_bytes_max(&self) -> usize {
        Runs::entry_bytes_max(self.table_bytes)
    }
}
