//! What the workers have becomes the rows of the answer.

use super::memory::Memory;
use super::report::{Counted, MeasureReport, Rows};
use super::worker::{FromTable, Worked, on_the_side};
use super::{JobContext, MeasureSettings};
use crate::jobs::error::JobError;
use crate::rules::measure::{Filled, Finisher, MeasurePlan, NoEntry, Sorted, Unfit};
use crate::spill::{Entries, Merge, Runs, Scratch, SpillError};
use std::sync::Arc;
use std::time::Instant;

/// After how many entries the counters are moved, and somebody may stop it.
const LOOK_EVERY: u64 = 4096;

pub(super) async fn finish(
    worked: Vec<Worked>,
    settings: &MeasureSettings,
    memory: Memory,
    scratch: Scratch,
    began: Instant,
    cx: &JobContext,
) -> Result<MeasureReport, JobError> {
    let mut counted = Counted::default();
    let mut tables = Vec::new();
    let mut runs = Runs::new(scratch.clone(), memory.table_bytes);
    for one in worked {
        counted.add(&one);
        tables.push(one.table);
        runs.append(one.runs);
    }
    let plan = Arc::clone(&settings.measures.plan);
    let (rows, unfit) = {
        let (scratch, progress) = (scratch.clone(), cx.progress.clone());
        let done = move |stop: &dyn Fn() -> bool| {
            // What grows by doubling takes up to twice what is in it.
            let rows = Rows::new(&plan, scratch, memory.rows_bytes / 2);
            // The counters tell of entries now.
            let told = |entries: u64| progress.begin("put together", entries);
            put_together(tables, runs, &plan, rows, told, |entries| progress.add(entries, 0), stop)
        };
        on_the_side(&cx.shutdown, done).await?
    };
    Ok(MeasureReport::new(settings, counted, rows, unfit, &scratch, began))
}

fn put_together(
    tables: Vec<Filled>,
    mut runs: Runs,
    plan: &Arc<MeasurePlan>,
    rows: Rows,
    begin: impl Fn(u64),
    add: impl Fn(u64),
    stop: &dyn Fn() -> bool,
) -> Result<(Rows, Vec<Unfit>), JobError> {
    if runs.is_empty() {
        let tables: Vec<Sorted> = tables.into_iter().map(Filled::sorted).collect();
        begin(tables.iter().map(|table| table.len() as u64).sum());
        return tell(Merge::new(tables.into_iter().map(FromTable).collect()), plan, rows, add, stop);
    }
    // Runs are merged where tables were.
    for table in tables.into_iter().filter(|table| !table.is_empty()) {
        runs.add(&mut FromTable(table.sorted()), stop)?;
    }
    begin(runs.entries());
    tell(runs.into_entries(stop)?, plan, rows, add, stop)
}

fn tell(
    mut entries: impl Entries,
    plan: &Arc<MeasurePlan>,
    mut rows: Rows,
    add: impl Fn(u64),
    stop: &dyn Fn() -> bool,
) -> Result<(Rows, Vec<Unfit>), JobError> {
    let mut finisher = Finisher::new(plan);
    let mut seen = 0u64;
    let broken = |error: NoEntry| JobError::Refused(error.to_string());
    while entries.advance()? {
        if finisher.enter(entries.key(), entries.value()).map_err(broken)? {
            rows.push(finisher.cells())?;
        }
        seen += 1;
        if seen.is_multiple_of(LOOK_EVERY) {
            add(LOOK_EVERY);
            if stop() {
                return Err(SpillError::Stopped.into());
            }
        }
    }
    add(seen % LOOK_EVERY);
    if finisher.end().map_err(broken)? {
        rows.push(finisher.cells())?;
    }
    Ok((rows, finisher.unfit()))
}
