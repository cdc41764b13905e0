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
//! - Whatever the number of partitions, one is read at a time, so that following costs little memory.
//! - Who follows does so on a task of its own, and hands over what it has read between two windows.

mod reader;

mod held;

mod told;

#[cfg(test)]
mod tests;

pub(super) use reader::TopicReader;
pub(super) use told::{LookupStand, rules_json, show, stands, told, topics_json};

use super::work::{Halt, Work};
use crate::jobs::error::JobError;
use crate::rules::Rules;
use crate::rules::lookup::Lookups;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// What is looked up in, and who keeps it up to date.
pub(super) type Looking = (Lookups, Box<TopicReader>);

/// What comes of waiting for news: records at hand, or why there are none.
pub(super) type News = (Box<TopicReader>, Result<(), JobError>);

/// The next news, waited for on a task of its own: who asks the cluster holds what others wait for, and must go on while records are
/// cleaned and committed.
pub(super) struct Following(JoinHandle<News>);

impl Following {
    pub(super) fn begin(reader: Box<TopicReader>) -> Self {
        Self(tokio::spawn(reader.follow()))
    }
}

impl Future for Following {
    type Output = News;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<News> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(news) => Poll::Ready(news),
            Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
            // The runtime is ending, and with it whoever asks.
            Err(_) => Poll::Pending,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What of `memory` is for lookups.
pub(super) fn memory(rules: &Rules, memory: usize) -> usize {
    if rules.lookup_topics().is_empty() { 0 } else { memory / 2 }
}

/// Refuses rules that look up in a topic that is read or, by one of these flags, written.
pub(super) fn come_from_elsewhere(rules: &Rules, from: &[String], written: &[(&str, &str)]) -> Result<(), JobError> {
    for topic in rules.lookup_topics() {
        let name = topic.name();
        let read = from.iter().any(|from| from == name).then_some("--from");
        if let Some(flag) = read.or(written.iter().find(|(_, to)| *to == name).map(|(flag, _)| *flag)) {
            return Err(JobError::Usage(format!(
                "{flag} {name} is looked up in by the rules as well: what they find there has to come from elsewhere"
            )));
        }
    }
    Ok(())
}

impl Work<'_> {
    /// Takes what is new in a topic that rules look up in.
    pub(super) fn take_news(&mut self, (mut reader, news): News) -> Result<(), Halt> {
        news?;
        reader.pass(&mut self.hand.lookups)?;
        self.following = Some(Following::begin(reader));
        Ok(())
    }
}
