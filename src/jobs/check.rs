//! `check`: is a topic sorted by a key, partition by partition? What a merge needs to know before it starts.
//!
//! Every partition is read once, several at a time as far as the memory goes, each in a task of its own with the next window
//! fetched ahead; a window is decoded in place, and nothing is allocated per record. An inversion is a record whose key is below
//! that of the record before it; they are counted, and the first one of each partition is kept with both offsets and keys.
//! A key that cannot be read ends the check with its place: what cannot be ordered is not sorted.

use super::JobContext;
use super::cursor::{HeldRaw, RecordCursor};
use super::error::JobError;
use super::range::{Bounds, ReadShare, offsets_in, partitions_of, pin};
use super::windows::Windows;
use crate::base::ends::Bound;
use crate::base::place::TopicPartition;
use crate::base::units::show_count;
use crate::batch::{RawRecord, Record};
use crate::client::Cluster;
use crate::keys::{KeyError, KeyPlan};
use crate::observe::usage::Usage;
use crate::ports::Source;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// What one partition should have at least: a batch may take a quarter of it, and by default a broker takes batches of 1 MiB.
const PARTITION_BYTES: usize = 5 << 20;

/// What is checked.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// The topic.
    pub topic: String,
    /// These partitions only; all where it is empty.
    pub partitions: Vec<i32>,
    /// By what it should be sorted.
    pub keys: KeyPlan,
    /// Where to start; without it, at the first offset there is.
    pub start: Option<Bound>,
    /// Where to end; without it, at the high watermarks now.
    pub end: Option<Bound>,
    /// The most memory that reading may take.
    pub memory_bytes: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// By what the topic should be sorted.
    pub keys: KeyPlan,
    /// Each partition, ascending.
    pub partitions: Vec<PartitionCheck>,
    /// How long it took.
    pub seconds: f64,
}

/// What was found in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionCheck {
    /// Which one.
    pub partition: TopicPartition,
    /// The offsets that were read.
    pub range: Range<i64>,
    /// The records in them.
    pub records: u64,
    /// How many records have a key below that of the record before them.
    pub inversions: u64,
    /// The first of these.
    pub first: Option<Inversion>,
}

/// A record whose key is below that of the record before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inversion {
    /// Its offset.
    pub offset: i64,
    /// Its key, for people.
    pub key: String,
    /// The offset of the record before it.
    pub previous_offset: i64,
    /// That record's key, for people.
    pub previous_key: String,
}

/// Reads the topic and says whether it is sorted.
pub async fn run(settings: &CheckSettings, cx: &JobContext) -> Result<CheckReport, JobError> {
    let started = Instant::now();
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let partitions = partitions_of(&cluster, std::slice::from_ref(&settings.topic), &settings.partitions).await?;
    let bounds = Bounds { start: ("--start", settings.start.as_ref()), end: ("--end", settings.end.as_ref()) };
    let ranges = pin(&cluster, &partitions, bounds).await?;
    cx.progress.begin("check", offsets_in(&ranges));
    let at_once = (settings.memory_bytes / PARTITION_BYTES).clamp(1, ranges.len().max(1));
    let share = ReadShare::of("check", settings.memory_bytes, 0, at_once)?;
    let readers = ranges.into_iter().map(|(partition, range)| cluster.reader(partition, range, share.read_options()));
    let partitions = check_all(readers, &settings.keys, share, at_once, cx).await?;
    Ok(CheckReport { keys: settings.keys.clone(), partitions, seconds: started.elapsed().as_secs_f64() })
}

/// Checks every source, `at_once` at a time; the answers are in the order of the sources.
async fn check_all<S>(
    sources: impl Iterator<Item = S>,
    keys: &KeyPlan,
    share: ReadShare,
    at_once: usize,
    cx: &JobContext,
) -> Result<Vec<PartitionCheck>, JobError>
where
    S: Source + 'static,
    JobError: From<S::Error>,
{
    let keys = Arc::new(keys.clone());
    let mut waiting = sources.enumerate();
    let mut found = Vec::new();
    // Dropping the set ends the tasks in it, so an error here leaves nothing running.
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < at_once.max(1)
            && let Some((index, source)) = waiting.next()
        {
            let keys = keys.clone();
            let cursor = share.cursor(Windows::start(source, share.fetch_bytes, None), cx);
            tasks.spawn(async move { check_one(cursor, &keys).await.map(|check| (index, check)) });
        }
        match tasks.join_next().await {
            Some(Ok(checked)) => found.push(checked?),
            Some(Err(panicked)) => match panicked.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(JobError::Refused("a reader was stopped".to_owned())),
            },
            None => break,
        }
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(_, check)| check).collect())
}

async fn check_one(mut cursor: RecordCursor<Windows>, keys: &KeyPlan) -> Result<PartitionCheck, JobError> {
    let mut seen = Seen::default();
    loop {
        let stopped = cursor.pass_here_with(
            &mut seen,
            |seen, found| seen.pass(found, keys),
            |seen, batch| seen.leave(batch, keys),
        )?;
        match stopped {
            Some(Stop::Inverted) => {}
            Some(Stop::Key(offset, error)) => {
                return Err(JobError::Key { at: cursor.partition().at(offset), error: *error });
            }
            None if cursor.more().await? => {}
            None => {
                let (partition, range) = (cursor.partition().clone(), cursor.range());
                let Seen { records, inversions, first, .. } = seen;
                return Ok(PartitionCheck { partition, range, records, inversions, first });
            }
        }
    }
}

/// What was seen of one partition so far. Before the first record, the last key is the least there is.
#[derive(Default)]
struct Seen {
    /// The last key: its first eight bytes, and the rest.
    last: (u64, Vec<u8>),
    /// A key's bytes beyond its first eight.
    tail: Vec<u8>,
    /// Up to the first inversion, to name both records of it: where the last record lies in its batch,
    last_lies: Option<Lies>,
    /// or the record, if that batch was left;
    previous: HeldRaw,
    /// and the record that belongs before it.
    inverted: Option<HeldRaw>,
    records: u64,
    inversions: u64,
    first: Option<Inversion>,
}

/// Offset and timestamp of a record, and where its bytes lie in its batch.
struct Lies {
    offset: i64,
    timestamp: i64,
    end: usize,
    len: usize,
}

/// Why reading stopped.
enum Stop {
    /// At the first inversion: both records are to be looked at.
    Inverted,
    /// At this offset, where a key cannot be read.
    Key(i64, Box<KeyError>),
}

impl Seen {
    /// Takes the next record.
    #[inline(always)]
    fn pass(&mut self, found: &RawRecord<'_>, keys: &KeyPlan) -> ControlFlow<Stop> {
        let Record { offset, timestamp, .. } = found.record;
        let word = match keys.extract_into(&found.record, &mut self.tail) {
            Ok(word) => word,
            Err(error) => return ControlFlow::Break(Stop::Key(offset, Box::new(error))),
        };
        self.records += 1;
        let mut inverted = word < self.last.0;
        let same = word == self.last.0;
        self.last.0 = word;
        // Most keys are eight bytes, and no bytes at all are slow to compare.
        if !(self.tail.is_empty() && self.last.1.is_empty()) {
            inverted |= same && self.tail < self.last.1;
            std::mem::swap(&mut self.tail, &mut self.last.1);
        }
        self.inversions += u64::from(inverted);
        if self.first.is_none() {
            if inverted {
                self.inverted.get_or_insert_default().hold(offset, timestamp, found.raw);
                return ControlFlow::Break(Stop::Inverted);
            }
            match found.end {
                Some(end) => self.last_lies = Some(Lies { offset, timestamp, end, len: found.raw.len() }),
                None => self.previous.hold(offset, timestamp, found.raw),
            }
        }
        ControlFlow::Continue(())
    }

    /// Reading in `batch` stops: what may have to be named of it is kept, or named.
    fn leave(&mut self, batch: &[u8], keys: &KeyPlan) {
        if let Some(Lies { offset, timestamp, end, len }) = self.last_lies.take() {
            self.previous.hold(offset, timestamp, &batch[end - len..end]);
        }
        if let Some(inverted) = self.inverted.take()
            && let (Some(found), Some(previous)) = (inverted.record(), self.previous.record())
        {
            self.first = Some(Inversion {
                offset: found.offset,
                key: keys.show(&found),
                previous_offset: previous.offset,
                previous_key: keys.show(&previous),
            });
        }
    }
}

impl CheckReport {
    /// Whether nothing runs backwards.
    pub fn sorted(&self) -> bool {
        self.inversions() == 0
    }

    /// How many records were read.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|check| check.records).sum()
    }

    /// How many of them have a key below that of the record before them.
    pub fn inversions(&self) -> u64 {
        self.partitions.iter().map(|check| check.inversions).sum()
    }

    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        if self.sorted() {
            return Ok(());
        }
        let unsorted = self.partitions.iter().filter(|check| check.inversions > 0).count();
        Err(JobError::Difference(format!(
            "not sorted by {}: {} of {} partitions run backwards somewhere",
            self.keys,
            unsorted,
            self.partitions.len()
        )))
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let usage = Usage::now();
        let partitions: Vec<Value> = self.partitions.iter().map(PartitionCheck::to_json).collect();
        json!({
            "sorted": self.sorted(),
            "records": self.records(),
            "inversions": self.inversions(),
            "key": self.keys.to_string(),
            "partitions": partitions,
            "seconds": self.seconds,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "cpu_seconds": usage.cpu_seconds,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for check in &self.partitions {
            let Some(first) = &check.first else { continue };
            let _ = writeln!(
                out,
                "{}: key {} belongs before {} at offset {} ({} inversion{} in this partition)",
                check.partition.at(first.offset),
                first.key,
                first.previous_key,
                first.previous_offset,
                show_count(check.inversions),
                if check.inversions == 1 { "" } else { "s" },
            );
        }
        let _ = write!(
            out,
            "{} by {}: {} records in {} partition{}, {} inversion{}",
            if self.sorted() { "sorted" } else { "not sorted" },
            self.keys,
            show_count(self.records()),
            self.partitions.len(),
            if self.partitions.len() == 1 { "" } else { "s" },
            show_count(self.inversions()),
            if self.inversions() == 1 { "" } else { "s" },
        );
        out
    }
}

impl PartitionCheck {
    fn to_json(&self) -> Value {
        json!({
            "topic": &*self.partition.topic,
            "partition": self.partition.partition,
            "start": self.range.start,
            "end": self.range.end,
            "records": self.records,
            "inversions": self.inversions,
            "first_inversion": self.first.as_ref().map(|first| json!({
                "offset": first.offset,
                "key": first.key,
                "previous_offset": first.previous_offset,
                "previous_key": first.previous_key,
            })),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Made, MemorySource, block_on, context};
    use super::*;
    use crate::batch::Codec;
    use crate::keys::Order;

    fn check(partitions: &[&[&str]], order: Order, at_once: usize) -> Result<CheckReport, JobError> {
        let check = |codec| check_compressed(partitions, order, at_once, codec);
        let (found, compressed) = (check(Codec::None), check(Codec::Lz4));
        assert_eq!(format!("{found:?}"), format!("{compressed:?}"), "whatever the batches are");
        found
    }

    fn check_compressed(
        partitions: &[&[&str]],
        order: Order,
        at_once: usize,
        codec: Codec,
    ) -> Result<CheckReport, JobError> {
        let sources = partitions.iter().enumerate().map(|(index, values)| {
            let records: Vec<Made> = values.iter().map(Made::value).collect();
            MemorySource::new("t", index as i32, &records).cut(2, 1).codec(codec)
        });
        let keys = KeyPlan::parse(&[], order).unwrap();
        let share = ReadShare::of("check", 1 << 20, 0, 1).unwrap();
        let partitions = block_on(check_all(sources, &keys, share, at_once, &context()))?;
        Ok(CheckReport { keys, partitions, seconds: 0.0 })
    }

    #[test]
    fn a_sorted_topic_is_sorted_with_ties_and_empty_partitions() {
        for at_once in [0, 1, 2, 10] {
            let report = check(&[&["1", "2", "2", "10"], &[], &["-5", "0"]], Order::Asc, at_once).unwrap();
            assert_eq!((report.sorted(), report.records(), report.inversions()), (true, 6, 0));
            assert!(report.verdict().is_ok());
            assert_eq!(report.to_json()["partitions"][0]["first_inversion"], Value::Null);
        }
    }

    #[test]
    fn the_first_inversion_of_each_partition_is_named_with_both_offsets_and_keys() {
        let report = check(&[&["1", "3", "2", "1", "9"], &["1", "2"], &["5", "5", "5", "-5"]], Order::Asc, 2).unwrap();
        assert_eq!((report.sorted(), report.records(), report.inversions()), (false, 11, 3));
        let inversion = |offset, key: &str, previous_offset, previous_key: &str| Inversion {
            offset,
            key: key.into(),
            previous_offset,
            previous_key: previous_key.into(),
        };
        assert_eq!(report.partitions[0].first, Some(inversion(2, "2", 1, "3")));
        assert_eq!(report.partitions[0].inversions, 2);
        assert_eq!(report.partitions[1].first, None);
        assert_eq!(report.partitions[2].first, Some(inversion(3, "-5", 2, "5")));
        let json = report.to_json();
        assert_eq!((&json["sorted"], &json["records"], &json["inversions"]), (&json!(false), &json!(11), &json!(3)));
        assert_eq!(
            json["partitions"][2]["first_inversion"],
            json!({"offset": 3, "key": "-5", "previous_offset": 2, "previous_key": "5"})
        );
        let summary = report.summary();
        assert!(
            summary.contains(
                "t partition 0 offset 2: key 2 belongs before 3 at offset 1 (2 inversions in this partition)"
            ),
            "{summary}"
        );
        assert_eq!(report.verdict().unwrap_err().kind(), crate::base::kind::Kind::Data);
    }

    #[test]
    fn both_records_of_an_inversion_are_named_wherever_their_batches_end() {
        for at in 1..7 {
            let mut values = vec!["5"; 7];
            values[at] = "4";
            let report = check(&[&values], Order::Asc, 1).unwrap();
            let offset = at as i64;
            let first = Inversion { offset, key: "4".into(), previous_offset: offset - 1, previous_key: "5".into() };
            assert_eq!((report.inversions(), report.partitions[0].first.as_ref()), (1, Some(&first)), "{at}");
        }
    }

    #[test]
    fn descending_is_checked_by_the_descending_order() {
        assert!(check(&[&["3", "2", "2", "1"]], Order::Desc, 1).unwrap().sorted());
        assert!(!check(&[&["1", "2"]], Order::Desc, 1).unwrap().sorted());
    }

    #[test]
    fn a_key_that_cannot_be_read_is_named_with_its_place() {
        let error = check(&[&["1"], &["1", "2", "x\n", "4"]], Order::Asc, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"t partition 1 offset 2: cannot read value as int: not decimal digits with an optional sign: "x\n""#
        );
        assert_eq!(error.kind(), crate::base::kind::Kind::Data);
    }
}
