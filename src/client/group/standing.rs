//! How a member stands in its group: what those who commit need to know of the one who joins.

use crate::base::place::TopicPartition;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a commit is fenced by, and what may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The generation, or the member's epoch in the newer protocol; -1 while there is none.
    pub(super) generation: i32,
    pub(super) member: Arc<str>,
    /// What is the member's now, whether the caller has heard of it yet or not.
    pub(super) owned: Arc<BTreeSet<TopicPartition>>,
}

impl Standing {
    /// Before anything has been heard.
    pub(super) fn outside() -> Self {
        Self { generation: -1, member: "".into(), owned: Arc::default() }
    }

    /// Whether all of these are the member's.
    pub(super) fn holds_all<'a>(&self, mut partitions: impl Iterator<Item = &'a TopicPartition>) -> bool {
        let is_in = !self.member.is_empty() && self.generation >= 0;
        is_in && partitions.all(|one| self.owned.contains(one))
    }
}
