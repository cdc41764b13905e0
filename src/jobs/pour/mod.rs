//! Records into the partitions of a topic, for every job that makes them: who pushes a record need not know where it goes.
//!
//! ```text
//!            partition?      a batch being filled          a task a partition
//!  push ──▶ key: murmur2 ──▶ [0] BatchWriter ── full ──▶ inbox ▶ finish ▶ PartitionWriter ──▶ acknowledged ─┐
//!           none: sticky     [1] BatchWriter   or late          (checksum,                                  ├─▶ tally
//!           or as it says    [2]   …                            compression)                        failed ─┘
//! ```
//!
//! How it is used:
//!
//! ```text
//! let mut pour = Pour::open(&cluster, "topic", &PourSettings::default(), &cx.progress).await?;
//! while let Some(line) = pour.meanwhile(lines.next()).await? {      // waiting must not hold batches back
//!     pour.push(&PourRecord { value: Some(line), ..PourRecord::at(now_ms) }).await?;
//! }
//! let poured = pour.finish(&cx.shutdown).await;                     // what became of them, whatever happened
//! ```
//!
//! What to know:
//! - An error from `push`, `flush`, `meanwhile` or `settle` says that nothing more can be written. Why, and what became of the
//!   rest, `finish` tells; it has to be called either way.
//! - A record that no batch can hold fails alone. Whatever a broker refuses for good ends the writing to its partition and
//!   with it the run: what fails once will mostly fail again, and what was sent behind it is out of order.
//! - `push` waits for nothing unless a batch is full, and then for room. Of the memory, half is for batches on their way, a
//!   quarter for those being filled, the rest for buffers to be used again. What is dropped while it waits may be called again.
//! - Others may write to the topic at the same time. So offsets are not compared, as a merge does: that each record is stored
//!   once rests on the producer's numbers (`Acks::All`), as with any idempotent producer; and so on the broker's memory of the
//!   producer, which goes by the records' times (a day by default) and does not outlive a restart where they are older.
//! - Records of one partition are stored in the order in which they were pushed.
//! - With a ledger ([`Pour::keep_ledger`]) what is acknowledged is counted by partition and minute, and written to it now
//!   and then. If that cannot be written nothing more is taken: the run ends, and tells what the ledger lacks.

mod lane;
mod partitioner;
mod settings;
mod slot;
mod tally;

#[cfg(test)]
mod tests;

pub use partitioner::{murmur2, partition_of_key};
pub use settings::{BATCH_BYTES_DEFAULT, LINGER_DEFAULT, MEMORY_DEFAULT, PourRecord, PourSettings};
pub use tally::{Counts, Poured};

use super::error::JobError;
use super::merge::message_bytes_max;
use super::minutes::{Book, INTERVAL, Ledger, Runs};
use crate::base::budget::ByteBudget;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::base::units::show_size;
use crate::batch::{BatchWriter, HEADER_BYTES};
use crate::client::{Acks, Cluster, Delivery, WriteOptions};
use crate::observe::progress::Progress;
use lane::{Filled, Lane, To};
use partitioner::Sticky;
use slot::{Filling, Slot};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// After a signal so long is waited for what is on its way.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Batches that wait for a partition beside those on their way.
const INBOX: usize = 2;
/// What a record takes beside its key, value and headers, at most: length, attributes, time, offset, three lengths.
const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 10 + 5 + 15;

/// See the module's head.
pub struct Pour {
    cluster: Cluster,
    topic: Arc<str>,
    settings: PourSettings,
    bytes_max: usize,
    slots: Vec<Slot>,
    sticky: Sticky,
    /// Batches that are full, in order.
    ready: VecDeque<(usize, Filling)>,
    filling_bytes: usize,
    budget: ByteBudget,
    tally: Arc<Tally>,
    lanes: JoinSet<()>,
    /// The topic gives records the time of their append.
    stamps: bool,
    book: Option<Arc<Book>>,
    /// Writes the ledger now and then; ends with this.
    bookkeeper: JoinSet<()>,
}

impl Pour {
    /// A way into all partitions of `topic`, which must be there. What is acknowledged moves `progress`.
    pub async fn open(
        cluster: &Cluster,
        topic: &str,
        settings: &PourSettings,
        progress: &Progress,
    ) -> Result<Self, JobError> {
        let info = cluster.topic(topic).await?;
        let configs = cluster.topic_configs(topic).await?;
        let bytes_max = message_bytes_max(&configs);
        let led = info.partitions.iter().map(|partition| partition.leader >= 0).collect();
        // Not the whole of what the topic takes: compression may make a batch longer.
        let batch_bytes = settings.batch_bytes.min(bytes_max - bytes_max / 16);
        if settings.memory_bytes < batch_bytes.saturating_mul(4) {
            return Err(memory_too_small(settings, batch_bytes));
        }
        let answered = settings.acks != Acks::None;
        Ok(Self {
            cluster: cluster.clone(),
            topic: topic.into(),
            settings: PourSettings { batch_bytes, ..*settings },
            bytes_max,
            slots: info.partitions.iter().map(|_| Slot::default()).collect(),
            sticky: Sticky::new(led),
            ready: VecDeque::new(),
            filling_bytes: 0,
            budget: ByteBudget::new(settings.memory_bytes / 2),
            tally: Arc::new(Tally::new(progress.clone(), answered, settings.memory_bytes / 8, 2 * batch_bytes)),
            lanes: JoinSet::new(),
            stamps: configs.get("message.timestamp.type").is_some_and(|by| by == "LogAppendTime"),
            book: None,
            bookkeeper: JoinSet::new(),
        })
    }

    /// Keeps a ledger of what is acknowledged from now on. To be called before the first record.
    pub fn keep_ledger(&mut self, ledger: Arc<Ledger>) {
        let book = Arc::new(Book::new(self.topic.clone(), ledger, self.stamps));
        self.book = Some(book.clone());
        let tally = self.tally.clone();
        self.bookkeeper.spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                if !book.write_out().await {
                    return tally.stop();
                }
            }
        });
    }

    /// How many partitions the topic has.
    pub fn partitions(&self) -> usize {
        self.slots.len()
    }

    /// What became of the records so far.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Takes a record.
    #[inline]
    pub async fn push(&mut self, record: &PourRecord<'_>) -> Result<(), JobError> {
        self.add(record)?;
        if self.ready.is_empty() { Ok(()) } else { self.hand_over().await }
    }

    /// Takes a record and waits until it is acknowledged, as [`Self::settle`] does.
    pub async fn push_and_settle(&mut self, record: &PourRecord<'_>) -> Result<(), JobError> {
        self.add(record)?;
        self.settle().await
    }

    /// The same without waiting, for who pushes many at once: `true` says that [`Self::hand_over`] has to be called before
    /// the next one.
    #[inline]
    pub fn add(&mut self, record: &PourRecord<'_>) -> Result<bool, JobError> {
        let mut at = self.slot_for(record)?;
        let bytes = record.bytes() + record.headers.raw().1.len() + RECORD_OVERHEAD_MAX;
        if let Some(batch) = &self.slots[at].batch
            && batch.bytes() + bytes > self.settings.batch_bytes
        {
            self.cut(at);
            at = self.slot_for(record)?;
        }
        let (tally, settings) = (&self.tally, &self.settings);
        let batch = self.slots[at].batch.get_or_insert_with(|| Filling {
            writer: tally.writers.take().unwrap_or_else(|| BatchWriter::new(settings.codec)),
            payload_bytes: 0,
            runs: Runs::default(),
            since: Instant::now(),
        });
        let before = batch.bytes();
        let pushed = batch.writer.push(record.timestamp, record.key, record.value, record.headers);
        pushed.map_err(|error| unwritable(&self.topic, at, &error))?;
        batch.payload_bytes += record.bytes() as u64;
        if self.book.is_some() {
            batch.runs.push(record.timestamp, record.bytes() as u64);
        }
        self.filling_bytes += batch.bytes() - before;
        self.tally.taken(1);
        if self.filling_bytes > self.settings.memory_bytes / 4 {
            // Many partitions at once: none may fill its batch.
            self.cut_where(|_, _| true);
        }
        Ok(!self.ready.is_empty())
    }

    #[inline]
    fn slot_for(&self, record: &PourRecord<'_>) -> Result<usize, JobError> {
        let count = self.slots.len();
        match (record.partition, record.key) {
            (None, None) => Ok(self.sticky.current()),
            (None, Some(key)) => Ok(partition_of_key(key, count)),
            (Some(partition), _) => {
                let there = usize::try_from(partition).ok().filter(|partition| *partition < count);
                there.ok_or_else(|| no_such_partition(&self.topic, partition, count))
            }
        }
    }

    /// Sends the batch of one partition on its way, once there is room.
    fn cut(&mut self, at: usize) {
        let Some(batch) = self.slots[at].batch.take_if(|batch| !batch.writer.is_empty()) else { return };
        self.filling_bytes -= batch.bytes() - HEADER_BYTES;
        self.ready.push_back((at, batch));
        if at == self.sticky.current() {
            let slots = &self.slots;
            self.sticky.move_on(|at| slots[at].inbox.as_ref().is_none_or(|inbox| inbox.capacity() > 0));
        }
    }

    fn cut_where(&mut self, is_to_go: impl Fn(&Slot, &Filling) -> bool) {
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            if slot.batch.as_ref().is_some_and(|batch| is_to_go(slot, batch)) {
                self.cut(at);
            }
        }
    }

    /// Gives full batches to their partitions, waiting for room; and along with them what has waited for its linger, where
    /// the partition has nothing else to do.
    pub async fn hand_over(&mut self) -> Result<(), JobError> {
        self.hand_over_ready().await?;
        let (now, linger) = (Instant::now(), self.settings.linger);
        self.cut_where(|slot, batch| batch.since + linger <= now && slot.is_idle());
        self.hand_over_ready().await
    }

    async fn hand_over_ready(&mut self) -> Result<(), JobError> {
        while let Some((at, batch)) = self.ready.front() {
            let (at, bytes) = (*at, batch.bytes().min(self.budget.total()));
            // Both waits end: what is on its way is answered, or given up, within the time that a batch is tried.
            let reserved = self.budget.take(bytes).await.ok_or(JobError::OutputClosed)?;
            let inbox = self.inbox(at);
            let permit = inbox.reserve().await.map_err(|_| JobError::OutputClosed)?;
            if let Some((_, Filling { writer, payload_bytes, runs, .. })) = self.ready.pop_front() {
                permit.send(Filled { writer, payload_bytes, runs, reserved });
            }
        }
        if self.tally.is_broken() { Err(JobError::OutputClosed) } else { Ok(()) }
    }

    /// The way to a partition's task, which begins now if there is none yet.
    fn inbox(&mut self, at: usize) -> mpsc::Sender<Filled> {
        if let Some(inbox) = &self.slots[at].inbox {
            return inbox.clone();
        }
        let (sender, inbox) = mpsc::channel(INBOX);
        let partition = TopicPartition::new(self.topic.clone(), at as i32);
        let delivery = match self.settings.acks {
            Acks::All => Delivery::Idempotent,
            Acks::Leader | Acks::None => Delivery::AtLeastOnce,
        };
        let options =
            WriteOptions { delivery, acks: self.settings.acks, beside_others: true, ..WriteOptions::default() };
        let to = To { cluster: self.cluster.clone(), partition, options, bytes_max: self.bytes_max };
        self.lanes.spawn(Lane::new(to, inbox, self.tally.clone(), self.book.clone()).run());
        self.slots[at].inbox = Some(sender.clone());
        sender
    }

    /// Sends every record on its way, full batch or not.
    pub async fn flush(&mut self) -> Result<(), JobError> {
        self.cut_where(|_, _| true);
        self.hand_over_ready().await
    }

    /// Sends every record on its way and waits until each is acknowledged, or until one has failed.
    pub async fn settle(&mut self) -> Result<(), JobError> {
        self.flush().await?;
        self.tally.settled().await;
        if self.tally.is_broken() { Err(JobError::OutputClosed) } else { Ok(()) }
    }

    /// Waits for `event`, sending meanwhile what has waited for its linger.
    pub async fn meanwhile<T>(&mut self, event: impl Future<Output = T>) -> Result<T, JobError> {
        let mut event = std::pin::pin!(event);
        loop {
            tokio::select! {
                biased;
                happened = &mut event => return Ok(happened),
                sent = self.send_what_is_due() => sent?,
            }
        }
    }

    async fn send_what_is_due(&mut self) -> Result<(), JobError> {
        if self.ready.is_empty() {
            let linger = self.settings.linger;
            let due = self.slots.iter().filter_map(|slot| slot.batch.as_ref()).map(|batch| batch.since + linger).min();
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                // Nothing to send; but that nothing can be sent any more is worth knowing.
                None => self.tally.broken().await,
            }
            let now = Instant::now();
            self.cut_where(|_, batch| batch.since + linger <= now);
        }
        self.hand_over_ready().await
    }

    /// Sends what is left, waits until everything is certain, and tells what became of it. From a signal on, also one that came
    /// before, it waits for ten seconds; what is not certain then has failed.
    pub async fn finish(mut self, shutdown: &Shutdown) -> Poured {
        let wait = async {
            // Why it cannot be sent, the tally knows.
            let flushed = self.flush().await;
            drop(flushed);
            for slot in &mut self.slots {
                slot.inbox = None;
            }
            while self.lanes.join_next().await.is_some() {}
        };
        let too_late = async {
            shutdown.wait().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let in_time = tokio::select! {
            biased;
            () = wait => true,
            () = too_late => false,
        };
        // What is acknowledged from here on would be in one count and not in the other.
        self.lanes.shutdown().await;
        self.bookkeeper.shutdown().await;
        let mut poured = self.tally.end(in_time);
        if let Some(book) = &self.book {
            poured.ledger = book.close().await.map(|lack| lack.into_error(book.name()));
        }
        poured
    }
}

#[cold]
fn no_such_partition(topic: &str, partition: i32, count: usize) -> JobError {
    JobError::Usage(format!("{topic} has {count} partitions, counted from 0: there is no partition {partition}"))
}

#[cold]
fn memory_too_small(settings: &PourSettings, batch_bytes: usize) -> JobError {
    // Rounded so that who does as it says is not told so again.
    let more = settings.memory_shares.map(|shares| batch_bytes.saturating_mul(4 * shares).div_ceil(1 << 10));
    let more = more.map_or_else(String::new, |kib| format!("--memory {kib}KiB or more, or "));
    JobError::Usage(format!(
        "batches of {} do not fit into the memory: give {more}--batch-bytes {}KiB or less",
        show_size(batch_bytes as u64),
        settings.memory_bytes / (4 << 10)
    ))
}

#[cold]
fn unwritable(topic: &str, at: usize, error: &crate::batch::BatchError) -> JobError {
    JobError::Refused(format!(
        "{}: a batch for it cannot be put together: {error}",
        TopicPartition::new(topic, at as i32)
    ))
}
