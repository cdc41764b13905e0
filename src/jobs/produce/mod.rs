//! Files and pipes into a topic.
//!
//! ```text
//!  a thread            the job's task                                             a task a partition
//!  read ──▶ blocks ──▶ Text ▶ Reader ▶ Row ▶ key, time, headers ▶ when it is due ▶ Pour ──▶ acknowledged
//! ```
//!
//! - Reading runs ahead by a few blocks, whatever the size of the input. What was read is sent within its linger, also while
//!   the pipe is silent.
//! - Input that cannot be read as what it should be ends the run with its file and line, once everything before it is written.
//! - With a comparison the same input is written twice: the first records one at a time, each awaited; then all of it as
//!   usual.

mod feed;
mod input;
mod report;
mod rows;

pub use input::Input;
pub use report::{BatchLine, ProduceReport};
pub use rows::{Format, KeyFrom, TimeFrom, parse_time};

use super::JobContext;
use super::error::JobError;
use super::made::topic_or_new;
use super::minutes::{Ledger, LedgerTo};
use super::pace::Pace;
use super::pour::{Pour, PourRecord, PourSettings, Poured};
use crate::base::shutdown::Signal;
use crate::batch::HeadersBuf;
use crate::client::{ClientError, Cluster, NewTopic};
use input::{Inputs, RowError};
use report::{Batches, Run};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The clock is read anew after so many records, and whenever there was something to wait for.
const RECORDS_PER_CLOCK: u64 = 128;

/// Whether each record is awaited before the next one is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// No: many are on their way.
    #[default]
    Async,
    /// Yes.
    Sync,
}

impl Mode {
    /// As it is typed and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Sync => "sync",
        }
    }
}

/// What is to be written, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ProduceSettings {
    /// The topic.
    pub topic: String,
    /// Partitions and replicas to make it with, if it is missing.
    pub create: Option<(u32, Option<i16>)>,
    /// Where the records come from, in order.
    pub inputs: Vec<Input>,
    /// What the inputs are; by the names of the files, if absent.
    pub format: Option<Format>,
    /// What a CSV's fields are parted by; a comma, or a tab in a file called so, if absent.
    pub csv_delimiter: Option<u8>,
    /// Where keys come from; what the format itself says, if absent.
    pub key: Option<KeyFrom>,
    /// Where times come from; what the format itself says, or the time of reading, if absent.
    pub time: Option<TimeFrom>,
    /// All records go there.
    pub partition: Option<i32>,
    /// Each goes where its envelope says.
    pub keep_partitions: bool,
    /// Headers that each record gets, before its own.
    pub headers: Vec<(String, Option<String>)>,
    /// The inputs are read again and again until so many records are sent.
    pub repeat_to: Option<u64>,
    /// No more than so many.
    pub records: Option<u64>,
    /// How fast.
    pub pace: Pace,
    /// Whether each record is awaited.
    pub mode: Mode,
    /// So many are written one at a time before all are written as usual, to compare.
    pub compare_records: Option<u64>,
    /// Tell of each so many records.
    pub batch_records: Option<u64>,
    /// What is acknowledged is noted there, by partition and minute.
    pub ledger: Option<LedgerTo>,
    /// What reading and writing together may take.
    pub memory_bytes: usize,
    /// How they are written; its memory is what is left of the whole.
    pub pour: PourSettings,
}

impl ProduceSettings {
    /// No more records than these, if there is a limit.
    fn limit(&self) -> Option<u64> {
        self.repeat_to.or(self.records)
    }
}

/// Writes everything, and tells of each batch of records to `heard` as it goes along.
pub async fn run(
    settings: &ProduceSettings,
    cx: &JobContext,
    heard: &mut (dyn FnMut(&BatchLine) + Send),
) -> Result<ProduceReport, JobError> {
    rows::check(settings)?;
    cx.progress.begin("look", 0);
    let (cluster, created, ledger) = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
        looked = look(settings, cx) => looked?,
    };
    let mut report = ProduceReport::new(&settings.topic, created);
    if let Some(records) = settings.compare_records {
        let sync = ProduceSettings {
            mode: Mode::Sync,
            // Not more than in the second run.
            records: Some(settings.limit().map_or(records, |limit| limit.min(records))),
            repeat_to: None,
            batch_records: None,
            ..settings.clone()
        };
        let (run, stopped) = write(&sync, &cluster, &ledger, cx, heard).await?;
        report.sync = Some(run);
        if stopped.is_some() || !report.is_whole() {
            report.interrupted = stopped;
            return Ok(report);
        }
    }
    let (run, stopped) = write(settings, &cluster, &ledger, cx, heard).await?;
    report.run = Some(run);
    report.interrupted = stopped;
    Ok(report)
}

async fn look(settings: &ProduceSettings, cx: &JobContext) -> Result<(Cluster, bool, Option<Arc<Ledger>>), JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?.timing(cx.progress.acknowledgements());
    // Before anything is made: without it nothing is to be written.
    let ledger = match &settings.ledger {
        Some(to) => Some(Arc::new(Ledger::open(to, &[&settings.topic], &cluster).await?)),
        None => None,
    };
    let Some((partitions, replicas)) = settings.create else {
        return match cluster.topic(&settings.topic).await {
            Ok(_) => Ok((cluster, false, ledger)),
            Err(error @ ClientError::UnknownTopic { .. }) => {
                Err(JobError::Refused(format!("{error}; --create PARTITIONS makes it")))
            }
            Err(error) => Err(error.into()),
        };
    };
    let mut new = NewTopic::new(settings.topic.as_str(), partitions as i32);
    new.replication_factor = replicas.unwrap_or(new.replication_factor);
    let (_, created) = topic_or_new(&cluster, &new).await?;
    Ok((cluster, created, ledger))
}

/// One run over the inputs: what became of it, and the signal that ended it before its time.
async fn write(
    settings: &ProduceSettings,
    cluster: &Cluster,
    ledger: &Option<Arc<Ledger>>,
    cx: &JobContext,
    heard: &mut (dyn FnMut(&BatchLine) + Send),
) -> Result<(Run, Option<Signal>), JobError> {
    let pour_settings = settings.pour();
    let mut pour = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
        opened = Pour::open(cluster, &settings.topic, &pour_settings, &cx.progress) => opened?,
    };
    if let Some(ledger) = ledger {
        pour.keep_ledger(ledger.clone());
    }
    let mut inputs = Inputs::open(settings)?;
    cx.progress.begin("produce", settings.limit().unwrap_or(0));
    let began = Instant::now();
    let mut batches = Batches::new(settings.batch_records, heard);
    let ended = tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        filled = fill(&mut pour, &mut inputs, settings, began, &mut batches) => filled,
    };
    let interrupted = match &ended {
        Err(JobError::Interrupted(signal)) => Some(*signal),
        _ => None,
    };
    let poured = pour.finish(&cx.shutdown).await;
    let run = Run::new(settings.mode, poured, batches.end(), began.elapsed());
    match ended {
        // That nothing more could be written, the run itself tells.
        Ok(()) | Err(JobError::OutputClosed | JobError::Interrupted(_)) => Ok((run, interrupted)),
        Err(error) => Err(stopped(error, &run.poured)),
    }
}

/// What was wrong with the input, and how far the writing had come.
fn stopped(error: JobError, poured: &Poured) -> JobError {
    JobError::InputStopped { error: Box::new(error), written: poured.summary() }
}

/// Input that came late is no reason for a burst: the records behind it are due by so much later as they are late for the
/// waiting. What the writing holds up is caught up.
fn forgive(pace: Pace, began: Instant, sent: u64, waited: Duration) -> Instant {
    let late = pace.due(began, sent).map(|due| Instant::now().saturating_duration_since(due));
    began + late.unwrap_or_default().min(waited)
}

async fn fill(
    pour: &mut Pour,
    inputs: &mut Inputs<'_>,
    settings: &ProduceSettings,
    mut began: Instant,
    batches: &mut Batches<'_>,
) -> Result<(), JobError> {
    let limit = settings.limit().unwrap_or(u64::MAX);
    let mut headers = HeadersBuf::default();
    let mut clock = rows::Clock::default();
    let mut sent = 0;
    let mut is_more = pour.meanwhile(inputs.more()).await??;
    while is_more && sent < limit {
        let row = match inputs.next() {
            Ok(Some(row)) => row,
            Ok(None) => {
                let before = Instant::now();
                is_more = pour.meanwhile(inputs.more()).await??;
                clock.forget();
                began = forgive(settings.pace, began, sent, before.elapsed());
                continue;
            }
            Err(error) => return Err(inputs.tell(error)),
        };
        if let Some(due) = settings.pace.due(began, sent)
            && due > Instant::now()
        {
            pour.meanwhile(tokio::time::sleep_until(due)).await?;
            clock.forget();
        }
        if sent % RECORDS_PER_CLOCK == 0 {
            clock.forget();
        }
        let record = PourRecord {
            partition: settings.partition.or(row.row.partition.filter(|_| settings.keep_partitions)),
            key: row.key.as_deref(),
            value: row.row.value,
            headers: rows::headers(&settings.headers, row.row.headers, &mut headers),
            timestamp: row.timestamp.unwrap_or_else(|| clock.now_ms()),
        };
        batches.count(record.value.unwrap_or_default());
        let pushed = match settings.mode {
            Mode::Async => pour.push(&record).await,
            Mode::Sync => pour.push_and_settle(&record).await,
        };
        match pushed {
            Ok(()) => sent += 1,
            Err(JobError::Usage(problem)) => return Err(inputs.tell(RowError::Unfit(problem))),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_was_waited_for_input_is_forgiven() {
        let (pace, began) = (Pace::rate(10.0).unwrap(), Instant::now());
        let seconds = Duration::from_secs;
        tokio::time::advance(seconds(10)).await;
        // Due after 2 s, so 8 s late.
        assert_eq!(forgive(pace, began, 20, seconds(0)), began, "the writing was slow");
        assert_eq!(forgive(pace, began, 20, seconds(3)), began + seconds(3));
        assert_eq!(
            forgive(pace, began, 20, seconds(9)),
            began + seconds(8),
            "part of the waiting was before it was due"
        );
        assert_eq!(forgive(pace, began, 200, seconds(9)), began, "it is not due yet");
        assert_eq!(forgive(Pace::FREE, began, 20, seconds(9)), began);
    }
}
