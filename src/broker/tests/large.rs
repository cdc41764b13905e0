//! Batches that stay in the memory that their request was read into, and answers that are sent from there.

use super::super::faults::{Fault, Rule};
use super::*;
use crate::batch::{Batches, HEADER_BYTES};
use crate::broker::log::BATCH_OVERHEAD_BYTES;
use crate::wire::ApiKey;

/// What of a batch a broker leaves as it came: all but base offset and leader epoch.
fn unchanged(batch: &[u8]) -> &[u8] {
    &batch[16..]
}

/// A fetch of whole partitions of `t`.
fn fetch_of(partitions: &[i32]) -> FetchRequest {
    let mut request = fetch_request("t", 0, 0);
    let whole =
        |partition: &i32| FetchPartition { partition: *partition, partition_max_bytes: i32::MAX, ..Default::default() };
    request.topics[0].partitions = partitions.iter().map(whole).collect();
    request.max_bytes = i32::MAX;
    request
}

/// Batches that were fetched are these, one behind the other, with checksums that are right.
fn assert_are(fetched: &[u8], sent: &[&Vec<u8>]) {
    let mut offset = 0;
    let mut batches = Batches::new(fetched);
    for sent in sent {
        let batch = batches.next().expect("it is there").unwrap();
        batch.verify_checksum().unwrap();
        assert_eq!(batch.header.base_offset, offset);
        assert_eq!(unchanged(batch.bytes()), unchanged(sent));
        offset += i64::from(batch.header.record_count);
    }
    assert!(batches.next().is_none() && batches.rest().is_empty());
}

#[tokio::test]
async fn batches_of_all_sizes_come_back_as_they_were_alone_or_several_at_once() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    // Larger ones, then smaller ones that would fit into the buffer of those, and some that are copied.
    let batches: Vec<Vec<u8>> = [30_000, 20_000, 19_900, 3, 1_200, 60_000, 1, 1].map(batch).to_vec();
    for batch in &batches {
        assert_eq!(client.produce_code(0, batch).await, 0);
    }
    let mut both = produce_request("t", 0, Some(&batches[1]));
    both.topic_data[0].partition_data.push(PartitionProduceData { index: 1, records: Some(&batches[0]) });
    assert_eq!(client.produce_at(9, &both).await.error_code, 0);
    for _ in 0..300 {
        client.produce_code(1, &batches[3]).await;
    }
    let all: Vec<&Vec<u8>> = batches.iter().chain([&batches[1]]).collect();
    let small: Vec<&Vec<u8>> = [&batches[0]].into_iter().chain([&batches[3]; 300]).collect();
    let request = fetch_of(&[0, 1, 0]);
    let records = client
        .call::<Fetch, _>(12, &request, |response| {
            let partitions = response.responses[0].partitions.iter();
            partitions.map(|partition| partition.records.unwrap().to_vec()).collect::<Vec<_>>()
        })
        .await;
    assert_are(&records[0], &all);
    assert_are(&records[1], &small);
    assert_eq!(records[2], records[0]);
}

#[tokio::test]
async fn what_a_large_batch_holds_in_memory_is_paid_for_and_comes_back() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let before = broker.memory().0;
    let mut sent = 0;
    for records in [40_000, 35_000, 39_000] {
        let batch = batch(records);
        assert_eq!(client.produce_code(0, &batch).await, 0);
        sent += batch.len() + BATCH_OVERHEAD_BYTES;
    }
    let held = broker.memory().0 - before;
    // The rest of each request is held as well, and that is not much.
    assert!(held > sent && held < sent + sent / 16, "{held} bytes are held for {sent}");
    broker.set_log_start("t", 0, 114_000).unwrap();
    assert_eq!(broker.memory().0, before);
}

#[tokio::test]
async fn a_large_batch_whose_largest_timestamp_is_wrong_is_put_right_where_it_lies() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let right = batch(30_000);
    let wrong = forged(right.clone(), |batch| batch[35..43].copy_from_slice(&7i64.to_be_bytes()));
    assert_eq!(client.produce_code(0, &wrong).await, 0);
    assert_are(&client.fetch_at(12, &fetch_of(&[0])).await.records, &[&right]);
}

#[tokio::test]
async fn a_large_request_that_is_handled_twice_is_whole_both_times() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    broker.faults().add(Rule::on(ApiKey::Produce).once(), Fault::Repeat);
    let batch = batch(30_000);
    assert_eq!(client.produce_code(0, &batch).await, 0);
    assert_are(&client.fetch_at(12, &fetch_of(&[0])).await.records, &[&batch, &batch]);
}

#[tokio::test]
async fn of_a_large_batch_a_record_that_is_wrong_is_named() {
    let broker = broker().await;
    broker.create_replicated_topic("compact", 1, 1, &[("cleanup.policy", "compact")]).unwrap();
    let mut client = Client::connect(&broker).await;
    let mut writer = BatchWriter::new(Codec::None);
    for record in 0..30_000 {
        let key = (record != 20_007).then_some(&b"k"[..]);
        writer.push(NOW, key, Some(b"value"), Headers::EMPTY).unwrap();
    }
    let keyless = writer.finish().unwrap().to_vec();
    let refused = client.produce_at(9, &produce_request("compact", 0, Some(&keyless))).await;
    assert_eq!((refused.error_code, refused.record_errors[0].batch_index), (87, 20_007));
    // The last byte of a record says that it has no headers.
    let unreadable = forged(batch(30_000), |batch| batch[HEADER_BYTES + 12] = 9);
    assert_eq!(client.produce(0, &unreadable).await.record_errors[0].batch_index, 0);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 0));
}
