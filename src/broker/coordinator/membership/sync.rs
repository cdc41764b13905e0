//! SyncGroup: the leader hands out the shares.

use super::{Answer, Env, Membership, Phase, Ticket};
use crate::broker::memory::Paid;
use crate::wire::ErrorCode;
use std::collections::HashMap;
use std::sync::Arc;

/// What a SyncGroup says.
#[derive(Debug, Clone)]
pub(crate) struct Syncing<'a> {
    pub(crate) generation: i32,
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
    /// Where it is told.
    pub(crate) protocol_type: Option<&'a str>,
    pub(crate) protocol: Option<&'a str>,
    /// From the leader: whose share is what.
    pub(crate) assignments: HashMap<&'a str, &'a [u8]>,
}

/// What a SyncGroup is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) error: ErrorCode,
    pub(crate) protocol_type: Option<Arc<str>>,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) assignment: Arc<[u8]>,
}

impl Synced {
    pub(crate) fn refused(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol: None, assignment: [].into() }
    }
}

impl Membership {
    /// A member asks for its share; answered in [`Self::take_answers`], now or when the leader has sent it.
    pub(crate) fn sync(&mut self, env: &Env<'_>, ticket: Ticket, syncing: &Syncing<'_>) {
        if let Err(error) = self.sync_or_refuse(env, ticket, syncing) {
            self.answers.push((ticket, Answer::Sync(Synced::refused(error))));
        }
    }

    fn sync_or_refuse(&mut self, env: &Env<'_>, ticket: Ticket, syncing: &Syncing<'_>) -> Result<(), ErrorCode> {
        self.find(syncing.member, syncing.instance)?;
        if syncing.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differ = |told: Option<&str>, known: &Option<Arc<str>>| matches!((told, known), (Some(told), Some(known)) if told != &**known);
        if differ(syncing.protocol_type, &self.protocol_type) || differ(syncing.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.phase {
            // `find` has said so: nobody is in it.
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            Phase::CompletingRebalance => {
                let paid = if self.is_leader(syncing.member) { Some(self.pay_shares(env, syncing)?) } else { None };
                self.has_synced(syncing.member);
                if let Some(member) = self.members.get_mut(syncing.member)
                    && let Some(overtaken) = member.sync.replace(ticket)
                {
                    self.answers.push((overtaken, Answer::Overtaken));
                }
                if let Some(paid) = paid {
                    self.assign(env, syncing, paid);
                }
                Ok(())
            }
            Phase::Stable => {
                self.has_synced(syncing.member);
                let share = self.members.get(syncing.member).map(|member| member.assignment.clone());
                let synced = self.synced(share.unwrap_or_else(|| [].into()));
                self.answers.push((ticket, Answer::Sync(synced)));
                Ok(())
            }
        }
    }

    fn pay_shares(&self, env: &Env<'_>, syncing: &Syncing<'_>) -> Result<Arc<Paid>, ErrorCode> {
        let of = |id: &Arc<str>| syncing.assignments.get(&**id).map_or(0, |share| share.len());
        let paid = env.memory.take(self.members.keys().map(of).sum());
        paid.map(Arc::new).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// The leader has spoken: everybody who waits is told its share.
    fn assign(&mut self, env: &Env<'_>, syncing: &Syncing<'_>, paid: Arc<Paid>) {
        let mut told = Vec::new();
        for member in self.members.values_mut() {
            member.assignment = syncing.assignments.get(&*member.id).map_or_else(|| [].into(), |share| (*share).into());
            member.assignment_paid = Some(paid.clone());
            if let Some(ticket) = member.sync.take() {
                member.renew(env.now);
                told.push((ticket, member.assignment.clone()));
            }
        }
        for (ticket, share) in told {
            let synced = self.synced(share);
            self.answers.push((ticket, Answer::Sync(synced)));
        }
        self.phase = Phase::Stable;
        self.keep();
    }

    fn synced(&self, assignment: Arc<[u8]>) -> Synced {
        Synced {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }

    fn has_synced(&mut self, member: &str) {
        self.unsynced.remove(member);
        if self.unsynced.is_empty() {
            self.sync_until = None;
        }
    }
}
