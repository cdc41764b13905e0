//! How far groups have read: the offsets in force, and those of transactions that are not decided yet.
//!
//! A group need not have members: it is there from its first commit on, and while it has none anybody may commit who claims
//! no generation. Offsets never expire; those of a deleted topic are gone.

use super::groups::Groups;
use super::membership::{Committer, Env};
use super::transaction::Producer;
use crate::base::place::TopicPartition;
use crate::broker::memory::{Memory, Paid};
use crate::wire::ErrorCode;
use std::collections::BTreeMap;

/// `offset.metadata.max.bytes`, which Kafka counts in characters.
const METADATA_CHARS_MAX: usize = 4096;

/// What one offset costs beside its strings.
const OFFSET_BYTES: usize = 160;

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

#[derive(Debug)]
struct Kept {
    committed: Committed,
    /// Its place among all commits.
    turn: u64,
    _paid: Paid,
}

/// The offsets of one group.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    in_force: BTreeMap<TopicPartition, Kept>,
    /// By producer id, with its epoch.
    pending: BTreeMap<i64, (i16, BTreeMap<TopicPartition, Kept>)>,
}

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.in_force.is_empty() && self.pending.is_empty()
    }
}

impl Groups {
    /// Whether a commit may be made in the name of a member, at `unknown` where there is no such group.
    pub(crate) fn admit(
        &mut self,
        env: &Env<'_>,
        group: &str,
        committer: &Committer<'_>,
        unknown: ErrorCode,
    ) -> Result<(), ErrorCode> {
        match self.by_name.get_mut(group) {
            Some(group) => group.membership.admit_commit(env, committer),
            None if committer.generation < 0 => Ok(()),
            None => Err(unknown),
        }
    }

    /// Keeps an offset: at once, or once the transaction of a producer is committed.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        at: TopicPartition,
        committed: Committed,
        within: Option<Producer>,
        memory: &Memory,
    ) -> Result<(), ErrorCode> {
        if committed.metadata.encode_utf16().count() > METADATA_CHARS_MAX {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let full = ErrorCode::CoordinatorNotAvailable;
        let paid = memory.take(OFFSET_BYTES + at.topic.len() + committed.metadata.len()).ok_or(full)?;
        let turn = self.next_turn();
        let group = &mut self.get_or_make(group, memory)?.offsets;
        let offsets = match within {
            None => &mut group.in_force,
            Some(producer) => {
                let pending = group.pending.entry(producer.id).or_insert((producer.epoch, BTreeMap::new()));
                pending.0 = producer.epoch;
                &mut pending.1
            }
        };
        offsets.insert(at, Kept { committed, turn, _paid: paid });
        Ok(())
    }

    /// Whether a producer at that epoch has offsets here that are not decided.
    pub(crate) fn has_open(&self, group: &str, producer: Producer) -> bool {
        let pending = self.by_name.get(group).and_then(|group| group.offsets.pending.get(&producer.id));
        pending.is_some_and(|(epoch, _)| *epoch == producer.epoch)
    }

    /// A producer's transaction is decided. What was committed after its offsets and before its end stays, as in Kafka.
    pub(crate) fn end(&mut self, group: &str, producer_id: i64, commits: bool) {
        let Some(group) = self.by_name.get_mut(group) else { return };
        let group = &mut group.offsets;
        let pending = group.pending.remove(&producer_id).filter(|_| commits);
        for (at, kept) in pending.into_iter().flat_map(|(_, offsets)| offsets) {
            if group.in_force.get(&at).is_none_or(|current| current.turn < kept.turn) {
                group.in_force.insert(at, kept);
            }
        }
    }

    /// The offset in force; with `stable` not where a transaction may change it yet.
    pub(crate) fn offset(
        &self,
        group: &str,
        at: &TopicPartition,
        stable: bool,
    ) -> Result<Option<&Committed>, ErrorCode> {
        let Some(group) = self.by_name.get(group) else { return Ok(None) };
        let group = &group.offsets;
        if stable && group.pending.values().any(|(_, offsets)| offsets.contains_key(at)) {
            return Err(ErrorCode::UnstableOffsetCommit);
        }
        Ok(group.in_force.get(at).map(|kept| &kept.committed))
    }

    /// The partitions for which a group has offsets in force.
    pub(crate) fn partitions(&self, group: &str) -> Vec<TopicPartition> {
        self.by_name.get(group).map_or_else(Vec::new, |group| group.offsets.in_force.keys().cloned().collect())
    }

    /// A topic is gone.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for group in self.by_name.values_mut() {
            group.offsets.in_force.retain(|at, _| &*at.topic != topic);
        }
    }

    /// An offset is deleted; so is one that a transaction has not decided yet.
    pub(crate) fn delete_offset(&mut self, group: &str, at: &TopicPartition) {
        let Some(group) = self.by_name.get_mut(group) else { return };
        group.offsets.in_force.remove(at);
        for (_, pending) in group.offsets.pending.values_mut() {
            pending.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::GroupConfig;

    const ONE: Producer = Producer { id: 1, epoch: 3 };

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn upto(offset: i64) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: String::new() }
    }

    fn offset(groups: &Groups, partition: i32, stable: bool) -> Result<Option<i64>, ErrorCode> {
        Ok(groups.offset("g", &at(partition), stable)?.map(|committed| committed.offset))
    }

    #[test]
    fn an_offset_of_a_transaction_counts_once_that_is_committed() {
        let (memory, mut groups) = (Memory::new(1 << 20), Groups::default());
        groups.commit("g", at(0), upto(5), None, &memory).unwrap();
        groups.commit("g", at(0), upto(9), Some(ONE), &memory).unwrap();
        assert_eq!(offset(&groups, 0, false), Ok(Some(5)));
        assert_eq!(offset(&groups, 0, true), Err(ErrorCode::UnstableOffsetCommit));
        assert_eq!(offset(&groups, 1, true), Ok(None));
        assert!(groups.has_open("g", ONE) && !groups.has_open("g", Producer { epoch: 4, ..ONE }));
        groups.end("g", 1, true);
        assert_eq!(offset(&groups, 0, true), Ok(Some(9)));
        groups.commit("g", at(0), upto(12), Some(ONE), &memory).unwrap();
        groups.end("g", 1, false);
        assert_eq!((offset(&groups, 0, true), groups.has_open("g", ONE)), (Ok(Some(9)), false));
        // Overtaken by a plain one.
        groups.commit("g", at(0), upto(20), Some(ONE), &memory).unwrap();
        groups.commit("g", at(0), upto(15), None, &memory).unwrap();
        groups.end("g", 1, true);
        assert_eq!(offset(&groups, 0, true), Ok(Some(15)));
    }

    #[test]
    fn a_generation_is_refused_one_way_where_the_group_is_there_and_another_where_it_is_not() {
        let (memory, mut groups, config) = (Memory::new(1 << 20), Groups::default(), GroupConfig::default());
        let env = Env { now: tokio::time::Instant::now(), config: &config, memory: &memory };
        let unknown = ErrorCode::IllegalGeneration;
        let admit = |groups: &mut Groups, generation| {
            let committer = Committer { generation, member: "", instance: None, is_transactional: false };
            groups.admit(&env, "g", &committer, unknown)
        };
        assert_eq!((admit(&mut groups, -1), admit(&mut groups, 5)), (Ok(()), Err(unknown)));
        groups.commit("g", at(0), upto(5), None, &memory).unwrap();
        assert_eq!(admit(&mut groups, 5), Err(ErrorCode::UnknownMemberId));
        assert_eq!(admit(&mut groups, -1), Ok(()));
    }

    #[test]
    fn a_deleted_offset_is_gone_also_where_a_transaction_was_to_set_it() {
        let (memory, mut groups) = (Memory::new(1 << 20), Groups::default());
        groups.commit("g", at(0), upto(5), None, &memory).unwrap();
        groups.commit("g", at(0), upto(9), Some(ONE), &memory).unwrap();
        groups.commit("g", at(1), upto(7), Some(ONE), &memory).unwrap();
        groups.delete_offset("g", &at(0));
        assert_eq!(offset(&groups, 0, true), Ok(None));
        groups.end("g", 1, true);
        assert_eq!((offset(&groups, 0, true), offset(&groups, 1, true)), (Ok(None), Ok(Some(7))));
    }

    #[test]
    fn metadata_has_a_limit_and_so_has_the_memory() {
        let (memory, mut groups) = (Memory::new(5_000), Groups::default());
        let with = |chars: usize| Committed { metadata: "x".repeat(chars), ..upto(1) };
        let too_large = groups.commit("g", at(0), with(4_097), None, &memory);
        assert_eq!(too_large, Err(ErrorCode::OffsetMetadataTooLarge));
        assert_eq!(groups.commit("g", at(0), with(4_096), None, &memory), Ok(()));
        let full = groups.commit("g", at(1), with(4_096), None, &memory);
        assert_eq!(full, Err(ErrorCode::CoordinatorNotAvailable));
        groups.forget_topic("t");
        assert_eq!(groups.partitions("g"), vec![]);
        assert_eq!((groups.delete("g"), memory.used_bytes()), (Ok(()), 0));
    }
}
