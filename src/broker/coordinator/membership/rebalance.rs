//! From one generation to the next: waiting for everybody, choosing a protocol and a leader.

use super::{Answer, CONSUMER, Env, Joined, Member, Membership, Phase, Protocol, Synced};
use crate::wire::{ErrorCode, Reader, WireError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Until when members may join this rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinTimer {
    /// The first one of an empty group: it waits whether all have joined or not, as nobody knows who all are; again where
    /// somebody has come meanwhile, up to the members' own patience.
    First {
        until: Instant,
        wait: Duration,
        left: Duration,
        has_newcomers: bool,
    },
    Rest {
        until: Instant,
    },
}

impl JoinTimer {
    pub(super) fn until(&self) -> Instant {
        match self {
            Self::First { until, .. } | Self::Rest { until } => *until,
        }
    }
}

impl Membership {
    /// Begins a rebalance, or ends the one under way where nobody is missing any more.
    pub(super) fn rebalance(&mut self, env: &Env<'_>) {
        if self.phase == Phase::PreparingRebalance { self.complete_if_all_have_joined(env) } else { self.prepare(env) }
    }

    /// Begins a rebalance: everybody is to join again.
    pub(super) fn prepare(&mut self, env: &Env<'_>) {
        if self.phase == Phase::CompletingRebalance {
            self.cancel_syncs(env);
        }
        self.unsynced.clear();
        self.sync_until = None;
        let was_empty = self.phase == Phase::Empty;
        self.phase = Phase::PreparingRebalance;
        if was_empty {
            let wait = env.config.initial_rebalance_delay;
            let left = self.rebalance_timeout().saturating_sub(wait);
            let timer = JoinTimer::First { until: env.now + wait, wait, left, has_newcomers: false };
            self.join_timer = Some(timer);
        } else if self.have_all_joined() {
            self.complete(env);
        } else {
            self.join_timer = Some(JoinTimer::Rest { until: env.now + self.rebalance_timeout() });
        }
    }

    /// Ends the rebalance where nobody is missing; the first one of a group takes its time.
    pub(super) fn complete_if_all_have_joined(&mut self, env: &Env<'_>) {
        let is_first = matches!(self.join_timer, Some(JoinTimer::First { .. }));
        if self.phase == Phase::PreparingRebalance && !is_first && self.have_all_joined() {
            self.complete(env);
        }
    }

    pub(super) fn have_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.join.is_some())
    }

    /// Ends the rebalance with those who have joined.
    pub(super) fn complete(&mut self, env: &Env<'_>) {
        self.join_timer = None;
        let missing = |member: &&Member| member.join.is_none() && member.instance.is_none();
        let missing: Vec<Arc<str>> = self.members.values().filter(missing).map(|member| member.id.clone()).collect();
        for id in missing {
            self.remove(&id);
        }
        if !self.members.is_empty() && !self.elect() {
            // Static members alone, none of which has joined: their sessions decide.
            self.join_timer = Some(JoinTimer::Rest { until: env.now + self.rebalance_timeout() });
            return;
        }
        self.generation = self.generation.saturating_add(1);
        self.unsynced.clear();
        self.protocol = self.favourite();
        self.topics = self.read_topics();
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.keep();
            return;
        }
        self.phase = Phase::CompletingRebalance;
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            self.deliver_join(env, &id, joined);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.unsynced.insert(id);
        }
        self.sync_until = Some(env.now + self.rebalance_timeout());
    }

    /// Who waits for a share is to join again instead.
    fn cancel_syncs(&mut self, env: &Env<'_>) {
        for member in self.members.values_mut() {
            (member.assignment, member.assignment_paid) = ([].into(), None);
            if let Some(ticket) = member.sync.take() {
                member.renew(env.now);
                self.answers.push((ticket, Answer::Sync(Synced::refused(ErrorCode::RebalanceInProgress))));
            }
        }
    }

    /// Makes sure that the leader is one who has joined; `false` where nobody has.
    fn elect(&mut self) -> bool {
        let has_joined = |member: &&Member| member.join.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let found = leader.filter(has_joined).or_else(|| self.members.values().find(has_joined));
        let found = found.map(|member| member.id.clone());
        let is_elected = found.is_some();
        self.leader = found.or(self.leader.take());
        is_elected
    }

    /// The protocol that all know and most like best; nothing where there is nobody.
    pub(super) fn favourite(&self) -> Option<Arc<str>> {
        let everybody = self.members.len();
        let is_candidate = |protocol: &&Protocol| self.supported.get(&protocol.name) == Some(&everybody);
        let mut votes: std::collections::BTreeMap<&Arc<str>, usize> = Default::default();
        for member in self.members.values() {
            if let Some(protocol) = member.protocols.iter().find(is_candidate) {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let (name, _) = votes.into_iter().max_by_key(|(_, votes)| *votes)?;
        Some(name.clone())
    }

    /// The longest that a member wants to be waited for.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// The topics that the members read; nothing where one of them does not say it as consumers do.
    pub(super) fn read_topics(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type() != CONSUMER {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(&member.metadata(self.protocol.as_ref())).ok()?);
        }
        Some(topics)
    }

    /// A member is gone; what it waits for is answered.
    pub(super) fn remove(&mut self, id: &str) {
        self.pending.remove(id);
        self.unsynced.remove(id);
        let Some(mut member) = self.members.remove(id) else { return };
        self.dismiss(&mut member, ErrorCode::UnknownMemberId);
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Takes a member out of the count of what all know, and answers what it waits for.
    pub(super) fn dismiss(&mut self, member: &mut Member, error: ErrorCode) {
        self.discount(&member.protocols);
        if let Some(ticket) = member.join.take() {
            let named = if error == ErrorCode::FencedInstanceId { member.id.clone() } else { "".into() };
            self.answers.push((ticket, Answer::Join(Joined::refused(named, error))));
        }
        if let Some(ticket) = member.sync.take() {
            self.answers.push((ticket, Answer::Sync(Synced::refused(error))));
        }
    }

    pub(super) fn count(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(super) fn discount(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }
}

/// The topics in what a consumer says about itself. All versions of that begin like the first one: version, topics.
fn subscription(metadata: &[u8]) -> Result<Vec<String>, WireError> {
    let mut reader = Reader::new(metadata, false);
    reader.i16()?;
    let topics = reader.nullable_array(2, |reader| reader.str().map(str::to_owned))?;
    Ok(topics.unwrap_or_default())
}
