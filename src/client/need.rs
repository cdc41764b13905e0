//! What a job needs of a cluster's brokers, so that it is told at the start what is missing and not in the middle.

use super::cluster::{Ask, Cluster};
use super::error::ClientError;
use crate::wire::api_versions::ApiVersions;
use crate::wire::create_partitions::CreatePartitions;
use crate::wire::create_topics::CreateTopics;
use crate::wire::delete_topics::DeleteTopics;
use crate::wire::describe_configs::DescribeConfigs;
use crate::wire::fetch::Fetch;
use crate::wire::init_producer_id::InitProducerId;
use crate::wire::list_offsets::ListOffsets;
use crate::wire::metadata::Metadata;
use crate::wire::offset_for_leader_epoch::OffsetForLeaderEpoch;
use crate::wire::produce::Produce;
use crate::wire::{Api, ApiKey};

/// An API in the versions that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub(super) key: ApiKey,
    pub(super) first: i16,
    pub(super) last: i16,
}

impl Need {
    /// One API.
    pub const fn of<A: Api>() -> Self {
        Self { key: A::KEY, first: *A::VERSIONS.start(), last: *A::VERSIONS.end() }
    }

    /// The same API, in no version below `first`.
    pub(super) const fn from(mut self, first: i16) -> Self {
        self.first = first;
        self
    }

    /// The same API, in no version above `last`.
    pub(super) const fn up_to(mut self, last: i16) -> Self {
        self.last = last;
        self
    }

    /// Finding partitions and reading them.
    pub const READ: &[Self] = &[
        Self::of::<ApiVersions>(),
        Self::of::<Metadata>(),
        Self::of::<ListOffsets>(),
        Self::of::<Fetch>(),
        Self::of::<OffsetForLeaderEpoch>(),
        Self::of::<DescribeConfigs>(),
    ];
    /// Writing.
    pub const WRITE: &[Self] = &[Self::of::<ApiVersions>(), Self::of::<Metadata>(), Self::of::<Produce>()];
    /// Writing such that a repeat is noticed.
    pub const WRITE_IDEMPOTENT: &[Self] = &[Self::of::<Produce>(), Self::of::<InitProducerId>()];
    /// Making, growing and removing topics.
    pub const CHANGE_TOPICS: &[Self] =
        &[Self::of::<CreateTopics>(), Self::of::<CreatePartitions>(), Self::of::<DeleteTopics>()];
}

impl Cluster {
    /// Makes sure that a broker has each of `needs` in a version that we speak; otherwise the error names the first that it
    /// has not, and both sides' versions.
    pub async fn require(&self, needs: &[Need]) -> Result<(), ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        let connection = loop {
            match self.ask(Ask::Any, deadline).await {
                Ok(connection) => break connection,
                Err(error) => retry.after(error).await?,
            };
        };
        for need in needs {
            connection.pick(*need).map_err(|error| ClientError::Call {
                broker: connection.broker().clone(),
                api: need.key.name(),
                source: Box::new(error),
            })?;
        }
        Ok(())
    }
}
