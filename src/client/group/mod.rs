//! Membership in consumer groups: readers that share the partitions of topics, each partition read by one of them, and the
//! group's offsets with which the next one goes on.
//!
//! ```text
//!  Cluster::join_group ──▶ GroupMember ──▶ next: Assigned ──▶ the caller reads and hands out
//!                            ▲    ▲             Revoked  ──▶ the caller commits, and lets go by asking for the next
//!                            │    │             Lost     ──▶ the caller throws away what it has not committed
//!                            │    └── commit (fenced by generation and member)
//!                 its own task: join, sync (as the leader: share out), heartbeats, leave
//!                            ├── classic.rs, by machine.rs; the shares by assign/ (or kip848.rs, where the coordinator shares out)
//!                            └── holdings.rs: what is ours, what the caller knows of
//! ```
//! Non-obvious:
//! - What holds, whoever joins, leaves or dies: what is committed is not read again, and what is read and not committed is
//!   read again. For that a partition is given up only when the caller has had its chance to commit, an offset is committed
//!   only by whose partition it is, and reading begins only where the offset is known for certain.
//! - The membership lives in a task of its own, so the caller may take its time, and may drop a `next` that waits. It is
//!   put out of the group only when it holds up a rebalance for longer than the rebalance timeout.
//! - Dropping a member has it leave in the background; [`GroupMember::leave`] waits for that.

mod assign;
mod claim;
mod classic;
mod commit;
mod coordinator;
mod heart;
mod holdings;
mod kip848;
mod leading;
mod machine;
mod options;
mod positions;
mod standing;
mod subscription;
mod waits;

pub use assign::Assignor;
pub use claim::Claim;
pub use commit::NotCommitted;
pub use holdings::GroupEvent;
pub use options::{GroupOptions, GroupProtocol, Reset};
pub use positions::Start;

use super::cluster::Cluster;
use super::error::ClientError;
use super::membership::Membership;
use crate::base::place::TopicPartition;
use coordinator::Coordinator;
use holdings::{Holdings, Message};
use standing::Standing;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// See the module's head.
#[derive(Debug)]
pub struct GroupMember {
    coordinator: Arc<Coordinator>,
    events: mpsc::UnboundedReceiver<Message>,
    standing: watch::Receiver<Standing>,
    hurry: Arc<Notify>,
    quit: watch::Sender<bool>,
    task: JoinHandle<Result<(), ClientError>>,
    /// To be told when the caller asks for the next event.
    acted_on: Option<oneshot::Sender<()>>,
}

impl Cluster {
    /// Becomes a member of a group. Its topics have to be there; that it is in is told by its first event.
    pub async fn join_group(&self, options: GroupOptions) -> Result<GroupMember, ClientError> {
        let mut at_first = assign::Counts::new();
        for topic in &options.topics {
            at_first.insert(topic.clone(), self.topic(topic).await?.partitions.len() as i32);
        }
        let coordinator = Coordinator::new(self.clone(), options, at_first);
        let (told, events) = mpsc::unbounded_channel();
        let (standing, stands) = watch::channel(Standing::outside());
        let (quit, quits) = watch::channel(false);
        let hurry = Arc::new(Notify::new());
        let holdings = Holdings::new(coordinator.clone(), told, standing, hurry.clone());
        let (its, hurried) = (coordinator.clone(), hurry.clone());
        let task = match coordinator.options.protocol {
            GroupProtocol::Classic => tokio::spawn(classic::Classic::new(its, holdings, hurried, quits).run()),
            GroupProtocol::Consumer => tokio::spawn(kip848::Kip848::new(its, holdings, hurried, quits).run()),
        };
        Ok(GroupMember { coordinator, events, standing: stands, hurry, quit, task, acted_on: None })
    }
}

impl GroupMember {
    /// The next event. Asking for it says that the one before was acted on: what was [revoked](GroupEvent::Revoked) is given
    /// up. Dropping a call that waits loses nothing.
    ///
    /// After an error the member is out of the group.
    pub async fn next(&mut self) -> Result<GroupEvent, ClientError> {
        if let Some(acted_on) = self.acted_on.take() {
            // Where nobody waits for it any more, another event says why.
            let _ = acted_on.send(());
        }
        match self.events.recv().await {
            Some(Ok((event, acted_on))) => {
                self.acted_on = acted_on;
                Ok(event)
            }
            Some(Err(error)) => Err(error),
            None => Err(ClientError::Group {
                group: self.coordinator.options.group.clone(),
                what: "this member has left it".to_owned(),
            }),
        }
    }

    /// Commits `offsets`, the next to be read of each partition: all of them or none. Waits for the end of a rebalance where
    /// that has to be known first.
    pub async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<(), NotCommitted> {
        commit::commit(&self.coordinator, &mut self.standing.clone(), &self.hurry, offsets).await
    }

    /// Where to go on with `partitions`, which are this member's own: where the group stands now, as with
    /// [`GroupEvent::Assigned`]. Offsets that an open transaction may yet change are waited for.
    pub fn starts(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> impl Future<Output = Result<Vec<Start>, NotCommitted>> + Send + use<> {
        positions::starts(self.coordinator.clone(), self.standing.clone(), self.hurry.clone(), partitions)
    }

    /// The same as [`Self::membership`], unless one of these partitions is not this member's now.
    pub fn membership_in<'a>(&self, partitions: impl Iterator<Item = &'a TopicPartition>) -> Option<Membership> {
        let now = self.standing.borrow().clone();
        now.holds_all(partitions).then(|| self.member_as(now))
    }

    /// That `partitions` are this member's, to be asked right before what must not be done by who has lost them.
    pub fn claim(&self, partitions: &[TopicPartition]) -> Claim {
        Claim {
            coordinator: self.coordinator.clone(),
            standing: self.standing.clone(),
            heard: self.coordinator.hears(),
            hurry: self.hurry.clone(),
            partitions: partitions.into(),
        }
    }

    /// Who the member is right now, for offsets that are committed in a transaction.
    pub fn membership(&self) -> Membership {
        self.member_as(self.standing.borrow().clone())
    }

    fn member_as(&self, now: Standing) -> Membership {
        let options = &self.coordinator.options;
        Membership {
            group: options.group.clone(),
            generation: now.generation,
            member: now.member,
            instance: options.instance.as_deref().map(Into::into),
        }
    }

    /// Leaves the group (a member with a name stays in it until its session ends, or it comes back). What is to be committed
    /// has been committed.
    pub async fn leave(mut self) -> Result<(), ClientError> {
        let _ = self.quit.send(true);
        self.acted_on = None;
        match (&mut self.task).await {
            Ok(ended) => ended,
            // The runtime is shutting down.
            Err(_) => Ok(()),
        }
    }

    /// Is gone without a word, as after a crash.
    pub fn vanish(self) {
        self.task.abort();
    }
}
