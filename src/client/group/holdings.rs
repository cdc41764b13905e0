//! What a member has: what is its own, what the caller knows of, and the passing of both between the two.
//!
//! ```text
//!            take                starts found              give_up                 caller asks for what is next
//!  the group ────▶ owned, unread ────────────▶ handed out ────────▶ being given up ────────────▶ gone
//!                                                  │ lose                                          ▲
//!                                                  └────▶ lost: not owned, the caller not yet told ┘
//! ```
//! A caller that is told to let go of something has done so when it asks for the next event.

use super::commit::NotCommitted;
use super::coordinator::Coordinator;
use super::positions::{Start, starts};
use super::standing::Standing;
use super::waits::running;
use crate::base::place::TopicPartition;
use crate::client::error::ClientError;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// What a member learns of its share.
#[derive(Debug)]
pub enum GroupEvent {
    /// These are its own from now on, each to be read from the offset given. Also sent, empty, where a rebalance has
    /// brought nothing new.
    Assigned(Vec<Start>),
    /// These are to be given up: what was handed out of them is to be committed now. Asking for the next event gives them
    /// up.
    Revoked(Vec<TopicPartition>),
    /// These are not its own any more and may be read by another member already: nothing of them can be committed.
    Lost(Vec<TopicPartition>),
}

/// An event, and how to say that the caller has acted on it.
pub(super) type Message = Result<(GroupEvent, Option<oneshot::Sender<()>>), ClientError>;

/// See the module's head.
pub(super) struct Holdings {
    coordinator: Arc<Coordinator>,
    told: mpsc::UnboundedSender<Message>,
    standing: watch::Sender<Standing>,
    hurry: Arc<Notify>,
    owned: BTreeSet<TopicPartition>,
    handed: BTreeSet<TopicPartition>,
    /// What the caller is letting go of, and how it says that it has.
    going: Option<(Vec<TopicPartition>, oneshot::Receiver<()>)>,
    starting: Option<BoxFuture<'static, Result<Vec<Start>, NotCommitted>>>,
}

impl Holdings {
    pub(super) fn new(
        coordinator: Arc<Coordinator>,
        told: mpsc::UnboundedSender<Message>,
        standing: watch::Sender<Standing>,
        hurry: Arc<Notify>,
    ) -> Self {
        let (owned, handed) = (BTreeSet::new(), BTreeSet::new());
        Self { coordinator, told, standing, hurry, owned, handed, going: None, starting: None }
    }

    /// What is ours.
    pub(super) fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    /// Whether the caller has still to let go of something.
    pub(super) fn is_giving_up(&self) -> bool {
        self.going.is_some()
    }

    /// Lets those who commit know how we stand.
    pub(super) fn publish(&self, generation: i32, member: &Arc<str>) {
        let now = Standing { generation, member: member.clone(), owned: Arc::new(self.owned.clone()) };
        self.standing.send_if_modified(|standing| std::mem::replace(standing, now.clone()) != now);
    }

    /// Takes what `share` has beyond what we have; gives back what we have beyond it.
    pub(super) fn take(&mut self, share: impl IntoIterator<Item = TopicPartition>) -> Vec<TopicPartition> {
        let share: BTreeSet<_> = share.into_iter().collect();
        let surplus = self.owned.difference(&share).cloned().collect();
        self.owned.extend(share);
        surplus
    }

    /// Whether there is something of ours that the caller does not know of.
    pub(super) fn has_news(&self) -> bool {
        self.owned.iter().any(|one| !self.handed.contains(one))
    }

    /// Looks for where to begin with what the caller does not know of yet. To be called when those who commit know how we
    /// stand.
    pub(super) fn start(&mut self) {
        let fresh: Vec<_> = self.owned.difference(&self.handed).cloned().collect();
        if fresh.is_empty() {
            self.starting = None;
            self.tell(GroupEvent::Assigned(Vec::new()), None);
            return;
        }
        let standing = self.standing.subscribe();
        self.starting = Some(Box::pin(starts(self.coordinator.clone(), standing, self.hurry.clone(), fresh)));
    }

    /// Has the caller give up `going`; false where it knows of none of them, so that they are gone already.
    pub(super) fn give_up(&mut self, going: Vec<TopicPartition>) -> bool {
        let (known, unknown): (Vec<_>, Vec<_>) = going.into_iter().partition(|one| self.handed.contains(one));
        if !unknown.is_empty() {
            // Some of what is being looked up; what stays of it is looked up with the next share.
            self.starting = None;
        }
        unknown.iter().for_each(|one| _ = self.owned.remove(one));
        if known.is_empty() {
            return false;
        }
        let (done, ack) = oneshot::channel();
        self.tell(GroupEvent::Revoked(known.clone()), Some(done));
        self.going = Some((known, ack));
        true
    }

    /// Nothing is ours any more. Has the caller let go of what it knows of; false where that is nothing. What it was giving
    /// up already it is not told again.
    pub(super) fn lose(&mut self) -> bool {
        self.starting = None;
        self.owned.clear();
        let told: BTreeSet<_> = self.going.iter().flat_map(|(going, _)| going.iter().cloned()).collect();
        let rest: Vec<_> = self.handed.difference(&told).cloned().collect();
        if rest.is_empty() {
            return self.going.is_some();
        }
        let (done, ack) = oneshot::channel();
        self.tell(GroupEvent::Lost(rest.clone()), Some(done));
        // Events are acted on in their order, so the later one's answer is the answer to both.
        self.going = Some((rest.into_iter().chain(told).collect(), ack));
        true
    }

    /// Waits until the caller has let go of what it was to let go of; on the way, hands out what has been looked up.
    pub(super) async fn released(&mut self) -> Result<(), ClientError> {
        loop {
            tokio::select! {
                () = acted_on(&mut self.going) => {
                    let (gone, _) = self.going.take().unwrap_or_else(|| (Vec::new(), oneshot::channel().1));
                    for one in &gone {
                        self.owned.remove(one);
                        self.handed.remove(one);
                    }
                    return Ok(());
                }
                found = running(&mut self.starting) => {
                    self.starting = None;
                    match found {
                        Ok(starts) => {
                            self.handed.extend(starts.iter().map(|start| start.partition.clone()));
                            self.tell(GroupEvent::Assigned(starts), None);
                        }
                        // The next share is on its way.
                        Err(NotCommitted::Lost(_)) => {}
                        Err(NotCommitted::Failed(error)) => return Err(error),
                    }
                }
            }
        }
    }

    /// Tells the caller how it ended.
    pub(super) fn end(&self, error: ClientError) {
        let _ = self.told.send(Err(error));
    }

    fn tell(&self, event: GroupEvent, done: Option<oneshot::Sender<()>>) {
        tracing::debug!(group = %self.coordinator.options.group, ?event, "group");
        // A caller that is gone has no use for it.
        let _ = self.told.send(Ok((event, done)));
    }
}

async fn acted_on(going: &mut Option<(Vec<TopicPartition>, oneshot::Receiver<()>)>) {
    match going {
        // Dropped with the caller's handle, or said: both ways it has let go.
        Some((_, ack)) => _ = ack.await,
        None => std::future::pending().await,
    }
}
