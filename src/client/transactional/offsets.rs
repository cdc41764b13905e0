//! Offsets of a consumer group that move with a transaction: of a member, fenced by its generation, or of a group that is only
//! a name.

use super::machine::Way;
use super::way::{TXN_OFFSETS_EXPLICIT, TXN_OFFSETS_IMPLICIT};
use super::{TransactionalProducer, Trouble};
use crate::base::place::TopicPartition;
use crate::client::GroupOffset;
use crate::client::cluster::{Ask, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::membership::Membership;
use crate::client::need::Need;
use crate::wire::ErrorCode;
use crate::wire::add_offsets_to_txn::{AddOffsetsToTxn, AddOffsetsToTxnRequest};
use crate::wire::find_coordinator::key_type;
use crate::wire::txn_offset_commit::{TxnOffsetCommit, TxnOffsetCommitRequest};
use crate::wire::txn_offset_commit::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};

impl TransactionalProducer {
    /// Lets `group` stand at these offsets, with what is noted beside them, once the open transaction is committed.
    pub(super) async fn commit_offsets(
        &mut self,
        group: &Membership,
        offsets: &[(TopicPartition, GroupOffset)],
    ) -> Result<(), Trouble> {
        let deadline = self.cluster.deadline();
        let mut retry = self.cluster.retry_until(deadline);
        let mut added = self.way == Way::Implicit;
        loop {
            match self.try_offsets(group, offsets, &mut added, deadline).await {
                Ok(()) => return Ok(()),
                // Void, but not the end: what is the member's now can be read again from what is committed.
                Err(error) if !group.member.is_empty() && error.code().is_some_and(is_about_the_member) => {
                    return Err(Trouble::Doubt(error));
                }
                // Twice the same offsets are the same offsets.
                Err(error) => self.again(&mut retry, error).await?,
            }
        }
    }

    async fn try_offsets(
        &mut self,
        group: &Membership,
        offsets: &[(TopicPartition, GroupOffset)],
        added: &mut bool,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        if !*added {
            self.add_offsets(&group.group, deadline).await?;
            *added = true;
        }
        let node = match self.group_coordinator {
            Some(node) => node,
            None => self.cluster.coordinator(&group.group, key_type::GROUP, deadline).await?,
        };
        self.group_coordinator = Some(node);
        let topics = offsets.iter().map(|(partition, committed)| TxnOffsetCommitRequestTopic {
            name: partition.topic.to_string(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: committed.offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(committed.metadata.clone()).filter(|noted| !noted.is_empty()),
            }],
        });
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id.to_string(),
            group_id: group.group.to_string(),
            producer_id: self.identity.id,
            producer_epoch: self.identity.epoch,
            generation_id: group.generation,
            member_id: group.member.to_string(),
            group_instance_id: group.instance.as_deref().map(str::to_owned),
            topics: topics.collect(),
        };
        let need = match self.way {
            Way::Implicit => TXN_OFFSETS_IMPLICIT,
            Way::Explicit => TXN_OFFSETS_EXPLICIT,
        };
        let answer = self.cluster.call_as::<TxnOffsetCommit>(Ask::Node(node), need, &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<TxnOffsetCommit>(broker, error))?;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        for told in partitions {
            ErrorCode::check(told.error_code).map_err(|code| ClientError::Refused {
                broker: broker.clone(),
                api: "TxnOffsetCommit",
                what: format!("group {}", group.group),
                code,
                message: way_out(group, code).map(str::to_owned),
            })?;
        }
        Ok(())
    }

    /// On the explicit way a transaction is told which groups it moves.
    async fn add_offsets(&mut self, group: &str, deadline: Deadline) -> Result<(), ClientError> {
        let node = self.coordinator(deadline).await?;
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.id.to_string(),
            producer_id: self.identity.id,
            producer_epoch: self.identity.epoch,
            group_id: group.to_owned(),
        };
        let need = Need::of::<AddOffsetsToTxn>();
        let answer = self.cluster.call_as::<AddOffsetsToTxn>(Ask::Node(node), need, &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<AddOffsetsToTxn>(broker, error))?;
        ErrorCode::check(response.error_code)
            .map_err(|code| refused(broker, "AddOffsetsToTxn", format!("group {group}"), code))
    }
}

fn is_about_the_member(code: ErrorCode) -> bool {
    use ErrorCode as E;
    let classic = matches!(code, E::IllegalGeneration | E::UnknownMemberId | E::RebalanceInProgress);
    classic || matches!(code, E::StaleMemberEpoch | E::FencedMemberEpoch)
}

fn way_out(group: &Membership, code: ErrorCode) -> Option<&'static str> {
    match code {
        code if !group.member.is_empty() && is_about_the_member(code) => {
            Some("the member's partitions may be others' by now")
        }
        ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress => {
            Some("consumers are members of that group: name one that nobody else uses (--group)")
        }
        ErrorCode::GroupAuthorizationFailed => Some("moving the group's offsets needs the right READ on it"),
        _ => None,
    }
}
