//! What one run has written to a topic, until it stands in the ledger.

use super::line::Line;
use super::runs::Runs;
use super::{LedgerFile, Minute};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines are written at least so often.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// So many partitions and minutes are counted before they are written out.
const COUNTED_MAX: usize = 4096;
/// What is put together before it is written.
const PIECE_BYTES: usize = 64 << 10;

/// See the module's head.
#[derive(Debug)]
pub struct Book {
    topic: Arc<str>,
    file: Arc<LedgerFile>,
    /// The topic stamps records itself.
    stamps: bool,
    open: Mutex<Open>,
    /// One writes at a time, so that whoever closes the book waits for a write that is under way.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Open {
    counts: BTreeMap<(i32, Minute), Counted>,
    lack: Option<Lack>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    records: u64,
    bytes: u64,
    first_offset: i64,
    last_offset: i64,
}

/// What a ledger lacks because it cannot be written.
#[derive(Debug)]
pub struct Lack {
    /// Records that are stored and not in it.
    pub records: u64,
    /// Why.
    pub error: io::Error,
}

/// A batch that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    /// The offset of its first record.
    pub base_offset: i64,
    /// What the answer told as the time of the append, or -1.
    pub append_time_ms: i64,
    /// The largest time of its records, as they were sent.
    pub max_timestamp: i64,
}

impl Book {
    /// An empty one; `stamps` says that the topic gives records the time of their append.
    pub fn new(topic: impl Into<Arc<str>>, file: Arc<LedgerFile>, stamps: bool) -> Self {
        Self { topic: topic.into(), file, stamps, open: Mutex::default(), writing: Mutex::default() }
    }

    /// The ledger's name, for people.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// Takes a batch that is stored; `true` asks for [`Self::write_out`] before the next one.
    pub fn take(&self, partition: i32, batch: Acknowledged, runs: &Runs) -> bool {
        let mut open = self.lock();
        if let Some(lack) = &mut open.lack {
            lack.records += u64::from(runs.all().0);
            return false;
        }
        // Kafka answers a repeat with the largest time of the batch, also where the topic keeps the records' own.
        let stamped = batch.append_time_ms >= 0 && (self.stamps || batch.append_time_ms != batch.max_timestamp);
        let at = |place: u32| batch.base_offset.saturating_add(place.into());
        if stamped {
            let (records, bytes) = runs.all();
            let (first_offset, last_offset) = (at(0), at(records.saturating_sub(1)));
            let counted = Counted { records: records.into(), bytes, first_offset, last_offset };
            open.add(partition, Minute::of(batch.append_time_ms), counted);
        } else {
            for run in runs.iter() {
                let (first_offset, last_offset) = (at(run.first), at(run.last));
                let counted = Counted { records: run.records.into(), bytes: run.bytes, first_offset, last_offset };
                open.add(partition, run.minute, counted);
            }
        }
        open.counts.len() >= COUNTED_MAX
    }

    /// Writes what is counted; `false` if the ledger cannot be written, now or earlier.
    pub async fn write_out(self: &Arc<Self>) -> bool {
        self.aside(|book| book.write_out_here()).await
    }

    /// Writes what is left and waits until the disk has it; what it lacks, if it cannot be written.
    pub async fn close(self: &Arc<Self>) -> Option<Lack> {
        self.aside(|book| {
            if book.write_out_here()
                && let Err(error) = book.file.sync()
            {
                // It may all be there; but that is not certain.
                book.lock().lack = Some(Lack { records: 0, error });
            }
        })
        .await;
        self.lock().lack.take()
    }

    /// A disk may keep one waiting, which no task should stand still for.
    async fn aside<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        let book = self.clone();
        match tokio::task::spawn_blocking(move || work(&book)).await {
            Ok(done) => done,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn write_out_here(&self) -> bool {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = std::mem::take(&mut self.lock().counts);
        let (mut text, mut pieces) = (String::new(), Pieces::default());
        for ((partition, minute), counted) in counts {
            let line = Line {
                topic: self.topic.to_string(),
                partition,
                minute,
                records: counted.records,
                bytes: Some(counted.bytes),
                offsets: Some(counted.first_offset..=counted.last_offset),
            };
            let _ = writeln!(text, "{}", line.show());
            pieces.lines.push((text.len(), counted.records));
            if text.len() >= PIECE_BYTES {
                pieces.write(&mut text, &self.file);
            }
        }
        pieces.write(&mut text, &self.file);
        let mut open = self.lock();
        if let Some(error) = pieces.error {
            // What was taken while it was tried cannot be written either.
            let since: u64 = std::mem::take(&mut open.counts).values().map(|counted| counted.records).sum();
            open.lack = Some(Lack { records: pieces.unwritten + since, error });
        }
        open.lack.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, partition: i32, minute: Minute, more: Counted) {
        let add = |known: &mut Counted| {
            known.records += more.records;
            known.bytes += more.bytes;
            known.first_offset = known.first_offset.min(more.first_offset);
            known.last_offset = known.last_offset.max(more.last_offset);
        };
        self.counts.entry((partition, minute)).and_modify(add).or_insert(more);
    }
}

/// Writing, up to the first error.
#[derive(Default)]
struct Pieces {
    /// Where each line of the piece ends, and its records.
    lines: Vec<(usize, u64)>,
    error: Option<io::Error>,
    unwritten: u64,
}

impl Pieces {
    fn write(&mut self, text: &mut String, file: &LedgerFile) {
        let written = match self.error {
            Some(_) => 0,
            None => match file.append(text.as_bytes()) {
                Ok(()) => text.len(),
                Err((written, error)) => {
                    self.error = Some(error);
                    written
                }
            },
        };
        self.unwritten += self.lines.iter().filter(|(end, _)| *end > written).map(|(_, records)| records).sum::<u64>();
        self.lines.clear();
        text.clear();
    }
}
