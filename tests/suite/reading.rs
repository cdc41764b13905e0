//! A partition read through our client while things go wrong with its broker: elections, lost tails, retention, deletion,
//! damage, transactions that stay open. On the embedded broker, whose hooks do these things; those that Apache Kafka can be
//! made to do have their test in `src/client/tests/kafka.rs`.

use kmerge::base::place::TopicPartition;
use kmerge::batch::control::{ControlType, marker};
use kmerge::batch::{BatchWriter, Batches, Codec, Headers, RecordReader};
use kmerge::broker::{Broker, BrokerConfig, Fault, Rule};
use kmerge::client::{ClientError, Cluster, PartitionReader, ReadOptions};
use kmerge::ports::Source as _;
use kmerge::wire::ApiKey;
use std::ops::Range;
use std::time::{Duration, Instant};

const TOPIC: &str = "t";
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(2);

/// Two nodes and a topic of one partition that both hold, led by the first.
async fn broker() -> Broker {
    let broker = Broker::start(BrokerConfig { nodes: 2, ..Default::default() }).await.unwrap();
    broker.create_replicated_topic(TOPIC, 1, 2, &[]).unwrap();
    broker.elect(TOPIC, 0, 1).unwrap();
    broker
}

async fn connect(broker: &Broker, timeout: Duration) -> Cluster {
    Cluster::connect(&broker.addresses(), timeout).await.unwrap()
}

/// A batch with these numbers as values.
fn batch(numbers: Range<i64>, producer: Option<i64>) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    if let Some(id) = producer {
        writer.producer(id, 0, 0).transactional(true);
    }
    for number in numbers {
        writer.push(1_700_000_000_000, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

fn end(kind: ControlType, producer: i64) -> Vec<u8> {
    marker(0, kind, 1_700_000_000_000, producer, 0, 0).unwrap()
}

/// Appends the numbers, ten a batch.
fn fill(broker: &Broker, numbers: Range<i64>) {
    for first in numbers.clone().step_by(10) {
        broker.append_raw(TOPIC, 0, &batch(first..(first + 10).min(numbers.end), None)).unwrap();
    }
}

/// One window of one batch, so that there is a fetch for each.
fn reader(cluster: &Cluster, range: Range<i64>) -> PartitionReader {
    let options = ReadOptions { fetch_bytes_max: 1, ..ReadOptions::default() };
    cluster.reader(TopicPartition::new(TOPIC, 0), range, options)
}

/// The numbers of the next stretch; `None` at the end.
async fn next(reader: &mut PartitionReader) -> Result<Option<Vec<i64>>, ClientError> {
    let mut window = Vec::new();
    if reader.next(&mut window).await?.is_none() {
        return Ok(None);
    }
    let (mut records, mut numbers) = (RecordReader::new(1 << 20), Vec::new());
    for batch in Batches::new(&window) {
        let batch = batch.unwrap();
        records.start(&batch).unwrap();
        while let Some(record) = records.next(&batch).unwrap() {
            numbers.push(std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap());
        }
    }
    Ok(Some(numbers))
}

async fn rest(reader: &mut PartitionReader) -> Result<Vec<i64>, ClientError> {
    let mut numbers = Vec::new();
    while let Some(more) = next(reader).await? {
        numbers.extend(more);
    }
    Ok(numbers)
}

#[tokio::test]
async fn leaders_that_change_under_a_reader_cost_it_nothing() {
    let broker = broker().await;
    fill(&broker, 0..300);
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..300);
    let mut numbers = Vec::new();
    for round in 0.. {
        match round % 6 {
            2 => drop(broker.elect(TOPIC, 0, 2).unwrap()),
            5 => drop(broker.elect(TOPIC, 0, 1).unwrap()),
            _ => {}
        }
        match next(&mut reader).await.unwrap() {
            Some(more) => numbers.extend(more),
            None => break,
        }
    }
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    assert!(broker.leader_epoch(TOPIC, 0).unwrap() >= 10);
}

#[tokio::test]
async fn a_leader_that_is_killed_is_left_for_the_other_and_is_there_when_it_comes_back() {
    let broker = broker().await;
    fill(&broker, 0..100);
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..100);
    let mut numbers = next(&mut reader).await.unwrap().unwrap();
    for _ in 0..2 {
        let leader = broker.leader(TOPIC, 0).unwrap();
        broker.stop_node(leader).await.unwrap();
        numbers.extend(next(&mut reader).await.unwrap().unwrap());
        broker.start_node(leader).await.unwrap();
    }
    numbers.extend(rest(&mut reader).await.unwrap());
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn fault_38_a_tail_that_is_lost_below_the_position_ends_the_reading_and_is_never_read_again() {
    let broker = broker().await;
    fill(&broker, 0..100);
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..100);
    for _ in 0..5 {
        next(&mut reader).await.unwrap().unwrap();
    }
    // Offsets 30 to 99 are lost, and given to other records.
    broker.truncate(TOPIC, 0, 30).unwrap();
    fill(&broker, 1030..1200);
    let error = next(&mut reader).await.unwrap_err();
    let ClientError::Truncated(at) = &error else { panic!("{error:?}") };
    assert_eq!((at.position, at.parts_at), (50, Some(30)));
    assert!(error.to_string().contains("offsets 30 to 49 were read already and are gone"), "{error}");
}

#[tokio::test]
async fn fault_38_an_unclean_election_is_noticed_where_the_old_leader_is_gone() {
    let broker = broker().await;
    fill(&broker, 0..100);
    broker.lag(TOPIC, 0, 2, 70).unwrap();
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..100);
    next(&mut reader).await.unwrap().unwrap();
    broker.elect(TOPIC, 0, 2).unwrap();
    fill(&broker, 70..100);
    let error = rest(&mut reader).await.unwrap_err();
    let ClientError::Truncated(at) = &error else { panic!("{error:?}") };
    assert_eq!((at.position, at.parts_at, at.end), (10, Some(70), 100));
}

#[tokio::test]
async fn fault_39_a_high_watermark_that_lags_after_an_election_is_waited_for() {
    let broker = broker().await;
    fill(&broker, 0..50);
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..50);
    assert_eq!(next(&mut reader).await.unwrap().unwrap().len(), 10);
    broker.hold_high_watermark(TOPIC, 0, 10).unwrap();
    broker.elect(TOPIC, 0, 2).unwrap();
    let fetched = broker.faults().count(ApiKey::Fetch);
    let (numbers, ()) = tokio::join!(rest(&mut reader), async {
        broker.faults().arrived(ApiKey::Fetch, fetched + 3).await;
        broker.catch_up(TOPIC, 0).unwrap();
    });
    assert_eq!(numbers.unwrap(), (10..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn fault_36_retention_that_passes_the_position_is_an_error_with_the_range_that_is_lost() {
    let broker = broker().await;
    fill(&broker, 0..100);
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..90);
    next(&mut reader).await.unwrap().unwrap();
    broker.set_log_start(TOPIC, 0, 40).unwrap();
    let error = next(&mut reader).await.unwrap_err();
    assert!(matches!(error, ClientError::OutOfRange { wanted: 10, end: 90, earliest: 40, latest: 100, .. }));
    assert!(error.to_string().contains("offsets 10 to 39 are lost"), "{error}");
}

#[tokio::test]
async fn fault_40_a_topic_that_is_deleted_and_made_again_is_another_topic() {
    let broker = broker().await;
    fill(&broker, 0..100);
    let cluster = connect(&broker, LONG).await;
    let mut reader = reader(&cluster, 0..100);
    next(&mut reader).await.unwrap().unwrap();
    broker.delete_topic(TOPIC).unwrap();
    broker.create_replicated_topic(TOPIC, 1, 2, &[]).unwrap();
    fill(&broker, 0..100);
    let error = next(&mut reader).await.unwrap_err();
    assert!(matches!(error, ClientError::Recreated { .. }), "{error:?}");
}

#[tokio::test]
async fn fault_28_an_open_transaction_is_waited_for_and_then_its_producer_is_named() {
    let broker = broker().await;
    fill(&broker, 0..20);
    broker.append_raw(TOPIC, 0, &batch(20..30, Some(4711))).unwrap();
    fill(&broker, 30..40);
    let ends = [(TopicPartition::new(TOPIC, 0), 40)];
    let cluster = connect(&broker, SHORT).await;
    let error = cluster.wait_for_transactions(&ends, Duration::from_millis(300)).await.unwrap_err();
    let ClientError::OpenTransaction(open) = &error else { panic!("{error:?}") };
    assert_eq!((open.from, open.producer.map(|producer| producer.id)), (20, Some(4711)));
    // The reader itself says the same when nobody has asked before.
    let mut held_up = reader(&cluster, 0..40);
    let error = rest(&mut held_up).await.unwrap_err();
    assert!(error.to_string().contains("open since offset 20: producer 4711"), "{error}");

    let asked = broker.faults().count(ApiKey::ListOffsets);
    let (waited, ()) = tokio::join!(cluster.wait_for_transactions(&ends, LONG), async {
        broker.faults().arrived(ApiKey::ListOffsets, asked + 2).await;
        broker.append_raw(TOPIC, 0, &end(ControlType::Abort, 4711)).unwrap();
    });
    waited.unwrap();
    let numbers = rest(&mut reader(&cluster, 0..40)).await.unwrap();
    assert_eq!(numbers, (0..20).chain(30..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn fault_30_and_31_aborted_records_are_never_read_and_a_range_may_end_in_them() {
    let broker = broker().await;
    let log = [
        batch(0..5, None),
        batch(100..105, Some(1)),
        batch(5..10, Some(2)),
        batch(105..110, Some(1)),
        end(ControlType::Abort, 1),
        end(ControlType::Commit, 2),
        batch(10..15, Some(1)),
        end(ControlType::Commit, 1),
        batch(110..115, Some(2)),
        end(ControlType::Abort, 2),
    ];
    broker.append_raw(TOPIC, 0, &log.concat()).unwrap();
    let (_, log_end) = broker.offsets(TOPIC, 0).unwrap();
    let cluster = connect(&broker, LONG).await;
    assert_eq!(rest(&mut reader(&cluster, 0..log_end)).await.unwrap(), (0..15).collect::<Vec<_>>());
    for start in 0..log_end {
        let found = rest(&mut reader(&cluster, start..log_end)).await.unwrap();
        assert!(found.iter().all(|number| *number < 100), "from {start}: {found:?}");
    }
}

#[tokio::test]
async fn fault_33_and_34_damaged_and_cut_answers_are_asked_for_again() {
    let broker = broker().await;
    fill(&broker, 0..200);
    for times in [1, 3] {
        let rule = || Rule::on(ApiKey::Fetch).partition(TOPIC, 0).after(3).times(times);
        broker.faults().add(rule(), Fault::Corrupt);
        broker.faults().add(rule().after(9), Fault::Truncate);
        let cluster = connect(&broker, LONG).await;
        assert_eq!(rest(&mut reader(&cluster, 0..200)).await.unwrap(), (0..200).collect::<Vec<_>>());
        broker.faults().clear();
    }
    broker.faults().add(Rule::on(ApiKey::Fetch).partition(TOPIC, 0).after(2).always(), Fault::Corrupt);
    let cluster = connect(&broker, LONG).await;
    let error = rest(&mut reader(&cluster, 0..200)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Damaged { at, tries: 4, .. } if at.offset == 20), "{error:?}");
}

#[tokio::test]
async fn fault_44_a_quota_slows_a_reader_and_changes_nothing() {
    let broker = broker().await;
    fill(&broker, 0..30);
    broker.throttle(ApiKey::Fetch, Duration::from_millis(200));
    let cluster = connect(&broker, LONG).await;
    let started = Instant::now();
    assert_eq!(rest(&mut reader(&cluster, 0..30)).await.unwrap(), (0..30).collect::<Vec<_>>());
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
}

#[tokio::test]
async fn fault_42_requests_that_are_lost_or_late_are_asked_again() {
    let broker = broker().await;
    fill(&broker, 0..100);
    let cluster = connect(&broker, Duration::from_secs(3)).await;
    let faults = broker.faults();
    faults.add(Rule::on(ApiKey::Fetch).after(1), Fault::DropBefore);
    faults.add(Rule::on(ApiKey::Fetch).after(3), Fault::DropAfter);
    let held = faults.add(Rule::on(ApiKey::Fetch).after(5), Fault::Hold);
    assert_eq!(rest(&mut reader(&cluster, 0..100)).await.unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(held.hits(), 1);
    held.release();
}
