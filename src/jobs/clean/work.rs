//! A cleaner at work: what is at hand is cleaned, what is due is committed, what the group says is heeded.

use super::CleanSettings;
use super::accounts::Accounts;
use super::commit::InDoubt;
use super::hand::Hand;
use super::lane::{Arrived, Feed, Lane};
use super::lookups::{self, Following, News};
use super::outbox::Outbox;
use super::recover::void;
use super::report::{CleanReport, Done};
use super::topics::Looked;
use crate::base::place::TopicPartition;
use crate::client::group::{GroupEvent, GroupMember, Start};
use crate::client::transactional::{SpreadWriter, TransactionalProducer, Trouble};
use crate::client::{ClientError, Cluster, WriteOptions};
use crate::jobs::JobContext;
use crate::jobs::commit_pace::CommitPace;
use crate::jobs::error::JobError;
use futures::future::{Aborted, BoxFuture, OptionFuture};
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long the last commit may take.
const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(10);

/// With `exit`, how long an empty share is not believed: where members keep what they have, a new one gets its part only after
/// the others have heard of it and given something up.
const SHARE_COMES_WITHIN: Duration = Duration::from_secs(10);

/// Why it does not go on as it is.
pub(super) enum Halt {
    /// What was written since the last commit is void, or it is not known what became of it.
    Doubt(ClientError),
    /// It stops.
    Job(JobError),
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Doubt(error) => Self::Doubt(error),
            Trouble::Fenced(error) | Trouble::Stop(error) => Self::Job(error.into()),
        }
    }
}

impl From<JobError> for Halt {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

/// See the module's head.
pub(super) struct Work<'a> {
    pub(super) settings: &'a CleanSettings,
    pub(super) cx: &'a JobContext,
    pub(super) cluster: Cluster,
    pub(super) looked: Looked,
    pub(super) hand: Hand,
    pub(super) member: GroupMember,
    pub(super) lanes: BTreeMap<TopicPartition, Lane>,
    /// With `exit`: where partitions end.
    pub(super) ends: BTreeMap<TopicPartition, i64>,
    /// Since when we know our share; `None` while it is being changed.
    pub(super) told: Option<Instant>,
    pub(super) waiting: FuturesUnordered<BoxFuture<'static, Arrived>>,
    /// What is new in topics that rules look up in, if they do.
    pub(super) following: Option<Following>,
    /// `None` once it cannot be written with any more.
    pub(super) pen: Option<SpreadWriter>,
    pub(super) pace: CommitPace,
    pub(super) fruitless: u32,
    pub(super) in_doubt: Option<InDoubt>,
    /// The ledger, where one is kept.
    pub(super) accounts: Option<Accounts>,
    pub(super) done: Done,
    next_telling: Instant,
}

/// What is to be done next.
enum Turn {
    Heed(GroupEvent),
    Commit,
    Tell,
    LookUp(News),
    Clean(Arrived),
}

impl<'a> Work<'a> {
    pub(super) fn new(
        settings: &'a CleanSettings,
        cx: &'a JobContext,
        cluster: Cluster,
        (mut looked, outbox): (Looked, Outbox),
        producer: TransactionalProducer,
        member: GroupMember,
        pace: CommitPace,
    ) -> Self {
        let mut hand = Hand::new(settings, looked.rows_bytes_max, outbox, looked.desk.take());
        let following = looked.lookups.take().map(|(lookups, reader)| {
            hand.lookups = lookups;
            Following::begin(reader)
        });
        Self {
            settings,
            cx,
            cluster,
            hand,
            member,
            lanes: BTreeMap::new(),
            ends: BTreeMap::new(),
            told: None,
            waiting: FuturesUnordered::new(),
            following,
            pen: Some(producer.spread(Self::write_options())),
            pace,
            fruitless: 0,
            in_doubt: None,
            accounts: looked.accounts.take(),
            done: Done::new(&settings.rules, looked.made.clone()),
            looked,
            next_telling: Instant::now() + settings.report_interval,
        }
    }

    pub(super) fn write_options() -> WriteOptions {
        WriteOptions { beside_others: true, ..WriteOptions::default() }
    }

    /// Cleans until there is a reason to stop, and leaves the group.
    pub(super) async fn run(mut self, began: std::time::Instant) -> (CleanReport, Result<(), JobError>) {
        let mut ended = self.clean().await;
        self.following = None;
        if let Err(JobError::Interrupted(_)) = ended {
            match tokio::time::timeout(LAST_COMMIT_WITHIN, self.commit_with_counts()).await {
                Ok(Ok(())) => self.counts_stand(),
                // Who wants to end begins nothing again.
                Ok(Err(Halt::Doubt(error))) => {
                    tracing::warn!("the last commit is in doubt ({error}): the next run looks what stands")
                }
                Ok(Err(Halt::Job(error))) => ended = Err(error),
                Err(_) => tracing::warn!("what was read last could not be committed in time: it is cleaned again"),
            }
        }
        self.lanes.clear();
        if let Some(pen) = self.pen.take()
            && pen.holds_something_open()
        {
            void(&mut pen.into_producer().await).await;
        }
        self.done.tell();
        let ended = match (ended, self.close_accounts().await) {
            (Ok(()), Err(error)) => Err(error),
            (ended, _) => ended,
        };
        let left = tokio::time::timeout(LAST_COMMIT_WITHIN, self.member.leave()).await;
        let ended = match (ended, left) {
            (Ok(()), Ok(Err(error))) => Err(error.into()),
            (ended, _) => ended,
        };
        let of_group = CleanReport::of_group(&self.cluster, self.settings, &self.done).await;
        self.done.lookups = lookups::stands(&self.settings.rules, &self.hand.lookups);
        (self.done.report(self.settings, of_group, began), ended)
    }

    async fn clean(&mut self) -> Result<(), JobError> {
        loop {
            let done = self.next().await;
            let doubt = match done {
                Ok(ControlFlow::Continue(())) => continue,
                Ok(ControlFlow::Break(())) => return Ok(()),
                Err(Halt::Job(error)) => return Err(error),
                Err(Halt::Doubt(doubt)) => doubt,
            };
            self.recover(doubt, &[]).await?;
        }
    }

    async fn next(&mut self) -> Result<ControlFlow<()>, Halt> {
        if self.settings.exit && self.is_read() {
            if self.settings.close_windows {
                self.close_windows().await?;
            }
            self.commit_with_counts().await?;
            self.counts_stand();
            return Ok(ControlFlow::Break(()));
        }
        let turn = tokio::select! {
            biased;
            signal = self.cx.shutdown.wait() => return Err(Halt::Job(JobError::Interrupted(signal))),
            event = self.member.next() => Turn::Heed(event.map_err(JobError::from)?),
            () = sleep_until(self.pace.due()) => Turn::Commit,
            () = sleep_until(self.next_telling) => Turn::Tell,
            Some(news) = OptionFuture::from(self.following.as_mut()) => Turn::LookUp(news),
            Some(arrived) = self.waiting.next() => Turn::Clean(arrived),
        };
        match turn {
            Turn::Heed(event) => self.heed(event).await?,
            Turn::Commit => {
                self.commit().await?;
                self.counts_stand();
            }
            Turn::Tell => {
                self.next_telling = Instant::now() + self.settings.report_interval;
                if self.looked.store.is_some() {
                    // Files end with their transaction, and not because somebody wants to be told.
                    if self.settings.parquet.is_none() {
                        self.commit().await?;
                        self.counts_stand();
                    }
                    self.done.tell_insights();
                }
                self.done.tell();
            }
            Turn::LookUp(news) => self.take_news(news)?,
            // Its feed was ended.
            Turn::Clean(Err(Aborted)) => {}
            Turn::Clean(Ok((feed, Ok(true)))) => self.clean_window(feed).await?,
            Turn::Clean(Ok((feed, Ok(false)))) => {
                if let Some(lane) = self.lanes.get_mut(&feed.partition) {
                    lane.ends_at(feed.cursor.range().end);
                }
            }
            Turn::Clean(Ok((_, Err(JobError::Client(error))))) => self.out_of_range(error).await?,
            Turn::Clean(Ok((_, Err(error)))) => return Err(error.into()),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether everything that the group gives us is read to its end. While our share is being changed nobody knows.
    fn is_read(&self) -> bool {
        self.told.is_some_and(|told| match self.lanes.is_empty() {
            true => told.elapsed() >= SHARE_COMES_WITHIN,
            false => self.lanes.values().all(Lane::is_read),
        })
    }

    async fn heed(&mut self, event: GroupEvent) -> Result<(), Halt> {
        match event {
            GroupEvent::Assigned(starts) => {
                if !starts.is_empty() {
                    tracing::info!(partitions = %show(starts.iter().map(|start| &start.partition)), "assigned");
                } else if self.told.is_none() {
                    tracing::info!("in the group, without a partition so far");
                }
                self.told.get_or_insert_with(Instant::now);
                self.take_over(starts).await
            }
            GroupEvent::Revoked(gone) => {
                tracing::info!(partitions = %show(&gone), "revoked");
                self.told = None;
                match self.commit_with_counts().await {
                    Ok(()) => self.drop_lanes(&gone),
                    // Leaves them out by itself; one that was given back meanwhile is begun already.
                    Err(Halt::Doubt(doubt)) => self.recover(doubt, &gone).await?,
                    Err(halt) => return Err(halt),
                }
                Ok(())
            }
            GroupEvent::Lost(gone) => {
                tracing::warn!(partitions = %show(&gone), "lost to other members");
                self.told = None;
                // What was made of their records is in the same transaction as all the rest.
                if gone.iter().any(|one| self.lanes.get(one).is_some_and(Lane::is_open)) {
                    self.recover(self.not_ours(), &gone).await?;
                } else {
                    self.drop_lanes(&gone);
                }
                Ok(())
            }
        }
    }

    /// Begins with what becomes ours. What insights have counted of it is waited for where others have that in an open transaction;
    /// our own would time out meanwhile, so it is committed first.
    async fn take_over(&mut self, starts: Vec<Start>) -> Result<(), Halt> {
        if self.looked.store.is_some() && !starts.is_empty() {
            match self.commit().await {
                Ok(()) => self.counts_stand(),
                Err(Halt::Doubt(doubt)) => return Ok(self.recover_with(doubt, &[], starts).await?),
                Err(halt) => return Err(halt),
            }
        }
        Ok(self.begin(starts).await?)
    }

    fn drop_lanes(&mut self, gone: &[TopicPartition]) {
        gone.iter().for_each(|one| _ = self.lanes.remove(one));
    }

    async fn clean_window(&mut self, mut feed: Box<Feed>) -> Result<(), Halt> {
        loop {
            let Some(lane) = self.lanes.get_mut(&feed.partition) else { return Ok(()) };
            let hand = &mut self.hand;
            let stopped = feed.cursor.pass_here(|found| match hand.clean(lane, &found.record) {
                Ok(false) => ControlFlow::Continue(()),
                Ok(true) => ControlFlow::Break(Ok(())),
                Err(error) => ControlFlow::Break(Err(error)),
            })?;
            match stopped {
                None => break,
                Some(stopped) => stopped?,
            }
            self.send().await?;
            while let Some(lane) = self.lanes.get_mut(&feed.partition)
                && self.hand.go_on(lane)?
            {
                self.send().await?;
            }
            if self.write_rows().await? || self.has_much_to_note() {
                self.commit().await?;
            }
        }
        if let Some(lane) = self.lanes.get_mut(&feed.partition) {
            lane.passes(feed.cursor.passed());
            self.waiting.push(lane.wait_for(feed));
        }
        Ok(())
    }
}

fn show<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    partitions.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
