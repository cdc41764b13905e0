//! What is left of a group when its coordinator moves: what Kafka would have in its log.

use super::{Answer, Env, Joined, Member, Membership, Phase, Synced};
use crate::wire::ErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The members of the last generation that came to rest.
#[derive(Debug, Default)]
pub(super) struct Kept {
    generation: i32,
    protocol_type: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
}

impl Membership {
    /// The group has come to rest.
    pub(super) fn keep(&mut self) {
        let at_rest = |member: &Member| Member { join: None, sync: None, is_new: false, ..member.clone() };
        self.kept = Kept {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(|(id, member)| (id.clone(), at_rest(member))).collect(),
        };
    }

    /// Another node coordinates the group: who waits is to look for it, a rebalance under way is forgotten, all sessions
    /// begin anew.
    pub(crate) fn move_here(&mut self, env: &Env<'_>) {
        for member in self.members.values_mut() {
            let error = ErrorCode::NotCoordinator;
            let join = member.join.take().map(|ticket| (ticket, Answer::Join(Joined::refused("", error))));
            let sync = member.sync.take().map(|ticket| (ticket, Answer::Sync(Synced::refused(error))));
            self.answers.extend(join.into_iter().chain(sync));
        }
        let kept = &self.kept;
        self.generation = kept.generation;
        (self.protocol_type, self.protocol) = (kept.protocol_type.clone(), kept.protocol.clone());
        self.leader = kept.leader.clone();
        self.members = kept.members.clone();
        for member in self.members.values_mut() {
            member.renew(env.now);
        }
        let named = |member: &Member| Some((member.instance.clone()?, member.id.clone()));
        self.instances = self.members.values().filter_map(named).collect();
        self.supported.clear();
        let protocols: Vec<_> = self.members.values().map(|member| member.protocols.clone()).collect();
        protocols.iter().for_each(|protocols| self.count(protocols));
        self.phase = if self.members.is_empty() { Phase::Empty } else { Phase::Stable };
        self.pending.clear();
        self.unsynced.clear();
        (self.join_timer, self.sync_until) = (None, None);
        self.topics = self.read_topics();
    }
}
