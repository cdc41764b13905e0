//! Topics held against ledgers, against other topics and against what groups have read.

use crate::ledger::{MINUTE, START, lines, minute, noted, reconcile, sum};
use crate::produce::Sample;
use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::batch::{BatchWriter, Codec, Headers};
use kmerge::client::WriteOptions;
use kmerge::ports::Outgoing;
use serde_json::{Value, json};
use std::time::Duration;

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

        // Records gone from the end of the log: no time behind all that is there hides them.
        let gone = json!({ "topic": topic, "partition": 0, "minute": minute(4), "records": 5, "bytes": 5, "first_offset": 100_000, "last_offset": 100_004 });
        let longer = Sample::new("ledger", format!("{text}{gone}\n"));
        for (end, status, said) in [(60, 4, "5 missing"), (5, 4, "5 missing"), (4, 0, "equal: ")] {
            let end = format!("@{}", START + end * MINUTE);
            reconcile(cluster, &topic, &["--ledger", longer.path(), "--end", &end]).await.fails(status, &[said]);
        }

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
        let outcome = reconcile(cluster, &topic, &["--ledger", ledger.path()]).await;
        let report = outcome.json();
        assert_eq!((&report["expired_minutes"], &report["minutes"]), (&5.into(), &0.into()));
        assert_eq!(report["equal"], false);
        outcome.fails(4, &["nothing was compared"]);
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
        let outcome = reconcile(cluster, &other, &["--against", &topic, "--ignore-partitions", "--end", &up_to]).await;
        outcome.fails(2, &["--end @TIME does not go with --against"]);

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

}

/// How many records a partition was given.
fn partition_records(ledger: &Sample, partition: i32) -> u64 {
    let lines: Vec<Value> = lines(ledger).into_iter().filter(|line| line["partition"] == partition).collect();
    sum(&lines, "records")
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
