//! The first records of the input, before and after, and what insights count of them: nothing is written, and no group is joined.

use super::dead::UNDECODABLE;
use super::held::{Full, Held, Went};
use super::insights::{Board, Counting, Kept, Recent, Shown};
use super::lookups::{TopicReader, come_from_elsewhere, memory as lookup_memory};
use super::tally::Note;
use crate::base::place::{Place, TopicPartition};
use crate::base::time::show_epoch_ms;
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::jobs::range::partitions_of;
use crate::observe::progress::Progress;
use crate::rules::insight::Insights;
use crate::rules::{Cleaner, Incoming, Rules, Verdict};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// What a batch may take unfolded, and what is remembered; a look is not worth more.
const MEMORY_BYTES: usize = 8 << 20;

/// A record, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it is.
    pub at: Place,
    /// Its value; none of a tombstone. What is no UTF-8 is shown as far as it is.
    pub before: Option<String>,
    /// What becomes of it.
    pub fate: Fate,
    /// The groups that it is in.
    pub groups: Vec<InGroup>,
}

/// A group that a record is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InGroup {
    /// The name of the `group_by`.
    pub rule: String,
    /// The group's key, a JSON object.
    pub key: String,
    /// When its window begins, RFC 3339.
    pub window_start: String,
    /// Whether it is late: the window is closed.
    pub late: bool,
}

/// What was looked at.
#[derive(Debug)]
pub struct Preview {
    /// The records, in order.
    pub seen: Vec<Seen>,
    insights: Vec<Shown>,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on like this.
    Kept(String),
    /// A rule does not want it.
    Filtered {
        /// The rule's name.
        rule: String,
    },
    /// It was there before.
    Deduplicated {
        /// The rule's name.
        rule: String,
    },
    /// It is refused.
    Rejected {
        /// The rule's name, or `undecodable`.
        rule: String,
        /// Why.
        reason: String,
    },
}

impl Fate {
    /// In a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kept(_) => "kept",
            Self::Filtered { .. } => "filtered",
            Self::Deduplicated { .. } => "deduplicated",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// The rule that it owes this to, and why.
    pub fn because(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Kept(_) => (None, None),
            Self::Filtered { rule } | Self::Deduplicated { rule } => (Some(rule), None),
            Self::Rejected { rule, reason } => (Some(rule), Some(reason)),
        }
    }
}

/// The first `count` committed records of these topics, partition by partition, and what the rules make of them. What rules look
/// up in takes its part of `memory_bytes`, as it would when it is cleaned.
pub async fn preview(
    from: &[String],
    rules: &Arc<Rules>,
    count: usize,
    memory_bytes: usize,
    cx: &JobContext,
) -> Result<Preview, JobError> {
    tokio::select! {
        biased;
        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
        seen = look(from, rules, count, memory_bytes, cx) => seen,
    }
}

async fn look(
    from: &[String],
    rules: &Arc<Rules>,
    count: usize,
    memory_bytes: usize,
    cx: &JobContext,
) -> Result<Preview, JobError> {
    come_from_elsewhere(rules, from, &[])?;
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let partitions = partitions_of(&cluster, from, &[]).await?;
    let lookups = match TopicReader::find(&cluster, rules, (memory_bytes, memory_bytes), cx).await? {
        Some(reader) => Some(reader.load(rules).await?.0),
        None => None,
    };
    let tables = lookups.as_ref().map_or(&[][..], |lookups| lookups.tables());
    let starts = cluster.offsets(&partitions, OffsetAt::Earliest).await?;
    let ends = cluster.offsets(&partitions, OffsetAt::LastStable).await?;
    let mut cleaner = Cleaner::new(rules.clone());
    let (mut seen, mut out, mut counted) = (Vec::new(), Vec::new(), Counted::default());
    for (partition, (start, end)) in partitions.into_iter().zip(starts.into_iter().zip(ends)) {
        if seen.len() >= count {
            break;
        }
        let mut held = Held::new(rules, MEMORY_BYTES, &Note::default());
        let mut insights = Insights::new(rules, start, memory_bytes - lookup_memory(rules, memory_bytes));
        let options = ReadOptions { fetch_bytes_max: 256 << 10, ..ReadOptions::default() };
        let source = cluster.reader(partition.clone(), start..end.max(start), options);
        let mut cursor = RecordCursor::new(source, MEMORY_BYTES, cx.shutdown.clone(), Progress::default());
        while seen.len() < count {
            let next = cursor.next_with(|record| {
                let incoming = Incoming { value: record.value, timestamp_ms: record.timestamp };
                let verdict = cleaner.clean_with(&incoming, tables, &mut out);
                let fate = fate(rules, &cleaner, verdict, &out, &mut held, record.offset);
                let at = partition.at(record.offset);
                let before = record.value.map(|value| String::from_utf8_lossy(value).into_owned());
                let full = |full: &dyn std::fmt::Display| JobError::Refused(format!("{at}: {full}"));
                let (fate, groups) = fate.map_err(|error| full(&error))?;
                if let Fate::Kept(_) = fate {
                    insights.count(cleaner.noted()).map_err(|error| full(&error))?;
                    std::iter::from_fn(|| insights.next_closed()).for_each(|closed| counted.closed.add(&closed));
                }
                Ok::<_, JobError>(Seen { at, before, fate, groups })
            });
            match next.await? {
                Some(one) => seen.push(one?),
                None => break,
            }
        }
        counted.partitions.push((partition, insights, start));
    }
    Ok(Preview { seen, insights: counted.shown(rules) })
}

/// What insights have counted, partition by partition.
#[derive(Default)]
struct Counted {
    partitions: Vec<(TopicPartition, Insights, i64)>,
    closed: Recent,
}

impl Counted {
    fn shown(self, rules: &Arc<Rules>) -> Vec<Shown> {
        let mut board = Board::new(rules);
        board.have_closed(&self.closed);
        let now = Instant::now();
        let partitions = self.partitions.into_iter();
        let partitions: Vec<(TopicPartition, Counting)> = partitions
            .map(|(one, insights, start)| (one, Counting::new(insights, Kept::nothing(start), now)))
            .collect();
        board.stands(partitions.iter().map(|(one, counting)| (one, counting)));
        board.shown()
    }
}

impl Preview {
    /// What insights have counted of the records, in lines.
    pub fn insights(&self) -> Vec<String> {
        self.insights.iter().flat_map(Shown::lines).collect()
    }

    /// As one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "records": self.seen.iter().map(Seen::to_json).collect::<Vec<_>>(),
            "insights": self.insights.iter().map(Shown::to_json).collect::<Vec<_>>(),
        })
    }
}

fn fate(
    rules: &Rules,
    cleaner: &Cleaner,
    verdict: Verdict,
    out: &[u8],
    held: &mut Held,
    offset: i64,
) -> Result<(Fate, Vec<InGroup>), Full> {
    let name = |rule| rules.name(rule).to_owned();
    let fate = match verdict {
        Verdict::Kept => {
            let groups = groups(rules, cleaner, held);
            let went = held.offer(cleaner, out, offset)?;
            while held.take_closed().is_some() {}
            return Ok(match went {
                Went::Duplicate(rule) => (Fate::Deduplicated { rule: name(rule) }, Vec::new()),
                Went::On { .. } => (Fate::Kept(String::from_utf8_lossy(out).into_owned()), groups),
            });
        }
        Verdict::Filtered { rule } => Fate::Filtered { rule: name(rule) },
        Verdict::Rejected { rule, reason } => Fate::Rejected { rule: name(rule), reason: reason.text },
        Verdict::Undecodable { reason } => Fate::Rejected { rule: UNDECODABLE.to_owned(), reason: reason.text },
    };
    Ok((fate, Vec::new()))
}

fn groups(rules: &Rules, cleaner: &Cleaner, held: &Held) -> Vec<InGroup> {
    let groups = cleaner.grouped().keys(rules.group_bys()).enumerate().map(|(index, (by, key, start_ms))| InGroup {
        rule: rules.name(by.rule()).to_owned(),
        key: String::from_utf8_lossy(key).into_owned(),
        window_start: show_epoch_ms(start_ms).to_string(),
        late: held.is_late(index, start_ms),
    });
    groups.collect()
}

impl Seen {
    /// As one JSON object. Values are text: what was there may be no JSON.
    pub fn to_json(&self) -> Value {
        let (rule, reason) = self.fate.because();
        let after = match &self.fate {
            Fate::Kept(after) => Some(after),
            _ => None,
        };
        let groups = self
            .groups
            .iter()
            .map(|one| json!({ "rule": one.rule, "key": one.key, "window_start": one.window_start, "late": one.late }));
        json!({
            "topic": *self.at.partition.topic,
            "partition": self.at.partition.partition,
            "offset": self.at.offset,
            "fate": self.fate.name(),
            "before": self.before,
            "after": after,
            "rule": rule,
            "reason": reason,
            "groups": groups.collect::<Vec<_>>(),
        })
    }
}
