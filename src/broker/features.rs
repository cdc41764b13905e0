//! Which Kafka this broker looks like: the versions of the APIs it tells, and the protocol of its transactions.
//!
//! Levels below 4.2 differ by what clients can see and must adapt to: the last version of each API that the level's
//! brokers offer, and whether a partition asks the coordinator before it takes a transactional batch. (The first versions
//! are those of 4.2 throughout.)

use crate::wire::ApiKey;

/// The Apache Kafka whose API versions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ApiLevel {
    /// 3.5: partitions believe who says that they are in a transaction.
    V3_5,
    /// 3.9: partitions ask the coordinator.
    V3_9,
    /// 4.2: what is written to is in the transaction by being written to, and each one has an epoch of its own.
    #[default]
    V4_2,
}

impl ApiLevel {
    /// The last version of an API that brokers of this level offer, where ours speaks more.
    fn last(self, key: ApiKey) -> i16 {
        use ApiKey as K;
        match (self, key) {
            (Self::V4_2, _) => i16::MAX,
            (Self::V3_9, K::Produce) => 11,
            (Self::V3_9, K::Fetch) => 17,
            (Self::V3_9, K::ListOffsets) => 9,
            (Self::V3_9, K::EndTxn | K::TxnOffsetCommit) => 4,
            (Self::V3_9, K::DescribeCluster) => 1,
            (Self::V3_9 | Self::V3_5, K::Metadata) => 12,
            (Self::V3_9, _) => i16::MAX,
            (Self::V3_5, K::Produce) => 9,
            (Self::V3_5, K::Fetch) => 15,
            (Self::V3_5, K::ListOffsets | K::OffsetCommit | K::OffsetFetch) => 8,
            (Self::V3_5, K::InitProducerId | K::FindCoordinator) => 4,
            (Self::V3_5, K::AddPartitionsToTxn | K::AddOffsetsToTxn | K::EndTxn | K::TxnOffsetCommit) => 3,
            (Self::V3_5, K::ApiVersions) => 3,
            (Self::V3_5, K::DescribeCluster | K::ListTransactions) => 0,
            (Self::V3_5, _) => i16::MAX,
        }
    }
}

/// What the cluster has settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) level: ApiLevel,
    transaction_version: i16,
}

impl Default for Features {
    fn default() -> Self {
        Self::new(ApiLevel::default(), Self::TRANSACTION_VERSION_MAX)
    }
}

impl Features {
    /// The newest `transaction.version`.
    pub(crate) const TRANSACTION_VERSION_MAX: i16 = 2;

    pub(crate) fn new(level: ApiLevel, transaction_version: i16) -> Self {
        Self { level, transaction_version }
    }

    /// The same brokers after the cluster has settled on another `transaction.version`.
    pub(crate) fn switched_to(self, transaction_version: i16) -> Self {
        Self { transaction_version, ..self }
    }

    /// `transaction.version`; 0 where the brokers do not know of it.
    pub(crate) fn transaction_version(self) -> i16 {
        if self.level >= ApiLevel::V4_2 { self.transaction_version } else { 0 }
    }

    /// Whether a transaction that is aborted for its time, or for a rival, is ended as newer clients end theirs.
    pub(crate) fn raises_epochs(self) -> bool {
        self.transaction_version() >= Self::TRANSACTION_VERSION_MAX
    }

    /// A partition asks the coordinator before it takes a transactional batch.
    pub(crate) fn verifies(self) -> bool {
        self.level >= ApiLevel::V3_9
    }

    /// The last version of an API that is told, of those we speak.
    pub(crate) fn last(self, key: ApiKey, spoken: i16) -> i16 {
        spoken.min(self.level.last(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_brokers_offer_less_and_know_no_transaction_version() {
        let last = |level, key| Features::new(level, 2).last(key, 99);
        let of = |level| [ApiKey::Produce, ApiKey::EndTxn, ApiKey::AddPartitionsToTxn].map(|key| last(level, key));
        assert_eq!(of(ApiLevel::V4_2), [99, 99, 99]);
        assert_eq!(of(ApiLevel::V3_9), [11, 4, 99]);
        assert_eq!(of(ApiLevel::V3_5), [9, 3, 3]);
        let version = |level, version| Features::new(level, version).transaction_version();
        assert_eq!((version(ApiLevel::V4_2, 1), version(ApiLevel::V3_9, 2)), (1, 0));
    }
}
