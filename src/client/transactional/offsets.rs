//! Offsets of a consumer group that move with a transaction: of a member, fenced by its generation, or of a group that is only
//! a name.

use super::machine::Way;
use super::way::{TXN_OFFSETS_EXPLICIT, TXN_OFFSETS_IMPLICIT};
use super::{TransactionalProducer, Trouble};
use crate::base::place::TopicPartition;
use crate::client::GroupOffset;
use crate::client::address::Address;
use crate::client::cluster::{Ask, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::membership::Membership;
use crate::client::need::Need;
use crate::wire::ErrorCode;
use crate::wire::add_offsets_to_txn::{AddOffsetsToTxn, AddOffsetsToTxnRequest};
use crate::wire::find_coordinator::key_type;
use crate::wire::txn_offset_commit::{TxnOffsetCommit, TxnOffsetCommitRequest};
use crate::wire::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse,
};
use std::collections::HashMap;

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
        outcome(broker, group, offsets, &response)
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

/// What an answer says of these offsets. One that does not speak of all of them says nothing of the others.
fn outcome(
    broker: &Address,
    group: &Membership,
    offsets: &[(TopicPartition, GroupOffset)],
    response: &TxnOffsetCommitResponse,
) -> Result<(), ClientError> {
    let told = response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (&*topic.name, one)));
    let told: HashMap<_, _> = told.map(|(topic, one)| ((topic, one.partition_index), one.error_code)).collect();
    for (partition, _) in offsets {
        let Some(code) = told.get(&(&*partition.topic, partition.partition)) else {
            return Err(ClientError::Protocol {
                broker: broker.clone(),
                api: "TxnOffsetCommit",
                expected: partition.to_string(),
                got: "an answer without it".to_owned(),
            });
        };
        ErrorCode::check(*code).map_err(|code| ClientError::Refused {
            broker: broker.clone(),
            api: "TxnOffsetCommit",
            what: format!("group {}", group.group),
            code,
            message: way_out(group, code).map(str::to_owned),
        })?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::txn_offset_commit::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};

    #[test]
    fn only_an_answer_that_speaks_of_every_partition_says_that_all_offsets_are_taken() {
        let offset =
            |partition| (TopicPartition::new("t", partition), GroupOffset { offset: 7, metadata: String::new() });
        let asked = [offset(0), offset(3)];
        let response = |topic: &str, told: &[(i32, ErrorCode)]| TxnOffsetCommitResponse {
            topics: vec![TxnOffsetCommitResponseTopic {
                name: topic.to_owned(),
                partitions: told
                    .iter()
                    .map(|(index, code)| TxnOffsetCommitResponsePartition {
                        partition_index: *index,
                        error_code: code.code(),
                    })
                    .collect(),
            }],
            ..Default::default()
        };
        let broker: Address = Address::parse("localhost:9092").unwrap();
        let group = Membership::only_a_name("g");
        let says = |response: TxnOffsetCommitResponse| outcome(&broker, &group, &asked, &response);
        says(response("t", &[(3, ErrorCode::None), (0, ErrorCode::None)])).unwrap();
        for lacks in [
            TxnOffsetCommitResponse::default(),
            response("t", &[(0, ErrorCode::None)]),
            response("u", &[(0, ErrorCode::None), (3, ErrorCode::None)]),
        ] {
            let error = says(lacks).unwrap_err().to_string();
            assert!(error.contains("without it") && error.contains("TxnOffsetCommit"), "{error}");
        }
        let refused = says(response("t", &[(0, ErrorCode::None), (3, ErrorCode::IllegalGeneration)])).unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::IllegalGeneration));
    }
}
