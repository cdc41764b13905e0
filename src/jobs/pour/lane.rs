//! The task of one partition: takes full batches from its inbox, closes them (checksum, compression), has them written, and
//! counts what became of each.

use super::tally::Tally;
use crate::base::appended::Appended;
use crate::base::budget::Reserved;
use crate::base::place::TopicPartition;
use crate::base::units::show_count;
use crate::batch::BatchWriter;
use crate::client::{ClientError, Cluster, PartitionWriter, WriteOptions};
use crate::jobs::error::JobError;
use crate::ports::Outgoing;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A batch that is to go out.
pub(super) struct Filled {
    pub(super) writer: BatchWriter,
    /// Keys and values in it.
    pub(super) payload_bytes: u64,
    /// Its share of the budget, given back when it is certain.
    pub(super) reserved: Reserved,
}

/// A batch that is on its way.
struct Outstanding {
    records: u64,
    payload_bytes: u64,
    _reserved: Reserved,
}

/// See the module's head.
pub(super) struct Lane {
    cluster: Cluster,
    partition: TopicPartition,
    options: WriteOptions,
    bytes_max: usize,
    inbox: mpsc::Receiver<Filled>,
    tally: Arc<Tally>,
    outstanding: VecDeque<Outstanding>,
    /// Records that the tally knows to be stored.
    counted: u64,
}

impl Lane {
    pub(super) fn new(
        cluster: Cluster,
        partition: TopicPartition,
        options: WriteOptions,
        bytes_max: usize,
        inbox: mpsc::Receiver<Filled>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { cluster, partition, options, bytes_max, inbox, tally, outstanding: VecDeque::new(), counted: 0 }
    }

    /// Writes until the inbox is closed. After an error it goes on taking, so that who pushes is not left waiting.
    pub(super) async fn run(mut self) {
        // Where our batches land is not compared, so the partition's end is not asked for.
        let ended = match self.cluster.writer(self.partition.clone(), 0, self.options).await {
            Ok(mut writer) => match self.write(&mut writer).await {
                Ok(()) => return,
                Err(error) => {
                    let (appended, _) = writer.close().await;
                    self.count_stored(&appended);
                    error
                }
            },
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

    async fn write(&mut self, writer: &mut PartitionWriter) -> Result<(), JobError> {
        loop {
            let filled = match self.outstanding.is_empty() {
                true => self.inbox.recv().await,
                // The writer works only while it is waited for.
                false => tokio::select! {
                    biased;
                    filled = self.inbox.recv() => filled,
                    flushed = writer.flush() => {
                        self.count(writer);
                        flushed?;
                        continue;
                    }
                },
            };
            let Some(filled) = filled else {
                let flushed = writer.flush().await;
                self.count(writer);
                return Ok(flushed?);
            };
            if let Some(batch) = self.close(filled)? {
                let appended = writer.append(batch).await;
                self.count(writer);
                appended?;
            }
        }
    }

    /// The batch as it goes out; `None` if it is a record that the topic does not take.
    fn close(&mut self, filled: Filled) -> Result<Option<Outgoing>, JobError> {
        let Filled { mut writer, payload_bytes, reserved } = filled;
        let records = writer.record_count() as u32;
        let mut bytes = self.tally.buffers.take().unwrap_or_default();
        let len = writer.finish_into(&mut bytes).map_err(|error| {
            JobError::Refused(format!("{}: a batch for it cannot be put together: {error}", self.partition))
        });
        // It counts as outstanding first: what fails from here on is counted as such.
        self.outstanding.push_back(Outstanding { records: records.into(), payload_bytes, _reserved: reserved });
        let len = len?;
        self.tally.writers.give_back(writer);
        if len > self.bytes_max && records == 1 {
            self.outstanding.pop_back();
            self.tally.failed(1, &too_large(self.bytes_max));
            return Ok(None);
        }
        Ok(Some(Outgoing { bytes, len, records }))
    }

    /// Lets go of what is stored for certain, and of its buffers.
    fn count(&mut self, writer: &mut PartitionWriter) {
        while let Some(buffer) = writer.spare() {
            self.tally.buffers.give_back(buffer);
        }
        self.count_stored(&writer.appended());
    }

    fn count_stored(&mut self, appended: &Appended) {
        let mut stored = appended.records().saturating_sub(self.counted);
        let (mut records, mut bytes) = (0, 0);
        while let Some(batch) = self.outstanding.front()
            && batch.records <= stored
        {
            stored -= batch.records;
            records += batch.records;
            bytes += batch.payload_bytes;
            self.outstanding.pop_front();
        }
        if records > 0 {
            self.counted += records;
            self.tally.acknowledged(records, bytes);
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
