//! A worker: what it reads goes by the rules into rows, and the rows into its table; when that is full, into a run.

use super::memory::Memory;
use super::report::Refused;
use super::{JobContext, MeasureSettings};
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::base::units::show_size;
use crate::batch::Record;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::jobs::windows::Windows;
use crate::rules::measure::{Filled, Looked, MEASURE, Measurer, RowCounts, Sorted, TableFull};
use crate::rules::{Counts, Incoming, Offer, Reason, Rules, State, StateFull};
use crate::spill::{Entries, Runs, Scratch, SpillError};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// See the module's head.
pub(super) struct Worker {
    measurer: Measurer,
    rules: Arc<Rules>,
    runs: Runs,
    state_bytes: usize,
    strict: bool,
    refused: Option<Refused>,
    duplicates: BTreeMap<String, u64>,
    late: u64,
    shutdown: Shutdown,
}

/// What a worker has when there is nothing left to read.
pub(super) struct Worked {
    pub(super) runs: Runs,
    pub(super) table: Filled,
    pub(super) counts: Counts,
    pub(super) rows: RowCounts,
    pub(super) refused: Option<Refused>,
    pub(super) duplicates: BTreeMap<String, u64>,
    pub(super) late: u64,
}

/// Who refuses a record, and why.
type Refusal = (String, Reason);

/// Why a record ends the reading, for now or for good.
enum Stop {
    Full { offset: i64 },
    TooLarge { offset: i64, bytes: usize },
    State { offset: i64, full: StateFull },
    Refused,
}

/// A table's entries, as the disk takes them.
pub(super) struct FromTable(pub(super) Sorted);

impl Entries for FromTable {
    fn advance(&mut self) -> Result<bool, SpillError> {
        Ok(self.0.advance())
    }

    fn key(&self) -> &[u8] {
        self.0.key()
    }

    fn value(&self) -> &[u8] {
        self.0.value()
    }
}

impl Worker {
    pub(super) fn new(settings: &MeasureSettings, memory: Memory, scratch: &Scratch, cx: &JobContext) -> Self {
        Self {
            measurer: Measurer::new(&settings.measures, memory.table_bytes, memory.entry_bytes_max()),
            rules: Arc::clone(&settings.measures.rules),
            runs: Runs::new(scratch.clone(), memory.table_bytes).one_of(memory.workers),
            state_bytes: memory.state_bytes,
            strict: settings.strict,
            refused: None,
            duplicates: BTreeMap::new(),
            late: 0,
            shutdown: cx.shutdown.clone(),
        }
    }

    /// Reads a partition to its end.
    pub(super) async fn read(&mut self, cursor: &mut RecordCursor<Windows>) -> Result<(), JobError> {
        let partition = cursor.partition().clone();
        let mut state = self.rules.is_stateful().then(|| State::new(&self.rules, self.state_bytes));
        loop {
            let mut stopped = cursor.pass_here(|found| {
                let taken = self.take(&found.record, state.as_mut());
                self.told(taken, &partition, found.record.offset)
            })?;
            while let Some(Stop::Full { offset }) = stopped {
                self.put_aside().await?;
                let taken = self.add(offset);
                stopped = self.told(taken, &partition, offset).break_value();
            }
            match stopped {
                Some(stop) => return Err(self.error(stop, &partition)),
                None if cursor.more().await? => {}
                None => break,
            }
        }
        self.late += state.map_or(0, |mut state| state.take_counts().late);
        Ok(())
    }

    /// What is to be told of a record, and whether it goes on.
    #[inline]
    fn told(
        &mut self,
        taken: Result<Option<Refusal>, Stop>,
        partition: &TopicPartition,
        offset: i64,
    ) -> ControlFlow<Stop> {
        match taken {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some((by, reason))) => {
                self.refused.get_or_insert(Refused { at: partition.at(offset), by, reason: reason.text });
                if self.strict { ControlFlow::Break(Stop::Refused) } else { ControlFlow::Continue(()) }
            }
            Err(stop) => ControlFlow::Break(stop),
        }
    }

    /// The table goes into a run, and an empty one takes its place.
    async fn put_aside(&mut self) -> Result<(), JobError> {
        let filled = self.measurer.take();
        let none = self.runs.none();
        let mut runs = std::mem::replace(&mut self.runs, none);
        let put = on_the_side(&self.shutdown, move |stop| {
            let mut entries = FromTable(filled.sorted());
            runs.add(&mut entries, stop)?;
            if !runs.are_many() {
                return Ok((runs, Some(entries.0.emptied())));
            }
            // Merging takes what the table took.
            drop(entries);
            runs.settle(stop)?;
            Ok((runs, None))
        });
        let (runs, emptied) = put.await?;
        self.runs = runs;
        if let Some(emptied) = emptied {
            self.measurer.put_back(emptied);
        }
        Ok(())
    }

    /// Nothing is left to read.
    pub(super) fn end(mut self) -> Worked {
        let (counts, rows) = self.measurer.take_counts();
        Worked {
            runs: self.runs,
            table: self.measurer.take(),
            counts,
            rows,
            refused: self.refused,
            duplicates: self.duplicates,
            late: self.late,
        }
    }

    /// Takes a record. Gives who refuses it, or a member of it, and why.
    #[inline]
    fn take(&mut self, record: &Record<'_>, state: Option<&mut State>) -> Result<Option<Refusal>, Stop> {
        let offset = record.offset;
        match self.measurer.look(&Incoming { value: record.value, timestamp_ms: record.timestamp }) {
            Looked::Rows => {}
            Looked::Filtered => return Ok(None),
            Looked::Rejected { by, reason } => return Ok(Some((by, reason))),
        }
        if let Some(state) = state {
            let offer = state.offer(self.measurer.offered(), offset).map_err(|full| Stop::State { offset, full })?;
            if let Offer::Duplicate { rule } = offer {
                *self.duplicates.entry(self.rules.name(rule).to_owned()).or_default() += 1;
                return Ok(None);
            }
        }
        self.add(offset)
    }

    /// Adds the rows of the record that was looked at last. Gives why a member of it is refused.
    #[inline]
    fn add(&mut self, offset: i64) -> Result<Option<Refusal>, Stop> {
        match self.measurer.add() {
            Ok(()) => Ok(self.measurer.take_refused().map(|reason| (MEASURE.to_owned(), reason))),
            Err(TableFull::Take) => Err(Stop::Full { offset }),
            Err(TableFull::TooLarge { bytes }) => Err(Stop::TooLarge { offset, bytes }),
        }
    }

    fn error(&self, stop: Stop, partition: &TopicPartition) -> JobError {
        match stop {
            Stop::Full { offset } => JobError::Refused(format!("{}: there is no room for it", partition.at(offset))),
            Stop::TooLarge { offset, bytes } => JobError::Refused(format!(
                "{}: the key of its group and a value take {} here, which is too much for this memory: give more --memory, or \
                 leave such values out by a [[rule]]",
                partition.at(offset),
                show_size(bytes as u64)
            )),
            Stop::State { offset, full } => JobError::Refused(format!("{}: {full}", partition.at(offset))),
            Stop::Refused => match &self.refused {
                Some(refused) => JobError::Unfit(format!("--strict: {refused}")),
                None => JobError::Unfit("--strict: a record is refused".to_owned()),
            },
        }
    }
}

/// Does what takes its time where nothing else waits for it. It is asked now and then whether to stop.
pub(super) async fn on_the_side<T: Send + 'static>(
    shutdown: &Shutdown,
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    let asked = shutdown.clone();
    let done = tokio::task::spawn_blocking(move || work(&|| asked.requested().is_some())).await;
    match done {
        Ok(Err(JobError::Spill(SpillError::Stopped))) => match shutdown.requested() {
            Some(signal) => Err(JobError::Interrupted(signal)),
            None => Err(SpillError::Stopped.into()),
        },
        Ok(done) => done,
        Err(panicked) => match panicked.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(JobError::Refused("the work on disk was stopped".to_owned())),
        },
    }
}
