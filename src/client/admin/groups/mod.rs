//! Groups as a whole, for who administers them: which there are, who is in them, how far they are; their offsets set and
//! deleted, and they themselves deleted. Membership is another matter (`membership`, `group`).
//!
//! Each group is kept by one broker, which is looked for anew whenever it says that it is not the one. Offsets are committed
//! without a generation: the coordinator takes that only while nobody is in the group.

mod describe;
mod offsets;

pub use describe::{GroupDescribed, GroupMember};
pub use offsets::GroupOffset;

use crate::base::place::TopicPartition;
use crate::client::cluster::{Ask, Cluster, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::retry::Verdict;
use crate::wire::ErrorCode;
use crate::wire::delete_groups::{DeleteGroups, DeleteGroupsRequest};
use crate::wire::find_coordinator::key_type;
use crate::wire::list_groups::{ListGroups, ListGroupsRequest};
use std::collections::BTreeMap;

/// A group, as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupListed {
    /// Its name.
    pub group: String,
    /// `classic`, `consumer`, ...; empty from brokers before 3.8.
    pub group_type: String,
    /// What its members speak; empty where it has offsets and never had members.
    pub protocol: String,
    /// `Empty`, `Stable`, ...; empty from brokers before 2.6.
    pub state: String,
}

impl Cluster {
    /// All groups of the cluster, by name: every broker is asked for those it keeps.
    pub async fn groups(&self) -> Result<Vec<GroupListed>, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        'again: loop {
            // A broker that has joined keeps groups as well.
            let mut asked = match self.refresh(Ask::Any, Some(&[]), deadline).await {
                Ok(_) => Ok(self.nodes()),
                Err(error) => Err(error),
            };
            let mut groups = Vec::new();
            if let Ok(nodes) = &asked {
                for node in nodes.clone() {
                    match self.groups_at(node, deadline).await {
                        Ok(some) => groups.extend(some),
                        Err(error) => {
                            asked = Err(error);
                            break;
                        }
                    }
                }
            }
            match asked {
                Ok(_) => {
                    return Ok(listed_once(groups));
                }
                Err(error) => {
                    again(&mut retry, error).await?;
                    continue 'again;
                }
            }
        }
    }

    /// The same asked once, for who looks on: the groups that the brokers tell of, each with the broker that does, and of each
    /// broker that does not, why.
    pub async fn groups_as_told(&self) -> (Vec<(GroupListed, i32)>, Vec<(i32, ClientError)>) {
        let deadline = self.deadline();
        let asked = self.nodes().into_iter().map(|node| async move { (node, self.groups_at(node, deadline).await) });
        let (mut groups, mut failed) = (Vec::new(), Vec::new());
        for (node, answer) in futures::future::join_all(asked).await {
            match answer {
                Ok(some) => groups.extend(some.into_iter().map(|one| (one, node))),
                Err(error) => failed.push((node, error)),
            }
        }
        groups.sort();
        groups.dedup_by(|(a, _), (b, _)| a.group == b.group);
        (groups, failed)
    }

    /// A group by the broker that has told of it, asked once: it is the one that keeps it, or was a moment ago.
    pub async fn group_as_told(&self, node: i32, group: &str) -> Result<Option<GroupDescribed>, ClientError> {
        self.group_at(node, group, self.deadline().within(self.timeout() / 2)).await
    }

    /// All offsets that it has committed, in the same way.
    pub async fn group_offsets_as_told(
        &self,
        node: i32,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, GroupOffset>, ClientError> {
        self.group_offsets_at(node, group, self.deadline().within(self.timeout() / 2)).await
    }

    async fn groups_at(&self, node: i32, deadline: Deadline) -> Result<Vec<GroupListed>, ClientError> {
        let answer = self.call::<ListGroups>(Ask::Node(node), &ListGroupsRequest::default(), deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<ListGroups>(broker, error))?;
        ErrorCode::check(response.error_code).map_err(|code| refused(broker, "ListGroups", "groups", code))?;
        let groups = response.groups.into_iter().map(|one| GroupListed {
            group: one.group_id,
            group_type: one.group_type,
            protocol: one.protocol_type,
            state: one.group_state,
        });
        Ok(groups.collect())
    }

    /// Deletes a group with its offsets. Its coordinator refuses while it has members.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        let asked = self.at_coordinator(group, async |node, deadline| {
            let answer = self.call::<DeleteGroups>(Ask::Node(node), &request, deadline).await?;
            let broker = answer.broker();
            let response = answer.read().map_err(|error| call_error::<DeleteGroups>(broker, error))?;
            let Some(told) = response.results.iter().find(|one| one.group_id == group) else {
                return Err(ClientError::Protocol {
                    broker: broker.clone(),
                    api: "DeleteGroups",
                    expected: about(group),
                    got: "an answer without it".to_owned(),
                });
            };
            ErrorCode::check(told.error_code).map_err(|code| refused(broker, "DeleteGroups", about(group), code))
        });
        let Kept { outcome, lost_an_answer } = asked.await;
        match outcome {
            // It was there, and the answer that said it was deleted was lost.
            Err(error) if lost_an_answer && error.code() == Some(ErrorCode::GroupIdNotFound) => Ok(()),
            outcome => outcome,
        }
    }

    /// Asks the broker that keeps a group until it answers.
    async fn at_coordinator<T>(
        &self,
        group: &str,
        once: impl AsyncFn(i32, Deadline) -> Result<T, ClientError>,
    ) -> Kept<T> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        let mut lost_an_answer = false;
        loop {
            let error = match self.coordinator(group, key_type::GROUP, deadline).await {
                Ok(node) => match once(node, deadline).await {
                    Ok(value) => return Kept { outcome: Ok(value), lost_an_answer },
                    Err(error) => {
                        lost_an_answer |=
                            matches!(&error, ClientError::Call { source, .. } if source.may_have_arrived());
                        error
                    }
                },
                Err(error) => error,
            };
            if let Err(error) = again(&mut retry, error).await {
                return Kept { outcome: Err(error), lost_an_answer };
            }
        }
    }
}

/// By name, each once: one that moves from broker to broker meanwhile may be told by both.
fn listed_once(mut groups: Vec<GroupListed>) -> Vec<GroupListed> {
    groups.sort();
    groups.dedup_by(|a, b| a.group == b.group);
    groups
}

/// What a coordinator said in the end, and whether an answer was lost before that.
struct Kept<T> {
    outcome: Result<T, ClientError>,
    lost_an_answer: bool,
}

/// A pause before the next try, where the error passes. That a group is kept elsewhere now does.
async fn again(retry: &mut crate::client::retry::Retry, error: ClientError) -> Result<(), ClientError> {
    let moved = matches!(error, ClientError::Refused { code: ErrorCode::NotCoordinator, .. });
    let verdict = if moved { Verdict::Refresh } else { crate::client::retry::verdict(&error) };
    retry.after_verdict(error, verdict).await.map(drop)
}

/// A group, for errors.
fn about(group: &str) -> String {
    format!("group {}", crate::base::text::visible(group))
}
