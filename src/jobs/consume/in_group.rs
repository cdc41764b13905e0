//! Records as they come, of the partitions that a consumer group gives to this member.
//!
//! ```text
//!  group: assigned ──▶ a feed for each partition ──▶ print ──▶ block ──▶ written ──▶ commit
//!         revoked  ──▶ what is printed is written and committed, then the feeds end
//!         lost     ──▶ the feeds end; what was printed since the last commit another member prints again
//! ```
//! Non-obvious:
//! - A record is committed when its text has been written and flushed, never before: so whoever is killed leaves nothing out,
//!   and what was written and not committed is written again by another.
//! - What a partition takes is set aside for as many as the topics have, since all of them may become ours.
//! - Ending a feed drops the window that it may have on its way. Should the partition come back, it is another feed.
//! - With `exit`, a partition ends where it ended when it was given to us for the first time.

use super::as_they_come::{Feed, advised, next_window};
use super::reach::Leg;
use super::shares::Shares;
use super::{PartitionRead, Reading, Stopped};
use crate::base::budget::ByteBudget;
use crate::base::place::TopicPartition;
use crate::batch::RecordReader;
use crate::client::group::{GroupEvent, GroupMember, GroupOptions, NotCommitted, Reset, Start};
use crate::client::{ClientError, Ground, OffsetAt};
use crate::jobs::error::JobError;
use crate::jobs::range::partitions_of;
use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often what was written is committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// How long the last commit may take.
const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(10);

/// With `exit`, how long an empty share is not believed: where members keep what they have, a new one gets its part only after
/// the others have heard of it and given something up.
const SHARE_COMES_WITHIN: Duration = Duration::from_secs(10);

/// What came of a feed, if it has not been ended.
type Arrived = Result<(Box<Feed>, Result<Option<()>, JobError>), Aborted>;

/// A partition that is ours.
struct Ours {
    /// Its place among the partitions of the report.
    index: usize,
    /// Ends its feed; `None` once it is read to its end.
    feed: Option<AbortHandle>,
    /// What holds nothing behind the records that were printed; `None` where nothing is read.
    ground: Option<Ground>,
    /// The offset that the group stands at.
    committed: i64,
}

impl Ours {
    /// Where we stand in it, having printed all before `position`.
    fn behind(&self, position: i64) -> i64 {
        self.ground.as_ref().map_or(position, |ground| ground.behind(position))
    }
}

/// The member, and what it has.
struct Member {
    member: GroupMember,
    reset: Reset,
    ours: BTreeMap<TopicPartition, Ours>,
    /// With `exit`: where partitions ended, and how much behind that was in open transactions.
    ends: BTreeMap<TopicPartition, (i64, i64)>,
    /// Since when we know our share; `None` while it is being changed.
    told: Option<Instant>,
    waiting: FuturesUnordered<BoxFuture<'static, Arrived>>,
    shares: Shares,
    slack: ByteBudget,
    /// For how many partitions there is room beside the slack.
    planned: usize,
}

/// What is to be done next.
enum Turn {
    Heed(GroupEvent),
    Print(Arrived),
    Commit,
    /// Nothing is at hand.
    Send,
}

impl Reading<'_> {
    /// Prints what the group gives us until there is a reason to stop, and leaves the group.
    pub(super) async fn in_group(&mut self, options: &GroupOptions) -> Result<Stopped, JobError> {
        let planned = partitions_of(self.cluster, &self.settings.topics, &[]).await?.len();
        let shares = Shares::of(self.settings.memory_bytes, planned, true)?;
        self.printer.set_block_bytes(shares.block_bytes);
        self.blocks.keep_up_to(2 * shares.block_bytes);
        let mut group = Member {
            member: self.cluster.join_group(options.clone()).await?,
            reset: options.reset,
            ours: BTreeMap::new(),
            ends: BTreeMap::new(),
            told: None,
            waiting: FuturesUnordered::new(),
            shares,
            slack: ByteBudget::new(shares.slack_bytes),
            planned,
        };
        let read = self.read_in_group(&mut group).await;
        let ended = match read {
            // What nobody has taken is not committed.
            Ok(Stopped::Closed) => Ok(Stopped::Closed),
            // Who wants to end does not want to wait for the end of a rebalance.
            read => {
                let offsets = self.open_offsets(&group, None);
                match tokio::time::timeout(LAST_COMMIT_WITHIN, self.commit(&mut group, offsets)).await {
                    Ok(Ok(closed)) => read.map(|read| closed.unwrap_or(read)),
                    // The first error says more.
                    Ok(Err(error)) => read.and(Err(error)),
                    Err(_) => {
                        tracing::warn!(
                            "what was written last could not be committed in time: another member writes it again"
                        );
                        read
                    }
                }
            }
        };
        let Member { member, waiting, .. } = group;
        drop(waiting);
        let left = member.leave().await;
        let stopped = ended?;
        left?;
        Ok(stopped)
    }

    async fn read_in_group(&mut self, group: &mut Member) -> Result<Stopped, JobError> {
        let mut reader = RecordReader::new(group.shares.unfold_bytes);
        let mut due = Instant::now() + COMMIT_EVERY;
        loop {
            if self.settings.exit && group.is_read() {
                return Ok(Stopped::Exit);
            }
            let has_text = !self.printer.block().is_empty();
            let turn = tokio::select! {
                biased;
                signal = self.cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
                () = self.blocks.closed() => return Ok(Stopped::Closed),
                event = group.member.next() => Turn::Heed(event?),
                () = sleep_until(due) => Turn::Commit,
                Some(arrived) = group.waiting.next() => Turn::Print(arrived),
                () = std::future::ready(()), if has_text => Turn::Send,
            };
            let stopped = match turn {
                Turn::Heed(event) => self.heed(group, event).await?,
                Turn::Commit => {
                    due = Instant::now() + COMMIT_EVERY;
                    let offsets = self.open_offsets(group, None);
                    self.commit_underway(group, offsets).await?
                }
                Turn::Send => self.send_block().await,
                // Its feed was ended.
                Turn::Print(Err(Aborted)) => None,
                Turn::Print(Ok((feed, more))) => self.print_next(group, feed, more, &mut reader).await?,
            };
            if let Some(stopped) = stopped {
                return Ok(stopped);
            }
        }
    }

    async fn print_next(
        &mut self,
        group: &mut Member,
        mut feed: Box<Feed>,
        more: Result<Option<()>, JobError>,
        reader: &mut RecordReader,
    ) -> Result<Option<Stopped>, JobError> {
        match more {
            Ok(Some(())) => {
                let stopped = self.print_window(&mut feed, reader, group.shares).await?;
                group.wait_for(feed);
                Ok(stopped)
            }
            Ok(None) => {
                self.partitions[feed.index].position = feed.end;
                if let Some(ours) = group.ours.get_mut(&feed.partition) {
                    ours.feed = None;
                }
                Ok(None)
            }
            Err(JobError::Client(ClientError::OutOfRange { partition, wanted, earliest, latest, .. }))
                if group.reset != Reset::Fail =>
            {
                let offset = if group.reset == Reset::Earliest { earliest } else { latest };
                tracing::warn!(%partition, wanted, offset, "the log does not hold what is next: it goes on elsewhere, as --reset says");
                group.ours.remove(&partition);
                self.begin(group, vec![Start { partition: partition.clone(), offset, note: String::new() }]).await?;
                // Whoever has it next would decide again, and `latest` would pass over what comes in between.
                self.commit_underway(group, vec![(partition, offset)]).await
            }
            Err(error) => Err(advised(error, group.shares)),
        }
    }

    async fn heed(&mut self, group: &mut Member, event: GroupEvent) -> Result<Option<Stopped>, JobError> {
        match event {
            GroupEvent::Assigned(starts) => {
                if !starts.is_empty() {
                    tracing::info!(partitions = %show(starts.iter().map(|start| &start.partition)), "assigned");
                } else if group.told.is_none() {
                    tracing::info!("in the group, without a partition so far");
                }
                group.told.get_or_insert_with(Instant::now);
                self.begin(group, starts).await?;
                Ok(None)
            }
            GroupEvent::Revoked(partitions) => {
                tracing::info!(partitions = %show(&partitions), "revoked");
                let offsets = self.open_offsets(group, Some(&partitions));
                let stopped = self.commit_underway(group, offsets).await?;
                group.end(&partitions);
                Ok(stopped)
            }
            GroupEvent::Lost(partitions) => {
                let open = partitions.iter().filter_map(|one| group.ours.get(one));
                let open = open.map(|ours| self.partitions[ours.index].position.saturating_sub(ours.committed).max(0));
                tracing::warn!(
                    partitions = %show(&partitions),
                    offsets = open.sum::<i64>(),
                    "lost to other members; what was read since the last commit they read again"
                );
                group.end(&partitions);
                Ok(None)
            }
        }
    }

    /// Begins to read what has become ours.
    async fn begin(&mut self, group: &mut Member, starts: Vec<Start>) -> Result<(), JobError> {
        if self.settings.exit {
            let new = starts.iter().map(|start| &start.partition).filter(|one| !group.ends.contains_key(one));
            let new: Vec<TopicPartition> = new.cloned().collect();
            // In this order: what is committed at the first look is there at the second.
            let stable = self.cluster.offsets(&new, OffsetAt::LastStable).await?;
            let latest = self.cluster.offsets(&new, OffsetAt::Latest).await?;
            let ends = stable.into_iter().zip(latest).map(|(stable, latest)| (stable, (latest - stable).max(0)));
            group.ends.extend(new.into_iter().zip(ends));
        }
        for Start { partition, offset, .. } in starts {
            let end = group.ends.get(&partition).copied();
            let leg = Leg {
                partition: partition.clone(),
                start: offset,
                first: offset,
                end: end.map(|(end, _)| end.max(offset)),
                follows: end.is_none(),
                held_back: end.map_or(0, |(_, held_back)| held_back),
            };
            let index = self.report_on(&leg);
            let mut ours = Ours { index, feed: None, ground: None, committed: offset };
            if !leg.is_empty() {
                let room = match group.ours.len() < group.planned {
                    true => None,
                    false => Some(self.room_for(&leg, group.shares, &group.slack)?),
                };
                let feed = Box::new(self.feed(index, leg, group.shares, &group.slack, room));
                ours.ground = Some(feed.ground.clone());
                let (handle, next) = next_of(feed);
                ours.feed = Some(handle);
                group.waiting.push(next);
            }
            group.ours.insert(partition, ours);
        }
        Ok(())
    }

    /// The place of a partition in the report; the same where it has been ours before.
    fn report_on(&mut self, leg: &Leg) -> usize {
        let before = self.partitions.iter().position(|read| read.partition == leg.partition);
        let index = before.unwrap_or(self.partitions.len());
        match self.partitions.get_mut(index) {
            Some(read) => read.position = leg.first,
            None => self.partitions.push(PartitionRead { committed: Some(leg.first), ..PartitionRead::of(leg) }),
        }
        index
    }

    /// What has been read of `partitions`, or of all, since it was committed last; with the markers and the like behind it.
    fn open_offsets(&self, group: &Member, partitions: Option<&[TopicPartition]>) -> Vec<(TopicPartition, i64)> {
        let chosen = group.ours.iter().filter(|(one, _)| partitions.is_none_or(|these| these.contains(one)));
        chosen
            .map(|(one, ours)| (one.clone(), ours, ours.behind(self.partitions[ours.index].position)))
            .filter(|(_, ours, position)| *position > ours.committed)
            .map(|(one, _, position)| (one, position))
            .collect()
    }

    /// Commits while reading: a wish to stop does not wait for the end of a rebalance. The last commit makes up for it.
    async fn commit_underway(
        &mut self,
        group: &mut Member,
        offsets: Vec<(TopicPartition, i64)>,
    ) -> Result<Option<Stopped>, JobError> {
        // Not to be dropped half way; all that comes after it may be.
        if let Some(stopped) = self.send_block().await {
            return Ok(Some(stopped));
        }
        let shutdown = self.cx.shutdown.clone();
        tokio::select! {
            biased;
            signal = shutdown.wait() => Err(JobError::Interrupted(signal)),
            stopped = self.commit(group, offsets) => stopped,
        }
    }

    /// Commits `offsets` once everything before them is written; `Some` if nobody takes what is written.
    async fn commit(
        &mut self,
        group: &mut Member,
        offsets: Vec<(TopicPartition, i64)>,
    ) -> Result<Option<Stopped>, JobError> {
        if offsets.is_empty() {
            return Ok(None);
        }
        if let Some(stopped) = self.send_block().await {
            return Ok(Some(stopped));
        }
        if self.blocks.flush().await.is_err() {
            return Ok(Some(Stopped::Closed));
        }
        match group.member.commit(&offsets).await {
            Ok(()) => {
                for (partition, position) in offsets {
                    if let Some(ours) = group.ours.get_mut(&partition) {
                        ours.committed = position;
                        let read = &mut self.partitions[ours.index];
                        read.committed = Some(position);
                        read.position = read.position.max(position);
                    }
                }
                Ok(None)
            }
            // What it means is told by the event that is on its way.
            Err(NotCommitted::Lost(partition)) => {
                tracing::debug!(%partition, "too late to commit");
                Ok(None)
            }
            Err(NotCommitted::Failed(error)) => Err(error.into()),
        }
    }
}

impl Member {
    /// Whether everything that the group gives us is read to its end.
    fn is_read(&self) -> bool {
        match self.ours.is_empty() {
            true => self.told.is_some_and(|told| told.elapsed() >= SHARE_COMES_WITHIN),
            false => self.ours.values().all(|ours| ours.feed.is_none()),
        }
    }

    /// Waits for more of a partition, if it is still ours.
    fn wait_for(&mut self, feed: Box<Feed>) {
        if let Some(ours) = self.ours.get_mut(&feed.partition) {
            let (handle, next) = next_of(feed);
            ours.feed = Some(handle);
            self.waiting.push(next);
        }
    }

    /// These are ours no more; what is instead we are told next.
    fn end(&mut self, partitions: &[TopicPartition]) {
        self.told = None;
        for one in partitions {
            if let Some(feed) = self.ours.remove(one).and_then(|ours| ours.feed) {
                feed.abort();
            }
        }
    }
}

fn next_of(feed: Box<Feed>) -> (AbortHandle, BoxFuture<'static, Arrived>) {
    let (handle, registration) = AbortHandle::new_pair();
    (handle, Box::pin(Abortable::new(next_window(feed), registration)))
}

fn show<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    partitions.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
