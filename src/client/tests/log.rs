//! What the tests in memory share: a topic `t` of many partitions, led as a test says, each with a log of one record a batch.

use super::super::*;
use super::fake::{Call, LEADER_EPOCH, Reply, TOPIC_ID, memory_address};
use crate::base::place::TopicPartition;
use crate::batch::{BatchWriter, Batches, Codec, Headers};
use crate::ports::Source as _;
use crate::wire::ApiKey;
use crate::wire::fetch::{Fetch, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::metadata::{
    Metadata, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of the test's clock, which stands still while anybody works.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// A batch of one record at an offset.
pub(super) fn batch(offset: i64, epoch: i32) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(offset);
    writer.push(0, None, Some(b"v"), Headers::EMPTY).unwrap();
    let mut bytes = writer.finish().unwrap().to_vec();
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

/// Partition and offset of a Fetch.
pub(super) fn asked(call: &Call) -> (i32, i64) {
    let request = call.read::<Fetch>();
    assert_eq!((request.topics.len(), request.topics[0].partitions.len()), (1, 1), "one partition a request");
    let partition = &request.topics[0].partitions[0];
    (partition.partition, partition.fetch_offset)
}

pub(super) fn is(call: &Call, key: ApiKey) -> bool {
    call.key() == Some(key)
}

/// The answer to a Fetch of a partition of `t`.
pub(super) fn fetched(call: &Call, data: PartitionData<'_>) -> Reply {
    let topic = FetchableTopicResponse { topic_id: TOPIC_ID, partitions: vec![data], ..Default::default() };
    call.answer::<Fetch>(&FetchResponse { responses: vec![topic], ..Default::default() })
}

/// One batch of one record at the offset asked for, of a log that ends at `end`.
pub(super) fn one_batch(call: &Call, end: i64, epoch: i32) -> Reply {
    let (partition_index, offset) = asked(call);
    let records = if offset < end { batch(offset, epoch) } else { Vec::new() };
    let data = PartitionData {
        partition_index,
        high_watermark: end,
        last_stable_offset: end,
        records: Some(&records),
        ..Default::default()
    };
    fetched(call, data)
}

/// The topic `t` with a leader for each partition, and the addresses of the brokers.
pub(super) fn metadata(call: &Call, leaders: &[i32], brokers: &BTreeMap<i32, u16>) -> Reply {
    let asked = call.read::<Metadata>().topics;
    let partitions = (0..).zip(leaders).map(|(partition_index, leader)| MetadataResponsePartition {
        partition_index,
        leader_id: *leader,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![1, 2],
        isr_nodes: vec![1, 2],
        ..Default::default()
    });
    let topic = MetadataResponseTopic {
        name: Some("t".to_owned()),
        topic_id: TOPIC_ID,
        partitions: partitions.collect(),
        ..Default::default()
    };
    let broker = |(node, port): (&i32, &u16)| {
        let address = memory_address(*port);
        MetadataResponseBroker {
            node_id: *node,
            host: address.ip().to_string(),
            port: address.port().into(),
            ..Default::default()
        }
    };
    call.answer::<Metadata>(&MetadataResponse {
        brokers: brokers.iter().map(broker).collect(),
        controller_id: 1,
        topics: if asked.is_none_or(|names| !names.is_empty()) { vec![topic] } else { Vec::new() },
        ..Default::default()
    })
}

pub(super) async fn read_all(mut reader: PartitionReader) -> Result<Vec<i64>, ClientError> {
    let (mut window, mut bases) = (Vec::new(), Vec::new());
    while reader.next(&mut window).await?.is_some() {
        bases.extend(Batches::new(&window).map(|batch| batch.unwrap().header.base_offset));
    }
    Ok(bases)
}

pub(super) fn reader(cluster: &Cluster, partition: i32, end: i64) -> PartitionReader {
    cluster.reader(TopicPartition::new("t", partition), 0..end, ReadOptions::default())
}
