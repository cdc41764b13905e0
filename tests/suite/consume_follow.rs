//! Following what is written, as a user sees it who watches the output.
#![cfg(unix)]

use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Codec, Headers};
use kmerge::client::WriteOptions;
use kmerge::ports::Outgoing;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// `kmerge consume` at work, its lines as they come.
struct Consumer {
    child: Child,
    lines: Receiver<String>,
    /// All that it has said, once it has ended.
    said: Receiver<String>,
}

impl Consumer {
    fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let mut command = command(&cluster.brokers, &[&["consume"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let (says, said) = channel();
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut all = String::new();
            stderr.read_to_string(&mut all).and_then(|_| says.send(all).map_err(std::io::Error::other))
        });
        Self { child, lines, said }
    }

    /// The next lines, so many.
    #[track_caller]
    fn lines(&self, count: usize) -> Vec<String> {
        // In a runtime of several threads: the embedded broker goes on meanwhile.
        tokio::task::block_in_place(|| {
            (0..count)
                .map(|at| {
                    let line = self.lines.recv_timeout(PATIENCE);
                    line.unwrap_or_else(|error| {
                        panic!("line {at} of {count} does not come: {error}; said: {}", self.said())
                    })
                })
                .collect()
        })
    }

    /// What it has said until it was asked to end: why nothing comes, perhaps.
    fn said(&self) -> String {
        // It may have ended by itself.
        let _ = self.send("-TERM");
        let said = self.said.recv_timeout(PATIENCE);
        said.unwrap_or_else(|error| error.to_string())
    }

    /// Whether nothing comes for a while.
    fn is_silent(&self, time: Duration) -> bool {
        tokio::task::block_in_place(|| self.lines.recv_timeout(time).is_err())
    }

    fn signal(&self, signal: &str) {
        assert!(self.send(signal));
    }

    fn send(&self, signal: &str) -> bool {
        let status = std::process::Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        status.unwrap().success()
    }

    /// Its status and what it said.
    fn ended(mut self) -> (Option<i32>, String) {
        tokio::task::block_in_place(|| {
            let said = self.said.recv_timeout(PATIENCE).unwrap();
            (self.child.wait().unwrap().code(), said)
        })
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn batch(numbers: &[i64]) -> Outgoing {
    let mut writer = BatchWriter::new(Codec::None);
    for number in numbers {
        writer.push(1_700_000_000_000, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    let bytes = writer.finish().unwrap().to_vec();
    Outgoing { len: bytes.len(), bytes, records: numbers.len() as u32 }
}

on_both_brokers! {
    async fn what_is_written_is_shown_at_once_and_an_interrupt_ends_it_with_a_summary(cluster: &Cluster) {
        let topic = cluster.topic("live", 2).await;
        cluster.put(&topic, 0, &[1, 2].map(Rec::int)).await;
        let consumer = Consumer::start(cluster, &[&topic]);
        assert_eq!(consumer.lines(2), ["1", "2"]);
        for number in 3..8 {
            cluster.put(&topic, (number % 2) as i32, &[Rec::int(number)]).await;
            let written = Instant::now();
            assert_eq!(consumer.lines(1), [number.to_string()]);
            assert!(written.elapsed() < Duration::from_secs(5), "{number} took {:?}", written.elapsed());
        }
        consumer.signal("-INT");
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(130), "{said}");
        assert!(said.contains("7 records of 2 partitions") && said.contains("stopped: interrupted"), "{said}");

        let newest = Consumer::start(cluster, &[&topic, "-o", "end", "-c", "1", "-v"]);
        // It says nothing when it is ready, so records are written until one is seen.
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            cluster.put(&topic, 0, &[Rec::int(100)]).await;
            if !newest.is_silent(Duration::from_millis(100)) {
                break;
            }
        }
        let (status, said) = newest.ended();
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("1 record of 2 partitions"), "{said}");
    }

    async fn an_end_that_is_not_written_yet_is_waited_for(cluster: &Cluster) {
        let topic = cluster.topic("live", 1).await;
        cluster.put(&topic, 0, &[0, 1].map(Rec::int)).await;
        let consumer = Consumer::start(cluster, &[&topic, "-o", "1:4"]);
        let late = Consumer::start(cluster, &[&topic, "-o", "3", "-c", "1"]);
        assert_eq!(consumer.lines(1), ["1"]);
        cluster.put(&topic, 0, &[2, 3, 4].map(Rec::int)).await;
        assert_eq!(consumer.lines(2), ["2", "3"]);
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("up to the end that was asked for"), "{said}");
        assert_eq!(late.lines(1), ["3"]);
    }

    async fn open_transactions_are_left_out_at_the_exit_and_shown_when_they_commit(cluster: &Cluster) {
        let topic = cluster.topic("txn", 1).await;
        let beside = cluster.topic("beside", 1).await;
        cluster.put(&topic, 0, &[Rec::int(0)]).await;
        let (output, record) = (TopicPartition::new(topic.as_str(), 0), TopicPartition::new(beside.as_str(), 0));
        let client = cluster.client().await;
        let producer = client.transactional(&topic, PATIENCE).await.unwrap();
        let mut writer = producer.writer(output.clone(), 1, record.clone(), WriteOptions::default());
        writer.append(batch(&[1, 2])).await.unwrap();
        writer.flush().await.unwrap();

        let exited = cluster.run(&["consume", &topic, "-e"]).await.ok();
        assert_eq!(exited.stdout, "0\n");
        assert!(exited.stderr.contains("2 offsets at its end were in transactions that were not finished"), "{exited:?}");
        let consumer = Consumer::start(cluster, &[&topic, "-c", "4"]);
        assert_eq!(consumer.lines(1), ["0"]);
        assert!(consumer.is_silent(Duration::from_millis(300)), "what is not committed is shown");
        writer.commit().await.unwrap();
        assert_eq!(consumer.lines(2), ["1", "2"]);
        // Aborted: written, and never there.
        writer.append(batch(&[66])).await.unwrap();
        writer.flush().await.unwrap();
        writer.into_producer().await.resolve().await.unwrap();
        cluster.put(&topic, 0, &[Rec::int(3)]).await;
        assert_eq!(consumer.lines(1), ["3"]);
        assert_eq!(consumer.ended().0, Some(0));
    }

    async fn partitions_that_are_added_are_read_from_their_start(cluster: &Cluster) {
        let topic = cluster.topic("grows", 1).await;
        cluster.put(&topic, 0, &[Rec::int(0)]).await;
        let consumer = Consumer::start(cluster, &[&topic, "-f", "%p:%s\\n"]);
        assert_eq!(consumer.lines(1), ["0:0"]);
        cluster.client().await.create_partitions(&topic, 3).await.unwrap();
        cluster.put(&topic, 2, &[Rec::int(5)]).await;
        assert_eq!(consumer.lines(1), ["2:5"]);
        cluster.put(&topic, 0, &[Rec::int(1)]).await;
        assert_eq!(consumer.lines(1), ["0:1"]);
    }

    async fn a_topic_that_is_deleted_underway_ends_it(cluster: &Cluster) {
        let topic = cluster.topic("gone", 1).await;
        cluster.put(&topic, 0, &[Rec::int(0)]).await;
        let consumer = Consumer::start(cluster, &[&topic, "--timeout", "2s"]);
        assert_eq!(consumer.lines(1), ["0"]);
        cluster.client().await.delete_topic(&topic).await.unwrap();
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(&format!("there is no topic {topic}")) && said.contains("1 record of 1"), "{said}");
    }

    async fn ordered_holds_records_back_until_no_other_partition_can_have_smaller_ones(cluster: &Cluster) {
        let topic = cluster.topic("sorted", 2).await;
        let consumer = Consumer::start(cluster, &[&topic, "--ordered"]);
        cluster.put(&topic, 0, &[1, 3, 5].map(Rec::int)).await;
        assert!(consumer.is_silent(Duration::from_millis(300)), "partition 1 might hold a 0");
        cluster.put(&topic, 1, &[Rec::int(4)]).await;
        assert_eq!(consumer.lines(3), ["1", "3", "4"]);
        assert!(consumer.is_silent(Duration::from_millis(300)), "partition 1 might hold another 4");
        cluster.put(&topic, 1, &[Rec::int(6)]).await;
        assert_eq!(consumer.lines(1), ["5"]);
        cluster.put(&topic, 0, &[Rec::int(2)]).await;
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(4), "{said}");
        assert!(said.contains("is not sorted") && said.contains("offset 3 has key 2, below 5 at offset 2"), "{said}");
    }

    async fn ordered_passes_over_quiet_partitions_and_tells_what_that_costs(cluster: &Cluster) {
        let topic = cluster.topic("sorted", 3).await;
        let consumer = Consumer::start(cluster, &[&topic, "--ordered", "--idle-timeout", "1s", "-f", "%p:%s\\n"]);
        cluster.put(&topic, 0, &[1, 5].map(Rec::int)).await;
        cluster.put(&topic, 1, &[Rec::int(2)]).await;
        assert_eq!(consumer.lines(3), ["0:1", "1:2", "0:5"]);
        cluster.put(&topic, 2, &[3, 9].map(Rec::int)).await;
        assert_eq!(consumer.lines(2), ["2:3", "2:9"], "late, but shown");
        consumer.signal("-TERM");
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(143), "{said}");
        assert!(said.contains("1 record came late") && said.contains("had been passed over"), "{said}");
        assert!(said.contains(&format!("{topic} partition 2 offset 0")), "{said}");
    }

    async fn ordered_waits_for_partitions_that_are_added_and_shows_at_once_what_they_hold_that_is_late(cluster: &Cluster) {
        let topic = cluster.topic("sorted", 2).await;
        cluster.put(&topic, 0, &[Rec::int(5)]).await;
        cluster.put(&topic, 1, &[Rec::int(6)]).await;
        let consumer = Consumer::start(cluster, &[&topic, "--ordered", "-f", "%p:%s\\n"]);
        // From here on it waits for partition 0, for ever.
        assert_eq!(consumer.lines(1), ["0:5"]);
        cluster.client().await.create_partitions(&topic, 3).await.unwrap();
        cluster.put(&topic, 2, &[3, 4, 9].map(Rec::int)).await;
        assert_eq!(consumer.lines(2), ["2:3", "2:4"], "late, and nothing is gained by waiting");
        cluster.put(&topic, 0, &[7, 12].map(Rec::int)).await;
        assert_eq!(consumer.lines(1), ["1:6"]);
        cluster.put(&topic, 1, &[Rec::int(10)]).await;
        assert_eq!(consumer.lines(2), ["0:7", "2:9"]);
        assert!(consumer.is_silent(Duration::from_millis(300)), "partition 2 might hold another 9");
        cluster.put(&topic, 2, &[Rec::int(11)]).await;
        assert_eq!(consumer.lines(1), ["1:10"]);
        consumer.signal("-TERM");
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(143), "{said}");
        assert!(said.contains("2 records came late") && said.contains("of 3 partitions"), "{said}");
        assert!(said.contains(&format!("{topic} partition 2 offset 0")) && said.contains("was added"), "{said}");
    }

    async fn a_partition_that_is_added_and_is_not_sorted_ends_the_order(cluster: &Cluster) {
        let topic = cluster.topic("unsorted", 1).await;
        cluster.put(&topic, 0, &[Rec::int(5)]).await;
        let consumer = Consumer::start(cluster, &[&topic, "--ordered"]);
        assert_eq!(consumer.lines(1), ["5"]);
        cluster.client().await.create_partitions(&topic, 2).await.unwrap();
        cluster.put(&topic, 1, &[4, 3].map(Rec::int)).await;
        assert_eq!(consumer.lines(1), ["4"]);
        let (status, said) = consumer.ended();
        assert_eq!(status, Some(4), "{said}");
        assert!(said.contains("offset 1 has key 3, below 4 at offset 0"), "{said}");
    }

    async fn a_pipe_that_closes_ends_it_quietly_also_while_nothing_comes(cluster: &Cluster) {
        let topic = cluster.topic("quiet", 1).await;
        let mut command = command(&cluster.brokers, &["consume", &topic]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
    }

    /// The pipe is full, the reader of it sleeps, and meanwhile the records are deleted that come next.
    async fn retention_that_overtakes_a_slow_reader_is_told_with_what_is_lost(cluster: &Cluster) {
        let topic = cluster.topic("slow", 1).await;
        let pad = "x".repeat(1000);
        for first in (0..4000).step_by(100) {
            let records: Vec<_> = (first..first + 100).map(|number| Rec::text(&format!("{number} {pad}"))).collect();
            cluster.put(&topic, 0, &records).await;
        }
        let mut command = command(&cluster.brokers, &["consume", &topic, "-e", "--memory", "1MiB"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut first = [0; 2];
        tokio::task::block_in_place(|| stdout.read_exact(&mut first)).unwrap();
        cluster.delete_before(&topic, 0, 3990).await;
        let (shown, ended) = tokio::task::spawn_blocking(move || {
            let mut shown = String::new();
            stdout.read_to_string(&mut shown).unwrap();
            (shown, child.wait_with_output().unwrap())
        })
        .await
        .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        let records = shown.lines().count();
        assert!(records < 3990, "nothing was overtaken: {said}");
        assert!(shown.ends_with('\n') && shown.lines().last().unwrap().starts_with(&format!("{} x", records - 1)));
        assert_eq!(ended.status.code(), Some(4), "{said}");
        assert!(said.contains(&format!("offsets {records} to 3989 are lost")), "{said}");
    }
}
