//! Records through all of it, into an embedded broker.

use super::*;
use crate::base::shutdown::Signal;
use crate::broker::{Broker, BrokerConfig, Fault, Rule};
use crate::jobs::minutes::LedgerTo;
use crate::observe::latencies::Latencies;
use crate::wire::{ApiKey, ErrorCode};
use futures::FutureExt as _;

async fn broker(partitions: i32) -> (Broker, Cluster) {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    broker.create_topic("t", partitions, &[]).unwrap();
    let cluster = Cluster::connect(&[broker.bootstrap()], Duration::from_secs(10)).await.unwrap();
    (broker, cluster)
}

async fn pour(cluster: &Cluster, settings: PourSettings) -> Pour {
    Pour::open(cluster, "t", &settings, &Progress::default()).await.unwrap()
}

fn value(value: &[u8]) -> PourRecord<'_> {
    PourRecord { value: Some(value), ..PourRecord::at(1) }
}

fn end(broker: &Broker, partition: i32) -> i64 {
    broker.offsets("t", partition).unwrap().1
}

#[tokio::test]
async fn what_was_pushed_is_sent_within_its_linger_while_the_caller_waits_for_something_else() {
    let (broker, cluster) = broker(1).await;
    let mut pour = pour(&cluster, PourSettings::default()).await;
    pour.push(&value(b"x")).await.unwrap();
    let stored = async {
        while end(&broker, 0) < 1 {
            tokio::task::yield_now().await;
        }
        17
    };
    assert_eq!(pour.meanwhile(stored).await.unwrap(), 17);
    assert_eq!(pour.finish(&Shutdown::default()).await.counts, Counts { sent: 1, acknowledged: 1, failed: 0 });
}

#[tokio::test]
async fn each_record_is_awaited_where_that_is_wanted() {
    let (broker, cluster) = broker(3).await;
    let latencies = Latencies::default();
    let cluster = cluster.timing(&latencies);
    let mut pour = pour(&cluster, PourSettings { linger: Duration::from_secs(3600), ..Default::default() }).await;
    for sent in 1..20 {
        pour.push_and_settle(&value(b"x")).await.unwrap();
        assert_eq!((0..3).map(|partition| end(&broker, partition)).sum::<i64>(), sent);
        assert_eq!(pour.counts().acknowledged, sent as u64);
        // Each is a batch.
        assert_eq!(latencies.read().up_to.last().map(|(_, count)| *count), Some(sent as u64));
    }
}

#[tokio::test]
async fn batches_of_many_partitions_stay_within_the_memory_and_all_are_written() {
    let (broker, cluster) = broker(64).await;
    let settings = PourSettings { memory_bytes: 300_000, batch_bytes: 60_000, ..Default::default() };
    let mut pour = pour(&cluster, settings).await;
    let text = [b'x'; 200];
    for number in 0..10_000_u32 {
        let key = number.to_string();
        pour.push(&PourRecord { key: Some(key.as_bytes()), ..value(&text) }).await.unwrap();
        let filling: usize = pour.slots.iter().flat_map(|slot| &slot.batch).map(|batch| batch.writer.bytes()).sum();
        assert!(filling <= 75_000 + 64 * HEADER_BYTES + 1000, "{filling} bytes wait");
    }
    let poured = pour.finish(&Shutdown::default()).await;
    poured.verdict().unwrap();
    assert_eq!((0..64).map(|partition| end(&broker, partition)).sum::<i64>(), 10_000);
}

#[tokio::test]
async fn a_push_that_is_dropped_while_it_waits_has_taken_its_record_and_loses_nothing() {
    let (broker, cluster) = broker(1).await;
    let held = broker.faults().add(Rule::on(ApiKey::Produce), Fault::Hold);
    let settings = PourSettings { memory_bytes: 4_000, batch_bytes: 1_000, ..Default::default() };
    let mut pour = pour(&cluster, settings).await;
    let (text, mut dropped) = ([b'x'; 300], 0);
    for _ in 0..40 {
        dropped += u32::from(pour.push(&value(&text)).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert!(dropped > 5, "nothing is left of the budget, so it has to wait");
    held.hit().await;
    held.release();
    let poured = pour.finish(&Shutdown::default()).await;
    assert_eq!(poured.counts, Counts { sent: 40, acknowledged: 40, failed: 0 });
    assert_eq!(end(&broker, 0), 40);
}

#[tokio::test]
async fn a_signal_is_heard_while_the_last_answers_are_awaited_and_what_is_not_answered_in_time_has_failed() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    broker.create_topic("t", 1, &[]).unwrap();
    // Far longer than what is waited for after a signal.
    let cluster = Cluster::connect(&[broker.bootstrap()], Duration::from_secs(3600)).await.unwrap();
    let held = broker.faults().add(Rule::on(ApiKey::Produce), Fault::Hold);
    let mut pour = pour(&cluster, PourSettings::default()).await;
    pour.push(&value(b"x")).await.unwrap();
    let shutdown = Shutdown::default();
    let signal = async {
        held.hit().await;
        // From here on only clocks move anything.
        tokio::time::pause();
        shutdown.request(Signal::Interrupt);
        Instant::now()
    };
    let (poured, signalled) = tokio::join!(pour.finish(&shutdown), signal);
    assert!(signalled.elapsed() < LAST_WORDS * 2, "{:?}", signalled.elapsed());
    assert_eq!(poured.counts, Counts { sent: 1, acknowledged: 0, failed: 1 });
    assert!(poured.verdict().unwrap_err().to_string().contains("in the time that was left"));
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_refused_and_the_rest_goes_on() {
    let (_broker, cluster) = broker(2).await;
    let mut pour = pour(&cluster, PourSettings::default()).await;
    for partition in [2, -1, i32::MAX] {
        let error = pour.push(&PourRecord { partition: Some(partition), ..value(b"x") }).await.unwrap_err();
        assert!(error.to_string().contains("2 partitions"), "{error}");
    }
    pour.push(&PourRecord { partition: Some(1), ..value(b"x") }).await.unwrap();
    assert_eq!(pour.finish(&Shutdown::default()).await.counts.acknowledged, 1);
}

#[tokio::test]
async fn the_memory_that_is_named_as_needed_is_enough() {
    let (_broker, cluster) = broker(1).await;
    let open = async |settings: PourSettings| Pour::open(&cluster, "t", &settings, &Progress::default()).await;
    // Half of what the user said.
    let little =
        PourSettings { memory_bytes: 399_999, batch_bytes: 100_000, memory_shares: Some(2), ..Default::default() };
    let error = open(little).await.err().unwrap().to_string();
    assert!(error.contains("--memory 782KiB or more, or --batch-bytes 97KiB or less"), "{error}");
    assert!(open(PourSettings { memory_bytes: (782 << 10) / 2, ..little }).await.is_ok());
    assert!(open(PourSettings { batch_bytes: 97 << 10, ..little }).await.is_ok());
    let error = open(PourSettings { memory_shares: None, ..little }).await.err().unwrap().to_string();
    assert!(!error.contains("--memory"), "it cannot be said: {error}");
}

#[tokio::test]
async fn what_is_stored_behind_a_batch_that_failed_is_counted_and_timed_and_in_the_ledger() {
    let (broker, cluster) = broker(1).await;
    let latencies = Latencies::default();
    let cluster = cluster.timing(&latencies);
    let path = std::env::temp_dir().join(format!("kmerge-pour-{:016x}", rand::random::<u64>()));
    // Each record is a batch.
    let settings = PourSettings { batch_bytes: 200, linger: Duration::from_secs(3600), ..Default::default() };
    let mut pour = pour(&cluster, settings).await;
    pour.keep_ledger(Arc::new(Ledger::open(&LedgerTo::File(path.clone()), &[], &cluster).await.unwrap()));
    pour.push(&value(&[b'x'; 150])).await.unwrap();
    pour.settle().await.unwrap();
    // The second one is stored, and its writer is told that it never will be; the third one is on its way by then.
    broker.faults().add(Rule::on(ApiKey::Produce), Fault::ErrorAfter(ErrorCode::InvalidRecord));
    for _ in 0..2 {
        pour.push(&value(&[b'x'; 150])).await.unwrap();
    }
    let poured = pour.finish(&Shutdown::default()).await;
    assert_eq!((poured.counts, end(&broker, 0)), (Counts { sent: 3, acknowledged: 2, failed: 1 }, 3));
    assert_eq!(latencies.read().up_to.last().map(|(_, count)| *count), Some(2), "also what was heard last");
    let lines = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (records, last) =
        (lines.iter().map(|line| line["records"].as_u64().unwrap()).sum::<u64>(), &lines[0]["last_offset"]);
    assert_eq!((records, last), (2, &2.into()), "{lines:?}");
}
