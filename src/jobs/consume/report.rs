//! What was read and why it ended.

use super::printer::Counts;
use super::reach::Leg;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Signal;
use crate::base::units::show_count;
use crate::jobs::error::JobError;
use crate::observe::usage::Usage;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Instant;

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every partition is read to where it ended at the start.
    Exit,
    /// Every partition is read to the end that was asked for.
    End,
    /// As many records as were asked for are shown.
    Count,
    /// Nobody reads what is shown any more.
    Closed,
    /// A signal.
    Signal(Signal),
    /// An error, which says itself what it is.
    Error,
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumeReport {
    /// Records and bytes.
    pub counts: Counts,
    /// Each partition, in the order of topics and partitions.
    pub partitions: Vec<PartitionRead>,
    /// Records that came after larger ones, because their partition had been passed over, or was new.
    pub late: u64,
    /// Why it ended.
    pub stopped: Stopped,
    /// How long it took.
    pub seconds: f64,
}

/// How far one partition was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRead {
    /// Which one.
    pub partition: TopicPartition,
    /// The first offset that was to be shown.
    pub start: i64,
    /// The next offset that would be.
    pub position: i64,
    /// Offsets at its end that were in open transactions, and are not shown therefore.
    pub held_back: i64,
    /// As a member of a group: the offset that was committed last.
    pub committed: Option<i64>,
}

impl PartitionRead {
    pub(super) fn of(leg: &Leg) -> Self {
        Self {
            partition: leg.partition.clone(),
            start: leg.first,
            position: leg.first,
            held_back: leg.held_back,
            committed: None,
        }
    }
}

impl Stopped {
    pub(super) fn of_error(error: &JobError) -> Self {
        match error {
            JobError::Interrupted(signal) => Self::Signal(*signal),
            _ => Self::Error,
        }
    }

    /// As it is reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::End => "end",
            Self::Count => "count",
            Self::Closed => "closed",
            Self::Signal(_) => "signal",
            Self::Error => "error",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Exit => "everything is read that was there at the start",
            Self::End => "everything is read up to the end that was asked for",
            Self::Count => "as many records as were asked for are shown",
            Self::Closed => "nobody reads the output any more",
            Self::Signal(_) => "interrupted",
            Self::Error => "an error",
        }
    }
}

impl ConsumeReport {
    pub(super) fn of_nothing(started: Instant, error: &JobError) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        let (counts, stopped) = (Counts::default(), Stopped::of_error(error));
        Self { counts, partitions: Vec::new(), late: 0, stopped, seconds }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let usage = Usage::now();
        let partitions: Vec<Value> = self.partitions.iter().map(PartitionRead::to_json).collect();
        json!({
            "records": self.counts.shown,
            "records_read": self.counts.read,
            "records_unreadable": self.counts.unreadable,
            "records_late": self.late,
            "bytes": self.counts.bytes,
            "stopped": self.stopped.name(),
            "partitions": partitions,
            "seconds": self.seconds,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "cpu_seconds": usage.cpu_seconds,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for read in self.partitions.iter().filter(|read| read.held_back > 0) {
            let _ = writeln!(
                out,
                "{}: {} at its end {} in transactions that were not finished; nothing of them is shown",
                read.partition,
                counted(read.held_back.unsigned_abs(), "offset"),
                if read.held_back == 1 { "was" } else { "were" },
            );
        }
        if self.counts.unreadable > 0 {
            let _ = writeln!(
                out,
                "{} could not be read as --where wants: not shown",
                counted(self.counts.unreadable, "record")
            );
        }
        if self.late > 0 {
            let _ = writeln!(
                out,
                "{} came late, after larger ones, from partitions that had been passed over (--idle-timeout) or were added",
                counted(self.late, "record")
            );
        }
        let records = match self.counts.read == self.counts.shown {
            true => counted(self.counts.shown, "record"),
            false => format!("{} of {}", show_count(self.counts.shown), counted(self.counts.read, "record")),
        };
        let _ = write!(
            out,
            "{records} of {} in {:.1} s ({}/s); stopped: {}",
            counted(self.partitions.len() as u64, "partition"),
            self.seconds,
            show_count((self.counts.read as f64 / self.seconds.max(1e-3)) as u64),
            self.stopped.reason(),
        );
        out
    }
}

/// `1 record`, `2 records`.
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", show_count(count), if count == 1 { "" } else { "s" })
}

impl PartitionRead {
    fn to_json(&self) -> Value {
        let mut shown = json!({
            "topic": &*self.partition.topic,
            "partition": self.partition.partition,
            "start": self.start,
            "position": self.position,
            "held_back": self.held_back,
        });
        if let Some(committed) = self.committed {
            shown["committed"] = committed.into();
        }
        shown
    }
}
