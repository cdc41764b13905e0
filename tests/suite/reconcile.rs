//! Ledgers that writers keep, and topics held against them, against other topics and against what groups have read.

use crate::produce::{Sample, produce};
use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Codec, Headers};
use kmerge::broker::{Fault, Rule};
use kmerge::client::WriteOptions;
use kmerge::ports::Outgoing;
use kmerge::wire::{ApiKey, ErrorCode};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: i64 = 60_000;
/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

fn minute(number: i64) -> String {
    format!("2026-01-01T00:{number:02}:00Z")
}

/// Rows of these minutes, one a row, with a key that spreads them.
fn rows(minutes: impl IntoIterator<Item = i64>) -> String {
    let rows = minutes.into_iter().enumerate();
    rows.map(|(row, minute)| format!("{row},{}\n", START + minute * MINUTE + row as i64 % MINUTE)).collect()
}

/// Writes such rows with a ledger.
async fn noted(cluster: &Cluster, topic: &str, ledger: &Sample, minutes: impl IntoIterator<Item = i64>) -> Value {
    let file = Sample::new("csv", format!("id,at\n{}", rows(minutes)));
    let args =
        [topic, file.path(), "--key", "id", "--timestamp-from", "at", "--ledger", ledger.path(), "--output", "json"];
    produce(cluster, &args, "").await.ok().json()
}

async fn reconcile(cluster: &Cluster, topic: &str, more: &[&str]) -> Outcome {
    cluster.run(&[&["reconcile", topic, "--output", "json"], more].concat()).await
}

/// The minutes that differ: partition, minute, expected, found.
fn differences(outcome: &Outcome) -> Vec<(i64, String, u64, u64)> {
    let report = outcome.json();
    let list = report["differences"].as_array().unwrap().iter();
    list.map(|one| {
        let number = |name: &str| one[name].as_u64().unwrap();
        (
            one["partition"].as_i64().unwrap_or(-1),
            one["minute"].as_str().unwrap().to_owned(),
            number("expected"),
            number("found"),
        )
    })
    .collect()
}

fn lines(ledger: &Sample) -> Vec<Value> {
    let text = std::fs::read_to_string(ledger.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn sum(lines: &[Value], of: &str) -> u64 {
    lines.iter().map(|line| line[of].as_u64().unwrap()).sum()
}

on_both_brokers! {
    async fn what_was_written_is_there_and_a_record_removed_or_doubled_is_found_with_its_minute(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("orders", 3).await, Sample::new("ledger", ""));
        let produced = noted(cluster, &topic, &ledger, (0..3000).map(|row| row / 600)).await;
        let told = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok();
        let report = told.json();
        assert_eq!((&report["equal"], &report["minutes"]), (&true.into(), &15.into()));
        assert_eq!((&report["records_expected"], &report["records_found"]), (&3000.into(), &3000.into()));
        assert_eq!((sum(&lines(&ledger), "records"), sum(&lines(&ledger), "bytes")), (3000, produced["bytes"].as_u64().unwrap()));
        assert!(told.stderr.contains("equal: "), "{told:?}");

        // One more was written than the topic holds: the same as one that went missing there.
        let text = std::fs::read_to_string(ledger.path()).unwrap();
        let line = lines(&ledger).into_iter().find(|line| line["minute"] == minute(2) && line["partition"] == 1).unwrap();
        let records = line["records"].as_u64().unwrap();
        let edited = line.to_string().replace(&format!("\"records\":{records},"), &format!("\"records\":{},", records + 1));
        let lacking = Sample::new("ledger", text.replace(&line.to_string(), &edited));
        let outcome = reconcile(cluster, &topic, &["--ledger", lacking.path()]).await;
        assert_eq!(differences(&outcome), [(1, minute(2), records + 1, records)]);
        outcome.fails(4, &["1 missing, 0 extra, in 1 of 15 minutes"]);

        // A record that was stored twice.
        let doubled = &cluster.read(&topic, 2).await[..1];
        cluster.put(&topic, 2, doubled).await;
        let outcome = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await;
        let [(2, at, expected, found)] = &differences(&outcome)[..] else { panic!("{outcome:?}") };
        assert_eq!((at, *found), (&minute(0), expected + 1));
        outcome.fails(4, &["0 missing, 1 extra"]);
        // Of the other partitions that is no concern.
        reconcile(cluster, &topic, &["--ledger", ledger.path(), "--partition", "0,1"]).await.ok();
        // Up to its end before that.
        let ends: Vec<String> = [0, 1, 2].map(|partition| format!("{partition}={}", partition_records(&ledger, partition))).to_vec();
        reconcile(cluster, &topic, &["--ledger", ledger.path(), "--end", &format!("{topic}:{}", ends.join(","))]).await.ok();
    }

    async fn several_commands_at_once_share_a_ledger_and_a_topic(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("shared", 2).await, Sample::new("ledger", ""));
        let generate = async |what: &str, more: &[&str]| {
            let args = ["generate", what, &topic, "--records", "4000", "--ledger", ledger.path(), "--start-time", "2026-01-01T00:00:00Z"];
            // Each from minute to minute, at virtual speed.
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

    async fn what_was_deleted_below_the_logs_start_is_expired_and_not_missing(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("expires", 1).await, Sample::new("ledger", ""));
        noted(cluster, &topic, &ledger, (0..500).map(|row| row / 100)).await;
        // Minute 0 wholly, minute 1 in part.
        cluster.delete_before(&topic, 0, 150).await;
        let told = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok();
        let report = told.json();
        assert_eq!((&report["expired_minutes"], &report["expired_records"]), (&2.into(), &200.into()));
        assert_eq!((&report["minutes"], &report["records_found"]), (&3.into(), &300.into()));
        assert!(told.stderr.contains("2 minutes of 200 records are expired"), "{told:?}");

        // Against a copy that still has them all, and the other way round.
        let copy = cluster.topic("copy", 1).await;
        noted(cluster, &copy, &Sample::new("ledger", ""), (0..500).map(|row| row / 100)).await;
        for (topic, other) in [(&topic, &copy), (&copy, &topic)] {
            let report = reconcile(cluster, topic, &["--against", other]).await.ok().json();
            assert_eq!((&report["expired_minutes"], &report["records_found"]), (&2.into(), &300.into()));
        }
        // Lines without offsets go by the minute.
        let text = std::fs::read_to_string(ledger.path()).unwrap();
        let bare: String = text.lines().map(|line| line.split(",\"bytes\"").next().unwrap().to_owned() + "}\n").collect();
        let bare = Sample::new("ledger", bare);
        reconcile(cluster, &topic, &["--ledger", bare.path()]).await.ok();
        reconcile(cluster, &topic, &["--ledger", bare.path(), "--start", "200"]).await.fails(2, &["without offsets"]);

        // What is left expires as well; then one record is there that nobody has noted.
        cluster.delete_before(&topic, 0, 500).await;
        let report = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok().json();
        assert_eq!((&report["expired_minutes"], &report["minutes"]), (&5.into(), &0.into()));
        cluster.put(&topic, 0, &[Rec::int(1).stamped(START)]).await;
        let outcome = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await;
        assert_eq!(differences(&outcome), [(0, minute(0), 0, 1)]);
        outcome.fails(4, &["1 extra"]);
    }

    async fn a_copy_is_held_against_its_original_by_partition_or_over_all_of_them(cluster: &Cluster) {
        let (topic, copy, other) = (cluster.topic("original", 2).await, cluster.topic("copy", 2).await, cluster.topic("merged", 1).await);
        let unused = Sample::new("ledger", "");
        for (topic, minutes) in [(&topic, 0..200), (&copy, 0..200), (&other, 0..199)] {
            noted(cluster, topic, &unused, minutes.map(|row| row / 50)).await;
        }
        reconcile(cluster, &copy, &["--against", &topic]).await.ok();
        reconcile(cluster, &other, &["--against", &topic]).await.fails(2, &["--ignore-partitions"]);
        let outcome = reconcile(cluster, &other, &["--against", &topic, "--ignore-partitions"]).await;
        assert_eq!(differences(&outcome), [(-1, minute(3), 50, 49)]);
        outcome.fails(4, &["1 missing, 0 extra"]);
        let up_to = format!("@{}", START + 3 * MINUTE);
        reconcile(cluster, &other, &["--against", &topic, "--ignore-partitions", "--end", &up_to]).await.ok();

        let table = cluster.run(&["reconcile", &other, "--against", &topic, "--ignore-partitions"]).await;
        let rows: Vec<Vec<&str>> = table.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1][..6], ["all", &minute(3), "50", "49", "1", "0"], "{table:?}");
        assert_eq!(rows[2], ["total", "1", "differ", "200", "199", "1", "0"], "{table:?}");
        let csv = cluster.run(&["reconcile", &other, "--against", &topic, "--ignore-partitions", "--output", "csv"]).await.stdout;
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!((rows.len(), rows[0]), (2, "PARTITION,MINUTE,EXPECTED,FOUND,MISSING,EXTRA,BYTES-EXPECTED,BYTES-FOUND"));
        assert!(rows[1].starts_with(&format!("all,{},50,49,1,0,", minute(3))), "{csv}");
    }

    async fn how_far_a_group_has_come_is_told_by_minute(cluster: &Cluster) {
        let (topic, group) = (cluster.topic("read", 1).await, cluster.group("readers"));
        cluster.put(&topic, 0, &(0..60).map(|n| Rec::int(n).stamped(START + n / 20 * MINUTE)).collect::<Vec<_>>()).await;
        reconcile(cluster, &topic, &["--group", &group]).await.fails(1, &["there is no group"]);
        let read = async |more: &[&str]| {
            cluster.run(&[&["consume", &topic, "--group", &group, "--exit"], more].concat()).await.ok()
        };
        read(&["--reset", "earliest", "--count", "30"]).await;
        let outcome = reconcile(cluster, &topic, &["--group", &group]).await;
        assert_eq!(differences(&outcome), [(0, minute(1), 20, 10), (0, minute(2), 20, 0)]);
        outcome.fails(4, &["has read 30 of 60 records", "30 missing"]);
        reconcile(cluster, &topic, &["--group", &group, "--end", "30"]).await.ok();
        read(&[]).await;
        let report = reconcile(cluster, &topic, &["--group", &group]).await.ok().json();
        assert_eq!((&report["records_found"], &report["against"]["group"]), (&60.into(), &json!(group)));

        let late = cluster.group("late");
        cluster.run(&["consume", &topic, "--group", &late, "--exit", "--reset", "earliest", "--count", "5"]).await.ok();
        cluster.delete_before(&topic, 0, 30).await;
        let said = ["offsets 5 to 29 are not compared, or are gone unread", "has read 0 of 30 records"];
        reconcile(cluster, &topic, &["--group", &late]).await.fails(4, &said);
    }

    async fn aborted_records_and_markers_are_no_data(cluster: &Cluster) {
        let (topic, plain, records) = (cluster.topic("tx", 1).await, cluster.topic("plain", 1).await, cluster.topic("records", 1).await);
        let stamped = |numbers: std::ops::Range<i64>| -> Vec<Rec> { numbers.map(|n| Rec::int(n).stamped(START + n * MINUTE)).collect() };
        cluster.put(&plain, 0, &stamped(0..3)).await;
        cluster.put(&plain, 0, &stamped(5..6)).await;
        let client = cluster.client().await;
        let at = |topic: &str| TopicPartition::new(topic, 0);
        let batch = |records: &[Rec]| {
            let mut writer = BatchWriter::new(Codec::None);
            for record in records {
                writer.push(record.timestamp, None, record.value.as_deref(), Headers::EMPTY).unwrap();
            }
            let bytes = writer.finish().unwrap().to_vec();
            Outgoing { len: bytes.len(), records: records.len() as u32, bytes }
        };
        let producer = client.transactional(&cluster.name("id"), Duration::from_secs(60)).await.unwrap();
        let mut writer = producer.writer(at(&topic), 0, at(&records), WriteOptions::default());
        writer.append(batch(&stamped(0..3))).await.unwrap();
        writer.flush().await.unwrap();
        writer.commit().await.unwrap();
        writer.append(batch(&stamped(2..5))).await.unwrap();
        writer.flush().await.unwrap();
        let mut producer = writer.into_producer().await;
        producer.resolve().await.unwrap();
        // Three records and their marker, three that are void and theirs.
        let mut writer = producer.writer(at(&topic), 8, at(&records), WriteOptions::default());
        writer.append(batch(&stamped(5..6))).await.unwrap();
        writer.flush().await.unwrap();
        writer.commit().await.unwrap();

        let report = reconcile(cluster, &topic, &["--against", &plain]).await.ok().json();
        assert_eq!((&report["records_found"], &report["minutes"]), (&4.into(), &4.into()));
        cluster.put(&plain, 0, &stamped(3..4)).await;
        let outcome = reconcile(cluster, &topic, &["--against", &plain]).await;
        assert_eq!(differences(&outcome), [(0, minute(3), 1, 0)], "the aborted one does not stand in for it");
    }

    async fn a_line_that_a_crash_has_torn_is_named_and_the_others_count(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("torn", 1).await, Sample::new("ledger", "{\"topic\":\"else\",\"partition\":0,\"minu"));
        noted(cluster, &topic, &ledger, 0..3).await;
        let told = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await.ok();
        assert_eq!((&told.json()["unreadable_lines"], &told.json()["unreadable"][0]["line"]), (&1.into(), &1.into()));
        assert!(told.stderr.contains("line 1 is torn") && told.stderr.contains("minu"), "{told:?}");
        // Nothing is about another topic, and that is said.
        let other = cluster.topic("other", 1).await;
        let told = reconcile(cluster, &other, &["--ledger", ledger.path()]).await.ok();
        assert!(told.stderr.contains("no line of the ledger is about") && told.stderr.contains("3 are about other topics"), "{told:?}");
        reconcile(cluster, &topic, &["--ledger", &format!("{}-not-there", ledger.path())]).await.fails(1, &["not-there"]);
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

/// How many records a partition was given.
fn partition_records(ledger: &Sample, partition: i32) -> u64 {
    let lines: Vec<Value> = lines(ledger).into_iter().filter(|line| line["partition"] == partition).collect();
    sum(&lines, "records")
}

#[cfg(unix)]
mod stopped {
    use super::*;
    use crate::produce::{until, values};
    use std::io::Write as _;

    on_both_brokers! {
        async fn after_a_signal_the_ledger_has_what_the_topic_has(cluster: &Cluster) {
            let (topic, ledger) = (cluster.topic("signal", 1).await, Sample::new("ledger", ""));
            let mut child = begin(command(&cluster.brokers, &["produce", &topic, "--ledger", ledger.path()]));
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(b"one\ntwo\n").unwrap();
            until(async || values(cluster, &topic, 0).await.len() == 2).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused() {
    let cluster = Cluster::embedded("refused").await;
    let refused = async |args: &[&str], said: &str| {
        cluster.run(&[&["reconcile"], args].concat()).await.fails(2, &[said]);
    };
    refused(&["t"], "--ledger").await;
    refused(&["t", "--ledger", "l", "--against", "u"], "cannot be used with").await;
    refused(&["t", "--against", "u", "--group", "g"], "cannot be used with").await;
    refused(&["t", "--ledger", "l", "--ignore-partitions"], "--against").await;
    refused(&["t", "--against", "t"], "the topic itself").await;
    refused(&["t", "--group", "g", "--memory", "512KiB"], "--memory must be 1MiB").await;
    // More minutes than there is memory for.
    let topic = cluster.topic("minutes", 1).await;
    cluster.put(&topic, 0, &(0..5000).map(|n| Rec::int(n).stamped(n * MINUTE)).collect::<Vec<_>>()).await;
    let args = ["reconcile", &topic, "--group", "g", "--memory", "1MiB"];
    let member = ["consume", &topic, "--group", "g", "--reset", "earliest", "--exit"];
    cluster.run(&member).await.ok();
    cluster.run(&args).await.fails(1, &["different minutes", "--memory"]);
    cluster.run(&[&args[..4], &["--memory", "4MiB"]].concat()).await.ok();
}
