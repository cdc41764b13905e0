//! What time brings: sessions that end, rebalances that wait no longer.

use super::rebalance::JoinTimer;
use super::{Env, Membership, Phase};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Membership {
    /// When time will next change something.
    pub(crate) fn next(&self) -> Option<Instant> {
        let members = self.members.values().filter_map(|member| member.until);
        let pending = self.pending.values().map(|pending| pending.until);
        let timers = [self.join_timer.map(|timer| timer.until()), self.sync_until];
        members.chain(pending).chain(timers.into_iter().flatten()).min()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, env: &Env<'_>) {
        self.end_sessions(env);
        if self.sync_until.is_some_and(|until| until <= env.now) {
            self.end_syncs(env);
        }
        match self.join_timer {
            Some(timer) if timer.until() > env.now => {}
            // Somebody came: there may be more.
            Some(JoinTimer::First { wait, left, has_newcomers: true, .. }) if !left.is_zero() => {
                let (next, left) = (wait.min(left), left.saturating_sub(wait));
                let until = env.now + next;
                self.join_timer = Some(JoinTimer::First { until, wait: next, left, has_newcomers: false });
            }
            Some(_) => self.complete(env),
            None => {}
        }
    }

    /// Takes a member's session to be over; `false` where there is no such member.
    pub(crate) fn expire(&mut self, env: &Env<'_>, id: &str) -> bool {
        let is_here = self.members.contains_key(id) || self.pending.contains_key(id);
        self.lose(env, id);
        is_here
    }

    fn end_sessions(&mut self, env: &Env<'_>) {
        let is_over = |until: Instant| until <= env.now;
        let pending = self.pending.iter().filter(|(_, pending)| is_over(pending.until)).map(|(id, _)| id);
        let members = self.members.values().filter(|member| member.until.is_some_and(is_over)).map(|member| &member.id);
        let over: Vec<Arc<str>> = pending.chain(members).cloned().collect();
        for id in over {
            // What was done for one of them may have begun the session of another anew.
            let Some(member) = self.members.get_mut(&id) else {
                self.lose(env, &id);
                continue;
            };
            if member.is_excused() {
                member.until = None;
            } else if member.until.is_some_and(is_over) {
                self.lose(env, &id);
            }
        }
    }

    /// Somebody was not heard of for too long.
    fn lose(&mut self, env: &Env<'_>, id: &str) {
        let was_member = self.members.contains_key(id);
        self.remove(id);
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance if was_member => self.prepare(env),
            // Also the first one of a group, which then waits for nobody else.
            Phase::PreparingRebalance if self.have_all_joined() => self.complete(env),
            _ => {}
        }
    }

    /// Who has not asked for its share in time is out.
    fn end_syncs(&mut self, env: &Env<'_>) {
        self.sync_until = None;
        let missing = std::mem::take(&mut self.unsynced);
        if missing.is_empty() {
            return;
        }
        for id in missing {
            self.remove(&id);
        }
        self.prepare(env);
    }

    /// Whether nothing has been in it for that long; `false` starts the count.
    pub(crate) fn is_deserted_for(&mut self, env: &Env<'_>, time: Duration) -> bool {
        if !self.is_deserted() {
            self.deserted_since = None;
            return false;
        }
        *self.deserted_since.get_or_insert(env.now) + time <= env.now
    }
}
