//! What a member may say of partitions without asking anybody: that they are its own, as far as it has heard.
//!
//! Its standing alone does not tell: a process that was stopped for longer than its session wakes up with the standing of then.
//! So a claim holds only while the coordinator has taken a sign of life within the session. What the member cannot know either way
//! is that it was put out since its last one for holding up a rebalance; its next one says so.

use super::coordinator::Coordinator;
use super::standing::Standing;
use crate::base::place::TopicPartition;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Claim {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) heard: watch::Receiver<Option<Instant>>,
    pub(super) hurry: Arc<Notify>,
    pub(super) partitions: Arc<[TopicPartition]>,
}

impl Claim {
    /// Whether it holds right now.
    pub fn holds(&self) -> bool {
        self.stands() && self.is_fresh()
    }

    /// Waits until the coordinator has said whether it holds; `false` says that a partition is not the member's any more, or that it
    /// is a member no more, which its next event says.
    pub async fn settled(&mut self) -> bool {
        while self.stands() {
            self.heard.mark_unchanged();
            if self.is_fresh() {
                return true;
            }
            self.hurry.notify_one();
            tokio::select! {
                changed = self.standing.changed() => if changed.is_err() { return false },
                changed = self.heard.changed() => if changed.is_err() { return false },
            }
        }
        false
    }

    /// Waits until a partition is not the member's any more.
    pub async fn lost(&mut self) {
        while self.stands() {
            if self.standing.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Whether the partitions are the member's, by what it heard last, whenever that was.
    fn stands(&self) -> bool {
        self.standing.borrow().holds_all(self.partitions.iter())
    }

    fn is_fresh(&self) -> bool {
        let session = self.coordinator.options.session_timeout;
        self.heard.borrow().is_some_and(|heard| heard.elapsed() < session)
    }
}
