//! The wall: what the cluster takes of batches that nobody has to make, by several ways to send them.

use super::rounds::Bench;
use crate::base::place::TopicPartition;
use crate::batch::HEADER_BYTES;
use crate::client::{PartitionWriter, WriteOptions};
use crate::jobs::error::JobError;
use crate::ports::Outgoing;
use std::collections::VecDeque;
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

/// Batches to send, and what is known of those that were sent: they take turns until there were records enough.
struct Pool {
    ready: VecDeque<Outgoing>,
    /// In the order in which they were sent, each as it began before it was signed, and its length.
    sent: VecDeque<([u8; HEADER_BYTES], usize)>,
}

impl Pool {
    fn next(&mut self) -> Option<Outgoing> {
        let batch = self.ready.pop_front()?;
        // One that is shorter is refused by the writer.
        let head = batch.bytes.first_chunk().copied().unwrap_or([0; HEADER_BYTES]);
        self.sent.push_back((head, batch.len));
        Some(batch)
    }

    /// What is stored can be sent again. All that signing has changed is its head, so that no checksum is computed for it.
    fn take_back(&mut self, writer: &mut PartitionWriter) {
        while let Some(landed) = writer.landed() {
            let (mut bytes, records) = (landed.bytes, landed.records);
            if let (Some((head, len)), Some(signed)) = (self.sent.pop_front(), bytes.first_chunk_mut()) {
                *signed = head;
                self.ready.push_back(Outgoing { bytes, len, records });
            }
        }
    }
}

/// Writes `records` to the one partition of `topic`, which is empty: the batches, and where they hold fewer, again and again.
/// Then it may be more than were asked for, by less than a batch.
pub(super) async fn replay(
    bench: &Bench<'_>,
    topic: &str,
    batches: Vec<Outgoing>,
    records: u64,
    in_flight: usize,
) -> Result<Replayed, JobError> {
    let options = WriteOptions { in_flight_max: in_flight, ..WriteOptions::default() };
    let to = TopicPartition::new(topic, 0);
    // Its number comes from the cluster, and is asked for before the clock runs.
    let mut writer = bench.cluster.writer(to, 0, options).await?;
    let mut pool = Pool { sent: VecDeque::with_capacity(batches.len()), ready: batches.into() };
    let (mut sent, mut bytes) = (0, 0);
    let began = Instant::now();
    while sent < records {
        if pool.ready.is_empty() {
            writer.flush().await?;
            pool.take_back(&mut writer);
        }
        let Some(batch) = pool.next() else { break };
        let (records, len) = (u64::from(batch.records), batch.len as u64);
        writer.append(batch).await?;
        pool.take_back(&mut writer);
        bench.cx.progress.add(records, len);
        (sent, bytes) = (sent + records, bytes + len);
    }
    writer.flush().await?;
    let seconds = began.elapsed().as_secs_f64();
    // Every base offset was held against the one before: all of them are there, once.
    match writer.appended().records() {
        stored if stored == sent && sent >= records => Ok(Replayed {
            records_per_second: sent as f64 / seconds.max(1e-9),
            record_bytes: bytes as f64 / sent.max(1) as f64,
        }),
        stored => {
            Err(JobError::Refused(format!("{topic}: of {records} records {sent} were sent, {stored} are stored")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::prebuilt::as_written;
    use super::super::tests::settings;
    use super::*;
    use crate::batch::{BatchWriter, Codec, Headers};
    use crate::broker::{Broker, BrokerConfig};
    use crate::client::Cluster;
    use crate::jobs::JobContext;
    use crate::jobs::load::OwnTopic;
    use crate::jobs::testing::{block_on, context};

    fn batch(records: u32) -> Outgoing {
        let mut writer = BatchWriter::new(Codec::None);
        for number in 0..records {
            writer
                .push(number.into(), None, Some(format!("{number} of {records}").as_bytes()), Headers::EMPTY)
                .unwrap();
        }
        let bytes = writer.finish().unwrap().to_vec();
        Outgoing { len: bytes.len(), bytes, records }
    }

    #[test]
    fn batches_that_hold_fewer_records_than_the_merge_wrote_are_sent_again_and_again_and_never_change() {
        block_on(async {
            let broker = Broker::start(BrokerConfig::default()).await.unwrap();
            let cx = JobContext { brokers: broker.addresses(), ..context() };
            let cluster = Cluster::connect(&cx.brokers, cx.timeout).await.unwrap();
            let settings = settings();
            let bench = Bench { settings: &settings, cx: &cx, cluster: &cluster, name: "", input: "" };
            for (count, in_flight) in [(1, 2), (2, 1), (5, 2)] {
                let pool = || (3..3 + count).map(batch);
                let topic = OwnTopic::make(&cluster, format!("kmerge-perf-{count}"), 1, None).await.unwrap();
                replay(&bench, topic.name(), pool().collect(), 100, in_flight).await.unwrap();
                let stored = as_written(&cluster, &TopicPartition::new(topic.name(), 0), 0).await.unwrap();
                let sent: u32 = stored.iter().map(|batch| batch.records).sum();
                let last = stored.last().unwrap().records;
                assert!(sent >= 100 && sent - last < 100, "{count}: {sent} records, {last} in the last batch");
                for (index, (stored, sent)) in stored.iter().zip(pool().collect::<Vec<_>>().iter().cycle()).enumerate()
                {
                    assert_eq!((stored.records, &stored.bytes), (sent.records, &sent.bytes), "{count}: batch {index}");
                }
            }
        });
    }

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
