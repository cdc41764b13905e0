//! What tests do to transactions behind the protocol's back. Requests are held, lost and refused by
//! [`Faults`](crate::broker::Faults), as everywhere.

use super::seats::Sort;
use crate::base::place::TopicPartition;
use crate::broker::cluster::lock;
use crate::broker::{Broker, BrokerError};

/// How a transactional id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionSeen {
    /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort`.
    pub state: &'static str,
    /// The producer id that may write.
    pub producer_id: i64,
    /// Its epoch; while the transaction is ending, the one in its markers.
    pub producer_epoch: i16,
}

impl Broker {
    /// From now on no marker is written: transactions that are ended stay in `PrepareCommit` or `PrepareAbort`, their
    /// records stay above the last stable offset, and their ids are busy (CONCURRENT_TRANSACTIONS), until
    /// [`Self::release_markers`].
    pub fn hold_markers(&self) {
        lock(&self.cluster.coordinator.held).all = true;
    }

    /// The same for one partition: the other ones get their markers.
    pub fn hold_markers_of(&self, topic: &str, partition: i32) {
        lock(&self.cluster.coordinator.held).partitions.insert(TopicPartition::new(topic, partition));
    }

    /// Markers are written again, also those that were held.
    pub fn release_markers(&self) {
        *lock(&self.cluster.coordinator.held) = Default::default();
        self.cluster.coordinator.wake.notify_one();
    }

    /// Switches the cluster's `transaction.version`, as Kafka's features tool does under running clients.
    pub fn switch_transaction_version(&self, transaction_version: i16) {
        self.cluster.set_features(self.cluster.features().switched_to(transaction_version));
    }

    /// The time of an id's open transaction is up: it is aborted, at a higher epoch than its producer has. `false` where
    /// none is open.
    pub fn expire_transaction(&self, transactional_id: &str) -> bool {
        let coordinator = &self.cluster.coordinator;
        let mut ids = lock(&coordinator.ids);
        let Some(entry) = ids.get_mut(transactional_id).filter(|entry| entry.transaction.expires_ms().is_some()) else {
            return false;
        };
        entry.transaction.fence(self.cluster.features().raises_epochs());
        coordinator.decided(entry);
        true
    }

    /// How a transactional id stands; nothing where nobody has asked for it yet.
    pub fn transaction(&self, transactional_id: &str) -> Option<TransactionSeen> {
        self.cluster.coordinator.look(transactional_id).map(|transaction| TransactionSeen {
            state: transaction.phase.name(),
            producer_id: transaction.producer.id,
            producer_epoch: transaction.producer.epoch,
        })
    }

    /// Sets the epoch of a transactional id, for tests of the last ones. Only while no transaction of it is open or
    /// ending; `false` otherwise.
    pub fn set_producer_epoch(&self, transactional_id: &str, epoch: i16) -> bool {
        let mut ids = lock(&self.cluster.coordinator.ids);
        let Some(entry) = ids.get_mut(transactional_id) else { return false };
        let transaction = &mut entry.transaction;
        let at_rest = transaction.expires_ms().is_none() && !transaction.phase.is_ending();
        if at_rest {
            transaction.producer.epoch = epoch;
        }
        at_rest
    }

    /// The offset that a group has in force for a partition.
    pub fn committed_offset(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let groups = self.cluster.coordinator.groups();
        let found = groups.offset(group, &TopicPartition::new(topic, partition), false).ok().flatten();
        found.map(|committed| committed.offset)
    }

    /// The node that coordinates a transactional id; -1 where all are dead.
    pub fn transaction_coordinator(&self, transactional_id: &str) -> i32 {
        self.cluster.coordinator.seats.node(Sort::Transaction, transactional_id, &self.cluster).unwrap_or(-1)
    }

    /// The node that coordinates a group; -1 where all are dead.
    pub fn group_coordinator(&self, group: &str) -> i32 {
        self.cluster.coordinator.seats.node(Sort::Group, group, &self.cluster).unwrap_or(-1)
    }

    /// Another node coordinates a transactional id from now on; the old one answers NOT_COORDINATOR.
    pub fn move_transaction_coordinator(&self, transactional_id: &str, node: i32) -> Result<(), BrokerError> {
        self.cluster.node(node).ok_or(BrokerError::UnknownNode(node))?;
        self.cluster.coordinator.seats.move_to(Sort::Transaction, transactional_id, node);
        Ok(())
    }

    /// Another node coordinates a group from now on; the old one answers NOT_COORDINATOR.
    pub fn move_group_coordinator(&self, group: &str, node: i32) -> Result<(), BrokerError> {
        self.cluster.node(node).ok_or(BrokerError::UnknownNode(node))?;
        self.cluster.coordinator.seats.move_to(Sort::Group, group, node);
        Ok(())
    }
}
