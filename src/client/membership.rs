//! As whose a group's offsets are committed.

use std::sync::Arc;

/// Who a member is to its coordinator: what offsets that move in a transaction are fenced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: Arc<str>,
    /// The generation, or the epoch; -1 with an empty id where the group is only a name.
    pub generation: i32,
    /// The member's id.
    pub member: Arc<str>,
    /// The name under which it comes back after a restart.
    pub instance: Option<Arc<str>>,
}

impl Membership {
    /// No membership: the group is only a name under which offsets are kept.
    pub fn only_a_name(group: &str) -> Self {
        Self { group: group.into(), generation: -1, member: "".into(), instance: None }
    }
}
