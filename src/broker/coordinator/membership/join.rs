//! JoinGroup: who comes, who comes back, and what that means for the others.

use super::member::{Member, Protocol, pay};
use super::rebalance::JoinTimer;
use super::{Answer, Env, Membership, Pending, Phase, Ticket};
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;

/// How long a new member that waits for its first answer is kept (`group.new.member.join.timeout`, which Kafka has as a
/// constant).
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);

/// What somebody costs who was given an id, beside that.
const PENDING_BYTES: usize = 128;

/// As much of a client's own name as goes into its member id: Kafka takes all of it, and then cannot answer.
const ID_PREFIX_BYTES_MAX: usize = 249;

/// What a JoinGroup says.
#[derive(Debug, Clone)]
pub(crate) struct Joining {
    /// Empty for a new member.
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<Protocol>,
    /// A new dynamic member is first told its id, and joins when it comes back with that.
    pub(crate) is_told_its_id: bool,
    /// The member understands that it leads and has nothing to assign.
    pub(crate) can_skip_assignment: bool,
    /// What makes a new member's id unlike any other.
    pub(crate) unique: String,
}

/// What a JoinGroup is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) error: ErrorCode,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<Arc<str>>,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) leader: Arc<str>,
    pub(crate) skips_assignment: bool,
    pub(crate) member: Arc<str>,
    /// For the leader.
    pub(crate) members: Vec<Told>,
}

/// What a leader is told of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) member: Arc<str>,
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) metadata: Arc<[u8]>,
}

impl Joined {
    pub(crate) fn refused(member: impl Into<Arc<str>>, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: "".into(),
            skips_assignment: false,
            member: member.into(),
            members: Vec::new(),
        }
    }
}

impl Joining {
    /// The id of a new member.
    fn fresh_id(&self) -> String {
        let prefix = self.instance.as_deref().unwrap_or(&self.client_id);
        let prefix = &prefix[..prefix.floor_char_boundary(ID_PREFIX_BYTES_MAX)];
        format!("{prefix}-{}", self.unique)
    }

    fn protocols(&self) -> Arc<[Protocol]> {
        self.protocols.as_slice().into()
    }
}

impl Membership {
    /// Somebody joins; answered in [`Self::take_answers`], now or later.
    pub(crate) fn join(&mut self, env: &Env<'_>, ticket: Ticket, joining: &Joining) {
        if !self.has_room_for(env, &joining.member) {
            self.remove(&joining.member);
            return self.refuse_join(ticket, "", ErrorCode::GroupMaxSizeReached);
        }
        if !self.shares_a_protocol(joining) {
            return self.refuse_join(ticket, &joining.member, ErrorCode::InconsistentGroupProtocol);
        }
        if joining.member.is_empty() {
            self.join_new(env, ticket, joining)
        } else {
            self.join_known(env, ticket, joining)
        }
    }

    fn join_new(&mut self, env: &Env<'_>, ticket: Ticket, joining: &Joining) {
        let id = joining.fresh_id();
        if let Some(instance) = &joining.instance {
            return match self.instances.get(instance.as_str()).cloned() {
                Some(old) => self.replace(env, ticket, joining, &old, id.into()),
                None => self.add(env, ticket, joining, id.into()),
            };
        }
        if !joining.is_told_its_id {
            return self.add(env, ticket, joining, id.into());
        }
        let Some(paid) = env.memory.take(PENDING_BYTES + id.len()) else {
            return self.refuse_join(ticket, "", ErrorCode::CoordinatorNotAvailable);
        };
        let pending = Pending { until: env.now + joining.session_timeout, _paid: paid };
        self.refuse_join(ticket, &id, ErrorCode::MemberIdRequired);
        self.pending.insert(id.into(), pending);
    }

    /// Somebody who has an id already.
    fn join_known(&mut self, env: &Env<'_>, ticket: Ticket, joining: &Joining) {
        let id = joining.member.as_str();
        if joining.instance.is_none() && self.pending.contains_key(id) {
            return self.add(env, ticket, joining, id.into());
        }
        if let Err(error) = self.find(id, joining.instance.as_deref()) {
            return self.refuse_join(ticket, id, error);
        }
        let says_nothing_new = self.members.get(id).is_some_and(|member| *member.protocols == *joining.protocols);
        match self.phase {
            // It may not have heard the first answer.
            Phase::CompletingRebalance if says_nothing_new => self.answer_join(ticket, id),
            Phase::Stable if says_nothing_new && !self.is_leader(id) => self.answer_join(ticket, id),
            // Nobody is in an empty group; `find` has said so.
            Phase::Empty => self.refuse_join(ticket, id, ErrorCode::UnknownMemberId),
            Phase::PreparingRebalance | Phase::CompletingRebalance | Phase::Stable => {
                match self.update(env, ticket, joining, id) {
                    Ok(()) => self.rebalance(env),
                    Err(error) => self.refuse_join(ticket, id, error),
                }
            }
        }
    }

    /// A new member is in.
    fn add(&mut self, env: &Env<'_>, ticket: Ticket, joining: &Joining, id: Arc<str>) {
        let names = [Some(&joining.client_id), Some(&joining.client_host), joining.instance.as_ref()];
        let strings = id.len() + names.iter().flatten().map(|name| name.len()).sum::<usize>();
        let paid = match pay(env, strings, &joining.protocols) {
            Ok(paid) => paid,
            Err(error) => return self.refuse_join(ticket, &joining.member, error),
        };
        let instance: Option<Arc<str>> = joining.instance.as_deref().map(Into::into);
        if let Some(instance) = &instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(joining.protocol_type.as_str().into());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending.remove(&id);
        if let Some(JoinTimer::First { has_newcomers, .. }) = &mut self.join_timer {
            *has_newcomers = true;
        }
        let member = Member {
            id: id.clone(),
            instance,
            client_id: joining.client_id.as_str().into(),
            client_host: joining.client_host.as_str().into(),
            session_timeout: joining.session_timeout,
            rebalance_timeout: joining.rebalance_timeout,
            protocols: joining.protocols(),
            assignment: [].into(),
            is_new: true,
            join: Some(ticket),
            sync: None,
            until: Some(env.now + NEW_MEMBER_TIMEOUT),
            paid,
            assignment_paid: None,
        };
        self.count(&member.protocols);
        self.members.insert(id, member);
        self.rebalance(env);
    }

    /// A member says anew what it can do, and waits.
    fn update(&mut self, env: &Env<'_>, ticket: Ticket, joining: &Joining, id: &str) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get_mut(id) else { return Err(ErrorCode::UnknownMemberId) };
        let names = [Some(&member.id), Some(&member.client_id), Some(&member.client_host), member.instance.as_ref()];
        let strings = names.iter().flatten().map(|name| name.len()).sum();
        member.paid = pay(env, strings, &joining.protocols)?;
        let former = std::mem::replace(&mut member.protocols, joining.protocols());
        member.rebalance_timeout = joining.rebalance_timeout;
        member.session_timeout = joining.session_timeout;
        if let Some(overtaken) = member.join.replace(ticket) {
            self.answers.push((overtaken, Answer::Overtaken));
        }
        self.discount(&former);
        self.count(&joining.protocols);
        Ok(())
    }

    /// A static member comes back: it gets another id, the old one is fenced.
    fn replace(&mut self, env: &Env<'_>, ticket: Ticket, joining: &Joining, old: &str, id: Arc<str>) {
        let leader_before = self.leader.clone();
        let Some(mut member) = self.members.remove(old) else {
            return self.refuse_join(ticket, "", ErrorCode::UnknownMemberId);
        };
        self.dismiss(&mut member, ErrorCode::FencedInstanceId);
        member.id = id.clone();
        member.is_new = false;
        member.renew(env.now);
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(id.clone());
        }
        if self.unsynced.remove(old) {
            self.unsynced.insert(id.clone());
        }
        self.count(&member.protocols);
        self.members.insert(id.clone(), member);
        if let Err(error) = self.update(env, ticket, joining, &id) {
            return self.refuse_join(ticket, "", error);
        }
        match self.phase {
            Phase::Stable if self.favourite() == self.protocol => {
                self.keep();
                let mut joined = self.joined(&id);
                if joining.can_skip_assignment {
                    joined.skips_assignment = self.is_leader(&id);
                } else {
                    // As an older client cannot be told that it leads and has nothing to do, it is told that it does not.
                    joined.members.clear();
                    joined.leader = leader_before.unwrap_or_default();
                }
                self.deliver_join(env, &id, joined);
            }
            // The leader may be about to name the old id.
            Phase::Stable | Phase::CompletingRebalance => self.prepare(env),
            Phase::Empty | Phase::PreparingRebalance => self.complete_if_all_have_joined(env),
        }
    }

    /// Whether the group takes one more, or this one again.
    fn has_room_for(&self, env: &Env<'_>, id: &str) -> bool {
        let member = self.members.get(id);
        match self.phase {
            Phase::Empty => true,
            Phase::PreparingRebalance => {
                let waiting = self.members.values().filter(|member| member.join.is_some()).count();
                member.is_some_and(|member| member.join.is_some()) || waiting < env.config.size_max
            }
            Phase::CompletingRebalance | Phase::Stable => member.is_some() || self.members.len() < env.config.size_max,
        }
    }

    /// Whether all members and this one know one protocol.
    fn shares_a_protocol(&self, joining: &Joining) -> bool {
        if self.phase == Phase::Empty {
            return !joining.protocol_type.is_empty() && !joining.protocols.is_empty();
        }
        let everybody = self.members.len();
        let shared = |protocol: &Protocol| self.supported.get(&protocol.name).copied().unwrap_or(0) == everybody;
        self.protocol_type() == joining.protocol_type && joining.protocols.iter().any(shared)
    }

    fn refuse_join(&mut self, ticket: Ticket, member: &str, error: ErrorCode) {
        self.answers.push((ticket, Answer::Join(Joined::refused(member, error))));
    }

    /// Tells what stands, to a member that asks again.
    fn answer_join(&mut self, ticket: Ticket, id: &str) {
        let mut joined = self.joined(id);
        if self.phase == Phase::Stable {
            joined.members.clear();
        }
        self.answers.push((ticket, Answer::Join(joined)));
    }

    /// What a member of this generation is told.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let tell = |member: &Member| Told {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(self.protocol.as_ref()),
        };
        let members = if self.is_leader(id) { self.members.values().map(tell).collect() } else { Vec::new() };
        Joined {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skips_assignment: false,
            member: self.members.get_key_value(id).map_or_else(|| id.into(), |(id, _)| id.clone()),
            members,
        }
    }

    /// Answers a member that waits for its join.
    pub(super) fn deliver_join(&mut self, env: &Env<'_>, id: &str, joined: Joined) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.renew(env.now);
        if let Some(ticket) = member.join.take() {
            self.answers.push((ticket, Answer::Join(joined)));
        }
    }
}
