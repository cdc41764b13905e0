//! What changes a cluster: topics made, grown and removed, their settings, where partitions are and who leads them.
//!
//! Whatever is changed is asked of the controller, and asked again where its answer is lost.

// Topics as a whole.
mod topics;

// Settings of topics and brokers.
mod configs;

// Groups as a whole.
mod groups;

// Transactional ids.
mod transactions;

// Where partitions are.
mod elect;
mod log_dirs;
mod reassign;

pub use configs::{Change, ConfigOf, Setting};
pub use groups::{GroupDescribed, GroupListed, GroupMember, GroupOffset};
pub use log_dirs::{HeldCopy, LogDir};
pub use reassign::Moving;
pub use topics::NewTopic;
pub use transactions::TransactionKept;

use super::deadline::Deadline;

/// How long the controller may wait for its own: less than we wait for its answer.
fn timeout_ms(deadline: Deadline) -> i32 {
    (deadline.left() / 3).as_millis().clamp(1, i32::MAX as u128) as i32
}
