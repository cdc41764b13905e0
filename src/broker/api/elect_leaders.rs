//! ElectLeaders: the first replica of a partition leads, or any that is alive where nobody leads.
//!
//! - Versions: all that `wire` speaks.
//! - Asked about all partitions, those that need no election are not told, as in Kafka.
//! - An unclean election lets the first replica that is alive lead a partition without a leader; what its copy lacks is lost.

use super::Call;
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::broker::topic::{NO_LEADER, Partition};
use crate::broker::validate::Refusal;
use crate::wire::ErrorCode;
use crate::wire::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult, election_type,
};

pub(super) fn handle(call: &Call<'_>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    // Before version 1 there was but one type, and its number is the default.
    let known = [election_type::PREFERRED, election_type::UNCLEAN].contains(&request.election_type);
    if let Some(error) = call.forced(None).or((!known).then_some(ErrorCode::InvalidRequest)) {
        return failed(request, error);
    }
    let all = request.topic_partitions.is_none();
    let wanted: Vec<(String, Vec<i32>)> = match request.topic_partitions {
        Some(topics) => topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect(),
        None => call
            .cluster
            .topics()
            .iter()
            .map(|topic| (topic.name.to_string(), topic.partitions().iter().map(|one| one.at.partition).collect()))
            .collect(),
    };
    let mut results = Vec::new();
    for (topic, partitions) in wanted {
        let mut told = Vec::new();
        for partition_id in partitions {
            let refusal = elect(call, &topic, partition_id, request.election_type).err();
            let code = refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code);
            if !(all && code == ErrorCode::ElectionNotNeeded) {
                let error_message = refusal.map(|refusal| refusal.message);
                told.push(PartitionResult { partition_id, error_code: code.code(), error_message });
            }
        }
        if !told.is_empty() {
            results.push(ReplicaElectionResult { topic, partition_result: told });
        }
    }
    ElectLeadersResponse { replica_election_results: results, ..Default::default() }
}

/// The same error for all that was asked for, as Kafka has it.
fn failed(request: ElectLeadersRequest, error: ErrorCode) -> ElectLeadersResponse {
    let tell = |partition_id| PartitionResult {
        partition_id,
        error_code: error.code(),
        error_message: Some(error.name().to_owned()),
    };
    let topics = request.topic_partitions.unwrap_or_default().into_iter().map(|topic| ReplicaElectionResult {
        topic: topic.topic,
        partition_result: topic.partitions.into_iter().map(tell).collect(),
    });
    ElectLeadersResponse { error_code: error.code(), replica_election_results: topics.collect(), ..Default::default() }
}

fn elect(call: &Call<'_>, topic: &str, index: i32, how: i8) -> Result<(), Refusal> {
    let found = call.cluster.partition(&TopicPartition::new(topic, index));
    let partition = found.ok_or_else(|| {
        let why = format!("No such partition as {}-{index}", crate::base::text::visible(topic));
        Refusal::new(ErrorCode::UnknownTopicOrPartition, why)
    })?;
    elect_one(call, &partition, how)?;
    partition.changed.notify_waiters();
    Ok(())
}

fn elect_one(call: &Call<'_>, partition: &Partition, how: i8) -> Result<(), Refusal> {
    let is_alive = |node| call.cluster.is_alive(node);
    let mut state = partition.state();
    let chosen = match how {
        election_type::PREFERRED => {
            let first = state.replicas.first().copied();
            if first == Some(state.leader) {
                return Err(ErrorCode::ElectionNotNeeded.into());
            }
            let in_sync = state.in_sync(is_alive);
            first.filter(|node| in_sync.contains(node)).ok_or(ErrorCode::PreferredLeaderNotAvailable)?
        }
        _ if state.leader != NO_LEADER => return Err(ErrorCode::ElectionNotNeeded.into()),
        _ => {
            let alive = state.replicas.iter().copied().find(|node| is_alive(*node));
            alive.ok_or(ErrorCode::EligibleLeadersNotAvailable)?
        }
    };
    state.elect(chosen, &call.cluster.memory, now_ms());
    Ok(())
}
