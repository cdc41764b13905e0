//! Ledgers as writers keep them: what was acknowledged is noted, whatever happens.

use crate::produce::{Sample, produce};
use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use serde_json::Value;

pub const MINUTE: i64 = 60_000;
/// 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;

pub fn minute(number: i64) -> String {
    format!("2026-01-01T00:{number:02}:00Z")
}

/// Rows of these minutes, one a row, with a key that spreads them.
pub fn rows(minutes: impl IntoIterator<Item = i64>) -> String {
    let rows = minutes.into_iter().enumerate();
    rows.map(|(row, minute)| format!("{row},{}\n", START + minute * MINUTE + row as i64 % MINUTE)).collect()
}

/// Writes such rows with a ledger.
pub async fn noted(cluster: &Cluster, topic: &str, ledger: &Sample, minutes: impl IntoIterator<Item = i64>) -> Value {
    let file = Sample::new("csv", format!("id,at\n{}", rows(minutes)));
    let args =
        [topic, file.path(), "--key", "id", "--timestamp-from", "at", "--ledger", ledger.path(), "--output", "json"];
    produce(cluster, &args, "").await.ok().json()
}

pub async fn reconcile(cluster: &Cluster, topic: &str, more: &[&str]) -> Outcome {
    cluster.run(&[&["reconcile", topic, "--output", "json"], more].concat()).await
}

pub fn lines(ledger: &Sample) -> Vec<Value> {
    let text = std::fs::read_to_string(ledger.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

pub fn sum(lines: &[Value], of: &str) -> u64 {
    lines.iter().map(|line| line[of].as_u64().unwrap()).sum()
}

on_both_brokers! {
    async fn several_commands_at_once_share_a_ledger_and_a_topic(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("shared", 2).await, Sample::new("ledger", ""));
        let generate = async |what: &str, more: &[&str]| {
            let args = ["generate", what, &topic, "--records", "4000", "--ledger", ledger.path(), "--start-time", "2026-01-01T00:00:00Z"];
            cluster.run(&[&args[..], more].concat()).await.ok()
        };
        tokio::join!(
            generate("logins", &["--linger", "0ms"]),
            generate("logins", &["--seed", "2"]),
            generate("events", &["--compression", "lz4"]),
            generate("parity", &["--parity", "odd"]),
        );
        assert_eq!(sum(&lines(&ledger), "records"), 16_000);
        let report = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok().json();
        assert_eq!(report["records_found"], 16_000);
        // Thousands of minutes each, so that all of them write to the file again and again.
        let wide = cluster.topic("wide", 4).await;
        tokio::join!(noted(cluster, &wide, &ledger, 0..9000), noted(cluster, &wide, &ledger, 0..9000), noted(cluster, &wide, &ledger, 0..9000));
        let report = reconcile(cluster, &wide, &["--ledger", ledger.path()]).await.ok().json();
        assert_eq!((&report["records_found"], &report["minutes"], &report["unreadable_lines"]), (&27_000.into(), &9000.into(), &0.into()));
        // What one of them notes is not enough.
        let other = Sample::new("ledger", "");
        let args = ["generate", "parity", &topic, "--parity", "even", "--records", "10", "--ledger", other.path()];
        cluster.run(&args).await.ok();
        reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.fails(4, &["10 extra"]);
        let both = format!("{},{}", ledger.path(), other.path());
        reconcile(cluster, &topic, &["--ledger", &both]).await.ok();
    }

    async fn a_topic_that_stamps_records_itself_is_reconciled_by_its_own_times(cluster: &Cluster) {
        let topic = cluster.topic_with("stamps", 2, &[("message.timestamp.type", "LogAppendTime")]).await;
        let ledger = Sample::new("ledger", "");
        noted(cluster, &topic, &ledger, (0..2000).map(|row| row % 50)).await;
        let stored: Vec<i64> = [cluster.read(&topic, 0).await, cluster.read(&topic, 1).await].concat().iter().map(|one| one.timestamp / MINUTE).collect();
        assert!(stored.iter().all(|minute| *minute > START / MINUTE + 60), "the broker's time, not the records'");
        reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok();
        assert!(lines(&ledger).iter().all(|line| !line["minute"].as_str().unwrap().starts_with("2026-01-01T00")));
    }

    async fn what_was_not_acknowledged_is_not_in_the_ledger(cluster: &Cluster) {
        let topic = cluster.topic_with("small", 1, &[("max.message.bytes", "2000")]).await;
        let ledger = Sample::new("ledger", "");
        let input = format!("one\n{}\nthree\n", "x".repeat(3000));
        produce(cluster, &[&topic, "--ledger", ledger.path()], input).await.fails(1, &["1 of 3 records were not written"]);
        assert_eq!((sum(&lines(&ledger), "records"), sum(&lines(&ledger), "bytes")), (2, 8));
        reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok();
        // One at a time and without numbers.
        produce(cluster, &[&topic, "--ledger", ledger.path(), "--mode", "sync", "--acks", "1"], "four\nfive\n").await.ok();
        produce(cluster, &[&topic, "--ledger", ledger.path(), "-J"], "{\"payload\":\"six\"}\nno envelope\n").await.fails(4, &["line 2"]);
        assert_eq!(reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok().json()["records_found"], 5);
    }
}

#[cfg(unix)]
mod stopped {
    use super::*;
    use std::io::Write as _;

    on_both_brokers! {
        async fn after_a_signal_the_ledger_has_what_the_topic_has(cluster: &Cluster) {
            let (topic, ledger) = (cluster.topic("signal", 1).await, Sample::new("ledger", ""));
            let mut child = begin(command(&cluster.brokers, &["produce", &topic, "--ledger", ledger.path()]));
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(b"one\ntwo\n").unwrap();
            // Reads on until both are there.
            cluster.run(&["consume", &topic, "--start", "earliest", "--count", "2"]).await.ok();
            signal("-INT", &child);
            ended(child).await.fails(130, &["2 acknowledged"]);
            assert_eq!(sum(&lines(&ledger), "records"), 2);
            reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok();
        }
    }
}

#[cfg(target_os = "linux")]
mod full {
    use super::*;

    on_both_brokers! {
        async fn a_ledger_on_a_full_disk_ends_the_run_and_what_it_lacks_is_told(cluster: &Cluster) {
            let topic = cluster.topic("full", 1).await;
            let outcome = produce(cluster, &[&topic, "--ledger", "/dev/full"], "one\ntwo\n").await;
            let said = ["2 sent, 2 acknowledged, 0 failed", "/dev/full", "the topic holds 2 acknowledged records that the ledger lacks"];
            outcome.fails(1, &said);
            assert_eq!(cluster.read(&topic, 0).await.len(), 2);
            // Nobody needs to stop it by hand.
            let endless = ["generate", "parity", &topic, "--parity", "even", "--rate", "20", "--ledger", "/dev/full"];
            cluster.run(&endless).await.fails(1, &["that the ledger lacks"]);
            // A ledger that cannot even be opened stops everything before anything is done.
            let missing = cluster.name("never-made");
            produce(cluster, &[&missing, "--create", "1", "--ledger", "/not-there/ledger"], "one\n").await.fails(1, &["/not-there/ledger"]);
            assert!(cluster.client().await.topic(&missing).await.is_err());
        }
    }
}

/// Where an answer is lost and the batch comes again, Kafka answers with the largest time in it, whoever has set that.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_leave_the_ledger_right_whoever_stamps_the_records() {
    let cluster = Cluster::embedded("ledger-faults").await;
    for (by, partitions) in [("CreateTime", 2), ("LogAppendTime", 2)] {
        let topic = cluster.topic_with(by, partitions, &[("message.timestamp.type", by)]).await;
        let faults = cluster.embedded.as_ref().unwrap().faults();
        for (partition, after, fault) in [
            (0, 2, Fault::DropAfter),
            (1, 3, Fault::ErrorAfter(ErrorCode::RequestTimedOut)),
            (0, 9, Fault::Repeat),
            (1, 9, Fault::DropBefore),
            (0, 15, Fault::Error(ErrorCode::NotLeaderOrFollower)),
        ] {
            faults.add(Rule::on(ApiKey::Produce).partition(&topic, partition).after(after).once(), fault);
        }
        let ledger = Sample::new("ledger", "");
        let file = Sample::new("csv", format!("id,at\n{}", rows((0..20_000).map(|row| row % 7))));
        let args = [
            &topic,
            file.path(),
            "--key",
            "id",
            "--timestamp-from",
            "at",
            "--batch-bytes",
            "4KiB",
            "--ledger",
            ledger.path(),
        ];
        produce(&cluster, &args, "").await.ok();
        let report = reconcile(&cluster, &topic, &["--ledger", ledger.path()]).await.ok().json();
        assert_eq!(report["records_found"], 20_000);
        assert!(by == "LogAppendTime" || report["minutes"] == 14, "{report}");
    }
}

/// What cannot be written is not noted, and what can be is.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_answer_leaves_the_ledger_right() {
    let cluster = Cluster::embedded("ledger-silent").await;
    let topic = cluster.topic("silent", 2).await;
    let faults = cluster.embedded.as_ref().unwrap().faults();
    faults.add(Rule::on(ApiKey::Produce).partition(&topic, 1).always(), Fault::Error(ErrorCode::NotEnoughReplicas));
    let ledger = Sample::new("ledger", "");
    let lines: String = (0..100).map(|i| format!("{i}=>{i}\n")).collect();
    let args = [&topic, "-K", "=>", "--timeout", "1s", "--ledger", ledger.path()];
    produce(&cluster, &args, lines).await.fails(1, &["NOT_ENOUGH_REPLICAS"]);
    let report = reconcile(&cluster, &topic, &["--ledger", ledger.path()]).await.ok().json();
    assert!(report["records_found"].as_u64() > Some(20), "{report}");
}
