//! Reading on at the end of a log: what is written next comes as soon as it is committed, and that nothing comes is no error.
//!
//! A reader that follows has a connection of its own to each leader (up to [`FOLLOW_LANES`] of them; beyond that several share
//! one), because a broker works on a connection's requests in order: it can be asked to hold the fetch back until there is
//! data, and nobody else waits behind it. So a record is here one way through the network after it is committed, and a quiet
//! partition costs two requests a second.
//!
//! Non-obvious: *quiet* is not that nothing came, it is that the leader has said so, again and again ([`Tail`]). A broker that
//! does not answer is not quiet.

use super::answer::Nothing;
use super::{PartitionReader, ReadOptions};
use crate::base::place::TopicPartition;
use crate::client::cluster::{Cluster, FOLLOW_LANES, Seat};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How long a broker may hold back a fetch at the end of the log; the same as other consumers ask for.
const FOLLOW_WAIT: Duration = Duration::from_millis(500);

/// What a reader that follows keeps in mind.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) tail: Arc<Tail>,
    seat: Seat,
    /// The transaction that holds it up, since when, and whether that was told.
    held: Option<(i64, Instant, bool)>,
}

/// How long a partition has been quiet at its end, for who waits for the records of others meanwhile.
#[derive(Debug)]
pub struct Tail {
    began: Instant,
    /// When the leader said that there is nothing for the first time since data came, and for the last time; in milliseconds
    /// since `began` and one more, 0 for never.
    first: AtomicU64,
    last: AtomicU64,
}

impl Default for Tail {
    fn default() -> Self {
        Self { began: Instant::now(), first: AtomicU64::new(0), last: AtomicU64::new(0) }
    }
}

impl Tail {
    /// For how long the leader has said that there is nothing; `None` while there is.
    pub fn quiet_for(&self) -> Option<Duration> {
        match (self.first.load(Relaxed), self.last.load(Relaxed)) {
            (0, _) => None,
            (first, last) => Some(Duration::from_millis(last.saturating_sub(first))),
        }
    }

    pub(super) fn data_came(&self) {
        self.first.store(0, Relaxed);
    }

    pub(super) fn nothing_there(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        self.last.store(now, Relaxed);
        if self.first.load(Relaxed) == 0 {
            self.first.store(now, Relaxed);
        }
    }
}

impl Cluster {
    /// A reader that waits at the end of the log for as long as it takes. The range may end beyond that of the log, also
    /// nowhere (`i64::MAX`); it must not begin there.
    pub fn follower(&self, partition: TopicPartition, range: Range<i64>, options: ReadOptions) -> PartitionReader {
        let (lane, seat) = self.follow_lane();
        let following = Following { tail: Arc::default(), seat, held: None };
        PartitionReader { lane, following: Some(following), ..self.reader(partition, range, options) }
    }
}

impl PartitionReader {
    /// How long this partition has been quiet, for readers that follow.
    pub fn tail(&self) -> Option<Arc<Tail>> {
        self.following.as_ref().map(|following| following.tail.clone())
    }

    /// How long a broker may hold a fetch back for this reader.
    pub(super) fn follow_wait(&self) -> Option<Duration> {
        let taken = self.following.as_ref()?.seat.taken();
        let sharing = taken.div_ceil(usize::from(FOLLOW_LANES)).max(1);
        Some(FOLLOW_WAIT / u32::try_from(sharing).unwrap_or(u32::MAX))
    }

    /// Whether an empty answer is nothing but the end of what is committed, at which this reader waits.
    pub(super) fn waits_at(&self, nothing: &Nothing) -> bool {
        self.following.is_some() && nothing.throttled.is_zero() && self.position >= nothing.last_stable
    }

    /// Notes that there is nothing, and pauses if the broker did not wait with its answer.
    pub(super) async fn rest(&mut self, nothing: &Nothing, asked: Instant) {
        self.tell_if_held(nothing).await;
        let wait = self.follow_wait().unwrap_or(FOLLOW_WAIT);
        if let Some(following) = &self.following {
            following.tail.nothing_there();
        }
        if asked.elapsed() < wait / 2 {
            tokio::time::sleep(self.cluster.backoff().next()).await;
        }
    }

    /// Says once that a transaction keeps records back, when that has taken long.
    async fn tell_if_held(&mut self, nothing: &Nothing) {
        let Some(following) = &mut self.following else { return };
        if nothing.last_stable >= nothing.high_watermark {
            following.held = None;
            return;
        }
        let since = match following.held {
            Some((from, since, told)) if from == nothing.last_stable => {
                if told {
                    return;
                }
                since
            }
            _ => {
                following.held = Some((nothing.last_stable, Instant::now(), false));
                return;
            }
        };
        if since.elapsed() < self.cluster.timeout() {
            return;
        }
        following.held = Some((nothing.last_stable, since, true));
        let producer = self.cluster.open_transaction(&self.partition, nothing.last_stable).await;
        tracing::warn!(
            partition = %self.partition,
            from = nothing.last_stable,
            behind = nothing.high_watermark - nothing.last_stable,
            producer = producer.map_or(-1, |producer| producer.id),
            "a transaction stays open; what lies behind its first offset comes when it ends"
        );
    }

    /// Where the range ends, as far as that can be said: a log that is followed has no end.
    pub(super) fn end_known(&self) -> i64 {
        match self.following {
            Some(_) => self.range.end.min(self.replicated.max(self.position.saturating_add(1))),
            None => self.range.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quiet_is_the_time_between_two_words_of_the_leader() {
        let tail = Tail::default();
        assert_eq!(tail.quiet_for(), None);
        tail.nothing_there();
        assert_eq!(tail.quiet_for(), Some(Duration::ZERO));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(tail.quiet_for(), Some(Duration::ZERO), "a silent leader says nothing");
        tail.nothing_there();
        assert_eq!(tail.quiet_for(), Some(Duration::from_secs(3)));
        tail.data_came();
        assert_eq!(tail.quiet_for(), None);
        tail.nothing_there();
        assert_eq!(tail.quiet_for(), Some(Duration::ZERO));
    }
}
