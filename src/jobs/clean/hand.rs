//! What is done with one record: the rules are put to it, it is remembered, it goes to its batch, it is counted. Nothing in here
//! waits.
//!
//! Records before the lane's start were cleaned by an earlier instance, or by this one before a doubt. They come again only
//! where duplicates are told by them, or open groups consist of them: they are remembered and neither counted nor written.

use super::dead::{self, Refusal, UNDECODABLE};
use super::held::Went;
use super::insights::{Desk, Recent};
use super::lane::Lane;
use super::outbox::{Leaving, Outbox, To};
use super::tally::Tally;
use super::{CleanSettings, Rejects, topics};
use crate::base::text::visible;
use crate::batch::{Headers, HeadersBuf, Record};
use crate::jobs::error::JobError;
use crate::rules::lookup::Lookups;
use crate::rules::{Cleaner, Closed, Counts, Incoming, Rules, Verdict};
use std::sync::Arc;

/// A group's record that has become larger than this does not keep its buffer.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// See the module's head.
pub(super) struct Hand {
    rules: Arc<Rules>,
    cleaner: Cleaner,
    /// For what is only remembered, so that it is not counted.
    reminder: Cleaner,
    value: Vec<u8>,
    /// A group's record.
    grouped: Vec<u8>,
    /// By `group_by`: which of the topics beside it goes to.
    group_topics: Vec<usize>,
    headers: HeadersBuf,
    strict: bool,
    /// What rows take that are not written to their files, and may take; and what a file may have.
    pub(super) held_bytes: usize,
    held_bytes_max: usize,
    file_bytes_max: u64,
    pub(super) outbox: Outbox,
    /// Where insights are written, if there are any.
    pub(super) desk: Option<Desk>,
    /// What rules look up in.
    pub(super) lookups: Lookups,
}

/// What is to be said of a record that is refused.
enum Said {
    Wanted,
    Refused { rule: String, class: &'static str, reason: String },
}

impl Hand {
    pub(super) fn new(settings: &CleanSettings, held_bytes_max: usize, outbox: Outbox, desk: Option<Desk>) -> Self {
        let rules = &settings.rules;
        Self {
            rules: rules.clone(),
            cleaner: Cleaner::new(rules.clone()),
            reminder: Cleaner::new(rules.clone()),
            value: Vec::new(),
            grouped: Vec::new(),
            group_topics: topics::of_groups(rules).1,
            headers: HeadersBuf::default(),
            strict: matches!(settings.rejects, Rejects::Stop),
            held_bytes: 0,
            held_bytes_max,
            file_bytes_max: settings.parquet.as_ref().map_or(u64::MAX, |parquet| parquet.bytes_max),
            outbox,
            desk,
            lookups: Lookups::new(rules, 0),
        }
    }

    /// Cleans a record; `true` says that batches are to be sent before the next one.
    #[inline]
    pub(super) fn clean(&mut self, lane: &mut Lane, record: &Record<'_>) -> Result<bool, JobError> {
        lane.position = record.offset.saturating_add(1);
        if record.offset < lane.start {
            return self.remember(lane, record).map(|()| false);
        }
        lane.settle();
        let incoming = Incoming { value: record.value, timestamp_ms: record.timestamp };
        let verdict = self.cleaner.clean_with(&incoming, self.lookups.tables(), &mut self.value);
        lane.open.read += 1;
        let said = match verdict {
            Verdict::Kept => {
                let went = lane.held.offer(&self.cleaner, &self.value, record.offset);
                match went.map_err(|full| lane_full(lane, record, &full))? {
                    Went::Duplicate(_) => {
                        lane.open.deduplicated += 1;
                        return Ok(false);
                    }
                    Went::On { offered, late } => {
                        lane.open.grouped.offered += offered;
                        lane.open.grouped.late += late;
                    }
                }
                lane.open.out += 1;
                Said::Wanted
            }
            Verdict::Filtered { .. } => {
                lane.open.filtered += 1;
                return Ok(false);
            }
            Verdict::Rejected { rule, reason } => {
                let rule = self.rules.name(rule).to_owned();
                Said::Refused { rule, class: reason.class.name(), reason: reason.text }
            }
            Verdict::Undecodable { reason } => {
                Said::Refused { rule: UNDECODABLE.to_owned(), class: reason.class.name(), reason: reason.text }
            }
        };
        let mut leaving = Leaving {
            timestamp: record.timestamp,
            key: record.key,
            value: Some(&self.value),
            headers: record.headers,
            from: &lane.partition,
            offset: record.offset,
        };
        match &said {
            Said::Wanted => {
                let mut is_full = self.outbox.has_result() && self.outbox.push(To::Result, &leaving)?;
                if let Some(file) = &mut lane.file {
                    self.held_bytes += file.push(&self.value, record.offset, record.timestamp);
                    is_full |= self.held_bytes > self.held_bytes_max || file.bytes() >= self.file_bytes_max;
                }
                let counted = self.count(lane, record.offset)?;
                Ok(self.send_closed(lane, record.offset)? || is_full || counted)
            }
            Said::Refused { rule, class, reason } => {
                lane.open.rejected += 1;
                let refusal = Refusal { rule, class, reason };
                if self.strict {
                    return Err(refused(lane, record, refusal));
                }
                leaving.value = record.value;
                leaving.headers =
                    dead::headers(&mut self.headers, record.headers, &lane.partition, record.offset, refusal);
                self.outbox.push(To::Dead, &leaving)
            }
        }
    }

    /// What of it is held.
    fn remember(&mut self, lane: &mut Lane, record: &Record<'_>) -> Result<(), JobError> {
        let incoming = Incoming { value: record.value, timestamp_ms: record.timestamp };
        if let Verdict::Kept = self.reminder.clean(&incoming, &mut self.value) {
            let remembered = lane.held.remember(&self.reminder, &self.value, record.offset);
            let went_on = remembered.map_err(|full| lane_full(lane, record, &full))?;
            if let Some(counting) = lane.counting.as_mut().filter(|_| went_on) {
                let counted = counting.count_again(self.reminder.noted(), record.offset);
                counted.map_err(|full| lane_full(lane, record, &full))?;
            }
        }
        Ok(())
    }

    /// Lets insights count the record that goes out; `true` says that batches are to be sent.
    #[inline]
    fn count(&mut self, lane: &mut Lane, offset: i64) -> Result<bool, JobError> {
        match (&mut self.desk, &mut lane.counting) {
            (Some(desk), Some(counting)) => {
                desk.count(counting, self.cleaner.noted(), &mut self.outbox, (&lane.partition, offset))
            }
            _ => Ok(false),
        }
    }

    /// Goes on with what the last record has closed, once batches are sent; `true` says that batches are to be sent again.
    pub(super) fn go_on(&mut self, lane: &mut Lane) -> Result<bool, JobError> {
        let offset = lane.position.saturating_sub(1);
        if self.send_closed(lane, offset)? {
            return Ok(true);
        }
        match (&mut self.desk, &mut lane.counting) {
            (Some(desk), Some(counting)) => desk.close(counting, &mut self.outbox, (&lane.partition, offset)),
            _ => Ok(false),
        }
    }

    /// How many records insights have written since this was last asked, and the windows that they have closed.
    pub(super) fn take_insights(&mut self) -> (u64, Recent) {
        self.desk.as_mut().map(Desk::take).unwrap_or_default()
    }

    /// Sends the groups whose windows the record at `offset` has closed; `true` says that batches are to be sent, and
    /// [`Self::go_on`] asked, before the next ones: a record may close as many as there are.
    fn send_closed(&mut self, lane: &mut Lane, offset: i64) -> Result<bool, JobError> {
        while let Some(closed) = lane.held.take_closed() {
            if self.send_group(lane, closed, offset)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn send_group(&mut self, lane: &mut Lane, mut closed: Closed, offset: i64) -> Result<bool, JobError> {
        let from = &lane.partition;
        self.grouped.clear();
        self.grouped.shrink_to(BUFFER_BYTES_MAX);
        closed.write(&self.rules, (&from.topic, from.partition), &mut self.grouped);
        lane.open.grouped.closed += closed.count();
        lane.open.grouped.records += 1;
        let leaving = Leaving {
            timestamp: closed.timestamp_ms(),
            key: Some(closed.key()),
            value: Some(&self.grouped),
            headers: Headers::EMPTY,
            from,
            offset,
        };
        let topic = self.group_topics.get(closed.by()).copied().unwrap_or_default();
        self.outbox.push(To::Beside(topic), &leaving)
    }

    /// How many records brokers have to acknowledge for all that this counts.
    pub(super) fn written(&self, tally: Tally) -> u64 {
        let out = if self.outbox.has_result() { tally.out } else { 0 };
        out + tally.rejected + tally.grouped.records
    }

    /// The cleaner's own counts since they were taken last, which have to agree with `open`.
    pub(super) fn take_counts(&mut self, open: Tally) -> Result<Counts, JobError> {
        let counts = self.cleaner.take_counts();
        let rejected = counts.rejected.values().chain(counts.undecodable.values()).sum::<u64>();
        let its = (counts.records, counts.kept, counts.filtered.values().sum::<u64>(), rejected);
        let ours = (open.read, open.out + open.deduplicated, open.filtered, open.rejected);
        if its != ours || !open.is_balanced() {
            return Err(JobError::Refused(format!(
                "records do not add up, which is a defect of this program: the rules have seen {its:?}, counted are {open:?}; \
                 nothing of this transaction is committed"
            )));
        }
        Ok(counts)
    }

    /// Forgets what was not committed.
    pub(super) fn forget(&mut self) {
        self.held_bytes = 0;
        self.outbox.clear();
        drop(self.take_insights());
        drop(self.cleaner.take_counts());
    }
}

#[cold]
fn refused(lane: &Lane, record: &Record<'_>, refusal: Refusal<'_>) -> JobError {
    let Refusal { rule, reason, .. } = refusal;
    JobError::Unfit(format!(
        "{}: {}: {} (--strict: nothing of its transaction is committed; without it such records go to the dead letters)",
        lane.partition.at(record.offset),
        visible(rule),
        visible(reason)
    ))
}

#[cold]
fn lane_full(lane: &Lane, record: &Record<'_>, full: &dyn std::fmt::Display) -> JobError {
    JobError::Refused(format!("{}: {full}", lane.partition.at(record.offset)))
}
