//! Any number of partitions written in transactions, beside others who write there too, with the offsets of the group in which
//! the writer reads: what was read is committed with what was made of it.
//!
//! ```text
//!  append(p) ──▶ one PartitionWriter a partition, made when it is first written to ──┐
//!  offsets   ──▶ the group's coordinator: fenced by generation and member            ├──▶ commit ──▶ next epoch for all of them
//!  flush     ◀── all of them at once, with how many records are stored ──────────────┘
//! ```
//!
//! Non-obvious:
//! - Partitions are written at the same time, though one task does it all: a batch that was handed over goes its way by itself.
//! - That a batch is stored once rests on the producer's numbers alone. In an open transaction no broker forgets them.
//! - On the explicit way each partition is added when it is first written to, so that no marker goes where nothing was written.

use super::writer::trouble;
use super::{TransactionalProducer, Trouble};
use crate::base::place::TopicPartition;
use crate::client::GroupOffset;
use crate::client::membership::Membership;
use crate::client::produce::{Landed, Outgoing, PartitionWriter, Transactional, WriteOptions};
use std::collections::BTreeMap;

/// See the module's head.
#[derive(Debug)]
pub struct SpreadWriter {
    producer: TransactionalProducer,
    options: WriteOptions,
    lanes: BTreeMap<TopicPartition, PartitionWriter>,
    /// Records that were stored by transactions that are committed.
    committed: u64,
}

impl TransactionalProducer {
    /// A writer to whatever partitions turn up.
    pub fn spread(self, options: WriteOptions) -> SpreadWriter {
        SpreadWriter { producer: self, options, lanes: BTreeMap::new(), committed: 0 }
    }
}

impl SpreadWriter {
    /// Sends a batch behind those before it in this partition, waiting while too many are on their way there.
    pub async fn append(&mut self, partition: &TopicPartition, batch: Outgoing) -> Result<(), Trouble> {
        self.producer.begin(std::slice::from_ref(partition)).await?;
        let producer = &self.producer;
        let lane = self.lanes.entry(partition.clone()).or_insert_with(|| {
            let transactional = Transactional { id: producer.id.clone(), produce: producer.way.produce(), sole: false };
            // Where batches land is not compared, so the partition's end is not asked for.
            let identity = Some(producer.identity);
            producer.cluster.writer_as(partition.clone(), 0, self.options, identity, Some(transactional))
        });
        lane.append(batch).await.map_err(trouble)
    }

    /// The buffer of a batch that is stored, to be filled again.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.lanes.values_mut().find_map(PartitionWriter::spare)
    }

    /// The next batch that is stored, and where; each is told once, those of a partition in the order in which they were appended.
    pub fn landed(&mut self) -> Option<(&TopicPartition, Landed)> {
        self.lanes.iter_mut().find_map(|(partition, lane)| Some((partition, lane.landed()?)))
    }

    /// What the batches take that are not known to be stored.
    pub fn held_bytes(&self) -> usize {
        self.lanes.values().map(PartitionWriter::held_bytes).sum()
    }

    /// Waits until all that was appended is stored; gives how many records that is in the open transaction.
    pub async fn flush(&mut self) -> Result<u64, Trouble> {
        let flushed = futures::future::join_all(self.lanes.values_mut().map(PartitionWriter::flush)).await;
        let troubles = flushed.into_iter().filter_map(|flushed| flushed.err().map(trouble));
        // What cannot be weighs more than what is in doubt.
        match troubles.reduce(|one, other| if matches!(one, Trouble::Doubt(_)) { other } else { one }) {
            Some(trouble) => Err(trouble),
            None => Ok(self.stored() - self.committed),
        }
    }

    /// Records stored for certain, whatever became of their transactions.
    fn stored(&self) -> u64 {
        self.lanes.values().map(|lane| lane.appended().records()).sum()
    }

    /// Lets a group stand at these offsets when what was appended so far does. A refusal because the member's partitions may be
    /// others' is a doubt: what was made of them must not stand.
    pub async fn offsets(
        &mut self,
        group: &Membership,
        offsets: &[(TopicPartition, GroupOffset)],
    ) -> Result<(), Trouble> {
        self.producer.begin(&[]).await?;
        self.producer.commit_offsets(group, offsets).await
    }

    /// Lets everything since the last time stand. It was all [flushed](Self::flush).
    pub async fn commit(&mut self) -> Result<(), Trouble> {
        self.producer.commit().await?;
        self.committed = self.stored();
        for lane in self.lanes.values_mut() {
            lane.go_on_as(self.producer.identity);
        }
        Ok(())
    }

    /// Whether something may be open that readers wait for.
    pub fn holds_something_open(&self) -> bool {
        self.producer.holds_something_open()
    }

    /// Waits for what is on its way without caring what becomes of it, and gives the producer back.
    pub async fn into_producer(mut self) -> TransactionalProducer {
        futures::future::join_all(self.lanes.values_mut().map(PartitionWriter::hear_out)).await;
        self.producer
    }
}
