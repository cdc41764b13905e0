//! Moves of partitions to other brokers: begun, looked at, taken back.
//!
//! The answer says that a move has begun; it goes on whoever watches. To begin the same move twice is to begin it once, so a
//! lost answer is asked for again; to take one back twice finds nothing to take back, which after a lost answer counts as done.

use super::timeout_ms;
use crate::base::place::TopicPartition;
use crate::client::address::Address;
use crate::client::cluster::{Ask, Cluster, call_error};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::alter_partition_reassignments::{
    AlterPartitionReassignments, AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::list_partition_reassignments::{ListPartitionReassignments, ListPartitionReassignmentsRequest};
use std::collections::BTreeMap;

/// A partition that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moving {
    /// All that hold it now, those that come and go included.
    pub replicas: Vec<i32>,
    /// Those that come.
    pub adding: Vec<i32>,
    /// Those that go.
    pub removing: Vec<i32>,
}

impl Moving {
    /// Where it is going.
    pub fn target(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|node| !self.removing.contains(node)).collect()
    }
}

impl Cluster {
    /// Has each of these partitions (no two alike) held by the brokers given for it, the preferred leader first, or takes the
    /// move that is under way back where none are given. Those that were refused come back as errors, one each.
    pub async fn reassign(
        &self,
        wanted: &[(TopicPartition, Option<Vec<i32>>)],
    ) -> Result<Vec<ClientError>, ClientError> {
        let deadline = self.deadline();
        let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
        for (at, replicas) in wanted {
            let one = ReassignablePartition { partition_index: at.partition, replicas: replicas.clone() };
            topics.entry(&at.topic).or_default().push(one);
        }
        let topics = topics.into_iter();
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: timeout_ms(deadline),
            topics: topics.map(|(name, partitions)| ReassignableTopic { name: name.to_owned(), partitions }).collect(),
            ..Default::default()
        };
        let taken_back = |at: &TopicPartition| wanted.iter().any(|(one, replicas)| one == at && replicas.is_none());
        let mut retry = self.retry_until(deadline);
        let mut answer_lost = false;
        loop {
            // Who the controller is may have changed.
            let asked = match self.refresh(Ask::Any, Some(&[]), deadline).await {
                Err(error) => Err(error),
                Ok(_) => self.reassign_once(&request, wanted, deadline).await,
            };
            match asked {
                Ok(mut refusals) => {
                    refusals.retain(|(at, error)| {
                        !(answer_lost && taken_back(at) && error.code() == Some(ErrorCode::NoReassignmentInProgress))
                    });
                    return Ok(refusals.into_iter().map(|(_, error)| error).collect());
                }
                Err(error) => {
                    answer_lost |= matches!(error, ClientError::Call { .. });
                    answer_lost |= error.code() == Some(ErrorCode::RequestTimedOut);
                    retry.after(error).await?;
                }
            }
        }
    }

    /// Asks once; those that were refused.
    async fn reassign_once(
        &self,
        request: &AlterPartitionReassignmentsRequest,
        wanted: &[(TopicPartition, Option<Vec<i32>>)],
        deadline: Deadline,
    ) -> Result<Vec<(TopicPartition, ClientError)>, ClientError> {
        let answer = self.call::<AlterPartitionReassignments>(Ask::Controller, request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<AlterPartitionReassignments>(broker, error))?;
        let refuse = |what: String, code: i16, message: Option<String>| {
            refused_with(broker, "AlterPartitionReassignments", what, code, message)
        };
        refuse("partitions".to_owned(), response.error_code, response.error_message)?;
        let mut told = BTreeMap::new();
        for topic in response.responses {
            for one in topic.partitions {
                let at = TopicPartition::new(topic.name.as_str(), one.partition_index);
                let outcome = refuse(at.to_string(), one.error_code, one.error_message);
                told.insert(at, outcome);
            }
        }
        let mut refusals = Vec::new();
        for (at, _) in wanted {
            match told.remove(at) {
                Some(Ok(())) => {}
                Some(Err(error)) => refusals.push((at.clone(), error)),
                None => {
                    return Err(ClientError::Protocol {
                        broker: broker.clone(),
                        api: "AlterPartitionReassignments",
                        expected: at.to_string(),
                        got: "an answer without it".to_owned(),
                    });
                }
            }
        }
        Ok(refusals)
    }

    /// Every partition of the cluster that is on its way now.
    pub async fn reassignments(&self) -> Result<BTreeMap<TopicPartition, Moving>, ClientError> {
        let deadline = self.deadline();
        let request = ListPartitionReassignmentsRequest { timeout_ms: timeout_ms(deadline), topics: None };
        let mut retry = self.retry_until(deadline);
        loop {
            match self.reassignments_once(&request, deadline).await {
                Ok(moving) => return Ok(moving),
                Err(error) => {
                    retry.after(error).await?;
                    // Who the controller is may have changed; whether it is known now, the next try tells.
                    let _ = self.refresh(Ask::Any, Some(&[]), deadline).await;
                }
            }
        }
    }

    async fn reassignments_once(
        &self,
        request: &ListPartitionReassignmentsRequest,
        deadline: Deadline,
    ) -> Result<BTreeMap<TopicPartition, Moving>, ClientError> {
        let answer = self.call::<ListPartitionReassignments>(Ask::Controller, request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<ListPartitionReassignments>(broker, error))?;
        let what = "partitions".to_owned();
        refused_with(broker, "ListPartitionReassignments", what, response.error_code, response.error_message)?;
        let mut found = BTreeMap::new();
        for topic in response.topics {
            for one in topic.partitions {
                let at = TopicPartition::new(topic.name.as_str(), one.partition_index);
                let (adding, removing) = (one.adding_replicas, one.removing_replicas);
                found.insert(at, Moving { replicas: one.replicas, adding, removing });
            }
        }
        Ok(found)
    }
}

/// An error code with what it is about and the broker's own words.
pub(super) fn refused_with(
    broker: &Address,
    api: &'static str,
    what: String,
    code: i16,
    message: Option<String>,
) -> Result<(), ClientError> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(ClientError::Refused { broker: broker.clone(), api, what, code, message }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_partition_goes_is_who_holds_it_without_those_that_go() {
        let moving = Moving { replicas: vec![3, 1, 2], adding: vec![3], removing: vec![2] };
        assert_eq!(moving.target(), [3, 1]);
    }
}
