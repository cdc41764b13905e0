//! Taking what was counted of a partition over, and keeping it with a commit.

use super::super::VOIDED_WITHIN;
use super::super::lane::Lane;
use super::super::tally::Note;
use super::super::work::{Halt, Work};
use super::counting::{Counting, Kept, Written};
use crate::base::place::TopicPartition;
use crate::client::OffsetAt;
use crate::client::group::Start;
use crate::jobs::error::JobError;
use crate::rules::insight::{Insights, PartPlace};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// For so long transactions of others are waited for, who may have been killed just now.
pub(super) fn patience(transaction_timeout: Duration) -> Duration {
    transaction_timeout.saturating_add(VOIDED_WITHIN)
}

impl Work<'_> {
    /// What was counted of a partition that becomes ours, and from where its log has to be read to count on; `None` without
    /// insights.
    pub(in crate::jobs::clean) async fn take_counting(
        &self,
        start: &Start,
    ) -> Result<Option<(Counting, i64)>, JobError> {
        let Some(store) = &self.looked.store else { return Ok(None) };
        let (rules, bytes_max) = (&self.settings.rules, self.looked.state_bytes_max);
        let due = Instant::now() + self.settings.report_interval;
        let anew = || {
            let insights = Insights::new(rules, start.offset, bytes_max);
            Ok(Some((Counting::new(insights, Kept::nothing(start.offset), due), start.offset)))
        };
        let (partition, note) = (&start.partition, Note::read(&start.note, start.offset));
        let Some(kept) = note.insights else {
            if note.tally.read > 0 {
                tracing::info!(%partition, offset = start.offset, "insights count from here on: nothing was counted before, or the offset was moved");
            }
            return anew();
        };
        let mut insights = match kept.written {
            None => Insights::new(rules, kept.to, bytes_max),
            Some(written) => {
                let place = super::store::Place { group: &self.settings.group.group, input: partition, written };
                match store.read(&self.cluster, place, (rules, bytes_max), self.looked.share, self.cx).await? {
                    Ok(insights) => insights,
                    Err(why) => {
                        tracing::warn!(%partition, offset = start.offset, "what was counted before is not there any more ({why}): insights begin anew from here on");
                        return anew();
                    }
                }
            }
        };
        let mut read_from = kept.read_from.min(start.offset);
        let mut missed = 0;
        if read_from < start.offset {
            let one = std::slice::from_ref(partition);
            let earliest = self.cluster.offsets(one, OffsetAt::Earliest).await?.first().copied().unwrap_or(read_from);
            read_from = read_from.max(earliest.min(start.offset));
            missed = read_from.saturating_sub(kept.to).max(0).unsigned_abs();
        }
        if missed > 0 {
            tracing::warn!(%partition, from = kept.to, to = read_from, "records that went out are deleted before they could be counted again: insights lack them");
            insights.miss(missed);
        } else if read_from > kept.read_from && rules.is_stateful() {
            tracing::warn!(%partition, "records that duplicates were told by are deleted: insights may count some that were none");
        }
        let mut counting = Counting::new(insights, kept, due);
        if missed > 0 {
            counting.changed();
        }
        Ok(Some((counting, read_from)))
    }

    /// Commits with all that was counted, whenever that was kept last, so that who comes next need not count again.
    pub(in crate::jobs::clean) async fn commit_with_counts(&mut self) -> Result<(), Halt> {
        self.keep_counts(true).await?;
        self.commit().await
    }

    /// Writes out what was counted of the partitions where that is due, to be committed with what is open.
    pub(in crate::jobs::clean) async fn keep_counts(&mut self, at_once: bool) -> Result<(), Halt> {
        let Some(store) = &self.looked.store else { return Ok(()) };
        let now = Instant::now();
        let is_due = |lane: &&Lane| {
            let is_due = lane.counting.as_ref().is_some_and(|counting| counting.is_due(now, at_once));
            is_due && !lane.is_remembering()
        };
        let due: Vec<TopicPartition> = self.lanes.values().filter(is_due).map(|lane| lane.partition.clone()).collect();
        let mut stand: Vec<TopicPartition> = due.iter().map(|input| store.partition_of(input)).collect();
        let of = due.iter().cloned().zip(stand.iter().cloned()).collect::<BTreeMap<_, _>>();
        stand.sort();
        stand.dedup();
        if stand.is_empty() {
            return Ok(());
        }
        let ends = self.cluster.offsets(&stand, OffsetAt::Latest).await.map_err(JobError::from)?;
        let ends: BTreeMap<TopicPartition, i64> = stand.into_iter().zip(ends).collect();
        for (input, at) in &of {
            let stands_from = ends.get(at).copied().unwrap_or(0);
            self.keep(input, (at.partition, stands_from), now).await?;
        }
        Ok(())
    }

    async fn keep(
        &mut self,
        input: &TopicPartition,
        (partition, stands_from): (i32, i64),
        now: Instant,
    ) -> Result<(), Halt> {
        let mut place = PartPlace::default();
        loop {
            let (Some(lane), Some(desk)) = (self.lanes.get_mut(input), &mut self.hand.desk) else { return Ok(()) };
            let at = lane.position.max(lane.start);
            let read_from = lane.needed_from().unwrap_or(at).min(at);
            let Some(counting) = &mut lane.counting else { return Ok(()) };
            match counting.part(at, &mut place) {
                Some(part) => {
                    if desk.keep(part, &mut self.hand.outbox, (input, at))? {
                        self.send().await?;
                    }
                }
                None => {
                    desk.tell(counting, &mut self.hand.outbox, (input, at))?;
                    let written = Some(Written { at, partition, stands_from });
                    counting.keep(Kept { to: at, read_from, written }, now + self.settings.report_interval);
                    return Ok(());
                }
            }
        }
    }

    /// All that was counted is committed.
    pub(in crate::jobs::clean) fn counts_stand(&mut self) {
        // After a doubt nobody knows any more; what was told then is still the last word.
        if self.lanes.is_empty() {
            return;
        }
        let known = self.lanes.values().filter(|lane| !lane.is_remembering());
        let known = known.filter_map(|lane| Some((&lane.partition, lane.counting.as_ref()?)));
        self.done.board.stands(known);
    }
}
