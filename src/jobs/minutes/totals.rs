//! What a run has counted, as records of a ledger's topic.
//!
//! ```text
//!  key    {"run":"9f…","part":0,"topic":"orders","partition":3,"minute":"2026-01-01T00:00:00Z"}     the newest record of a key counts
//!  value  a line of a ledger: what the run has counted of that minute so far, in this part
//! ```
//!
//! Non-obvious:
//! - A record says all that its key has come to, and not what was added, so that compaction may remove all but the newest.
//!   Lines of different keys add up.
//! - A run never has more than [`TOTALS_MAX`] of these in memory: then it begins a new part, whose keys are others, at nothing.
//! - Who writes in transactions begins a new part after every doubt. What stands of the parts before is in the topic, be it
//!   known or not, and is not written over.

use super::Minute;
use super::counts::{About, Counted, Counts, Place};
use crate::base::place::TopicPartition;
use crate::batch::{BatchError, BatchWriter, Codec, Headers};
use crate::jobs::pour::partition_of_key;
use crate::ports::Outgoing;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many minutes are counted on.
const TOTALS_MAX: usize = 4096;
/// So many are taken at a time, which are a megabyte of records.
const AT_ONCE: usize = 4096;
/// Batches stay below this.
const BATCH_BYTES: usize = 64 << 10;
/// What a record takes beside its key and value, at most.
const RECORD_OVERHEAD_MAX: usize = 36;

/// See the module's head.
#[derive(Debug)]
pub struct Totals {
    topic: Arc<str>,
    partitions: usize,
    batch_bytes: usize,
    run: String,
    part: u64,
    totals: BTreeMap<Place, Counted>,
}

impl Totals {
    /// A run that has counted nothing, into this topic.
    pub(super) fn new(topic: &str, partitions: usize, bytes_max: usize) -> Self {
        Self {
            topic: topic.into(),
            partitions,
            batch_bytes: BATCH_BYTES.min(bytes_max - bytes_max / 16),
            run: format!("{:016x}", rand::random::<u64>()),
            part: 0,
            totals: BTreeMap::new(),
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Takes some of these, or all where they are not many, and gives what they come to as batches of records.
    pub fn add(&mut self, counts: &mut Counts, now_ms: i64) -> Result<Vec<(TopicPartition, Outgoing)>, BatchError> {
        let mut filling: BTreeMap<usize, BatchWriter> = BTreeMap::new();
        let mut full = Vec::new();
        for _ in 0..AT_ONCE {
            let Some((place, more)) = counts.pop() else { break };
            let key = self.key(&place);
            let total = self.totals.entry(place.clone()).and_modify(|known| known.add(more)).or_insert(more);
            let value = total.line(&place).show();
            let at = partition_of_key(key.as_bytes(), self.partitions);
            let writer = filling.entry(at).or_insert_with(|| BatchWriter::new(Codec::None));
            if !writer.is_empty() && writer.bytes() + key.len() + value.len() + RECORD_OVERHEAD_MAX > self.batch_bytes {
                full.push(close(&self.topic, at, writer)?);
            }
            writer.push(now_ms, Some(key.as_bytes()), Some(value.as_bytes()), Headers::EMPTY)?;
        }
        for (at, mut writer) in filling {
            full.push(close(&self.topic, at, &mut writer)?);
        }
        if self.totals.len() > TOTALS_MAX {
            self.begin_anew();
        }
        Ok(full)
    }

    /// What comes is counted from nothing, under other keys.
    pub fn begin_anew(&mut self) {
        if !self.totals.is_empty() {
            self.totals.clear();
            self.part += 1;
        }
    }

    fn key(&self, (About { topic, files_of }, partition, minute): &Place) -> String {
        let minute: &Minute = minute;
        let mut key = json!({
            "run": self.run, "part": self.part, "topic": &**topic, "partition": partition, "minute": minute.to_json(),
        });
        if let Some(group) = files_of {
            key["files_of"] = (&**group).into();
        }
        key.to_string()
    }
}

/// The batch of a partition of the topic; the writer is empty again.
fn close(topic: &Arc<str>, at: usize, writer: &mut BatchWriter) -> Result<(TopicPartition, Outgoing), BatchError> {
    let records = writer.record_count() as u32;
    let mut bytes = Vec::new();
    let len = writer.finish_into(&mut bytes)?;
    writer.clear();
    Ok((TopicPartition::new(topic.clone(), i32::try_from(at).unwrap_or(0)), Outgoing { bytes, len, records }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, RecordReader};
    use crate::jobs::minutes::Line;
    use std::collections::HashMap;

    fn counts(minutes: std::ops::Range<i64>, records: u64) -> Counts {
        let mut counts = Counts::default();
        for minute in minutes {
            let counted = Counted { records, bytes: Some(records), first_offset: 0, last_offset: 9 };
            counts.add((About::topic("t"), 0, Minute::of(minute * 60_000)), counted);
        }
        counts
    }

    /// What a reader has of it: the newest line of each key.
    fn read(newest: &mut HashMap<Vec<u8>, Line>, totals: &mut Totals, mut counts: Counts) {
        while !counts.is_empty() {
            let batches = totals.add(&mut counts, 7).unwrap();
            assert!(batches.iter().all(|(at, batch)| &*at.topic == "ledger" && batch.len <= BATCH_BYTES));
            for (_, batch) in batches {
                let batch = Batch::read(&batch.bytes[..batch.len]).unwrap();
                let mut reader = RecordReader::new(0);
                reader.start(&batch).unwrap();
                while let Some(record) = reader.next(&batch).unwrap() {
                    newest.insert(record.key.unwrap().to_vec(), Line::read(record.value.unwrap()).unwrap());
                }
            }
        }
    }

    fn sum(newest: &HashMap<Vec<u8>, Line>) -> u64 {
        newest.values().map(|line| line.records).sum()
    }

    #[test]
    fn the_newest_record_of_a_key_says_all_that_it_has_come_to() {
        let (mut totals, mut newest) = (Totals::new("ledger", 3, 1 << 20), HashMap::new());
        read(&mut newest, &mut totals, counts(0..10, 5));
        read(&mut newest, &mut totals, counts(5..15, 2));
        assert_eq!((newest.len(), sum(&newest)), (15, 70));
        let line = newest.values().find(|line| line.minute == Minute::of(5 * 60_000)).unwrap();
        assert_eq!((line.records, line.bytes, &line.offsets), (7, Some(7), &Some(0..=9)));
    }

    #[test]
    fn what_was_written_before_a_doubt_is_not_written_over_and_another_run_has_other_keys() {
        let (mut totals, mut newest) = (Totals::new("ledger", 3, 1 << 20), HashMap::new());
        read(&mut newest, &mut totals, counts(0..10, 5));
        totals.begin_anew();
        read(&mut newest, &mut totals, counts(0..10, 1));
        assert_eq!((newest.len(), sum(&newest)), (20, 60));
        read(&mut newest, &mut Totals::new("ledger", 3, 1 << 20), counts(0..10, 1));
        assert_eq!((newest.len(), sum(&newest)), (30, 70));
    }

    #[test]
    fn more_minutes_than_are_counted_on_go_on_under_other_keys_and_add_up() {
        let (mut totals, mut newest) = (Totals::new("ledger", 1, 1 << 20), HashMap::new());
        for _ in 0..3 {
            read(&mut newest, &mut totals, counts(0..10_000, 2));
            assert!(totals.totals.len() <= TOTALS_MAX, "{}", totals.totals.len());
        }
        assert_eq!(sum(&newest), 60_000);
    }
}
