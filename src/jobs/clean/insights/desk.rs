//! Where insights are written: what was counted, and the windows that close, on their way to their topics.

use super::super::CleanSettings;
use super::super::outbox::{Leaving, Outbox, To, Topic};
use super::counting::Counting;
use super::recent::Recent;
use super::results::{self, ResultRecord};
use super::store::Store;
use crate::base::clock;
use crate::base::place::TopicPartition;
use crate::batch::Headers;
use crate::client::{Cluster, NewTopic};
use crate::jobs::error::JobError;
use crate::jobs::made::topic_or_new;
use crate::jobs::merge::message_bytes_max;
use crate::rules::Rules;
use crate::rules::insight::{Noted, Part};
use std::sync::Arc;

/// See the module's head.
pub(in crate::jobs::clean) struct Desk {
    rules: Arc<Rules>,
    group: String,
    /// Where what was counted goes.
    counts: To,
    /// Where windows go, and what people want to know of what was counted.
    results: Option<To>,
    /// Records since this was last asked.
    pushed: u64,
    /// The windows that closed last since they were taken.
    closed: Recent,
}

impl Desk {
    /// Opens the topics, which are made where they are missing, with as many partitions as are read, and adds them to those that
    /// are written; `None` without insights.
    pub(in crate::jobs::clean) async fn open(
        cluster: &Cluster,
        settings: &CleanSettings,
        partitions: usize,
        beside: &mut Vec<Topic>,
        made: &mut Vec<String>,
    ) -> Result<Option<(Self, Store)>, JobError> {
        if settings.rules.insights().is_empty() {
            return Ok(None);
        }
        let (store, counts, is_new) = Store::open(cluster, settings, partitions).await?;
        made.extend(is_new.then(|| settings.insights_state.clone()));
        let counts_to = To::Beside(beside.len());
        beside.push(counts);
        let mut results = None;
        if let Some(name) = &settings.insights_to {
            let new = NewTopic::new(name, i32::try_from(partitions).unwrap_or(i32::MAX));
            let (info, is_new) = topic_or_new(cluster, &new).await?;
            made.extend(is_new.then(|| name.clone()));
            let bytes_max = message_bytes_max(&cluster.topic_configs(name).await?);
            results = Some(To::Beside(beside.len()));
            beside.push(Topic::new(name, info.partitions.len(), bytes_max, settings.batch_bytes).by_origin());
        }
        let (rules, group) = (Arc::clone(&settings.rules), settings.group.group.to_string());
        Ok(Some((Self { rules, group, counts: counts_to, results, pushed: 0, closed: Recent::default() }, store)))
    }

    /// Counts a record that goes out; `true` says that batches are to be sent, and [`Self::close`] asked, before the next one.
    #[inline]
    pub(in crate::jobs::clean) fn count(
        &mut self,
        counting: &mut Counting,
        noted: Noted<'_>,
        outbox: &mut Outbox,
        at: (&TopicPartition, i64),
    ) -> Result<bool, JobError> {
        counting.count(noted).map_err(|full| JobError::Refused(format!("{}: {full}", at.0.at(at.1))))?;
        self.close(counting, outbox, at)
    }

    /// Takes the windows that have closed; `true` where batches are to be sent before the next ones.
    #[inline]
    pub(in crate::jobs::clean) fn close(
        &mut self,
        counting: &mut Counting,
        outbox: &mut Outbox,
        at: (&TopicPartition, i64),
    ) -> Result<bool, JobError> {
        while let Some(closed) = counting.next_closed() {
            let mut is_full = false;
            if let (Some(to), Some(insight)) = (self.results, self.rules.insights().get(closed.insight)) {
                let record = results::window(insight, &closed, &self.group, at.0);
                is_full = self.push(to, &record, outbox, at)?;
            }
            self.closed.add(&closed);
            if is_full {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a part of what was counted before an offset; `true` where batches are to be sent before the next one.
    pub(in crate::jobs::clean) fn keep(
        &mut self,
        part: Part,
        outbox: &mut Outbox,
        at: (&TopicPartition, i64),
    ) -> Result<bool, JobError> {
        let key = Store::key(&self.group, at.0, part.number);
        self.push(self.counts, &ResultRecord { timestamp: clock::now_ms(), key, value: part.json }, outbox, at)
    }

    /// Takes what was counted in all before an offset, as people want to know it.
    pub(in crate::jobs::clean) fn tell(
        &mut self,
        counting: &Counting,
        outbox: &mut Outbox,
        at: (&TopicPartition, i64),
    ) -> Result<(), JobError> {
        let Some(to) = self.results else { return Ok(()) };
        let rules = Arc::clone(&self.rules);
        for one in rules.insights().iter().enumerate() {
            let record = results::total(one, counting.insights(), at.1, clock::now_ms(), (&self.group, at.0));
            self.push(to, &record, outbox, at)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        to: To,
        record: &ResultRecord,
        outbox: &mut Outbox,
        (from, offset): (&TopicPartition, i64),
    ) -> Result<bool, JobError> {
        self.pushed += 1;
        let (key, value) = (Some(record.key.as_slice()), Some(record.value.as_slice()));
        outbox.push(to, &Leaving { timestamp: record.timestamp, key, value, headers: Headers::EMPTY, from, offset })
    }

    /// How many records were pushed since this was last asked, and the windows that closed last.
    pub(in crate::jobs::clean) fn take(&mut self) -> (u64, Recent) {
        (std::mem::take(&mut self.pushed), std::mem::take(&mut self.closed))
    }
}
