//! Elections that are asked for: the first broker of a partition's list leads it again.

use super::reassign::refused_with;
use super::timeout_ms;
use crate::base::place::TopicPartition;
use crate::client::cluster::{Ask, Cluster, call_error};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::elect_leaders::{ElectLeaders, ElectLeadersRequest, TopicPartitions, election_type};
use std::collections::BTreeMap;

impl Cluster {
    /// Has each of these partitions led by the first of its brokers. Where that one leads already nothing is done. Those where
    /// it cannot lead come back as errors, one each.
    pub async fn elect_preferred(&self, partitions: &[TopicPartition]) -> Result<Vec<ClientError>, ClientError> {
        let deadline = self.deadline();
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for at in partitions {
            topics.entry(&at.topic).or_default().push(at.partition);
        }
        let topics = topics.into_iter();
        let topics = topics.map(|(topic, partitions)| TopicPartitions { topic: topic.to_owned(), partitions });
        let request = ElectLeadersRequest {
            election_type: election_type::PREFERRED,
            topic_partitions: Some(topics.collect()),
            timeout_ms: timeout_ms(deadline),
        };
        let mut retry = self.retry_until(deadline);
        loop {
            // Who the controller is may have changed.
            let asked = match self.refresh(Ask::Any, Some(&[]), deadline).await {
                Err(error) => Err(error),
                Ok(_) => self.elect_once(&request, deadline).await,
            };
            match asked {
                Ok(refusals) => {
                    partitions.iter().for_each(|at| self.forget(&at.topic));
                    return Ok(refusals);
                }
                Err(error) => retry.after(error).await?,
            };
        }
    }

    async fn elect_once(
        &self,
        request: &ElectLeadersRequest,
        deadline: Deadline,
    ) -> Result<Vec<ClientError>, ClientError> {
        let answer = self.call::<ElectLeaders>(Ask::Controller, request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<ElectLeaders>(broker, error))?;
        refused_with(broker, "ElectLeaders", "partitions".to_owned(), response.error_code, None)?;
        let mut refusals = Vec::new();
        for topic in response.replica_election_results {
            for one in topic.partition_result {
                let at = TopicPartition::new(topic.topic.as_str(), one.partition_id);
                if ErrorCode::from_code(one.error_code) == ErrorCode::ElectionNotNeeded {
                    continue;
                }
                let told = refused_with(broker, "ElectLeaders", at.to_string(), one.error_code, one.error_message);
                refusals.extend(told.err());
            }
        }
        Ok(refusals)
    }
}
