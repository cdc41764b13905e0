//! AlterPartitionReassignments: partitions move to other nodes, or such a move is taken back.
//!
//! - Versions: all that `wire` speaks. Any node takes the request, as in KRaft.
//! - The answer comes when a move has begun; `moving` copies in the background. The timeout has nothing to bound.
//! - A move that is taken back needs somebody of before who has everything (INVALID_REPLICA_ASSIGNMENT): it is never an unclean
//!   election, whatever the topic's configuration allows.
//! - Left out: throttles. A copy costs no network here; a rate for it cannot be set.

use super::Call;
use super::create_topics::check_replicas;
use crate::base::clock::now_ms;
use crate::broker::moving::NotTakenBack;
use crate::broker::validate::Refusal;
use crate::wire::ErrorCode;
use crate::wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

pub(super) fn handle(
    call: &Call<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let may_change = request.allow_replication_factor_change;
    let topics = request.topics.into_iter().map(|topic| {
        let alter = |wanted: ReassignablePartition| {
            let refusal = alter(call, &topic.name, &wanted, may_change).err();
            ReassignablePartitionResponse {
                partition_index: wanted.partition_index,
                error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
                error_message: refusal.map(|refusal| refusal.message),
            }
        };
        let partitions = topic.partitions.into_iter().map(alter).collect();
        ReassignableTopicResponse { name: topic.name, partitions }
    });
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: may_change,
        responses: topics.collect(),
        ..Default::default()
    }
}

fn alter(call: &Call<'_>, name: &str, wanted: &ReassignablePartition, may_change: bool) -> Result<(), Refusal> {
    call.refuse_if_forced()?;
    let cluster = call.cluster;
    let shown = crate::base::text::visible(name);
    let Some(topic) = cluster.topic(name) else {
        let why = format!("Unable to find a topic named {shown}.");
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, why));
    };
    let Some(partition) = topic.partition(wanted.partition_index) else {
        let why = format!("Unable to find partition {shown}:{}.", wanted.partition_index);
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, why));
    };
    let is_alive = |node| cluster.is_alive(node);
    let wrong = |why: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, why);
    {
        let mut state = partition.state();
        match &wanted.replicas {
            None => state.take_back(is_alive, &cluster.memory, now_ms()).map_err(|error| match error {
                NotTakenBack::NothingMoves => {
                    Refusal::new(ErrorCode::NoReassignmentInProgress, "No partition reassignment is in progress.")
                }
                NotTakenBack::NobodyInSync => wrong(format!(
                    "Unable to revert partition assignment for {shown}:{} because it would require an unclean leader \
                     election.",
                    wanted.partition_index
                )),
            })?,
            Some(target) => {
                check_replicas(call, target).map_err(wrong)?;
                let held_by = state.replicas.len() - state.moving.removing.len();
                if !may_change && held_by != target.len() {
                    let why = format!("The replication factor is changed from {held_by} to {}", target.len());
                    return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, why));
                }
                state.reassign(target, is_alive, &cluster.memory, now_ms());
            }
        }
    }
    partition.changed.notify_waiters();
    cluster.moves.add(partition.at.clone());
    Ok(())
}
