//! What tests do to a partition behind the protocol's back: gaps, markers, retention, other leaders.

use super::log::{Aborted, BATCH_OVERHEAD_BYTES, Block};
use super::topic::Partition;
use super::{Broker, BrokerError};
use crate::base::place::TopicPartition;
use crate::batch::Batch;
use std::sync::Arc;

impl Broker {
    /// Puts a batch at the end of a partition without looking at more than its header: base offset and leader epoch are
    /// filled in, the rest (checksum, control bit, records) stays as it is. Gives the base offset.
    pub fn append_raw(&self, topic: &str, partition: i32, batch: &[u8]) -> Result<i64, BrokerError> {
        let end = self.partition(topic, partition)?.state().log.end();
        self.append_raw_at(topic, partition, end, batch)?;
        Ok(end)
    }

    /// The same at an offset of the test's choice, which may leave a gap as compaction does.
    pub fn append_raw_at(
        &self,
        topic: &str,
        partition: i32,
        base_offset: i64,
        batch: &[u8],
    ) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        let batch = Batch::read(batch)?;
        let header = &batch.header;
        let memory = &self.cluster.memory;
        let full = BrokerError::MemoryFull { limit_bytes: memory.total_bytes() };
        let paid = memory.take(batch.bytes().len() + BATCH_OVERHEAD_BYTES).ok_or(full)?;
        let block = Block::new(batch.bytes().into(), paid);
        let mut state = found.state();
        let epoch = state.leader_epoch;
        state.log.append_at(base_offset, block, header.last_offset_delta, header.max_timestamp, epoch).map_err(
            |overlap| BrokerError::Overlap { partition: found.at.clone(), end: overlap.log_end, base_offset },
        )?;
        drop(state);
        found.changed.notify_waiters();
        Ok(())
    }

    /// All batches of a partition, one after the other, as a reader of everything would get them.
    pub fn log(&self, topic: &str, partition: i32) -> Result<Vec<u8>, BrokerError> {
        let found = self.partition(topic, partition)?;
        let slice = {
            let state = found.state();
            state.log.read(state.log.start(), i64::MAX, usize::MAX, true)
        };
        Ok(slice.blocks.iter().flat_map(|block| block.bytes().iter().copied()).collect())
    }

    /// Log start and end (the high watermark) of a partition.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), BrokerError> {
        let found = self.partition(topic, partition)?;
        let state = found.state();
        Ok((state.log.start(), state.log.end()))
    }

    /// Moves the log start up, as retention does.
    pub fn set_log_start(&self, topic: &str, partition: i32, offset: i64) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        found.state().log.trim(offset);
        found.changed.notify_waiters();
        Ok(())
    }

    /// Pretends that a transaction is open from an offset on, or that none is: the last stable offset stays there.
    pub fn set_open_transaction(&self, topic: &str, partition: i32, from: Option<i64>) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        found.state().log.set_open_from(from);
        found.changed.notify_waiters();
        Ok(())
    }

    /// Tells readers of committed data that a producer's records from the first offset on were aborted, by the marker at the
    /// last one (as Kafka counts). The records and the marker are appended by [`Self::append_raw`].
    pub fn add_aborted(
        &self,
        topic: &str,
        partition: i32,
        producer_id: i64,
        first_offset: i64,
        last_offset: i64,
    ) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        found.state().log.add_aborted(Aborted { producer_id, first_offset, last_offset });
        Ok(())
    }

    /// The id of the node that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32, BrokerError> {
        Ok(self.partition(topic, partition)?.state().leader)
    }

    /// Makes another node the leader of a partition; the leader epoch goes up by one.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        self.cluster.node(node).ok_or(BrokerError::UnknownNode(node))?;
        let mut state = found.state();
        state.leader = node;
        state.leader_epoch = state.leader_epoch.saturating_add(1);
        drop(state);
        found.changed.notify_waiters();
        Ok(())
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, BrokerError> {
        let at = TopicPartition::new(topic, partition);
        self.cluster.partition(&at).ok_or(BrokerError::UnknownPartition(at))
    }
}
