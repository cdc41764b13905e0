//! `measure`: the records of a topic in groups, by fields and windows of time, and what the values of each group come to.
//!
//! ```text
//!  partitions ─▶ windows ─▶ worker: rules, rows, table ──full──▶ run ─┐
//!                           (as many as there are processors)         ├─ merged ──▶ rows in order ──▶ Spool ──▶ the command
//!  partitions ─▶ windows ─▶ worker: rules, rows, table ──full──▶ run ─┘
//! ```
//!
//! Non-obvious:
//! - The ends are taken once, at the start. Nothing is late: a window is told when all has been read.
//! - Who reads which partition, and how often a table was full, is chance; the answer is not: what values come to does not depend
//!   on their order or on how they were shared out, and rows are sorted by key in the end.
//! - Nothing is shown before all is known. Rows wait in memory as long as they are few, and in a file beyond that.

mod finish;
mod memory;
mod report;
mod worker;

#[cfg(test)]
mod tests;

pub use report::{Form, MeasureReport, Refused, Rows};

use super::JobContext;
use super::error::JobError;
use super::range::{Bounds, ReadShare, offsets_in, partitions_of, pin};
use super::windows::Windows;
use crate::base::ends::Bound;
use crate::client::Cluster;
use crate::ports::Source;
use crate::rules::measure::Measures;
use crate::spill::Scratch;
use memory::Memory;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;
use worker::{Worked, Worker};

/// What is measured, and where.
#[derive(Debug, Clone)]
pub struct MeasureSettings {
    /// The topics.
    pub from: Vec<String>,
    /// These partitions only; all where it is empty.
    pub partitions: Vec<i32>,
    /// The rule file.
    pub measures: Measures,
    /// Where to start; without it, at the first offset there is.
    pub start: Option<Bound>,
    /// Where to end; without it, at the high watermarks now.
    pub end: Option<Bound>,
    /// Whether the first record that is refused ends it.
    pub strict: bool,
    /// The most memory that reading, groups and rows may take.
    pub memory_bytes: usize,
    /// Where is put aside what does not fit into it.
    pub temp_dir: PathBuf,
}

/// Reads the topics, and gives what was found.
pub async fn run(settings: &MeasureSettings, cx: &JobContext) -> Result<MeasureReport, JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let partitions = partitions_of(&cluster, &settings.from, &settings.partitions).await?;
    let bounds = Bounds { start: ("--start", settings.start.as_ref()), end: ("--end", settings.end.as_ref()) };
    let ranges = pin(&cluster, &partitions, bounds).await?;
    cx.progress.begin("measure", offsets_in(&ranges));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = Memory::share_out(settings, ranges.len().min(processors))?;
    let options = memory.read.read_options();
    let sources = ranges.into_iter().map(move |(partition, range)| cluster.reader(partition, range, options));
    measure(sources, settings, memory, cx).await
}

/// Measures what the sources hold, as many of them at a time as there are workers.
async fn measure<S>(
    sources: impl Iterator<Item = S> + Send + 'static,
    settings: &MeasureSettings,
    memory: Memory,
    cx: &JobContext,
) -> Result<MeasureReport, JobError>
where
    S: Source + 'static,
    JobError: From<S::Error>,
{
    let began = Instant::now();
    let scratch = Scratch::new(&settings.temp_dir);
    let sources = Arc::new(Mutex::new(sources));
    // Dropping the set ends the tasks in it, so an error here leaves nothing running.
    let mut tasks = JoinSet::new();
    for _ in 0..memory.workers {
        let worker = Worker::new(settings, memory, &scratch, cx);
        tasks.spawn(work(worker, Arc::clone(&sources), memory.read, cx.clone()));
    }
    let mut worked = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(done) => worked.push(done?),
            Err(panicked) => match panicked.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(JobError::Refused("a reader was stopped".to_owned())),
            },
        }
    }
    finish::finish(worked, settings, memory, scratch, began, cx).await
}

/// One worker takes one source after the other, until there are no more.
async fn work<S>(
    mut worker: Worker,
    sources: Arc<Mutex<impl Iterator<Item = S>>>,
    read: ReadShare,
    cx: JobContext,
) -> Result<Worked, JobError>
where
    S: Source + 'static,
    JobError: From<S::Error>,
{
    loop {
        let next = sources.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(source) = next else { return Ok(worker.end()) };
        let mut cursor = read.cursor(Windows::start(source, read.fetch_bytes, None), &cx);
        worker.read(&mut cursor).await?;
    }
}
