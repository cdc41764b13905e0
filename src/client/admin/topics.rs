//! Making, growing and removing topics.
//!
//! The controller's "done" only means that it is decided; each broker learns of it a moment later, and until then answers
//! "no such topic" to those who come too early. So every change here waits until each broker says the same.
//!
//! A change whose answer is lost is asked for again, and may then find its own work done ("exists already", "is not
//! there"): after a lost answer that counts as success.

use super::timeout_ms;
use crate::base::place::TopicPartition;
use crate::client::address::Address;
use crate::client::cluster::{Ask, Cluster, call_error, means_no_such_topic, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::metadata::TopicInfo;
use crate::wire::create_partitions::{CreatePartitions, CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopics, CreateTopicsRequest};
use crate::wire::delete_topics::{DeleteTopicState, DeleteTopics, DeleteTopicsRequest};
use crate::wire::{ErrorCode, Uuid};
use futures::future::BoxFuture;

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the cluster's default.
    pub partitions: i32,
    /// How many brokers hold each; -1 for the cluster's default.
    pub replication_factor: i16,
    /// Settings of its own.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with the cluster's default of replicas and no settings of its own.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self { name: name.into(), partitions, replication_factor: -1, configs: Vec::new() }
    }

    /// Adds a setting.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }
}

/// Who answered, the code, and the broker's own words; `None` if the topic is missing in the answer.
type Answered = Result<Option<(Address, i16, Option<String>)>, ClientError>;

impl Cluster {
    /// Makes a topic and waits until every broker knows it and every partition has a leader.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo, ClientError> {
        let deadline = self.deadline();
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                configs: configs.collect(),
                ..Default::default()
            }],
            timeout_ms: timeout_ms(deadline),
            ..Default::default()
        };
        self.change(deadline, "CreateTopics", &topic.name, |code| code == ErrorCode::TopicAlreadyExists, &|| {
            Box::pin(async {
                let answer = self.call::<CreateTopics>(Ask::Controller, &request, deadline).await?;
                let response = answer.read().map_err(|error| call_error::<CreateTopics>(answer.broker(), error))?;
                let found = response.topics.into_iter().find(|one| one.name == topic.name);
                Ok(found.map(|one| (answer.broker().clone(), one.error_code, one.error_message)))
            })
        })
        .await?;
        self.settled(&topic.name, deadline, topic.partitions.max(1) as usize).await
    }

    /// The topic of which a broker has said that it exists: where somebody is making it right now, the broker that is asked
    /// next may not have heard of it, and every one is waited for.
    pub async fn existing_topic(&self, name: &str) -> Result<TopicInfo, ClientError> {
        match self.topic(name).await {
            Err(ClientError::UnknownTopic { .. }) => self.settled(name, self.deadline(), 1).await,
            found => found,
        }
    }

    /// Adds partitions up to `count` in all, and waits until every broker knows them.
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<TopicInfo, ClientError> {
        let deadline = self.deadline();
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: name.to_owned(), count, assignments: None }],
            timeout_ms: timeout_ms(deadline),
            ..Default::default()
        };
        self.change(deadline, "CreatePartitions", name, |_| false, &|| {
            Box::pin(async {
                let answer = self.call::<CreatePartitions>(Ask::Controller, &request, deadline).await?;
                let response = answer.read().map_err(|error| call_error::<CreatePartitions>(answer.broker(), error))?;
                let found = response.results.into_iter().find(|one| one.name == name);
                Ok(found.map(|one| (answer.broker().clone(), one.error_code, one.error_message)))
            })
        })
        .await?;
        self.settled(name, deadline, count.max(1) as usize).await
    }

    /// Removes a topic and waits until no broker knows it any more.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let deadline = self.deadline();
        self.change(deadline, "DeleteTopics", name, means_no_such_topic, &|| {
            Box::pin(async {
                let by_name_only = self.version::<DeleteTopics>(Ask::Controller, deadline).await? < 6;
                let state = DeleteTopicState { name: Some(name.to_owned()), topic_id: Uuid::ZERO };
                let request = DeleteTopicsRequest {
                    topics: if by_name_only { Vec::new() } else { vec![state] },
                    topic_names: if by_name_only { vec![name.to_owned()] } else { Vec::new() },
                    timeout_ms: timeout_ms(deadline),
                };
                let answer = self.call::<DeleteTopics>(Ask::Controller, &request, deadline).await?;
                let response = answer.read().map_err(|error| call_error::<DeleteTopics>(answer.broker(), error))?;
                let found = response.responses.into_iter().find(|one| one.name.as_deref() == Some(name));
                Ok(found.map(|one| (answer.broker().clone(), one.error_code, one.error_message)))
            })
        })
        .await?;
        self.gone(name, deadline).await
    }

    /// Asks the controller for one change until it is made. `done_by_us` tells the refusals that mean "made already", which
    /// are believed after an answer was lost.
    async fn change<'f>(
        &self,
        deadline: Deadline,
        api: &'static str,
        name: &str,
        done_by_us: fn(ErrorCode) -> bool,
        once: &'f (dyn Fn() -> BoxFuture<'f, Answered> + Sync),
    ) -> Result<(), ClientError> {
        let mut retry = self.retry_until(deadline);
        let mut answer_lost = false;
        loop {
            // Who the controller is may have changed; asking also forgets nothing that is still true.
            let error = match self.refresh(Ask::Any, Some(&[]), deadline).await {
                Err(error) => error,
                Ok(_) => match once().await {
                    Err(error) => {
                        answer_lost |= matches!(error, ClientError::Call { .. });
                        error
                    }
                    Ok(None) => {
                        return Err(ClientError::Protocol {
                            broker: self.said_by(),
                            api,
                            expected: format!("topic {name}"),
                            got: "an answer without it".to_owned(),
                        });
                    }
                    Ok(Some((broker, code, message))) => match ErrorCode::from_code(code) {
                        ErrorCode::None => return Ok(()),
                        code if answer_lost && done_by_us(code) => return Ok(()),
                        // Deleting what is not there is a fact here, not a topic that is new.
                        code if means_no_such_topic(code) && code != ErrorCode::InvalidTopicException => {
                            return Err(self.unknown_topic(name).await);
                        }
                        code => {
                            // The controller gave up waiting; the change may still be made.
                            answer_lost |= code == ErrorCode::RequestTimedOut;
                            ClientError::Refused { broker, api, what: format!("topic {name}"), code, message }
                        }
                    },
                },
            };
            retry.after(error).await?;
        }
    }

    /// Waits until every broker names a leader for at least `count` partitions of the topic.
    async fn settled(&self, name: &str, deadline: Deadline, count: usize) -> Result<TopicInfo, ClientError> {
        let mut retry = self.retry_until(deadline);
        'look: loop {
            let mut found = None;
            for node in self.nodes() {
                let error = match self.refresh(Ask::Node(node), Some(&[name]), deadline).await {
                    Err(error) => error,
                    Ok(view) => match view.topic(name) {
                        Some(Ok(info)) if info.partitions.len() >= count => {
                            match info.partitions.iter().find(|partition| partition.leader < 0) {
                                None => {
                                    found = Some(info.clone());
                                    continue;
                                }
                                Some(partition) => ClientError::NoLeader {
                                    partition: TopicPartition::new(name, partition.index),
                                    replicas: partition.replicas.clone(),
                                },
                            }
                        }
                        Some(Err(code)) => refused(&view.said_by, "Metadata", format!("topic {name}"), *code),
                        _ => refused(
                            &view.said_by,
                            "Metadata",
                            format!("topic {name}"),
                            ErrorCode::UnknownTopicOrPartition,
                        ),
                    },
                };
                retry.after(error).await?;
                continue 'look;
            }
            match found {
                Some(info) => return Ok(info),
                // No broker is known at all; ask anew.
                None => drop(self.refresh(Ask::Any, Some(&[]), deadline).await?),
            }
        }
    }

    /// Waits until no broker knows the topic any more.
    async fn gone(&self, name: &str, deadline: Deadline) -> Result<(), ClientError> {
        let mut backoff = self.backoff();
        'look: while !deadline.passed() {
            for node in self.nodes() {
                // A broker that cannot be asked cannot hand the topic to anybody either.
                if let Ok(view) = self.refresh(Ask::Node(node), Some(&[name]), deadline).await
                    && matches!(view.topic(name), Some(Ok(_)))
                {
                    tokio::time::sleep(backoff.next().min(deadline.left())).await;
                    continue 'look;
                }
            }
            break;
        }
        // The deletion is decided; that some broker is slow to hear of it is no failure.
        self.forget(name);
        Ok(())
    }
}
