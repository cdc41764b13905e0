//! `stats`: what is in a topic, and how fast it comes: records, words, different words, bytes, time, processor and memory, for
//! each batch of records and in all.
//!
//! ```text
//!  partition 0 ─▶ windows ─┐  1,000 records each, in turn
//!  partition 1 ─▶ windows ─┼─▶ tally.rs ───────────────────────────────────────▶ report.rs ─▶ table, JSON, plot.rs
//!  partition 2 ─▶ windows ─┘  a batch  └▶ counter.rs ─▶ vocabulary.rs      ─┘
//!                                         texts, to a thread   words: known? in this batch? (and one more)
//! ```
//!
//! Non-obvious:
//! - Partitions are read at the same time as far as the memory goes, and what is fetched ahead waits; but their records are
//!   counted in turn, so many of one, then so many of the next, whichever arrives first. So the same topic gives the same
//!   batches every time. When one is at its end, the next one that waits takes its place.
//! - The memory is shared out before anything is read: a quarter for reading, what the rows of the report will take, the rest
//!   for words. What cannot be kept is estimated, and said to be.

mod counter;
mod front;
mod hash;
mod lexicon;
mod plot;
mod report;
mod set;
mod sketch;
mod tally;
mod vocabulary;
mod worker;

#[cfg(test)]
mod tests;

pub use lexicon::Unique;
pub use report::{Ages, Batch, COLUMNS, COLUMNS_CSV, StatsReport, Totals, Unreadable};

use super::JobContext;
use super::cursor::RecordCursor;
use super::error::JobError;
use super::range::{Bounds, ReadShare, offsets_in, partitions_of, pin};
use super::windows::Windows;
use crate::base::ends::Bound;
use crate::base::units::{show_count, show_size};
use crate::client::Cluster;
use crate::keys::TextSource;
use crate::ports::Source;
use counter::Counter;
use tally::{Enough, Tally};

/// Records of a partition that are counted before it is the next one's turn.
pub const TURN_RECORDS: u64 = 1000;

/// What one partition should have at least: a batch may take a quarter of it, and by default a broker takes batches of 1 MiB.
const PARTITION_BYTES: usize = 5 << 20;

/// What is counted.
#[derive(Debug, Clone)]
pub struct StatsSettings {
    /// The topic.
    pub topic: String,
    /// These partitions only; all where it is empty.
    pub partitions: Vec<i32>,
    /// Where a record's words are taken from.
    pub text: TextSource,
    /// How many records are a batch.
    pub batch_records: u64,
    /// Where to start; without it, at the first offset there is.
    pub start: Option<Bound>,
    /// Where to end; without it, at the high watermarks now.
    pub end: Option<Bound>,
    /// The most memory that reading, words and the report may take.
    pub memory_bytes: usize,
}

/// Reads the topic and counts. A wish to stop ends it with what was counted so far.
pub async fn run(settings: &StatsSettings, cx: &JobContext) -> Result<StatsReport, JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let partitions = partitions_of(&cluster, std::slice::from_ref(&settings.topic), &settings.partitions).await?;
    let bounds = Bounds { start: ("--start", settings.start.as_ref()), end: ("--end", settings.end.as_ref()) };
    let ranges = pin(&cluster, &partitions, bounds).await?;
    let memory = Memory::share_out(settings, offsets_in(&ranges), ranges.len())?;
    cx.progress.begin("stats", offsets_in(&ranges));
    let sources =
        ranges.into_iter().map(|(partition, range)| cluster.reader(partition, range, memory.read.read_options()));
    let (totals, stopped) = count(sources, settings, memory, cx).await?;
    Ok(StatsReport {
        topic: settings.topic.clone(),
        partitions: partitions.len(),
        text: settings.text.clone(),
        batch_records: settings.batch_records,
        totals,
        stopped,
    })
}

/// Who gets how much of the memory.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// How many partitions are read at once, and what each of them gets.
    at_once: usize,
    read: ReadShare,
    words_bytes: usize,
    batches_max: usize,
}

impl Memory {
    fn share_out(settings: &StatsSettings, offsets: u64, partitions: usize) -> Result<Self, JobError> {
        let all = settings.memory_bytes;
        // With little memory, batches of the usual size come before words.
        let reading = (all / 4).max((all / 2).min(PARTITION_BYTES));
        let batches = offsets.div_ceil(settings.batch_records.max(1));
        let rows = (batches as usize).saturating_mul(size_of::<Batch>());
        if rows > all / 4 {
            let batches_max = (all / 4 / size_of::<Batch>()).max(1) as u64;
            return Err(JobError::Refused(format!(
                "that would be {} batches, whose rows alone take {}, more than a quarter of --memory {}: give --batch-records \
                 {} or more, or more memory",
                show_count(batches),
                show_size(rows as u64),
                show_size(all as u64),
                offsets.div_ceil(batches_max),
            )));
        }
        let at_once = (reading / PARTITION_BYTES).clamp(1, partitions.max(1));
        let read = ReadShare::of("stats", reading, 0, at_once)?;
        let words_bytes = all.saturating_sub(reading + rows);
        if words_bytes < Counter::BYTES_MIN {
            let least = (reading + rows + Counter::BYTES_MIN).next_multiple_of(1 << 20);
            return Err(JobError::Refused(format!(
                "{} leaves no room to keep words in: give --memory {}MiB or more",
                show_size(all as u64),
                least >> 20
            )));
        }
        Ok(Self { at_once, read, words_bytes, batches_max: batches as usize })
    }
}

/// Counts what the sources hold, `at_once` of them in turn.
async fn count<S>(
    sources: impl Iterator<Item = S>,
    settings: &StatsSettings,
    memory: Memory,
    cx: &JobContext,
) -> Result<(Totals, Option<crate::base::shutdown::Signal>), JobError>
where
    S: Source + 'static,
    JobError: From<S::Error>,
{
    let mut waiting =
        sources.map(|source| memory.read.cursor(Windows::start(source, memory.read.fetch_bytes, None), cx));
    let mut open: Vec<RecordCursor<Windows>> = waiting.by_ref().take(memory.at_once).collect();
    let (text, batch_records) = (settings.text.clone(), settings.batch_records.max(1));
    let mut tally = Tally::new(text, batch_records, memory.batches_max, TURN_RECORDS, memory.words_bytes)
        .map_err(|error| JobError::Refused(format!("cannot start the threads that count words: {error}")))?;
    let mut turn = 0;
    while !open.is_empty() {
        if turn >= open.len() {
            turn = 0;
        }
        let cursor = &mut open[turn];
        tally.look_at_the_clock();
        let partition = cursor.partition().clone();
        match cursor.pass_here(|found| tally.take(&partition, found))? {
            Some(Enough::Batch) => tally.end_batch(),
            Some(Enough::Turn) => {}
            None => match cursor.more().await {
                Ok(true) => {}
                Ok(false) => {
                    match waiting.next() {
                        Some(next) => open[turn] = next,
                        // The one behind it moves up, and it is its turn.
                        None => drop(open.remove(turn)),
                    }
                    tally.begin_turn();
                    continue;
                }
                Err(JobError::Interrupted(signal)) => return Ok((tally.finish(), Some(signal))),
                Err(error) => return Err(error),
            },
        }
        if tally.turn_is_over() {
            turn += 1;
            tally.begin_turn();
        }
    }
    Ok((tally.finish(), None))
}
