//! Records as they come: whichever partition has a window at hand is next, and all of that window is printed at once.
//!
//! Non-obvious: only one window is decoded at a time, so one reader, with one buffer to unfold compressed batches in, does for
//! any number of partitions; what a partition costs while it is quiet is nothing.

use super::growth::{Growth, grown};
use super::printer::{Next, Origin};
use super::reach::Leg;
use super::shares::Shares;
use super::{PartitionRead, Reading, Stopped, known};
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::TopicPartition;
use crate::batch::{Batch, BatchError, RecordReader, TimestampType};
use crate::client::{ClientError, Ground, ReadOptions};
use crate::jobs::error::JobError;
use crate::jobs::windows::{Slack, Windows};
use crate::ports::Source as _;
use futures::future::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// One partition that is read.
pub(super) struct Feed {
    /// Its place among the partitions of the report.
    pub(super) index: usize,
    pub(super) partition: TopicPartition,
    /// The first offset that is shown, and the first one behind them that is not.
    first: i64,
    pub(super) end: i64,
    windows: Windows,
    read_from: Arc<AtomicI32>,
    pub(super) ground: Ground,
    /// The window at hand: whole batches.
    window: Vec<u8>,
    /// What a partition that was added underway takes.
    _room: Option<Reserved>,
}

/// A feed that has a window, or is at its end.
type Arrived = (Box<Feed>, Result<Option<()>, JobError>);

/// The batch at hand, and how far the window is read.
#[derive(Clone, Copy)]
struct At {
    from: usize,
    to: usize,
    timestamp_type: TimestampType,
}

/// Where printing stopped within a batch.
enum Pause {
    BatchDone,
    /// The block is full.
    Full,
    /// The partition is read.
    RangeDone,
    /// Everything that was asked for is shown.
    Enough,
}

impl Reading<'_> {
    /// Prints what comes until everything is read, or there is another reason to stop.
    pub(super) async fn as_they_come(&mut self, legs: Vec<Leg>, following: bool) -> Result<Stopped, JobError> {
        let mut legs: VecDeque<(usize, Leg)> =
            legs.into_iter().enumerate().filter(|(_, leg)| !leg.is_empty()).collect();
        let shares = Shares::of(self.settings.memory_bytes, legs.len(), following)?;
        let slack = ByteBudget::new(shares.slack_bytes);
        self.printer.set_block_bytes(shares.block_bytes);
        self.blocks.keep_up_to(2 * shares.block_bytes);
        let mut reader = RecordReader::new(shares.unfold_bytes);
        let mut growth = (following && self.may_grow()).then(|| Growth::of(self.cluster, known(&self.partitions)));
        let mut waiting = FuturesUnordered::new();
        loop {
            while waiting.len() < shares.at_once
                && let Some((index, leg)) = legs.pop_front()
            {
                waiting.push(next_window(Box::new(self.feed(index, leg, shares, &slack, None))));
            }
            if waiting.is_empty() {
                return Ok(self.at_the_ends());
            }
            let arrived = match waiting.next().now_or_never() {
                Some(arrived) => arrived,
                None => {
                    // Nothing is at hand: what is printed goes out before anybody waits.
                    if let Some(stopped) = self.send_block().await {
                        return Ok(stopped);
                    }
                    tokio::select! {
                        biased;
                        signal = self.cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
                        () = self.blocks.closed() => return Ok(Stopped::Closed),
                        arrived = waiting.next() => arrived,
                        partition = grown(&mut growth) => {
                            let leg = Leg::of_new(partition);
                            let room = self.room_for(&leg, shares, &slack)?;
                            self.partitions.push(PartitionRead::of(&leg));
                            let feed = self.feed(self.partitions.len() - 1, leg, shares, &slack, Some(room));
                            waiting.push(next_window(Box::new(feed)));
                            continue;
                        }
                    }
                }
            };
            let Some((mut feed, more)): Option<Arrived> = arrived else { continue };
            if more.map_err(|error| advised(error, shares))?.is_none() {
                self.partitions[feed.index].position = feed.end;
                continue;
            }
            if let Some(stopped) = self.print_window(&mut feed, &mut reader, shares).await? {
                return Ok(stopped);
            }
            waiting.push(next_window(feed));
        }
    }

    pub(super) fn feed(
        &self,
        index: usize,
        leg: Leg,
        shares: Shares,
        slack: &ByteBudget,
        room: Option<Reserved>,
    ) -> Feed {
        let options = ReadOptions { fetch_bytes_max: shares.window_bytes, batch_bytes_max: shares.batch_bytes_max() };
        let larger = Slack::new(slack, move |window, piece| shares.way_out(window, piece));
        let reader = self.reader(&leg, options);
        let (read_from, ground) = (reader.read_from(), reader.ground());
        let windows = Windows::start(reader, shares.window_bytes, Some(larger));
        let end = leg.end.unwrap_or(i64::MAX);
        let (partition, first, window) = (leg.partition, leg.first, Vec::new());
        Feed { index, partition, first, end, windows, read_from, ground, window, _room: room }
    }

    pub(super) fn room_for(&self, leg: &Leg, shares: Shares, slack: &ByteBudget) -> Result<Reserved, JobError> {
        slack.try_take(shares.partition_bytes()).ok_or_else(|| {
            JobError::Refused(format!(
                "{} was added, and what {} partitions take leaves no room for it. {}",
                leg.partition,
                self.partitions.len(),
                shares.way_out(shares.window_bytes, 0)
            ))
        })
    }

    /// Prints all of a window; `Some` if there is a reason to stop.
    pub(super) async fn print_window(
        &mut self,
        feed: &mut Feed,
        reader: &mut RecordReader,
        shares: Shares,
    ) -> Result<Option<Stopped>, JobError> {
        let before = self.printer.counts;
        let mut at = 0;
        let mut stopped = None;
        'window: while at < feed.window.len() {
            let batch = Batch::read(&feed.window[at..]).map_err(|error| self.broken(feed, error, shares))?;
            let (to, timestamp_type) = (at + batch.bytes().len(), batch.header.timestamp_type());
            let behind = batch.header.last_offset().saturating_add(1).min(feed.end);
            reader.start(&batch).map_err(|error| self.broken(feed, error, shares))?;
            loop {
                match self.print_batch(feed, reader, At { from: at, to, timestamp_type }, shares)? {
                    Pause::BatchDone => {
                        // Its last records may be compacted away.
                        let position = &mut self.partitions[feed.index].position;
                        *position = (*position).max(behind);
                        break;
                    }
                    Pause::RangeDone => break 'window,
                    Pause::Enough => {
                        stopped = Some(Stopped::Count);
                        break 'window;
                    }
                    Pause::Full => {
                        stopped = self.send_block().await;
                        if let Some(signal) = self.cx.shutdown.requested() {
                            return Err(JobError::Interrupted(signal));
                        }
                        if stopped.is_some() {
                            break 'window;
                        }
                    }
                }
            }
            at = to;
        }
        let counts = self.printer.counts;
        self.cx.progress.add(counts.read - before.read, counts.bytes - before.bytes);
        if stopped.is_none()
            && let Some(signal) = self.cx.shutdown.requested()
        {
            return Err(JobError::Interrupted(signal));
        }
        Ok(stopped)
    }

    /// Prints on in the batch at hand. Nothing in here waits.
    fn print_batch(
        &mut self,
        feed: &Feed,
        reader: &mut RecordReader,
        at: At,
        shares: Shares,
    ) -> Result<Pause, JobError> {
        let batch = &feed.window[at.from..at.to];
        let mut position = self.partitions[feed.index].position;
        let origin = Origin {
            partition: &feed.partition,
            timestamp_type: at.timestamp_type,
            broker: Some(feed.read_from.load(Relaxed)).filter(|node| *node >= 0),
        };
        let pause = loop {
            let found = match reader.next_in(batch) {
                Ok(Some(found)) => found,
                Ok(None) => break Ok(Pause::BatchDone),
                Err(error) => break Err(error),
            };
            if found.offset < feed.first {
                continue;
            }
            if found.offset >= feed.end {
                break Ok(Pause::RangeDone);
            }
            position = found.offset + 1;
            match self.printer.print(origin, &found) {
                Next::Go => {}
                Next::Full => break Ok(Pause::Full),
                Next::Enough => break Ok(Pause::Enough),
            }
        };
        self.partitions[feed.index].position = position;
        pause.map_err(|error| self.broken(feed, error, shares))
    }

    #[cold]
    fn broken(&self, feed: &Feed, error: BatchError, shares: Shares) -> JobError {
        let at = feed.partition.at(self.partitions[feed.index].position);
        match error {
            BatchError::OverBudget { what, needed, .. } => JobError::Refused(format!(
                "{at}: {what} of the compressed batch there takes {needed} bytes in one piece. {}",
                shares.way_out(0, needed)
            )),
            error => JobError::Batch { at, error },
        }
    }
}

/// A batch that is not even fetched is told with the memory that would do, too.
pub(super) fn advised(error: JobError, shares: Shares) -> JobError {
    match error {
        JobError::Client(ClientError::BatchTooLarge { bytes, .. }) => {
            JobError::Refused(format!("{error}. {}", shares.way_out(bytes, 0)))
        }
        error => error,
    }
}

pub(super) async fn next_window(mut feed: Box<Feed>) -> Arrived {
    let mut window = std::mem::take(&mut feed.window);
    let more = feed.windows.next(&mut window).await;
    feed.window = window;
    (feed, more)
}
