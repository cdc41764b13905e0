//! The plan of a merge: which partitions, from which offset to which, into what, and the memory it takes. Taken once, at the
//! start; what is produced to the inputs afterwards is not part of the job.

use super::keeping::Retention;
use super::{Client, MergeSettings, Strategy, ahead, count, engine, output};
use crate::base::ends::Ends;
use crate::base::place::TopicPartition;
use crate::base::units::{show_count, show_size};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::Range;

/// Of the memory, the output's batches get a quarter and what is read the rest.
const OUTPUT_SHARE: usize = 4;

/// One input partition and the offsets to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The partition.
    pub partition: TopicPartition,
    /// From the first offset to the one after the last.
    pub range: Range<i64>,
}

impl Source {
    /// How many offsets there are to read: the number of records, or more where the log has holes.
    pub fn offsets(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start).max(0) as u64
    }
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Topics in the order given, partitions ascending: ties are decided by the place in this list.
    pub sources: Vec<Source>,
    /// Where the records go.
    pub output: TopicPartition,
    /// The end of the output now: where the first record will land.
    pub output_end: i64,
    /// The largest batch that the output topic takes.
    pub output_bytes_max: usize,
    /// When the plan was made, in milliseconds since 1970.
    pub planned_at_ms: i64,
    /// What `--memory` gives.
    pub memory_bytes: usize,
    /// What it must give at least.
    pub memory_bytes_least: usize,
    /// What the output topic does to records of some age: each batch is held against it before it is sent.
    pub(crate) retention: Retention,
}

/// What a budget of `memory_bytes` leaves for reading.
pub(crate) fn memory_for_reading(memory_bytes: usize) -> usize {
    memory_bytes - memory_for_output(memory_bytes)
}

/// What a budget of `memory_bytes` leaves for the batches that are written.
pub(crate) fn memory_for_output(memory_bytes: usize) -> usize {
    memory_bytes / OUTPUT_SHARE
}

/// The budget that leaves `bytes` for reading.
pub(crate) fn memory_for_windows(bytes: usize) -> usize {
    (bytes / (OUTPUT_SHARE - 1)).saturating_add(1).saturating_mul(OUTPUT_SHARE)
}

/// The least memory with which `sources` sources can be merged.
pub(crate) fn least_memory(settings: &MergeSettings, sources: usize) -> usize {
    match (settings.strategy, settings.client) {
        (Strategy::Merge, Client::Rskafka) => {
            memory_for_windows(ahead::least_bytes(sources)).max(output::least_bytes() * OUTPUT_SHARE)
        }
        (Strategy::Merge, Client::Kmerge) => engine::least_bytes(sources),
        (Strategy::Count, _) => count::least_bytes(sources),
    }
}

impl Plan {
    /// How many offsets will be read at most.
    pub fn offsets(&self) -> u64 {
        self.sources.iter().map(Source::offsets).sum()
    }

    /// Where each input ends.
    pub fn ends(&self) -> Ends {
        self.sources.iter().map(|source| (source.partition.clone(), source.range.end)).collect()
    }

    /// Where each input starts.
    pub fn starts(&self) -> Ends {
        self.sources.iter().map(|source| (source.partition.clone(), source.range.start)).collect()
    }

    /// The plan as one JSON object.
    pub fn to_json(&self, settings: &MergeSettings) -> Value {
        let sources: Vec<Value> = self
            .sources
            .iter()
            .map(|source| {
                json!({
                    "topic": &*source.partition.topic,
                    "partition": source.partition.partition,
                    "start": source.range.start,
                    "end": source.range.end,
                    "records": source.offsets(),
                })
            })
            .collect();
        json!({
            "dry_run": true,
            "sources": sources,
            "partitions": self.sources.len(),
            "records": self.offsets(),
            "strategy": settings.strategy.name(),
            "client": settings.client.name(),
            "delivery": settings.delivery.name(),
            "ends": self.ends().to_string(),
            "output": {
                "topic": &*self.output.topic,
                "partition": self.output.partition,
                "max_message_bytes": self.output_bytes_max,
            },
            "output_start": self.output_end,
            "memory_bytes": self.memory_bytes,
            "least_memory_bytes": self.memory_bytes_least,
        })
    }

    /// The plan for people.
    pub fn summary(&self, settings: &MergeSettings) -> String {
        let mut out = String::from("the plan (nothing was written):\n");
        for source in &self.sources {
            let Range { start, end } = source.range;
            let _ = writeln!(
                out,
                "  read {} offsets {start}..{end}: {} records at most",
                source.partition,
                show_count(source.offsets())
            );
        }
        let _ = writeln!(
            out,
            "  write to {} from offset {}: {} records at most, by {}",
            self.output,
            self.output_end,
            show_count(self.offsets()),
            settings.keys,
        );
        let _ = write!(
            out,
            "  memory {} (at least {} needed, more if batches of the inputs are large)",
            show_size(self.memory_bytes as u64),
            show_size(self.memory_bytes_least as u64)
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_memory_is_enough_for_what_it_was_asked_for() {
        for sources in [0, 1, 2, 10, 1000] {
            let least = memory_for_windows(ahead::least_bytes(sources)).max(output::least_bytes() * OUTPUT_SHARE);
            assert!(memory_for_reading(least) >= ahead::least_bytes(sources), "{sources}");
            assert!(memory_for_output(least) >= output::least_bytes(), "{sources}");
        }
    }
}
