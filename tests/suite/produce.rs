//! Files and pipes into a topic, as they lie there afterwards.

use crate::support::*;
use kmerge::batch::{HeadersBuf, TimestampType};
use kmerge::formats::envelope::Envelope;
use kmerge::jobs::pour::partition_of_key;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A file of the test's own, gone with it.
pub struct Sample(PathBuf);

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Sample {
    pub fn new(extension: &str, text: impl AsRef<[u8]>) -> Self {
        let name = format!("kmerge-test-{}-{}.{extension}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub async fn produce(cluster: &Cluster, args: &[&str], input: impl Into<Vec<u8>>) -> Outcome {
    run_with(command(&cluster.brokers, &[&["produce"], args].concat()), input.into()).await
}

pub async fn values(cluster: &Cluster, topic: &str, partition: i32) -> Vec<String> {
    let text = |record: Rec| String::from_utf8(record.value.unwrap()).unwrap();
    cluster.read(topic, partition).await.into_iter().map(text).collect()
}

/// Looks again and again until it is so.
pub async fn until(holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(30), "it never happens");
        tokio::task::yield_now().await;
    }
}

on_both_brokers! {
    async fn lines_of_a_pipe_become_values_in_their_order(cluster: &Cluster) {
        let topic = cluster.topic("lines", 2).await;
        let input = b"one\ntwo\r\n\nlast \xff".to_vec();
        let report = produce(cluster, &[&topic, "-p", "1", "--timestamp", "2026-01-01T00:00:00Z", "-H", "a=b", "-H", "none", "--output", "json"], input).await.ok().json();
        assert_eq!((&report["sent"], &report["acknowledged"], &report["failed"]), (&4.into(), &4.into(), &0.into()));
        let records = cluster.read(&topic, 1).await;
        let stored: Vec<&[u8]> = records.iter().map(|record| record.value.as_deref().unwrap()).collect();
        assert_eq!(stored, [&b"one"[..], b"two", b"", b"last \xff"]);
        assert!(records.iter().all(|record| record.timestamp == 1_767_225_600_000 && record.key.is_none()));
        assert_eq!(records[0].headers, [(b"a".to_vec(), Some(b"b".to_vec())), (b"none".to_vec(), None)]);
        assert_eq!(cluster.read(&topic, 0).await, []);
    }

    async fn records_go_where_javas_producer_would_put_their_keys_in_order(cluster: &Cluster) {
        let topic = cluster.topic("keyed", 5).await;
        let lines: String = (0..3000).map(|i| format!("key-{}=>{i}\n", i % 100)).collect();
        produce(cluster, &["--topic", &topic, "-K", "=>", "--batch-bytes", "1KiB"], lines).await.ok();
        let mut count = 0;
        for partition in 0..5 {
            let records = cluster.read(&topic, partition).await;
            count += records.len();
            assert!(records.iter().all(|record| partition_of_key(record.key.as_deref().unwrap(), 5) == partition as usize));
            let numbers: Vec<u32> = records.iter().map(|record| String::from_utf8_lossy(record.value.as_deref().unwrap()).parse().unwrap()).collect();
            assert!(numbers.is_sorted());
        }
        assert_eq!(count, 3000);
    }

    async fn rows_of_a_csv_become_objects_with_a_key_and_a_time(cluster: &Cluster) {
        let topic = cluster.topic("rows", 1).await;
        let file = Sample::new("csv", "id,at,note\n7,2026-01-01T00:00:00Z,\"two\nlines\"\n8,1000,\"say \"\"hi\"\"\"\n");
        produce(cluster, &[&topic, file.path(), "--key", "id", "--timestamp-from", "at"], "").await.ok();
        let records = cluster.read(&topic, 0).await;
        assert_eq!(values(cluster, &topic, 0).await, [
            r#"{"id":"7","at":"2026-01-01T00:00:00Z","note":"two\nlines"}"#,
            r#"{"id":"8","at":"1000","note":"say \"hi\""}"#,
        ]);
        let keys: Vec<(&[u8], i64)> = records.iter().map(|record| (record.key.as_deref().unwrap(), record.timestamp)).collect();
        assert_eq!(keys, [(&b"7"[..], 1_767_225_600_000), (b"8", 1000)]);
    }

    async fn a_topic_that_is_missing_is_made_and_that_is_said(cluster: &Cluster) {
        let topic = cluster.name("missing");
        let outcome = produce(cluster, &[&topic, "--create", "2"], "one\ntwo\n").await.ok();
        assert!(outcome.stderr.contains("(made)"), "{outcome:?}");
        let stored = [values(cluster, &topic, 0).await, values(cluster, &topic, 1).await].concat();
        assert_eq!(stored, ["one", "two"]);
    }

    async fn elements_and_documents_of_json_become_values_on_one_line(cluster: &Cluster) {
        let topic = cluster.topic("json", 1).await;
        let array = Sample::new("json", "[\n  {\"user\": {\"id\": 1}},\n  {\"user\": {\"id\": \"two\"}}\n]\n");
        let pretty = Sample::new("json", "{\n  \"user\": {\n    \"id\": 3.0\n  }\n}\n");
        produce(cluster, &[&topic, array.path(), pretty.path(), "-k", "/user/id"], "").await.ok();
        assert_eq!(values(cluster, &topic, 0).await, [r#"{"user":{"id":1}}"#, r#"{"user":{"id":"two"}}"#, r#"{"user":{"id":3.0}}"#]);
        let keys: Vec<Vec<u8>> = cluster.read(&topic, 0).await.into_iter().map(|record| record.key.unwrap()).collect();
        assert_eq!(keys, [&b"1"[..], b"two", b"3.0"]);
    }

    async fn envelopes_become_the_records_they_were_written_from(cluster: &Cluster) {
        let topic = cluster.topic("copy", 3).await;
        let mut seed = Seed::printed();
        let bytes = |seed: &mut Seed| match seed.below(6) {
            0 => None,
            1 => Some(b"null".to_vec()),
            2 => Some(b"{\"a\" : [1, 2.50],  \"a\":\"\\ud800\"}".to_vec()),
            3 => Some("é\u{9b}\n\"\\".as_bytes().to_vec()),
            4 => Some(b" [1] ".to_vec()),
            _ => Some((0..seed.below(9)).map(|_| seed.next() as u8).collect()),
        };
        let mut expected = vec![Vec::new(); 3];
        let mut text = Vec::new();
        for offset in 0..500 {
            let (partition, timestamp) = (seed.below(3) as i32, 1_700_000_000_000 + seed.below(1000) as i64);
            let (key, value) = (bytes(&mut seed), bytes(&mut seed));
            let headers: Vec<_> = (0..seed.below(3)).map(|_| (bytes(&mut seed).unwrap_or_default(), bytes(&mut seed))).collect();
            let mut written = HeadersBuf::default();
            headers.iter().for_each(|(name, value)| written.push(name, value.as_deref()));
            let envelope = Envelope {
                topic: "somewhere", partition, offset, timestamp, timestamp_type: TimestampType::Create, broker: None,
                key: key.as_deref(), value: value.as_deref(), headers: written.headers(),
            };
            envelope.write(&mut text);
            text.push(b'\n');
            expected[partition as usize].push(Rec { key, value, headers, timestamp });
        }
        produce(cluster, &["-J", &topic, "--keep-partitions"], text).await.ok();
        for (partition, expected) in expected.iter().enumerate() {
            assert_eq!(cluster.read(&topic, partition as i32).await, *expected);
        }
    }

    async fn the_rows_of_files_are_repeated_in_order_up_to_a_count_with_a_line_for_each_batch(cluster: &Cluster) {
        let topic = cluster.topic("repeated", 1).await;
        let (one, two) = (Sample::new("csv", "n\na b\n2\n"), Sample::new("csv", "n\n3\n"));
        let args = [&topic, one.path(), "--repeat-to", "5", "--batch-records", "2"];
        let outcome = produce(cluster, &args, "").await.ok();
        let lines: Vec<&str> = outcome.stdout.lines().map(|line| line.split(" in ").next().unwrap()).collect();
        assert_eq!(lines, ["batch 1: 2 records, 3 words, 20 B", "batch 2: 2 records, 3 words, 20 B", "batch 3: 1 records, 2 words, 11 B"]);
        produce(cluster, &[&topic, one.path(), two.path(), "--repeat-to", "4", "-q"], "").await.ok();
        let n = |text: &str| format!("{{\"n\":\"{text}\"}}");
        let expected = ["a b", "2", "a b", "2", "a b", "a b", "2", "3", "a b"].map(n);
        assert_eq!(values(cluster, &topic, 0).await, expected);
    }

    async fn both_ways_of_writing_are_compared_in_a_table(cluster: &Cluster) {
        let topic = cluster.topic("compared", 2).await;
        let rows: String = (0..500).map(|i| format!("{i}\n")).collect();
        let file = Sample::new("txt", &rows);
        let args = [&topic, file.path(), "--compare", "--compare-records", "40"];
        let outcome = produce(cluster, &args, "").await.ok();
        let table: Vec<Vec<&str>> = outcome.stdout.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
        assert_eq!(table[..3], [["MODE", "SENT", "ACKED", "FAILED"], ["sync", "40", "40", "0"], ["async", "500", "500", "0"]]);
        let report = produce(cluster, &[&args[..], &["--output", "json"]].concat(), "").await.ok().json();
        assert_eq!((&report["sync"]["acknowledged"], &report["acknowledged"]), (&40.into(), &500.into()));
        assert!(report["ratio"].as_f64().unwrap() > 1.0, "{report}");
        let few = produce(cluster, &[&args[..], &["--records", "7", "--output", "json"]].concat(), "").await.ok().json();
        assert_eq!((&few["sync"]["sent"], &few["sent"]), (&7.into(), &7.into()), "--records bounds both");
        let there = cluster.read(&topic, 0).await.len() + cluster.read(&topic, 1).await.len();
        assert_eq!(there, 2 * 540 + 2 * 7);
    }

    async fn each_codec_and_either_acknowledgement_stores_every_record_once(cluster: &Cluster) {
        let lines: String = (0..2000).map(|i| format!("line {i}\n")).collect();
        let expected: Vec<String> = lines.lines().map(str::to_owned).collect();
        for (codec, acks) in [("none", "1"), ("gzip", "all"), ("snappy", "1"), ("lz4", "all"), ("zstd", "all")] {
            let topic = cluster.topic(codec, 1).await;
            produce(cluster, &[&topic, "-z", codec, "--acks", acks, "--batch-bytes", "4KiB"], lines.as_bytes()).await.ok();
            // The leader alone has acknowledged some: readers see them once the others have them too.
            until(async || cluster.read(&topic, 0).await.len() >= 2000).await;
            assert_eq!(values(cluster, &topic, 0).await, expected);
            assert_eq!(cluster.codecs(&topic, 0).await, [codec]);
        }
    }

    async fn without_keys_partitions_take_turns(cluster: &Cluster) {
        let topic = cluster.topic("turns", 4).await;
        let lines: String = (0..4000).map(|i| format!("{i}\n")).collect();
        produce(cluster, &[&topic, "--batch-bytes", "1KiB"], lines).await.ok();
        let mut counts = Vec::new();
        for partition in 0..4 {
            counts.push(cluster.read(&topic, partition).await.len());
        }
        assert_eq!(counts.iter().sum::<usize>(), 4000);
        // About a thousand each, but a partition whose batches are slow to be stored is passed over.
        assert!(counts.iter().all(|count| *count >= 100), "{counts:?}");
    }

    async fn two_that_write_to_one_partition_do_not_disturb_each_other(cluster: &Cluster) {
        let topic = cluster.topic("shared", 1).await;
        let lines = |name: &str| (0..20_000).map(|i| format!("{name}{i}\n")).collect::<String>();
        let args = [topic.as_str(), "--batch-bytes", "2KiB"];
        let (a, b) = tokio::join!(produce(cluster, &args, lines("a")), produce(cluster, &args, lines("b")));
        a.ok();
        b.ok();
        let stored = values(cluster, &topic, 0).await;
        for name in ["a", "b"] {
            let own: Vec<&String> = stored.iter().filter(|value| value.starts_with(name)).collect();
            assert!(own.iter().map(|value| value.as_str()).eq(lines(name).lines()), "{name}: {} of them", own.len());
        }
    }

    /// The promise of bounded memory, in a process of its own: the input is several times the budget.
    async fn an_input_several_times_the_memory_is_written_within_a_bounded_peak(cluster: &Cluster) {
        let topic = cluster.topic("large", 2).await;
        let line = "x".repeat(1023) + "\n";
        let file = Sample::new("txt", line.repeat(32 << 10));
        let report = produce(cluster, &[&topic, file.path(), "--memory", "8MiB", "--output", "json"], "").await.ok().json();
        assert_eq!(report["acknowledged"], 32 << 10);
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        assert!(peak <= (8 + 32) << 20, "peak {} MiB", peak >> 20);
    }
}
