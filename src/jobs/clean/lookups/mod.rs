//! The topics that rules look up in: read to their ends before anything is cleaned, and followed from then on.
//!
//! ```text
//!  before the group is joined          while it cleans, twice a second
//!  every partition, to its end   ──▶   which have grown? ──▶ what is new in these ──▶ between two windows of the input
//!                └──────────────── reader.rs, one partition at a time ───────────────┘
//!                                            │
//!                                            ▼
//!                        tables, in memory (rules/lookup): what rules take of the newest value of each key
//! ```
//!
//! Non-obvious:
//! - Tables are not committed with what they were used for. A record that is cleaned again, after a doubt or a crash, may be given
//!   newer values; each record still goes out once. What is held of records does not depend on them (rules/lookup/depends.rs), so
//!   records that are only remembered are cleaned without.
//! - They are read before anything else is taken: a group does not wait for a member that reads a large topic, and an instance
//!   that is replaced goes on until its heir has read.
//! - The newest value of a key is the last one in its partition. Where a key is in several, the one counts that was read last.
//! - Whatever the number of partitions, one is read at a time, so that following costs little memory, and one connection.

mod reader;

mod told;

#[cfg(test)]
mod tests;

pub(super) use reader::TopicReader;
pub(super) use told::{LookupStand, rules_json, show, stands, told, topics_json};

use super::work::{Halt, Work};
use crate::jobs::error::JobError;
use crate::rules::Rules;
use crate::rules::lookup::Lookups;
use futures::future::BoxFuture;

/// What is looked up in, and who keeps it up to date.
pub(super) type Looking = (Lookups, Box<TopicReader>);

/// What comes of waiting for news: records at hand, or why there are none.
pub(super) type News = (Box<TopicReader>, Result<(), JobError>);

/// The next news.
pub(super) type Following = BoxFuture<'static, News>;

/// What of `memory` is for lookups.
pub(super) fn memory(rules: &Rules, memory: usize) -> usize {
    if rules.lookup_topics().is_empty() { 0 } else { memory / 2 }
}

impl Work<'_> {
    /// Takes what is new in a topic that rules look up in.
    pub(super) fn take_news(&mut self, (mut reader, news): News) -> Result<(), Halt> {
        news?;
        reader.pass(&mut self.hand.lookups)?;
        self.following = Some(reader.follow());
        Ok(())
    }
}
