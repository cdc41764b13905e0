//! Insights at work: what was counted of an input partition moves with it, is written out at commits, and is told.
//!
//! ```text
//!  hand.rs ── records that go out ──▶ counting.rs (of a partition) ── windows that close ──▶ results.rs ──▶ --insights-to   ┐
//!                                          │       ▲                                                                        ├ one
//!                          what was counted│       │read back, and what came since is counted again                        │ transaction
//!                                          ▼       │                                                                        │
//!                                        store.rs: a compacted topic  ◀── where, in the note beside the group's offset ──▶  ┘
//! ```
//!
//! Non-obvious:
//! - What was counted is written out whole, at a commit, not more often than it is told. The note says up to which offset that
//!   goes; who takes the partition reads it back and the log from there on, so that its numbers are those of the records that
//!   are committed, whoever was killed.
//! - Where the log does not hold those records any more, that is said: how many offsets are missing is written out and shown for
//!   as long as the numbers are.
//! - Where somebody has moved the group's offset, or the note is none of ours, or what it names is not there, counting begins anew.
//! - Each partition's numbers are its own. What is told is the sum over the partitions that an instance has.

mod board;
mod counting;
mod desk;
mod recent;
mod results;
mod store;

mod taking;

pub(super) use board::{Board, Shown};
pub(super) use counting::{Counting, Kept, Written};
pub(super) use desk::Desk;
pub(super) use recent::Recent;
pub(super) use store::Store;
