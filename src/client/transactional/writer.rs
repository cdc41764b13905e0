//! Two partitions written in transactions: the output, and beside it the record of how far it is.
//!
//! Each commit is: all of the output acknowledged, then the record written and acknowledged, then EndTxn. So the record is
//! always of the same moment as the output it speaks of: readers of committed records see both or neither.

use super::{TransactionalProducer, Trouble};
use crate::base::appended::Appended;
use crate::base::place::TopicPartition;
use crate::client::GroupOffset;
use crate::client::error::ClientError;
use crate::client::membership::Membership;
use crate::client::produce::{Outgoing, PartitionWriter, Transactional, WriteOptions};
use crate::wire::ErrorCode;

/// See the module's head.
#[derive(Debug)]
pub struct TransactionWriter {
    producer: TransactionalProducer,
    output: PartitionWriter,
    record: PartitionWriter,
    /// Whether anything of the open transaction was written to the output.
    wrote: bool,
}

impl TransactionalProducer {
    /// A writer to `output`, where nobody else writes and the next batch must land at `end`, and to `record`.
    pub fn writer(
        self,
        output: TopicPartition,
        end: i64,
        record: TopicPartition,
        options: WriteOptions,
    ) -> TransactionWriter {
        let transactional = |sole| Transactional { id: self.id.clone(), produce: self.way.produce(), sole };
        let writer = |partition, end, sole| {
            self.cluster.writer_as(partition, end, options, Some(self.identity), Some(transactional(sole)))
        };
        let (output, record) = (writer(output, end, true), writer(record, 0, false));
        TransactionWriter { producer: self, output, record, wrote: false }
    }
}

impl TransactionWriter {
    /// Sends a batch of the output behind those before it, waiting while too many are on their way.
    pub async fn append(&mut self, batch: Outgoing) -> Result<(), Trouble> {
        if !self.wrote {
            let partitions = [self.output.partition().clone(), self.record.partition().clone()];
            self.producer.begin(&partitions).await?;
        }
        self.wrote = true;
        self.output.append(batch).await.map_err(trouble)
    }

    /// The buffer of a batch that is stored, to be filled again.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.output.spare()
    }

    /// What of the output is stored for certain, the markers that end transactions not counted as records.
    pub fn appended(&self) -> Appended {
        self.output.appended()
    }

    /// Waits until all of the output is stored.
    pub async fn flush(&mut self) -> Result<(), Trouble> {
        self.output.flush().await.map_err(trouble)
    }

    /// Lets a group stand at these offsets when the output so far does.
    pub async fn offsets(&mut self, group: &Membership, offsets: &[(TopicPartition, i64)]) -> Result<(), Trouble> {
        self.begin_without_output().await?;
        let bare = |offset: i64| GroupOffset { offset, metadata: String::new() };
        let offsets: Vec<_> = offsets.iter().map(|(one, offset)| (one.clone(), bare(*offset))).collect();
        self.producer.commit_offsets(group, &offsets).await
    }

    /// Writes the record that goes with the output so far, all of which has to be [flushed](Self::flush).
    pub async fn record(&mut self, record: Outgoing) -> Result<(), Trouble> {
        self.begin_without_output().await?;
        self.record.append(record).await.map_err(trouble)?;
        self.record.flush().await.map_err(trouble)?;
        self.record.spare();
        Ok(())
    }

    /// Begins a transaction to which nothing of the output may come, unless one is open.
    async fn begin_without_output(&mut self) -> Result<(), Trouble> {
        match self.wrote {
            true => Ok(()),
            false => self.producer.begin(&[self.record.partition().clone()]).await,
        }
    }

    /// Lets everything written since the last time stand.
    pub async fn commit(&mut self) -> Result<(), Trouble> {
        self.producer.commit().await?;
        if self.wrote {
            self.output.pass_marker();
        }
        self.wrote = false;
        for writer in [&mut self.output, &mut self.record] {
            writer.go_on_as(self.producer.identity);
        }
        Ok(())
    }

    /// For a test: what is sent again goes out under new numbers.
    #[cfg(test)]
    pub(crate) fn renumber(&mut self) {
        self.output.renumber();
    }

    /// Waits for what is on its way without caring what becomes of it, and gives the producer back.
    pub async fn into_producer(mut self) -> TransactionalProducer {
        self.output.hear_out().await;
        self.record.hear_out().await;
        self.producer
    }
}

/// What an error of a write in a transaction means.
pub(super) fn trouble(error: ClientError) -> Trouble {
    use ErrorCode as E;
    // It was tried for as long as anything is.
    if matches!(error, ClientError::GaveUp { .. }) {
        return Trouble::Stop(error);
    }
    match error.code() {
        // Facts about the batch, the topic or us: another try would meet them again.
        Some(E::MessageTooLarge | E::RecordListTooLarge | E::InvalidTimestamp | E::InvalidRecord) => {
            Trouble::Stop(error)
        }
        Some(E::PolicyViolation | E::UnsupportedForMessageFormat | E::UnsupportedCompressionType) => {
            Trouble::Stop(error)
        }
        Some(E::InvalidTopicException | E::TopicAuthorizationFailed | E::ClusterAuthorizationFailed) => {
            Trouble::Stop(error)
        }
        Some(E::TransactionalIdAuthorizationFailed | E::UnsupportedVersion | E::InvalidRequiredAcks) => {
            Trouble::Stop(error)
        }
        Some(_) => Trouble::Doubt(error),
        None => match error {
            // Somebody else writes to the output, or it is another one.
            ClientError::NotAdjacent(_) | ClientError::Recreated { .. } => Trouble::Stop(error),
            ClientError::Unsendable { .. } | ClientError::WriterStopped { .. } => Trouble::Stop(error),
            error => Trouble::Doubt(error),
        },
    }
}
