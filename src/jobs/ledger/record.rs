//! The two records of a job: what it has planned, and how far it is.

use super::tail::Tail;
use crate::base::place::TopicPartition;
use crate::jobs::merge::Strategy;
use crate::keys::KeyPlan;
use crate::wire::Uuid;
use std::ops::Range;

/// The format that is written, and the only one that is read.
pub(crate) const VERSION: u64 = 1;

/// What a job has planned: written once, in its first transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobPlan {
    /// The job's name.
    pub(crate) job: String,
    /// What is read, in the order that decides ties.
    pub(crate) inputs: Vec<PlannedInput>,
    /// What the records are ordered by, and which way.
    pub(crate) keys: KeyPlan,
    /// How the merge is done.
    pub(crate) strategy: Strategy,
    /// Where the records go.
    pub(crate) output: PlannedOutput,
    /// When the plan was made, in milliseconds since 1970.
    pub(crate) planned_at_ms: i64,
}

/// One input partition and its pinned offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedInput {
    /// The partition.
    pub(crate) partition: TopicPartition,
    /// The topic's id: another topic of the same name has another one.
    pub(crate) topic_id: Uuid,
    /// From the first offset to the one after the last.
    pub(crate) range: Range<i64>,
}

/// The output, and where the job's records begin in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedOutput {
    /// The one partition.
    pub(crate) partition: TopicPartition,
    /// The topic's id.
    pub(crate) topic_id: Uuid,
    /// Where the output ended when the job began: what lies before is not its.
    pub(crate) start: i64,
}

/// What moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobProgress {
    /// The next offset to read of each input, in the plan's order.
    pub(crate) positions: Vec<i64>,
    /// How many records are written.
    pub(crate) rank: u64,
    /// The records written last; `None` before there are any.
    pub(crate) tail: Option<Tail>,
    /// Whether there is more to do.
    pub(crate) state: JobState,
    /// When this was written, in milliseconds since 1970.
    pub(crate) updated_at_ms: i64,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    /// There is.
    Running,
    /// Everything that was planned is written.
    Complete,
}

impl JobState {
    /// As it is stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
        }
    }
}

impl JobPlan {
    /// How many offsets there are to read: the number of records, or more where the logs have holes.
    pub(crate) fn offsets(&self) -> u64 {
        let offsets = self.inputs.iter().map(|input| input.range.end.saturating_sub(input.range.start).max(0) as u64);
        offsets.fold(0, u64::saturating_add)
    }

    /// The input topics with their ids, each once, in their order.
    pub(crate) fn topics(&self) -> Vec<(&str, Uuid)> {
        let mut topics: Vec<(&str, Uuid)> = Vec::new();
        for input in &self.inputs {
            if topics.last().is_none_or(|(last, _)| **last != *input.partition.topic) {
                topics.push((&input.partition.topic, input.topic_id));
            }
        }
        topics
    }
}

impl JobProgress {
    /// What is wrong with it beside this plan, in words; nothing in it is believed before.
    pub(super) fn misfit(&self, plan: &JobPlan) -> Option<String> {
        if self.positions.len() != plan.inputs.len() {
            return Some(format!("it has {} positions, the plan {} inputs", self.positions.len(), plan.inputs.len()));
        }
        for (position, input) in self.positions.iter().zip(&plan.inputs) {
            let Range { start, end } = input.range;
            if !(start..=end).contains(position) {
                return Some(format!(
                    "its position in {} is {position}, the plan goes from {start} to {end}",
                    input.partition
                ));
            }
        }
        if self.rank > plan.offsets() {
            return Some(format!("it counts {} records, the plan has {} at most", self.rank, plan.offsets()));
        }
        match &self.tail {
            None if self.rank == 0 => None,
            None => Some(format!("it counts {} records and knows none of them", self.rank)),
            Some(tail) if tail.start < plan.output.start => Some(format!(
                "its last records begin at offset {}, the job itself at {}",
                tail.start, plan.output.start
            )),
            Some(tail) if u64::from(tail.records) > self.rank => {
                Some(format!("its last records are {}, all are {}", tail.records, self.rank))
            }
            Some(_) => None,
        }
    }
}
