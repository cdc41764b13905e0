//! Where to begin to read what a member has been given: at the group's committed offsets.
//!
//! Non-obvious:
//! - Offsets that an open transaction may yet change are waited for (`require_stable`): whoever had the partition before may
//!   have committed them together with what it wrote.
//! - An offset that is not there, or that the log does not hold, is never jumped over unasked ([`Reset`]). It may never have
//!   been there, or have expired, or retention may have passed it: from here that looks the same.
//! - A partition that was added to its topic after this member came begins at its start, whatever [`Reset`] says: nobody has
//!   read of it, so that there is nothing to be decided.
//! - Where [`Reset`] has decided, the decision is committed before anything is read. Otherwise whoever gets the partition
//!   next would decide again, and `latest` would then pass over what was written in between.

use super::commit::{NotCommitted, commit_noted};
use super::coordinator::{Coordinator, ask};
use super::machine::passes;
use super::options::Reset;
use super::standing::Standing;
use crate::base::place::TopicPartition;
use crate::client::GroupOffset;
use crate::client::cluster::{Lane, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::need::Need;
use crate::client::offsets::OffsetAt;
use crate::client::retry::{Verdict, verdict};
use crate::wire::ErrorCode;
use crate::wire::offset_fetch::{
    OffsetFetch, OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The first version that waits for open transactions (Kafka 2.5).
const STABLE: Need = Need::of::<OffsetFetch>().from(7);

/// The first version that asks for several groups.
const SEVERAL_FROM_VERSION: i16 = 8;

/// A partition and the offset to begin at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What to read.
    pub partition: TopicPartition,
    /// The offset of the first record to read.
    pub offset: i64,
    /// What was noted beside the group's offset.
    pub note: String,
}

/// Where to begin with each of `partitions`, which are the member's own.
pub(super) async fn starts(
    coordinator: Arc<Coordinator>,
    mut standing: watch::Receiver<Standing>,
    hurry: Arc<Notify>,
    partitions: Vec<TopicPartition>,
) -> Result<Vec<Start>, NotCommitted> {
    let committed = committed(&coordinator, &standing, &hurry, &partitions).await?;
    let cluster = &coordinator.cluster;
    let earliest = cluster.offsets(&partitions, OffsetAt::Earliest).await?;
    let latest = cluster.offsets(&partitions, OffsetAt::Latest).await?;
    let (mut starts, mut decided) = (Vec::with_capacity(partitions.len()), Vec::new());
    for ((partition, committed), (earliest, latest)) in
        partitions.into_iter().zip(committed).zip(earliest.into_iter().zip(latest))
    {
        let note = committed.as_ref().map(|committed| committed.metadata.clone()).unwrap_or_default();
        let committed = committed.map(|committed| committed.offset);
        let usable = committed.filter(|offset| (earliest..=latest).contains(offset));
        let added = coordinator.at_first.get(&partition.topic).is_some_and(|count| partition.partition >= *count);
        let offset = match (usable, coordinator.options.reset) {
            (Some(offset), _) => offset,
            (None, _) if added && committed.is_none() => earliest,
            (None, Reset::Earliest) => earliest,
            (None, Reset::EarliestIfNew) if committed.is_none() => earliest,
            (None, Reset::Latest) => latest,
            (None, Reset::EarliestIfNew | Reset::Fail) => {
                let group = coordinator.options.group.clone();
                let error = match committed {
                    None => ClientError::NoPosition { group, partition },
                    Some(committed) => ClientError::PositionLost { group, partition, committed, earliest, latest },
                };
                return Err(error.into());
            }
        };
        if usable.is_none() {
            if let Some(committed) = committed {
                tracing::warn!(
                    %partition,
                    committed,
                    earliest,
                    latest,
                    offset,
                    "the log does not hold the group's offset: it begins elsewhere, as --reset says"
                );
            }
            decided.push((partition.clone(), GroupOffset { offset, metadata: note.clone() }));
        }
        starts.push(Start { partition, offset, note });
    }
    commit_noted(&coordinator, &mut standing, &hurry, &decided).await?;
    Ok(starts)
}

/// What the group has committed for each of `partitions`; `None` where there is nothing.
async fn committed(
    coordinator: &Coordinator,
    standing: &watch::Receiver<Standing>,
    hurry: &Notify,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<GroupOffset>>, ClientError> {
    let mut retry = coordinator.cluster.retry_until(Deadline::after(patience(coordinator)));
    loop {
        let now = standing.borrow().clone();
        let error = match committed_once(coordinator, &now, partitions).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let verdict = match error.code() {
            Some(ErrorCode::UnstableOffsetCommit | ErrorCode::StaleMemberEpoch) => Verdict::Again,
            // The next heartbeat says whether all is lost, and this look-up is dropped then.
            Some(ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch) => {
                hurry.notify_one();
                Verdict::Again
            }
            Some(code) if passes(code) => {
                coordinator.moved();
                Verdict::Again
            }
            _ => {
                coordinator.moved();
                verdict(&error)
            }
        };
        retry.after_verdict(error, verdict).await?;
    }
}

/// How long offsets are asked for: as long as a transaction may stay open, by what brokers and clients set by default or, if
/// that is longer, by what our own do.
fn patience(coordinator: &Coordinator) -> Duration {
    let by_default = coordinator.cluster.timeout() * 4;
    coordinator.options.stable_within.map_or(by_default, |within| within.max(by_default))
}

async fn committed_once(
    coordinator: &Coordinator,
    now: &Standing,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<GroupOffset>>, ClientError> {
    let deadline = coordinator.cluster.deadline().within(coordinator.cluster.timeout() / 2);
    let node = coordinator.node(deadline).await?;
    let connection = coordinator.cluster.connection(node, Lane::Control, deadline).await?;
    let version = connection.pick(STABLE).map_err(|error| call_error::<OffsetFetch>(connection.broker(), error))?;
    let request = request(coordinator, now, partitions, version);
    let answer = ask::<OffsetFetch>(&connection, &request, deadline).await?;
    let broker = answer.broker();
    let response = answer.read().map_err(|error| call_error::<OffsetFetch>(broker, error))?;

    let group = &*coordinator.options.group;
    // In one form for both: what stands, and the code.
    let mut told: HashMap<(&str, i32), (i64, &Option<String>, i16)> = HashMap::new();
    let whole = match version {
        SEVERAL_FROM_VERSION.. => {
            let found = response.groups.iter().find(|one| one.group_id == group);
            for topic in found.iter().flat_map(|one| &one.topics) {
                told.extend(topic.partitions.iter().map(|one| {
                    ((&*topic.name, one.partition_index), (one.committed_offset, &one.metadata, one.error_code))
                }));
            }
            found.map_or(ErrorCode::None.code(), |one| one.error_code)
        }
        _ => {
            for topic in &response.topics {
                told.extend(topic.partitions.iter().map(|one| {
                    ((&*topic.name, one.partition_index), (one.committed_offset, &one.metadata, one.error_code))
                }));
            }
            response.error_code
        }
    };
    ErrorCode::check(whole).map_err(|code| coordinator.refusal("OffsetFetch", code))?;
    let one = |partition: &TopicPartition| match told.get(&(&*partition.topic, partition.partition)) {
        None => {
            let got = "an answer without it".to_owned();
            Err(coordinator.nonsense(&connection, "OffsetFetch", &partition.to_string(), got))
        }
        Some((offset, metadata, code)) => match ErrorCode::from_code(*code) {
            ErrorCode::None if *offset < 0 => Ok(None),
            ErrorCode::None => {
                Ok(Some(GroupOffset { offset: *offset, metadata: (*metadata).clone().unwrap_or_default() }))
            }
            code => Err(refused(broker, "OffsetFetch", format!("group {group}, {partition}"), code)),
        },
    };
    partitions.iter().map(one).collect()
}

fn request(
    coordinator: &Coordinator,
    now: &Standing,
    partitions: &[TopicPartition],
    version: i16,
) -> OffsetFetchRequest {
    let mut topics: Vec<(String, Vec<i32>)> = Vec::new();
    for one in partitions {
        match topics.iter_mut().find(|(name, _)| *name == *one.topic) {
            Some((_, indexes)) => indexes.push(one.partition),
            None => topics.push((one.topic.to_string(), vec![one.partition])),
        }
    }
    let group_id = coordinator.options.group.to_string();
    if version < SEVERAL_FROM_VERSION {
        let topics = topics.into_iter();
        let topics = topics.map(|(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes });
        return OffsetFetchRequest {
            group_id,
            topics: Some(topics.collect()),
            require_stable: true,
            ..Default::default()
        };
    }
    let topics = topics.into_iter();
    let topics = topics.map(|(name, partition_indexes)| OffsetFetchRequestTopics { name, partition_indexes });
    let fenced = coordinator.options.protocol == super::options::GroupProtocol::Consumer;
    let group = OffsetFetchRequestGroup {
        group_id,
        // Only the newer protocol looks at them here.
        member_id: fenced.then(|| now.member.to_string()),
        member_epoch: if fenced { now.generation } else { -1 },
        topics: Some(topics.collect()),
    };
    OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() }
}
