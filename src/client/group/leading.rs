//! The leader's part: sharing the partitions out among all members.

use super::assign::{Assignor, Counts, Member};
use super::coordinator::{Content, Coordinator, Joined, Told};
use super::subscription::{read_member, share_bytes};
use crate::client::cluster::{Ask, Cluster, means_no_such_topic, refused};
use crate::client::error::ClientError;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many partitions each of `topics` has now; without those that do not exist.
pub(super) async fn look(cluster: &Cluster, topics: &BTreeSet<Arc<str>>) -> Result<Counts, ClientError> {
    if topics.is_empty() {
        return Ok(Counts::new());
    }
    let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
    let deadline = cluster.deadline();
    let mut retry = cluster.retry_until(deadline);
    loop {
        let error = match cluster.refresh(Ask::Any, Some(&names), deadline).await {
            Ok(view) => {
                let mut failure = None;
                let mut counts = Counts::new();
                for topic in topics {
                    match view.topic(topic) {
                        Some(Ok(info)) => _ = counts.insert(topic.clone(), info.partitions.len() as i32),
                        Some(Err(code)) if means_no_such_topic(*code) => {}
                        Some(Err(code)) => failure = Some(refused(&view.said_by, "Metadata", topic, *code)),
                        None => {}
                    }
                }
                match failure {
                    None => return Ok(counts),
                    Some(error) => error,
                }
            }
            Err(error) => error,
        };
        retry.after(error).await?;
    }
}

/// Makes the shares as the leader, and asks for ours.
pub(super) async fn lead(coordinator: Arc<Coordinator>, joined: Joined, assignor: Assignor) -> Told {
    let (mut members, mut versions) = (Vec::with_capacity(joined.members.len()), Vec::new());
    for (id, instance, bytes) in joined.members {
        let (member, version) = read_member(assignor, id.clone(), instance, &bytes).unwrap_or_else(|error| {
            tracing::warn!(member = %crate::base::text::visible(&id), %error, "a member's subscription cannot be read: it is given nothing");
            (Member { id, generation: -1, ..Default::default() }, 0)
        });
        members.push(member);
        versions.push(version);
    }
    let topics: BTreeSet<Arc<str>> = members.iter().flat_map(|member| member.topics.iter().cloned()).collect();
    let counts = look(&coordinator.cluster, &topics).await?;
    let mut shares = Vec::new();
    if !joined.shares_stay {
        let shared = assignor.share(&members, &counts);
        for ((member, share), version) in members.iter().zip(&shared).zip(versions) {
            let bytes = share_bytes(share, version).map_err(|error| ClientError::Group {
                group: coordinator.options.group.clone(),
                what: format!("a share cannot be written: {error}"),
            })?;
            shares.push((member.id.clone(), bytes));
        }
        tracing::debug!(group = %coordinator.options.group, members = members.len(), %assignor, "shared out");
    }
    let synced = coordinator.sync(joined.member.into(), joined.generation, assignor.name(), shares).await?;
    Ok(match synced {
        (code, Content::Share { share, .. }) => (code, Content::Share { share, led: Some((topics, counts)) }),
        other => other,
    })
}
