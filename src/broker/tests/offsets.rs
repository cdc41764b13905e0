//! ListOffsets and DeleteRecords.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::delete_records::{DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

async fn list(client: &mut Client, version: i16, timestamp: i64, isolation_level: i8) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition { timestamp, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { isolation_level, topics, ..Default::default() };
    client
        .call::<ListOffsets, _>(version, &request, |r| {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.timestamp, p.offset)
        })
        .await
}

async fn delete(client: &mut Client, topic: &str, offset: i64) -> (i16, i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions }];
    let request = DeleteRecordsRequest { topics, ..Default::default() };
    client
        .call::<DeleteRecords, _>(2, &request, |r| {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.low_watermark)
        })
        .await
}

#[tokio::test]
async fn ends_are_told_at_every_version() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    client.produce_code(0, &batch(7)).await;
    for version in ListOffsets::VERSIONS {
        assert_eq!(list(&mut client, version, -1, 0).await, (0, -1, 7), "v{version}");
        assert_eq!(list(&mut client, version, -2, 0).await, (0, -1, 0), "v{version}");
    }
    broker.set_open_transaction("t", 0, Some(3)).unwrap();
    assert_eq!(list(&mut client, 4, -1, 1).await, (0, -1, 3));
    assert_eq!(list(&mut client, 4, -1, 0).await, (0, -1, 7));
}

#[tokio::test]
async fn a_time_finds_the_first_record_that_is_not_older() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    for codec in [Codec::None, Codec::Zstd] {
        client.produce_code(0, &batch_of(codec, &[100, 300, 200])).await;
    }
    client.produce_code(0, &batch_of(Codec::Gzip, &[250, 900, 900])).await;
    for (time, expected) in [
        (0, (0, 100, 0)),
        (100, (0, 100, 0)),
        (101, (0, 300, 1)),
        (301, (0, 900, 7)),
        (900, (0, 900, 7)),
        (901, (0, -1, -1)),
        (-3, (0, 900, 7)),
        (-4, (0, -1, 0)),
        (-5, (0, -1, -1)),
    ] {
        assert_eq!(list(&mut client, 9, time, 0).await, expected, "time {time}");
    }
    assert_eq!(list(&mut client, 9, -99, 0).await.0, ErrorCode::InvalidRequest.code());
    // What lies below the log start is not found.
    broker.set_log_start("t", 0, 2).unwrap();
    assert_eq!(list(&mut client, 9, 0, 0).await, (0, 200, 2));
    assert_eq!(list(&mut client, 9, 250, 0).await, (0, 300, 4));
}

#[tokio::test]
async fn deleted_records_are_gone_up_to_the_offset() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    client.produce_code(0, &batch(10)).await;
    client.produce_code(0, &batch(10)).await;
    assert_eq!(delete(&mut client, "t", 10).await, (0, 10));
    assert_eq!(client.fetch(0, 9).await.error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(delete(&mut client, "t", 5).await, (0, 10));
    assert_eq!(delete(&mut client, "t", 21).await, (ErrorCode::OffsetOutOfRange.code(), -1));
    assert_eq!(delete(&mut client, "t", -2).await, (ErrorCode::OffsetOutOfRange.code(), -1));
    assert_eq!(delete(&mut client, "t", -1).await, (0, 20));
    assert_eq!(delete(&mut client, "nowhere", -1).await, (ErrorCode::UnknownTopicOrPartition.code(), -1));
    broker.create_topic("kept", 1, &[("cleanup.policy", "compact")]).unwrap();
    assert_eq!(delete(&mut client, "kept", -1).await, (ErrorCode::PolicyViolation.code(), -1));
    assert_eq!(client.produce(0, &batch(1)).await.base_offset, 20);
}
