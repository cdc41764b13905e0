//! What is stored and what is refused. The codes are those a live Kafka 4.2 gave.

use super::*;
use crate::base::clock::now_ms;
use crate::batch::{Batch, RecordReader};
use crate::wire::init_producer_id::{InitProducerId, InitProducerIdRequest};
use crate::wire::{ErrorCode, Uuid};

fn set_i32(at: usize, value: i32) -> impl FnOnce(&mut Vec<u8>) {
    move |batch| batch[at..at + 4].copy_from_slice(&value.to_be_bytes())
}

#[tokio::test]
async fn a_batch_comes_back_as_it_was_but_for_offset_and_leader_epoch() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let sent = batch(3);
    let first = client.produce(1, &sent).await;
    assert_eq!((first.error_code, first.base_offset, first.log_append_time_ms, first.log_start_offset), (0, 0, -1, 0));
    assert_eq!(client.produce(1, &sent).await.base_offset, 3);
    let fetched = client.fetch(1, 3).await;
    assert_eq!((fetched.error_code, fetched.high_watermark, fetched.bases()), (0, 6, vec![3]));
    assert_eq!(fetched.records[..8], 3i64.to_be_bytes());
    assert_eq!(fetched.records[12..16], 0i32.to_be_bytes());
    assert_eq!(fetched.records[16..], sent[16..]);
}

#[tokio::test]
async fn every_version_and_codec_is_taken() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let topic_id = broker.cluster.topic("t").unwrap().id;
    let mut expected = 0;
    for version in Produce::VERSIONS {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let records = batch_of(codec, &[NOW; 4]);
            let mut request = produce_request("t", 0, Some(&records));
            if version >= 13 {
                (request.topic_data[0].name, request.topic_data[0].topic_id) = (String::new(), topic_id);
            }
            let answer = client.produce_at(version, &request).await;
            if codec == Codec::Zstd && version < 7 {
                assert_eq!(answer.error_code, ErrorCode::UnsupportedCompressionType.code(), "v{version}");
                continue;
            }
            assert_eq!((answer.error_code, answer.base_offset), (0, expected), "v{version} {codec:?}");
            expected += 4;
        }
    }
}

#[tokio::test]
async fn a_faulty_batch_gets_the_code_that_kafka_gives_and_is_not_stored() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let good = || batch(3);
    let two = [good(), good()].concat();
    let late = now_ms() + 2 * 3_600_000;
    let cases: Vec<(&str, Vec<u8>, i16)> = vec![
        ("base offset not 0", forged(good(), |b| b[7] = 1), 87),
        ("record count too high", forged(good(), set_i32(57, 4)), 87),
        ("record count too low", forged(good(), set_i32(57, 2)), 87),
        ("record count and last delta agree on a lie", forged(forged(good(), set_i32(57, 4)), set_i32(23, 3)), 87),
        ("last offset delta wrong", forged(good(), set_i32(23, 7)), 87),
        ("no records", forged(forged(good(), set_i32(57, 0)), set_i32(23, -1)), 87),
        (
            "trailing bytes in the body",
            forged(good(), |b| {
                b.push(0);
                let length = b.len() as i32 - 12;
                b[8..12].copy_from_slice(&length.to_be_bytes());
            }),
            87,
        ),
        ("a control batch", forged(good(), |b| b[22] |= 0x20), 87),
        ("two batches", two, 87),
        ("nothing", Vec::new(), 87),
        ("half a batch", good()[..40].to_vec(), 87),
        ("a sequence below zero", batch_from(5, 0, -1, 1), 87),
        ("magic 1", forged(good(), |b| b[16] = 1), 87),
        ("magic 3", forged(good(), |b| b[16] = 3), 2),
        ("a length below a header's", forged(good(), set_i32(8, 3)), 2),
        (
            "a bad checksum",
            {
                let mut b = good();
                b[70] ^= 1;
                b
            },
            2,
        ),
        ("two hours ahead", batch_of(Codec::None, &[late]), 32),
        ("two hours ahead, compressed", batch_of(Codec::Lz4, &[NOW, late]), 32),
        ("an unknown codec", forged(good(), |b| b[22] |= 0x07), 76),
        ("transactional", forged(batch_from(5, 0, 0, 1), |b| b[22] |= 0x10), 53),
        ("a garbage body", forged(good(), |b| b[61..].fill(0xff)), 87),
    ];
    for (what, records, code) in cases {
        let answer = client.produce(0, &records).await;
        assert_eq!((answer.error_code, answer.base_offset), (code, -1), "{what}: {:?}", answer.error_message);
    }
    assert_eq!(client.produce_at(9, &produce_request("t", 0, None)).await.error_code, 87);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 0));
}

#[tokio::test]
async fn odd_timestamps_are_fine_and_the_headers_largest_one_is_put_right() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.produce_code(0, &batch_of(Codec::None, &[-1])).await, 0);
    assert_eq!(client.produce_code(0, &batch_of(Codec::None, &[1])).await, 0);
    let lying = forged(batch_of(Codec::None, &[5, 9, 7]), |b| b[35..43].copy_from_slice(&NOW.to_be_bytes()));
    assert_eq!(client.produce(0, &lying).await.base_offset, 2);
    let fetched = client.fetch(0, 2).await;
    let stored = Batch::read(&fetched.records).unwrap();
    assert_eq!(stored.header.max_timestamp, 9);
    stored.verify_checksum().unwrap();
}

#[tokio::test]
async fn append_time_claimed_by_a_producer_becomes_create_time_or_is_refused() {
    let broker = broker().await;
    broker.create_topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let mut client = Client::connect(&broker).await;
    let claims = forged(batch_of(Codec::None, &[5, 9]), |b| b[22] |= 0x08);
    assert_eq!(client.produce_code(0, &claims).await, 0);
    let fetched = client.fetch(0, 0).await;
    let stored = Batch::read(&fetched.records).unwrap();
    stored.verify_checksum().unwrap();
    assert_eq!((stored.header.attributes, stored.header.max_timestamp), (0, 9));
    let answer = client.produce_at(9, &produce_request("stamped", 0, Some(&claims))).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidTimestamp.code());
}

#[tokio::test]
async fn the_error_names_the_record_that_is_wrong() {
    let broker = broker().await;
    broker.create_topic("compacted", 1, &[("cleanup.policy", "compact")]).unwrap();
    let mut client = Client::connect(&broker).await;
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(NOW, Some(b"k"), None, Headers::EMPTY).unwrap();
    writer.push(NOW, None, Some(b"v"), Headers::EMPTY).unwrap();
    let records = writer.finish().unwrap().to_vec();
    let answer = client.produce_at(8, &produce_request("compacted", 0, Some(&records))).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(answer.record_errors[0].batch_index, 1);
    assert_eq!(client.produce_at(8, &produce_request("compacted", 0, Some(&batch(2)))).await.error_code, 0);
}

#[tokio::test]
async fn the_size_limit_is_exact() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let bytes = batch(10).len();
    for (limit, code) in [(bytes, 0), (bytes - 1, ErrorCode::MessageTooLarge.code())] {
        let topic = format!("limit-{limit}");
        broker.create_topic(&topic, 1, &[("max.message.bytes", &limit.to_string())]).unwrap();
        let records = batch(10);
        let answer = client.produce_at(9, &produce_request(&topic, 0, Some(&records))).await;
        assert_eq!(answer.error_code, code, "limit {limit}");
    }
}

#[tokio::test]
async fn append_time_is_the_brokers_where_the_topic_says_so() {
    let broker = broker().await;
    broker.create_topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let mut client = Client::connect(&broker).await;
    let before = now_ms();
    let records = batch_of(Codec::Gzip, &[1, i64::MAX / 2]);
    let answer = client.produce_at(9, &produce_request("stamped", 0, Some(&records))).await;
    assert_eq!(answer.error_code, 0);
    let stamp = answer.log_append_time_ms;
    assert!((before..=now_ms()).contains(&stamp));
    let fetched = client.fetch_at(12, &fetch_request("stamped", 0, 0)).await;
    let stored = Batch::read(&fetched.records).unwrap();
    stored.verify_checksum().unwrap();
    let mut reader = RecordReader::new(1 << 20);
    reader.start(&stored).unwrap();
    while let Some(record) = reader.next(&stored).unwrap() {
        assert_eq!(record.timestamp, stamp);
    }
}

/// A batch of an idempotent producer: epoch, sequence, records; base offset or code.
type Step = (i16, i32, usize, Result<i64, i16>);

/// What a live Kafka 4.2 did; `kafka.rs` asks it again.
#[tokio::test]
async fn idempotent_batches_are_answered_as_kafka_answers_them() {
    let table: &[(&str, &[Step])] = &[
        (
            "next, then an exact retry",
            &[(0, 0, 10, Ok(0)), (0, 10, 10, Ok(10)), (0, 10, 10, Ok(10)), (0, 0, 10, Ok(0))],
        ),
        ("overlap, part, gap", &[(0, 0, 10, Ok(0)), (0, 5, 10, Err(45)), (0, 0, 5, Err(45)), (0, 11, 1, Err(45))]),
        ("first ever batch with sequence 100", &[(0, 100, 1, Ok(0)), (0, 101, 1, Ok(1))]),
        ("an epoch that was never issued", &[(7, 55, 1, Ok(0))]),
        ("wrap inside a batch", &[(0, i32::MAX, 3, Ok(0)), (0, i32::MAX, 3, Ok(0)), (0, 2, 1, Ok(3))]),
        ("higher epoch", &[(0, 0, 1, Ok(0)), (1, 10, 1, Err(45)), (1, 0, 1, Ok(1)), (0, 1, 1, Err(47))]),
        (
            "the window of five",
            &[
                (0, 0, 1, Ok(0)),
                (0, 1, 1, Ok(1)),
                (0, 2, 1, Ok(2)),
                (0, 3, 1, Ok(3)),
                (0, 4, 1, Ok(4)),
                (0, 5, 1, Ok(5)),
                (0, 5, 1, Ok(5)),
                (0, 1, 1, Ok(1)),
                (0, 0, 1, Err(45)),
            ],
        ),
    ];
    let broker = broker().await;
    for (row, (what, steps)) in table.iter().enumerate() {
        let topic = format!("row-{row}");
        broker.create_topic(&topic, 1, &[]).unwrap();
        for (step, (epoch, sequence, records, expected)) in steps.iter().enumerate() {
            // Each on a connection of its own: the state belongs to the partition.
            let mut client = Client::connect(&broker).await;
            let sent = batch_from(900, *epoch, *sequence, *records);
            let answer = client.produce_at(9, &produce_request(&topic, 0, Some(&sent))).await;
            let outcome = if answer.error_code == 0 { Ok(answer.base_offset) } else { Err(answer.error_code) };
            assert_eq!(outcome, *expected, "{what}, step {step}");
        }
    }
}

#[tokio::test]
async fn two_rivals_with_identical_cuts_append_each_batch_once() {
    let broker = broker().await;
    let rival = async || {
        let mut client = Client::connect(&broker).await;
        let mut answers = Vec::new();
        for round in 0..100 {
            let answer = client.produce(0, &batch_from(1, 0, round, 1)).await;
            answers.push((answer.error_code, answer.base_offset));
        }
        answers
    };
    let (one, other) = tokio::join!(rival(), rival());
    // One may be a whole window behind the other and learn that by 45; none is appended twice.
    for (round, answer) in one.iter().chain(&other).enumerate().filter(|(_, answer)| answer.0 == 0) {
        assert_eq!(answer.1, (round % 100) as i64);
    }
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, 100));
}

#[tokio::test]
async fn producer_ids_are_fresh_each_time_and_transactional_ones_are_refused() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let mut ids = Vec::new();
    for version in InitProducerId::VERSIONS {
        let request = InitProducerIdRequest::default();
        let ask = client.call::<InitProducerId, _>(version, &request, |r| {
            assert_eq!((r.error_code, r.producer_epoch), (0, 0));
            r.producer_id
        });
        ids.push(ask.await);
    }
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let request = InitProducerIdRequest { transactional_id: Some(String::new()), ..Default::default() };
    let code = client.call::<InitProducerId, _>(4, &request, |r| r.error_code).await;
    assert_eq!(code, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn without_acks_nothing_is_answered_and_an_error_ends_the_connection() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let good = batch(2);
    let request = ProduceRequest { acks: 0, ..produce_request("t", 0, Some(&good)) };
    client.send::<Produce>(9, &request).await;
    assert_eq!(client.fetch(0, 0).await.bases(), [0]);
    let request = ProduceRequest { acks: 0, ..produce_request("nowhere", 0, Some(&good)) };
    client.send::<Produce>(9, &request).await;
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn the_wrong_place_and_wrong_acks_are_refused() {
    let config = BrokerConfig { nodes: 2, topics: vec![("t".into(), 2)], ..Default::default() };
    let broker = broker_with(config).await;
    let mut client = Client::connect(&broker).await;
    let good = batch(1);
    let other = (0..2).find(|p| broker.leader("t", *p).unwrap() == 2).unwrap();
    for (request, code) in [
        (produce_request("nowhere", 0, Some(&good)), ErrorCode::UnknownTopicOrPartition),
        (produce_request("t", 9, Some(&good)), ErrorCode::UnknownTopicOrPartition),
        (produce_request("t", -1, Some(&good)), ErrorCode::UnknownTopicOrPartition),
        (produce_request("t", other, Some(&good)), ErrorCode::NotLeaderOrFollower),
        (ProduceRequest { acks: 2, ..produce_request("t", 0, Some(&good)) }, ErrorCode::InvalidRequiredAcks),
    ] {
        assert_eq!(client.produce_at(9, &request).await.error_code, code.code(), "{request:?}");
    }
    let mut request = produce_request("", 0, Some(&good));
    request.topic_data[0].topic_id = Uuid([9; 16]);
    assert_eq!(client.produce_at(13, &request).await.error_code, ErrorCode::UnknownTopicId.code());
    broker.move_leader("t", other, 1).unwrap();
    assert_eq!(client.produce(other, &good).await.base_offset, 0);
    assert_eq!(client.fetch(other, 0).await.records[12..16], 1i32.to_be_bytes(), "the new leader's epoch");
}

#[tokio::test]
async fn too_few_in_sync_replicas_refuse_full_acks_only() {
    let broker = broker().await;
    broker.create_topic("safe", 1, &[("min.insync.replicas", "2")]).unwrap();
    let mut client = Client::connect(&broker).await;
    let good = batch(1);
    let request = produce_request("safe", 0, Some(&good));
    assert_eq!(client.produce_at(9, &request).await.error_code, ErrorCode::NotEnoughReplicas.code());
    assert_eq!(client.produce_at(9, &ProduceRequest { acks: 1, ..request }).await.error_code, 0);
}

#[tokio::test]
async fn a_full_broker_refuses_and_takes_again_after_records_are_deleted() {
    let config = BrokerConfig { topics: vec![("t".into(), 1)], memory_bytes: 20_000, ..Default::default() };
    let broker = broker_with(config).await;
    let mut client = Client::connect(&broker).await;
    let good = batch(100);
    let mut stored = 0;
    let refused = loop {
        let answer = client.produce(0, &good).await;
        if answer.error_code != 0 {
            break answer;
        }
        stored += 100;
        assert!(stored < 100_000, "the limit of 20,000 bytes was never met");
    };
    assert_eq!(refused.error_code, ErrorCode::KafkaStorageError.code());
    assert!(refused.error_message.unwrap().contains("--memory"));
    let (used, total) = broker.memory();
    assert!(used <= total);
    assert_eq!(broker.offsets("t", 0).unwrap(), (0, stored));
    broker.set_log_start("t", 0, stored).unwrap();
    assert_eq!(client.produce(0, &good).await.base_offset, stored);
}
