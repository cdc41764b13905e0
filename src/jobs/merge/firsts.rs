//! The first records of each input, looked at for what the output topic would do to such records.
//!
//! One short fetch a partition. The size of an input is an estimate from its first batches: a broker tells the true one only
//! to those who may describe its disks.

use super::keeping::Keeping;
use super::plan::Source;
use super::{MergeSettings, Strategy};
use crate::base::clock::now_ms;
use crate::base::place::Place;
use crate::batch::{Batches, RecordReader};
use crate::client::{Cluster, ReadOptions};
use crate::jobs::error::JobError;
use crate::ports::Source as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

/// So many inputs are asked at once: each answer holds a batch at least.
const ASKED_AT_ONCE: usize = 4;
/// A few batches of the usual size.
const WINDOW_BYTES: usize = 64 << 10;
/// What the first record may take unfolded.
const LOOK_BYTES: usize = 16 << 20;

/// What stands at the start of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct First {
    /// The first record and its timestamp, if it can be read; if not, the merge says why.
    record: Option<(Place, i64)>,
    /// The batches looked at: their bytes, and the offsets they cover.
    sample: (u64, u64),
    /// All offsets there are to read.
    offsets: u64,
}

/// Refuses inputs that the output would not keep.
pub(super) async fn check(
    cluster: &Cluster,
    settings: &MergeSettings,
    keeping: &Keeping,
    sources: &[Source],
) -> Result<(), JobError> {
    if !keeping.asks_for_records() {
        return Ok(());
    }
    let looking = sources.iter().filter(|source| source.offsets() > 0).map(|source| first(cluster, source));
    // In order, so that the same inputs are refused for the same record.
    let firsts: Vec<First> = stream::iter(looking).buffered(ASKED_AT_ONCE).try_collect().await?;
    let now = now_ms();
    // Counted records are written with the time of now.
    for (place, timestamp) in firsts.iter().filter_map(|first| first.record.as_ref()) {
        if settings.strategy != Strategy::Count {
            keeping.retention().check_at(*timestamp, now, || format!("the record {place}"))?;
        }
    }
    keeping.check_bytes(firsts.iter().fold(0, |sum, first| first.estimate().saturating_add(sum)), offsets(sources))
}

fn offsets(sources: &[Source]) -> u64 {
    sources.iter().map(Source::offsets).sum()
}

async fn first(cluster: &Cluster, source: &Source) -> Result<First, JobError> {
    let options = ReadOptions { fetch_bytes_max: WINDOW_BYTES, ..ReadOptions::default() };
    let mut reader = cluster.reader(source.partition.clone(), source.range.clone(), options);
    let mut window = Vec::new();
    let mut first = First { record: None, sample: (0, 0), offsets: source.offsets() };
    if reader.next(&mut window).await?.is_some() {
        first.read(&window, source);
    }
    Ok(first)
}

impl First {
    fn read(&mut self, window: &[u8], source: &Source) {
        let mut records = RecordReader::new(LOOK_BYTES);
        for batch in Batches::new(window).map_while(Result::ok) {
            let covered = i64::from(batch.header.last_offset_delta) + 1;
            self.sample.0 += batch.bytes().len() as u64;
            self.sample.1 += covered as u64;
            if self.record.is_some() || records.start(&batch).is_err() {
                continue;
            }
            while let Ok(Some(record)) = records.next(&batch) {
                if record.offset >= source.range.start {
                    self.record = Some((source.partition.at(record.offset), record.timestamp));
                    break;
                }
            }
        }
    }

    /// What the input takes, if all of it is as its first batches are.
    fn estimate(&self) -> u64 {
        let (bytes, covered) = self.sample;
        let estimate = u128::from(self.offsets) * u128::from(bytes) / u128::from(covered.max(1));
        u64::try_from(estimate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::TopicPartition;
    use crate::batch::{BatchWriter, Codec, Headers};

    fn window(first: i64, timestamps: &[i64]) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        writer.base_offset(first);
        for timestamp in timestamps {
            writer.push(*timestamp, None, Some(b"0123456789"), Headers::EMPTY).unwrap();
        }
        writer.finish().unwrap().to_vec()
    }

    fn look(range: std::ops::Range<i64>, window: &[u8]) -> First {
        let source = Source { partition: TopicPartition::new("in", 3), range };
        let mut first = First { record: None, sample: (0, 0), offsets: source.offsets() };
        first.read(window, &source);
        first
    }

    #[test]
    fn the_first_record_of_the_range_is_found_though_its_batch_begins_before() {
        let windows = [window(10, &[1, 2, 3]), window(13, &[4, 5])].concat();
        let found = |range| look(range, &windows).record;
        let place = |offset| TopicPartition::new("in", 3).at(offset);
        assert_eq!(found(10..15), Some((place(10), 1)));
        assert_eq!(found(12..15), Some((place(12), 3)));
        assert_eq!(found(13..15), Some((place(13), 4)));
        assert_eq!(look(10..15, &[]).record, None);
    }

    #[test]
    fn an_input_is_as_large_as_its_first_batches_say() {
        let one = window(0, &[1, 2, 3, 4, 5]);
        assert_eq!(look(0..5000, &one).estimate(), 1000 * one.len() as u64);
        assert_eq!(look(0..5000, &[]).estimate(), 0);
        assert_eq!(look(0..i64::MAX, &one).estimate(), u64::MAX, "more than there can be");
    }
}
