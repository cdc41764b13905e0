//! What a cleaner does with files: begins them on a clear folder, writes them as memory says, ends them with the transaction.

use super::folder::{self, Cleared, Unpublished};
use super::open::Finished;
use super::{OpenFile, Written};
use crate::base::place::TopicPartition;
use crate::client::group::{NotCommitted, Start};
use crate::client::{ClientError, Cluster};
use crate::jobs::clean::tally::Tally;
use crate::jobs::clean::work::{Halt, Work};
use crate::jobs::error::JobError;
use crate::jobs::minutes::COUNTED_MAX;
use crate::wire::Uuid;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// After so long it is asked again for a topic that a broker does not know.
const NOT_KNOWN_YET: Duration = Duration::from_millis(100);

impl Work<'_> {
    /// Removes what a crash or a doubt has left of partitions that are ours. Gives those that still are, each with where the group
    /// stands in it now: since that was told last, others may have had it.
    pub(in crate::jobs::clean) async fn clear_files(&self, starts: Vec<Start>) -> Result<Vec<Start>, JobError> {
        if self.looked.files.is_none() {
            return Ok(starts);
        }
        let mut wanted: Vec<TopicPartition> = starts.into_iter().map(|start| start.partition).collect();
        loop {
            // Of the others an event says so, which is on its way.
            wanted.retain(|one| self.member.membership_in(std::iter::once(one)).is_some());
            if wanted.is_empty() {
                return Ok(Vec::new());
            }
            let (mut claim, mut lost) = (self.member.claim(&wanted), self.member.claim(&wanted));
            let asked = async {
                match claim.settled().await {
                    true => self.member.starts(wanted.clone()).await.map(Some),
                    false => Ok(None),
                }
            };
            let asked = tokio::select! {
                biased;
                signal = self.cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
                () = lost.lost() => continue,
                asked = asked => asked,
            };
            match asked {
                Ok(Some(starts)) if self.clear_files_behind(&starts).await? => return Ok(starts),
                Ok(Some(_)) => {}
                // It is a member no more.
                Ok(None) if self.member.membership_in(wanted.iter()).is_some() => return Ok(Vec::new()),
                Ok(None) => {}
                Err(NotCommitted::Lost(one)) => wanted.retain(|wanted| *wanted != one),
                Err(NotCommitted::Failed(error)) => return Err(error.into()),
            }
        }
    }

    /// The same where it is known where it is gone on; `false` where the partition is not ours any more.
    pub(in crate::jobs::clean) async fn clear_files_at(&self, start: &Start) -> Result<bool, JobError> {
        let mut claim = self.member.claim(std::slice::from_ref(&start.partition));
        while self.looked.files.is_some() {
            let is_ours = tokio::select! {
                biased;
                signal = self.cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
                is_ours = claim.settled() => is_ours,
            };
            if !is_ours {
                return Ok(false);
            }
            if self.clear_files_behind(std::slice::from_ref(start)).await? {
                break;
            }
        }
        Ok(true)
    }

    /// Removes what lies behind these; `false` where it is not certain any more that they are ours.
    async fn clear_files_behind(&self, starts: &[Start]) -> Result<bool, JobError> {
        let Some(shelf) = self.looked.files.clone().filter(|_| !starts.is_empty()) else { return Ok(true) };
        let starts: Vec<_> = starts.iter().map(|start| (start.partition.clone(), start.offset)).collect();
        let partitions: Vec<_> = starts.iter().map(|(partition, _)| partition.clone()).collect();
        let topics: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        let topics = tokio::select! {
            biased;
            signal = self.cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
            topics = ids_of(&self.cluster, topics, self.cx.timeout) => topics?,
        };
        let claim = self.member.claim(&partitions);
        let cleared = beside(move || {
            shelf.is_of_topics(&topics)?;
            folder::clear(&shelf.folder, &starts, || claim.holds())
        });
        let Cleared { gone, are_ours } = cleared.await?;
        if !gone.is_empty() {
            tracing::info!(files = gone.join(", "), "removed: their records are not committed, and are written again");
        }
        Ok(are_ours)
    }

    /// The file that a partition begins with.
    pub(in crate::jobs::clean) fn first_file(&self, start: &Start) -> Option<OpenFile> {
        self.looked.files.as_ref().map(|shelf| OpenFile::new(&start.partition, shelf))
    }

    /// Writes row groups, the largest first, until what is held is within its bounds; gives whether a file is so large that the
    /// transaction is to end.
    pub(in crate::jobs::clean) async fn write_rows(&mut self) -> Result<bool, Halt> {
        let Some(settings) = &self.settings.parquet else { return Ok(false) };
        let bytes_max = settings.bytes_max;
        loop {
            let held = |file: &Option<OpenFile>| file.as_ref().map_or(0, OpenFile::held_bytes);
            self.hand.held_bytes = self.lanes.values().map(|lane| held(&lane.file)).sum();
            if self.hand.held_bytes <= self.looked.rows_bytes_max {
                break;
            }
            let Some(lane) = self.lanes.values_mut().max_by_key(|lane| held(&lane.file)) else { break };
            let Some(mut file) = lane.file.take() else { break };
            lane.file = Some(beside(move || file.write().map(|()| file)).await?);
        }
        let files = || self.lanes.values().filter_map(|lane| lane.file.as_ref());
        let to_note: usize = files().map(OpenFile::minutes).sum();
        Ok(to_note >= COUNTED_MAX || files().any(|file| file.bytes() >= bytes_max))
    }

    /// Ends the files of the transaction: they are whole and on the disk, and lack their names.
    pub(in crate::jobs::clean) async fn finish_files(&mut self, tally: Tally) -> Result<Vec<Finished>, JobError> {
        if self.looked.files.is_none() {
            return Ok(Vec::new());
        }
        let mut open = Vec::new();
        for file in self.lanes.values_mut().filter_map(|lane| lane.file.as_mut()).filter(|file| !file.is_empty()) {
            let following = file.following();
            open.push(std::mem::replace(file, following));
        }
        self.hand.held_bytes = 0;
        let finished = beside(move || -> Result<Vec<Finished>, JobError> {
            let finished: Result<Vec<_>, _> = open.into_iter().map(OpenFile::finish).collect();
            Ok(finished?.into_iter().flatten().collect())
        });
        let mut finished = finished.await?;
        let rows: u64 = finished.iter().map(|one| one.totals.rows).sum();
        if rows != tally.out {
            return Err(JobError::Refused(format!(
                "files have {rows} rows where {} were to go out, which is a defect of this program; nothing of this \
                 transaction is committed",
                tally.out
            )));
        }
        if let Some(accounts) = &mut self.accounts {
            finished.iter_mut().for_each(|file| accounts.rows(std::mem::take(&mut file.noted)));
        }
        Ok(finished)
    }

    /// Gives the files of the transaction their names.
    pub(in crate::jobs::clean) async fn publish_files(&self, finished: Vec<Finished>) -> Result<Written, Halt> {
        let Some(shelf) = self.looked.files.clone().filter(|_| !finished.is_empty()) else {
            return Ok(Written::default());
        };
        let published = beside(move || Ok(shelf.publish(finished))).await?;
        published.map_err(|error| match error {
            Unpublished::Gone => Halt::Doubt(self.not_ours()),
            Unpublished::Job(error) => Halt::Job(error),
        })
    }
}

/// The ids of these topics, as they are now.
pub(in crate::jobs::clean) async fn ids_of(
    cluster: &Cluster,
    topics: impl IntoIterator<Item = &str>,
    timeout: Duration,
) -> Result<Vec<(String, Uuid)>, JobError> {
    let mut ids = Vec::new();
    for topic in topics {
        let asked = Instant::now();
        let id = loop {
            match cluster.topic(topic).await {
                Ok(found) => break found.topic_id,
                // It was there a moment ago; a broker that has just started may not know all topics yet.
                Err(ClientError::UnknownTopic { .. }) if asked.elapsed() < timeout => sleep(NOT_KNOWN_YET).await,
                Err(error) => return Err(error.into()),
            }
        };
        ids.push((topic.to_owned(), id));
    }
    Ok(ids)
}

/// Does what takes its time where nobody else has to wait for it.
pub(in crate::jobs::clean) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(JobError::Refused(format!("a file was not written: {error}"))))
}
