//! All groups: their members, their offsets, and who waits for an answer of one of them.
//!
//! There is one lock for all. What a group decides is told under it, so that nobody hears of a generation before the next
//! commit is held against that.

use super::membership::{Answer, Env, Membership, Ticket};
use super::offsets::Offsets;
use crate::broker::memory::{Memory, Paid};
use crate::wire::ErrorCode;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a group costs beside its name.
const GROUP_BYTES: usize = 512;

/// How long a group is kept that has neither members nor offsets: Kafka looks for such ones so often
/// (`offsets.retention.check.interval.ms`).
const DESERTED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Group {
    pub(super) offsets: Offsets,
    pub(super) membership: Membership,
    /// The node that coordinates it, as far as the group knows; nothing while nobody could reach that.
    seat: Option<i32>,
    _paid: Paid,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(super) by_name: HashMap<Arc<str>, Group>,
    turns: u64,
    /// When the task that minds the time will look next; nothing where it waits to be woken.
    alarm: Option<Instant>,
    waiting: HashMap<Ticket, oneshot::Sender<Answer>>,
}

impl Groups {
    /// A number that nobody else has; it goes up.
    pub(super) fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    pub(crate) fn contains(&self, group: &str) -> bool {
        self.by_name.contains_key(group)
    }

    /// All groups and their members.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Membership)> {
        self.by_name.iter().map(|(name, group)| (name, &group.membership))
    }

    pub(crate) fn membership(&self, group: &str) -> Option<&Membership> {
        self.by_name.get(group).map(|group| &group.membership)
    }

    pub(super) fn get_or_make(&mut self, group: &str, memory: &Memory) -> Result<&mut Group, ErrorCode> {
        let full = ErrorCode::CoordinatorNotAvailable;
        if !self.by_name.contains_key(group) {
            let paid = memory.take(GROUP_BYTES + group.len()).ok_or(full)?;
            let made =
                Group { offsets: Offsets::default(), membership: Membership::default(), seat: None, _paid: paid };
            self.by_name.insert(group.into(), made);
        }
        self.by_name.get_mut(group).ok_or(full)
    }

    /// Makes a group where there is none of that name.
    pub(super) fn make(&mut self, group: &str, memory: &Memory) -> Result<(), ErrorCode> {
        self.get_or_make(group, memory).map(drop)
    }

    /// A group without members goes, with its offsets.
    pub(crate) fn delete(&mut self, group: &str) -> Result<(), ErrorCode> {
        match self.membership(group) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(membership) if !membership.is_empty() => Err(ErrorCode::NonEmptyGroup),
            Some(_) => {
                self.by_name.remove(group);
                Ok(())
            }
        }
    }

    /// A place in the queue for an answer.
    pub(super) fn ticket(&mut self) -> (Ticket, oneshot::Receiver<Answer>) {
        let ticket = self.next_turn();
        let (teller, answer) = oneshot::channel();
        self.waiting.insert(ticket, teller);
        (ticket, answer)
    }

    /// Nobody is to be told anything.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// One step of a group at the node that coordinates it. Nothing where there is no such group. `wake` is called where
    /// the task that minds the time would look too late: not for each heartbeat.
    pub(super) fn step<T>(
        &mut self,
        env: &Env<'_>,
        group: &str,
        node: i32,
        wake: impl FnOnce(),
        act: impl FnOnce(&mut Membership) -> T,
    ) -> Option<T> {
        let group = self.by_name.get_mut(group)?;
        group.sit_at(env, node);
        let done = act(&mut group.membership);
        if group.membership.next().is_some_and(|at| at <= env.now) {
            group.membership.tick(env);
        }
        let (next, is_deserted) = (group.membership.next(), group.membership.is_deserted());
        let answers = group.membership.take_answers();
        self.tell(answers);
        if is_deserted || next.is_some_and(|next| self.alarm.is_none_or(|alarm| next < alarm)) {
            wake();
        }
        Some(done)
    }

    /// Does what is due in all groups, and forgets those that nobody needs. `seat` says who coordinates a group, where that
    /// node can be reached. Gives when to look again.
    pub(super) fn tick(
        &mut self,
        env: &Env<'_>,
        patience: Duration,
        seat: impl Fn(&str) -> Option<i32>,
    ) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut look_at = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        let mut answers = Vec::new();
        self.by_name.retain(|name, group| {
            let Some(node) = seat(name) else {
                group.seat = None;
                look_at(env.now + patience);
                return true;
            };
            group.sit_at(env, node);
            group.membership.tick(env);
            answers.append(&mut group.membership.take_answers());
            let is_needed = !group.offsets.is_empty();
            if !is_needed && group.membership.is_deserted_for(env, DESERTED) {
                return false;
            }
            let deserted = (!is_needed && group.membership.is_deserted()).then(|| env.now + DESERTED);
            group.membership.next().into_iter().chain(deserted).for_each(&mut look_at);
            true
        });
        self.tell(answers);
        self.alarm = next;
        next
    }

    fn tell(&mut self, answers: Vec<(Ticket, Answer)>) {
        for (ticket, answer) in answers {
            if let Some(teller) = self.waiting.remove(&ticket) {
                // Who has hung up meanwhile hears nothing.
                let _ = teller.send(answer);
            }
        }
    }
}

impl Group {
    /// The node that coordinates it now. A new group has none yet and has lost nothing.
    fn sit_at(&mut self, env: &Env<'_>, node: i32) {
        if self.seat != Some(node) {
            self.membership.move_here(env);
            self.seat = Some(node);
        }
    }
}
