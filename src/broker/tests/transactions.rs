//! Prepared batches of transactions in a log, and what readers are told of them.

use super::*;
use crate::batch::control::{ControlType, marker};
use crate::wire::ErrorCode;
use crate::wire::list_offsets::{ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

/// One record of a producer's transaction.
fn open(producer_id: i64, sequence: i32) -> Vec<u8> {
    forged(batch_from(producer_id, 0, sequence, 1), |batch| batch[22] |= 0x10)
}

fn end(producer_id: i64, kind: ControlType) -> Vec<u8> {
    marker(0, kind, NOW, producer_id, 0, 3).unwrap()
}

/// What a read-committed reader of `t` gets from an offset on.
async fn committed(client: &mut Client, offset: i64) -> Fetched {
    let request = FetchRequest { isolation_level: 1, ..fetch_request("t", 0, offset) };
    client.fetch_at(12, &request).await
}

async fn end_of(client: &mut Client, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { isolation_level, topics, ..Default::default() };
    client.call::<ListOffsets, _>(4, &request, |r| r.topics[0].partitions[0].offset).await
}

#[tokio::test]
async fn readers_of_committed_data_follow_the_markers() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    // 0: of 7, 1: of 8, 2: of nobody, 3: 7 aborts, 4: of 8, 5: 8 commits, 6: 7 again
    broker.append_raw("t", 0, &[open(7, 0), open(8, 0), batch(1)].concat()).unwrap();
    assert_eq!(broker.readable("t", 0).unwrap(), (3, 0));
    assert_eq!((end_of(&mut client, 1).await, end_of(&mut client, 0).await), (0, 3));
    assert_eq!(committed(&mut client, 0).await.bases(), [] as [i64; 0]);
    broker.append_raw("t", 0, &end(7, ControlType::Abort)).unwrap();
    assert_eq!(end_of(&mut client, 1).await, 1);
    broker.append_raw("t", 0, &[open(8, 1), end(8, ControlType::Commit), open(7, 1)].concat()).unwrap();
    let fetched = committed(&mut client, 0).await;
    assert_eq!((fetched.bases(), fetched.aborted), (vec![0, 1, 2, 3, 4, 5], Some(vec![(7, 0)])));
    assert_eq!((fetched.last_stable, fetched.high_watermark), (6, 7));
    assert_eq!(committed(&mut client, 4).await.aborted, Some(vec![]));
    let uncommitted = client.fetch(0, 0).await;
    assert_eq!((uncommitted.bases().len(), uncommitted.aborted), (7, None));
    // A marker above a high watermark that is held back does not count yet.
    broker.append_raw("t", 0, &end(7, ControlType::Abort)).unwrap();
    assert_eq!(broker.readable("t", 0).unwrap(), (8, 8));
    broker.hold_high_watermark("t", 0, 7).unwrap();
    assert_eq!(broker.readable("t", 0).unwrap(), (7, 6));
    broker.catch_up("t", 0).unwrap();
    assert_eq!(committed(&mut client, 5).await.aborted, Some(vec![(7, 6)]));
}

#[tokio::test]
async fn a_producer_with_an_open_transaction_cannot_write_outside_it() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    broker.append_raw("t", 0, &open(7, 0)).unwrap();
    assert_eq!(client.produce_code(0, &batch_from(7, 0, 1, 1)).await, ErrorCode::InvalidTxnState.code());
    broker.append_raw("t", 0, &end(7, ControlType::Commit)).unwrap();
    assert_eq!(client.produce(0, &batch_from(7, 0, 1, 1)).await.base_offset, 2);
    assert_eq!(client.produce(0, &batch_from(7, 0, 0, 1)).await.base_offset, 0, "the first is still in the window");
}

#[tokio::test]
async fn prepared_batches_of_every_sort_are_served_as_they_are() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let mut writer = BatchWriter::new(Codec::None);
    writer.last_offset_delta(Some(4));
    let empty = writer.finish().unwrap().to_vec();
    let mut writer = BatchWriter::new(Codec::Zstd);
    writer.append_time(Some(NOW + 5));
    writer.push(NOW, None, Some(b"v"), Headers::EMPTY).unwrap();
    let stamped = writer.finish().unwrap().to_vec();
    let whole = [empty, stamped.clone(), end(9, ControlType::Commit)].concat();
    assert_eq!(broker.append_raw("t", 0, &whole).unwrap(), 0);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 7));
    let fetched = client.fetch(0, 0).await;
    assert_eq!(fetched.bases(), [0, 5, 6]);
    let last = crate::batch::Batches::new(&fetched.records).nth(1).unwrap().unwrap();
    last.verify_checksum().unwrap();
    assert_eq!(last.bytes()[16..], stamped[16..]);
    assert!(broker.append_raw("t", 0, &stamped[..30]).is_err());
    assert!(broker.append_raw("t", 0, &[&stamped[..], &[1, 2, 3]].concat()).is_err());
}
