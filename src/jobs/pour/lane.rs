//! The task of one partition: takes full batches from its inbox, closes them (checksum, compression), has them written, and
//! counts what became of each.

use super::tally::Tally;
use crate::base::budget::Reserved;
use crate::base::place::TopicPartition;
use crate::base::units::show_count;
use crate::batch::BatchWriter;
use crate::client::{ClientError, Cluster, Landed, PartitionWriter, WriteOptions};
use crate::jobs::error::JobError;
use crate::jobs::minutes::{Acknowledged, Book, Runs};
use crate::ports::Outgoing;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A batch that is to go out.
pub(super) struct Filled {
    pub(super) writer: BatchWriter,
    /// Keys and values in it.
    pub(super) payload_bytes: u64,
    /// Its records by minute, where a ledger is kept.
    pub(super) runs: Runs,
    /// Its share of the budget, given back when it is certain.
    pub(super) reserved: Reserved,
}

/// A batch that is on its way.
struct Outstanding {
    records: u64,
    payload_bytes: u64,
    runs: Runs,
    _reserved: Reserved,
}

/// Where to, and how.
pub(super) struct To {
    pub(super) cluster: Cluster,
    pub(super) partition: TopicPartition,
    pub(super) options: WriteOptions,
    /// The largest batch that the topic takes.
    pub(super) bytes_max: usize,
}

/// See the module's head.
pub(super) struct Lane {
    to: To,
    inbox: mpsc::Receiver<Filled>,
    tally: Arc<Tally>,
    book: Option<Arc<Book>>,
    outstanding: VecDeque<Outstanding>,
}

/// Its writer. Where nobody answers for records, doubts about them are told at once, since what ends the run may not wait for the
/// end of this; and those that are left when it is let go of, then.
struct Doubting {
    writer: PartitionWriter,
    tally: Arc<Tally>,
    told: bool,
}

impl Doubting {
    fn tell_if(&mut self, doubts: bool) {
        if doubts && !std::mem::replace(&mut self.told, true) {
            self.tally.doubts();
        }
    }
}

impl Drop for Doubting {
    fn drop(&mut self) {
        self.tell_if(self.writer.awaits_word());
    }
}

impl Lane {
    pub(super) fn new(to: To, inbox: mpsc::Receiver<Filled>, tally: Arc<Tally>, book: Option<Arc<Book>>) -> Self {
        Self { to, inbox, tally, book, outstanding: VecDeque::new() }
    }

    /// Writes until the inbox is closed. After an error it goes on taking, so that who pushes is not left waiting.
    pub(super) async fn run(mut self) {
        // Where our batches land is not compared, so the partition's end is not asked for.
        let ended = match self.to.cluster.writer(self.to.partition.clone(), 0, self.to.options).await {
            Ok(writer) => {
                let mut writer = Doubting { writer, tally: self.tally.clone(), told: false };
                match self.write(&mut writer).await {
                    Ok(()) => return,
                    Err(error) => {
                        // What it still finds is what is known already.
                        let _ = writer.writer.fall_silent().await;
                        self.count(&mut writer).await;
                        self.count_apart(&mut writer.writer).await;
                        error
                    }
                }
            }
            Err(error) => JobError::Client(error),
        };
        let reason = reason(&ended);
        let lost = self.outstanding.drain(..).map(|batch| batch.records).sum();
        self.tally.failed(lost, &reason);
        self.tally.breaks(ended);
        while let Some(filled) = self.inbox.recv().await {
            self.tally.failed(filled.writer.record_count() as u64, &reason);
        }
    }

    async fn write(&mut self, writer: &mut Doubting) -> Result<(), JobError> {
        loop {
            let filled = match self.outstanding.is_empty() && !writer.writer.awaits_word() {
                true => self.inbox.recv().await,
                // The writer works only while it is waited for.
                false => tokio::select! {
                    biased;
                    filled = self.inbox.recv() => filled,
                    flushed = writer.writer.flush() => {
                        self.count(writer).await;
                        flushed?;
                        continue;
                    }
                },
            };
            let Some(filled) = filled else {
                let flushed = writer.writer.flush().await;
                self.count(writer).await;
                return Ok(flushed?);
            };
            if let Some(batch) = self.close(filled)? {
                let appended = writer.writer.append(batch).await;
                self.count(writer).await;
                appended?;
            }
        }
    }

    /// The batch as it goes out; `None` if it is a record that the topic does not take.
    fn close(&mut self, filled: Filled) -> Result<Option<Outgoing>, JobError> {
        let Filled { mut writer, payload_bytes, runs, reserved } = filled;
        let records = writer.record_count() as u32;
        let mut bytes = self.tally.buffers.take().unwrap_or_default();
        let len = writer.finish_into(&mut bytes).map_err(|error| {
            JobError::Refused(format!("{}: a batch for it cannot be put together: {error}", self.to.partition))
        });
        // It counts as outstanding first: what fails from here on is counted as such.
        self.outstanding.push_back(Outstanding { records: records.into(), payload_bytes, runs, _reserved: reserved });
        let len = len?;
        self.tally.writers.give_back(writer);
        if len > self.to.bytes_max && records == 1 {
            self.outstanding.pop_back();
            self.tally.failed(1, &too_large(self.to.bytes_max));
            return Ok(None);
        }
        Ok(Some(Outgoing { bytes, len, records }))
    }

    /// Lets go of what is stored for certain, and of its buffers.
    async fn count(&mut self, doubting: &mut Doubting) {
        let writer = &mut doubting.writer;
        // Batches land in the order in which they were sent.
        let next = |outstanding: &mut VecDeque<Outstanding>| Some((writer.landed()?, outstanding.pop_front()));
        self.stored(next).await;
        doubting.tell_if(doubting.writer.connections_lost() > 0);
    }

    /// The same behind a batch that failed, once nothing more is sent.
    async fn count_apart(&mut self, writer: &mut PartitionWriter) {
        let mut apart = writer.landed_apart();
        let next = |outstanding: &mut VecDeque<Outstanding>| {
            // From the back, so that the places of the others stay.
            let (index, landed) = apart.pop()?;
            Some((landed, outstanding.remove(index)))
        };
        self.stored(next).await;
    }

    async fn stored(
        &mut self,
        mut next: impl FnMut(&mut VecDeque<Outstanding>) -> Option<(Landed, Option<Outstanding>)>,
    ) {
        let (mut records, mut bytes, mut is_much) = (0, 0, false);
        while let Some((landed, batch)) = next(&mut self.outstanding) {
            let Some(batch) = batch else { continue };
            records += batch.records;
            bytes += batch.payload_bytes;
            if let Some(book) = &self.book {
                let acknowledged = Acknowledged {
                    base_offset: landed.base_offset,
                    append_time_ms: landed.append_time_ms,
                    max_timestamp: landed.max_timestamp,
                };
                is_much |= book.take(self.to.partition.partition, acknowledged, &batch.runs);
            }
            self.tally.buffers.give_back(landed.bytes);
        }
        if records > 0 {
            self.tally.acknowledged(records, bytes);
        }
        if let Some(book) = self.book.as_ref().filter(|_| is_much)
            && !book.write_out().await
        {
            self.tally.stop();
        }
    }
}

/// What records that were not stored are counted under: short where there are words for it, and without what differs from
/// one batch to the next.
fn reason(error: &JobError) -> String {
    match error {
        JobError::Client(ClientError::GaveUp { last, .. }) => reason_of(last, "not acknowledged"),
        JobError::Client(error) => reason_of(error, "refused"),
        error => format!("not acknowledged: {error}"),
    }
}

fn reason_of(error: &ClientError, refused: &str) -> String {
    match error {
        ClientError::Refused { code, .. } => format!("{refused}: {code}"),
        ClientError::UnknownTopic { .. } | ClientError::Recreated { .. } => {
            "not acknowledged: the topic is gone".to_owned()
        }
        ClientError::Call { .. } | ClientError::Listener { .. } | ClientError::Unreachable { .. } => {
            "not acknowledged: the broker cannot be reached or does not answer".to_owned()
        }
        error => format!("not acknowledged: {error}"),
    }
}

fn too_large(bytes_max: usize) -> String {
    format!("larger than the topic takes (max.message.bytes {})", show_count(bytes_max as u64))
}
