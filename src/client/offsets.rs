//! Offsets of partitions: where a log begins, where it ends, where it stood at some time.

use super::cluster::{Ask, Cluster, Leader, call_error, refused};
use super::deadline::Deadline;
use super::error::ClientError;
use super::retry::{Verdict, verdict};
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first that is still there.
    Earliest,
    /// The end of what is replicated: the high watermark, one past the last offset.
    Latest,
    /// The first offset of the oldest open transaction, or the high watermark where none is open.
    LastStable,
    /// That of the first record at or after this time (milliseconds since the epoch); the high watermark if there is none.
    Timestamp(i64),
}

impl Cluster {
    /// The offset of each of `partitions` (no two alike), in their order.
    pub async fn offsets(&self, partitions: &[TopicPartition], at: OffsetAt) -> Result<Vec<i64>, ClientError> {
        let deadline = self.deadline();
        match at {
            OffsetAt::Earliest => self.list(partitions, timestamp::EARLIEST, READ_UNCOMMITTED, deadline).await,
            OffsetAt::Latest => self.list(partitions, timestamp::LATEST, READ_UNCOMMITTED, deadline).await,
            OffsetAt::LastStable => self.list(partitions, timestamp::LATEST, READ_COMMITTED, deadline).await,
            OffsetAt::Timestamp(time) => {
                // The end is asked for first: what is appended in between is younger than the answer, not skipped by it.
                let ends = self.list(partitions, timestamp::LATEST, READ_UNCOMMITTED, deadline).await?;
                // Negative times have other meanings on the wire, and no record is asked for by them.
                let found = self.list(partitions, time.max(0), READ_UNCOMMITTED, deadline).await?;
                Ok(found.into_iter().zip(ends).map(|(offset, end)| if offset < 0 { end } else { offset }).collect())
            }
        }
    }

    /// The same asked once, for who looks on: where a partition has no leader or its leader does not answer, the others' offsets
    /// are no worse for it. By what is known of the leaders; `topics` brings that up to date. In the order of `partitions`.
    pub async fn offsets_as_told(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Vec<Result<i64, Arc<ClientError>>> {
        let deadline = self.deadline();
        let (time, isolation_level) = match at {
            OffsetAt::Earliest => (timestamp::EARLIEST, READ_UNCOMMITTED),
            OffsetAt::Latest => (timestamp::LATEST, READ_UNCOMMITTED),
            OffsetAt::LastStable => (timestamp::LATEST, READ_COMMITTED),
            OffsetAt::Timestamp(time) => (time.max(0), READ_UNCOMMITTED),
        };
        let mut found: Vec<Option<Result<i64, Arc<ClientError>>>> = partitions.iter().map(|_| None).collect();
        let mut by_leader: BTreeMap<i32, Vec<Asked<'_>>> = BTreeMap::new();
        for (place, partition) in partitions.iter().enumerate() {
            match self.leader(partition, deadline).await {
                Ok(leader) => by_leader.entry(leader.node).or_default().push((place, (partition, leader))),
                Err(error) => found[place] = Some(Err(Arc::new(error))),
            }
        }
        let calls = by_leader.into_iter().map(|(node, asked)| async move {
            let (places, asked): (Vec<usize>, Vec<_>) = asked.into_iter().unzip();
            let answers = self.list_at(node, &asked, Question { time, isolation_level }, deadline).await;
            (places, answers)
        });
        for (places, answers) in futures::future::join_all(calls).await {
            match answers {
                Ok(answers) => {
                    for (place, answer) in places.into_iter().zip(answers) {
                        found[place] = Some(answer.map_err(Arc::new));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    places.into_iter().for_each(|place| found[place] = Some(Err(error.clone())));
                }
            }
        }
        // There is an answer or an error for each.
        found.into_iter().flatten().collect()
    }

    async fn list(
        &self,
        partitions: &[TopicPartition],
        time: i64,
        isolation_level: i8,
        deadline: Deadline,
    ) -> Result<Vec<i64>, ClientError> {
        let question = Question { time, isolation_level };
        let mut found: HashMap<&TopicPartition, i64> = HashMap::with_capacity(partitions.len());
        let mut retry = self.retry_until(deadline);
        loop {
            let missing: Vec<&TopicPartition> = partitions.iter().filter(|one| !found.contains_key(one)).collect();
            if missing.is_empty() {
                // Every one of them is there now; the default is never taken.
                return Ok(partitions.iter().map(|one| found.get(one).copied().unwrap_or(-1)).collect());
            }
            let mut failure = None;
            let mut by_leader: BTreeMap<i32, Vec<(&TopicPartition, Leader)>> = BTreeMap::new();
            for partition in missing {
                match self.leader(partition, deadline).await {
                    Ok(leader) => by_leader.entry(leader.node).or_default().push((partition, leader)),
                    Err(error) => note(&mut failure, error, &[partition], self)?,
                }
            }
            let calls = by_leader.iter().map(|(node, asked)| self.list_at(*node, asked, question, deadline));
            for (result, asked) in futures::future::join_all(calls).await.into_iter().zip(by_leader.values()) {
                match result {
                    Err(error) => {
                        let about: Vec<_> = asked.iter().map(|(partition, _)| *partition).collect();
                        note(&mut failure, error, &about, self)?;
                    }
                    Ok(answers) => {
                        for ((partition, _), answer) in asked.iter().zip(answers) {
                            match answer {
                                Ok(offset) => {
                                    found.insert(partition, offset);
                                }
                                Err(error) => note(&mut failure, error, &[partition], self)?,
                            }
                        }
                    }
                }
            }
            if let Some(error) = failure {
                retry.after(error).await?;
            }
        }
    }

    /// Asks one leader; one answer for each of `asked`, in their order.
    async fn list_at(
        &self,
        node: i32,
        asked: &[(&TopicPartition, Leader)],
        question: Question,
        deadline: Deadline,
    ) -> Result<Vec<Result<i64, ClientError>>, ClientError> {
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for (partition, leader) in asked {
            let one = ListOffsetsPartition {
                partition_index: partition.partition,
                current_leader_epoch: leader.epoch,
                timestamp: question.time,
            };
            match topics.iter_mut().find(|topic| topic.name == *partition.topic) {
                Some(topic) => topic.partitions.push(one),
                None => topics.push(ListOffsetsTopic { name: partition.topic.to_string(), partitions: vec![one] }),
            }
        }
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: question.isolation_level,
            topics,
            timeout_ms: deadline.left().as_millis().min(i32::MAX as u128) as i32,
        };
        let answer = self.call::<ListOffsets>(Ask::Node(node), &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<ListOffsets>(answer.broker(), error))?;
        let mut answers = Vec::with_capacity(asked.len());
        for (partition, _) in asked {
            let topic = response.topics.iter().find(|topic| topic.name == *partition.topic);
            let found = topic.and_then(|t| t.partitions.iter().find(|one| one.partition_index == partition.partition));
            answers.push(match found {
                None => Err(ClientError::Protocol {
                    broker: answer.broker().clone(),
                    api: "ListOffsets",
                    expected: partition.to_string(),
                    got: "an answer without it".to_owned(),
                }),
                Some(found) => match ErrorCode::from_code(found.error_code) {
                    ErrorCode::None => Ok(found.offset),
                    code => Err(refused(answer.broker(), "ListOffsets", partition, code)),
                },
            });
        }
        Ok(answers)
    }
}

/// The place of a partition in a list, and who is asked about it.
type Asked<'a> = (usize, (&'a TopicPartition, Leader));

#[derive(Debug, Clone, Copy)]
struct Question {
    time: i64,
    isolation_level: i8,
}

/// Keeps a failure that may pass, and forgets the metadata it proves old; gives back one that will not pass.
fn note(
    failure: &mut Option<ClientError>,
    error: ClientError,
    about: &[&TopicPartition],
    cluster: &Cluster,
) -> Result<(), ClientError> {
    match verdict(&error) {
        Verdict::Stop => return Err(error),
        Verdict::Again => {}
        Verdict::Refresh => about.iter().for_each(|partition| cluster.forget(&partition.topic)),
    }
    *failure = Some(error);
    Ok(())
}
