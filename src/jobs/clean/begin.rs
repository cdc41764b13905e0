//! Beginning to read what has become ours, and going on where retention was faster.

use super::lane::{Feed, Lane};
use super::tally::Note;
use super::work::{Halt, Work};
use crate::base::place::TopicPartition;
use crate::client::group::{Reset, Start};
use crate::client::{ClientError, OffsetAt};
use crate::jobs::error::JobError;
use crate::jobs::windows::Windows;

impl Work<'_> {
    /// Begins to read what of these is still ours where the group stands in it, or before, where something has to be remembered
    /// first.
    pub(super) async fn begin(&mut self, starts: Vec<Start>) -> Result<(), JobError> {
        let starts = self.clear_files(starts).await?;
        self.begin_at(starts).await
    }

    async fn begin_at(&mut self, starts: Vec<Start>) -> Result<(), JobError> {
        self.pin_ends(&starts).await?;
        for start in starts {
            // The one before it first, so that its room is free.
            self.lanes.remove(&start.partition);
            let room = self.looked.reading.try_take(self.looked.share_bytes).ok_or_else(|| {
                JobError::Refused(format!(
                    "{} was added, and what {} partitions take leaves no room for it: start again, or give more --memory",
                    start.partition,
                    self.lanes.len()
                ))
            })?;
            let end = self.ends.get(&start.partition).map(|end| (*end).max(start.offset));
            let closes = self.settings.close_windows && Note::read(&start.note, start.offset).tally.grouped.open() > 0;
            let counting = self.take_counting(&start).await?;
            let counts_again = counting.as_ref().is_some_and(|(_, from)| *from < start.offset);
            let has_more = closes || counts_again || end.is_none_or(|end| end > start.offset);
            let from = if has_more { self.read_from(&start).await? } else { start.offset };
            let from = counting.as_ref().map_or(from, |(_, counted_from)| from.min(*counted_from));
            let mut lane = Lane::new(&start, from, &self.settings.rules, self.looked.state_bytes_max, room);
            lane.counting = counting.map(|(counting, _)| counting);
            lane.file = self.first_file(&start);
            if has_more {
                let range = from..end.unwrap_or(i64::MAX);
                let (options, partition) = (self.looked.share.read_options(), start.partition.clone());
                let reader = match end {
                    None => self.cluster.follower(partition, range, options),
                    Some(_) => self.cluster.reader(partition, range, options),
                };
                lane.stands_on(reader.ground());
                let windows = Windows::start(reader, self.looked.share.fetch_bytes, None);
                let cursor = self.looked.share.cursor(windows, self.cx);
                let feed = Feed { partition: start.partition.clone(), cursor };
                self.waiting.push(lane.wait_for(Box::new(feed)));
            }
            self.lanes.insert(start.partition, lane);
        }
        Ok(())
    }

    /// With `exit`: where partitions that are ours for the first time end.
    async fn pin_ends(&mut self, starts: &[Start]) -> Result<(), JobError> {
        let new = starts.iter().map(|start| &start.partition).filter(|one| !self.ends.contains_key(one));
        let new: Vec<TopicPartition> = new.cloned().collect();
        if self.settings.exit && !new.is_empty() {
            let ends = self.cluster.offsets(&new, OffsetAt::LastStable).await?;
            self.ends.extend(new.into_iter().zip(ends));
        }
        Ok(())
    }

    async fn read_from(&self, start: &Start) -> Result<i64, JobError> {
        let noted = Note::read(&start.note, start.offset).remember_from;
        if noted.is_none() || !self.settings.rules.holds_something() {
            return Ok(start.offset);
        }
        let one = std::slice::from_ref(&start.partition);
        let earliest = self.cluster.offsets(one, OffsetAt::Earliest).await?.first().copied().unwrap_or(start.offset);
        let from = Lane::read_from(start, &self.settings.rules, earliest);
        if from < start.offset {
            tracing::info!(partition = %start.partition, from, to = start.offset, "reading again what duplicates are told by and open groups consist of");
        }
        Ok(from)
    }

    /// The log does not hold what is next of a partition: it goes on elsewhere only where somebody has said so.
    pub(super) async fn out_of_range(&mut self, error: ClientError) -> Result<(), Halt> {
        let ClientError::OutOfRange { partition, earliest, latest, .. } = &error else {
            return Err(Halt::Job(error.into()));
        };
        let (partition, earliest, latest) = (partition.clone(), *earliest, *latest);
        let Some(lane) = self.lanes.get(&partition) else { return Ok(()) };
        let (offset, remember_from) = match self.settings.group.reset {
            // Only what was to be remembered is gone.
            _ if lane.is_remembering() && (earliest..=latest).contains(&lane.start) => (lane.start, Some(earliest)),
            Reset::Earliest => (earliest, None),
            Reset::Latest => (latest, None),
            Reset::EarliestIfNew | Reset::Fail => return Err(Halt::Job(error.into())),
        };
        tracing::warn!(%partition, offset, "the log does not hold what is next: going on from there");
        // What was made of the records before is committed first.
        self.commit_with_counts().await?;
        let Some(lane) = self.lanes.get(&partition) else { return Ok(()) };
        let (start, committed) = (lane.going_on_at(offset, remember_from), lane.committed);
        if !self.clear_files_at(&start).await? {
            // It is another member's, and the event that says so is on its way.
            self.lanes.remove(&partition);
            return Ok(());
        }
        self.begin_at(vec![start]).await?;
        if let Some(lane) = self.lanes.get_mut(&partition) {
            // So that a jump is committed with what comes next.
            (lane.committed, lane.jumped) = (committed, lane.start != committed);
        }
        Ok(())
    }
}
