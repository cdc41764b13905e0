//! A client that knows nothing of this crate: creates, produces and consumes through two nodes.

use super::*;
use ::rskafka::client::ClientBuilder;
use ::rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
use ::rskafka::record::Record;
use std::collections::BTreeMap;

fn records(partition: i32) -> Vec<Record> {
    let record = |i: i32| Record {
        key: (i % 3 != 0).then(|| format!("key-{partition}-{i}").into_bytes()),
        value: (i % 5 != 0).then(|| vec![b'v'; i as usize % 100]),
        headers: BTreeMap::from([("h".to_owned(), i.to_be_bytes().to_vec())]),
        timestamp: chrono::DateTime::from_timestamp_millis(NOW + i64::from(i)).unwrap(),
    };
    (0..500).map(record).collect()
}

#[tokio::test]
async fn rskafka_creates_produces_and_consumes_through_two_nodes() {
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    let client = ClientBuilder::new(broker.addresses()).build().await.unwrap();
    client.controller_client().unwrap().create_topic("rs", 4, 2, 5_000).await.unwrap();
    for (partition, compression) in [
        (0, Compression::NoCompression),
        (1, Compression::Gzip),
        (2, Compression::Snappy),
        (3, Compression::NoCompression),
    ] {
        let client = client.partition_client("rs", partition, UnknownTopicHandling::Retry).await.unwrap();
        let sent = records(partition);
        for (n, chunk) in sent.chunks(100).enumerate() {
            let offsets = client.produce(chunk.to_vec(), compression).await.unwrap();
            let first = n as i64 * 100;
            assert_eq!(offsets, (first..first + 100).collect::<Vec<_>>());
        }
        assert_eq!(client.get_offset(OffsetAt::Latest).await.unwrap(), 500);
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let next = received.len() as i64;
            let (fetched, high_watermark) = client.fetch_records(next, 1..50_000, 1_000).await.unwrap();
            assert_eq!(high_watermark, 500);
            // Whole batches come; what lies before the offset asked for is rskafka's to skip.
            received.extend(fetched.into_iter().filter(|r| r.offset >= next).map(|r| r.record));
        }
        assert_eq!(received, sent);
        client.delete_records(100, 5_000).await.unwrap();
        assert_eq!(client.get_offset(OffsetAt::Earliest).await.unwrap(), 100);
    }
    client.controller_client().unwrap().delete_topic("rs", 5_000).await.unwrap();
    assert!(client.list_topics().await.unwrap().is_empty());
}
