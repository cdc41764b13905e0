//! Committing offsets, fenced by generation and member.
//!
//! Non-obvious:
//! - A refusal for the generation is not the end of it: the member may have joined the next one meanwhile and still have
//!   the partition. So it is waited for how the member stands, and tried again as long as the partition is its own. If it
//!   is not, nothing is committed, and the caller is told so: somebody else reads it from the offset before.
//! - A commit that was not answered is sent again, the same one; the same offset twice is the same offset. The caller is
//!   not told that it is done before it is answered, and sends no other one meanwhile. What the protocol cannot exclude: a
//!   copy that is still on its way when its connection is given up, and arrives after the next commit, sets the group back.

use super::coordinator::{Coordinator, ask};
use super::machine::passes;
use super::standing::Standing;
use crate::base::place::TopicPartition;
use crate::client::GroupOffset;
use crate::client::cluster::{Lane, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::retry::{Verdict, verdict};
use crate::wire::ErrorCode;
use crate::wire::offset_commit::{
    OffsetCommit, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use tokio::sync::{Notify, watch};

/// Why offsets were not committed.
#[derive(Debug, thiserror::Error)]
pub enum NotCommitted {
    /// The partition is not this member's any more. What was read of it since the last commit will be read again, by
    /// whoever has it now: it must not be counted here.
    #[error(
        "{0} is not this member's any more; what was read of it since the last commit is read again by another one"
    )]
    Lost(TopicPartition),
    /// It could not be.
    #[error(transparent)]
    Failed(#[from] ClientError),
}

/// Commits `offsets` (the next to be read of each partition), all or none of them.
pub(super) async fn commit(
    coordinator: &Coordinator,
    standing: &mut watch::Receiver<Standing>,
    hurry: &Notify,
    offsets: &[(TopicPartition, i64)],
) -> Result<(), NotCommitted> {
    // An empty note, not none: Apache's client has always sent an empty text.
    let bare = |(partition, offset): &(TopicPartition, i64)| {
        (partition.clone(), GroupOffset { offset: *offset, metadata: String::new() })
    };
    let offsets: Vec<_> = offsets.iter().map(bare).collect();
    commit_noted(coordinator, standing, hurry, &offsets).await
}

/// The same with what is to be noted beside each.
pub(super) async fn commit_noted(
    coordinator: &Coordinator,
    standing: &mut watch::Receiver<Standing>,
    hurry: &Notify,
    offsets: &[(TopicPartition, GroupOffset)],
) -> Result<(), NotCommitted> {
    if offsets.is_empty() {
        return Ok(());
    }
    // A rebalance may take as long as members may take to join.
    let settled = Deadline::after(coordinator.options.rebalance_timeout + coordinator.cluster.timeout());
    let mut retry = coordinator.cluster.retry_until(coordinator.cluster.deadline());
    loop {
        let now = standing.borrow_and_update().clone();
        if let Some((lost, _)) = offsets.iter().find(|(partition, _)| !now.owned.contains(partition)) {
            return Err(NotCommitted::Lost(lost.clone()));
        }
        let error = match commit_once(coordinator, &now, offsets).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.code() {
            Some(code) if is_about_the_generation(code) => {
                hurry.notify_one();
                let changed = settled.run(standing.wait_for(|standing| *standing != now)).await;
                if !matches!(changed, Some(Ok(_))) {
                    return Err(NotCommitted::Failed(error));
                }
                // It was nobody's failure.
                retry = coordinator.cluster.retry_until(coordinator.cluster.deadline());
            }
            Some(code) if passes(code) => {
                coordinator.moved();
                retry.after_verdict(error, Verdict::Again).await?;
            }
            _ => {
                coordinator.moved();
                let verdict = verdict(&error);
                retry.after_verdict(error, verdict).await?;
            }
        }
    }
}

fn is_about_the_generation(code: ErrorCode) -> bool {
    use ErrorCode as E;
    let classic = matches!(code, E::IllegalGeneration | E::UnknownMemberId | E::RebalanceInProgress);
    classic || matches!(code, E::StaleMemberEpoch | E::FencedMemberEpoch)
}

async fn commit_once(
    coordinator: &Coordinator,
    now: &Standing,
    offsets: &[(TopicPartition, GroupOffset)],
) -> Result<(), ClientError> {
    let deadline = coordinator.cluster.deadline().within(coordinator.cluster.timeout() / 2);
    let node = coordinator.node(deadline).await?;
    let connection = coordinator.cluster.connection(node, Lane::Control, deadline).await?;
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (partition, committed) in offsets {
        let one = OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: committed.offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(committed.metadata.clone()),
        };
        match topics.iter_mut().find(|topic| topic.name == *partition.topic) {
            Some(topic) => topic.partitions.push(one),
            None => topics.push(OffsetCommitRequestTopic { name: partition.topic.to_string(), partitions: vec![one] }),
        }
    }
    let request = OffsetCommitRequest {
        group_id: coordinator.options.group.to_string(),
        generation_id_or_member_epoch: now.generation,
        member_id: now.member.to_string(),
        group_instance_id: coordinator.instance(),
        retention_time_ms: -1,
        topics,
    };
    let answer = ask::<OffsetCommit>(&connection, &request, deadline).await?;
    let broker = answer.broker();
    let response = answer.read().map_err(|error| call_error::<OffsetCommit>(broker, error))?;
    let told = response.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (&topic.name, one)));
    let mut answered = 0;
    for (topic, told) in told {
        answered += 1;
        match ErrorCode::from_code(told.error_code) {
            ErrorCode::None => {}
            ErrorCode::FencedInstanceId => {
                return Err(coordinator.refusal("OffsetCommit", ErrorCode::FencedInstanceId));
            }
            code => {
                let what = format!(
                    "group {}, {}",
                    coordinator.options.group,
                    TopicPartition::new(topic.as_str(), told.partition_index)
                );
                return Err(refused(broker, "OffsetCommit", what, code));
            }
        }
    }
    if answered != offsets.len() {
        let expected = format!("{} partition(s)", offsets.len());
        return Err(coordinator.nonsense(&connection, "OffsetCommit", &expected, format!("{answered}")));
    }
    Ok(())
}
