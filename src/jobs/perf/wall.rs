//! The wall: what the cluster takes of batches that nobody has to make, by several ways to send them.

use super::rounds::Bench;
use crate::base::place::TopicPartition;
use crate::client::WriteOptions;
use crate::jobs::error::JobError;
use crate::ports::Outgoing;
use std::time::Instant;

/// Requests on their way at once. Kafka works on one of a connection at a time, so that more gain nothing.
const IN_FLIGHT: [usize; 2] = [1, 2];

/// One way to write the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The size that batches stay below, before compression.
    pub batch_bytes: usize,
    /// Requests on their way at once.
    pub in_flight: usize,
}

/// The ways that are tried: the merge's own size of batches, half of it and twice as much, as far as the topic takes them.
pub(super) fn ways(batch_bytes: usize, bytes_max: usize) -> Vec<Way> {
    let mut sizes: Vec<usize> =
        [batch_bytes / 2, batch_bytes, batch_bytes.saturating_mul(2)].map(|size| size.min(bytes_max)).into();
    sizes.dedup();
    let of_size = |batch_bytes| IN_FLIGHT.map(|in_flight| Way { batch_bytes, in_flight });
    sizes.into_iter().flat_map(of_size).collect()
}

/// What came of writing them once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Replayed {
    pub(super) records_per_second: f64,
    /// What a record took in its batch.
    pub(super) record_bytes: f64,
}

/// Writes the batches to the one partition of `topic`, which is empty.
pub(super) async fn replay(
    bench: &Bench<'_>,
    topic: &str,
    batches: Vec<Outgoing>,
    in_flight: usize,
) -> Result<Replayed, JobError> {
    let options = WriteOptions { in_flight_max: in_flight, ..WriteOptions::default() };
    let to = TopicPartition::new(topic, 0);
    // Its number comes from the cluster, and is asked for before the clock runs.
    let mut writer = bench.cluster.writer(to, 0, options).await?;
    let records: u64 = batches.iter().map(|batch| u64::from(batch.records)).sum();
    let bytes: usize = batches.iter().map(|batch| batch.len).sum();
    let began = Instant::now();
    for batch in batches {
        let (records, bytes) = (batch.records, batch.len);
        writer.append(batch).await?;
        bench.cx.progress.add(records.into(), bytes as u64);
    }
    writer.flush().await?;
    let seconds = began.elapsed().as_secs_f64();
    // Every base offset was held against the one before: all of them are there, once.
    match writer.appended().records() {
        stored if stored == records => Ok(Replayed {
            records_per_second: records as f64 / seconds.max(1e-9),
            record_bytes: bytes as f64 / records.max(1) as f64,
        }),
        stored => Err(JobError::Refused(format!("{topic}: {records} records were sent, {stored} are stored"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_merges_own_batches_are_among_the_ways_and_none_is_larger_than_the_topic_takes() {
        let sizes = |batch_bytes, bytes_max| -> Vec<usize> {
            ways(batch_bytes, bytes_max).chunks(2).map(|pair| pair[0].batch_bytes).collect()
        };
        assert_eq!(sizes(500_000, 1_048_588), [250_000, 500_000, 1_000_000]);
        assert_eq!(sizes(800_000, 1_048_588), [400_000, 800_000, 1_048_588]);
        assert_eq!(sizes(2_000_000, 1_000_000), [1_000_000]);
        let ways = ways(500_000, 1_048_588);
        assert_eq!(ways.iter().map(|way| way.in_flight).collect::<Vec<_>>(), [1, 2, 1, 2, 1, 2]);
    }
}
