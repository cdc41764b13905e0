//! What is served, in which versions: what ApiVersions tells, and what a request is held against.

use crate::broker::features::Features;
use crate::wire::{Api, ApiKey};

/// An API that is served, in which versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) key: ApiKey,
    pub(super) first: i16,
    pub(super) last: i16,
}

const fn served<A: Api>() -> Served {
    Served { key: A::KEY, first: *A::VERSIONS.start(), last: *A::VERSIONS.end() }
}

/// Everything that is served, in the order of the APIs' numbers.
const SERVED: &[Served] = &[
    // Told from 0 on as Kafka 4 does, see `produce`.
    Served { first: 0, ..served::<crate::wire::produce::Produce>() },
    served::<crate::wire::fetch::Fetch>(),
    served::<crate::wire::list_offsets::ListOffsets>(),
    served::<crate::wire::metadata::Metadata>(),
    served::<crate::wire::offset_commit::OffsetCommit>(),
    served::<crate::wire::offset_fetch::OffsetFetch>(),
    served::<crate::wire::find_coordinator::FindCoordinator>(),
    served::<crate::wire::join_group::JoinGroup>(),
    served::<crate::wire::heartbeat::Heartbeat>(),
    served::<crate::wire::leave_group::LeaveGroup>(),
    served::<crate::wire::sync_group::SyncGroup>(),
    served::<crate::wire::describe_groups::DescribeGroups>(),
    served::<crate::wire::list_groups::ListGroups>(),
    served::<crate::wire::api_versions::ApiVersions>(),
    served::<crate::wire::create_topics::CreateTopics>(),
    served::<crate::wire::delete_topics::DeleteTopics>(),
    served::<crate::wire::delete_records::DeleteRecords>(),
    served::<crate::wire::init_producer_id::InitProducerId>(),
    served::<crate::wire::offset_for_leader_epoch::OffsetForLeaderEpoch>(),
    served::<crate::wire::add_partitions_to_txn::AddPartitionsToTxn>(),
    served::<crate::wire::add_offsets_to_txn::AddOffsetsToTxn>(),
    served::<crate::wire::end_txn::EndTxn>(),
    served::<crate::wire::txn_offset_commit::TxnOffsetCommit>(),
    served::<crate::wire::describe_configs::DescribeConfigs>(),
    served::<crate::wire::create_partitions::CreatePartitions>(),
    served::<crate::wire::delete_groups::DeleteGroups>(),
    served::<crate::wire::incremental_alter_configs::IncrementalAlterConfigs>(),
    served::<crate::wire::offset_delete::OffsetDelete>(),
    served::<crate::wire::describe_cluster::DescribeCluster>(),
    served::<crate::wire::describe_producers::DescribeProducers>(),
    served::<crate::wire::describe_transactions::DescribeTransactions>(),
    // 2 filters by a regular expression, see `list_transactions`.
    Served { last: 1, ..served::<crate::wire::list_transactions::ListTransactions>() },
];

/// What a broker of those features serves.
pub(super) fn all(features: Features) -> impl Iterator<Item = Served> {
    SERVED.iter().map(move |served| Served { last: features.last(served.key, served.last), ..*served })
}

/// The API of that number, if it is served.
pub(super) fn find(features: Features, code: i16) -> Option<Served> {
    all(features).find(|served| served.key.code() == code)
}
