//! The members of one group, by the classic protocol: who is in it, in which generation, with which share of the work.
//! Pure: the clock and the memory are handed in, who waits for an answer is a number.
//!
//! ```text
//!           join                     all have joined, or time is up              the leader's sync
//!  Empty ─────────▶ PreparingRebalance ────────────────────────▶ CompletingRebalance ───────────▶ Stable
//!    ▲                │      ▲   ▲                                       │                          │
//!    └────────────────┘      │   └───────────────────────────────────────┘                          │
//!     nobody is left         │     a join with something new, a leave, a member's silence           │
//!                            └──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Rules of Apache Kafka 4.2, surprising ones included:
//! - A join is answered when the rebalance ends, to all at once; a sync when the leader's is there.
//! - A member that waits for an answer need not send heartbeats. A new one that waits is forgotten after five minutes all
//!   the same, as nobody sees whether it has hung up.
//! - Who has not joined when the rebalance ends is out, unless it is static: that one stays until its session ends.
//! - A static member that comes back under its name gets a new member id and, where the group is stable, its old share, with
//!   no rebalance; whoever still uses the old id is fenced.
//! - The leader alone can start a rebalance by joining again with nothing new.
//!
//! What Kafka writes to its log ([`Membership::keep`]) is what is left when the group's coordinator moves: a rebalance that
//! was under way is lost with its generation, as there.

mod join;
mod kept;
mod leave;
mod member;
mod rebalance;
mod sync;
mod timers;

#[cfg(test)]
mod tests;

use crate::broker::memory::{Memory, Paid};
use crate::wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use join::{Joined, Joining};
pub(crate) use leave::Leaving;
pub(crate) use member::{Member, Protocol};
pub(crate) use sync::{Synced, Syncing};

use kept::Kept;
use rebalance::JoinTimer;

/// `consumer`: the protocol type whose members say which topics they read.
pub(crate) const CONSUMER: &str = "consumer";

/// How groups are kept; each with the name that Kafka has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`: how long the first member of an empty group waits for others, anew with each one
    /// that comes. Kafka's default is 3 s, which nobody at a desk or in a test wants to wait.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.max.size`: how many members a group takes.
    pub size_max: usize,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_millis(100),
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(1800),
            size_max: usize::MAX,
        }
    }
}

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl Phase {
    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Who waits for an answer.
pub(crate) type Ticket = u64;

/// What somebody was waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Join(Joined),
    Sync(Synced),
    /// Nothing any more: the same member has asked again.
    Overtaken,
}

/// What a step may use of the world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a GroupConfig,
    pub(crate) memory: &'a Memory,
}

/// In whose name offsets are committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committer<'a> {
    /// -1 where it claims none.
    pub(crate) generation: i32,
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) is_transactional: bool,
}

/// Somebody who was given a member id and has not come back with it yet.
#[derive(Debug)]
struct Pending {
    until: Instant,
    _paid: Paid,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    phase: Phase,
    generation: i32,
    protocol_type: Option<Arc<str>>,
    /// The way of sharing the work that was chosen.
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    /// The ids of static members by their names.
    instances: BTreeMap<Arc<str>, Arc<str>>,
    pending: BTreeMap<Arc<str>, Pending>,
    /// How many members know a protocol.
    supported: HashMap<Arc<str>, usize>,
    /// The topics that the members of this generation read, where they say it in a form that is known.
    topics: Option<BTreeSet<String>>,
    join_timer: Option<JoinTimer>,
    /// Who has not asked for its share in this generation, and until when it may.
    unsynced: BTreeSet<Arc<str>>,
    sync_until: Option<Instant>,
    deserted_since: Option<Instant>,
    kept: Kept,
    /// What is to be told, in this order.
    answers: Vec<(Ticket, Answer)>,
}

impl Membership {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// Empty before the first member.
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The way of sharing the work, where one is chosen.
    pub(crate) fn protocol(&self) -> Option<&Arc<str>> {
        self.protocol.as_ref()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.phase == Phase::Empty
    }

    /// Whether nobody is in it or about to be.
    pub(crate) fn is_deserted(&self) -> bool {
        self.phase == Phase::Empty && self.pending.is_empty()
    }

    /// What was decided since the last call, to be told to those who wait.
    pub(crate) fn take_answers(&mut self) -> Vec<(Ticket, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// A member may commit offsets in this generation; so may anybody while the group is empty.
    pub(crate) fn admit_commit(&mut self, env: &Env<'_>, committer: &Committer<'_>) -> Result<(), ErrorCode> {
        let Committer { generation, member, instance, is_transactional } = *committer;
        if generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.find(member, instance)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !is_transactional && self.phase != Phase::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        if is_transactional {
            return Ok(());
        }
        match self.phase {
            Phase::CompletingRebalance => return Err(ErrorCode::RebalanceInProgress),
            Phase::Stable | Phase::PreparingRebalance => self.renew(env, member),
            Phase::Empty => {}
        }
        Ok(())
    }

    /// Offsets may be deleted of groups whose members say which topics they read, and of empty ones.
    pub(crate) fn admit_offset_delete(&self) -> Result<(), ErrorCode> {
        if self.phase == Phase::Empty || self.protocol_type() == CONSUMER {
            Ok(())
        } else {
            Err(ErrorCode::NonEmptyGroup)
        }
    }

    /// Whether a member reads that topic, or might, for all that is known.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        match &self.topics {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type() == CONSUMER,
        }
    }

    /// A member that is alive; it is told where it must join again.
    pub(crate) fn heartbeat(
        &mut self,
        env: &Env<'_>,
        generation: i32,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ErrorCode> {
        self.find(member, instance)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.renew(env, member);
        if self.phase == Phase::PreparingRebalance { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
    }

    /// Looks for a member by its id, and by its name where it gives one.
    fn find(&self, member: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(id) if &**id != member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// A member's session begins anew.
    fn renew(&mut self, env: &Env<'_>, member: &str) {
        if let Some(member) = self.members.get_mut(member) {
            member.renew(env.now);
        }
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }
}
