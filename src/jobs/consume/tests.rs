//! The job on an embedded broker: its blocks are read instead of written.

use super::super::testing::context;
use super::*;
use crate::broker::{Broker, BrokerConfig};
use crate::client::group::{GroupOptions, Reset};
use crate::keys::Order;
use std::sync::{Arc, Mutex};

const TOPIC: &str = "t";

/// A block's worth of text a time.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn broker(partitions: i32) -> Broker {
    let topics = vec![(TOPIC.to_owned(), partitions)];
    Broker::start(BrokerConfig { topics, ..BrokerConfig::default() }).await.unwrap()
}

fn settings(memory_bytes: usize) -> ConsumeSettings {
    ConsumeSettings {
        topics: vec![TOPIC.to_owned()],
        partitions: Vec::new(),
        reach: FromTo::default(),
        exit: true,
        count: None,
        filter: Filter::default(),
        format: Format::Template(Template::parse("%p:%s\\n").unwrap()),
        ordered: None,
        group: None,
        memory_bytes,
        now_ms: 0,
    }
}

async fn consume(broker: &Broker, settings: &ConsumeSettings) -> (String, ConsumeReport, Result<(), JobError>) {
    let brokers = broker.bootstrap().split(',').map(str::to_owned).collect();
    let cx = JobContext { brokers, ..context() };
    let (blocks, out) = blocks();
    let text = Text::default();
    let mut shown = text.clone();
    let writer = std::thread::spawn(move || out.write_to(&mut shown));
    let (report, ended) = run(settings, blocks, &cx).await;
    writer.join().unwrap().unwrap();
    let shown = String::from_utf8(std::mem::take(&mut *text.0.lock().unwrap())).unwrap();
    (shown, report, ended)
}

/// One batch of numbers as text.
fn batch(codec: crate::batch::Codec, numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    let mut writer = crate::batch::BatchWriter::new(codec);
    for number in numbers {
        writer.push(0, None, Some(number.to_string().as_bytes()), crate::batch::Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_shown_once_and_in_its_partitions_order_with_little_memory_too() {
    use crate::batch::Codec;
    let broker = broker(5).await;
    for (partition, codec) in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].into_iter().enumerate()
    {
        for part in 0..10 {
            let batch = batch(codec, part * 1000..(part + 1) * 1000);
            broker.append_raw(TOPIC, partition as i32, &batch).unwrap();
        }
    }
    for memory in [1 << 20, 4 << 20, 64 << 20] {
        for ordered in [false, true] {
            if ordered && memory < 4 << 20 {
                continue;
            }
            let keys = KeyPlan::parse(&[], Order::Asc).unwrap();
            let ordered = ordered.then_some(Ordered { keys, idle_timeout: None });
            let settings = ConsumeSettings { ordered: ordered.clone(), ..settings(memory) };
            let (shown, report, ended) = consume(&broker, &settings).await;
            ended.unwrap();
            assert_eq!((report.stopped, report.counts.shown), (Stopped::Exit, 50_000));
            assert_eq!(report.counts.bytes, shown.len() as u64);
            let lines: Vec<(usize, i64)> = shown
                .lines()
                .map(|line| line.split_once(':').map(|(p, v)| (p.parse().unwrap(), v.parse().unwrap())).unwrap())
                .collect();
            if ordered.is_some() {
                let expected: Vec<_> = (0..10_000).flat_map(|number| (0..5).map(move |p| (p, number))).collect();
                assert!(lines == expected, "not in order of key and partition");
            }
            for partition in 0..5 {
                let of = lines.iter().filter(|(p, _)| *p == partition).map(|(_, number)| *number);
                assert!(of.eq(0..10_000), "partition {partition} at {memory}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_records_at_hand_is_not_passed_over_however_long_its_end_was_quiet() {
    /// More than a cursor gives between two pauses, twice.
    const EACH: i64 = 150_000;
    let broker = broker(3).await;
    for partition in 0..2 {
        let mut bytes = 0;
        for part in 0..3 {
            let numbers = (part * EACH / 3..(part + 1) * EACH / 3).map(|number| 2 * number + partition);
            let batch = batch(crate::batch::Codec::Zstd, numbers);
            broker.append_raw(TOPIC, partition as i32, &batch).unwrap();
            bytes += batch.len();
        }
        assert!(bytes < 1 << 20, "{bytes}: one window takes it all, and its end is heard of while that is read");
    }
    // Nothing is printed before partition 2 is found to be quiet; the ends of the others are so from then on, too.
    let keys = KeyPlan::parse(&[], Order::Asc).unwrap();
    let ordered = Some(Ordered { keys, idle_timeout: Some(Duration::ZERO) });
    let count = Some(2 * EACH as u64);
    let settings = ConsumeSettings { exit: false, count, ordered, ..settings(64 << 20) };
    let (shown, report, ended) = consume(&broker, &settings).await;
    ended.unwrap();
    assert_eq!((report.stopped, report.late), (Stopped::Count, 0));
    let expected = (0..2 * EACH).map(|number| format!("{}:{number}", number % 2));
    assert!(shown.lines().eq(expected), "not in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_ends_it_exactly_there_and_the_positions_say_where() {
    let broker = broker(1).await;
    broker.append_raw(TOPIC, 0, &batch(crate::batch::Codec::None, 0..1000)).unwrap();
    for count in [1, 7, 1000] {
        let (shown, report, ended) =
            consume(&broker, &ConsumeSettings { count: Some(count), ..settings(1 << 20) }).await;
        ended.unwrap();
        assert_eq!((shown.lines().count() as u64, report.stopped), (count, Stopped::Count));
        assert_eq!(report.partitions[0].position, count as i64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_does_not_fit_is_refused_with_the_memory_that_would_do() {
    let broker = broker(1).await;
    let large = (0..200_000).map(|number| number + 1_000_000);
    broker.append_raw(TOPIC, 0, &batch(crate::batch::Codec::None, large)).unwrap();
    let (shown, report, ended) = consume(&broker, &settings(512 << 10)).await;
    assert_eq!((shown.as_str(), report.stopped), ("", Stopped::Error));
    let said = ended.unwrap_err().to_string();
    let mib =
        said.split("--memory ").nth(1).and_then(|named| named.split("MiB").next()).and_then(|mib| mib.parse().ok());
    let mib: usize = mib.unwrap_or_else(|| panic!("no memory is named: {said}"));
    consume(&broker, &settings(mib << 20)).await.2.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_reads_is_a_reason_to_stop_and_no_error() {
    let broker = broker(1).await;
    broker.append_raw(TOPIC, 0, &batch(crate::batch::Codec::None, 0..10)).unwrap();
    let brokers = broker.bootstrap().split(',').map(str::to_owned).collect();
    let cx = JobContext { brokers, ..context() };
    let (blocks, out) = blocks();
    drop(out);
    let (report, ended) = run(&settings(1 << 20), blocks, &cx).await;
    assert_eq!((report.stopped, ended.is_ok()), (Stopped::Closed, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_stands_behind_a_batch_whose_last_records_are_compacted_away() {
    let broker = broker(1).await;
    let mut writer = crate::batch::BatchWriter::new(crate::batch::Codec::None);
    writer.push(0, None, Some(b"1"), crate::batch::Headers::EMPTY).unwrap();
    writer.last_offset_delta(Some(9));
    broker.append_raw(TOPIC, 0, writer.finish().unwrap()).unwrap();
    let group = GroupOptions { reset: Reset::EarliestIfNew, ..GroupOptions::new("g", &[TOPIC.to_owned()]) };
    let settings = ConsumeSettings { exit: false, group: Some(group), ..settings(1 << 20) };
    let cx = JobContext { brokers: broker.addresses(), ..context() };
    let (blocks, out) = blocks();
    let shown = Text::default();
    let mut text = shown.clone();
    let writer = std::thread::spawn(move || out.write_to(&mut text));
    let reading = tokio::spawn({
        let cx = cx.clone();
        async move { run(&settings, blocks, &cx).await }
    });
    let cluster = Cluster::connect(&broker.addresses(), cx.timeout).await.unwrap();
    let (began, at) = (std::time::Instant::now(), crate::base::place::TopicPartition::new(TOPIC, 0));
    loop {
        let stands = cluster.group_offsets("g").await.unwrap().get(&at).map(|one| one.offset);
        if stands == Some(10) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "stands at {stands:?}");
        tokio::task::yield_now().await;
    }
    cx.shutdown.request(crate::base::shutdown::Signal::Terminate);
    reading.await.unwrap().1.unwrap_err();
    writer.join().unwrap().unwrap();
    assert_eq!(*shown.0.lock().unwrap(), b"0:1\n");
}
